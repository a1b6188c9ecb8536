// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Policies by a clock that a test moves: a year, summer time, restarts, two servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::database::{Hands, ann, join, leave, meddle, new_client, new_topic};
use common::fleet::{apply, unlock};
use common::postgres::server;
use e4::Mode;
use e4_c2::domain::{
    CampaignState, Error, Labelled, Millis, Operation, Page, PolicySpec, Selector, Target, Trigger,
};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Store};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

fn at(text: &str) -> Millis {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn text(at: Millis) -> String {
    Timestamp::from_millisecond(at).unwrap().to_string()
}

fn open(database: Box<dyn Database>, clock: &Arc<Hands>) -> Service {
    let store = Store::open(database, &unlock(), Some(Mode::Symmetric), 0).unwrap();
    Service::new(Arc::new(store), clock.clone())
}

fn file(path: &Path) -> Box<dyn Database> {
    Box::new(Sqlite::file(path).unwrap())
}

fn spec(topic: &str, trigger: Trigger) -> PolicySpec {
    PolicySpec {
        description: String::new(),
        targets: vec![Target::Topics(Selector::Name(topic.into()))],
        triggers: vec![trigger],
        pace: e4_c2::domain::Pace::default(),
    }
}

fn cron(topic: &str, expression: &str, zone: &str) -> PolicySpec {
    spec(topic, Trigger::Cron { expression: expression.into(), zone: zone.into() })
}

/// Has everything done that is due now, and says when something is next.
fn settle(service: &Service, seen: &mut i64) -> Option<Millis> {
    loop {
        let done = service.advance(seen).unwrap();
        if !done.changed {
            return done.next_at;
        }
    }
}

/// When the runs of a policy began, the oldest first.
fn runs(service: &Service, policy: &str) -> Vec<Millis> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = service.campaigns(Some(policy), before, 100).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        all.extend(page.iter().map(|run| run.made_at));
    }
    all.reverse();
    all
}

fn epoch(service: &Service, topic: &str) -> i64 {
    service.topic_state(topic).unwrap().epoch
}

/// Every day's moment of a time in a zone, through a year.
fn moments(
    zone: &str,
    hour: i8,
    minute: i8,
    days: impl Fn(jiff::civil::Date) -> bool,
) -> Vec<Millis> {
    let zone = TimeZone::get(zone).unwrap();
    let from = at("2026-01-01T00:00:00Z");
    let to = at("2027-01-01T00:00:00Z");
    let mut all = Vec::new();
    let mut date = jiff::civil::date(2025, 12, 31);
    while date.year() < 2027 || date.day() < 3 {
        if days(date) {
            let moment = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).unwrap();
            all.push(moment.timestamp().as_millisecond());
        }
        date += 1.day();
    }
    all.retain(|moment| *moment > from && *moment <= to);
    all
}

#[test]
fn a_year_in_five_places_with_restarts() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("c2.sqlite");
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let mut service = open(file(&path), &clock);
    let sunday = |date: jiff::civil::Date| date.weekday() == jiff::civil::Weekday::Sunday;
    let first = |date: jiff::civil::Date| date.day() == 1;
    // Every day at a time that is missing once and there twice; the last place moves by 30 minutes.
    let places = [
        ("zurich", "30 2 * * *", "Europe/Zurich", moments("Europe/Zurich", 2, 30, |_| true)),
        ("york", "30 1 1 * *", "America/New_York", moments("America/New_York", 1, 30, first)),
        ("kathmandu", "45 23 * * *", "Asia/Kathmandu", moments("Asia/Kathmandu", 23, 45, |_| true)),
        (
            "howe",
            "45 1 * * 0",
            "Australia/Lord_Howe",
            moments("Australia/Lord_Howe", 1, 45, sunday),
        ),
        ("greenwich", "0 12 * * 0", "UTC", moments("UTC", 12, 0, sunday)),
    ];
    for (name, expression, zone, _) in &places {
        apply(&service, new_topic(name));
        service.create_policy(&ann(), name, &cron(name, expression, zone)).unwrap();
    }
    let end = at("2027-01-01T00:00:00Z");
    let mut seen = 0;
    let mut steps = 0;
    loop {
        let now = e4_c2::domain::Clock::now(&*clock);
        match settle(&service, &mut seen) {
            Some(next) if next <= end => clock.turn((next - now).max(1)),
            _ => break,
        }
        steps += 1;
        if steps % 97 == 0 {
            drop(service);
            (service, seen) = (open(file(&path), &clock), 0);
        }
    }
    for (name, _, _, mut expected) in places {
        // The hour that 29 March does not have in Zurich: at its end.
        for moment in &mut expected {
            if name == "zurich" && *moment == at("2026-03-29T01:30:00Z") {
                *moment = at("2026-03-29T01:00:00Z");
            }
        }
        let found = runs(&service, name);
        let found: Vec<String> = found.into_iter().map(text).collect();
        let expected: Vec<String> = expected.into_iter().map(text).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(epoch(&service, name), 1 + i64::try_from(found.len()).unwrap(), "{name}");
    }
    // Winter and summer.
    let zurich = runs(&service, "zurich");
    assert!(zurich.contains(&at("2026-01-15T01:30:00Z")));
    assert!(zurich.contains(&at("2026-07-15T00:30:00Z")));
    let york = runs(&service, "york");
    assert_eq!(york.len(), 12);
    // 1 November 2026: 1:30 is there twice in New York, and the key rotates once.
    assert!(york.contains(&at("2026-11-01T05:30:00Z")));
}

