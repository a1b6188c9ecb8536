// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2 comes back from a backup: clients come back by themselves where C2 holds a key that they may
//! have, and where it does not, C2 says which they are and why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use common::fleet::{
    Device, apply, engine, join, provision, quick, service, settled, unlock, until, wanted,
};
use e4::Mode;
use e4_c2::domain::{Caller, Clock, Operation, Page, SystemClock};
use e4_c2::reconcile::Engine;
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, restore};
use e4_c2::transport::Broker;

/// How a backup is made.
#[derive(Clone, Copy)]
enum Way {
    /// A copy of the file, and C2 is started on it.
    Copy,
    /// As C2 makes one, and restored.
    Backup,
}

struct Site {
    broker: Broker,
    directory: tempfile::TempDir,
    mode: Mode,
    way: Way,
}

impl Site {
    fn new(mode: Mode, way: Way) -> Self {
        let broker = Broker::start().unwrap();
        Self { broker, directory: tempfile::tempdir().unwrap(), mode, way }
    }

    /// C2 on a database in a file.
    fn c2(&self, file: &Path) -> (Service, Engine) {
        let service = service(Box::new(Sqlite::file(file).unwrap()), self.mode);
        let address = self.broker.address();
        let engine = engine(&service, &address.ip().to_string(), address.port(), quick());
        (service, engine)
    }

    fn live(&self) -> PathBuf {
        self.directory.path().join("live.sqlite")
    }

    /// While C2 works.
    fn backup(&self, service: &Service) -> PathBuf {
        let backup = self.directory.path().join("backup");
        match self.way {
            Way::Copy => {
                let live = rusqlite::Connection::open(self.live()).unwrap();
                live.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
            }
            Way::Backup => {
                let mut file = service.backup(&Caller::new("ann", "test")).unwrap();
                std::io::copy(&mut file, &mut std::fs::File::create(&backup).unwrap()).unwrap();
            }
        }
        backup
    }

    /// The database that came out of it.
    fn restore(&self, backup: &Path) -> PathBuf {
        match self.way {
            Way::Copy => backup.to_path_buf(),
            Way::Backup => {
                let file = self.directory.path().join("restored.sqlite");
                let database = Sqlite::file(&file).unwrap();
                let who = Caller::new("ann", "test");
                restore(backup, &database, &unlock(), &who, SystemClock.now()).unwrap();
                file
            }
        }
    }

    fn connect(&self, client: e4::Client<e4::MemoryStorage>) -> Device {
        let address = self.broker.address();
        Device::connect(client, &address.ip().to_string(), address.port(), true)
    }

    fn device(&self, service: &Service, name: &str) -> Device {
        self.connect(provision(service, name))
    }
}

fn troubled(service: &Service) -> Vec<String> {
    service.troubled_clients(&Page::first(Page::MAX)).unwrap()
}

fn at_rest(service: &Service, name: &str, device: &Device) -> bool {
    device.digest() == wanted(service, name) && settled(service, name)
}

fn new_topic(service: &Service, topic: &str) {
    apply(service, Operation::NewTopic { topic: topic.into() });
}

fn new_key(service: &Service, client: &str) {
    apply(service, Operation::NewClientKey { client: client.into() });
}

