// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Devices: the real client of the core with its state in a file, and a connection each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use e4::client::storage::FileStorage;
use e4::wire::answer::StateDigest;
use e4::{
    C2PublicKey, Client, ClientId, Error, IdKey, Identity, Mode, Settings, SigningKey, Unprotected,
};
use e4_c2::transport::{Event, Link, Options, Qos};

use crate::clock::StormClock;
use crate::plan;
use crate::proxy::Wire;

pub type Shared = Arc<Mutex<Client<FileStorage>>>;

/// What all devices counted, by word.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    pub fn add(&self, what: &str, number: u64) {
        *self.0.lock().unwrap().entry(what.to_string()).or_default() += number;
    }

    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}

pub struct Device {
    pub name: String,
    /// An old one, which never answers.
    pub silent: bool,
    clean: bool,
    file: PathBuf,
    pub wire: Wire,
    pub running: Option<Running>,
}

pub struct Running {
    pub client: Shared,
    pub link: Arc<Link>,
    pub heard: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    alive: Arc<AtomicBool>,
    events: Sender<Option<Event>>,
    worker: JoinHandle<()>,
}

impl Device {
    pub fn new(number: usize, silent: bool, clean: bool, directory: &Path, wire: Wire) -> Self {
        let name = plan::client(number);
        let file = directory.join(&name);
        Self { name, silent, clean, file, wire, running: None }
    }

    /// A new device, or the same one wiped, with a key that was put in by hand.
    pub fn provision(&mut self, key: &[u8; 32], c2: Option<C2PublicKey>) {
        assert!(self.running.is_none());
        let _ = std::fs::remove_file(&self.file);
        let id = ClientId::from_name(&self.name).unwrap();
        let identity = match c2 {
            None => Identity::symmetric(id, IdKey::from_slice(key).unwrap()),
            Some(c2) => Identity::public_key(id, SigningKey::from_seed(key).unwrap(), c2).unwrap(),
        };
        Client::provision(FileStorage::open(&self.file).unwrap(), identity).unwrap();
    }

    /// Takes its state from the file and connects.
    pub fn start(&mut self, clock: &Arc<StormClock>, topics: usize, tally: &Arc<Tally>) {
        if self.running.is_some() {
            return;
        }
        let mut client = Client::open(FileStorage::open(&self.file).unwrap()).unwrap();
        *client.settings_mut() = Settings { accept_unknown_signers: true, ..Settings::default() };
        let mut options = Options::new("127.0.0.1", self.wire.port, &self.name);
        (options.persistent, options.keep_alive) = (!self.clean, 5);
        let (events, inbox) = channel();
        let alive = Arc::new(AtomicBool::new(true));
        let (to_worker, living) = (events.clone(), alive.clone());
        // What a dead device was sent is acknowledged by nobody.
        let link = Link::connect(&options, move |event| {
            living.load(Ordering::SeqCst) && to_worker.send(Some(event)).is_ok()
        })
        .unwrap();
        link.subscribe(&client.control_topic(), Qos::ExactlyOnce).unwrap();
        let (client, link) = (Arc::new(Mutex::new(client)), Arc::new(link));
        let heard = Arc::default();
        let worker = Worker {
            client: client.clone(),
            link: link.clone(),
            heard: Arc::clone(&heard),
            clock: clock.clone(),
            tally: tally.clone(),
            silent: self.silent,
            topics: (0..topics).map(plan::topic).collect(),
            subscribed: BTreeSet::new(),
        };
        let worker = std::thread::Builder::new()
            .name(self.name.clone())
            .stack_size(1 << 18)
            .spawn(move || worker.run(&inbox))
            .unwrap();
        self.running = Some(Running { client, link, heard, alive, events, worker });
    }

    /// It is gone without a good-bye; its file stays.
    pub fn kill(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.alive.store(false, Ordering::SeqCst);
        self.wire.cut();
        let _ = running.events.send(None);
        running.worker.join().unwrap();
    }

