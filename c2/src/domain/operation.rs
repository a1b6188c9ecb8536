// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every act that changes what clients should hold.

use std::fmt;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Result, Selector};

/// A changing act. Printing it shows names alone.
#[derive(Debug)]
pub enum Operation {
    /// Adds a client, or replaces the key of one that exists: the device was provisioned by hand
    /// and holds no topic key yet, so it is told everything again.
    NewClient {
        /// Name, 1 to 255 bytes; the id is its hash.
        client: String,
        /// Where its key comes from.
        credential: Credential,
    },
    /// Adds a client; one that exists stays as it is.
    AddClient {
        /// Name, 1 to 255 bytes; the id is its hash.
        client: String,
        /// Where its key comes from.
        credential: Credential,
    },
    /// Forgets a client and its keys.
    RemoveClient {
        /// Name.
        client: String,
        /// Whether the topics whose keys it knew get new ones.
        rotate: bool,
    },
    /// Has a client forget all keys but its own, and forgets its memberships.
    ResetClient {
        /// Name.
        client: String,
    },
    /// Gives a client a new key of its own.
    NewClientKey {
        /// Name.
        client: String,
    },
    /// Creates a topic, or gives one that exists a new key.
    NewTopic {
        /// Topic.
        topic: String,
    },
    /// Gives a topic that exists a new key in two stages: clients that only receive get it first,
    /// the others once these have confirmed it.
    RotateTopic {
        /// Topic.
        topic: String,
        /// Who only receives.
        receivers: Receivers,
        /// Seconds until the others get it whoever has confirmed it, 1 to 1800.
        deadline: u32,
    },
    /// Gives a client or a topic a label, in place of one of the same name.
    SetLabel {
        /// Whose.
        of: Labelled,
        /// Name, 1 to 64 bytes.
        name: String,
        /// Value, 1 to 255 bytes.
        value: String,
    },
    /// Takes a label away.
    RemoveLabel {
        /// Whose.
        of: Labelled,
        /// Name.
        name: String,
    },
    /// Forgets a topic; its clients are told to forget its key.
    RemoveTopic {
        /// Topic.
        topic: String,
    },
    /// Gives a client the key of a topic.
    NewTopicClient {
        /// Topic.
        topic: String,
        /// Name.
        client: String,
    },
    /// Takes the key of a topic from a client.
    RemoveTopicClient {
        /// Topic.
        topic: String,
        /// Name.
        client: String,
    },
    /// Notes that the target shall get the public key of the source whenever that changes (PK).
    LinkClient {
        /// Whose key.
        source: String,
        /// Who gets it.
        target: String,
    },
    /// No longer (PK).
    UnlinkClient {
        /// Whose key.
        source: String,
        /// Who got it.
        target: String,
    },
    /// Gives the target the public key of the source (PK).
    SendClientPubKey {
        /// Whose key.
        source: String,
        /// Who gets it.
        target: String,
    },
    /// Takes the public key of the source from the target (PK).
    RemoveClientPubKey {
        /// Whose key.
        source: String,
        /// Who loses it.
        target: String,
    },
    /// Takes all public keys from the target (PK).
    ResetClientPubKeys {
        /// Who loses them.
        target: String,
    },
    /// Gives C2 a new key pair, which every client is told (PK).
    NewC2Key,
    /// Sends everything that a client should hold again; all clients without a name. One that is
    /// named and never answers is told to forget everything first: of it nobody knows what it holds.
    Resync {
        /// Name.
        client: Option<String>,
    },
}

/// Who only receives on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receivers {
    /// Those of whom a rotation before said so.
    Known,
    /// These clients.
    Names(Vec<String>),
    /// Those that are selected.
    Of(Selector),
}

/// What has labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// A client, by name.
    Client(String),
    /// A topic.
    Topic(String),
}

/// Where the key of a new client comes from.
pub enum Credential {
    /// Raw bytes: the id key (SK, 32), or the Ed25519 public key (PK, 32).
    Key(Zeroizing<Vec<u8>>),
    /// A password, 16 bytes at least, from which the device derives the same key.
    Password(Zeroizing<String>),
    /// C2 makes it and hands it out once.
    Random,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Key(_) => "Key",
            Credential::Password(_) => "Password",
            Credential::Random => "Random",
        })
    }
}

