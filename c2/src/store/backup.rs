// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backup and restore: one state of a whole database, copied row by row into an SQLite file, and
//! from such a file into an empty database of either kind. Keys stay sealed on the way.

use std::path::Path;
use std::sync::LazyLock;

use rusqlite::OpenFlags;
use serde_json::json;
use tempfile::NamedTempFile;

use super::database::{Connection, Database, Param, Row, Value};
use super::{Failure, Store, Tx, migrate, once, tried};
use super::{Sqlite, Unlock, Verified};
use crate::domain::{Caller, Error, Millis, Result};

/// A table: its columns, the first of which are its key.
struct Table {
    name: &'static str,
    /// How many columns are the key.
    key: usize,
    columns: &'static [&'static str],
    /// Rows that are read at once: some may be large.
    page: i64,
}

/// Every table of the newest schema but that of its versions.
const TABLES: [Table; 18] = [
    Table { name: "meta", key: 1, columns: &["name", "value"], page: 100 },
    Table { name: "counters", key: 1, columns: &["name", "last"], page: 100 },
    Table {
        name: "clients",
        key: 1,

        columns: &[
            "id",
            "e4_id",
            "name",
            "removed",
            "made_at",
            "key_epoch",
            "key_confirmed",
            "key_handed",
            "key_tries",
            "c2_confirmed",
            "c2_handed",
            "c2_tries",
            "answers",
            "answered",
            "answer_siv",
            "seen_at",
            "stamp",
            "reset",
            "drift",
            "due_at",
            "trouble",
            "joins",
            "leaves",
        ],
        page: 1000,
    },
    Table {
        name: "client_keys",
        key: 2,

        columns: &["client", "epoch", "public", "sealed", "made_at"],
        page: 1000,
    },
    Table {
        name: "c2_keys",
        key: 1,

        columns: &["epoch", "public", "sealed", "made_at"],
        page: 1000,
    },
    Table {
        name: "topics",
        key: 1,

        columns: &[
            "id",
            "hash",
            "name",
            "removed",
            "made_at",
            "epoch",
            "stage",
            "stage_until",
            "joins",
            "leaves",
        ],
        page: 200,
    },
    Table {
        name: "topic_keys",
        key: 2,

        columns: &["topic", "epoch", "sealed", "print", "made_at"],
        page: 1000,
    },
    Table {
        name: "holdings",
        key: 3,

        columns: &[
            "client",
            "kind",
            "subject",
            "wish",
            "sent",
            "handed",
            "confirmed",
            "failed",
            "siv",
            "stamp",
            "changed_at",
            "tries",
            "receives",
        ],
        page: 2000,
    },
    Table { name: "links", key: 2, columns: &["target", "source"], page: 2000 },
    Table { name: "fanouts", key: 1, columns: &["id", "kind", "subject", "done_to"], page: 1000 },
    Table {
        name: "audit",
        key: 1,

        columns: &["seq", "at", "actor", "origin", "action", "detail", "mac"],
        page: 500,
    },
    Table {
        name: "tokens",
        key: 1,

        columns: &["id", "name", "kind", "hash", "role", "messages", "made_at", "expires_at"],
        page: 1000,
    },
    Table {
        name: "batches",
        key: 1,

        columns: &["id", "name", "actor", "digest", "results", "made_at"],
        page: 4,
    },
    Table { name: "labels", key: 3, columns: &["kind", "subject", "name", "value"], page: 1000 },
    Table {
        name: "policies",
        key: 1,

        columns: &["id", "name", "spec", "paused", "made_at", "next_at", "last_at", "runs"],
        page: 100,
    },
    Table {
        name: "policy_marks",
        key: 3,

        columns: &["policy", "kind", "subject", "joins", "leaves"],
        page: 2000,
    },
    Table {
        name: "campaigns",
        key: 1,

        columns: &[
            "id",
            "policy",
            "name",
            "spec",
            "state",
            "why",
            "made_at",
            "resumed_at",
            "ended_at",
            "next_at",
        ],
        page: 100,
    },
    Table {
        name: "campaign_items",
        key: 2,

        columns: &[
            "campaign", "position", "kind", "subject", "canary", "state", "epoch", "begun_at",
            "ended_at", "why",
        ],
        page: 2000,
    },
];

