// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The operations: check, load, decide, store. Every change and its audit record are one
//! transaction; nothing is sent here. The reconciler sees to it that clients come to hold what
//! they should.

mod batches;
mod calendar;
mod campaigns;
mod clients;
mod keys;
mod labels;
mod messages;
mod pages;
mod policies;
mod schedule;
mod stages;
mod states;
mod tokens;
mod topics;
mod views;

use std::sync::Arc;

use e4::{C2PublicKey, ClientId, Mode};
use tracing::trace_span;

use crate::domain::{
    BrokerAddress, Caller, ClientState, Clock, Delivery, Error, FirstKeys, Holding, Kind, Millis,
    Operation, Outcome, Page, Provision, Result, Secret, State, What,
};
use crate::store::{Store, Tx};
use clients::FirstKey;
pub use pages::{Found, TopicMap};
pub use schedule::Advance;
pub use stages::{DEADLINE, DEADLINE_MAX, expected_seconds};
pub use tokens::{NewToken, Stranger, TOKEN_PREFIX, token_hash};

/// The longest name or topic that is taken, in bytes.
pub const TOPIC_MAX: usize = 65_535;

/// The operations over one database.
#[derive(Clone)]
pub struct Service {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    device_broker: Option<BrokerAddress>,
}

impl Service {
    /// The operations over a database.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, device_broker: None }
    }

    /// The same, for devices that find their broker there.
    pub fn with_device_broker(self, device_broker: Option<BrokerAddress>) -> Self {
        Self { device_broker, ..self }
    }

    /// Where devices find their broker.
    pub fn device_broker(&self) -> Option<&BrokerAddress> {
        self.device_broker.as_ref()
    }

    /// What a device needs to begin with, from the key that C2 made for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is no key; [`Error::Store`].
    pub fn provision(&self, name: &str, secret: &Secret) -> Result<Provision> {
        let c2 = match self.mode() {
            Mode::Symmetric => None,
            Mode::PublicKey => Some(self.c2_public_key()?),
        };
        let keys = FirstKeys::new(&secret.0, c2)?;
        Ok(Provision { name: name.into(), keys, broker: self.device_broker.clone() })
    }

    /// The database.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The mode for which the database was set up.
    pub fn mode(&self) -> Mode {
        self.store.mode()
    }

    /// Does one thing.
    ///
    /// # Errors
    /// [`Error`]; then nothing was stored.
    pub fn apply(&self, who: &Caller, operation: &Operation) -> Result<Outcome> {
        let _span = trace_span!("service.apply", operation = operation.name()).entered();
        let now = self.clock.now();
        let first = prepare(self.mode(), operation)?;
        self.store.write(|tx| apply(tx, now, who, operation, first.as_ref()))
    }

    /// Names of clients.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn clients(&self, page: &Page) -> Result<Vec<String>> {
        self.store.read(|tx| tx.clients(page))
    }

    /// How many clients there are.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn count_clients(&self) -> Result<i64> {
        self.store.read(|tx| tx.count_clients())
    }

    /// Names of clients that cannot be brought to what they should hold.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn troubled_clients(&self, page: &Page) -> Result<Vec<String>> {
        self.store.read(|tx| tx.troubled_clients(page))
    }

    /// Names of topics.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn topics(&self, page: &Page) -> Result<Vec<String>> {
        self.store.read(|tx| tx.topics(page))
    }

    /// How many topics there are.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn count_topics(&self) -> Result<i64> {
        self.store.read(|tx| tx.count_topics())
    }

    /// Topics of which a client should hold the key.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn topics_of_client(&self, client: &str, page: &Page) -> Result<Vec<String>> {
        self.store.read(|tx| {
            let client = tx.client(client)?;
            tx.topics_of_client(client.row, page)
        })
    }

    /// How many those are.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn count_topics_of_client(&self, client: &str) -> Result<i64> {
        self.store.read(|tx| {
            let client = tx.client(client)?;
            tx.count_topics_of_client(client.row)
        })
    }

    /// Clients that should hold the key of a topic.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn clients_of_topic(&self, topic: &str, page: &Page) -> Result<Vec<String>> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            tx.clients_of_topic(topic.row, page)
        })
    }

    /// How many those are.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn count_clients_of_topic(&self, topic: &str) -> Result<i64> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            tx.count_clients_of_topic(topic.row)
        })
    }

    /// Sources whose public keys a target gets when they change (PK).
    ///
    /// # Errors
    /// [`Error::WrongMode`], [`Error::NotFound`], [`Error::Store`].
    pub fn linked_clients(&self, target: &str, page: &Page) -> Result<Vec<String>> {
        public_keys(self.mode(), "linked_clients")?;
        self.store.read(|tx| {
            let target = tx.client(target)?;
            tx.linked_clients(target.row, page)
        })
    }

    /// How many those are (PK).
    ///
    /// # Errors
    /// [`Error::WrongMode`], [`Error::NotFound`], [`Error::Store`].
    pub fn count_linked_clients(&self, target: &str) -> Result<i64> {
        public_keys(self.mode(), "linked_clients")?;
        self.store.read(|tx| {
            let target = tx.client(target)?;
            tx.count_linked_clients(target.row)
        })
    }

    /// A client, and how far everything that it should hold has come.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn client_state(&self, name: &str) -> Result<ClientState> {
        self.store.read(|tx| {
            let client = tx.client(name)?;
            let mut deliveries = vec![own_key(
                "own key",
                [client.key_epoch, client.key_confirmed, client.key_handed],
                client.key_tries,
            )];
            if tx.mode() == Mode::PublicKey {
                let epoch = tx.c2_epoch()?;
                deliveries.push(own_key(
                    "c2 key",
                    [epoch, client.c2_confirmed, client.c2_handed],
                    client.c2_tries,
                ));
            }
            deliveries.extend(tx.holdings(client.row)?.iter().map(delivery));
            Ok(ClientState {
                name: client.name,
                id: client.id.to_string(),
                answers: client.answers,
                seen_at: client.seen_at,
                due_at: client.due_at,
                trouble: client.trouble,
                deliveries,
            })
        })
    }

    /// C2's public key, which a PK client needs to begin with.
    ///
    /// # Errors
    /// [`Error::WrongMode`], [`Error::Store`].
    pub fn c2_public_key(&self) -> Result<C2PublicKey> {
        public_keys(self.mode(), "c2_public_key")?;
        let keys = self.store.read(|tx| tx.c2_keys())?;
        let newest = keys.last().ok_or_else(|| Error::Store("C2 has no key".into()))?;
        Ok(newest.public)
    }
}

