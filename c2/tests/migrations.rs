// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Databases that earlier versions made open, with everything that is in them.
//!
//! The files in `fixtures` were written once by the version that had their schema (see the test
//! that is ignored below) and do not change after its release. Their key file is 32 bytes of 7.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::database::{Hands, NOON, ann, join, new_client, new_topic};
use common::fleet::{apply, unlock};
use e4::protect::protect_signed;
use e4::{ClientId, IdKey, Mode, SigningKey, Timestamp};
use e4_c2::domain::{
    CampaignState, Credential, Error, ItemState, Labelled, Operation, Pace, Page, PolicySpec,
    Receivers, Selector, State, Target, Trigger,
};
use e4_c2::service::Service;
use e4_c2::store::{KeyOfClient, Sqlite, Store, Tx, Verified};

/// A token of somebody who may look.
const TOKEN: &str = "\
INSERT INTO tokens (id, name, kind, hash, role, messages, made_at, expires_at) \
VALUES (1, 'eye of the plant', 1, x'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a', \
3, 0, 1800000000000, NULL); UPDATE counters SET last = 1 WHERE name = 'tokens'";

const MESSAGE: &[u8] = b"4 bar at the inlet";
/// The private half of the pump's key; in SK mode its id key.
const SEED: [u8; 32] = [0x21; 32];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn open(path: &Path) -> Service {
    let database = Box::new(Sqlite::file(path).unwrap());
    let store = Store::open(database, &unlock(), None, NOON).unwrap_or_else(|e| panic!("{e}"));
    Service::new(Arc::new(store), Hands::at(NOON))
}

fn pump_key(mode: Mode) -> Credential {
    Credential::Key(match mode {
        Mode::Symmetric => SEED.to_vec().into(),
        Mode::PublicKey => {
            SigningKey::from_seed(&SEED).unwrap().public().as_bytes().to_vec().into()
        }
    })
}

/// What every fixture was filled with.
fn fill(service: &Service) {
    let pump = || "pump".to_string();
    apply(service, Operation::NewClient { client: pump(), credential: pump_key(service.mode()) });
    for name in ["fan", "eye", "gone"] {
        apply(service, new_client(name));
    }
    for topic in ["plant/a", "plant/b", "plant/c", "stra\u{df}e/1"] {
        apply(service, new_topic(topic));
        apply(service, join(topic, "pump"));
        apply(service, join(topic, "gone"));
    }
    apply(service, new_topic("plant/b"));
    apply(service, Operation::NewClientKey { client: "fan".into() });
    apply(service, Operation::RemoveTopicClient { topic: "plant/c".into(), client: pump() });
    if service.mode() == Mode::PublicKey {
        let (source, target) = (pump, || "eye".to_string());
        apply(service, Operation::LinkClient { source: source(), target: target() });
        apply(service, Operation::SendClientPubKey { source: source(), target: target() });
        apply(service, Operation::NewC2Key);
    }
    apply(service, Operation::RemoveClient { client: "gone".into(), rotate: true });
    apply(service, Operation::RemoveTopic { topic: "plant/c".into() });
    // Far enough to be partly sent.
    let halfway = |tx: &mut Tx| {
        while tx.fan_out_page(100, NOON)? {}
        let mut pump = tx.client("pump")?;
        let holding = tx.holdings(pump.row)?.remove(0);
        let sent = e4_c2::store::Sent {
            kind: holding.kind,
            subject: holding.subject,
            target: holding.target,
            siv: [0x51; 16],
            stamp: NOON / 1000,
        };
        tx.sent(pump.row, &sent, NOON)?;
        tx.answered(pump.row, &sent.siv, None, NOON)?;
        (pump.stamp, pump.answers, pump.seen_at) = (NOON / 1000, true, Some(NOON));
        tx.update_client(&pump)
    };
    service.store().write(halfway).unwrap();
}

/// What the fixtures from schema 2 on have besides.
fn fill_2(service: &Service) {
    service.apply_once(&ann(), Some("fixture"), &once()).unwrap();
}

fn once() -> Vec<Operation> {
    vec![new_client("once"), new_topic("plant/once"), join("plant/once", "nobody")]
}

