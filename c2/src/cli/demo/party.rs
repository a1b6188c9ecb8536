// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whoever takes part: a connection, and for a device its client.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use e4::protect::protect_command;
use e4::{
    C2SecretKey, Client, Command, Error, Identity, MemoryStorage, SharedKey, Timestamp, TopicHash,
    TopicKey, Unprotected,
};

use e4_c2::transport::{Event, Link, Options, Qos};

/// How long anything may take. Derivations and networks are slow on small machines.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection of its own.
pub struct Party {
    /// Its name in the story.
    pub name: &'static str,
    link: Link,
    events: Receiver<Event>,
}

impl Party {
    /// Connects, and subscribes to the topics.
    pub fn join(
        name: &'static str,
        (host, port): &(String, u16),
        topics: &[&str],
    ) -> Result<Self, String> {
        let options = Options::new(host, *port, &format!("e4-demo-{name}-{}", std::process::id()));
        let (sender, events) = channel();
        let link = Link::connect(&options, move |event| sender.send(event).is_ok())?;
        let party = Self { name, link, events };
        party.wait(|event| matches!(event, Event::Connected).then_some(()), "no connection")?;
        for topic in topics {
            party.link.subscribe(topic, Qos::ExactlyOnce)?;
            let what = format!("no subscription to {topic}");
            party.wait(|event| matches!(event, Event::Subscribed).then_some(()), &what)?;
        }
        Ok(party)
    }

    /// Publishes with QoS 2, not retained.
    pub fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), String> {
        self.link.publish(topic, Qos::ExactlyOnce, payload).map(|_| ())
    }

    /// Waits until exactly this arrives on a topic; other traffic of the broker is passed over.
    pub fn receive(&self, topic: &str, payload: &[u8]) -> Result<(), String> {
        let same = |event: &Event| match event {
            Event::Message { topic: at, payload: bytes } => at == topic && bytes == payload,
            _ => false,
        };
        let what = format!("nothing arrived on {topic}");
        self.wait(|event| same(&event).then_some(()), &what)
    }

    /// Waits for whatever comes next on a topic.
    pub fn next_on(&self, topic: &str) -> Result<Vec<u8>, String> {
        let on_topic = |event| match event {
            Event::Message { topic: at, payload } if at == topic => Some(payload),
            _ => None,
        };
        self.wait(on_topic, &format!("nothing arrived on {topic}"))
    }

    fn wait<T>(&self, mut pick: impl FnMut(Event) -> Option<T>, what: &str) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(rest) {
                Ok(Event::Lost(error)) => {
                    return Err(format!("{}: connection to the broker: {error}", self.name));
                }
                Ok(event) => {
                    if let Some(found) = pick(event) {
                        return Ok(found);
                    }
                }
                Err(_) => {
                    return Err(format!("{}: {what} within {} s", self.name, PATIENCE.as_secs()));
                }
            }
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.link.disconnect();
    }
}

/// A device of the story; its keys are in memory.
pub struct Device {
    /// Its connection.
    pub party: Party,
    /// Its keys.
    pub client: Client<MemoryStorage>,
}

impl Device {
    /// A device without topic keys, subscribed to its control topic and to a topic.
    pub fn join(
        name: &'static str,
        broker: &(String, u16),
        identity: Identity,
        topic: &str,
    ) -> Result<Self, String> {
        let control = e4::ClientTopic::control(identity.id());
        let party = Party::join(name, broker, &[&control, topic])?;
        Ok(Self { party, client: provision(identity)? })
    }

    /// Starts over as somebody else, with the same connection.
    pub fn become_client(&mut self, identity: Identity) -> Result<(), String> {
        self.client = provision(identity)?;
        Ok(())
    }

    /// Gets a key that C2 did not send, as if it had.
    pub fn steal(&mut self, c2: &C2SecretKey, topic: &str, key: &TopicKey) -> Result<(), String> {
        let fail = |error: Error| error.to_string();
        let topic = TopicHash::from_topic(topic).map_err(fail)?;
        let key = TopicKey::from_slice(key.expose()).map_err(fail)?;
        let command = Command::SetTopicKey { topic, key };
        let public = self.client.public_key().ok_or(Error::WrongMode).map_err(fail)?;
        let shared = SharedKey::for_c2(c2, &public).map_err(fail)?;
        let command = protect_command(&shared, Timestamp::now(), &command).map_err(fail)?;
        let control = self.client.control_topic();
        let applied = self.client.unprotect_to_vec(Timestamp::now(), &control, &command);
        applied.map(|_| ()).map_err(fail)
    }

    /// Takes what was published in and says what it is to this device.
    pub fn understand(&mut self, topic: &str, payload: &[u8]) -> Result<Understood, String> {
        self.party.receive(topic, payload)?;
        Ok(match self.client.unprotect_to_vec(Timestamp::now(), topic, payload) {
            Ok(Unprotected::Message(message)) => {
                Understood::Text(String::from_utf8_lossy(&message.plaintext).into_owned())
            }
            Ok(Unprotected::CommandApplied(opcode)) => Understood::Command(opcode),
            Err(error) => Understood::Nothing(error),
        })
    }
}

fn provision(identity: Identity) -> Result<Client<MemoryStorage>, String> {
    Client::provision(MemoryStorage::new(), identity).map_err(|error| error.to_string())
}

/// What a device makes of a payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Understood {
    /// A message.
    Text(String),
    /// A command that was applied.
    Command(e4::Opcode),
    /// Nothing, and why.
    Nothing(e4::Error),
}

impl std::fmt::Display for Understood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Understood::Text(text) => write!(f, "reads \"{text}\""),
            Understood::Command(opcode) => write!(f, "{opcode} applied"),
            Understood::Nothing(error) => write!(f, "{error}"),
        }
    }
}
