// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Devices that sleep while C2 tries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::fleet::{
    Device, apply, engine, join, provision, quick, service, settled, until, wanted,
};
use e4::Mode;
use e4_c2::domain::Operation;
use e4_c2::reconcile::Patience;
use e4_c2::store::Sqlite;
use e4_c2::transport::Broker;

/// A reset waits for a device that sleeps, however often it was sent meanwhile, and takes nothing
/// from it that it should hold.
#[test]
fn a_reset_waits_for_a_device_that_sleeps() {
    let broker = Broker::start().unwrap();
    let (host, port) = (broker.address().ip().to_string(), broker.address().port());
    let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    let wait = Duration::from_millis(50);
    let patience = Patience { first: wait, longest: wait, ..quick() };
    let engine = engine(&service, &host, port, patience);
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
