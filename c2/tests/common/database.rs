// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Databases past the code under test: what is in them, how much is written.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use e4::Mode;
use e4_c2::domain::{Caller, Clock, Credential, Millis, Operation, Outcome, Result};
use e4_c2::service::Service;
use e4_c2::store::{Connection, Database, Fault, Param, Row, Store};

use super::fleet::unlock;

/// Where the clock of tests starts, in milliseconds.
pub const NOON: Millis = 1_800_000_000_000;

/// A clock that a test moves.
#[derive(Debug)]
pub struct Hands(AtomicI64);

impl Hands {
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self(now.into()))
    }

    pub fn turn(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

pub fn store(database: Box<dyn Database>, mode: Mode) -> Store {
    Store::open(database, &unlock(), Some(mode), NOON).unwrap()
}

/// The operations on a database, at noon.
pub fn service(database: Box<dyn Database>, mode: Mode) -> Service {
    Service::new(Arc::new(store(database, mode)), Hands::at(NOON))
}

pub fn ann() -> Caller {
    Caller::new("ann", "test")
}

pub fn attempt(service: &Service, operation: Operation) -> Result<Outcome> {
    service.apply(&ann(), &operation)
}

pub fn new_client(name: &str) -> Operation {
    Operation::NewClient { client: name.into(), credential: Credential::Random }
}

pub fn new_topic(topic: &str) -> Operation {
    Operation::NewTopic { topic: topic.into() }
}

pub fn join(topic: &str, client: &str) -> Operation {
    Operation::NewTopicClient { topic: topic.into(), client: client.into() }
}

pub fn leave(topic: &str, client: &str) -> Operation {
    Operation::RemoveTopicClient { topic: topic.into(), client: client.into() }
}

const TABLES: [&str; 18] = [
    "SELECT name, value FROM meta ORDER BY name",
    "SELECT name, last FROM counters ORDER BY name",
    "SELECT id, e4_id, name, removed, made_at, key_epoch, key_confirmed, key_handed, key_tries, \
     c2_confirmed, c2_handed, c2_tries, answers, answered, answer_siv, seen_at, stamp, reset, \
     drift, due_at, trouble, joins, leaves FROM clients ORDER BY id",
    "SELECT client, epoch, public, sealed, made_at FROM client_keys ORDER BY client, epoch",
    "SELECT epoch, public, sealed, made_at FROM c2_keys ORDER BY epoch",
    "SELECT id, hash, name, removed, made_at, epoch, stage, stage_until, joins, leaves FROM topics \
     ORDER BY id",
    "SELECT topic, epoch, sealed, print, made_at FROM topic_keys ORDER BY topic, epoch",
    "SELECT client, kind, subject, wish, sent, handed, confirmed, failed, siv, stamp, changed_at, \
     tries, receives FROM holdings ORDER BY client, kind, subject",
    "SELECT target, source FROM links ORDER BY target, source",
    "SELECT id, kind, subject, done_to FROM fanouts ORDER BY id",
    "SELECT seq, at, actor, origin, action, detail, mac FROM audit ORDER BY seq",
    "SELECT id, name, kind, hash, role, messages, made_at, expires_at FROM tokens ORDER BY id",
    "SELECT id, name, actor, digest, results, made_at FROM batches ORDER BY id",
    "SELECT kind, subject, name, value FROM labels ORDER BY kind, subject, name",
    "SELECT campaign, position, kind, subject, canary, state, epoch, begun_at, ended_at, why \
     FROM campaign_items ORDER BY campaign, position",
    "SELECT id, name, spec, paused, made_at, next_at, last_at, runs FROM policies ORDER BY id",
    "SELECT policy, kind, subject, joins, leaves FROM policy_marks ORDER BY policy, kind, subject",
    "SELECT id, policy, name, spec, state, why, made_at, resumed_at, ended_at, next_at FROM \
     campaigns \
     ORDER BY id",
];

/// Every row of every table.
pub fn everything(database: &dyn Database) -> Vec<Row> {
    let mut connection = database.connect().unwrap();
    TABLES.iter().flat_map(|sql| connection.query(sql, &[]).unwrap()).collect()
}

/// The same as text, to be compared.
pub fn dump(database: &dyn Database) -> Vec<String> {
    everything(database).iter().map(|row| format!("{row:?}")).collect()
}

/// Does something behind the back of the code under test.
pub fn meddle(database: &dyn Database, script: &str) {
    database.connect().unwrap().script(script).unwrap();
}

/// A database that counts the rows that are written, and breaks where it is told to.
pub struct Watched {
    pub inner: Box<dyn Database>,
    pub watch: Arc<Watch>,
}

/// What [`Watched`] saw, and where it breaks next.
#[derive(Debug, Default)]
pub struct Watch {
    pub written: AtomicU64,
    pub connections: AtomicU64,
    /// So many connections, transactions, commits fail, the last before or after it is done.
    pub no_connect: AtomicU64,
    pub no_begin: AtomicU64,
    pub no_commit: AtomicU64,
    pub no_word_of_commit: AtomicU64,
}

impl Watch {
    fn fails(left: &AtomicU64) -> std::result::Result<(), Fault> {
        let less = |left: u64| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Err(Fault::Again("the connection broke".into())),
            Err(_) => Ok(()),
        }
    }
}

struct WatchedConnection {
    inner: Box<dyn Connection>,
    watch: Arc<Watch>,
}

impl Database for Watched {
    fn connect(&self) -> std::result::Result<Box<dyn Connection>, Fault> {
        Watch::fails(&self.watch.no_connect)?;
        self.watch.connections.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.connect()?;
        Ok(Box::new(WatchedConnection { inner, watch: self.watch.clone() }))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn readers(&self) -> usize {
        self.inner.readers()
    }
}

impl Connection for WatchedConnection {
    fn script(&mut self, sql: &str) -> std::result::Result<(), Fault> {
        self.inner.script(sql)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param]) -> std::result::Result<u64, Fault> {
        let rows = self.inner.execute(sql, params)?;
        self.watch.written.fetch_add(rows, Ordering::SeqCst);
        Ok(rows)
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param],
    ) -> std::result::Result<Vec<Row>, Fault> {
        let rows = self.inner.query(sql, params)?;
        if !sql.starts_with("SELECT") {
            self.watch.written.fetch_add(rows.len() as u64, Ordering::SeqCst);
        }
        Ok(rows)
    }

    fn lock_schema(&mut self) -> std::result::Result<(), Fault> {
        self.inner.lock_schema()
    }

    fn begin(&mut self, write: bool) -> std::result::Result<(), Fault> {
        Watch::fails(&self.watch.no_begin)?;
        self.inner.begin(write)
    }

    fn commit(&mut self) -> std::result::Result<(), Fault> {
        Watch::fails(&self.watch.no_commit)?;
        self.inner.commit()?;
        Watch::fails(&self.watch.no_word_of_commit)
    }

    fn rollback(&mut self) {
        self.inner.rollback();
    }
}
