// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 c2-key …`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use serde_json::json;

use super::super::failure::Failure;
use super::super::keygen;
use super::Common;
use super::output::{self, confirm, hex};
use super::server;

/// Show or change C2's own key (public-key mode)
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 c2-key show --out c2.pub     # for e4 device --c2-key
  e4 c2-key rotate")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Print C2's public key, which a device needs to begin with
    #[command(after_help = "Example:\n  e4 c2-key show --out c2.pub")]
    Show {
        /// Write it to a file, 32 raw bytes
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Give C2 a new key pair and tell all clients
    ///
    /// libe4 clients ignore the command that tells them: they have to be provisioned again.
    #[command(after_help = "Example:\n  e4 c2-key rotate --force && e4 status --wait")]
    Rotate {
        /// Do not ask
        #[arg(long, short, visible_alias = "yes")]
        force: bool,
    },
}

/// Shows or rotates.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.common.json;
    let server = arguments.common.connect()?;
    match &arguments.task {
        Task::Show { out } => {
            let request = pb::GetC2PublicKeyRequest {};
            let key = server.call(async |c2| c2.get_c2_public_key(request).await)?.key;
            if let Some(path) = out {
                keygen::write(path, &key, false)?;
            }
            match (json, out) {
                (true, _) => output::json(&json!({ "key": hex(&key) })),
                (false, Some(path)) => output::line(&format!("public key: {}", path.display())),
                (false, None) => output::line(&hex(&key)),
            }
        }
        Task::Rotate { force } => {
            if !force {
                confirm("Give C2 a new key pair? Every client is concerned.", "--force")?;
            }
            let request = pb::NewC2KeyRequest { force: true };
            let answer = server.answer(async |c2| c2.new_c2_key(request).await)?;
            let operation = server::operation(&answer);
            match (json, operation) {
                (true, operation) => output::json(&json!({ "operation": operation })),
                (false, Some(number)) => {
                    output::line(&format!("all clients are told C2's new key (operation {number})"))
                }
                (false, None) => output::line("all clients are told C2's new key"),
            }
        }
    }
}
