// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Several C2 processes on one database, here as several engines: together they bring every
//! client to what it should hold, while commands are lost and one of the engines ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::database::{attempt, join, leave, new_topic};
use common::fleet::{service, until};
use common::postgres::server;
use common::world::{Device, World, random};
use e4::Mode;
use e4_c2::domain::{Operation, State};
use e4_c2::reconcile::Engine;
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Verified};

const CLIENTS: usize = 12;
/// The last ones never answer.
const SILENT: usize = 3;

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
    let world = World::new();
    // For those that never answer it loses none: that it took a command is all that C2 learns.
    world.lose(|device, _| device.answers && random(5) == 0);
    let services: Vec<Service> = (0..3).map(|_| service(open(), mode)).collect();
    let mut engines: Vec<Engine> = services.iter().map(|one| world.engine(one)).collect();
    let device = |number: usize| {
        world.device(&services[number % 3], &format!("c{number}"), number < CLIENTS - SILENT)
    };
    let devices: Vec<Arc<Device>> = (0..CLIENTS).map(device).collect();
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
    for device in devices {
        device.comes_right(service);
        if device.answers {
            until(&format!("{} has said so", device.name), || {
                let state = service.client_state(&device.name).unwrap();
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
