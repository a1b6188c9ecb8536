// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Campaigns with devices that answer, and some that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::database::{Hands, ann, join, new_client, new_topic};
use common::fleet::{apply, service, unlock, until};
use common::postgres::server;
use common::world::World;
use e4::Mode;
use e4_c2::domain::{
    Campaign, CampaignState, Clock, Error, ItemState, Operation, Pace, PolicySpec, Receivers,
    Selector, Target, Trigger, Window,
};
use e4_c2::schedule::Scheduler;
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Store};

const LEAP: Trigger = Trigger::Leaves(1_000_000);

fn clients(pace: Pace) -> PolicySpec {
    PolicySpec {
        description: String::new(),
        targets: vec![Target::Clients(Selector::Any)],
        triggers: vec![LEAP],
        pace,
    }
}

fn waits_for(service: &Service, number: i64, state: CampaignState) -> Campaign {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let campaign = service.campaign(number).unwrap();
        if campaign.state == state {
            return campaign;
        }
        assert!(Instant::now() < end, "{campaign:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A thousand devices, of which one in ten is out of reach.
#[test]
fn it_stops_where_too_many_fail_and_finishes_when_they_are_back() {
    const DEVICES: usize = 1000;
    let world = World::new();
    let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    let devices: Vec<_> =
        (0..DEVICES).map(|number| world.device(&service, &format!("d{number:04}"), true)).collect();
    let engine = world.engine(&service);
    devices.iter().for_each(|device| device.hello());
    until("all have answered", || {
        service.statistics().unwrap().answering_clients == DEVICES as i64
    });
    let away = Arc::new(AtomicBool::new(true));
    let is_away = away.clone();
    world.lose(move |device, _| is_away.load(Ordering::SeqCst) && device.name.ends_with('7'));

    let pace = Pace { abort_percent: 5, patience: 10, ..Pace::default() };
    service.create_policy(&ann(), "all", &clients(pace)).unwrap();
    let _scheduler = Scheduler::start(service.clone(), engine.events()).unwrap();
    let number = service.run_policy(&ann(), "all").unwrap().number;
    let stopped = waits_for(&service, number, CampaignState::Stopped);
    println!("stopped: {stopped:?}");
    // As soon as it is more than one in twenty.
    assert!((51..=100).contains(&stopped.failed), "{stopped:?}");
    assert_eq!((stopped.confirmed, stopped.rotated + stopped.failed), (900, 100));
    assert!(stopped.why.unwrap().ends_with("of 1000 failed, which is more than 5 %"));
    let failed = service.campaign_items(number, Some(ItemState::Failed), 0, 100).unwrap();
    assert_eq!(failed.len() as i64, stopped.failed);
    assert!(failed.iter().all(|item| item.name.ends_with('7')), "{failed:?}");
    assert_eq!(failed[0].why.as_deref(), Some("not confirmed in time"));

    // They are back: what failed is confirmed after all.
    away.store(false, Ordering::SeqCst);
    service.resume_campaign(&ann(), number).unwrap();
    let finished = waits_for(&service, number, CampaignState::Finished);
    assert_eq!(finished.failed + finished.confirmed, 1000, "{finished:?}");
    devices.iter().for_each(|device| device.hello());
    until("all hold their new keys", || {
        let rest = devices.iter().filter(|device| !device.is_right(&service)).count();
        rest == 0 && service.client_state("d0007").unwrap().deliveries[0].epoch == 2
    });
}

/// So slow that it stops in the middle: the others keep their keys.
#[test]
fn it_stops_in_the_middle_and_goes_on_from_there() {
    let (service, clock) = fleet(Box::new(Sqlite::memory().unwrap()), 60);
    let pace = Pace { per_minute: 10, abort_percent: 20, patience: 30, ..Pace::default() };
    service.create_policy(&ann(), "slow", &clients(pace)).unwrap();
    let number = service.run_policy(&ann(), "slow").unwrap().number;
    let mut seen = 0;
    let mut begun = Vec::new();
    for _ in 0..50 {
        service.advance(&mut seen).unwrap();
        let campaign = service.campaign(number).unwrap();
        begun.push(campaign.rotated + campaign.failed);
        clock.turn(1000);
    }
    // Nobody is there to confirm: after their patience all of the first have failed.
    let stopped = service.campaign(number).unwrap();
    assert_eq!(stopped.state, CampaignState::Stopped, "{stopped:?}");
    assert!(begun[10] <= 3 && begun[20] <= 5, "{begun:?}");
    assert!(stopped.waiting > 50);
    service.resume_campaign(&ann(), number).unwrap();
    service.advance(&mut seen).unwrap();
    clock.turn(10_000);
    service.advance(&mut seen).unwrap();
    let resumed = service.campaign(number).unwrap();
    assert_eq!(resumed.state, CampaignState::Running);
    assert!(resumed.waiting < stopped.waiting);
    let again = service.resume_campaign(&ann(), number);
    assert!(matches!(again, Err(Error::Busy(_))));
    service.pause_campaign(&ann(), number).unwrap();
    clock.turn(100_000);
    service.advance(&mut seen).unwrap();
    assert_eq!(service.campaign(number).unwrap().waiting, resumed.waiting);
    service.cancel_campaign(&ann(), number).unwrap();
    service.advance(&mut seen).unwrap();
    assert_eq!(service.campaign(number).unwrap().waiting, resumed.waiting);
}

fn fleet(database: Box<dyn Database>, count: usize) -> (Service, Arc<Hands>) {
    let clock = Hands::at(e4_c2::domain::SystemClock.now());
    let store = Store::open(database, &unlock(), Some(Mode::Symmetric), 0).unwrap();
    let service = Service::new(Arc::new(store), clock.clone());
    for number in 0..count {
        apply(&service, new_client(&format!("c{number:03}")));
    }
    (service, clock)
}

/// As if the broker took everything for devices that never answer.
fn hand_over(service: &Service, names: &[String]) {
    let work = |tx: &mut e4_c2::store::Tx| {
        for name in names {
            let client = tx.client(name)?;
            let handed = e4_c2::store::Handed::ClientKey(client.key_epoch);
            tx.handed(client.row, &handed, 0)?;
        }
        Ok(())
    };
    service.store().write(work).unwrap();
}

fn canaries_and_window(database: Box<dyn Database>) {
    let (service, clock) = fleet(database, 30);
    let minute = (clock.now() / 60_000) % 1440;
    let at = |minutes: i64| u16::try_from((minute + minutes) % 1440).unwrap();
    let window = Window { from: at(60), to: at(120), days: Vec::new(), zone: "UTC".into() };
    let pace = Pace { canary: 5, window: Some(window), ..Pace::default() };
    service.create_policy(&ann(), "careful", &clients(pace)).unwrap();
    let number = service.run_policy(&ann(), "careful").unwrap().number;
    let mut seen = 0;
    service.advance(&mut seen).unwrap();
    assert_eq!(service.campaign(number).unwrap().waiting, 30);
    clock.turn(3_600_000);
    for _ in 0..3 {
        service.advance(&mut seen).unwrap();
        clock.turn(1000);
    }
    // The window is open: those that come first, and nobody else.
    let first = service.campaign(number).unwrap();
    assert_eq!((first.rotated, first.waiting), (5, 25), "{first:?}");
    let items = service.campaign_items(number, Some(ItemState::Rotated), 0, 100).unwrap();
    assert!(items.iter().all(|item| item.canary && item.epoch == 2));
    let names: Vec<String> = items.into_iter().map(|item| item.name).collect();
    // One is removed meanwhile.
    apply(&service, Operation::RemoveClient { client: "c029".into(), rotate: false });
    hand_over(&service, &names);
    for _ in 0..3 {
        service.advance(&mut seen).unwrap();
        clock.turn(1000);
    }
    let second = service.campaign(number).unwrap();
    assert_eq!((second.confirmed, second.rotated, second.gone), (5, 24, 1), "{second:?}");
    let names: Vec<String> = (5..29).map(|number| format!("c{number:03}")).collect();
    hand_over(&service, &names);
    for _ in 0..3 {
        service.advance(&mut seen).unwrap();
        clock.turn(1000);
    }
    let last = service.campaign(number).unwrap();
    assert_eq!((last.state, last.confirmed, last.gone), (CampaignState::Finished, 29, 1));
}

#[test]
fn some_come_first_within_a_part_of_the_day() {
    canaries_and_window(Box::new(Sqlite::memory().unwrap()));
    if let Some(server) = server() {
        let address = server.database();
        canaries_and_window(Box::new(Postgres::new(&address, None, None).unwrap()));
    }
}

/// One key that cannot be rotated does not hold back the others, nor another campaign.
#[test]
fn what_is_busy_lets_others_go_before() {
    let (service, clock) = fleet(Box::new(Sqlite::memory().unwrap()), 2);
    for topic in ["a", "b", "c"] {
        apply(&service, new_topic(topic));
        apply(&service, join(topic, "c000"));
    }
    // A rotation of the first by hand is under way.
    let receivers = Receivers::Names(Vec::new());
    let by_hand = Operation::RotateTopic { topic: "a".into(), receivers, deadline: 1800 };
    apply(&service, by_hand);
    let pace = Pace { per_minute: 60, patience: 60, zero_loss: true, ..Pace::default() };
    let topics = PolicySpec { targets: vec![Target::Topics(Selector::Any)], ..clients(pace) };
    service.create_policy(&ann(), "topics", &topics).unwrap();
    let number = service.run_policy(&ann(), "topics").unwrap().number;
    let mut seen = 0;
    let mut all = Vec::new();
    for _ in 0..200 {
        service.advance(&mut seen).unwrap();
        clock.turn(1000);
        let items = service.campaign_items(number, None, 0, 10).unwrap();
        all.push(items.into_iter().map(|item| item.state).collect::<Vec<_>>());
    }
    use ItemState::{Failed, Rotated, Waiting};
    assert_eq!(all[4], [Waiting, Rotated, Rotated]);
    // Nobody is there to take a key: in the end it is given up.
    assert_eq!(all[199], [Failed, Failed, Failed]);
    let campaign = service.campaign(number).unwrap();
    assert_eq!((campaign.state, campaign.failed), (CampaignState::Finished, 3));
    let items = service.campaign_items(number, None, 0, 10).unwrap();
    assert!(items[0].why.as_ref().unwrap().contains("is under way"), "{items:?}");
}

/// Ten thousand clients that do not answer: what a look costs.
#[test]
fn a_large_campaign_is_bounded_work() {
    const CLIENTS: usize = 10_000;
    let clock = Hands::at(e4_c2::domain::SystemClock.now());
    let store =
        Store::open(Box::new(Sqlite::memory().unwrap()), &unlock(), Some(Mode::Symmetric), 0);
    let service = Service::new(Arc::new(store.unwrap()), clock.clone());
    for page in 0..CLIENTS / 1000 {
        let names = (0..1000).map(|number| new_client(&format!("c{page}-{number}")));
        service.apply_all(&ann(), &names.collect::<Vec<_>>()).unwrap();
    }
    service.create_policy(&ann(), "all", &clients(Pace::default())).unwrap();
    let mut seen = 0;
    let timed = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    let begin = timed(&mut || {
        service.run_policy(&ann(), "all").unwrap();
    });
    let mut steps = Vec::new();
    while service.campaign(1).unwrap().waiting > 0 {
        steps.push(timed(&mut || {
            service.advance(&mut seen).unwrap();
        }));
        clock.turn(20);
    }
    // Nothing is confirmed: it looks, and ever more seldom.
    let mut looks = Vec::new();
    let mut waited = 0;
    while waited < 1_800_000 {
        let mut next_at = None;
        looks.push(timed(&mut || next_at = service.advance(&mut seen).unwrap().next_at));
        let wait = (next_at.unwrap() - clock.now()).max(1);
        clock.turn(wait);
        waited += wait;
    }
    let idle = timed(&mut || {
        for _ in 0..100 {
            service.advance(&mut seen).unwrap();
        }
    });
    let most = |all: &[Duration]| all.iter().max().copied().unwrap_or_default();
    println!(
        "begin {begin:?}; {} steps, the longest {:?}; {} looks in half an hour, the longest {:?}; \
         nothing due {:?}",
        steps.len(),
        most(&steps),
        looks.len(),
        most(&looks),
        idle / 100
    );
    assert_eq!(steps.len(), CLIENTS / 200);
    assert!(looks.len() < 150, "{}", looks.len());
}

/// Two servers go on with one campaign at the same moments.
#[test]
fn two_servers_rotate_each_key_once() {
    let Some(server) = server() else { return };
    let address = server.database();
    let database = || Box::new(Postgres::new(&address, None, None).unwrap());
    let (first, clock) = fleet(database(), 100);
    apply(&first, new_topic("t"));
    apply(&first, join("t", "c000"));
    let store = Store::open(database(), &unlock(), Some(Mode::Symmetric), 0).unwrap();
    let services = [first, Service::new(Arc::new(store), clock.clone())];
    let pace = Pace { per_minute: 600, ..Pace::default() };
    let both = PolicySpec {
        targets: vec![Target::Clients(Selector::Any), Target::Topics(Selector::Any)],
        ..clients(pace)
    };
    services[0].create_policy(&ann(), "both", &both).unwrap();
    let number = services[1].run_policy(&ann(), "both").unwrap().number;
    let mut seen = [0, 0];
    while services[0].campaign(number).unwrap().waiting > 0 {
        std::thread::scope(|scope| {
            for (service, seen) in services.iter().zip(&mut seen) {
                scope.spawn(move || service.advance(seen).unwrap());
            }
        });
        clock.turn(1000);
    }
    for number in 0..100 {
        let state = services[0].client_state(&format!("c{number:03}")).unwrap();
        assert_eq!(state.deliveries[0].epoch, 2);
    }
    assert_eq!(services[0].topic_state("t").unwrap().epoch, 2);
}
