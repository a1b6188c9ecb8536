// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is stored of clients, topics and what each client holds.

use e4::{ClientId, TopicHash};
use serde::Serialize;

use super::Millis;

/// What a client holds is not known: it is told again.
pub const UNKNOWN: i64 = -1;

/// The keys of all topics are to be forgotten.
pub const RESET_TOPICS: i64 = 1;
/// The public keys of all clients are to be forgotten.
pub const RESET_PEERS: i64 = 2;

/// A client as it is stored.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Number of the row, never used again.
    pub row: i64,
    /// Id of the protocol.
    pub id: ClientId,
    /// Name.
    pub name: String,
    /// The key of its own that it should hold.
    pub key_epoch: i64,
    /// The oldest key of its own that it may hold.
    pub key_confirmed: i64,
    /// The newest key of its own that the broker took for it.
    pub key_handed: i64,
    /// How often that was sent.
    pub key_tries: i64,
    /// The oldest key pair of C2 that it may know (PK; 0 in SK).
    pub c2_confirmed: i64,
    /// The newest key of C2 that the broker took for it.
    pub c2_handed: i64,
    /// How often that was sent.
    pub c2_tries: i64,
    /// Whether it ever answered: deployed clients of other makes do not.
    pub answers: bool,
    /// Time of its newest answer, in seconds, by its own clock.
    pub answered: i64,
    /// SIVs of the answers of that second, 16 bytes each.
    pub answer_sivs: Vec<u8>,
    /// When it last showed itself, by our clock.
    pub seen_at: Option<Millis>,
    /// Timestamp of the newest command, in seconds.
    pub stamp: i64,
    /// What it has to forget before it is told anything: [`RESET_TOPICS`], [`RESET_PEERS`], both.
    pub reset: i64,
    /// What was tried against a digest that differs: 0 nothing, 1 everything sent again, from 2 on
    /// resets: one is to be sent where it is even, one was sent where it is odd.
    pub drift: i64,
    /// When the reconciler looks at it next; `None` when it is at rest.
    pub due_at: Option<Millis>,
    /// Why it cannot be brought to what it should hold.
    pub trouble: Option<String>,
}

impl ClientRow {
    /// How often a key of its own or of C2 was sent, if one is not confirmed.
    pub fn ladder_tries(&self, c2_epoch: i64) -> Option<i64> {
        let key = (self.key_confirmed < self.key_epoch).then_some(self.key_tries);
        let c2 = (self.c2_confirmed < c2_epoch).then_some(self.c2_tries);
        match (key, c2) {
            (Some(key), Some(c2)) => Some(key.min(c2)),
            (key, c2) => key.or(c2),
        }
    }
}

/// A topic as it is stored.
#[derive(Clone, Debug)]
pub struct TopicRow {
    /// Number of the row, never used again.
    pub row: i64,
    /// Hash of the protocol.
    pub hash: TopicHash,
    /// Name.
    pub name: String,
    /// Number of its key, from 1.
    pub epoch: i64,
}

/// What kind of key a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i64)]
pub enum Kind {
    /// The key of a topic.
    Topic = 1,
    /// The public key of another client.
    Peer = 2,
}

/// What a client should hold of one topic or one other client, and how far that has come.
#[derive(Clone, Debug)]
pub struct Holding {
    /// Topic key or public key.
    pub kind: Kind,
    /// Row of the topic or client.
    pub subject: i64,
    /// Its hash or id in the protocol.
    pub id: [u8; 16],
    /// Its name.
    pub name: String,
    /// The epoch that the client should hold; 0 for none.
    pub target: i64,
    /// The epoch that was sent last; 0 for a removal, [`UNKNOWN`] for nothing.
    pub sent: i64,
    /// Whether the broker took that.
    pub handed: bool,
    /// The epoch that the client confirmed; 0 for none, [`UNKNOWN`].
    pub confirmed: i64,
    /// The number of the client's error, 0 for none.
    pub failed: i64,
    /// The SIV of the command that was sent last.
    pub siv: Option<[u8; 16]>,
    /// The timestamp of that command, in seconds.
    pub stamp: i64,
    /// When anything happened to it.
    pub changed_at: Millis,
    /// How often it was sent without an answer.
    pub tries: i64,
    /// The sealed topic key of the target, or the public key.
    pub key: Option<Vec<u8>>,
    /// The fingerprint of the topic key, or the public key: what the state digest takes in.
    pub print: Option<[u8; 32]>,
}