/// The same batch comes back with the key that was made in it.
fn check_2(service: &Service, path: &Path) {
    let again = service.apply_once(&ann(), Some("fixture"), &once()).unwrap();
    assert!(again.again);
    assert!(again.results[0].as_ref().unwrap().secret.is_some());
    assert!(matches!(again.results[2], Err(Error::NotFound { .. })));
    apply(service, Operation::RemoveClient { client: "once".into(), rotate: false });
    apply(service, Operation::RemoveTopic { topic: "plant/once".into() });
    let tokens = |row: &rusqlite::Row| row.get::<_, String>(0);
    let database = rusqlite::Connection::open(path).unwrap();
    let name = database.query_row("SELECT name FROM tokens WHERE role = 3", [], tokens).unwrap();
    assert_eq!(name, "eye of the plant");
}

/// What the fixtures from schema 3 on have besides.
fn fill_3(service: &Service) {
    for operation in labelled() {
        apply(service, operation);
    }
    let receivers = Receivers::Names(vec!["fan".into()]);
    apply(service, join("plant/site", "fan"));
    apply(service, join("plant/site", "eye"));
    let topic = "plant/site".to_string();
    apply(service, Operation::RotateTopic { topic, receivers, deadline: 60 });
    service.create_policy(&ann(), "nightly", &nightly()).unwrap();
    let leavers = PolicySpec { triggers: vec![Trigger::Leaves(1)], ..nightly() };
    service.create_policy(&ann(), "leavers", &leavers).unwrap();
    service.pause_policy(&ann(), "leavers").unwrap();
    service.run_policy(&ann(), "nightly").unwrap();
    service.advance(&mut 0).unwrap();
    service.pause_campaign(&ann(), 1).unwrap();
}

fn labelled() -> [Operation; 4] {
    let label = |of| Operation::SetLabel { of, name: "site".into(), value: "berlin".into() };
    [
        new_topic("plant/site"),
        label(Labelled::Topic("plant/site".into())),
        new_client("gate"),
        label(Labelled::Client("gate".into())),
    ]
}

fn nightly() -> PolicySpec {
    let berlin = Selector::Label { name: "site".into(), value: "berlin".into() };
    PolicySpec {
        description: "every night".into(),
        targets: vec![Target::Clients(berlin.clone()), Target::Topics(berlin)],
        triggers: vec![Trigger::Cron { expression: "0 3 * * *".into(), zone: "UTC".into() }],
        pace: Pace { per_minute: 60, canary: 1, ..Pace::default() },
    }
}

/// Labels, a rotation in its first stage, policies, a campaign in the middle.
fn check_3(service: &Service) {
    let labels = service.labels(&Labelled::Topic("plant/site".into())).unwrap();
    assert_eq!(labels, [("site".into(), "berlin".into())]);
    let plan = service.rotation_plan("plant/site").unwrap();
    assert_eq!((plan.epoch, plan.receivers, plan.under_way_until), (2, 1, Some(NOON + 60_000)));
    let policies = service.policies(&Page::first(10)).unwrap();
    let [leavers, nightly_] = policies.as_slice() else { panic!("{policies:?}") };
    assert_eq!((leavers.name.as_str(), leavers.paused, leavers.next_at), ("leavers", true, None));
    // Noon of the test is 8:00 in the morning: the next night is that of the next day.
    let night = NOON + 19 * 3_600_000;
    assert_eq!((&nightly_.spec, nightly_.next_at), (&nightly(), Some(night)));
    assert_eq!((nightly_.runs, nightly_.last_at), (1, Some(NOON)));
    let campaign = service.campaign(1).unwrap();
    assert_eq!((campaign.state, campaign.rotated), (CampaignState::Paused, 1));
    let items = service.campaign_items(1, None, 0, 10).unwrap();
    let items: Vec<_> = items.iter().map(|at| (at.name.as_str(), at.canary, at.state)).collect();
    let expected = [("gate", true, ItemState::Rotated), ("plant/site", false, ItemState::Waiting)];
    assert_eq!(items, expected);
    apply(service, Operation::RemoveClient { client: "gate".into(), rotate: false });
    apply(service, Operation::RemoveTopic { topic: "plant/site".into() });
    service.resume_campaign(&ann(), 1).unwrap();
    service.advance(&mut 0).unwrap();
    let campaign = service.campaign(1).unwrap();
    assert_eq!((campaign.state, campaign.gone), (CampaignState::Finished, 2), "{campaign:?}");
}

