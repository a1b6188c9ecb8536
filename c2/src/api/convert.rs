// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages of the interface as operations, and records as messages of the interface.

use std::fmt::Write as _;

use prost_types::Timestamp;
use zeroize::Zeroizing;

use super::pb;
use crate::domain::{
    self, AuditRecord, Credential, Error, Millis, Operation, Page, Result, Role, State, Token,
};
use crate::service::NewToken;

/// A message that stands for an operation.
pub trait Change {
    /// The operation; names are checked where it is done.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    fn operation(self) -> Result<Operation>;
}

fn name(client: Option<pb::Client>) -> String {
    client.unwrap_or_default().name
}

impl Change for pb::NewClientRequest {
    fn operation(mut self) -> Result<Operation> {
        let key = Zeroizing::new(std::mem::take(&mut self.key));
        let password = Zeroizing::new(std::mem::take(&mut self.password));
        let credential = match (key.is_empty(), password.is_empty(), self.generate) {
            (_, true, false) => Credential::Key(key),
            (true, false, false) => Credential::Password(password),
            (true, true, true) => Credential::Random,
            _ => return Err(Error::invalid("key", "give one of key, password and generate")),
        };
        let client = name(self.client);
        Ok(match self.must_be_new {
            true => Operation::AddClient { client, credential },
            false => Operation::NewClient { client, credential },
        })
    }
}

impl Change for pb::NewC2KeyRequest {
    fn operation(self) -> Result<Operation> {
        if self.force {
            Ok(Operation::NewC2Key)
        } else {
            Err(Error::invalid("force", "has to be true: every client is concerned"))
        }
    }
}

/// Messages that are operations field by field.
macro_rules! changes {
    ($($message:ident => $operation:ident { $($field:ident: $value:expr),* };)*) => {$(
        impl Change for pb::$message {
            fn operation(self) -> Result<Operation> {
                Ok(Operation::$operation { $($field: ($value)(&self)),* })
            }
        }
    )*};
}

macro_rules! named {
    ($field:ident) => {
        |message: &Self| name(message.$field.clone())
    };
}

changes! {
    RemoveClientRequest => RemoveClient {
        client: named!(client), rotate: |message: &Self| message.rotate_topics
    };
    ResetClientRequest => ResetClient { client: named!(client) };
    NewClientKeyRequest => NewClientKey { client: named!(client) };
    NewTopicRequest => NewTopic { topic: |message: &Self| message.topic.clone() };
    RemoveTopicRequest => RemoveTopic { topic: |message: &Self| message.topic.clone() };
    NewTopicClientRequest => NewTopicClient {
        topic: |message: &Self| message.topic.clone(), client: named!(client)
    };
    RemoveTopicClientRequest => RemoveTopicClient {
        topic: |message: &Self| message.topic.clone(), client: named!(client)
    };
    LinkClientRequest => LinkClient {
        source: named!(source_client), target: named!(target_client)
    };
    UnlinkClientRequest => UnlinkClient {
        source: named!(source_client), target: named!(target_client)
    };
    SendClientPubKeyRequest => SendClientPubKey {
        source: named!(source_client), target: named!(target_client)
    };
    RemoveClientPubKeyRequest => RemoveClientPubKey {
        source: named!(source_client), target: named!(target_client)
    };
    ResetClientPubKeysRequest => ResetClientPubKeys { target: named!(target_client) };
    ResyncRequest => Resync {
        client: |message: &Self| message.client.as_ref().map(|client| client.name.clone())
    };
}

impl Change for pb::Change {
    fn operation(self) -> Result<Operation> {
        use pb::change::Change as Is;
        match self.change.ok_or_else(|| Error::invalid("changes", "one of them is empty"))? {
            Is::NewClient(message) => message.operation(),
            Is::RemoveClient(message) => message.operation(),
            Is::ResetClient(message) => message.operation(),
            Is::NewClientKey(message) => message.operation(),
            Is::NewTopic(message) => message.operation(),
            Is::RemoveTopic(message) => message.operation(),
            Is::NewTopicClient(message) => message.operation(),
            Is::RemoveTopicClient(message) => message.operation(),
            Is::LinkClient(message) => message.operation(),
            Is::UnlinkClient(message) => message.operation(),
            Is::SendClientPubKey(message) => message.operation(),
            Is::RemoveClientPubKey(message) => message.operation(),
            Is::ResetClientPubKeys(message) => message.operation(),
            Is::NewC2Key(message) => message.operation(),
            Is::Resync(message) => message.operation(),
        }
    }
}

