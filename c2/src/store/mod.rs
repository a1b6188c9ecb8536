// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where everything that matters is: clients, topics, what each client should hold, sealed keys,
//! audit records. SQLite in one file, SQLite in memory for tests, or PostgreSQL.

mod audit;
mod clients;
mod database;
mod holdings;
mod keys;
mod lists;
mod postgres;
mod sqlite;
mod topics;
mod vault;

use std::sync::{Mutex, MutexGuard, PoisonError};

use e4::Mode;
use zeroize::Zeroizing;

use crate::domain::{Error, Millis, RESET_PEERS, RESET_TOPICS, Result};
use database::params;
pub use database::{Connection, Database, Fault, Param, Row, Value};
pub use postgres::Postgres;
pub use sqlite::Sqlite;
pub use vault::{Unlock, Vault};

pub use audit::{AuditHead, Verified};
pub use holdings::{Answered, Fanout, Handed, Sent};
pub use keys::{C2Key, ClientKey, KeyOfClient};

/// The schema, version by version. What was released is never edited.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// How often a transaction is tried when others are in its way.
const TRIES: usize = 8;

/// An open database.
pub struct Store {
    database: Box<dyn Database>,
    vault: Vault,
    audit_key: Zeroizing<[u8; 32]>,
    mode: Mode,
    writer: Mutex<Option<Box<dyn Connection>>>,
    readers: Mutex<Vec<Box<dyn Connection>>>,
}

impl Store {
    /// Opens a database; one that is empty is set up for a mode first.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a wrong passphrase or key file, or a mode that is not that of the
    /// database; [`Error::Store`] for what the database says, and for a schema of a newer version.
    pub fn open(
        database: Box<dyn Database>,
        unlock: &Unlock,
        mode: Option<Mode>,
        now: Millis,
    ) -> Result<Self> {
        let mut connection = database.connect()?;
        migrate(&mut *connection, now)?;
        connection.begin(true)?;
        let opened = set_up(&mut *connection, unlock, mode, now);
        let (vault, mode) = match opened {
            Ok(opened) => {
                connection.commit()?;
                opened
            }
            Err(error) => {
                connection.rollback();
                return Err(error);
            }
        };
        Ok(Self {
            audit_key: vault.audit_key(),
            database,
            vault,
            mode,
            writer: Mutex::new(Some(connection)),
            readers: Mutex::default(),
        })
    }

    /// The mode for which the database was set up.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A name for messages, without secrets.
    pub fn describe(&self) -> String {
        self.database.describe()
    }

    /// Runs a transaction that changes something: all of it happens or nothing. It is tried again
    /// when others were in its way, so `work` may run more than once.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Store`].
    pub fn write<T>(&self, mut work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        let mut place = lock(&self.writer);
        let mut last = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(std::time::Duration::from_millis(5 << attempt));
            }
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => match self.database.connect() {
                    Ok(connection) => connection,
                    Err(fault) => {
                        last = Some(fault);
                        continue;
                    }
                },
            };
            match self.attempt(&mut *connection, true, &mut work) {
                Ok(done) => {
                    *place = Some(connection);
                    return done;
                }
                // The connection may be what is broken.
                Err(fault) => last = Some(fault),
            }
        }
        Err(last.map_or_else(|| Error::Store("no attempt".into()), Error::from))
    }

    /// Runs a transaction that reads one state of everything.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Store`].
    pub fn read<T>(&self, mut work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        if self.database.readers() == 0 {
            return self.write(work);
        }
        let mut last = None;
        for _ in 0..TRIES {
            let pooled = lock(&self.readers).pop();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => self.database.connect()?,
            };
            match self.attempt(&mut *connection, false, &mut work) {
                Ok(done) => {
                    let mut pool = lock(&self.readers);
                    if pool.len() < self.database.readers() {
                        pool.push(connection);
                    }
                    return done;
                }
                Err(fault) => last = Some(fault),
            }
        }
        Err(last.map_or_else(|| Error::Store("no attempt".into()), Error::from))
    }

    /// One attempt; the fault is one that may be over the next time.
    fn attempt<T>(
        &self,
        connection: &mut dyn Connection,
        write: bool,
        work: &mut impl FnMut(&mut Tx) -> Result<T>,
    ) -> std::result::Result<Result<T>, Fault> {
        match connection.begin(write) {
            Ok(()) => {}
            Err(fault @ Fault::Again(_)) => return Err(fault),
            Err(fault) => return Ok(Err(fault.into())),
        }
        let mut tx = Tx { connection, store: self, write, again: None };
        let done = work(&mut tx);
        let again = tx.again.take();
        if let Some(again) = again {
            connection.rollback();
            return Err(Fault::Again(again));
        }
        if done.is_err() {
            connection.rollback();
            return Ok(done);
        }
        match connection.commit() {
            Ok(()) => Ok(done),
            Err(fault @ Fault::Again(_)) => {
                connection.rollback();
                Err(fault)
            }
            Err(fault) => {
                connection.rollback();
                Ok(Err(fault.into()))
            }
        }
    }

    /// Puts the data key under another passphrase or key file. One row changes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is too short; [`Error::Store`].
    pub fn rekey(&self, unlock: &Unlock) -> Result<()> {
        let stored = self.vault.wrap(unlock)?;
        self.write(|tx| tx.set_meta(META_DATA_KEY, &stored))
    }
}

