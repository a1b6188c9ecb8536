// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where everything that matters is: clients, topics, what each client should hold, sealed keys,
//! audit records. SQLite in one file, SQLite in memory for tests, or PostgreSQL.

mod audit;
mod backup;
mod batches;
mod campaigns;
mod clients;
mod cookies;
mod counts;
mod database;
mod holdings;
mod keys;
mod labels;
mod lists;
mod maps;
mod policies;
mod postgres;
mod search;
mod sqlite;
mod stages;
mod tally;
mod times;
mod tokens;
mod topics;
mod vault;
mod views;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use e4::Mode;
use tracing::trace_span;
use zeroize::Zeroizing;

use crate::domain::{Caller, Error, Millis, RESET_PEERS, RESET_TOPICS, Result};
use crate::timing::Timing;
use database::params;
pub use database::{Connection, Database, Fault, Param, Row, Value};
pub use postgres::Postgres;
pub use sqlite::Sqlite;
pub use vault::{Unlock, Vault};

pub use audit::{AuditHead, Verified};
pub use backup::{Restored, restore};
pub use batches::KnownBatch;
pub use campaigns::{Begun, CampaignRow};
pub use cookies::Cookie;
pub use holdings::{Answered, Fanout, Handed, Sent};
pub use keys::{C2Key, ClientKey, KeyOfClient};
pub use labels::Subject;
pub use stages::Staged;
pub use tally::{Tally, TopicTally};
pub use views::{Beside, Membership, Sight};

/// The schema, version by version. What was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
];

/// How often a transaction is tried when others are in its way.
const TRIES: u32 = 10;

/// An open database.
pub struct Store {
    database: Box<dyn Database>,
    vault: Vault,
    audit_key: Zeroizing<[u8; 32]>,
    mode: Mode,
    writer: Mutex<Option<Box<dyn Connection>>>,
    readers: Mutex<Vec<Box<dyn Connection>>>,
    figures: StoreFigures,
}