/// Rows that are written with one statement.
const TOGETHER: usize = 50;

/// The statements of a table.
struct Words {
    table: &'static Table,
    first: String,
    next: String,
    one: String,
    many: String,
    clear: String,
}

/// Connections keep statements by their text for as long as they live.
static WORDS: LazyLock<Vec<Words>> = LazyLock::new(|| TABLES.iter().map(Words::new).collect());

impl Words {
    fn new(table: &'static Table) -> Self {
        let columns = table.columns.join(", ");
        let key = table.columns.iter().take(table.key).copied().collect::<Vec<_>>().join(", ");
        let places = |from: usize, count: usize| {
            let places: Vec<String> = (from..from + count).map(|at| format!("?{at}")).collect();
            format!("({})", places.join(", "))
        };
        let (name, width) = (table.name, table.columns.len());
        let select = format!("SELECT {columns} FROM {name}");
        let limit = table.key + 1;
        let insert = |rows: usize| {
            let rows: Vec<String> = (0..rows).map(|row| places(row * width + 1, width)).collect();
            format!("INSERT INTO {name} ({columns}) VALUES {}", rows.join(", "))
        };
        Self {
            table,
            first: format!("{select} ORDER BY {key} LIMIT ?1"),
            next: format!(
                "{select} WHERE ({key}) > {} ORDER BY {key} LIMIT ?{limit}",
                places(1, table.key)
            ),
            one: insert(1),
            many: insert(TOGETHER),
            clear: format!("DELETE FROM {name}"),
        }
    }
}

fn param(value: &Value) -> Param<'_> {
    match value {
        Value::Null => Param::Null,
        Value::Int(value) => Param::Int(*value),
        Value::Text(value) => Param::Text(value),
        Value::Blob(value) => Param::Blob(value),
    }
}

type Done<T> = std::result::Result<T, Failure>;

/// Copies every row. The tables of the target are there and hold nothing that matters.
fn copy(from: &mut dyn Connection, to: &mut dyn Connection) -> Done<()> {
    for words in WORDS.iter() {
        to.execute(&words.clear, &[])?;
        let limit = Param::Int(words.table.page);
        let mut page = from.query(&words.first, &[limit])?;
        while let Some(last) = page.last() {
            for rows in page.chunks(TOGETHER) {
                insert(to, words, rows)?;
            }
            let mut after: Vec<Param> = last.0.iter().take(words.table.key).map(param).collect();
            after.push(limit);
            page = from.query(&words.next, &after)?;
        }
    }
    Ok(())
}

fn insert(to: &mut dyn Connection, words: &'static Words, rows: &[Row]) -> Done<()> {
    let params = |rows: &[Row]| -> Vec<Value> {
        rows.iter().flat_map(|row| row.0.iter().cloned()).collect()
    };
    if rows.len() == TOGETHER {
        let values = params(rows);
        to.execute(&words.many, &values.iter().map(param).collect::<Vec<_>>())?;
        return Ok(());
    }
    for row in rows {
        to.execute(&words.one, &row.0.iter().map(param).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn file_error(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(Error::Store(format!("backup: {error}")))
}

impl Store {
    /// Copies one state of everything into a file of its own, readable by its owner alone, while
    /// others go on working; the file is gone when what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn backup(&self) -> Result<NamedTempFile> {
        self.read(|tx| Ok(backup(tx.connection)?))
    }
}

fn backup(from: &mut dyn Connection) -> Done<NamedTempFile> {
    // A temporary file is made with mode 0600.
    let file = tempfile::Builder::new().prefix("e4-backup-").tempfile().map_err(file_error)?;
    let mut to = Sqlite::file(file.path())?.connect()?;
    // What ends in the middle is thrown away as a whole: no journal, one file.
    to.script("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    once(&mut *to, |to| {
        migrate(to, 0)?;
        copy(from, to)
    })?;
    drop(to);
    file.as_file().sync_all().map_err(file_error)?;
    Ok(file)
}

/// What a restore brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Clients.
    pub clients: i64,
    /// Topics.
    pub topics: i64,
    /// Audit records of the backup.
    pub records: i64,
}