impl Holding {
    /// Whether the client holds what it should, by its own word.
    pub fn settled(&self) -> bool {
        self.confirmed == self.target && self.sent == self.target
    }

    /// How far it has come.
    pub fn state(&self) -> State {
        match () {
            () if self.settled() => State::Confirmed,
            () if self.sent != self.target => State::Queued,
            () if self.failed != 0 => State::Failed,
            () if self.handed => State::Handed,
            () => State::Queued,
        }
    }
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The broker did not take it yet.
    Queued,
    /// The broker took it. For a client that never answers this is the best state.
    Handed,
    /// The client refused it.
    Failed,
    /// The client says that it holds it.
    Confirmed,
}

/// One thing that a client should hold, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// `topic`, `removed topic`, `public key`, `removed public key`, `own key`, `c2 key`.
    pub what: &'static str,
    /// Topic or client; empty for the keys of its own.
    pub name: String,
    /// The epoch that it should hold, 0 for none.
    pub epoch: i64,
    /// How far that has come.
    pub state: State,
    /// How often it was sent.
    pub attempts: i64,
    /// When its state changed, in milliseconds since 1970.
    pub changed_at: Option<Millis>,
    /// The client's error, where it refused.
    pub error: Option<String>,
}

/// A client and how far everything has come.
#[derive(Clone, Debug, Serialize)]
pub struct ClientState {
    /// Name.
    pub name: String,
    /// Id in hexadecimal digits.
    pub id: String,
    /// Whether it ever answered.
    pub answers: bool,
    /// When it last showed itself.
    pub seen_at: Option<Millis>,
    /// When C2 tries again.
    pub due_at: Option<Millis>,
    /// Why it cannot be brought to what it should hold.
    pub trouble: Option<String>,
    /// Everything that it should hold or forget.
    pub deliveries: Vec<Delivery>,
}

/// Numbers by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// See [`State::Queued`].
    pub queued: i64,
    /// See [`State::Handed`].
    pub handed: i64,
    /// See [`State::Failed`].
    pub failed: i64,
    /// See [`State::Confirmed`].
    pub confirmed: i64,
}

impl Counts {
    /// One of a state.
    pub fn one(state: State) -> Self {
        let mut counts = Self::default();
        *match state {
            State::Queued => &mut counts.queued,
            State::Handed => &mut counts.handed,
            State::Failed => &mut counts.failed,
            State::Confirmed => &mut counts.confirmed,
        } = 1;
        counts
    }
}

/// A topic and how far its key has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicState {
    /// Name.
    pub topic: String,
    /// Number of its key.
    pub epoch: i64,
    /// Its clients, by how far that key has come.
    pub clients: Counts,
}

/// An operation and how far it has come.
#[derive(Clone, Debug, Serialize)]
pub struct OperationState {
    /// Its audit record.
    pub record: AuditRecord,
    /// The clients that are told of it; none for what no client is told. Where something newer has
    /// taken its place, that counts.
    pub clients: Counts,
}

/// Numbers over everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Clients.
    pub clients: i64,
    /// Topics.
    pub topics: i64,
    /// Clients of topics.
    pub memberships: i64,
    /// Those by how far they have come.
    pub deliveries: Counts,
    /// Clients that have something to be sent.
    pub due_clients: i64,
    /// Clients that cannot be brought to what they should hold.
    pub troubled_clients: i64,
    /// Clients that ever answered.
    pub answering_clients: i64,
    /// Number of the newest audit record.
    pub audit_records: i64,
}

/// Clients of topics by how many keys they are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// They hold the newest.
    pub none: i64,
    /// They hold the one before: what is sent under the newest they cannot read yet.
    pub one: i64,
    /// They hold an older one.
    pub more: i64,
    /// They confirmed none.
    pub unknown: i64,
}

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Names after this one, in their order by bytes.
    pub after: Option<String>,
    /// Leave out so many first.
    pub offset: i64,
    /// At most so many; more than 100 counts as 100.
    pub limit: i64,
}

impl Page {
    /// The most that a page holds.
    pub const MAX: i64 = 100;

    /// The first names.
    pub fn first(limit: i64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The names after one.
    pub fn after(name: &str, limit: i64) -> Self {
        Self { after: Some(name.into()), limit, offset: 0 }
    }
}

/// A record of who did what.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRecord {
    /// Number, from 1, without gaps.
    pub seq: i64,
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// From where.
    pub origin: String,
    /// What.
    pub action: String,
    /// Names and results, as JSON.
    pub detail: String,
}