/// A message that a client sent when the fixture was written.
fn message(service: &Service) -> Vec<u8> {
    if service.mode() == Mode::Symmetric {
        return service.protect("plant/a", MESSAGE).unwrap();
    }
    let key = |tx: &mut Tx| {
        let topic = tx.topic("plant/a")?;
        Ok(tx.topic_keys(&topic)?.remove(0).0)
    };
    let key = service.store().read(key).unwrap();
    let signing = SigningKey::from_seed(&SEED).unwrap();
    let id = ClientId::from_name("pump").unwrap();
    let now = Timestamp::from_secs(u64::try_from(NOON / 1000).unwrap());
    let mut out = [0; 200];
    protect_signed(&key, id, &signing, now, MESSAGE, &mut out).unwrap().to_vec()
}

fn check(service: &Service, version: i64, mode: Mode, message: &[u8]) {
    assert_eq!(service.mode(), mode);
    let all = Page::first(100);
    assert_eq!(service.clients(&all).unwrap(), ["eye", "fan", "pump"]);
    assert_eq!(service.topics(&all).unwrap(), ["plant/a", "plant/b", "stra\u{df}e/1"]);
    let mine = service.topics_of_client("pump", &all).unwrap();
    assert_eq!(mine, ["plant/a", "plant/b", "stra\u{df}e/1"]);
    let read = |tx: &mut Tx| {
        let epochs =
            ["plant/a", "plant/b", "stra\u{df}e/1"].map(|name| tx.topic(name).unwrap().epoch);
        assert_eq!(epochs, [2, 3, 2]);
        let pump = tx.client("pump")?;
        assert_eq!((pump.stamp, pump.answers, pump.seen_at), (NOON / 1000, true, Some(NOON)));
        match (mode, &tx.client_keys(pump.row, 0)?[0].key) {
            (Mode::Symmetric, KeyOfClient::Id(key)) => {
                assert!(key.ct_eq(&IdKey::from_slice(&SEED).unwrap()));
            }
            (Mode::PublicKey, KeyOfClient::Public(public, None)) => {
                let expected = SigningKey::from_seed(&SEED).unwrap().public();
                assert_eq!(public.as_bytes(), expected.as_bytes());
            }
            _ => panic!("another kind of key"),
        }
        let fan = tx.client("fan")?;
        assert_eq!((fan.key_epoch, fan.key_confirmed), (2, 1));
        assert_eq!(tx.client_keys(fan.row, fan.key_confirmed)?.len(), 2);
        if mode == Mode::PublicKey {
            let c2: Vec<i64> = tx.c2_keys()?.iter().map(|key| key.epoch).collect();
            assert_eq!(c2, [1, 2]);
            let eye = tx.client("eye")?;
            assert_eq!(tx.linked_clients(eye.row, &all)?, ["pump"]);
        }
        Ok(())
    };
    service.store().read(read).unwrap();
    // "plant/a" has the key of the client that went; the message is under the one before.
    assert_eq!(service.unprotect("plant/a", message).unwrap(), MESSAGE);
    let state = service.client_state("pump").unwrap();
    let topics: Vec<(&str, &str, State)> = state
        .deliveries
        .iter()
        .filter(|item| item.what == "topic")
        .map(|item| (item.what, item.name.as_str(), item.state))
        .collect();
    assert_eq!(
        topics,
        [
            ("topic", "plant/a", State::Confirmed),
            ("topic", "plant/b", State::Queued),
            ("topic", "stra\u{df}e/1", State::Queued),
        ]
    );
    let Ok(Verified::Intact(head)) = service.store().verify_audit() else { panic!("audit") };
    let records = service.audit_records(0, 100).unwrap();
    let records_of_1 = if mode == Mode::PublicKey { 24 } else { 21 };
    // Two for the batch, two for its end; thirteen for what came with schema 3, four for its end.
    let newer = if version > 1 { 4 } else { 0 } + if version > 2 { 17 } else { 0 };
    assert_eq!(head.seq, records_of_1 + newer);
    assert_eq!(records.len() as i64, head.seq);
    assert_eq!(records[0].detail, r#"{"client":"pump","credential":"Key","epoch":1}"#);

    // And it goes on from there.
    apply(service, new_client("new"));
    apply(service, new_topic("plant/a"));
    apply(service, join("plant/a", "new"));
    apply(service, Operation::NewClientKey { client: "pump".into() });
    apply(service, Operation::RemoveTopic { topic: "plant/b".into() });
    assert!(matches!(service.store().verify_audit(), Ok(Verified::Intact(_))));
}

fn opens(version: i64, name: &str, mode: Mode) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c2.sqlite");
    std::fs::copy(fixture(&format!("{name}.sqlite")), &path).unwrap();
    let before = rusqlite::Connection::open(&path).unwrap();
    let found: i64 =
        before.query_row("SELECT MAX(version) FROM schema_versions", [], |row| row.get(0)).unwrap();
    assert_eq!(found, version, "the fixture has the schema of its name");
    drop(before);
    let message = std::fs::read_to_string(fixture(&format!("{name}.message"))).unwrap();
    let service = open(&path);
    let now: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT MAX(version) FROM schema_versions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(now, 3);
    if version > 2 {
        check_3(&service);
    }
    if version > 1 {
        check_2(&service, &path);
    }
    check(&service, version, mode, &hex::decode(message.trim()).unwrap());
    drop(service);
    // A second time nothing is left to migrate.
    drop(open(&path));
    let wrong = e4_c2::store::Unlock::KeyFile(vec![8; 32].into());
    let error = Store::open(Box::new(Sqlite::file(&path).unwrap()), &wrong, None, NOON).err();
    assert!(matches!(error, Some(Error::Invalid { field: "key file", .. })));
}

