// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Devices, and a broker between them and C2 that loses what a test wants it to lose.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use e4::wire::answer::StateDigest;
use e4::{Client, ClientId, IdKey, Identity, MemoryStorage, Mode, SigningKey, Timestamp};
use e4_c2::reconcile::{Engine, Event, Publisher};
use e4_c2::service::Service;
use e4_c2::store::Tx;

use super::database::new_client;
use super::fleet::{PATIENCE, apply, quick};

pub struct Device {
    pub name: String,
    pub client: Mutex<Client<MemoryStorage>>,
    pub answers: bool,
    world: Arc<World>,
}

type Loses = Box<dyn FnMut(&Device, &[u8]) -> bool + Send>;

pub struct World {
    devices: Mutex<HashMap<String, Arc<Device>>>,
    engines: Mutex<Vec<Sender<Event>>>,
    /// Whether a command on its way to a device is lost.
    pub loses: Mutex<Loses>,
    tokens: AtomicU64,
    pub carried: AtomicU64,
}

struct Wire {
    world: Arc<World>,
    events: Sender<Event>,
}

impl Publisher for Wire {
    fn publish(&self, topic: &str, payload: &[u8]) -> Result<u64, String> {
        let world = &self.world;
        let token = world.tokens.fetch_add(1, Ordering::SeqCst);
        let device = world.devices.lock().unwrap().get(topic).cloned();
        if let Some(device) = device
            && !(world.loses.lock().unwrap())(&device, payload)
        {
            world.carried.fetch_add(1, Ordering::SeqCst);
            device.take(payload);
        }
        // An engine that has ended hears nothing.
        let _ = self.events.send(Event::Published(token));
        Ok(token)
    }
}

impl World {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            devices: Mutex::default(),
            engines: Mutex::default(),
            loses: Mutex::new(Box::new(|_, _| false)),
            tokens: AtomicU64::new(0),
            carried: AtomicU64::new(0),
        })
    }

    pub fn lose(&self, loses: impl FnMut(&Device, &[u8]) -> bool + Send + 'static) {
        *self.loses.lock().unwrap() = Box::new(loses);
    }

    /// What a device says is heard by all.
    pub fn say(&self, topic: &str, payload: &[u8]) {
        for engine in self.engines.lock().unwrap().iter() {
            let event = Event::Answer { topic: topic.into(), payload: payload.into() };
            let _ = engine.send(event);
        }
    }

    pub fn engine(self: &Arc<Self>, service: &Service) -> Engine {
        let (store, clock) = (service.store().clone(), service.clock().clone());
        Engine::start(store, clock, quick(), |events| {
            self.engines.lock().unwrap().push(events.clone());
            events.send(Event::Connected).unwrap();
            Ok(Wire { world: self.clone(), events: events.clone() })
        })
        .unwrap()
    }

    pub fn device(self: &Arc<Self>, service: &Service, name: &str, answers: bool) -> Arc<Device> {
        let secret = apply(service, new_client(name)).secret.unwrap().0;
        let id = ClientId::from_name(name).unwrap();
        let identity = match service.mode() {
            Mode::Symmetric => Identity::symmetric(id, IdKey::from_slice(&secret).unwrap()),
            Mode::PublicKey => {
                let key = SigningKey::from_slice(&secret).unwrap();
                Identity::public_key(id, key, service.c2_public_key().unwrap()).unwrap()
            }
        };
        self.start(name, identity, answers)
    }

    /// A device that was provisioned by somebody else.
    pub fn start(self: &Arc<Self>, name: &str, identity: Identity, answers: bool) -> Arc<Device> {
        let client = Client::provision(MemoryStorage::new(), identity).unwrap();
        let control = client.control_topic().to_string();
        let world = self.clone();
        let device = Device { name: name.into(), client: client.into(), answers, world };
        let device = Arc::new(device);
        self.devices.lock().unwrap().insert(control, device.clone());
        device
    }
}

impl Device {
    /// Takes a command and answers it.
    fn take(&self, payload: &[u8]) {
        let mut client = self.client.lock().unwrap();
        let (now, control) = (Timestamp::now(), client.control_topic().to_string());
        // What it cannot open is for an earlier or later key of its own.
        let _ = client.unprotect_to_vec(now, &control, payload);
        if let (true, Ok(Some(answer))) = (self.answers, client.answer(now)) {
            self.world.say(&client.answer_topic().to_string(), &answer);
        }
    }

    pub fn hello(&self) {
        let client = self.client.lock().unwrap();
        let hello = client.hello(Timestamp::now()).unwrap();
        self.world.say(&client.answer_topic().to_string(), &hello);
    }

    pub fn topics(&self) -> u32 {
        self.client.lock().unwrap().topic_count()
    }

    /// Whether it holds what it should.
    pub fn is_right(&self, service: &Service) -> bool {
        let digest = |tx: &mut Tx| -> e4_c2::domain::Result<StateDigest> {
            let client = tx.client(&self.name)?;
            tx.wanted_digest(client.row)
        };
        let wanted = service.store().read(digest).unwrap();
        self.client.lock().unwrap().digest().unwrap() == wanted
    }

    /// Waits until it holds what it should.
    pub fn comes_right(&self, service: &Service) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.is_right(service) {
            let state = service.client_state(&self.name);
            assert!(std::time::Instant::now() < end, "not within {PATIENCE:?}: {state:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}
