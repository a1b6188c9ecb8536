// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Resets on ways that lose them, and late answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::database::{Hands, join, new_topic, store};
use common::fleet::{apply, service, until};
use common::world::{Device, World};
use e4::{Mode, Timestamp};
use e4_c2::domain::{Clock, Operation, State, SystemClock};
use e4_c2::reconcile::Engine;
use e4_c2::service::Service;
use e4_c2::store::Sqlite;

struct Site {
    world: Arc<World>,
    service: Service,
    device: Arc<Device>,
    _engine: Engine,
}

/// A device that holds three keys.
fn site(mode: Mode, answers: bool) -> Site {
    site_of(service(Box::new(Sqlite::memory().unwrap()), mode), answers)
}

fn site_of(service: Service, answers: bool) -> Site {
    let world = World::new();
    let engine = world.engine(&service);
    let device = world.device(&service, "pump", answers);
    for topic in ["plant/a", "plant/b", "plant/c"] {
        apply(&service, new_topic(topic));
        apply(&service, join(topic, "pump"));
    }
    device.comes_right(&service);
    assert_eq!(device.topics(), 3);
    Site { world, service, device, _engine: engine }
}

fn reset(site: &Site) {
    apply(&site.service, Operation::ResetClient { client: "pump".into() });
}

fn confirmed(site: &Site) {
    until("everything is confirmed", || {
        let state = site.service.client_state("pump").unwrap();
        assert_eq!(state.trouble, None);
        state.deliveries.iter().all(|item| item.state == State::Confirmed)
    });
}

/// A reset is lost, the keys after it arrive; then the next reset takes those with it.
#[test]
fn a_reset_that_is_lost() {
    for mode in [Mode::Symmetric, Mode::PublicKey] {
        let site = site(mode, true);
        let mut left = if mode == Mode::PublicKey { 4 } else { 2 };
        // A reset is the shortest command there is.
        let shortest = 8 + 16 + 1;
        site.world.lose(move |_, payload| {
            let lost = payload.len() == shortest && left > 0;
            left -= i32::from(lost);
            lost
        });
        reset(&site);
        apply(&site.service, new_topic("plant/d"));
        for topic in ["plant/a", "plant/d"] {
            apply(&site.service, join(topic, "pump"));
        }
        site.device.comes_right(&site.service);
        confirmed(&site);
        assert_eq!(site.device.topics(), 2);
    }
}

/// Who sleeps through any number of resets is reset when it wakes.
#[test]
fn a_reset_that_is_slept_through() {
    let site = site(Mode::Symmetric, true);
    let asleep = Arc::new(AtomicBool::new(true));
    let sleeps = asleep.clone();
    site.world.lose(move |_, _| sleeps.load(Ordering::SeqCst));
    reset(&site);
    // It says hello, and sleeps again before anything reaches it.
    for _ in 0..16 {
        std::thread::sleep(Duration::from_millis(500));
        site.device.hello();
    }
    assert_eq!(site.device.topics(), 3);
    asleep.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1100));
    site.device.hello();
    site.device.comes_right(&site.service);
    assert_eq!(site.device.topics(), 0);
    confirmed(&site);
}

/// New keys of C2 and a reset in one round, for one that answers and one that never does.
#[test]
fn a_reset_behind_new_keys() {
    for answers in [true, false] {
        let site = site(Mode::PublicKey, answers);
        apply(&site.service, Operation::NewC2Key);
        reset(&site);
        apply(&site.service, join("plant/b", "pump"));
        site.device.comes_right(&site.service);
        assert_eq!(site.device.topics(), 1);
        apply(&site.service, Operation::NewClientKey { client: "pump".into() });
        reset(&site);
        site.device.comes_right(&site.service);
        assert_eq!(site.device.topics(), 0);
    }
}

/// The server that takes over has a clock behind that of the one before, by a moment or by much:
/// what it sends is newer all the same, for one that never says that it missed a reset.
#[test]
fn a_reset_by_a_clock_that_is_behind() {
    for ahead in [2_000, 60_000] {
        let store = Arc::new(store(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric));
        let before = Service::new(store.clone(), Hands::at(SystemClock.now() + ahead));
        let Site { world, service, device, _engine } = site_of(before, false);
        drop((service, _engine));
        let after = Service::new(store, Arc::new(SystemClock));
        let engine = world.engine(&after);
        let site = Site { world, service: after, device, _engine: engine };
        reset(&site);
        site.device.comes_right(&site.service);
        assert_eq!(site.device.topics(), 0);
    }
}

/// An answer that was long on its way is no sign of trouble, though its key is forgotten; a new
/// one under a key that C2 does not have is.
#[test]
fn a_late_answer() {
    let site = site(Mode::Symmetric, true);
    let (late, topic) = {
        let client = site.device.client.lock().unwrap();
        (client.hello(Timestamp::now()).unwrap(), client.answer_topic().to_string())
    };
    std::thread::sleep(Duration::from_millis(1100));
    apply(&site.service, Operation::NewClientKey { client: "pump".into() });
    confirmed(&site);
    site.world.say(&topic, &late);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(site.service.client_state("pump").unwrap().trouble, None);

    // C2 comes to know another key than the device has.
    let other = Operation::NewClient {
        client: "pump".into(),
        credential: e4_c2::domain::Credential::Key(vec![9; 32].into()),
    };
    apply(&site.service, other);
    std::thread::sleep(Duration::from_millis(1100));
    site.device.hello();
    until("the trouble is noticed", || {
        site.service.client_state("pump").unwrap().trouble.is_some()
    });
}