/// A page of a list. As old tools expect, 0 is none, and too many are 100.
///
/// # Errors
/// [`Error::Invalid`] for numbers below 0.
pub fn page(offset: i64, count: i64, after: String) -> Result<Page> {
    for (field, number) in [("offset", offset), ("count", count)] {
        if number < 0 {
            return Err(Error::invalid(field, "is below 0"));
        }
    }
    Ok(Page { after: (!after.is_empty()).then_some(after), offset, limit: count.min(Page::MAX) })
}

/// Names as clients.
pub fn clients(names: Vec<String>) -> Vec<pb::Client> {
    names.into_iter().map(|name| pb::Client { name }).collect()
}

/// A time.
pub fn timestamp(at: Millis) -> Timestamp {
    let nanos = i32::try_from(at.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: at.div_euclid(1000), nanos }
}

/// A time, in milliseconds.
///
/// # Errors
/// [`Error::Invalid`] for one beyond the year 9999.
fn millis(field: &'static str, at: &Timestamp) -> Result<Millis> {
    let known =
        (0..=253_402_300_799).contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos);
    if !known {
        return Err(Error::invalid(field, "is no time from 1970 to 9999"));
    }
    Ok(at.seconds * 1000 + i64::from(at.nanos / 1_000_000))
}

/// Numbers by state.
pub fn counts(counts: domain::Counts) -> pb::Counts {
    let domain::Counts { queued, handed, failed, confirmed } = counts;
    pb::Counts { queued, handed, failed, confirmed }
}

/// A client and how far everything has come.
pub fn client_state(state: domain::ClientState) -> pb::ClientState {
    let delivery = |one: domain::Delivery| pb::Delivery {
        what: one.what.into(),
        name: one.name,
        epoch: one.epoch,
        state: match one.state {
            State::Queued => pb::State::Queued,
            State::Handed => pb::State::Handed,
            State::Failed => pb::State::Failed,
            State::Confirmed => pb::State::Confirmed,
        }
        .into(),
        attempts: one.attempts,
        changed_at: one.changed_at.map(timestamp),
        error: one.error.unwrap_or_default(),
    };
    pb::ClientState {
        client: Some(pb::Client { name: state.name }),
        id: state.id,
        answers: state.answers,
        seen_at: state.seen_at.map(timestamp),
        due_at: state.due_at.map(timestamp),
        trouble: state.trouble.unwrap_or_default(),
        deliveries: state.deliveries.into_iter().map(delivery).collect(),
    }
}

/// A record of who did what.
pub fn audit_record(record: AuditRecord) -> pb::AuditRecord {
    pb::AuditRecord {
        number: record.seq,
        at: Some(timestamp(record.at)),
        actor: record.actor,
        origin: record.origin,
        action: record.action,
        detail: record.detail,
    }
}

/// Who may call.
pub fn token(token: Token) -> pb::Token {
    pb::Token {
        name: token.name,
        role: i32::try_from(token.role.number()).unwrap_or_default(),
        messages: token.messages,
        certificate: token.certificate,
        created_at: Some(timestamp(token.made_at)),
        expires_at: token.expires_at.map(timestamp),
    }
}

impl TryFrom<pb::CreateTokenRequest> for NewToken {
    type Error = Error;

    fn try_from(message: pb::CreateTokenRequest) -> Result<Self> {
        let expires_at = message.expires_at.as_ref();
        Ok(Self {
            name: message.name,
            role: role(message.role)?,
            messages: message.messages,
            expires_at: expires_at.map(|at| millis("expiresAt", at)).transpose()?,
            certificate: (!message.certificate.is_empty()).then_some(message.certificate),
        })
    }
}

/// A role.
///
/// # Errors
/// [`Error::Invalid`] if it is none.
fn role(number: i32) -> Result<Role> {
    Role::from_number(number.into()).ok_or_else(|| {
        let mut names = String::new();
        for role in Role::ALL {
            let _ = write!(names, " {}", role.name());
        }
        Error::invalid("role", format!("is none of{names}"))
    })
}
