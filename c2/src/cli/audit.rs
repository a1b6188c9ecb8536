// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 audit`, on the database itself or through C2's interface; `e4 rekey`, on the database.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use e4_c2::domain::{AuditRecord, Caller, Millis};
use e4_c2::store::Verified;
use serde_json::json;

use super::config::{self, DatabaseSettings};
use super::failure::Failure;
use super::remote::{self, Common, output};

/// Look at who did what
///
/// With flags or environment that name the database (--data, E4_DATA, ...) it is read itself, on
/// the server's machine; without them C2 is asked.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 audit verify
  e4 audit verify --data /var/lib/e4
  e4 audit list --after 1200 --json | jq .")]
pub struct AuditArguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: AuditTask,
}

#[derive(Subcommand)]
enum AuditTask {
    /// Check that no record was changed, taken out or put in
    ///
    /// It prints the number and the mac of the newest record: kept elsewhere, they show later
    /// whether records were cut off at the end.
    #[command(after_help = "\
Examples:
  e4 audit verify
  e4 audit verify --data /var/lib/e4 --json")]
    Verify {
        #[command(flatten)]
        database: DatabaseSettings,
    },
    /// Print records, oldest first; as JSON, one object a line
    #[command(after_help = "\
Examples:
  e4 audit list --limit 20
  e4 audit list --after 1200 --json | jq .
  e4 audit list --data /var/lib/e4")]
    List {
        #[command(flatten)]
        database: DatabaseSettings,
        /// Records after this number
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: i64,
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: i64,
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
    let common = &arguments.common;
    match &arguments.task {
        AuditTask::Verify { database } => {
            let verified = match database.is_given() {
                true => of_store(database.open_existing()?.verify_audit()?),
                false => remote::audit::verify(common)?,
            };
            verify(&verified, common.json)
        }
        AuditTask::List { database, after, limit } => {
            let show = |record: &AuditRecord| show(record, common.json);
            if !database.is_given() {
                return remote::audit::list(common, *after, *limit, show);
            }
            let store = database.open_existing()?;
            let records = store.read(|tx| tx.audit_records(*after, *limit))?;
            records.iter().try_for_each(show)
        }
    }
}

fn show(record: &AuditRecord, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&json!(record));
    }
    output::line(&format!(
        "{:>6}  {}  {} from {}: {} {}",
        record.seq,
        moment(record.at),
        output::shown(&record.actor),
        output::shown(&record.origin),
        output::shown(&record.action),
        output::shown(&record.detail)
    ))
}

fn moment(at: Millis) -> String {
    let at = prost_types::Timestamp { seconds: at.div_euclid(1000), nanos: 0 };
    output::time(Some(&at)).unwrap_or_default()
}

fn of_store(verified: Verified) -> pb::VerifyAuditResponse {
    match verified {
        Verified::Intact(head) => pb::VerifyAuditResponse {
            intact: true,
            number: head.seq,
            mac: head.mac.to_vec(),
            ..Default::default()
        },
        Verified::Broken { seq, why } => {
            pb::VerifyAuditResponse { number: seq, why: why.into(), ..Default::default() }
        }
    }
}

fn verify(verified: &pb::VerifyAuditResponse, json: bool) -> Result<(), Failure> {
    let pb::VerifyAuditResponse { intact, number, why, mac } = verified;
    let mac = output::hex(mac);
    match (intact, json) {
        (true, true) => output::json(&json!({ "intact": true, "records": number, "mac": mac })),
        (true, false) => {
            output::line(&format!("intact: {number} records, the newest has mac {mac}"))
        }
        (false, _) => {
            if json {
                output::json(&json!({ "intact": false, "record": number, "why": why }))?;
            }
            Err(Failure::new(format!("audit record {number}: {}", output::shown(why)))
                .hint("compare with a backup; records before this one are as they were written"))
        }
    }
}

/// Changes what the data key is sealed under.
pub fn rekey(arguments: &RekeyArguments) -> Result<(), Failure> {
    let store = arguments.database.open_existing()?;
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
