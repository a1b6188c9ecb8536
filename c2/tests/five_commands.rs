// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A broker's acknowledgement is not delivery: one with persistence, killed after it acknowledged
//! five commands for a client that was away, may deliver none of them. The client ends with all
//! five keys nevertheless, be it one that says hello or an old one that never does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::fleet::{Device, apply, engine, join, provision, quick, service, settled, until};
use common::{Mosquitto, e4, free_port, wait_for_port};
use e4::{Client, MemoryStorage, Mode};
use e4_c2::domain::{Clock, Operation, State, SystemClock};
use e4_c2::reconcile::Patience;
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Store, Unlock};

const NAMES: [(&str, bool); 2] = [("pump", true), ("old", false)];

/// Clients with a session at the broker, which then go away.
fn away(service: &Service, port: u16) -> Vec<Client<MemoryStorage>> {
    let topic = Operation::NewTopic { topic: "plant/0".into() };
    apply(service, topic);
    NAMES
        .iter()
        .map(|(name, answers)| {
            let device = Device::connect(provision(service, name), "127.0.0.1", port, *answers);
            join(service, "plant/0", name);
            until("it is there", || device.topics() == 1);
            device.leave()
        })
        .collect()
}

/// Five topics for each, all of which the broker acknowledges.
fn five_commands(service: &Service) {
    for number in 1..=5 {
        let topic = format!("plant/{number}");
        apply(service, Operation::NewTopic { topic: topic.clone() });
        NAMES.iter().for_each(|(name, _)| join(service, &topic, name));
    }
    for (name, _) in NAMES {
        until("the broker acknowledged them", || {
            let state = service.client_state(name).unwrap();
            let taken = |state: State| state == State::Handed || state == State::Confirmed;
            state.deliveries.iter().all(|delivery| taken(delivery.state))
        });
    }
}

fn back(service: &Service, port: u16, clients: Vec<Client<MemoryStorage>>) {
    let devices: Vec<Device> = clients
        .into_iter()
        .zip(NAMES)
        .map(|(client, (_, answers))| Device::connect(client, "127.0.0.1", port, answers))
        .collect();
    for device in &devices {
        until("it holds all keys", || device.topics() == 6);
    }
    until("the one that answers confirmed them", || settled(service, "pump"));
}

fn through_mosquitto(mode: Mode) {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut broker) = Mosquitto::persistent(directory.path()) else { return };
    let service = service(Box::new(Sqlite::memory().unwrap()), mode);
    // Nothing is repeated before the broker is dead.
    let patience = Patience { first: Duration::from_secs(4), ..quick() };
    let _engine = engine(&service, "127.0.0.1", broker.port(), patience);
    let clients = away(&service, broker.port());
    five_commands(&service);
    broker.kill();
    assert!(broker.spawn());
    wait_for_port("mosquitto", broker.port());
    back(&service, broker.port(), clients);
}

#[test]
fn through_mosquitto_sk() {
    through_mosquitto(Mode::Symmetric);
}

#[test]
fn through_mosquitto_pk() {
    through_mosquitto(Mode::PublicKey);
}

struct Serve(Child);

impl Serve {
    fn start(data: &Path, port: u16, mode: &str) -> Self {
        let mut command = e4();
        command.args(["serve"]).args(common::ANY_PORTS).args([
            "--mode",
            mode,
            "--retry-first",
            "4",
            "--retry-longest",
            "4",
        ]);
        command.args(["--embedded-listen", &format!("127.0.0.1:{port}")]).arg("--data").arg(data);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let serve = Self(child);
        wait_for_port("the embedded broker", port);
        serve
    }

    /// SIGKILL, for C2 and its broker at once.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.kill();
    }
}

fn through_the_embedded_broker(mode: &str) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let port = free_port();
    let mut serve = Serve::start(&data, port, mode);
    let unlock = Unlock::KeyFile(std::fs::read(data.join("key")).unwrap().into());
    let database = Sqlite::file(&data.join("c2.sqlite")).unwrap();
    let clock = Arc::new(SystemClock);
    let store = Store::open(Box::new(database), &unlock, None, clock.now()).unwrap();
    let service = Service::new(Arc::new(store), clock);
    let clients = away(&service, port);
    five_commands(&service);
    serve.kill();
    let _serve = Serve::start(&data, port, mode);
    back(&service, port, clients);
}

#[test]
fn through_the_embedded_broker_sk() {
    through_the_embedded_broker("symmetric");
}

#[test]
fn through_the_embedded_broker_pk() {
    through_the_embedded_broker("public-key");
}
