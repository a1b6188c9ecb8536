// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A client of e4 and the model of PROTOCOL.md side by side: what goes into one goes into the
//! other, and nothing may come out differently.

use std::collections::BTreeMap;

use e4::client::import::Imported;
use e4::crypto::keys::SharedKey;
use e4::protect::{self, Window};
use e4::{
    C2PublicKey, Client, ClientId, Command, Error, IdKey, Identity, MemoryStorage, Settings,
    SigningKey, Timestamp, TopicHash, Unprotected,
};
use serde_json::Value;

use super::json::{Check, array, hex_map, optional, same, text};
use super::model::{self, Key, Outcome, Own, State, Tolerance, Topic, control_topic};
use super::rules::{Facts, Peer, Rule, compare};

/// When the keys of a case are given to the client: before any time that a case may have.
const SETUP: u64 = 1;

/// Topics whose hash only a case names are made up for trials.
const PROBE: &str = "probe/of the runner";

/// The client, the model, and what is tolerated.
pub struct Device {
    /// The client under test.
    pub client: Client<MemoryStorage>,
    /// What it must be.
    pub model: State,
    /// What both tolerate.
    pub tolerance: Tolerance,
    libe4_options: u64,
}

fn refused<T>(what: &str, result: e4::Result<T>) -> Check<T> {
    result.map_err(|error| format!("{what}: {} ({})", error.name(), error))
}

/// The keys of a client as the cases of every kind name them.
pub fn own_keys(value: &Value) -> Check<Own> {
    for name in ["client_key", "receiver_key", "key"] {
        if optional(value, name).is_some() {
            return Ok(Own::Symmetric(array(value, name)?));
        }
    }
    for name in ["client_ed_private", "receiver_ed_private", "private_key"] {
        if optional(value, name).is_some() {
            let c2 = if optional(value, "c2_pub").is_some() { "c2_pub" } else { "c2_x_public" };
            return Ok(Own::Pair(array(value, name)?, array(value, c2)?));
        }
    }
    Err("the case has no key of a client".into())
}

/// The state that a case gives in e4go's form, where a key of 40 bytes under the hash of a topic
/// hash is a replaced one and its time.
pub fn state_of(value: &Value) -> Check<State> {
    let mut state = State::new(array(value, "id")?, own_keys(value)?);
    let entries = hex_map(value, "topic_keys")?;
    for (hash, key) in &entries {
        let Ok(key) = <Key>::try_from(key.as_slice()) else { continue };
        let replaced = entries.get(&model::short(hash));
        let previous = replaced.and_then(|old| {
            let (old, time) = old.split_last_chunk::<8>()?;
            Some((old.try_into().ok()?, u64::from_le_bytes(*time)))
        });
        state.topics.insert(*hash, Topic { key, previous });
    }
    for (id, key) in hex_map(value, "pub_keys")? {
        state.peers.insert(id, to_key(&key)?);
    }
    Ok(state)
}

fn to_key(bytes: &[u8]) -> Check<Key> {
    bytes.try_into().map_err(|_| "a key of the case does not have 32 bytes".to_string())
}

/// What a case says of its client: `client_id` and `initial_*`, or `receiver_*`.
pub fn initial(value: &Value) -> Check<State> {
    let of = |names: [&'static str; 2]| {
        names.into_iter().find(|name| optional(value, name).is_some()).unwrap_or(names[0])
    };
    let mut state = State::new(array(value, of(["client_id", "receiver_id"]))?, own_keys(value)?);
    for (hash, key) in hex_map(value, "initial_topic_keys")? {
        state.topics.insert(hash, Topic { key: to_key(&key)?, previous: None });
    }
    // Those of a receiver are named by the topic itself.
    if let Some(topics) = value.get("receiver_topic_keys").and_then(Value::as_object) {
        for name in topics.keys() {
            let key = array(value.get("receiver_topic_keys").unwrap_or(&Value::Null), name)?;
            state.topics.insert(model::short(name.as_bytes()), Topic { key, previous: None });
        }
    }
    for (id, key) in hex_map(value, of(["initial_pub_keys", "receiver_pub_keys"]))? {
        state.peers.insert(id, to_key(&key)?);
    }
    Ok(state)
}

fn identity(state: &State) -> Check<Identity> {
    let id = ClientId::from_bytes(state.id);
    match &state.own {
        Own::Symmetric(key) => {
            Ok(Identity::symmetric(id, refused("id key", IdKey::from_slice(key))?))
        }
        Own::Pair(pair, c2) => {
            let signing = refused("private key", SigningKey::from_slice(pair))?;
            let c2 = refused("C2 key", C2PublicKey::from_slice(c2))?;
            refused("identity", Identity::public_key(id, signing, c2))
        }
    }
}

