// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 import teserakt-db`: on the database itself, while no server works on it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use e4::{C2SecretKey, Mode};
use e4_c2::domain::{Caller, Error};
use e4_c2::import::{Found, Imported, OldKey};
use e4_c2::store::{Database, Postgres, Sqlite};
use serde_json::json;
use zeroize::Zeroizing;

use super::config::{self, DatabaseSettings, ModeName};
use super::failure::Failure;

/// Bring over the database of an earlier C2
///
/// Clients, topics, keys, memberships and links come over; devices keep their keys and go on as
/// they are. The old database is only read. All of it happens in one transaction, on a database
/// that has no clients and no topics: what ends in the middle has changed nothing and can be done
/// again. Each row that could not be taken is printed, and the exit code is then 1, although the
/// others came over.
///
/// In public-key mode C2's own key pair is needed as well: the 32 bytes of its private key, in a
/// file. Public keys that devices were sent without being linked are not in the old database.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 import teserakt-db c2.sqlite --old-passphrase-file old.pass --mode symmetric --data /var/lib/e4
  e4 import teserakt-db postgresql://c2@db.example.org/c2 --old-database-password-file db.pass \\
            --old-passphrase-file old.pass --c2-key c2.key --data /var/lib/e4 --dry-run")]
pub struct TeseraktDb {
    /// The old database: an SQLite file or a PostgreSQL address
    #[arg(value_name = "FILE|URL")]
    source: String,
    /// File whose first line is the passphrase of the old database [default: asks]
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    /// File whose first line is the password for the old PostgreSQL
    #[arg(long, value_name = "FILE")]
    old_database_password_file: Option<PathBuf>,
    /// Speak TLS with the old PostgreSQL, and trust this authority (PEM)
    #[arg(long, value_name = "FILE")]
    old_database_ca: Option<PathBuf>,
    /// C2's private key of public-key mode, 32 bytes
    #[arg(long, value_name = "FILE")]
    c2_key: Option<PathBuf>,
    /// Kind of keys of the old database [default: that of the new one, if it exists]
    #[arg(long, value_enum)]
    mode: Option<ModeName>,
    /// Read and check everything, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// Imports.
pub fn run(arguments: &TeseraktDb) -> Result<(), Failure> {
    let given = &arguments.database;
    let settings = config::load(given, given.config.as_deref(), &config::DATABASE)?;
    let source = arguments.source()?;
    let passphrase = arguments.passphrase()?;
    let c2 = arguments.c2_key.as_deref().map(c2_key).transpose()?;
    let wished = arguments.mode.map(Mode::from).or(c2.as_ref().map(|_| Mode::PublicKey));
    let key = OldKey::from_passphrase(&passphrase)?;
    let read = |mode| {
        Found::read(&*source, mode, &key).map_err(|error| {
            let failure = Failure::new(error.to_string());
            match error {
                Error::Invalid { field: "old passphrase", .. } => {
                    failure.hint("give the one of the old C2: --old-passphrase-file")
                }
                _ => failure.hint("a database of an earlier C2 has tables clients, topic_keys, clients_topickeys, clients_clientkeys"),
            }
        })
    };
    if let (true, Some(mode)) = (arguments.dry_run, wished) {
        let found = read(mode)?;
        return arguments.report(&found, found.size(), "could be imported");
    }
    let directory = settings.directory();
    let fresh = !settings.exists();
    let Some(mode) = wished.or(if fresh { None } else { Some(settings.open(false, None)?.mode()) })
    else {
        return Err(Failure::new("the mode of the old database is not known")
            .hint("give --mode symmetric, or --mode public-key and --c2-key FILE"));
    };
    // Before anything is made here.
    let found = read(mode)?;
    if mode == Mode::PublicKey && c2.is_none() {
        return Err(Failure::new("the key pair of the old C2 is missing")
            .hint("give the file of its private key: --c2-key"));
    }
    if arguments.dry_run {
        return arguments.report(&found, found.size(), "could be imported");
    }
    config::make_directory(&directory)?;
    let _lock = super::serve::lock(&directory)?;
    let store = settings.open(true, Some(mode))?;
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    let (who, now) = (Caller::new(&user, "e4 import"), config::clock().now());
    let all = found.size();
    let shown = std::io::stderr().is_terminal();
    let progress = |done: Imported| {
        if shown {
            eprintln!(
                "{}/{} clients, {}/{} topics, {}/{} memberships, {}/{} links",
                done.clients,
                all.clients,
                done.topics,
                all.topics,
                done.memberships,
                all.memberships,
                done.links,
                all.links
            );
        }
    };
    let done = found.write(&store, c2.as_ref(), &who, now, progress).map_err(|error| {
        let failure = Failure::new(format!("{}: {error}; nothing was imported", store.describe()));
        match error {
            Error::Invalid { field: "database", .. } => {
                failure.hint("give another --data or --database")
            }
            _ => failure,
        }
    })?;
    arguments.report(&found, done, "imported")
}

impl TeseraktDb {
    fn source(&self) -> Result<Box<dyn Database>, Failure> {
        let fail = |fault| Failure::from(Error::from(fault));
        if !config::is_remote(&self.source) {
            let path = Path::new(&self.source);
            std::fs::metadata(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            return Ok(Box::new(Sqlite::read_only(path)));
        }
        let password = self.old_database_password_file.as_deref();
        let password = password.map(super::first_line).transpose()?;
        let authority = self.old_database_ca.as_deref();
        Ok(Box::new(Postgres::new(&self.source, authority, password.as_deref()).map_err(fail)?))
    }

    fn passphrase(&self) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &self.old_passphrase_file {
            return super::first_line(path).map(Zeroizing::new);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new("the passphrase of the old database is missing")
                .hint("give it in a file: --old-passphrase-file"));
        }
        rpassword::prompt_password("Passphrase of the old database: ")
            .map(Zeroizing::new)
            .map_err(|error| Failure::new(error.to_string()))
    }

    fn report(&self, found: &Found, done: Imported, what: &str) -> Result<(), Failure> {
        let Imported { clients, topics, memberships, links } = done;
        if self.json {
            let refused = found.refused.iter().map(|row| {
                json!({ "table": row.table, "row": row.row, "name": row.name, "why": row.why })
            });
            println!(
                "{}",
                json!({
                    "clients": clients,
                    "topics": topics,
                    "memberships": memberships,
                    "links": links,
                    "refused": refused.collect::<Vec<_>>(),
                    "written": !self.dry_run,
                })
            );
        } else {
            for row in &found.refused {
                let name = match row.name.as_str() {
                    "" => String::new(),
                    name => format!(" ({})", name.escape_debug()),
                };
                eprintln!("not taken: {} {}{name}: {}", row.table, row.row, row.why);
            }
            println!(
                "{what}: {clients} clients, {topics} topics, {memberships} memberships, {links} links"
            );
        }
        if found.refused.is_empty() {
            return Ok(());
        }
        let count = found.refused.len();
        let rest = if self.dry_run { "nothing was written" } else { "all others are imported" };
        Err(Failure::new(format!("{count} rows could not be taken; {rest}"))
            .hint("create those clients and topics by hand, and provision their devices anew"))
    }
}

fn c2_key(path: &Path) -> Result<C2SecretKey, Failure> {
    let fail = |why: String| Failure::new(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map(Zeroizing::new).map_err(|error| fail(error.to_string()))?;
    C2SecretKey::from_slice(&bytes).map_err(|_| fail("a private key of C2 has 32 bytes".into()))
}
