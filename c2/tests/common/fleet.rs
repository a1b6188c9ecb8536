// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2 and devices in one process, each device with a connection of its own.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e4::wire::answer::StateDigest;
use e4::{
    Client, ClientId, IdKey, Identity, MemoryStorage, Mode, SigningKey, Timestamp, Unprotected,
};
use e4_c2::domain::{Caller, Clock, Credential, Operation, Outcome, State, SystemClock};
use e4_c2::reconcile::{Engine, Patience};
use e4_c2::service::Service;
use e4_c2::store::{Database, Store, Tx, Unlock};
use e4_c2::transport::{Commands, Event, Link, Options, Qos};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn unlock() -> Unlock {
    Unlock::KeyFile(vec![7; 32].into())
}

/// Waits until something is true.
pub fn until(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn quick() -> Patience {
    Patience {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(2),
        lease: Duration::from_secs(5),
        poll: Duration::from_millis(20),
        ..Patience::default()
    }
}

/// The operations, without a reconciler.
pub fn service(database: Box<dyn Database>, mode: e4::Mode) -> Service {
    let clock = Arc::new(SystemClock);
    let store = Store::open(database, &unlock(), Some(mode), clock.now()).unwrap();
    Service::new(Arc::new(store), clock)
}

pub fn engine(service: &Service, host: &str, port: u16, patience: Patience) -> Engine {
    let options = Options::new(host, port, &format!("c2-{}", random_name()));
    let (store, clock) = (service.store().clone(), service.clock().clone());
    Engine::start(store, clock, patience, |events| {
        Commands::connect(&options, Qos::ExactlyOnce, events)
    })
    .unwrap()
}

pub fn random_name() -> String {
    e4::ClientId::random().unwrap().to_string()
}

pub fn apply(service: &Service, operation: Operation) -> Outcome {
    service
        .apply(&Caller::new("test", "test"), &operation)
        .unwrap_or_else(|error| panic!("{operation:?}: {error}"))
}

/// A device with its keys in memory and a thread that takes commands and answers them.
pub struct Device {
    pub client: Arc<Mutex<Client<MemoryStorage>>>,
    pub messages: Receiver<Vec<u8>>,
    link: Arc<Link>,
}

impl Device {
    /// `answers`: whether it is one of ours, or an old one that never says a word.
    pub fn connect(client: Client<MemoryStorage>, host: &str, port: u16, answers: bool) -> Self {
        let options = Options::new(host, port, &client.id().to_string());
        let options = Options { persistent: true, ..options };
        let client = Arc::new(Mutex::new(client));
        let (sender, messages) = channel();
        let (to_worker, events) = channel();
        let link = Link::connect(&options, move |event| to_worker.send(event).is_ok()).unwrap();
        let link = Arc::new(link);
        let control = client.lock().unwrap().control_topic().to_string();
        link.subscribe(&control, Qos::ExactlyOnce).unwrap();
        let (own, wire) = (client.clone(), Arc::downgrade(&link));
        std::thread::spawn(move || {
            for event in events {
                let Some(link) = wire.upgrade() else { return };
                let mut client = own.lock().unwrap();
                let now = Timestamp::now();
                let topic = client.answer_topic().to_string();
                match event {
                    Event::Subscribed if answers => {
                        let hello = client.hello(now).unwrap();
                        link.publish(&topic, Qos::AtLeastOnce, &hello).unwrap();
                    }
                    Event::Message { topic: at, payload } => {
                        let understood = client.unprotect_to_vec(now, &at, &payload);
                        if at == *client.control_topic() {
                            if let (true, Ok(Some(answer))) = (answers, client.answer(now)) {
                                link.publish(&topic, Qos::AtLeastOnce, &answer).unwrap();
                            }
                        } else if let Ok(Unprotected::Message(message)) = understood {
                            let _ = sender.send(message.plaintext);
                        }
                    }
                    _ => {}
                }
            }
        });
        Self { client, messages, link }
    }

    /// Says good-bye, and hands back what it holds.
    pub fn leave(self) -> Client<MemoryStorage> {
        let client = self.client.clone();
        drop(self);
        until("the device is gone", || Arc::strong_count(&client) == 1);
        Arc::into_inner(client).unwrap().into_inner().unwrap()
    }

    /// Says how it stands, as it does at each connection.
    pub fn hello(&self) {
        let client = self.client.lock().unwrap();
        let hello = client.hello(Timestamp::now()).unwrap();
        self.link.publish(&client.answer_topic(), Qos::AtLeastOnce, &hello).unwrap();
    }

    pub fn topics(&self) -> u32 {
        self.client.lock().unwrap().topic_count()
    }

    /// A command that reaches the device in another way than through C2.
    pub fn inject(&self, command: &[u8]) {
        let mut client = self.client.lock().unwrap();
        let control = client.control_topic();
        client.unprotect_to_vec(Timestamp::now(), &control, command).unwrap();
        // Nobody is told.
        let _ = client.answer(Timestamp::now());
    }

    pub fn digest(&self) -> e4::wire::answer::StateDigest {
        self.client.lock().unwrap().digest().unwrap()
    }
}

/// Provisions a client by hand, new or anew: its key is put in.
pub fn provision(service: &Service, name: &str) -> Client<MemoryStorage> {
    let operation = Operation::NewClient { client: name.into(), credential: Credential::Random };
    let secret = apply(service, operation).secret.unwrap();
    let id = ClientId::from_name(name).unwrap();
    let identity = match service.mode() {
        Mode::Symmetric => Identity::symmetric(id, IdKey::from_slice(&secret.0).unwrap()),
        Mode::PublicKey => {
            let c2 = service.c2_public_key().unwrap();
            Identity::public_key(id, SigningKey::from_slice(&secret.0).unwrap(), c2).unwrap()
        }
    };
    Client::provision(MemoryStorage::new(), identity).unwrap()
}

pub fn join(service: &Service, topic: &str, client: &str) {
    apply(service, Operation::NewTopicClient { topic: topic.into(), client: client.into() });
}

/// Whether a client has said that it holds everything it should.
pub fn settled(service: &Service, client: &str) -> bool {
    let state = service.client_state(client).unwrap();
    state.deliveries.iter().all(|delivery| delivery.state == State::Confirmed)
}

/// What the client should hold, by its digest.
pub fn wanted(service: &Service, client: &str) -> StateDigest {
    let digest = |tx: &mut Tx| {
        let client = tx.client(client)?;
        tx.wanted_digest(client.row)
    };
    service.store().read(digest).unwrap()
}

impl Drop for Device {
    fn drop(&mut self) {
        self.link.disconnect();
    }
}