/// A command protected through the public API under a key of either mode.
fn protect_command(state: &State, now: u64, command: &Command) -> Check<Vec<u8>> {
    let now = Timestamp::from_secs(now);
    let protected = match &state.own {
        Own::Symmetric(key) => {
            protect::protect_command(&refused("id key", IdKey::from_slice(key))?, now, command)
        }
        Own::Pair(pair, c2) => {
            let signing = refused("private key", SigningKey::from_slice(pair))?;
            let c2 = refused("C2 key", C2PublicKey::from_slice(c2))?;
            let shared = refused("shared key", SharedKey::for_client(&signing, &c2))?;
            same("shared key", &state.command_key(), shared.expose())?;
            protect::protect_command(&shared, now, command)
        }
    };
    Ok(refused("protect_command", protected)?.to_vec())
}

impl Device {
    /// Provisions a client and gives it its keys by commands.
    pub fn provision(state: &State, tolerance: Tolerance, libe4_options: u64) -> Check<Self> {
        let client =
            refused("provision", Client::provision(MemoryStorage::new(), identity(state)?))?;
        let model = State::new(state.id, state.own.clone());
        let mut device = Self { client, model, tolerance, libe4_options };
        device.apply_settings();
        let topics = state.topics.iter().map(|(hash, topic)| [&[3][..], &topic.key, hash].concat());
        let peers = state.peers.iter().map(|(id, key)| [&[6][..], key, id].concat());
        for plain in topics.chain(peers) {
            let command = refused("initial key", Command::decode(&plain))?;
            let protected = protect_command(&device.model, SETUP, &command)?;
            let control = control_topic(&state.id);
            match device.receive(SETUP, &control, &protected)?.0 {
                Outcome::Command(_) => {}
                other => return Err(format!("an initial key was refused: {other:?}")),
            }
        }
        // What a case says of time is told to both from here on; the setup does not count.
        Ok(device)
    }

    /// Imports a state file of a peer.
    pub fn import(state: State, file: e4::Result<Imported>, tolerance: Tolerance) -> Check<Self> {
        let imported = refused("import", file)?;
        same("imported id", &state.id, imported.id().as_bytes())?;
        let client = refused("import", Client::import(MemoryStorage::new(), imported))?;
        let mut device = Self { client, model: state, tolerance, libe4_options: 0 };
        device.apply_settings();
        device.check_state()?;
        Ok(device)
    }

    fn apply_settings(&mut self) {
        let seconds = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        *self.client.settings_mut() = Settings {
            window: Window {
                past: seconds(self.tolerance.past),
                future: seconds(self.tolerance.future),
            },
            transition: seconds(self.tolerance.transition),
            accept_unknown_signers: self.tolerance.unknown_signers,
        };
    }

    /// Gives both the same message. Returns the ruling and the plaintext of a command that
    /// authenticated.
    pub fn receive(
        &mut self,
        now: u64,
        topic: &str,
        bytes: &[u8],
    ) -> Check<(Outcome, Option<Vec<u8>>)> {
        let is_command = topic == control_topic(&self.model.id);
        let plain = bytes
            .split_first_chunk::<8>()
            .filter(|_| is_command)
            .and_then(|(time, sealed)| model::open_sealed(&self.model.command_key(), time, sealed));
        if let (Some(command), Some(time)) = (&plain, bytes.first_chunk::<8>()) {
            self.check_producer(command, u64::from_le_bytes(*time), bytes)?;
        }
        let expected = self.model.receive(Some(now), &self.tolerance, topic, bytes);
        let got = self.client.unprotect_to_vec(Timestamp::from_secs(now), topic, bytes);
        match (&expected, got) {
            (Outcome::Message { payload, .. }, Ok(Unprotected::Message(message))) => {
                same("payload", payload, &message.plaintext)?;
                if !message.signer.is_none_or(|signer| {
                    signer.verified == self.model.peers.contains_key(signer.id.as_bytes())
                }) {
                    return Err("signer: said to be verified without a key, or not with one".into());
                }
            }
            (Outcome::Command(plain), Ok(Unprotected::CommandApplied(opcode))) => {
                same("opcode", plain.get(..1).unwrap_or_default(), &[opcode as u8])?;
            }
            (Outcome::Refused(error), Err(got)) if *error == got => {}
            (expected, got) => {
                return Err(format!("expected {expected:?}, got {}", describe(&got)));
            }
        }
        self.check_answer(now, bytes, is_command, &expected, plain.is_some())?;
        self.check_state()?;
        Ok((expected, plain))
    }

    /// The bytes that a peer made are the bytes that we make.
    fn check_producer(&self, plain: &[u8], time: u64, protected: &[u8]) -> Check {
        match Command::decode(plain) {
            Ok(command) => {
                same("encoded command", plain, &command.encode())?;
                same("protected command", protected, &protect_command(&self.model, time, &command)?)
            }
            // What cannot be decoded cannot be built.
            Err(_) => Ok(()),
        }
    }