#[test]
fn what_was_missed_is_made_up_once() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let database = Sqlite::memory().unwrap();
    let service = open(Box::new(database.clone()), &clock);
    apply(&service, new_topic("t"));
    service.create_policy(&ann(), "hourly", &cron("t", "0 * * * *", "UTC")).unwrap();
    let mut seen = 0;
    settle(&service, &mut seen);
    drop(service);
    // Three months of nothing.
    clock.turn(90 * 86_400_000 + 1_800_000);
    let service = open(Box::new(database), &clock);
    let mut seen = 0;
    settle(&service, &mut seen);
    assert_eq!(runs(&service, "hourly").len(), 1);
    let next = service.policy("hourly").unwrap().next_at.unwrap();
    assert_eq!(text(next), "2026-04-01T01:00:00Z");
    // The run has ended a moment later.
    clock.turn(1000);
    settle(&service, &mut seen);
    let run = &service.campaigns(Some("hourly"), None, 1).unwrap()[0];
    assert_eq!((run.state, run.confirmed, run.total), (CampaignState::Finished, 1, 1));
    // What rests makes up nothing.
    service.pause_policy(&ann(), "hourly").unwrap();
    clock.turn(86_400_000);
    settle(&service, &mut seen);
    service.resume_policy(&ann(), "hourly").unwrap();
    settle(&service, &mut seen);
    assert_eq!(runs(&service, "hourly").len(), 1);
}

#[test]
fn joins_and_leaves_and_nothing_that_it_did_itself() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(Box::new(Sqlite::memory().unwrap()), &clock);
    for topic in ["plant/a", "plant/b", "other"] {
        apply(&service, new_topic(topic));
    }
    for client in ["c0", "c1", "c2", "c3", "c4"] {
        apply(&service, new_client(client));
        // Before the policy: they do not count.
        apply(&service, join("plant/a", client));
    }
    let all = |trigger| PolicySpec {
        targets: vec![Target::Topics(Selector::Wildcard("plant/*".into()))],
        ..spec("", trigger)
    };
    service.create_policy(&ann(), "leavers", &all(Trigger::Leaves(2))).unwrap();
    service.create_policy(&ann(), "joiners", &all(Trigger::Joins(3))).unwrap();
    let mut seen = 0;
    let mut look = || {
        for _ in 0..3 {
            settle(&service, &mut seen);
            clock.turn(1000);
        }
    };
    look();
    let epochs = || ["plant/a", "plant/b", "other"].map(|topic| epoch(&service, topic));
    assert_eq!(epochs(), [1, 1, 1]);
    apply(&service, leave("plant/a", "c0"));
    look();
    assert_eq!(epochs(), [1, 1, 1]);
    // Who is removed leaves as well; the rotation by hand of what it knew is none of the policy's.
    apply(&service, Operation::RemoveClient { client: "c1".into(), rotate: true });
    look();
    assert_eq!(epochs(), [3, 1, 1]);
    look();
    assert_eq!(epochs(), [3, 1, 1]);
    for client in ["c2", "c3", "c4"] {
        apply(&service, join("plant/b", client));
        apply(&service, join("other", client));
    }
    look();
    assert_eq!(epochs(), [3, 2, 1]);
    // A topic that came later counts from its beginning.
    apply(&service, new_topic("plant/new"));
    for client in ["c2", "c3", "c4"] {
        apply(&service, join("plant/new", client));
    }
    look();
    assert_eq!(epoch(&service, "plant/new"), 2);
    // A client that is told to forget everything leaves its topics.
    apply(&service, leave("plant/b", "c2"));
    apply(&service, Operation::ResetClient { client: "c3".into() });
    look();
    assert_eq!(epochs(), [3, 3, 1]);
}

