// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A process that writes is killed at any moment: no change is there by half. Its audit records,
//! done again in a model, give what is in the database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::database::{attempt, join, leave, new_client, new_topic, service};
use common::postgres::server;
use e4::Mode;
use e4_c2::domain::{Operation, Page};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Tx, Verified};

/// What the child writes to: `sqlite PATH` or `postgres ADDRESS`.
const PLACE: &str = "E4_TEST_WRITE_TO";
const READY: &str = "ready";

fn open(place: &str) -> Box<dyn Database> {
    match place.split_once(' ').unwrap() {
        ("sqlite", path) => Box::new(Sqlite::file(Path::new(path)).unwrap()),
        (_, address) => Box::new(Postgres::new(address, None, None).unwrap()),
    }
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

fn operation() -> Operation {
    let client = |from: &str| format!("{from}{}", random(5));
    let topic = || format!("plant/{}", random(4));
    let (source, target) = (client("c"), client("c"));
    match random(14) {
        0..=2 => new_client(&client("c")),
        3 => Operation::RemoveClient { client: client("c"), rotate: random(2) == 0 },
        4 => Operation::ResetClient { client: client("c") },
        5 => Operation::NewClientKey { client: client("c") },
        6..=7 => new_topic(&topic()),
        8 => Operation::RemoveTopic { topic: topic() },
        9..=10 => join(&topic(), &client("c")),
        11 => leave(&topic(), &client("c")),
        12 => Operation::LinkClient { source, target },
        _ => Operation::NewC2Key,
    }
}

/// Not a test of its own: what the tests below start, and kill.
#[test]
fn writer() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let service = service(open(&place), Mode::PublicKey);
    println!("\n{READY}");
    loop {
        if random(4) == 0 {
            let batch: Vec<Operation> = (0..random(20)).map(|_| operation()).collect();
            service.apply_all(&common::database::ann(), &batch).unwrap();
        } else {
            // Most are refused for one reason or another.
            let _ = attempt(&service, operation());
        }
        // What the reconciler does besides.
        service.store().write(|tx| tx.fan_out_page(3, common::database::NOON)).unwrap();
        service.store().write(|tx| tx.purge()).unwrap();
    }
}

fn start(place: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What the audit records say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    clients: BTreeMap<String, i64>,
    topics: BTreeMap<String, i64>,
    members: BTreeSet<(String, String)>,
    links: BTreeSet<(String, String)>,
    c2: i64,
}

impl Model {
    fn replay(service: &Service) -> Self {
        let mut model = Self { c2: 1, ..Self::default() };
        let mut after = 0;
        loop {
            let records = service.audit_records(after, 500).unwrap();
            let Some(last) = records.last() else { return model };
            after = last.seq;
            for record in &records {
                let detail: serde_json::Value = serde_json::from_str(&record.detail).unwrap();
                let text = |name: &str| detail[name].as_str().unwrap_or_default().to_string();
                let epoch = detail["epoch"].as_i64();
                let (client, topic) = (text("client"), text("topic"));
                match record.action.as_str() {
                    "new_client" | "new_client_key" => {
                        model.clients.insert(client, epoch.unwrap());
                    }
                    "remove_client" => {
                        let rotate = detail["rotate"].as_bool().unwrap();
                        for (topic, _) in model.members.iter().filter(|(_, name)| *name == client) {
                            *model.topics.get_mut(topic).unwrap() += i64::from(rotate);
                        }
                        model.members.retain(|(_, name)| *name != client);
                        model.links.retain(|(from, to)| *from != client && *to != client);
                        model.clients.remove(&client).unwrap();
                    }
                    "reset_client" => model.members.retain(|(_, name)| *name != client),
                    "new_topic" => {
                        model.topics.insert(topic, epoch.unwrap());
                    }
                    "remove_topic" => {
                        model.members.retain(|(name, _)| *name != topic);
                        model.topics.remove(&topic).unwrap();
                    }
                    "new_topic_client" => {
                        model.members.insert((topic, client));
                    }
                    "remove_topic_client" => {
                        assert!(model.members.remove(&(topic, client)));
                    }
                    "link_client" => {
                        model.links.insert((text("source"), text("target")));
                    }
                    "new_c2_key" => model.c2 = epoch.unwrap(),
                    other => panic!("{other}"),
                }
            }
        }
    }