    /// Sections 8 and 11: a command that authenticated is answered under the key after it, unless
    /// it is a replay; nothing else is.
    fn check_answer(
        &mut self,
        now: u64,
        bytes: &[u8],
        is_command: bool,
        outcome: &Outcome,
        authentic: bool,
    ) -> Check {
        if !is_command {
            return Ok(());
        }
        let expected = match outcome {
            Outcome::Command(_) => Some(0),
            Outcome::Refused(error) if authentic => match error {
                Error::Replayed | Error::TimestampInFuture | Error::TimestampTooOld => None,
                error => Some(error.number().to_le_bytes()[0]),
            },
            _ => None,
        };
        let answer = refused("answer", self.client.answer(Timestamp::from_secs(now)))?;
        let (Some(status), Some(answer)) = (expected, answer) else {
            return match (expected, answer) {
                (None, None) => Ok(()),
                _ => Err(format!("answer: expected {expected:?}, got {answer:?}")),
            };
        };
        let (time, sealed) = answer.split_at(8);
        let opened = model::open_answer(&self.model.command_key(), time, sealed)
            .ok_or("answer: does not open under the key after the command")?;
        let siv = bytes.get(8..24).unwrap_or_default();
        same("answer", &[&[1][..], siv, &[status], &self.model.digest()].concat(), &opened)
    }

    /// Everything that the public API shows of the state.
    pub fn check_state(&self) -> Check {
        let digest = refused("digest", self.client.digest())?;
        same("state digest", &self.model.digest(), &digest.0)?;
        let counts = (self.client.topic_count() as usize, self.client.peer_count() as usize);
        if counts != (self.model.topics.len(), self.model.peers.len()) {
            return Err(format!("topic and peer count: got {counts:?}"));
        }
        match (&self.model.own, self.client.public_key()) {
            (Own::Pair(pair, _), Some(public)) => {
                same("public key", pair.get(32..).unwrap_or_default(), public.as_bytes())
            }
            (Own::Symmetric(_), None) => Ok(()),
            _ => Err("public key: there without a key pair, or missing".into()),
        }
    }

    /// Protects at the time of an expected message: the same bytes must come out.
    pub fn protect(&self, now: u64, topic: &str, payload: &[u8]) -> e4::Result<Vec<u8>> {
        self.client.protect_to_vec(Timestamp::from_secs(now), topic, payload)
    }

    /// Tries the keys by using them: messages for the topics of a case, and a fresh command, which
    /// only the right identity opens.
    pub fn trial(&mut self, now: u64, topics: &[String]) -> Check {
        for topic in topics {
            let hash = refused("topic", TopicHash::from_topic(topic))?;
            let entry = self.model.topics.get(hash.as_bytes());
            if refused("has_topic", self.client.has_topic(topic))? != entry.is_some() {
                return Err(format!("has_topic({topic:?}): expected {}", entry.is_some()));
            }
            match (entry, self.protect(now, topic, b"trial")) {
                (None, Err(Error::TopicKeyMissing)) => {}
                (Some(entry), Ok(message)) => {
                    let (time, rest) = message.split_at(8);
                    let sealed = match &self.model.own {
                        Own::Symmetric(_) => rest,
                        Own::Pair(..) => rest.get(16..rest.len() - 64).unwrap_or_default(),
                    };
                    if model::open_sealed(&entry.key, time, sealed).as_deref() != Some(b"trial") {
                        return Err(format!("protect for {topic:?} uses another key"));
                    }
                }
                (_, got) => return Err(format!("protect for {topic:?}: got {got:?}")),
            }
        }
        let probe = TopicHash::from_topic(PROBE).map_err(|error| error.to_string())?;
        let plain = [&[3][..], &[0x5a; 32], probe.as_bytes()].concat();
        let command = refused("probe", Command::decode(&plain))?;
        let time = now.max(self.model.mark.0);
        let protected = protect_command(&self.model, time, &command)?;
        match self.receive(time, &control_topic(&self.model.id), &protected)?.0 {
            Outcome::Command(_) => Ok(()),
            other => Err(format!("a fresh command under the expected key: {other:?}")),
        }
    }

