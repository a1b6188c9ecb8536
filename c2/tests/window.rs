// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Mosquitto at its defaults loses QoS 2 messages of a publisher whose window is wider than 20, after
//! it completed them. Ours are not lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::Mosquitto;
use common::fleet::{PATIENCE, apply, engine, service, until};
use e4::Mode;
use e4_c2::domain::{Caller, Credential, Operation};
use e4_c2::reconcile::Patience;
use e4_c2::store::Sqlite;
use e4_c2::transport::{Event, Link, Options, Qos};

const CLIENTS: i64 = 1000;

#[test]
fn no_command_of_a_thousand_is_lost_with_qos_2() {
    let Some(broker) = Mosquitto::start() else { return };
    let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    apply(&service, Operation::NewTopic { topic: "plant".into() });
    let operations: Vec<Operation> = (0..CLIENTS)
        .flat_map(|number| {
            let client = format!("client-{number}");
            let joins = Operation::NewTopicClient { topic: "plant".into(), client: client.clone() };
            [Operation::NewClient { client, credential: Credential::Random }, joins]
        })
        .collect();
    let results = service.apply_all(&Caller::new("test", "test"), &operations).unwrap();
    assert!(results.iter().all(Result::is_ok));

    let (sender, events) = channel();
    let listener = Options::new("127.0.0.1", broker.port(), "listener");
    let link = Link::connect(&listener, move |event| sender.send(event).is_ok()).unwrap();
    link.subscribe("e4/+", Qos::ExactlyOnce).unwrap();
    while !matches!(events.recv_timeout(PATIENCE).unwrap(), Event::Subscribed) {}

    // Nothing is sent twice that would hide a loss.
    let hour = Duration::from_secs(3600);
    let patience = Patience { first: hour, lease: hour, ..Patience::default() };
    let _engine = engine(&service, "127.0.0.1", broker.port(), patience);
    let mut arrived: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for round in 1..=3 {
        until("the broker completed all of them", || {
            service.topic_state("plant").unwrap().clients.handed == CLIENTS
        });
        let all = |arrived: &BTreeMap<String, BTreeSet<Vec<u8>>>| {
            arrived.len() == 1000 && arrived.values().all(|payloads| payloads.len() == round)
        };
        while !all(&arrived) {
            let event = events.recv_timeout(Duration::from_secs(10));
            if let Event::Message { topic, payload } = event.expect("commands are missing") {
                assert!(arrived.entry(topic).or_default().insert(payload), "one came twice");
            }
        }
        apply(&service, Operation::NewTopic { topic: "plant".into() });
    }
}