    pub fn digest(&self) -> Option<StateDigest> {
        let running = self.running.as_ref()?;
        let digest = running.client.lock().unwrap().digest().unwrap();
        Some(digest)
    }
}

struct Worker {
    client: Shared,
    link: Arc<Link>,
    heard: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    clock: Arc<StormClock>,
    tally: Arc<Tally>,
    silent: bool,
    topics: Vec<String>,
    subscribed: BTreeSet<String>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Option<Event>>) {
        self.subscribe();
        let mut greeted = false;
        while let Ok(Some(event)) = inbox.recv() {
            match event {
                Event::Connected => greeted = false,
                Event::Subscribed if !self.silent && !greeted => {
                    greeted = true;
                    let client = self.client.lock().unwrap();
                    let hello = client.hello(self.clock.timestamp()).unwrap();
                    self.link.publish(&client.answer_topic(), Qos::AtLeastOnce, &hello).unwrap();
                    self.tally.add("hellos", 1);
                }
                Event::Message { topic, payload } => self.message(&topic, &payload),
                _ => {}
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8]) {
        let mut client = self.client.lock().unwrap();
        let now = self.clock.timestamp();
        let command = *topic == *client.control_topic();
        let word = match client.unprotect_to_vec(now, topic, payload) {
            Ok(Unprotected::CommandApplied(_)) => "commands applied".to_string(),
            Ok(Unprotected::Message(message)) => {
                self.heard.lock().unwrap().insert(message.plaintext);
                "messages read".to_string()
            }
            Err(error @ (Error::StateCorrupt | Error::Storage | Error::Internal)) => {
                panic!("{topic}: {error}")
            }
            Err(error) if command => format!("commands refused: {error}"),
            Err(error) => format!("messages not read: {error}"),
        };
        self.tally.add(&word, 1);
        if !command {
            return;
        }
        if let (false, Ok(Some(answer))) = (self.silent, client.answer(now)) {
            self.link.publish(&client.answer_topic(), Qos::AtLeastOnce, &answer).unwrap();
            self.tally.add("answers", 1);
        }
        drop(client);
        self.subscribe();
    }

    /// Listens to the topics of which it has the key.
    fn subscribe(&mut self) {
        let client = self.client.lock().unwrap();
        for topic in &self.topics {
            let held = client.has_topic(topic).unwrap();
            if held && self.subscribed.insert(topic.clone()) {
                let _ = self.link.subscribe(topic, Qos::AtLeastOnce);
            } else if !held && self.subscribed.remove(topic) {
                let _ = self.link.unsubscribe(topic);
            }
        }
    }
}

/// What came of a message between two devices.
pub enum Talked {
    /// One of them has no key of the topic, or another one than the other.
    NotTogether,
    Understood,
    /// The receiver knows another public key of the sender: it was not told the present one.
    SignatureOfAnother,
    Failed(Error),
}

/// A message from one device to the other, past the broker: if both hold the same key of the topic,
/// it has to be understood. That they do shows in the bytes, since protection is deterministic.
pub fn talk(from: &Shared, to: &Shared, clock: &StormClock, topic: &str, text: &[u8]) -> Talked {
    let from = from.lock().unwrap();
    let mut to = to.lock().unwrap();
    let now = clock.timestamp();
    let (Ok(said), Ok(same)) =
        (from.protect_to_vec(now, topic, text), to.protect_to_vec(now, topic, text))
    else {
        return Talked::NotTogether;
    };
    let sealed = match from.mode() {
        Mode::Symmetric => 0..said.len(),
        Mode::PublicKey => 24..said.len() - 64,
    };
    if said[sealed.clone()] != same[sealed] {
        return Talked::NotTogether;
    }
    match to.unprotect_to_vec(now, topic, &said) {
        Ok(Unprotected::Message(message)) if message.plaintext == text => Talked::Understood,
        Ok(_) => Talked::Failed(Error::Internal),
        Err(Error::SignatureInvalid) => Talked::SignatureOfAnother,
        Err(error) => Talked::Failed(error),
    }
}
