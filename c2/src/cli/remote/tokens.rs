// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 token …` through C2's interface.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use e4_c2::api::pb;
use e4_c2::domain::Caller;
use e4_c2::service::Service;
use prost_types::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::config::{self, DatabaseSettings};
use super::super::failure::Failure;
use super::Common;
use super::files::NewFile;
use super::list::Part;
use super::output::{self, confirm, shown, time};

/// Say who may call
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 token create ann --role operator --expires 90d --out ann.token
  e4 token list
  e4 token revoke ann")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Let somebody call: a token, shown once, or a client certificate of theirs
    #[command(after_help = "\
Examples:
  e4 token create me --role admin --data e4-data     (the first, on the machine of the server)
  e4 token create ann --role operator --expires 90d --out ann.token
  e4 token create line-7 --role device-provisioner
  e4 token create billing --role reader --certificate billing.pem")]
    Create(Box<Create>),
    /// List who may call
    #[command(after_help = "Example:\n  e4 token list")]
    List {
        #[command(flatten)]
        part: Part,
    },
    /// No longer let somebody call
    #[command(after_help = "Example:\n  e4 token revoke ann")]
    Revoke {
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
struct Create {
    /// Who it is for; audit records name it
    name: String,
    /// What they may do
    #[arg(long, value_enum)]
    role: Role,
    /// They may protect and open messages as well
    #[arg(long)]
    messages: bool,
    /// When it ends: 90d, 12h, 2027-01-31 or a time like 2027-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Client certificate (PEM) that stands in place of a token
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    certificate: Option<PathBuf>,
    /// Write the token to a file, mode 0600, in place of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file of --out
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten, next_help_heading = "In the database itself, without a server")]
    database: DatabaseSettings,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Everything but messages
    Admin,
    /// Looks, and changes clients, topics and keys
    Operator,
    /// Looks
    Reader,
    /// Adds clients that do not exist yet, and nothing else
    DeviceProvisioner,
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    match &arguments.task {
        Task::Create(create) => create.run(common),
        Task::List { part } => list(common, part),
        Task::Revoke { name, yes } => {
            if !yes {
                confirm(&format!("Revoke the token {}?", shown(name)), "--yes")?;
            }
            let request = pb::RevokeTokenRequest { name: name.clone() };
            let server = common.connect()?;
            server.call(async |c2| c2.revoke_token(request).await)?;
            match common.json {
                true => output::json(&json!({ "token": name })),
                false => output::line(&format!("token {} revoked", shown(name))),
            }
        }
    }
}

impl Create {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let role = match self.role {
            Role::Admin => pb::Role::Admin,
            Role::Operator => pb::Role::Operator,
            Role::Reader => pb::Role::Reader,
            Role::DeviceProvisioner => pb::Role::DeviceProvisioner,
        };
        let request = pb::CreateTokenRequest {
            name: self.name.clone(),
            role: role.into(),
            messages: self.messages,
            expires_at: self.expires.as_deref().map(moment).transpose()?,
            certificate: match &self.certificate {
                Some(path) => certificate(path)?,
                None => Vec::new(),
            },
        };
        let out = match &self.out {
            Some(path) => Some((NewFile::reserve(path, self.force)?, path)),
            None => None,
        };
        let expires = request.expires_at;
        let token = match self.database.is_given() {
            true => self.locally(request)?,
            false => {
                let server = common.connect()?;
                Zeroizing::new(server.call(async |c2| c2.create_token(request).await)?.token)
            }
        };
        let mut place = None;
        if let Some((mut file, path)) = out {
            file.write(format!("{}\n", *token).as_bytes()).and_then(|()| file.finish()).map_err(
                |failure| failure.hint("nobody knows the token: revoke it and make another"),
            )?;
            place = Some(path.display().to_string());
        }
        let shows = place.is_none() && !token.is_empty();
        if common.json {
            return output::json(&json!({
                "name": self.name,
                "role": word(role),
                "expiresAt": time(expires.as_ref()),
                "token": shows.then_some(token.as_str()),
                "tokenFile": place,
            }));
        }
        let ends = time(expires.as_ref()).map_or("never ends".into(), |at| format!("ends {at}"));
        output::line(&format!("token {} ({}, {ends})", shown(&self.name), word(role)))?;
        match place {
            Some(place) => {
                output::line(&format!("it is in {place}, for: e4 login --token-file {place}"))
            }
            None if shows => output::line(&format!("shown this once: {}", *token)),
            None => Ok(()),
        }
    }
}

