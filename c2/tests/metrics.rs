// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Figures for Prometheus: right, and as many for a thousand clients as for ten.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::database::{join as member, new_client, new_topic, service as at_noon};
use common::fleet::{
    Device, apply, engine, join, provision, quick, service, settled, until, wanted,
};
use e4::Mode;
use e4_c2::domain::Operation;
use e4_c2::metrics::Metrics;
use e4_c2::service::Service;
use e4_c2::store::Sqlite;
use e4_c2::transport::Broker;

/// Every line as name and value.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_string(), value.parse().unwrap())).collect()
}

fn figures(service: &Service) -> BTreeMap<String, f64> {
    parse(&Metrics::new(service.clone(), Default::default()).render().unwrap())
}

#[test]
fn a_fleet_in_figures() {
    let broker = Broker::start().unwrap();
    let (host, port) = (broker.address().ip().to_string(), broker.address().port());
    let service = service(Box::new(Sqlite::memory().unwrap()), Mode::PublicKey);
    apply(&service, new_topic("plant/a"));
    let pump = Device::connect(provision(&service, "pump"), &host, port, true);
    provision(&service, "asleep");
    join(&service, "plant/a", "pump");
    join(&service, "plant/a", "asleep");
    let engine = engine(&service, &host, port, quick());
    let rest = || pump.digest() == wanted(&service, "pump") && settled(&service, "pump");
    until("it is at rest", rest);
    let figures =
        || parse(&Metrics::new(service.clone(), engine.figures().clone()).render().unwrap());
    let first = figures();
    let value = |of: &BTreeMap<String, f64>, name: &str| {
        *of.get(name).unwrap_or_else(|| panic!("no {name} in {of:#?}"))
    };
    assert_eq!(value(&first, "e4_clients"), 2.0);
    assert_eq!(value(&first, "e4_memberships"), 2.0);
    assert_eq!(value(&first, "e4_clients_answering"), 1.0);
    assert_eq!(value(&first, "e4_broker_connected"), 1.0);
    assert_eq!(value(&first, "e4_topic_keys{state=\"confirmed\"}"), 1.0);
    assert_eq!(value(&first, "e4_topic_keys_behind{behind=\"0\"}"), 1.0);
    assert_eq!(value(&first, "e4_topic_keys_behind{behind=\"unknown\"}"), 1.0);
    assert!(value(&first, "e4_commands_sent_total") >= 2.0);
    assert!(value(&first, "e4_publish_seconds_count") >= 1.0);
    assert!(value(&first, "e4_database_write_seconds_count") > 5.0);
    assert_eq!(value(&first, "e4_database_failures_total"), 0.0);
    // The first key of a membership has no lag of its own; a rotation has.
    assert_eq!(value(&first, "e4_confirmation_lag_seconds_count"), 0.0);
    let text = Metrics::new(service.clone(), engine.figures().clone()).render().unwrap();
    assert!(!text.contains("pump") && !text.contains("plant"));
    for (count, operation) in [
        (1.0, new_topic("plant/a")),
        (2.0, Operation::NewClientKey { client: "pump".into() }),
        (3.0, Operation::NewC2Key),
    ] {
        apply(&service, operation);
        until("it follows", rest);
        until("it is measured", || value(&figures(), "e4_confirmation_lag_seconds_count") >= count);
        let after = figures();
        assert_eq!(value(&after, "e4_confirmation_lag_seconds_count"), count);
        let lag = value(&after, "e4_confirmation_lag_seconds_sum");
        assert!(lag > 0.0 && lag < 30.0 * count, "{lag}");
    }
    assert!(value(&figures(), "e4_answers_total") >= 4.0);
}

#[test]
fn as_many_for_many_as_for_few() {
    let service = at_noon(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    let few: Vec<String> = figures(&service).into_keys().collect();
    for number in 0..50 {
        let (client, topic) = (format!("c{number}"), format!("plant/{number}"));
        apply(&service, new_client(&client));
        apply(&service, new_topic(&topic));
        apply(&service, member(&topic, &client));
        apply(&service, new_topic(&topic));
    }
    let many: Vec<String> = figures(&service).into_keys().collect();
    assert_eq!(many, few);
    assert!(few.len() < 250, "{}", few.len());
    // Who asks often is given the same again.
    let metrics = Metrics::new(service.clone(), Default::default());
    let once = metrics.render().unwrap();
    apply(&service, new_client("later"));
    assert_eq!(metrics.render().unwrap(), once);
}

/// What the rules and the text of the server call each other.
#[test]
fn the_rules_for_alerts_name_figures_that_there_are() {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml");
    let rules = std::fs::read_to_string(place).unwrap();
    let service = at_noon(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    let known: Vec<String> = figures(&service)
        .into_keys()
        .map(|name| name.split('{').next().unwrap().to_string())
        .collect();
    let words = rules.split(|c: char| !c.is_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(|word| word.starts_with("e4_")).collect();
    assert!(named.len() > 8);
    for name in named {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
}
