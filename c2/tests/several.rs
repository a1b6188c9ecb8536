// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Several C2 processes on one database, here as several engines: together they bring every
//! client to what it should hold, while commands are lost and one of the engines ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use common::database::{attempt, join, leave, new_client, new_topic};
use common::fleet::{apply, quick, service, until};
use common::postgres::server;
use e4::{Client, ClientId, IdKey, Identity, MemoryStorage, Mode, SigningKey, Timestamp};
use e4_c2::domain::{Operation, State};
use e4_c2::reconcile::{Engine, Event, Publisher};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Tx, Verified};

const CLIENTS: usize = 12;
/// The last ones never answer.
const SILENT: usize = 3;

struct Device {
    client: Mutex<Client<MemoryStorage>>,
    answers: bool,
}

/// Devices, and a broker between them and the engines that loses one command in five. For those
/// that never answer it loses none: that it took a command is all that C2 learns of them.
#[derive(Default)]
struct World {
    devices: Mutex<HashMap<String, Arc<Device>>>,
    engines: Mutex<Vec<Sender<Event>>>,
    tokens: AtomicU64,
    carried: AtomicU64,
}

struct Wire {
    world: Arc<World>,
    events: Sender<Event>,
}

impl Publisher for Wire {
    fn publish(&self, topic: &str, payload: &[u8]) -> Result<u64, String> {
        let token = self.world.tokens.fetch_add(1, Ordering::SeqCst);
        let device = self.world.devices.lock().unwrap().get(topic).cloned();
        if let Some(device) = device.filter(|device| !device.answers || random(5) > 0) {
            self.world.carried.fetch_add(1, Ordering::SeqCst);
            let mut client = device.client.lock().unwrap();
            let now = Timestamp::now();
            // What it cannot open is for an earlier or later key of its own.
            let _ = client.unprotect_to_vec(now, topic, payload);
            if let (true, Ok(Some(answer))) = (device.answers, client.answer(now)) {
                let topic = client.answer_topic().to_string();
                for engine in self.world.engines.lock().unwrap().iter() {
                    let (topic, payload) = (topic.clone(), answer.to_vec());
                    // One that has ended hears nothing.
                    let _ = engine.send(Event::Answer { topic, payload });
                }
            }
        }
        let _ = self.events.send(Event::Published(token));
        Ok(token)
    }
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

fn start(world: &Arc<World>, service: &Service) -> Engine {
    let (store, clock) = (service.store().clone(), service.clock().clone());
    Engine::start(store, clock, quick(), |events| {
        world.engines.lock().unwrap().push(events.clone());
        events.send(Event::Connected).unwrap();
        Ok(Wire { world: world.clone(), events: events.clone() })
    })
    .unwrap()
}

fn device(world: &World, service: &Service, number: usize) {
    let name = format!("c{number}");
    let secret = apply(service, new_client(&name)).secret.unwrap().0;
    let id = ClientId::from_name(&name).unwrap();
    let identity = match service.mode() {
        Mode::Symmetric => Identity::symmetric(id, IdKey::from_slice(&secret).unwrap()),
        Mode::PublicKey => {
            let key = SigningKey::from_slice(&secret).unwrap();
            Identity::public_key(id, key, service.c2_public_key().unwrap()).unwrap()
        }
    };
    let client = Client::provision(MemoryStorage::new(), identity).unwrap();
    let control = client.control_topic().to_string();
    let device = Device { client: client.into(), answers: number < CLIENTS - SILENT };
    world.devices.lock().unwrap().insert(control, Arc::new(device));
}

fn operation(mode: Mode) -> Operation {
    let client = || format!("c{}", random(CLIENTS as u64));
    let topic = || format!("plant/{}", random(4));
    let (source, target) = (client(), client());
    match random(if mode == Mode::PublicKey { 15 } else { 11 }) {
        0..=2 => new_topic(&topic()),
        3..=5 => join(&topic(), &client()),
        6 => leave(&topic(), &client()),
        7 => Operation::NewClientKey { client: client() },
        8 => Operation::ResetClient { client: client() },
        9 => Operation::RemoveTopic { topic: topic() },
        10 => Operation::Resync { client: Some(client()) },
        11 => Operation::SendClientPubKey { source, target },
        12 => Operation::LinkClient { source, target },
        13 => Operation::RemoveClientPubKey { source, target },
        _ => Operation::NewC2Key,
    }
}

fn story(mode: Mode, open: &dyn Fn() -> Box<dyn Database>) {
    let world = Arc::new(World::default());
    let services: Vec<Service> = (0..3).map(|_| service(open(), mode)).collect();
    let mut engines: Vec<Engine> = services.iter().map(|one| start(&world, one)).collect();
    for number in 0..CLIENTS {
        device(&world, &services[number % 3], number);
    }
    std::thread::scope(|scope| {
        for service in &services {
            scope.spawn(|| {
                for _ in 0..40 {
                    // Most find what they need; those that do not are refused.
                    let _ = attempt(service, operation(mode));
                    std::thread::sleep(std::time::Duration::from_millis(random(40)));
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        // One ends in the middle, with what it had in hand.
        drop(engines.remove(1));
    });
    let service = &services[0];
    for number in 0..CLIENTS {
        let name = format!("c{number}");
        let control = e4::ClientTopic::control(ClientId::from_name(&name).unwrap()).to_string();
        let device = world.devices.lock().unwrap()[&control].clone();
        let digest = |tx: &mut Tx| {
            let client = tx.client(&name)?;
            tx.wanted_digest(client.row)
        };
        let what = || format!("{name} holds what it should: {:?}", service.client_state(&name));
        until_or(what, || {
            let wanted = service.store().read(digest).unwrap();
            device.client.lock().unwrap().digest().unwrap() == wanted
        });
        if device.answers {
            until(&format!("{name} has said so"), || {
                let state = service.client_state(&name).unwrap();
                assert_eq!(state.trouble, None);
                state.deliveries.iter().all(|item| item.state == State::Confirmed)
            });
        }
    }
    assert!(matches!(service.store().verify_audit(), Ok(Verified::Intact(_))));
    // None did all of it alone.
    for engine in &engines {
        assert!(engine.figures().sent.load(Ordering::Relaxed) > 0);
    }
    println!("{} commands", world.carried.load(Ordering::SeqCst));
}

/// Like [`until`], with a look at what is there in the end.
fn until_or(what: impl Fn() -> String, mut check: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + common::fleet::PATIENCE;
    while !check() {
        assert!(std::time::Instant::now() < end, "not in time: {}", what());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn postgres(mode: Mode) {
    let Some(server) = server() else { return };
    let address = server.database();
    story(mode, &|| Box::new(Postgres::new(&address, None, None).unwrap()));
}

fn sqlite(mode: Mode) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c2.sqlite");
    story(mode, &|| Box::new(Sqlite::file(Path::new(&path)).unwrap()));
}

#[test]
fn on_postgres_sk() {
    postgres(Mode::Symmetric);
}

#[test]
fn on_postgres_pk() {
    postgres(Mode::PublicKey);
}

#[test]
fn on_sqlite_sk() {
    sqlite(Mode::Symmetric);
}

#[test]
fn on_sqlite_pk() {
    sqlite(Mode::PublicKey);
}
