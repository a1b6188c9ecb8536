// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 restore`: on the database itself, while no server works on it.

use std::path::{Path, PathBuf};

use clap::Args;
use e4_c2::domain::{Caller, Error};
use e4_c2::store;
use serde_json::json;

use super::config::{self, DatabaseSettings};
use super::failure::Failure;

/// Bring a backup into an empty database
///
/// The database may be of the other kind than the one that the backup is of: this is also the way
/// from SQLite to PostgreSQL and back. The key file or passphrase is the one of the backup: put
/// the key file in its place first, or name it. All of it arrives, or nothing.
///
/// The server that is started on it sends every device everything again. Tokens that were revoked
/// since the backup are valid again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 restore c2.backup --data /var/lib/e4 --key-file /etc/e4/key
  e4 restore c2.backup --data /var/lib/e4 --database postgresql://e4@db.example.org/e4 \\
             --database-password-file db.pass --database-ca ca.pem")]
pub struct Arguments {
    /// What `e4 backup` wrote
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    #[command(flatten)]
    database: DatabaseSettings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Restores.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let given = &arguments.database;
    let settings = config::load(given, given.config.as_deref(), &config::DATABASE)?;
    let directory = settings.directory();
    config::make_directory(&directory)?;
    let _lock = super::serve::lock(&directory)?;
    let unlock = settings.unlock(false)?;
    let (database, made) = settings.bare()?;
    let place = database.describe();
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    let (who, now) = (Caller::new(&user, "e4 restore"), config::clock().now());
    let restored = store::restore(&arguments.backup, &*database, &unlock, &who, now);
    let restored = restored.map_err(|error| {
        // No database is left that a server would take for a new one.
        made.iter().for_each(|file| remove(file));
        let failure = Failure::new(error.to_string());
        match error {
            Error::Invalid { field: "database", .. } => Failure::new(format!("{place}: {error}"))
                .hint("give another --data or --database, or move the old one away"),
            Error::Invalid { field: "key file" | "passphrase", .. } => {
                failure.hint("give the one of the backup: --key-file or --passphrase-file")
            }
            _ => failure,
        }
    })?;
    if arguments.json {
        let store::Restored { clients, topics, records } = restored;
        println!("{}", json!({ "clients": clients, "topics": topics, "records": records }));
    } else {
        println!(
            "restored to {place}: {} clients, {} topics, {} audit records",
            restored.clients, restored.topics, restored.records
        );
        println!("start it: e4 serve. Every device is sent everything again.");
    }
    Ok(())
}

fn remove(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        // What is not there need not go.
        let _ = std::fs::remove_file(name);
    }
}