#[test]
fn schema_1_sk() {
    opens(1, "schema-1-sk", Mode::Symmetric);
}

#[test]
fn schema_1_pk() {
    opens(1, "schema-1-pk", Mode::PublicKey);
}

#[test]
fn schema_2_sk() {
    opens(2, "schema-2-sk", Mode::Symmetric);
}

#[test]
fn schema_2_pk() {
    opens(2, "schema-2-pk", Mode::PublicKey);
}

#[test]
fn schema_3_sk() {
    opens(3, "schema-3-sk", Mode::Symmetric);
}

#[test]
fn schema_3_pk() {
    opens(3, "schema-3-pk", Mode::PublicKey);
}

/// Every row of the old tables is as it was in every column that there was, and the new tables are
/// ready.
#[test]
fn nothing_is_lost() {
    for name in ["schema-1-sk", "schema-1-pk", "schema-2-sk", "schema-2-pk"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c2.sqlite");
        std::fs::copy(fixture(&format!("{name}.sqlite")), &path).unwrap();
        let tables = tables(&path);
        let before = rows(&path, &tables);
        assert!(before.len() > 40, "{}", before.len());
        drop(open(&path));
        let mut after = rows(&path, &tables);
        let counters = ["tokens", "batches", "policies", "campaigns"];
        let added = |row: &String| {
            let new = row.starts_with("schema_versions ")
                || counters.iter().any(|of| *row == format!("counters [Text({of:?}), Integer(0)]"));
            new && !before.contains(row)
        };
        let count = after.len();
        after.retain(|row| !added(row));
        assert_eq!(after, before);
        let versions = if name.starts_with("schema-1") { 2 } else { 1 };
        assert_eq!(count - after.len(), versions * 3, "a version and two counters each");
        let found = self::tables(&path);
        for new in ["tokens", "batches", "labels", "policies", "policy_marks", "campaigns"] {
            assert!(found.iter().any(|(table, _)| table == new), "{new}");
        }
        let database = rusqlite::Connection::open(&path).unwrap();
        let moved = "SELECT SUM(joins) + SUM(leaves) + SUM(stage) FROM \
                     (SELECT joins, leaves, stage FROM topics \
                     UNION ALL SELECT joins, leaves, 0 FROM clients)";
        let moved: i64 = database.query_row(moved, [], |row| row.get(0)).unwrap();
        assert_eq!(moved, 0);
    }
}