    /// What the database holds, with every key that there has to be.
    fn read(service: &Service) -> Self {
        let all = Page::first(100);
        let read = |tx: &mut Tx| {
            let mut model = Self { c2: tx.c2_epoch()?, ..Self::default() };
            for name in tx.clients(&all)? {
                let client = tx.client(&name)?;
                let keys = tx.client_keys(client.row, client.key_confirmed)?;
                assert_eq!(keys.last().unwrap().epoch, client.key_epoch);
                assert_eq!(keys[0].epoch, client.key_confirmed);
                for source in tx.linked_clients(client.row, &all)? {
                    model.links.insert((source, name.clone()));
                }
                for topic in tx.topics_of_client(client.row, &all)? {
                    model.members.insert((topic, name.clone()));
                }
                model.clients.insert(name, client.key_epoch);
            }
            for name in tx.topics(&all)? {
                let topic = tx.topic(&name)?;
                let keys = tx.topic_keys(&topic)?;
                assert_eq!(keys.len(), usize::try_from(topic.epoch.min(2)).unwrap());
                for client in tx.clients_of_topic(topic.row, &all)? {
                    assert!(model.members.contains(&(name.clone(), client)));
                }
                model.topics.insert(name, topic.epoch);
            }
            assert_eq!(tx.c2_keys()?.len(), usize::try_from(model.c2).unwrap());
            Ok(model)
        };
        service.store().read(read).unwrap()
    }
}

/// Checks everything, and says how many records there are.
fn whole(service: &Service) -> i64 {
    let records = || match service.store().verify_audit().unwrap() {
        Verified::Intact(head) => head.seq,
        broken => panic!("{broken:?}"),
    };
    loop {
        let before = records();
        let (found, expected) = (Model::read(service), Model::replay(service));
        // A server may still be busy with what the writer asked for last.
        if records() == before {
            assert_eq!(found, expected);
            return before;
        }
    }
}

fn kill_many_times(place: &str, times: u32) {
    let (mut records, mut grown, mut round) = (0, 0, 0);
    // On a busy machine some are killed before they wrote anything: those do not count.
    while round < times || (grown <= times / 2 && round < 10 * times) {
        let mut writer = start(place);
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        // Every third is killed before it is ready, or about then.
        if round % 3 != 0 {
            while lines.next().unwrap().unwrap() != READY {}
        }
        std::thread::sleep(Duration::from_micros(random(120_000)));
        writer.kill().unwrap();
        assert!(!writer.wait().unwrap().success());
        let service = service(open(place), Mode::PublicKey);
        let seq = whole(&service);
        assert!(seq >= records);
        grown += u32::from(seq > records);
        records = seq;
        round += 1;
    }
    assert!(grown > times / 2, "{grown} of {round} wrote anything");
    println!("killed {round} times, {records} records");
}

#[test]
fn a_killed_writer_leaves_no_half_change_in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("sqlite {}", dir.path().join("c2.sqlite").display());
    kill_many_times(&place, 25);
}

#[test]
fn a_killed_writer_leaves_no_half_change_in_postgres() {
    let Some(server) = server() else { return };
    kill_many_times(&format!("postgres {}", server.database()), 20);
}

/// Processes that are started at once on a database that is not there yet.
fn create_at_once(place: &str) {
    let writers: Vec<Child> = (0..4).map(|_| start(place)).collect();
    for mut writer in writers {
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        while lines.next().expect("the writer has ended").unwrap() != READY {}
        std::thread::sleep(Duration::from_millis(50));
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    let service = service(open(place), Mode::PublicKey);
    assert!(whole(&service) > 0);
}

#[test]
fn processes_create_one_sqlite_database_at_once() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        create_at_once(&format!("sqlite {}", dir.path().join("c2.sqlite").display()));
    }
}

#[test]
fn processes_create_one_postgres_database_at_once() {
    let Some(server) = server() else { return };
    for _ in 0..3 {
        create_at_once(&format!("postgres {}", server.database()));
    }
}