const META_DATA_KEY: &str = "data key";
const META_MODE: &str = "mode";

fn migrate(connection: &mut dyn Connection, now: Millis) -> Result<()> {
    connection.begin(true)?;
    let done = (|| {
        connection.lock_schema()?;
        connection.script(
            "CREATE TABLE IF NOT EXISTS schema_versions \
             (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)",
        )?;
        let rows = connection.query("SELECT COUNT(*) FROM schema_versions", &[])?;
        let version = rows.first().map_or(Ok(0), |row| row.int(0))?;
        let version = usize::try_from(version).unwrap_or_default();
        if version > MIGRATIONS.len() {
            return Err(Error::Store(format!(
                "its schema has version {version}, and this program knows {} at most: use a \
                 newer one",
                MIGRATIONS.len()
            )));
        }
        for (number, script) in (1i64..).zip(MIGRATIONS).skip(version) {
            connection.script(script)?;
            connection.execute(
                "INSERT INTO schema_versions (version, applied_at) VALUES (?1, ?2)",
                params![number, now],
            )?;
        }
        Ok(())
    })();
    match done {
        Ok(()) => Ok(connection.commit()?),
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

/// Reads what the database was set up with, or sets it up.
fn set_up(
    connection: &mut dyn Connection,
    unlock: &Unlock,
    mode: Option<Mode>,
    now: Millis,
) -> Result<(Vault, Mode)> {
    connection.lock_schema()?;
    if let Some(stored) = meta(connection, META_DATA_KEY)? {
        let vault = Vault::unwrap(&stored, unlock)?;
        let found = match meta(connection, META_MODE)?.as_deref() {
            Some([1]) => Mode::Symmetric,
            Some([2]) => Mode::PublicKey,
            _ => return Err(Error::Store("the stored mode is not understood".into())),
        };
        if mode.is_some_and(|mode| mode != found) {
            return Err(Error::invalid("mode", "this database was set up for the other mode"));
        }
        return Ok((vault, found));
    }
    let mode = mode.unwrap_or(Mode::Symmetric);
    let (vault, stored) = Vault::create(unlock)?;
    let number = [match mode {
        Mode::Symmetric => 1u8,
        Mode::PublicKey => 2,
    }];
    for (name, value) in [(META_DATA_KEY, stored.as_slice()), (META_MODE, &number)] {
        connection
            .execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", params![name, value])?;
    }
    audit::begin(connection)?;
    for counter in ["clients", "topics", "fanouts"] {
        connection.execute("INSERT INTO counters (name, last) VALUES (?1, 0)", params![counter])?;
    }
    if mode == Mode::PublicKey {
        keys::insert_c2_key(connection, &vault, 1, now)?;
    }
    Ok((vault, mode))
}

fn meta(connection: &mut dyn Connection, name: &str) -> Result<Option<Vec<u8>>> {
    let rows = connection.query("SELECT value FROM meta WHERE name = ?1", params![name])?;
    rows.first().map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()
}

/// A transaction. Its methods stand in the files of their nouns.
pub struct Tx<'a> {
    connection: &'a mut dyn Connection,
    store: &'a Store,
    /// Whether it may change anything.
    write: bool,
    /// Why it has to be tried again.
    again: Option<String>,
}

impl Tx<'_> {
    fn execute(&mut self, sql: &'static str, params: &[Param]) -> Result<u64> {
        let done = self.connection.execute(sql, params);
        self.note(done)
    }

    fn query(&mut self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>> {
        let done = self.connection.query(sql, params);
        self.note(done)
    }

    fn query_one(&mut self, sql: &'static str, params: &[Param]) -> Result<Option<Row>> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    fn count(&mut self, sql: &'static str, params: &[Param]) -> Result<i64> {
        self.query_one(sql, params)?.map_or(Ok(0), |row| row.int(0))
    }

    fn note<T>(&mut self, done: std::result::Result<T, Fault>) -> Result<T> {
        if let Err(Fault::Again(text)) = &done {
            self.again = Some(text.clone());
        }
        done.map_err(Error::from)
    }

    /// The mode for which the database was set up.
    pub fn mode(&self) -> Mode {
        self.store.mode
    }

    /// Everything that a client of the mode can be told to forget.
    pub fn everything(&self) -> i64 {
        match self.store.mode {
            Mode::Symmetric => RESET_TOPICS,
            Mode::PublicKey => RESET_TOPICS | RESET_PEERS,
        }
    }

    fn vault(&self) -> &Vault {
        &self.store.vault
    }

    /// The next number of a kind, never given again.
    fn next(&mut self, counter: &str) -> Result<i64> {
        let row = self.query_one(
            "UPDATE counters SET last = last + 1 WHERE name = ?1 RETURNING last",
            params![counter],
        )?;
        row.map_or_else(|| Err(Error::Store(format!("no counter {counter}"))), |row| row.int(0))
    }

    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.execute("UPDATE meta SET value = ?2 WHERE name = ?1", params![name, value])?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
