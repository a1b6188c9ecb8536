// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2 and devices through the embedded broker: clients come to hold what they should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::fleet::{
    Device, apply, engine, join, provision, quick, service, settled, until, wanted,
};
use e4::protect::protect_command;
use e4::{Command, Mode, Timestamp, TopicHash, TopicKey, Unprotected};
use e4_c2::domain::{Operation, Outcome, Page, State};
use e4_c2::reconcile::Engine;
use e4_c2::service::Service;
use e4_c2::store::{KeyOfClient, Sqlite};
use e4_c2::transport::Broker;

/// Broker, operations, reconciler.
struct House {
    broker: Broker,
    service: Service,
    engine: Engine,
}

impl House {
    fn build(mode: Mode) -> Self {
        let broker = Broker::start().unwrap();
        let service = service(Box::new(Sqlite::memory().unwrap()), mode);
        let (host, port) = (broker.address().ip().to_string(), broker.address().port());
        let engine = engine(&service, &host, port, quick());
        Self { broker, service, engine }
    }

    fn device(&self, name: &str, answers: bool) -> Device {
        let client = provision(&self.service, name);
        let at = self.broker.address();
        Device::connect(client, &at.ip().to_string(), at.port(), answers)
    }

    fn apply(&self, operation: Operation) -> Outcome {
        let outcome = apply(&self.service, operation);
        self.engine.wake();
        outcome
    }

    /// Everything is confirmed, and it is what the device holds.
    fn rest(&self, name: &str, device: &Device) {
        until(&format!("{name} is at rest"), || {
            settled(&self.service, name) && device.digest() == wanted(&self.service, name)
        });
    }
}

fn hears(from: &Device, to: &Device, topic: &str) -> bool {
    let now = Timestamp::now();
    let sent = from.client.lock().unwrap().protect_to_vec(now, topic, b"4.2 bar").unwrap();
    let heard = to.client.lock().unwrap().unprotect_to_vec(now, topic, &sent);
    matches!(heard, Ok(Unprotected::Message(message)) if message.plaintext == b"4.2 bar")
}

fn story(mode: Mode) {
    let house = House::build(mode);
    let service = &house.service;
    let device = |name, answers| house.device(name, answers);
    let (pump, old) = (device("pump", true), device("old", false));
    for topic in ["plant/a", "plant/b"] {
        apply(service, Operation::NewTopic { topic: topic.into() });
        join(service, topic, "pump");
        join(service, topic, "old");
    }
    until("both hold two keys", || pump.topics() == 2 && old.topics() == 2);
    until("the pump confirmed", || settled(service, "pump"));
    let handed = || {
        let state = service.client_state("old").unwrap();
        assert!(!state.answers);
        state
            .deliveries
            .iter()
            .filter(|delivery| delivery.what == "topic")
            .all(|delivery| delivery.state == State::Handed)
    };
    until("the broker took it all for the old one", handed);

    // A rotation, own keys, and in PK mode C2's as well.
    let before = pump.digest();
    apply(service, Operation::NewTopic { topic: "plant/a".into() });
    apply(service, Operation::NewClientKey { client: "pump".into() });
    apply(service, Operation::NewClientKey { client: "old".into() });
    if mode == Mode::PublicKey {
        apply(service, Operation::NewC2Key);
        apply(service, Operation::LinkClient { source: "old".into(), target: "pump".into() });
        apply(service, Operation::SendClientPubKey { source: "old".into(), target: "pump".into() });
        apply(service, Operation::SendClientPubKey { source: "pump".into(), target: "old".into() });
    }
    until("the new keys are held", || {
        pump.digest() != before
            && pump.digest() == wanted(service, "pump")
            && old.digest() == wanted(service, "old")
    });
    until("the pump confirmed again", || settled(service, "pump"));

    // Removals.
    apply(service, Operation::RemoveTopic { topic: "plant/b".into() });
    until("the key is gone", || pump.topics() == 1 && old.topics() == 1);
    apply(service, Operation::RemoveTopicClient { topic: "plant/a".into(), client: "pump".into() });
    until("the other key is gone", || pump.topics() == 0);
    until("nothing is left to do", || settled(service, "pump"));
    assert_eq!(service.topics_of_client("pump", &Page::first(9)).unwrap().len(), 0);
}

#[test]
fn clients_come_to_hold_what_they_should_sk() {
    story(Mode::Symmetric);
}

#[test]
fn clients_come_to_hold_what_they_should_pk() {
    story(Mode::PublicKey);
}

#[test]
fn a_topic_that_was_removed_can_come_back_at_once() {
    let house = House::build(Mode::Symmetric);
    let (pump, gauge) = (house.device("pump", true), house.device("gauge", true));
    for _ in 0..5 {
        house.apply(Operation::NewTopic { topic: "plant/a".into() });
        join(&house.service, "plant/a", "pump");
        join(&house.service, "plant/a", "gauge");
        house.rest("pump", &pump);
        house.apply(Operation::RemoveTopic { topic: "plant/a".into() });
    }
    house.apply(Operation::NewTopic { topic: "plant/a".into() });
    join(&house.service, "plant/a", "pump");
    join(&house.service, "plant/a", "gauge");
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    assert!(hears(&pump, &gauge, "plant/a"));
}