impl Operation {
    /// The name of the act, as audit records and interfaces have it.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::NewClient { .. } | Operation::AddClient { .. } => "new_client",
            Operation::RemoveClient { .. } => "remove_client",
            Operation::ResetClient { .. } => "reset_client",
            Operation::NewClientKey { .. } => "new_client_key",
            Operation::NewTopic { .. } => "new_topic",
            Operation::RotateTopic { .. } => "rotate_topic",
            Operation::SetLabel { .. } => "set_label",
            Operation::RemoveLabel { .. } => "remove_label",
            Operation::RemoveTopic { .. } => "remove_topic",
            Operation::NewTopicClient { .. } => "new_topic_client",
            Operation::RemoveTopicClient { .. } => "remove_topic_client",
            Operation::LinkClient { .. } => "link_client",
            Operation::UnlinkClient { .. } => "unlink_client",
            Operation::SendClientPubKey { .. } => "send_client_pubkey",
            Operation::RemoveClientPubKey { .. } => "remove_client_pubkey",
            Operation::ResetClientPubKeys { .. } => "reset_client_pubkeys",
            Operation::NewC2Key => "new_c2_key",
            Operation::Resync { .. } => "resync",
        }
    }

    /// The key that it brings along.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Operation::NewClient { credential, .. } | Operation::AddClient { credential, .. } => {
                Some(credential)
            }
            Operation::RemoveClient { .. }
            | Operation::ResetClient { .. }
            | Operation::NewClientKey { .. }
            | Operation::NewTopic { .. }
            | Operation::RotateTopic { .. }
            | Operation::SetLabel { .. }
            | Operation::RemoveLabel { .. }
            | Operation::RemoveTopic { .. }
            | Operation::NewTopicClient { .. }
            | Operation::RemoveTopicClient { .. }
            | Operation::LinkClient { .. }
            | Operation::UnlinkClient { .. }
            | Operation::SendClientPubKey { .. }
            | Operation::RemoveClientPubKey { .. }
            | Operation::ResetClientPubKeys { .. }
            | Operation::NewC2Key
            | Operation::Resync { .. } => None,
        }
    }

    /// Whether it exists in public-key mode only.
    pub fn needs_public_keys(&self) -> bool {
        matches!(
            self,
            Operation::LinkClient { .. }
                | Operation::UnlinkClient { .. }
                | Operation::SendClientPubKey { .. }
                | Operation::RemoveClientPubKey { .. }
                | Operation::ResetClientPubKeys { .. }
                | Operation::NewC2Key
        )
    }

    /// What an audit record keeps of it: names, no keys.
    pub fn subject(&self) -> Value {
        match self {
            Operation::NewClient { client, credential }
            | Operation::AddClient { client, credential } => {
                json!({ "client": client, "credential": format!("{credential:?}") })
            }
            Operation::RemoveClient { client, rotate } => {
                json!({ "client": client, "rotate": rotate })
            }
            Operation::ResetClient { client } | Operation::NewClientKey { client } => {
                json!({ "client": client })
            }
            Operation::NewTopic { topic } | Operation::RemoveTopic { topic } => {
                json!({ "topic": topic })
            }
            Operation::RotateTopic { topic, receivers, deadline } => {
                let receivers = match receivers {
                    Receivers::Known => json!("known"),
                    Receivers::Names(names) => json!(names.len()),
                    Receivers::Of(selector) => json!(selector),
                };
                json!({ "topic": topic, "receivers": receivers, "deadline": deadline })
            }
            Operation::SetLabel { of, name, value } => of.subject(name, Some(value)),
            Operation::RemoveLabel { of, name } => of.subject(name, None),
            Operation::NewTopicClient { topic, client }
            | Operation::RemoveTopicClient { topic, client } => {
                json!({ "topic": topic, "client": client })
            }
            Operation::LinkClient { source, target }
            | Operation::UnlinkClient { source, target }
            | Operation::SendClientPubKey { source, target }
            | Operation::RemoveClientPubKey { source, target } => {
                json!({ "source": source, "target": target })
            }
            Operation::ResetClientPubKeys { target } => json!({ "target": target }),
            Operation::NewC2Key => json!({}),
            Operation::Resync { client } => json!({ "client": client }),
        }
    }
}

impl Labelled {
    fn subject(&self, label: &str, value: Option<&String>) -> Value {
        match self {
            Labelled::Client(client) => json!({ "client": client, "label": label, "value": value }),
            Labelled::Topic(topic) => json!({ "topic": topic, "label": label, "value": value }),
        }
    }
}

/// Who acts, and from where, for the audit records.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name of a person, token or program.
    pub actor: String,
    /// Address or program.
    pub origin: String,
}

impl Caller {
    /// A caller.
    pub fn new(actor: &str, origin: &str) -> Self {
        Self { actor: actor.into(), origin: origin.into() }
    }
}

/// What became of an operation.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Number of its audit record.
    pub operation: i64,
    /// Whether the client or topic is new.
    pub created: bool,
    /// The epoch of the key that was made, if one was.
    pub epoch: Option<i64>,
    /// A key that C2 made, to be handed out once: an id key (32 bytes) or an Ed25519 private key
    /// (64).
    pub secret: Option<Secret>,
}

/// What became of many operations.
#[derive(Debug)]
pub struct Batch {
    /// One for each, in their order.
    pub results: Vec<Result<Outcome>>,
    /// Whether these are the results of an earlier call under the same idempotency key.
    pub again: bool,
}

/// Secret bytes that wipe themselves. Printing them shows nothing.
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