fn own_key(what: &'static str, [epoch, confirmed, handed]: [i64; 3], attempts: i64) -> Delivery {
    let state = match () {
        () if confirmed >= epoch => State::Confirmed,
        () if handed >= epoch => State::Handed,
        () => State::Queued,
    };
    Delivery { what, name: String::new(), epoch, state, attempts, changed_at: None, error: None }
}

fn delivery(holding: &Holding) -> Delivery {
    let what = match (holding.kind, holding.target) {
        (Kind::Topic, 0) => "removed topic",
        (Kind::Topic, _) => "topic",
        (Kind::Peer, 0) => "removed public key",
        (Kind::Peer, _) => "public key",
    };
    let number = i32::try_from(holding.failed).unwrap_or_default();
    Delivery {
        what,
        name: holding.name.clone(),
        epoch: holding.target,
        state: holding.state(),
        attempts: holding.tries,
        changed_at: Some(holding.changed_at),
        error: e4::Error::from_number(number).map(|error| error.to_string()),
    }
}

/// What can be checked and made without the database.
fn prepare(mode: Mode, operation: &Operation) -> Result<Option<FirstKey>> {
    if operation.needs_public_keys() {
        public_keys(mode, operation.name())?;
    }
    check(operation)?;
    match operation {
        Operation::NewClient { credential, .. } | Operation::AddClient { credential, .. } => {
            clients::first_key(mode, credential).map(Some)
        }
        _ => Ok(None),
    }
}