    /// One step of a case: both receive; then the peers' answers are held against the ruling.
    /// Returns the rules that were needed, and whether any peer differs in what it took.
    pub fn step(
        &mut self,
        now: u64,
        topic: &str,
        protected: &[u8],
        peers: &[Peer<'_>],
    ) -> Check<Step> {
        let before = self.model.clone();
        let (ours, command) = self.receive(now, topic, protected)?;
        let mut rules = Vec::new();
        let mut diverged = false;
        for peer in peers {
            let facts = Facts {
                before: &before,
                tolerance: &self.tolerance,
                libe4_options: self.libe4_options,
                now: peer.clock().unwrap_or(now),
                topic,
                protected,
                command: command.as_deref(),
                ours: &ours,
            };
            rules.extend(compare(&facts, peer)?);
            let accepted = !matches!(ours, Outcome::Refused(_));
            diverged |= accepted != peer.accepted();
        }
        // What both refuse is refused, and what both take is taken, with the exceptions that the
        // protocol itself makes.
        let all = |yes: bool| peers.len() == 2 && peers.iter().all(|peer| peer.accepted() == yes);
        match &ours {
            Outcome::Refused(Error::InvalidKey | Error::Replayed | Error::SignerUnknown) => {}
            Outcome::Refused(error) if all(true) => {
                return Err(format!("both peers accept, refused with {}", error.name()));
            }
            Outcome::Message { .. } | Outcome::Command(_) if all(false) => {
                return Err("both peers refuse, accepted".into());
            }
            _ => {}
        }
        Ok(Step { ours, command, rules, diverged })
    }

    /// Compares the model with the state of e4go.
    pub fn same_as_e4go(&self, value: &Value) -> Check {
        let mut theirs = state_of(value)?;
        same("id in e4go's state", &theirs.id, &self.model.id)?;
        // Section 4: a refused command changes nothing; e4go keeps the C2 key that it refused.
        let with_refused = match (&self.model.own, self.model.refused_c2) {
            (Own::Pair(pair, _), Some(c2)) => Some(Own::Pair(*pair, c2)),
            _ => None,
        };
        if theirs.own != self.model.own && Some(&theirs.own) != with_refused.as_ref() {
            return Err("the keys of the client in e4go's state are others".into());
        }
        // The clock is read within the call, and may show the next second.
        for (hash, topic) in &mut theirs.topics {
            let ours = self.model.topics.get(hash).and_then(|topic| topic.previous);
            if let (Some((_, at)), Some((_, ours))) = (&mut topic.previous, ours)
                && at.abs_diff(ours) <= 1
            {
                *at = ours;
            }
        }
        self.same_tables("e4go", &theirs.topics, &theirs.peers, &self.model.peers)
    }

    /// Compares the model with the state of libe4, which keeps no replaced keys (section 7), and
    /// keeps public keys that were removed (section 10).
    pub fn same_as_libe4(&self, value: &Value) -> Check {
        let theirs = state_of(value)?;
        same("id in libe4's state", &theirs.id, &self.model.id)?;
        if theirs.own != self.model.own {
            return Err("the keys of the client in libe4's state are others".into());
        }
        let mut topics = self.model.clone().topics;
        topics.values_mut().for_each(|topic| topic.previous = None);
        let mut peers = self.model.peers.clone();
        peers.extend(self.model.removed.clone());
        let ours = State { topics, ..self.model.clone() };
        let device = (&ours.topics, &peers);
        if device != (&theirs.topics, &theirs.peers) {
            return Err("the keys in libe4's state are others".into());
        }
        Ok(())
    }

    fn same_tables(
        &self,
        who: &str,
        topics: &BTreeMap<model::Id, Topic>,
        peers: &BTreeMap<model::Id, Key>,
        ours: &BTreeMap<model::Id, Key>,
    ) -> Check {
        if *topics != self.model.topics {
            return Err(format!("the topic keys in {who}'s state are others"));
        }
        if peers != ours {
            return Err(format!("the public keys in {who}'s state are others"));
        }
        Ok(())
    }
}

/// What a step showed.
pub struct Step {
    /// The ruling.
    pub ours: Outcome,
    /// The plaintext of a command that authenticated.
    pub command: Option<Vec<u8>>,
    /// The rules that were needed.
    pub rules: Vec<&'static Rule>,
    /// Whether a peer took what is refused, or the other way round.
    pub diverged: bool,
}

fn describe(got: &e4::Result<Unprotected<Vec<u8>>>) -> String {
    match got {
        Ok(Unprotected::Message(message)) => {
            format!("a message of {} bytes", message.plaintext.len())
        }
        Ok(Unprotected::CommandApplied(opcode)) => format!("{opcode} applied"),
        Err(error) => error.name().to_string(),
    }
}

/// The names of the topics of a case.
pub fn topics_of(value: &Value) -> Vec<String> {
    let listed = value.get("initial_topics").and_then(Value::as_array);
    let names = listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_string);
    let keyed = value.get("receiver_topic_keys").and_then(Value::as_object);
    let keyed = keyed.into_iter().flat_map(|map| map.keys().cloned());
    let own = text(value, "topic").ok().filter(|topic| !topic.starts_with("e4/"));
    names.chain(keyed).chain(own.map(str::to_string)).collect()
}
