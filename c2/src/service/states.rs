// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far changes have come, and numbers over everything.

use std::fs::File;

use e4::TopicHash;
use serde_json::{Value, json};

use super::{Service, own_key};
use crate::domain::{
    AuditRecord, Caller, Counts, Error, Kind, OperationState, RESET_PEERS, RESET_TOPICS, Result,
    State, Statistics, TopicState,
};
use crate::store::Tx;

impl Service {
    /// The most audit records at once.
    pub const RECORDS_MAX: i64 = 1000;

    /// How far the clients of a topic have come with its newest key.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn topic_state(&self, topic: &str) -> Result<TopicState> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            let clients = tx.topic_progress(topic.row, topic.epoch)?;
            Ok(TopicState { topic: topic.name, epoch: topic.epoch, clients })
        })
    }

    /// How far an operation has come, by the number of its audit record.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn operation(&self, number: i64) -> Result<OperationState> {
        self.store.read(|tx| {
            let record = tx.audit_record(number)?;
            let clients = progress(tx, &record)?;
            Ok(OperationState { record, clients })
        })
    }

    /// Numbers over everything.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn statistics(&self) -> Result<Statistics> {
        self.store.read(|tx| tx.statistics())
    }

    /// Audit records after a number, at most `limit` and [`RECORDS_MAX`](Self::RECORDS_MAX).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn audit_records(&self, after: i64, limit: i64) -> Result<Vec<AuditRecord>> {
        self.store.read(|tx| tx.audit_records(after, limit.clamp(0, Self::RECORDS_MAX)))
    }

    /// A backup: one state of everything in a file, from its beginning, which is gone when it is
    /// closed. Its record is in it. Others go on working.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn backup(&self, who: &Caller) -> Result<File> {
        let now = self.clock.now();
        self.store.write(|tx| tx.audit(now, who, "backup", &json!({})))?;
        let file = self.store.backup()?;
        file.reopen().map_err(|error| Error::Store(format!("backup: {error}")))
    }

    /// Number of the newest audit record, 0 if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn newest_record(&self) -> Result<i64> {
        self.store.read(|tx| tx.newest_record())
    }
}

/// The clients that are told of what a record tells, by how far that has come.
fn progress(tx: &mut Tx, record: &AuditRecord) -> Result<Counts> {
    let detail: Value = serde_json::from_str(&record.detail).unwrap_or_default();
    let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let epoch = detail.get("epoch").and_then(Value::as_i64).unwrap_or_default();
    match record.action.as_str() {
        "new_topic" => match tx.find_topic(text("topic"))? {
            Some(topic) => tx.topic_progress(topic.row, epoch),
            None => removal(tx, text("topic")),
        },
        "remove_topic" => removal(tx, text("topic")),
        "new_topic_client" | "remove_topic_client" => {
            holding(tx, Kind::Topic, text("client"), text("topic"), epoch)
        }
        "send_client_pubkey" | "remove_client_pubkey" => {
            holding(tx, Kind::Peer, text("target"), text("source"), epoch)
        }
        "reset_client" => reset(tx, text("client"), RESET_TOPICS | RESET_PEERS),
        "reset_client_pubkeys" => reset(tx, text("target"), RESET_PEERS),
        "new_client_key" => {
            let Some(client) = tx.find_client(text("client"))? else {
                return Ok(Counts::default());
            };
            let epochs = [epoch, client.key_confirmed, client.key_handed];
            Ok(Counts::one(own_key("own key", epochs, client.key_tries).state))
        }
        "new_c2_key" => tx.c2_key_progress(epoch),
        _ => Ok(Counts::default()),
    }
}

fn removal(tx: &mut Tx, topic: &str) -> Result<Counts> {
    match TopicHash::from_topic(topic) {
        Ok(hash) => tx.removal_progress(hash),
        Err(_) => Ok(Counts::default()),
    }
}

/// One thing that a client should hold, or forget.
fn holding(tx: &mut Tx, kind: Kind, client: &str, name: &str, epoch: i64) -> Result<Counts> {
    let Some(client) = tx.find_client(client)? else { return Ok(Counts::default()) };
    let holdings = tx.holdings(client.row)?;
    let mut all: Vec<_> =
        holdings.iter().filter(|item| item.kind == kind && item.name == name).collect();
    // What was created again stands beside what was removed.
    all.sort_by_key(|item| item.target == 0);
    let Some(item) = all.first() else {
        // What the client was told to forget is gone once it did.
        let kind = if kind == Kind::Topic { RESET_TOPICS } else { RESET_PEERS };
        return Ok(Counts::one(reset_state(client.reset & kind, client.answers)));
    };
    let reached = epoch > 0 && item.confirmed >= epoch && item.sent >= epoch;
    Ok(Counts::one(if reached { State::Confirmed } else { item.state() }))
}

fn reset(tx: &mut Tx, client: &str, kinds: i64) -> Result<Counts> {
    let Some(client) = tx.find_client(client)? else { return Ok(Counts::default()) };
    Ok(Counts::one(reset_state(client.reset & kinds, client.answers)))
}

fn reset_state(left: i64, answers: bool) -> State {
    match (left, answers) {
        (0, true) => State::Confirmed,
        // The broker took it: more is not known of who never answers.
        (0, false) => State::Handed,
        _ => State::Queued,
    }
}