/// One operation within a transaction, and its audit record.
fn apply(
    tx: &mut Tx,
    now: Millis,
    who: &Caller,
    operation: &Operation,
    first: Option<&FirstKey>,
) -> Result<Outcome> {
    // Changes happen one after the other, in the order of their records.
    tx.lock_audit()?;
    let mut outcome = match operation {
        Operation::NewClient { client, .. } | Operation::AddClient { client, .. } => {
            if matches!(operation, Operation::AddClient { .. }) && tx.find_client(client)?.is_some()
            {
                return Err(Error::Exists { what: What::Client, name: client.clone() });
            }
            let first = first.ok_or_else(|| Error::invalid("key", "is missing"))?;
            clients::new_client(tx, now, client, first)
        }
        Operation::RemoveClient { client, rotate } => {
            clients::remove_client(tx, now, client, *rotate)
        }
        Operation::ResetClient { client } => clients::reset_client(tx, now, client),
        Operation::NewClientKey { client } => keys::new_client_key(tx, now, client),
        Operation::NewTopic { topic } => topics::new_topic(tx, now, topic),
        Operation::RotateTopic { topic, receivers, deadline } => {
            stages::rotate(tx, now, topic, receivers, *deadline)
        }
        Operation::SetLabel { of, name, value } => labels::set(tx, of, name, value),
        Operation::RemoveLabel { of, name } => labels::remove(tx, of, name),
        Operation::RemoveTopic { topic } => topics::remove_topic(tx, topic),
        Operation::NewTopicClient { topic, client } => {
            topics::new_topic_client(tx, now, topic, client)
        }
        Operation::RemoveTopicClient { topic, client } => {
            topics::remove_topic_client(tx, now, topic, client)
        }
        Operation::LinkClient { source, target } => keys::link(tx, source, target),
        Operation::UnlinkClient { source, target } => keys::unlink(tx, source, target),
        Operation::SendClientPubKey { source, target } => keys::send(tx, now, source, target),
        Operation::RemoveClientPubKey { source, target } => keys::remove(tx, now, source, target),
        Operation::ResetClientPubKeys { target } => keys::reset(tx, now, target),
        Operation::NewC2Key => keys::new_c2_key(tx, now),
        Operation::Resync { client } => clients::resync(tx, now, client.as_deref()),
    }?;
    let mut detail = operation.subject();
    if let (Some(epoch), Some(detail)) = (outcome.epoch, detail.as_object_mut()) {
        detail.insert("epoch".into(), epoch.into());
    }
    tx.audit(now, who, operation.name(), &detail)?;
    outcome.operation = tx.audited();
    Ok(outcome)
}

/// Checks the names of an operation before anything is looked up.
fn check(operation: &Operation) -> Result<()> {
    match operation {
        Operation::NewClient { client, .. }
        | Operation::AddClient { client, .. }
        | Operation::RemoveClient { client, .. }
        | Operation::ResetClient { client }
        | Operation::NewClientKey { client }
        | Operation::Resync { client: Some(client) } => check_client("client", client),
        Operation::NewTopic { topic } | Operation::RemoveTopic { topic } => check_topic(topic),
        Operation::RotateTopic { topic, receivers, deadline } => {
            check_topic(topic)?;
            stages::check(receivers, *deadline)
        }
        Operation::SetLabel { of, name, value } => labels::check(of, name, Some(value)),
        Operation::RemoveLabel { of, name } => labels::check(of, name, None),
        Operation::NewTopicClient { topic, client }
        | Operation::RemoveTopicClient { topic, client } => {
            check_topic(topic)?;
            check_client("client", client)
        }
        Operation::LinkClient { source, target }
        | Operation::UnlinkClient { source, target }
        | Operation::SendClientPubKey { source, target }
        | Operation::RemoveClientPubKey { source, target } => {
            check_client("source_client", source)?;
            check_client("target_client", target)?;
            if source == target {
                return Err(Error::invalid("source_client", "is the target as well"));
            }
            Ok(())
        }
        Operation::ResetClientPubKeys { target } => check_client("target_client", target),
        Operation::NewC2Key | Operation::Resync { client: None } => Ok(()),
    }
}

pub(crate) fn check_client(field: &'static str, name: &str) -> Result<()> {
    e4::check_name(name).map_err(|_| Error::invalid(field, "a name has 1 to 255 bytes"))?;
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(field, "a name has no control characters"));
    }
    Ok(())
}

pub(crate) fn check_topic(topic: &str) -> Result<()> {
    if topic.is_empty() || topic.len() > TOPIC_MAX {
        return Err(Error::invalid("topic", format!("a topic has 1 to {TOPIC_MAX} bytes")));
    }
    e4::check_topic_for_key(topic).map_err(|_| {
        Error::invalid(
            "topic",
            "a topic for keys has no +, # or NUL, no leading $, and is not e4 or below it",
        )
    })
}

fn public_keys(mode: Mode, operation: &'static str) -> Result<()> {
    match mode {
        Mode::PublicKey => Ok(()),
        Mode::Symmetric => Err(Error::WrongMode { operation, needs: Mode::PublicKey }),
    }
}

fn client_id(name: &str) -> Result<ClientId> {
    ClientId::from_name(name).map_err(|_| Error::invalid("client", "a name has 1 to 255 bytes"))
}