impl Create {
    /// The first token cannot come from a server that asks for one: whoever has the key file of the
    /// database may do everything anyhow.
    fn locally(&self, request: pb::CreateTokenRequest) -> Result<Zeroizing<String>, Failure> {
        let service =
            Service::new(Arc::new(self.database.open_existing()?), config::clock().into());
        let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
        let token = service.create_token(&Caller::new(&user, "e4 token"), &request.try_into()?)?;
        Ok(token.unwrap_or_default())
    }
}

fn list(common: &Common, part: &Part) -> Result<(), Failure> {
    let server = common.connect()?;
    let tokens = part.collect(
        |token: &pb::Token| token.name.as_str(),
        |after, count| {
            let request = pb::ListTokensRequest { count, after };
            Ok(server.call(async |c2| c2.list_tokens(request).await)?.tokens)
        },
    )?;
    if common.json {
        let tokens = tokens.iter().map(|token| {
            json!({
                "name": token.name,
                "role": word(token.role()),
                "messages": token.messages,
                "certificate": token.certificate,
                "createdAt": time(token.created_at.as_ref()),
                "expiresAt": time(token.expires_at.as_ref()),
            })
        });
        return output::json(&Value::Array(tokens.collect()));
    }
    let yes = |is: bool| if is { "yes" } else { "" };
    let rows = tokens.iter().map(|token| {
        vec![
            token.name.clone(),
            word(token.role()).into(),
            yes(token.messages).into(),
            yes(token.certificate).into(),
            time(token.created_at.as_ref()).unwrap_or_default(),
            time(token.expires_at.as_ref()).unwrap_or_else(|| "never".into()),
        ]
    });
    let head = ["NAME", "ROLE", "MESSAGES", "CERTIFICATE", "MADE", "ENDS"];
    output::table(&head, &rows.collect::<Vec<_>>())
}

fn word(role: pb::Role) -> &'static str {
    match role {
        pb::Role::Undefined => "unknown",
        pb::Role::Admin => "admin",
        pb::Role::Operator => "operator",
        pb::Role::Reader => "reader",
        pb::Role::DeviceProvisioner => "device-provisioner",
    }
}

/// `90d`, `12h`, `30m`, or a date or time of RFC 3339.
fn moment(text: &str) -> Result<Timestamp, Failure> {
    let wrong = || {
        Failure::new(format!("{text:?} is no time to end at"))
            .hint("for example 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z")
    };
    let span = text.chars().last().and_then(|unit| {
        let seconds = match unit {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            _ => return None,
        };
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds)
    });
    if let Some(span) = span {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
        let now = i64::try_from(now.as_secs()).map_err(|_| wrong())?;
        let seconds = now.checked_add(span).filter(|_| span > 0).ok_or_else(wrong)?;
        return Ok(Timestamp { seconds, nanos: 0 });
    }
    text.parse().map_err(|_| wrong())
}

/// The certificate of a PEM file, as DER.
fn certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let read = CertificateDer::from_pem_file(path);
    read.map(|certificate| certificate.to_vec()).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display())).hint("a certificate in PEM is needed")
    })
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments() {
        assert_eq!(moment("2027-01-31T12:00:00Z").unwrap().to_string(), "2027-01-31T12:00:00Z");
        let days = moment("2d").unwrap().seconds - moment("1d").unwrap().seconds;
        assert!((86_399..=86_401).contains(&days));
        for wrong in ["", "d", "-1d", "tomorrow", "9999999999999999d", "0h"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