#[test]
fn once_by_label_and_by_hand() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(Box::new(Sqlite::memory().unwrap()), &clock);
    for topic in ["a", "b"] {
        apply(&service, new_topic(topic));
    }
    let label = |topic: &str| Operation::SetLabel {
        of: Labelled::Topic(topic.into()),
        name: "site".into(),
        value: "berlin".into(),
    };
    apply(&service, label("b"));
    let of = Selector::Label { name: "site".into(), value: "berlin".into() };
    let spec = PolicySpec { targets: vec![Target::Topics(of)], ..spec("", Trigger::Once) };
    service.create_policy(&ann(), "now", &spec).unwrap();
    let mut seen = 0;
    for _ in 0..5 {
        settle(&service, &mut seen);
        clock.turn(1000);
    }
    assert_eq!((epoch(&service, "a"), epoch(&service, "b")), (1, 2));
    let plan = service.plan_policy("now").unwrap();
    assert_eq!((plan.topics, plan.clients, plan.names), (1, 0, vec!["b".to_string()]));
    apply(&service, label("a"));
    let run = service.run_policy(&ann(), "now").unwrap();
    assert_eq!((run.total, run.waiting), (2, 2));
    let again = service.run_policy(&ann(), "now");
    assert!(matches!(again, Err(Error::Busy(_))), "{again:?}");
    service.delete_policy(&ann(), "now").unwrap();
    assert_eq!(service.campaign(run.number).unwrap().state, CampaignState::Cancelled);
    settle(&service, &mut seen);
    assert_eq!((epoch(&service, "a"), epoch(&service, "b")), (1, 2));
}

#[test]
fn what_is_refused() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(Box::new(Sqlite::memory().unwrap()), &clock);
    let refused = |name: &str, spec: &PolicySpec, field: &str| match service.create_policy(
        &ann(),
        name,
        spec,
    ) {
        Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field, "{spec:?}"),
        other => panic!("{other:?}"),
    };
    let good = cron("t", "0 3 * * *", "UTC");
    refused("", &good, "name");
    refused("p", &cron("t", "0 3 * *", "UTC"), "cron");
    refused("p", &cron("t", "0 25 * * *", "UTC"), "cron");
    refused("p", &cron("t", "0 3 30 2 *", "UTC"), "cron");
    refused("p", &cron("t", "0 3 * * *", "Mars/Olympus"), "zone");
    refused("p", &spec("t", Trigger::Joins(0)), "triggers");
    refused("p", &PolicySpec { targets: Vec::new(), ..good.clone() }, "targets");
    refused("p", &PolicySpec { triggers: Vec::new(), ..good.clone() }, "triggers");
    let pace = e4_c2::domain::Pace { abort_percent: 101, ..e4_c2::domain::Pace::default() };
    refused("p", &PolicySpec { pace, ..good.clone() }, "abortPercent");
    service.create_policy(&ann(), "p", &good).unwrap();
    let again = service.create_policy(&ann(), "p", &good);
    assert!(matches!(again, Err(Error::Exists { .. })));
    assert_eq!(service.policies(&Page::first(10)).unwrap().len(), 1);
}

/// A run that is due once comes, also when the policy rested or was changed before.
#[test]
fn once_is_not_lost() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(Box::new(Sqlite::memory().unwrap()), &clock);
    for topic in ["a", "b"] {
        apply(&service, new_topic(topic));
        service.create_policy(&ann(), topic, &spec(topic, Trigger::Once)).unwrap();
    }
    service.pause_policy(&ann(), "a").unwrap();
    let mut changed = spec("b", Trigger::Once);
    changed.triggers.push(Trigger::Cron { expression: "0 3 * * *".into(), zone: "UTC".into() });
    service.update_policy(&ann(), "b", &changed).unwrap();
    let newest = service.newest_record().unwrap();
    let record = &service.audit_records(newest - 1, 1).unwrap()[0];
    assert_eq!(record.action, "update_policy");
    assert!(record.detail.contains("0 3 * * *"), "{}", record.detail);
    let mut seen = 0;
    settle(&service, &mut seen);
    assert_eq!((epoch(&service, "a"), epoch(&service, "b")), (1, 2));
    service.resume_policy(&ann(), "a").unwrap();
    settle(&service, &mut seen);
    assert_eq!((epoch(&service, "a"), epoch(&service, "b")), (2, 2));
    // By hand is no second time of it.
    for topic in ["a", "b"] {
        clock.turn(1000);
        settle(&service, &mut seen);
        service.run_policy(&ann(), topic).unwrap();
        settle(&service, &mut seen);
        assert_eq!((epoch(&service, topic), runs(&service, topic).len()), (3, 2));
    }
    assert_eq!(service.policy("a").unwrap().next_at, None);
    assert_eq!(service.policy("b").unwrap().next_at.map(text).unwrap(), "2026-01-01T03:00:00Z");
}

