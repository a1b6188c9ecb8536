// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SQLite: one file, write-ahead log, one writer at a time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ToSql};

use super::database::{Connection, Database, Fault, Param, Row, Value};

/// A database in one file, or in memory. Clones are the same database.
#[derive(Clone)]
pub struct Sqlite {
    place: Place,
}

#[derive(Clone)]
enum Place {
    File(PathBuf),
    /// Of another program: it is only read.
    Foreign(PathBuf),
    /// A name that the connections share, and one connection that keeps it alive.
    Memory {
        name: String,
        _keeper: Arc<Mutex<rusqlite::Connection>>,
    },
}

impl Sqlite {
    /// A file, which is made when it does not exist, readable by its owner alone.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn file(path: &Path) -> Result<Self, Fault> {
        make(path).map_err(|error| Fault::Fatal(format!("{}: {error}", path.display())))?;
        Ok(Self { place: Place::File(path.to_path_buf()) })
    }

    /// A file of another program, of which nothing is changed.
    pub fn read_only(path: &Path) -> Self {
        Self { place: Place::Foreign(path.to_path_buf()) }
    }

    /// A database that is gone when the last clone is dropped, for tests and trials.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn memory() -> Result<Self, Fault> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("file:e4-{number}?mode=memory&cache=shared");
        let keeper = open(Path::new(&name)).map_err(fault)?;
        Ok(Self { place: Place::Memory { name, _keeper: Arc::new(keeper.into()) } })
    }
}

#[cfg(unix)]
fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(|_| ())
}

#[cfg(not(unix))]
fn make(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).open(path).map(|_| ())
}

fn open(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(20))?;
    connection.set_prepared_statement_cache_capacity(200);
    // A commit is on disk before it is reported.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; \
         PRAGMA secure_delete = ON; PRAGMA cache_size = -32768;",
    )?;
    Ok(connection)
}

fn open_foreign(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(20))?;
    Ok(connection)
}

impl Database for Sqlite {
    fn connect(&self) -> Result<Box<dyn Connection>, Fault> {
        let connection = match &self.place {
            Place::File(path) => open(path),
            Place::Foreign(path) => open_foreign(path),
            Place::Memory { name, .. } => open(Path::new(name)),
        };
        Ok(Box::new(Session { connection: connection.map_err(fault)?, words: HashMap::new() }))
    }

    fn describe(&self) -> String {
        match &self.place {
            Place::File(path) | Place::Foreign(path) => path.display().to_string(),
            Place::Memory { .. } => "memory".into(),
        }
    }

    fn readers(&self) -> usize {
        match self.place {
            Place::File(_) | Place::Foreign(_) => 4,
            // Connections to shared memory lock whole tables: one at a time.
            Place::Memory { .. } => 0,
        }
    }
}

struct Session {
    connection: rusqlite::Connection,
    /// Statements without the words that SQLite does not know.
    words: HashMap<&'static str, String>,
}

impl Session {
    fn prepare<'s>(
        connection: &'s rusqlite::Connection,
        words: &mut HashMap<&'static str, String>,
        sql: &'static str,
    ) -> rusqlite::Result<rusqlite::CachedStatement<'s>> {
        let text = words
            .entry(sql)
            .or_insert_with(|| sql.replace(" SKIP LOCKED", "").replace(" FOR UPDATE", ""));
        connection.prepare_cached(text)
    }
}

impl Connection for Session {
    fn script(&mut self, sql: &str) -> Result<(), Fault> {
        self.connection.execute_batch(sql).map_err(fault)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param]) -> Result<u64, Fault> {
        let mut statement = Self::prepare(&self.connection, &mut self.words, sql).map_err(fault)?;
        let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(fault)?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(&mut self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>, Fault> {
        let mut statement = Self::prepare(&self.connection, &mut self.words, sql).map_err(fault)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(fault)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(fault)? {
            let values = (0..columns).map(|column| row.get_ref(column).map(value));
            all.push(Row(values.collect::<Result<_, _>>().map_err(fault)?));
        }
        Ok(all)
    }

    fn lock_schema(&mut self) -> Result<(), Fault> {
        // A transaction that writes has the file for itself.
        Ok(())
    }

    fn begin(&mut self, write: bool) -> Result<(), Fault> {
        self.script(if write { "BEGIN IMMEDIATE" } else { "BEGIN DEFERRED" })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.script("COMMIT")
    }

    fn rollback(&mut self) {
        // It fails only where the transaction has ended by itself.
        let _ = self.connection.execute_batch("ROLLBACK");
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Param::Null => ValueRef::Null,
            Param::Int(value) => ValueRef::Integer(*value),
            Param::Text(value) => ValueRef::Text(value.as_bytes()),
            Param::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Blob(value.to_vec()),
        // The schema has no fractions.
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
    }
}

fn fault(error: rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Fault::Again(error.to_string())
        }
        _ => Fault::Fatal(error.to_string()),
    }
}