#[test]
fn a_removed_client_is_shut_out_where_its_topics_get_new_keys() {
    let house = House::build(Mode::Symmetric);
    let (pump, gauge, thief) =
        (house.device("pump", true), house.device("gauge", true), house.device("thief", true));
    house.apply(Operation::NewTopic { topic: "plant/a".into() });
    for name in ["pump", "gauge", "thief"] {
        join(&house.service, "plant/a", name);
    }
    house.rest("thief", &thief);
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    let outcome = house.apply(Operation::RemoveClient { client: "thief".into(), rotate: true });
    assert!(!outcome.created);
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    assert!(hears(&pump, &gauge, "plant/a"));
    assert!(!hears(&pump, &thief, "plant/a"));
    assert_eq!(thief.topics(), 1);
}

#[test]
fn a_client_that_holds_what_it_should_not_is_reset() {
    let house = House::build(Mode::Symmetric);
    let pump = house.device("pump", true);
    house.apply(Operation::NewTopic { topic: "plant/a".into() });
    join(&house.service, "plant/a", "pump");
    house.rest("pump", &pump);
    // Nobody but C2 has the key of the pump: take it from the store, as only this test can.
    let row = house.service.store().read(|tx| tx.client("pump")).unwrap();
    let keys = house.service.store().read(|tx| tx.client_keys(row.row, 1)).unwrap();
    let KeyOfClient::Id(key) = &keys[0].key else { panic!("an id key") };
    let topic = TopicHash::from_topic("plant/stray").unwrap();
    let stray = Command::SetTopicKey { topic, key: TopicKey::random().unwrap() };
    let stray = protect_command(key, Timestamp::now(), &stray).unwrap();
    pump.inject(&stray);
    assert_eq!(pump.topics(), 2);
    pump.hello();
    until("the stray key is gone", || pump.topics() == 1);
    house.rest("pump", &pump);
    assert!(house.service.client_state("pump").unwrap().trouble.is_none());

    house.apply(Operation::ResetClient { client: "pump".into() });
    until("the pump holds nothing", || pump.topics() == 0);
    house.rest("pump", &pump);
    assert_eq!(house.service.count_topics_of_client("pump").unwrap(), 0);
}

#[test]
fn public_keys_follow_their_owners() {
    let house = House::build(Mode::PublicKey);
    let (pump, gauge) = (house.device("pump", true), house.device("gauge", true));
    let both = |source: &str, target: &str| (source.to_string(), target.to_string());
    house.apply(Operation::NewTopic { topic: "plant/a".into() });
    join(&house.service, "plant/a", "pump");
    join(&house.service, "plant/a", "gauge");
    let (source, target) = both("pump", "gauge");
    house.apply(Operation::SendClientPubKey { source, target });
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    assert!(hears(&pump, &gauge, "plant/a"));

    // Without a link the gauge keeps the old key; with one it gets the new.
    house.apply(Operation::NewClientKey { client: "pump".into() });
    house.rest("pump", &pump);
    assert!(!hears(&pump, &gauge, "plant/a"));
    let (source, target) = both("pump", "gauge");
    house.apply(Operation::LinkClient { source, target });
    house.apply(Operation::NewClientKey { client: "pump".into() });
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    assert!(hears(&pump, &gauge, "plant/a"));
    // The private key that C2 made is C2's no more.
    let row = house.service.store().read(|tx| tx.client("pump")).unwrap();
    let keys = house.service.store().read(|tx| tx.client_keys(row.row, 1)).unwrap();
    assert!(keys.iter().all(|key| matches!(key.key, KeyOfClient::Public(_, None))));

    let (source, target) = both("pump", "gauge");
    house.apply(Operation::RemoveClientPubKey { source, target });
    house.rest("gauge", &gauge);
    assert!(!hears(&pump, &gauge, "plant/a"));
    let (source, target) = both("pump", "gauge");
    house.apply(Operation::SendClientPubKey { source, target });
    house.rest("gauge", &gauge);
    assert!(hears(&pump, &gauge, "plant/a"));
    house.apply(Operation::ResetClientPubKeys { target: "gauge".into() });
    house.rest("gauge", &gauge);
    assert!(!hears(&pump, &gauge, "plant/a"));
    assert_eq!(gauge.topics(), 1);
    house.apply(Operation::NewC2Key);
    house.rest("pump", &pump);
    house.rest("gauge", &gauge);
    house.apply(Operation::RemoveClient { client: "pump".into(), rotate: true });
    house.rest("gauge", &gauge);
}