/// Tables and their columns.
fn tables(path: &Path) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(path).unwrap();
    let all = "SELECT t.name, group_concat(c.name, ', ') FROM sqlite_schema t, \
               pragma_table_info(t.name) c WHERE t.type = 'table' GROUP BY t.name ORDER BY t.name";
    let mut all = database.prepare(all).unwrap();
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Every row of tables, in these columns.
fn rows(path: &Path, tables: &[(String, String)]) -> Vec<String> {
    let database = rusqlite::Connection::open(path).unwrap();
    let mut all = Vec::new();
    for (table, columns) in tables {
        let mut rows = database.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let count = rows.column_count();
        let rows = rows.query_map([], |row| {
            let value = |at| row.get::<_, rusqlite::types::Value>(at);
            let values: Vec<_> = (0..count).map(|at| value(at).unwrap()).collect();
            Ok(format!("{table} {values:?}"))
        });
        all.extend(rows.unwrap().map(Result::unwrap));
    }
    all.sort();
    all
}

/// A schema that has the same tables as an old one that was brought up.
#[test]
fn migrated_and_new_have_one_schema() {
    let schema = |path: &Path| {
        let database = rusqlite::Connection::open(path).unwrap();
        let mut all = database
            .prepare(
                "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1, 2",
            )
            .unwrap();
        let rows = all.query_map([], |row| {
            Ok(format!("{:?}", (row.get::<_, String>(0)?, row.get::<_, String>(2)?)))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<String>>()
    };
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new.sqlite");
    let database = Box::new(Sqlite::file(&new).unwrap());
    drop(Store::open(database, &unlock(), Some(Mode::PublicKey), NOON).unwrap());
    let old = dir.path().join("old.sqlite");
    std::fs::copy(fixture("schema-1-pk.sqlite"), &old).unwrap();
    drop(open(&old));
    assert_eq!(schema(&old), schema(&new));
}

/// Not a database of ours, or none at all.
#[test]
fn other_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c2.sqlite");
    std::fs::write(&path, vec![b'x'; 5000]).unwrap();
    let database = Box::new(Sqlite::file(&path).unwrap());
    let error = Store::open(database, &unlock(), None, NOON).err().unwrap();
    assert_eq!(error.to_string(), "database: file is not a database");
    assert!(Sqlite::file(&dir.path().join("no/such/dir")).is_err());
    assert!(Sqlite::file(dir.path()).is_err());
    let database = dir.path().join("other.sqlite");
    let other = rusqlite::Connection::open(&database).unwrap();
    other.execute_batch("CREATE TABLE clients (name TEXT)").unwrap();
    drop(other);
    let error = Store::open(Box::new(Sqlite::file(&database).unwrap()), &unlock(), None, NOON);
    assert!(matches!(error.err(), Some(Error::Store(_))));
}

/// Writes the fixtures of the present schema: `cargo test -p e4-c2 --test migrations -- --ignored`.
#[test]
#[ignore = "writes the fixtures; only before a schema is released"]
fn write_fixtures() {
    for (name, mode) in [("schema-3-sk", Mode::Symmetric), ("schema-3-pk", Mode::PublicKey)] {
        let path = fixture(&format!("{name}.sqlite"));
        let _ = std::fs::remove_file(&path);
        let database = Box::new(Sqlite::file(&path).unwrap());
        let store = Store::open(database, &unlock(), Some(mode), NOON).unwrap();
        let service = Service::new(Arc::new(store), Hands::at(NOON));
        fill(&service);
        fill_2(&service);
        fill_3(&service);
        let message = message(&service);
        std::fs::write(fixture(&format!("{name}.message")), hex::encode(message) + "\n").unwrap();
        drop(service);
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(TOKEN).unwrap();
        let small = "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM";
        database.execute_batch(small).unwrap();
    }
}
