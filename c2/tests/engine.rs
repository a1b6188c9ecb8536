// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2 and devices through the embedded broker: clients come to hold what they should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::fleet::{
    Device, apply, engine, join, provision, quick, service, settled, until, wanted,
};
use e4::Mode;
use e4_c2::domain::{Operation, Page, State};
use e4_c2::reconcile::Policy;
use e4_c2::store::Sqlite;
use e4_c2::transport::Broker;

fn story(mode: Mode) {
    let broker = Broker::start().unwrap();
    let (host, port) = (broker.address().ip().to_string(), broker.address().port());
    let service = service(Box::new(Sqlite::memory().unwrap()), mode);
    let engine = engine(&service, &host, port, quick());
    let device =
        |name: &str, answers| Device::connect(provision(&service, name), &host, port, answers);
    let (pump, old) = (device("pump", true), device("old", false));
    for topic in ["plant/a", "plant/b"] {
        apply(&service, Operation::NewTopic { topic: topic.into() });
        join(&service, topic, "pump");
        join(&service, topic, "old");
    }
    until("both hold two keys", || pump.topics() == 2 && old.topics() == 2);
    until("the pump confirmed", || settled(&service, "pump"));
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
    apply(&service, Operation::NewTopic { topic: "plant/a".into() });
    apply(&service, Operation::NewClientKey { client: "pump".into() });
    apply(&service, Operation::NewClientKey { client: "old".into() });
    if mode == Mode::PublicKey {
        apply(&service, Operation::NewC2Key);
        apply(&service, Operation::LinkClient { source: "old".into(), target: "pump".into() });
        apply(
            &service,
            Operation::SendClientPubKey { source: "old".into(), target: "pump".into() },
        );
        apply(
            &service,
            Operation::SendClientPubKey { source: "pump".into(), target: "old".into() },
        );
    }
    until("the new keys are held", || {
        pump.digest() != before
            && pump.digest() == wanted(&service, "pump")
            && old.digest() == wanted(&service, "old")
    });
    until("the pump confirmed again", || settled(&service, "pump"));

    // Removals.
    apply(&service, Operation::RemoveTopic { topic: "plant/b".into() });
    until("the key is gone", || pump.topics() == 1 && old.topics() == 1);
    apply(
        &service,
        Operation::RemoveTopicClient { topic: "plant/a".into(), client: "pump".into() },
    );
    until("the other key is gone", || pump.topics() == 0);
    until("nothing is left to do", || settled(&service, "pump"));
    assert_eq!(service.topics_of_client("pump", &Page::first(9)).unwrap().len(), 0);
    drop(engine);
}

/// A reset waits for a device that sleeps, however often it was sent meanwhile, and takes nothing
/// from it that it should hold.
#[test]
fn a_reset_waits_for_a_device_that_sleeps() {
    let broker = Broker::start().unwrap();
    let (host, port) = (broker.address().ip().to_string(), broker.address().port());
    let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    let wait = Duration::from_millis(50);
    let policy = Policy { first: wait, longest: wait, ..quick() };
    let engine = engine(&service, &host, port, policy);
    let pump = Device::connect(provision(&service, "pump"), &host, port, true);
    for topic in ["plant/a", "plant/b"] {
        apply(&service, Operation::NewTopic { topic: topic.into() });
        join(&service, topic, "pump");
    }
    until("it is at rest", || pump.topics() == 2 && settled(&service, "pump"));
    let asleep = pump.leave();
    apply(&service, Operation::ResetClient { client: "pump".into() });
    join(&service, "plant/b", "pump");
    let sent = engine.figures().sent.load(Ordering::Relaxed);
    until("it was sent seven times", || engine.figures().sent.load(Ordering::Relaxed) >= sent + 14);
    assert_eq!(service.client_state("pump").unwrap().trouble, None);
    let pump = Device::connect(asleep, &host, port, true);
    until("it is at rest again", || {
        pump.digest() == wanted(&service, "pump") && settled(&service, "pump")
    });
    assert_eq!(pump.topics(), 1);
}

#[test]
fn clients_come_to_hold_what_they_should_sk() {
    story(Mode::Symmetric);
}

#[test]
fn clients_come_to_hold_what_they_should_pk() {
    story(Mode::PublicKey);
}
