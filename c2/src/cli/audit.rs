// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 audit` and `e4 rekey`: on the database itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use e4_c2::domain::Caller;
use e4_c2::store::{Store, Verified};
use serde_json::json;

use super::config::{self, DatabaseSettings};
use super::failure::Failure;

/// Look at who did what
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 audit verify --data /var/lib/e4
  e4 audit list --after 1200 --json | jq .")]
pub struct AuditArguments {
    #[command(subcommand)]
    task: AuditTask,
}

#[derive(Subcommand)]
enum AuditTask {
    /// Check that no record was changed, taken out or put in
    ///
    /// It prints the number and the mac of the newest record: kept elsewhere, they show later
    /// whether records were cut off at the end.
    Verify {
        #[command(flatten)]
        database: DatabaseSettings,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print records, oldest first
    List {
        #[command(flatten)]
        database: DatabaseSettings,
        /// Records after this number
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: i64,
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: i64,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Seal the stored keys under another passphrase or key file
///
/// One row of the database changes. The old passphrase or key file opens backups from before and
/// nothing else.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 rekey --data /var/lib/e4 --new-passphrase-file pass.txt
  e4 rekey --data /var/lib/e4 --passphrase-file pass.txt --new-key-file new.key")]
pub struct RekeyArguments {
    #[command(flatten)]
    database: DatabaseSettings,
    /// File whose first line is the new passphrase, 12 bytes at least
    #[arg(long, value_name = "FILE", required_unless_present = "new_key_file")]
    new_passphrase_file: Option<PathBuf>,
    /// New key file; it is made if it does not exist
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_file")]
    new_key_file: Option<PathBuf>,
}

/// Verifies or lists.
pub fn audit(arguments: &AuditArguments) -> Result<(), Failure> {
    match &arguments.task {
        AuditTask::Verify { database, json } => verify(&open(database)?, *json),
        AuditTask::List { database, after, limit, json } => {
            let store = open(database)?;
            for record in store.read(|tx| tx.audit_records(*after, *limit))? {
                if *json {
                    println!("{}", json!(record));
                } else {
                    println!(
                        "{:>6}  {}  {} from {}: {} {}",
                        record.seq,
                        record.at,
                        record.actor.escape_debug(),
                        record.origin.escape_debug(),
                        record.action,
                        record.detail
                    );
                }
            }
            Ok(())
        }
    }
}

fn verify(store: &Store, json: bool) -> Result<(), Failure> {
    match store.verify_audit()? {
        Verified::Intact(head) => {
            let mac: String = head.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            if json {
                println!("{}", json!({ "intact": true, "records": head.seq, "mac": mac }));
            } else {
                println!("intact: {} records, the newest has mac {mac}", head.seq);
            }
            Ok(())
        }
        Verified::Broken { seq, why } => {
            if json {
                println!("{}", json!({ "intact": false, "record": seq, "why": why }));
            }
            Err(Failure::new(format!("audit record {seq}: {why}"))
                .hint("compare with a backup; records before this one are as they were written"))
        }
    }
}

/// Changes what the data key is sealed under.
pub fn rekey(arguments: &RekeyArguments) -> Result<(), Failure> {
    let store = open(&arguments.database)?;
    let new = DatabaseSettings {
        key_file: arguments.new_key_file.clone(),
        passphrase_file: arguments.new_passphrase_file.clone(),
        ..DatabaseSettings::default()
    };
    let unlock = new.unlock(true)?;
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    store.rekey(&unlock, &Caller::new(&user, "e4 rekey"), config::clock().now())?;
    println!("the stored keys are sealed under the new one; from now on give it at every start");
    Ok(())
}

fn open(database: &DatabaseSettings) -> Result<Store, Failure> {
    let settings = config::load(database, database.config.as_deref(), &config::DATABASE)?;
    settings.open(false, None)
}
