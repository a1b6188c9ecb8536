// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 login`

use std::io::IsTerminal;

use clap::Args;
use e4_c2::api::pb;
use serde_json::json;
use tonic::Code;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::connection::{DEFAULT_CONTEXT, Place, absolute};
use super::context::{Context, Contexts};
use super::server::Server;
use super::{Common, output};

/// Remember a server, its authority and a token for the other commands
///
/// The token is asked for, or read from standard input or --token-file. It is tried before it is
/// kept, in a file for you alone: $XDG_CONFIG_HOME/e4/context.toml or ~/.config/e4/context.toml.
/// With several servers, each gets a name: --context.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 login                                   # on the machine of the server
  e4 login --endpoint c2.example.org --ca ca.pem
  e4 login --context plant --endpoint c2.plant.example --ca plant.pem < ann.token
  e4 client list --context plant
  e4 login --forget --context plant")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Forget the server and its token
    #[arg(long)]
    forget: bool,
}

/// Tries the token and keeps it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let connection = &arguments.common.connection;
    let name = connection.context.as_deref().unwrap_or(DEFAULT_CONTEXT);
    let mut contexts = Contexts::load()?;
    if arguments.forget {
        if contexts.take(name).is_none() {
            return Err(Failure::new(format!("there is no context {name:?}")));
        }
        contexts.save()?;
        return output::line(&format!("forgotten: {name}"));
    }
    let mut place = connection.given(None)?;
    if place.token.is_none() && place.identity.is_none() {
        place.token = ask(&place.endpoint)?;
    }
    let place = place.with_own_authority()?;
    let server = Server::connect(&place)?;
    let mode =
        match server.attempt(async |c2| c2.get_crypto_mode(pb::GetCryptoModeRequest {}).await) {
            Ok(answer) => match answer.into_inner().crypto_mode() {
                pb::CryptoMode::CryptomodePubkey => "public-key mode",
                _ => "symmetric-key mode",
            },
            // A token that may only add devices is a good one.
            Err(status) if status.code() == Code::PermissionDenied => "may not look",
            Err(status) => return Err(server.failure(&status)),
        };
    let endpoint = place.endpoint.clone();
    contexts.put(name, context(place)?);
    contexts.save()?;
    match arguments.common.json {
        true => output::json(&json!({ "context": name, "endpoint": endpoint })),
        false => {
            output::line(&format!("logged in to {endpoint} ({mode})"))?;
            output::line(&format!("kept as {name} in {}", contexts.place()))
        }
    }
}

fn context(place: Place) -> Result<Context, Failure> {
    let (cert, key) = place.identity.unzip();
    let keep = |path: Option<std::path::PathBuf>| path.as_deref().map(absolute).transpose();
    Ok(Context {
        endpoint: place.endpoint,
        ca: keep(place.ca)?,
        token: place.token,
        cert: keep(cert)?,
        key: keep(key)?,
    })
}

/// The token, unless an empty line says that none is needed.
fn ask(endpoint: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let read = match std::io::stdin().is_terminal() {
        true => rpassword::prompt_password(format!("Token for {endpoint}: ")),
        false => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        }
    };
    let text = read.map(Zeroizing::new);
    let text = text.map_err(|error| Failure::new(format!("no token: {error}")))?;
    let token = text.trim();
    Ok((!token.is_empty()).then(|| Zeroizing::new(token.to_string())))
}