/// Numbers since the start.
#[derive(Debug, Default)]
pub struct StoreFigures {
    /// How long transactions that write took, waiting for others included.
    pub writes: Timing,
    /// How long transactions that read took.
    pub reads: Timing,
    /// Transactions that the database did not do.
    pub failures: AtomicU64,
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
        let (connection, (vault, mode)) = tried(|| {
            let mut connection = database.connect()?;
            let opened = once(&mut *connection, |connection| {
                migrate(connection, now)?;
                set_up(connection, unlock, mode, now)
            })?;
            Ok((connection, opened))
        })?;
        Ok(Self {
            audit_key: vault.audit_key(),
            database,
            vault,
            mode,
            writer: Mutex::new(Some(connection)),
            readers: Mutex::default(),
            figures: StoreFigures::default(),
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
    pub fn write<T>(&self, work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        let _span = trace_span!("database.write").entered();
        self.timed(&self.figures.writes, || self.write_once(work))
    }

    /// Numbers since the start.
    pub fn figures(&self) -> &StoreFigures {
        &self.figures
    }

    fn timed<T>(&self, timing: &Timing, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let done = work();
        timing.observe(begun.elapsed());
        if matches!(done, Err(Error::Store(_))) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    fn write_once<T>(&self, mut work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        let mut place = lock(&self.writer);
        let mut unsure = None;
        tried(|| {
            // After a fault the connection is not used again: it may be what is broken.
            let mut connection = match place.take() {
                Some(connection) => connection,
                None => self.database.connect()?,
            };
            let done = self.attempt(&mut *connection, true, &mut work, &mut unsure);
            if !matches!(done, Err(Failure::Fault(_))) {
                *place = Some(connection);
            }
            done
        })
        .map_err(|error| match error {
            Error::Store(text) if unsure.is_some() => {
                Error::Store(format!("{text}; it is not known whether the change was made"))
            }
            error => error,
        })
    }

    /// Runs a transaction that reads one state of everything.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Store`].
    pub fn read<T>(&self, work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        let _span = trace_span!("database.read").entered();
        self.timed(&self.figures.reads, || self.read_once(work))
    }

    fn read_once<T>(&self, mut work: impl FnMut(&mut Tx) -> Result<T>) -> Result<T> {
        if self.database.readers() == 0 {
            return self.write_once(work);
        }
        tried(|| {
            let pooled = lock(&self.readers).pop();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => self.database.connect()?,
            };
            let done = self.attempt(&mut *connection, false, &mut work, &mut None);
            let mut pool = lock(&self.readers);
            match &done {
                // Where one connection broke, the others did as well.
                Err(Failure::Fault(_)) => pool.clear(),
                _ if pool.len() < self.database.readers() => pool.push(connection),
                _ => {}
            }
            done
        })
    }

    /// One attempt. `unsure` is what an attempt before may have made last, and its result.
    fn attempt<T>(
        &self,
        connection: &mut dyn Connection,
        write: bool,
        work: &mut impl FnMut(&mut Tx) -> Result<T>,
        unsure: &mut Option<(AuditHead, T)>,
    ) -> std::result::Result<T, Failure> {
        connection.begin(write)?;
        let mut tx = Tx::new(connection, self, write);
        if let Some((head, done)) = unsure.take() {
            match tx.has_record(&head) {
                Ok(true) => {
                    tx.connection.rollback();
                    return Ok(done);
                }
                Ok(false) => {}
                Err(error) => {
                    *unsure = Some((head, done));
                    return Err(tx.give_up(error));
                }
            }
        }
        let done = match work(&mut tx) {
            // PostgreSQL undoes a transaction in which a statement failed, whatever comes after.
            Ok(done) if tx.fault.is_none() => done,
            Ok(_) => return Err(tx.give_up(Error::Store("a statement failed".into()))),
            Err(error) => return Err(tx.give_up(error)),
        };
        if let Err(error) = tx.finish() {
            return Err(tx.give_up(error));
        }
        let audited = tx.audited.take();
        if let Err(fault) = connection.commit() {
            connection.rollback();
            // The connection may have broken after the commit: the next attempt looks.
            *unsure = audited.map(|head| (head, done));
            return Err(Failure::Fault(fault));
        }
        Ok(done)
    }

    /// Puts the data key under another passphrase or key file: one row, and an audit record.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is too short; [`Error::Store`].
    pub fn rekey(&self, unlock: &Unlock, who: &Caller, now: Millis) -> Result<()> {
        let stored = self.vault.wrap(unlock)?;
        let detail = serde_json::json!({ "unlock": format!("{unlock:?}") });
        self.write(|tx| {
            tx.lock_audit()?;
            tx.set_meta(META_DATA_KEY, &stored)?;
            tx.audit(now, who, "rekey", &detail)
        })
    }
}

const META_DATA_KEY: &str = "data key";
const META_MODE: &str = "mode";

/// Why an attempt ended without a result.
enum Failure {
    /// The database could not; the connection is not to be used again.
    Fault(Fault),
    /// The work was refused.
    Refused(Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => fault.into(),
            Failure::Refused(error) => error,
        }
    }
}

/// Tries until it works, or will not the next time either.
fn tried<T>(mut attempt: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
    let mut wait = Duration::from_millis(5);
    for _ in 1..TRIES {
        match attempt() {
            Err(Failure::Fault(Fault::Again(_))) => std::thread::sleep(wait),
            done => return done.map_err(Error::from),
        }
        wait *= 2;
    }
    attempt().map_err(Error::from)
}

/// Runs a transaction that writes.
fn once<T>(
    connection: &mut dyn Connection,
    work: impl FnOnce(&mut dyn Connection) -> std::result::Result<T, Failure>,
) -> std::result::Result<T, Failure> {
    connection.begin(true)?;
    let done = work(connection).and_then(|done| {
        connection.commit()?;
        Ok(done)
    });
    if done.is_err() {
        connection.rollback();
    }
    done
}

/// Brings the schema to the newest version.
fn migrate(connection: &mut dyn Connection, now: Millis) -> std::result::Result<(), Failure> {
    connection.lock_schema()?;
    connection.script(
        "CREATE TABLE IF NOT EXISTS schema_versions \
         (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)",
    )?;
    let rows = connection.query("SELECT COALESCE(MAX(version), 0) FROM schema_versions", &[])?;
    let version = rows.first().map_or(Ok(0), |row| row.int(0))?;
    let version = usize::try_from(version).unwrap_or_default();
    if version > MIGRATIONS.len() {
        return Err(Failure::Refused(Error::Store(format!(
            "its schema has version {version}, and this program knows {} at most: use a newer one",
            MIGRATIONS.len()
        ))));
    }
    for (number, script) in (1i64..).zip(MIGRATIONS).skip(version) {
        connection.script(script)?;
        connection.execute(
            "INSERT INTO schema_versions (version, applied_at) VALUES (?1, ?2)",
            params![number, now],
        )?;
    }
    Ok(())
}

/// Reads what the database was set up with, or sets it up.
fn set_up(
    connection: &mut dyn Connection,
    unlock: &Unlock,
    mode: Option<Mode>,
    now: Millis,
) -> std::result::Result<(Vault, Mode), Failure> {
    if let Some(stored) = meta(connection, META_DATA_KEY)? {
        let vault = Vault::unwrap(&stored, unlock)?;
        let found = match meta(connection, META_MODE)?.as_deref() {
            Some([1]) => Mode::Symmetric,
            Some([2]) => Mode::PublicKey,
            _ => return Err(Error::Store("the stored mode is not understood".into()).into()),
        };
        if mode.is_some_and(|mode| mode != found) {
            let why = "this database was set up for the other mode";
            return Err(Error::invalid("mode", why).into());
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
    audit::begin(connection, &vault.audit_key())?;
    for counter in ["clients", "topics", "fanouts"] {
        connection.execute("INSERT INTO counters (name, last) VALUES (?1, 0)", params![counter])?;
    }
    if mode == Mode::PublicKey {
        keys::insert_c2_key(connection, &vault, 1, now)?;
    }
    Ok((vault, mode))
}

fn meta(
    connection: &mut dyn Connection,
    name: &str,
) -> std::result::Result<Option<Vec<u8>>, Failure> {
    let rows = connection.query("SELECT value FROM meta WHERE name = ?1", params![name])?;
    Ok(rows.first().map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()?)
}

/// A transaction. Its methods stand in the files of their nouns.
pub struct Tx<'a> {
    connection: &'a mut dyn Connection,
    store: &'a Store,
    /// Whether it may write.
    write: bool,
    /// What the database said to a statement that failed.
    fault: Option<Fault>,
    /// The newest audit record of this transaction.
    audited: Option<AuditHead>,
    /// The newest numbers of this transaction.
    counted: Vec<(&'static str, i64)>,
    /// Who joined and left what, by the kind and row of either side.
    moves: BTreeMap<(i64, i64), (i64, i64)>,
}

impl<'a> Tx<'a> {
    fn new(connection: &'a mut dyn Connection, store: &'a Store, write: bool) -> Self {
        Self {
            connection,
            store,
            write,
            fault: None,
            audited: None,
            counted: Vec::new(),
            moves: BTreeMap::new(),
        }
    }

    /// Stores what is stored once a transaction.
    fn finish(&mut self) -> Result<()> {
        self.end_audit()?;
        self.end_moves()?;
        self.end_count()
    }
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
        done.map_err(|fault| {
            let error = Error::Store(fault.to_string());
            self.fault.get_or_insert(fault);
            error
        })
    }

    /// Makes everything undone.
    fn give_up(&mut self, error: Error) -> Failure {
        self.connection.rollback();
        self.fault.take().map_or(Failure::Refused(error), Failure::Fault)
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
    fn next(&mut self, counter: &'static str) -> Result<i64> {
        if let Some((_, last)) = self.counted.iter_mut().find(|(name, _)| *name == counter) {
            *last += 1;
            return Ok(*last);
        }
        let row = self
            .query_one("SELECT last FROM counters WHERE name = ?1 FOR UPDATE", params![counter])?;
        let row = row.ok_or_else(|| Error::Store(format!("no counter {counter}")))?;
        let last = row.int(0)? + 1;
        self.counted.push((counter, last));
        Ok(last)
    }

    /// Stores the newest numbers: once, however many were given. PostgreSQL would keep every
    /// version of a row that one transaction changes ten thousand times.
    fn end_count(&mut self) -> Result<()> {
        for (counter, last) in std::mem::take(&mut self.counted) {
            self.execute("UPDATE counters SET last = ?2 WHERE name = ?1", params![counter, last])?;
        }
        Ok(())
    }

    /// Notes that a client joined a topic, or left it.
    pub fn moved(&mut self, topic: i64, client: i64, joined: bool) {
        for subject in [(1, topic), (2, client)] {
            let (joins, leaves) = self.moves.entry(subject).or_default();
            *if joined { joins } else { leaves } += 1;
        }
    }

    /// Stores that: once for each, however many moved.
    fn end_moves(&mut self) -> Result<()> {
        for ((kind, subject), (joins, leaves)) in std::mem::take(&mut self.moves) {
            let sql = match kind {
                1 => "UPDATE topics SET joins = joins + ?2, leaves = leaves + ?3 WHERE id = ?1",
                _ => "UPDATE clients SET joins = joins + ?2, leaves = leaves + ?3 WHERE id = ?1",
            };
            self.execute(sql, params![subject, joins, leaves])?;
        }
        Ok(())
    }

    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.execute("UPDATE meta SET value = ?2 WHERE name = ?1", params![name, value])?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