fn story(mode: Mode, way: Way) {
    let site = Site::new(mode, way);
    let (service, engine) = site.c2(&site.live());
    ["plant/a", "plant/b"].iter().for_each(|topic| new_topic(&service, topic));
    let (topics, changed) = (site.device(&service, "topics"), site.device(&service, "changed"));
    let wished = provision(&service, "wished");
    for name in ["topics", "changed", "wished"] {
        join(&service, "plant/a", name);
        join(&service, "plant/b", name);
    }
    // The key of one is wished, but the device sleeps.
    new_key(&service, "wished");
    if mode == Mode::PublicKey {
        apply(&service, Operation::NewC2Key);
    }
    until("two are at rest", || {
        at_rest(&service, "topics", &topics) && at_rest(&service, "changed", &changed)
    });
    let backup = site.backup(&service);

    // What the backup does not know.
    let wished = site.connect(wished);
    until("the new key is confirmed", || at_rest(&service, "wished", &wished));
    new_topic(&service, "plant/a");
    new_topic(&service, "plant/c");
    join(&service, "plant/c", "topics");
    let (topic, client) = ("plant/b".into(), "topics".into());
    apply(&service, Operation::RemoveTopicClient { topic, client });
    if mode == Mode::PublicKey {
        let (source, target) = ("changed".into(), "topics".into());
        apply(&service, Operation::SendClientPubKey { source, target });
    }
    new_key(&service, "changed");
    until("all are at rest", || {
        [("topics", &topics), ("changed", &changed), ("wished", &wished)]
            .iter()
            .all(|(name, device)| at_rest(&service, name, device))
    });
    assert_eq!(troubled(&service), Vec::<String>::new());
    let lost = topics.digest();
    drop(engine);
    drop(service);

    let (service, restored) = site.c2(&site.restore(&backup));
    until("C2 listens", || restored.figures().listening.load(Ordering::Relaxed));
    [&topics, &changed, &wished].iter().for_each(|device| device.hello());
    until("topics and memberships came back", || at_rest(&service, "topics", &topics));
    assert!(topics.digest() != lost, "the backup knows another state");
    until("the wished key came back", || at_rest(&service, "wished", &wished));
    until("C2 says who is lost", || troubled(&service) == ["changed"]);
    let why = service.client_state("changed").unwrap().trouble.unwrap();
    assert!(why.contains("older backup") && why.contains("Provision it again"), "{why}");

    // Its own key was made after the backup: only a person can bring it back.
    drop(changed);
    let changed = site.device(&service, "changed");
    until("it is back", || at_rest(&service, "changed", &changed));
    assert_eq!(troubled(&service), Vec::<String>::new());
    // And everything goes on.
    new_topic(&service, "plant/a");
    new_key(&service, "wished");
    until("the fleet follows", || {
        [("topics", &topics), ("changed", &changed), ("wished", &wished)]
            .iter()
            .all(|(name, device)| at_rest(&service, name, device))
    });
}

#[test]
fn clients_come_back_after_a_restore_sk() {
    story(Mode::Symmetric, Way::Backup);
}

#[test]
fn clients_come_back_after_a_copy_of_the_file() {
    story(Mode::Symmetric, Way::Copy);
}

#[test]
fn clients_come_back_after_a_restore_pk() {
    story(Mode::PublicKey, Way::Backup);
}

/// A key of C2's own that was made after the backup is nowhere: C2 names everybody who knows it.
#[test]
fn a_key_of_c2_that_was_made_after_the_backup() {
    let site = Site::new(Mode::PublicKey, Way::Backup);
    let (service, engine) = site.c2(&site.live());
    new_topic(&service, "plant/a");
    let (pump, valve) = (site.device(&service, "pump"), site.device(&service, "valve"));
    let asleep = provision(&service, "asleep");
    ["pump", "valve", "asleep"].iter().for_each(|name| join(&service, "plant/a", name));
    until("two are at rest", || {
        at_rest(&service, "pump", &pump) && at_rest(&service, "valve", &valve)
    });
    let backup = site.backup(&service);
    apply(&service, Operation::NewC2Key);
    until("they know the new key", || {
        at_rest(&service, "pump", &pump) && at_rest(&service, "valve", &valve)
    });
    drop(engine);
    drop(service);

    let (service, restored) = site.c2(&site.restore(&backup));
    until("C2 listens", || restored.figures().listening.load(Ordering::Relaxed));
    [&pump, &valve].iter().for_each(|device| device.hello());
    until("C2 says who is lost", || troubled(&service) == ["pump", "valve"]);
    // Who slept through the change never left.
    let asleep = site.connect(asleep);
    until("it is at rest", || at_rest(&service, "asleep", &asleep));
    drop((pump, valve));
    for name in ["pump", "valve"] {
        let device = site.device(&service, name);
        until("it is back", || at_rest(&service, name, &device));
    }
    assert_eq!(troubled(&service), Vec::<String>::new());
}