/// Brings a backup into an empty database of either kind. Every client is told everything again
/// by the server that is started on it.
///
/// # Errors
/// [`Error::Invalid`] for a file that is no backup, a database that is not empty, another
/// passphrase or key file, audit records that were meddled with; [`Error::Store`]. Then the
/// database is as empty as before.
pub fn restore(
    backup: &Path,
    database: &dyn Database,
    unlock: &Unlock,
    who: &Caller,
    now: Millis,
) -> Result<Restored> {
    // The backup stays as it is, whatever its schema: a copy is opened.
    let copied = copy_file(backup)?;
    let from = Store::open(Box::new(Sqlite::file(copied.path())?), unlock, None, now)?;
    if let Verified::Broken { seq, why } = from.verify_audit()? {
        return Err(Error::invalid("backup", format!("audit record {seq}: {why}")));
    }
    tried(|| {
        let mut source = Sqlite::file(copied.path())?.connect()?;
        let mut to = database.connect()?;
        once(&mut *to, |to| {
            migrate(to, now)?;
            let rows = to.query("SELECT name FROM meta LIMIT 1", &[])?;
            if !rows.is_empty() {
                let why = "is not empty: nothing of it was touched";
                return Err(Error::invalid("database", why).into());
            }
            copy(&mut *source, to)?;
            let mut tx = Tx::new(to, &from, true);
            match restored(&mut tx, who, now) {
                Ok(restored) => Ok(restored),
                Err(error) => Err(tx.give_up(error)),
            }
        })
    })
}

/// A copy that may be changed.
fn copy_file(backup: &Path) -> Result<NamedTempFile> {
    let place = backup.display();
    let fail = |error: std::io::Error| Error::invalid("backup", format!("{place}: {error}"));
    let none = |why: String| Error::invalid("backup", format!("{place} is no backup of C2: {why}"));
    let copied = tempfile::Builder::new().prefix("e4-restore-").tempfile().map_err(fail)?;
    let mut from = std::fs::File::open(backup).map_err(fail)?;
    std::io::copy(&mut from, &mut copied.as_file()).map_err(fail)?;
    let looked: rusqlite::Result<(String, i64)> = (|| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = rusqlite::Connection::open_with_flags(copied.path(), flags)?;
        let whole: String = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let ours = "SELECT COUNT(*) FROM meta WHERE name IN ('data key', 'mode', 'audit head') \
                    AND EXISTS (SELECT version FROM schema_versions)";
        let ours: i64 = file.query_row(ours, [], |row| row.get(0))?;
        Ok((whole, ours))
    })();
    match looked {
        Ok((whole, 3)) if whole == "ok" => Ok(copied),
        Ok((whole, _)) if whole != "ok" => Err(none(whole)),
        Ok(_) => Err(none("it was never set up".into())),
        Err(error) => Err(none(error.to_string())),
    }
}

/// What was done since the backup nobody knows: everything is sent again, and who never says what
/// it holds is told to forget everything first.
fn restored(tx: &mut Tx, who: &Caller, now: Millis) -> Result<Restored> {
    let records = tx.lock_audit()?.seq;
    tx.tell_everybody_again(now)?;
    tx.audit(now, who, "restore", &json!({ "records": records }))?;
    tx.finish()?;
    Ok(Restored { clients: tx.count_clients()?, topics: tx.count_topics()?, records })
}