/// Clients leave a topic that is removed while they are told of it.
#[test]
fn a_topic_that_goes_is_left_by_its_clients() {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(Box::new(Sqlite::memory().unwrap()), &clock);
    apply(&service, new_topic("t"));
    for client in ["in", "out", "never"] {
        apply(&service, new_client(client));
    }
    apply(&service, join("t", "in"));
    apply(&service, join("t", "out"));
    apply(&service, leave("t", "out"));
    let targets = vec![Target::Clients(Selector::Any)];
    let spec = PolicySpec { targets, ..spec("", Trigger::Leaves(1)) };
    service.create_policy(&ann(), "leavers", &spec).unwrap();
    let mut seen = 0;
    settle(&service, &mut seen);
    apply(&service, Operation::RemoveTopic { topic: "t".into() });
    settle(&service, &mut seen);
    assert_eq!(runs(&service, "leavers").len(), 0);
    while service.store().write(|tx| tx.fan_out_page(100, 0)).unwrap() {}
    settle(&service, &mut seen);
    let keys =
        ["in", "out", "never"].map(|name| service.client_state(name).unwrap().deliveries[0].epoch);
    assert_eq!(keys, [2, 1, 1]);
}

/// A policy that runs often does not fill the database.
#[test]
fn old_campaigns_are_forgotten() {
    let memory = Sqlite::memory().unwrap();
    forgets(&|| Box::new(memory.clone()));
    if let Some(server) = server() {
        let address = server.database();
        forgets(&|| Box::new(Postgres::new(&address, None, None).unwrap()));
    }
}

fn forgets(database: &dyn Fn() -> Box<dyn Database>) {
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let service = open(database(), &clock);
    apply(&service, new_topic("t"));
    service.create_policy(&ann(), "p", &cron("t", "* * * * *", "UTC")).unwrap();
    // A thousand that have ended, with a key each, and one that is large.
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <";
    let script = format!(
        "{numbers} 1001) INSERT INTO campaigns (id, policy, name, spec, state, made_at, \
         resumed_at, ended_at) SELECT i, 1, 'p', '{PACE}', 4, i, i, i FROM n; \
         {numbers} 1001) INSERT INTO campaign_items (campaign, position, kind, subject, canary, \
         state, epoch) SELECT i, 1, 1, 1, 0, 2, 2 FROM n; \
         {numbers} 99990) INSERT INTO campaign_items (campaign, position, kind, subject, canary, \
         state, epoch) SELECT 500, i + 1, 1, 1, 0, 2, 2 FROM n; \
         UPDATE counters SET last = 1001 WHERE name = 'campaigns'"
    );
    meddle(&*database(), &script);
    assert_eq!(runs(&service, "p").len(), 1001);
    let run = service.run_policy(&ann(), "p").unwrap();
    assert_eq!(run.number, 1002);
    // The large one and what was before it are too much; what came after is not.
    let left = runs(&service, "p");
    assert!(left.len() == 502, "{}", left.len());
    for (number, there) in [(1, false), (500, false), (501, true), (1001, true)] {
        assert_eq!(service.campaign_items(number, None, 0, 10).is_ok(), there, "{number}");
    }
}

const PACE: &str = "{}";

/// Two servers look at the same moment, through a week of hours.
#[test]
fn two_servers_and_one_run_each() {
    let Some(server) = server() else { return };
    let address = server.database();
    let database = || Box::new(Postgres::new(&address, None, None).unwrap());
    let clock = Hands::at(at("2026-01-01T00:00:00Z"));
    let services = [open(database(), &clock), open(database(), &clock)];
    apply(&services[0], new_topic("t"));
    services[0].create_policy(&ann(), "hourly", &cron("t", "0 * * * *", "UTC")).unwrap();
    let mut seen = [0, 0];
    for _ in 0..24 * 7 {
        clock.turn(3_600_000);
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for (service, seen) in services.iter().zip(&mut seen) {
                    scope.spawn(move || service.advance(seen).unwrap());
                }
            });
            clock.turn(1000);
        }
        clock.turn(-3000);
    }
    let found = runs(&services[1], "hourly");
    assert_eq!(found.len(), 24 * 7);
    assert_eq!(epoch(&services[0], "t"), 1 + 24 * 7);
}
