// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where C2 is and who calls: flags before environment before what `e4 login` kept.

use std::path::{Path, PathBuf};

use clap::Args;
use tonic::transport::Uri;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::context::{Context, Contexts};

/// Where these flags are in the help.
const HEADING: &str = "Connection (see e4 login)";
const DEFAULT: &str = "https://127.0.0.1:5555";

/// The name of the context that counts when none is named.
pub const DEFAULT_CONTEXT: &str = "default";

/// How to reach C2.
#[derive(Args, Clone)]
pub struct Connection {
    /// Address of C2 [default: https://127.0.0.1:5555]
    #[arg(long, env = "E4_ENDPOINT", value_name = "URL", global = true, hide_short_help = true, help_heading = HEADING)]
    pub endpoint: Option<String>,
    /// Authority of the server's certificate (PEM) [default, on the server's machine:
    /// e4-data/tls/ca.pem, or tls/ca.pem in the directory that E4_DATA names]
    #[arg(long, env = "E4_CA", value_name = "FILE", global = true, hide_short_help = true, help_heading = HEADING)]
    pub ca: Option<PathBuf>,
    /// File whose first line is the token; or the token in the environment, E4_TOKEN
    #[arg(long, env = "E4_TOKEN_FILE", value_name = "FILE", global = true, hide_short_help = true, help_heading = HEADING)]
    pub token_file: Option<PathBuf>,
    /// Client certificate (PEM), in place of a token
    #[arg(
        long,
        env = "E4_CERT",
        value_name = "FILE",
        global = true,
        requires = "key",
        hide_short_help = true,
        help_heading = HEADING
    )]
    pub cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(
        long,
        env = "E4_KEY",
        value_name = "FILE",
        global = true,
        requires = "cert",
        hide_short_help = true,
        help_heading = HEADING
    )]
    pub key: Option<PathBuf>,
    /// Which of the servers that `e4 login` knows [default: default]
    #[arg(long, env = "E4_CONTEXT", value_name = "NAME", global = true, hide_short_help = true, help_heading = HEADING)]
    pub context: Option<String>,
}

/// Everything that a connection needs.
pub struct Place {
    pub endpoint: String,
    pub ca: Option<PathBuf>,
    pub identity: Option<(PathBuf, PathBuf)>,
    pub token: Option<Zeroizing<String>>,
}

impl Connection {
    /// Looks everything up.
    pub fn place(&self) -> Result<Place, Failure> {
        let saved = self.saved()?;
        let kept = saved.as_ref().map(|saved| saved.endpoint.as_str());
        let mut place = match self.context.is_some() && self.endpoint == environment() {
            // Who names a context means that server.
            true => Self { endpoint: None, ..self.clone() }.given(kept)?,
            false => self.given(kept)?,
        };
        // What was kept for one server is not shown to another.
        if let Some(saved) = saved.filter(|saved| saved.endpoint == place.endpoint) {
            place.ca = place.ca.or(saved.ca);
            place.identity = place.identity.or(saved.cert.zip(saved.key));
            if self.cert.is_none() {
                place.token = place.token.or(saved.token);
            }
        }
        place.with_own_authority()
    }

    /// What flags and environment say alone; the endpoint from them, or the one at hand.
    pub fn given(&self, endpoint: Option<&str>) -> Result<Place, Failure> {
        let given = self.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        let endpoint = given.or(endpoint).unwrap_or(DEFAULT);
        let token = match (&self.token_file, std::env::var("E4_TOKEN")) {
            (Some(path), _) => Some(super::super::first_line(path)?),
            (None, Ok(token)) if !token.is_empty() => Some(token),
            _ => None,
        };
        Ok(Place {
            endpoint: normal(endpoint)?,
            ca: self.ca.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
            token: token.map(|token| Zeroizing::new(token.trim().to_string())),
        })
    }

    fn saved(&self) -> Result<Option<Context>, Failure> {
        let name = self.context.as_deref().unwrap_or(DEFAULT_CONTEXT);
        let mut contexts = Contexts::load()?;
        match (contexts.take(name), &self.context) {
            (None, Some(name)) => {
                Err(Failure::new(format!("there is no context {name:?} in {}", contexts.place()))
                    .hint(format!("e4 login --context {name}")))
            }
            (saved, _) => Ok(saved),
        }
    }
}

impl Place {
    /// On the server's own machine its authority is at hand.
    pub fn with_own_authority(mut self) -> Result<Self, Failure> {
        if self.ca.is_none() && self.is_secure() && self.is_local() {
            let data = std::env::var_os("E4_DATA").map_or_else(|| "e4-data".into(), PathBuf::from);
            let own = data.join("tls").join("ca.pem");
            self.ca = own.exists().then_some(own);
        }
        if !self.is_secure() && !self.is_local() && self.token.is_some() {
            return Err(Failure::new(format!(
                "{} has no TLS: everybody on the way would read the token",
                self.endpoint
            ))
            .hint("give an address that begins with https://"));
        }
        Ok(self)
    }

    pub fn is_secure(&self) -> bool {
        self.endpoint.starts_with("https://")
    }

    fn is_local(&self) -> bool {
        let uri = self.endpoint.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// The address that the environment names.
fn environment() -> Option<String> {
    std::env::var("E4_ENDPOINT").ok()
}

/// `https://HOST:PORT`: the scheme and the port may be left out.
fn normal(text: &str) -> Result<String, Failure> {
    let wrong = || {
        Failure::new(format!("{text:?} is not the address of a server"))
            .hint("for example https://c2.example.org:5555")
    };
    let full = match text.contains("://") {
        true => text.to_string(),
        false => format!("https://{text}"),
    };
    let uri: Uri = full.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    match (scheme, uri.host(), uri.path()) {
        (Some(scheme), Some(host), "" | "/") => {
            Ok(format!("{scheme}://{host}:{}", uri.port_u16().unwrap_or(5555)))
        }
        _ => Err(wrong()),
    }
}

/// A path that means the same from everywhere.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{Place, normal};

    #[test]
    fn addresses() {
        assert_eq!(normal("c2.example.org").unwrap(), "https://c2.example.org:5555");
        assert_eq!(normal("http://[::1]:80/").unwrap(), "http://[::1]:80");
        for wrong in ["", "ftp://a", "https://a/b", "https://"] {
            assert!(normal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        let place = |endpoint: &str| Place {
            endpoint: endpoint.into(),
            ca: None,
            identity: None,
            token: Some(String::from("t").into()),
        };
        assert!(place("http://127.0.0.1:1").with_own_authority().is_ok());
        assert!(place("http://[::1]:1").with_own_authority().is_ok());
        assert!(place("https://c2.example.org:1").with_own_authority().is_ok());
        assert!(place("http://c2.example.org:1").with_own_authority().is_err());
    }
}
