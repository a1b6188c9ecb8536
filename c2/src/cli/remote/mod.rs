// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands that are calls of C2's interface.

pub mod audit;
pub mod backup;
pub mod c2_key;
pub mod campaigns;
mod change;
pub mod clients;
mod connection;
mod context;
pub mod events;
mod files;
pub mod health;
pub mod import;
pub mod labels;
mod list;
pub mod login;
pub mod members;
pub mod messages;
pub mod output;
pub mod policies;
mod server;
pub mod status;
pub mod tokens;
pub mod topics;

use clap::Args;

use super::failure::Failure;
pub use connection::Connection;
use server::Server;

/// What every call needs, and how the answer is printed.
#[derive(Args, Clone)]
pub struct Common {
    #[command(flatten)]
    pub connection: Connection,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    fn connect(&self) -> Result<Server, Failure> {
        Server::connect(&self.connection.place()?)
    }
}
