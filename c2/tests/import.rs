// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The database of an earlier C2 comes over. The tests make such databases themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use common::database::{Hands, NOON, ann, dump, new_client};
use common::fleet::{Device, apply, engine, quick, settled, unlock, until, wanted};
use common::postgres::server;
use e4::crypto::password::id_key_from_password;
use e4::protect::{protect, protect_command};
use e4::{
    C2SecretKey, Client, ClientId, Command, IdKey, Identity, MemoryStorage, Mode, SigningKey,
    Timestamp, TopicHash, TopicKey,
};
use e4_c2::domain::{Clock, Error, Operation, Page, SystemClock};
use e4_c2::import::{Found, Imported, OldKey};
use e4_c2::service::Service;
use e4_c2::store::{Database, KeyOfClient, Postgres, Sqlite, Store, Tx, Verified};
use e4_c2::transport::Broker;

const PASSPHRASE: &str = "the passphrase of the old one";

/// As the old C2 sealed: `K | K`, one empty string.
fn seal(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let twice: [u8; 64] = [key.as_slice(), key].concat().try_into().unwrap();
    Aes256Siv::new(&twice.into()).encrypt([[0u8; 0]], plain).unwrap()
}

fn database_key() -> [u8; 32] {
    *id_key_from_password(PASSPHRASE).unwrap().expose()
}

#[test]
fn check_value() {
    let bytes: [u8; 32] = std::array::from_fn(|at| at as u8);
    let expected = "63bfa4a6e4faf322411d0d4e29ca546a503f609ee120e870bf5d1d0b2b48ed2d4de721b4ec8a3f7\
                    efa3f1d34fad161ec";
    assert_eq!(hex::encode(seal(&bytes, &bytes)), expected);
}

/// An old database.
enum Old {
    File(PathBuf),
    Server(String),
}

const LAYOUT_SQLITE: &str = "
CREATE TABLE clients (id integer PRIMARY KEY AUTOINCREMENT, e4_id blob, name varchar(256), key blob);
CREATE TABLE topic_keys (id integer PRIMARY KEY AUTOINCREMENT, topic varchar(4096), key blob);
CREATE TABLE clients_topickeys (client_id integer, topic_key_id integer,
  PRIMARY KEY (client_id, topic_key_id));
CREATE TABLE clients_clientkeys (client_id integer, clientkey_id integer,
  PRIMARY KEY (client_id, clientkey_id));";

const LAYOUT_POSTGRES: &str = "
CREATE TABLE clients (id serial PRIMARY KEY, e4_id bytea, name varchar(256), key bytea);
CREATE TABLE topic_keys (id serial PRIMARY KEY, topic varchar(4096), key bytea);
CREATE TABLE clients_topickeys (client_id integer, topic_key_id integer);
CREATE TABLE clients_clientkeys (client_id integer, clientkey_id integer);";

impl Old {
    fn file(directory: &Path) -> Self {
        let file = directory.join("old.sqlite");
        rusqlite::Connection::open(&file).unwrap().execute_batch(LAYOUT_SQLITE).unwrap();
        Old::File(file)
    }

    fn server() -> Option<Self> {
        let address = server()?.database();
        let mut client = postgres::Client::connect(&address, postgres::NoTls).unwrap();
        client.batch_execute(LAYOUT_POSTGRES).unwrap();
        Some(Old::Server(address))
    }

    fn open(&self) -> Box<dyn Database> {
        match self {
            Old::File(file) => Box::new(Sqlite::read_only(file)),
            Old::Server(address) => Box::new(Postgres::new(address, None, None).unwrap()),
        }
    }

    fn run(&self, script: &str) {
        match self {
            Old::File(file) => {
                rusqlite::Connection::open(file).unwrap().execute_batch(script).unwrap();
            }
            Old::Server(address) => {
                let mut client = postgres::Client::connect(address, postgres::NoTls).unwrap();
                client.batch_execute(script).unwrap();
            }
        }
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        match self {
            Old::File(_) => format!("x'{}'", hex::encode(bytes)),
            Old::Server(_) => format!("'\\x{}'", hex::encode(bytes)),
        }
    }

    fn client(&self, row: i64, name: &str, key: &[u8]) {
        let id = *ClientId::from_name(name).unwrap().as_bytes();
        self.client_with(row, &id, name, &seal(&database_key(), key));
    }

    fn client_with(&self, row: i64, id: &[u8], name: &str, sealed: &[u8]) {
        let (id, sealed) = (self.bytes(id), self.bytes(sealed));
        self.run(&format!("INSERT INTO clients VALUES ({row}, {id}, '{name}', {sealed})"));
    }

    fn topic(&self, row: i64, name: &str, key: &[u8]) {
        let sealed = self.bytes(&seal(&database_key(), key));
        self.run(&format!("INSERT INTO topic_keys VALUES ({row}, '{name}', {sealed})"));
    }

    fn pairs(&self, table: &str, pairs: &[(i64, i64)]) {
        for (one, other) in pairs {
            self.run(&format!("INSERT INTO {table} VALUES ({one}, {other})"));
        }
    }

    /// Three clients, two topics.
    fn fill(&self, mode: Mode) {
        for (row, name) in [(3, "pump"), (7, "fan"), (4, "eye \u{1f600}")] {
            self.client(row, name, &client_key(mode, row));
        }
        self.topic(1, "plant/a", &[0xa1; 32]);
        self.topic(9, "stra\u{df}e/1", &[0xa9; 32]);
        self.pairs("clients_topickeys", &[(7, 9), (3, 1), (3, 9)]);
        if mode == Mode::PublicKey {
            self.pairs("clients_clientkeys", &[(3, 7), (3, 4)]);
        }
    }
}

fn seed(row: i64) -> [u8; 32] {
    [row as u8 + 100; 32]
}

fn client_key(mode: Mode, row: i64) -> [u8; 32] {
    match mode {
        Mode::Symmetric => seed(row),
        Mode::PublicKey => *SigningKey::from_seed(&seed(row)).unwrap().public().as_bytes(),
    }
}

fn old_c2() -> C2SecretKey {
    C2SecretKey::from_slice(&[0xc2; 32]).unwrap()
}

fn old_key() -> OldKey {
    OldKey::from_passphrase(PASSPHRASE).unwrap()
}

fn new(database: Box<dyn Database>, mode: Mode) -> Service {
    let store = Store::open(database, &unlock(), Some(mode), NOON).unwrap();
    Service::new(Arc::new(store), Hands::at(NOON))
}

fn write(found: &Found, service: &Service, mode: Mode) -> e4_c2::domain::Result<Imported> {
    let c2 = (mode == Mode::PublicKey).then(old_c2);
    found.write(service.store(), c2.as_ref(), &ann(), NOON, |_| {})
}

fn olds(directory: &Path) -> Vec<Old> {
    [Some(Old::file(directory)), Old::server()].into_iter().flatten().collect()
}

/// New, empty databases.
fn news(directory: &Path) -> Vec<Box<dyn Database>> {
    let file = Sqlite::file(&directory.join("c2.sqlite")).unwrap();
    let mut all: Vec<Box<dyn Database>> = vec![Box::new(file), Box::new(Sqlite::memory().unwrap())];
    if let Some(server) = server() {
        all.push(Box::new(Postgres::new(&server.database(), None, None).unwrap()));
    }
    all
}

fn everything_comes_over(mode: Mode) {
    let directory = tempfile::tempdir().unwrap();
    for old in olds(directory.path()) {
        old.fill(mode);
        let before = match &old {
            Old::File(file) => std::fs::read(file).unwrap(),
            Old::Server(_) => Vec::new(),
        };
        let here = tempfile::tempdir().unwrap();
        for database in news(here.path()) {
            let found = Found::read(&*old.open(), mode, &old_key()).unwrap();
            assert_eq!(found.refused, []);
            let service = new(database, mode);
            let links = if mode == Mode::PublicKey { 2 } else { 0 };
            let size = Imported { clients: 3, topics: 2, memberships: 3, links };
            assert_eq!(write(&found, &service, mode).unwrap(), size);
            check(&service, mode);
            // Once is enough.
            let error = write(&found, &service, mode).unwrap_err();
            assert!(matches!(error, Error::Invalid { field: "database", .. }), "{error}");
        }
        if let Old::File(file) = &old {
            assert_eq!(std::fs::read(file).unwrap(), before, "the old database is only read");
            let siblings = directory.path().read_dir().unwrap().count();
            assert_eq!(siblings, 1);
        }
    }
}

fn check(service: &Service, mode: Mode) {
    let all = Page::first(100);
    assert_eq!(service.clients(&all).unwrap(), ["eye \u{1f600}", "fan", "pump"]);
    assert_eq!(service.topics(&all).unwrap(), ["plant/a", "stra\u{df}e/1"]);
    assert_eq!(service.topics_of_client("pump", &all).unwrap(), ["plant/a", "stra\u{df}e/1"]);
    assert_eq!(service.topics_of_client("fan", &all).unwrap(), ["stra\u{df}e/1"]);
    assert_eq!(service.count_topics_of_client("eye \u{1f600}").unwrap(), 0);
    let read = |tx: &mut Tx| {
        for (row, name) in [(3, "pump"), (7, "fan"), (4, "eye \u{1f600}")] {
            let client = tx.client(name)?;
            let key = tx.client_keys(client.row, 0)?.remove(0);
            match key.key {
                KeyOfClient::Id(key) => assert_eq!(*key.expose(), seed(row)),
                KeyOfClient::Public(key, secret) => {
                    assert!(secret.is_none());
                    assert_eq!(*key.as_bytes(), client_key(Mode::PublicKey, row));
                }
            }
        }
        let topic = tx.topic("plant/a")?;
        assert_eq!(tx.topic_keys(&topic)?[0].0.expose(), &[0xa1; 32]);
        Ok(())
    };
    service.store().read(read).unwrap();
    if mode == Mode::PublicKey {
        let public = service.c2_public_key().unwrap();
        assert_eq!(public.as_bytes(), old_c2().public().as_bytes());
        let links = service.linked_clients("pump", &Page::first(100)).unwrap();
        assert_eq!(links, ["eye \u{1f600}", "fan"]);
        assert_eq!(service.count_linked_clients("fan").unwrap(), 0);
    }
    let Verified::Intact(head) = service.store().verify_audit().unwrap() else { panic!("audit") };
    let record = service.audit_records(head.seq - 1, 1).unwrap().remove(0);
    assert_eq!(record.action, "import");
    let links = if mode == Mode::PublicKey { 2 } else { 0 };
    assert_eq!(
        record.detail,
        format!("{{\"clients\":3,\"links\":{links},\"memberships\":3,\"refused\":0,\"topics\":2}}")
    );
    // Everybody is told everything.
    let told = |tx: &mut Tx| {
        while tx.fan_out_page(100, NOON)? {}
        Ok(tx.due_clients(NOON, 100)?.len())
    };
    assert_eq!(service.store().write(told).unwrap(), 3);
}

#[test]
fn everything_comes_over_sk() {
    everything_comes_over(Mode::Symmetric);
}

#[test]
fn everything_comes_over_pk() {
    everything_comes_over(Mode::PublicKey);
}

#[test]
fn what_is_wrong_is_noticed_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    for old in olds(directory.path()) {
        old.fill(Mode::PublicKey);
        let wrong = OldKey::from_passphrase("another passphrase of 16").unwrap();
        let error = Found::read(&*old.open(), Mode::PublicKey, &wrong).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "old passphrase", .. }), "{error}");
        let short = OldKey::from_passphrase("too short").unwrap_err();
        assert!(matches!(short, Error::Invalid { field: "old passphrase", .. }), "{short}");
        let found = Found::read(&*old.open(), Mode::PublicKey, &old_key()).unwrap();
        let database = Sqlite::memory().unwrap();
        let service = new(Box::new(database.clone()), Mode::PublicKey);
        let empty = dump(&database);
        let error = found.write(service.store(), None, &ann(), NOON, |_| {}).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "c2 key", .. }), "{error}");
        let other = new(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
        let error = found.write(other.store(), Some(&old_c2()), &ann(), NOON, |_| {}).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "mode", .. }), "{error}");
        assert_eq!(dump(&database), empty);
        apply(&service, new_client("somebody"));
        let error = write(&found, &service, Mode::PublicKey).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "database", .. }), "{error}");
        assert_eq!(service.count_clients().unwrap(), 1);
        // Another layout.
        old.run("ALTER TABLE clients_topickeys RENAME TO other");
        let error = Found::read(&*old.open(), Mode::PublicKey, &old_key()).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "old database", .. }), "{error}");
    }
    let file = directory.path().join("text");
    std::fs::write(&file, vec![b'x'; 5000]).unwrap();
    let error = Found::read(&Sqlite::read_only(&file), Mode::PublicKey, &old_key()).unwrap_err();
    assert!(matches!(error, Error::Invalid { field: "old database", .. }), "{error}");
}

fn damaged(old: &Old) {
    old.fill(Mode::Symmetric);
    let id = |name: &str| *ClientId::from_name(name).unwrap().as_bytes();
    let good = seal(&database_key(), &[5; 32]);
    let mut altered = good.clone();
    altered[20] ^= 1;
    old.client_with(20, &id("altered"), "altered", &altered);
    old.client_with(21, &id("another"), "misnamed", &good);
    old.client_with(22, &[0; 16], "", &good);
    old.client_with(23, &id("short"), "short", &seal(&database_key(), &[5; 31]));
    old.client_with(24, &id("zero"), "zero", &seal(&database_key(), &[0; 32]));
    old.client_with(25, &id("pump"), "pump", &good);
    old.topic(30, "e4/plant", &[7; 32]);
    old.topic(31, "plant/#", &[7; 32]);
    old.topic(32, "plant/a", &[7; 32]);
    old.run("INSERT INTO topic_keys VALUES (33, NULL, NULL)");
    old.pairs("clients_topickeys", &[(20, 1), (3, 30), (3, 99), (99, 1), (4, 1)]);
    old.pairs("clients_clientkeys", &[(3, 7)]);
}

#[test]
fn what_cannot_be_taken_is_said_and_the_rest_comes_over() {
    let directory = tempfile::tempdir().unwrap();
    for old in olds(directory.path()) {
        damaged(&old);
        let found = Found::read(&*old.open(), Mode::Symmetric, &old_key()).unwrap();
        let words: Vec<String> = found
            .refused
            .iter()
            .map(|row| format!("{} {} {}: {}", row.table, row.row, row.name, row.why))
            .collect();
        let expected = [
            "clients 20 altered: its key does not open: the row was altered",
            "clients 21 misnamed: its id is not the hash of its name",
            "clients 22 : name: a name has 1 to 255 bytes",
            "clients 23 short: its key does not open: the row was altered",
            "clients 24 zero: the key is not valid",
            "clients 25 pump: another one has this name",
            "topic_keys 30 e4/plant: topic: a topic for keys has no +, # or NUL, no leading $, and \
             is not e4 or below it",
            "topic_keys 31 plant/#: topic: a topic for keys has no +, # or NUL, no leading $, and \
             is not e4 or below it",
            "topic_keys 32 plant/a: another one is of this topic",
            "topic_keys 33 : its key does not open: the row was altered",
            "clients_topickeys 3, 30 : one of the two was not taken, or does not exist",
            "clients_topickeys 3, 99 : one of the two was not taken, or does not exist",
            "clients_topickeys 20, 1 : one of the two was not taken, or does not exist",
            "clients_topickeys 99, 1 : one of the two was not taken, or does not exist",
            "clients_clientkeys 3, 7 : links exist in public-key mode only",
        ];
        for (word, expected) in words.iter().zip(expected) {
            if expected.contains("zero") {
                assert!(word.starts_with("clients 24 zero: "), "{word}");
                continue;
            }
            assert_eq!(word, expected);
        }
        assert_eq!(words.len(), expected.len(), "{words:?}");
        let service = new(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
        let done = write(&found, &service, Mode::Symmetric).unwrap();
        assert_eq!(done, Imported { clients: 3, topics: 2, memberships: 4, links: 0 });
        // A key that is no point of the curve, in the other mode.
        let found = Found::read(&*old.open(), Mode::PublicKey, &old_key()).unwrap();
        assert!(found.refused.iter().any(|row| row.why.contains("no Ed25519 public key")));
    }
}

/// A device that the old C2 provisioned and told a topic key, as it stands in the field.
fn in_the_field(
    mode: Mode,
    row: i64,
    name: &str,
    topics: &[(&str, [u8; 32])],
) -> Client<MemoryStorage> {
    let id = ClientId::from_name(name).unwrap();
    let identity = match mode {
        Mode::Symmetric => Identity::symmetric(id, IdKey::from_slice(&seed(row)).unwrap()),
        Mode::PublicKey => {
            let key = SigningKey::from_seed(&seed(row)).unwrap();
            Identity::public_key(id, key, old_c2().public()).unwrap()
        }
    };
    let mut client = Client::provision(MemoryStorage::new(), identity).unwrap();
    let now = Timestamp::from_secs(Timestamp::now().as_secs() - 5);
    for (topic, key) in topics {
        let key = TopicKey::from_slice(key).unwrap();
        let command = Command::SetTopicKey { topic: TopicHash::from_topic(topic).unwrap(), key };
        let bytes = match mode {
            Mode::Symmetric => {
                protect_command(&IdKey::from_slice(&seed(row)).unwrap(), now, &command)
            }
            Mode::PublicKey => {
                let public = SigningKey::from_seed(&seed(row)).unwrap().public();
                let shared = e4::SharedKey::for_c2(&old_c2(), &public).unwrap();
                protect_command(&shared, now, &command)
            }
        };
        let control = client.control_topic();
        client.unprotect_to_vec(now, &control, &bytes.unwrap()).unwrap();
        let _ = client.answer(now);
    }
    client
}

/// Devices keep their keys, know the new C2 for the old one, and understand each other throughout.
fn devices_go_on(mode: Mode) {
    let directory = tempfile::tempdir().unwrap();
    let old = Old::file(directory.path());
    old.fill(mode);
    let broker = Broker::start().unwrap();
    let (host, port) = (broker.address().ip().to_string(), broker.address().port());
    let (a, b) = (("plant/a", [0xa1; 32]), ("stra\u{df}e/1", [0xa9; 32]));
    let pump = in_the_field(mode, 3, "pump", &[a, b]);
    // It missed the key of its topic.
    let fan = in_the_field(mode, 7, "fan", &[]);
    let pump = Device::connect(pump, &host, port, true);
    let fan = Device::connect(fan, &host, port, true);
    let found = Found::read(&*old.open(), mode, &old_key()).unwrap();
    let clock = Arc::new(SystemClock);
    let database = Box::new(Sqlite::memory().unwrap());
    let store = Store::open(database, &unlock(), Some(mode), clock.now()).unwrap();
    let service = Service::new(Arc::new(store), clock);
    let c2 = (mode == Mode::PublicKey).then(old_c2);
    found.write(service.store(), c2.as_ref(), &ann(), SystemClock.now(), |_| {}).unwrap();
    let before = pump.digest();
    let engine = engine(&service, &host, port, quick());
    for (name, device) in [("pump", &pump), ("fan", &fan)] {
        until("it holds everything", || {
            device.digest() == wanted(&service, name) && settled(&service, name)
        });
    }
    assert!(pump.digest() == before, "the same keys as before");
    if mode == Mode::Symmetric {
        // What was sent under the old C2 opens.
        let key = TopicKey::from_slice(&[0xa1; 32]).unwrap();
        let mut out = [0; 100];
        let said = protect(&key, Timestamp::now(), b"4 bar", &mut out).unwrap().to_vec();
        assert_eq!(service.unprotect("plant/a", &said).unwrap(), b"4 bar");
    }
    apply(&service, Operation::NewTopic { topic: "plant/a".into() });
    until("the rotation arrives", || {
        pump.digest() == wanted(&service, "pump") && settled(&service, "pump")
    });
    assert!(pump.digest() != before);
    drop(engine);
}

#[test]
fn devices_go_on_sk() {
    devices_go_on(Mode::Symmetric);
}

#[test]
fn devices_go_on_pk() {
    devices_go_on(Mode::PublicKey);
}

#[test]
fn on_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(place("pass"), format!("{PASSPHRASE}\n")).unwrap();
    std::fs::write(place("wrong"), "another passphrase of 16\n").unwrap();
    std::fs::write(place("c2.key"), [0xc2; 32]).unwrap();
    let old = Old::file(dir.path());
    damaged(&old);
    let run = |arguments: &[&str]| {
        let source = place("old.sqlite");
        let output = common::e4()
            .args([&["import", "teserakt-db", &source], arguments].concat())
            .env_remove("E4_DATA")
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (text.replace(&dir.path().display().to_string(), "DIR"), output.status.code().unwrap())
    };
    let data = place("data");
    let (text, code) = run(&["--old-passphrase-file", &place("pass"), "--data", &data]);
    assert_eq!(
        (text.as_str(), code),
        (
            "error: the mode of the old database is not known\n\
             hint: give --mode symmetric, or --mode public-key and --c2-key FILE\n",
            1
        )
    );
    let symmetric = ["--mode", "symmetric", "--data", &data];
    let with = |pass: &str, more: &[&str]| {
        let pass = place(pass);
        run(&[&["--old-passphrase-file", &pass], &symmetric[..], more].concat())
    };
    let (text, code) = with("wrong", &[]);
    assert_eq!(
        (text.as_str(), code),
        (
            "error: old passphrase: no key of the old database opens with it\n\
             hint: give the one of the old C2: --old-passphrase-file\n",
            1
        )
    );
    let (text, code) = with("pass", &["--dry-run"]);
    assert!(text.starts_with("could be imported: 3 clients, 2 topics, 4 memberships, 0 links\n"));
    assert!(text.ends_with("provision their devices anew\n"), "{text}");
    assert_eq!(code, 1);
    assert!(!Path::new(&data).exists(), "nothing was written");
    let (text, code) = with("pass", &["--json"]);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((line["clients"].as_i64(), line["written"].as_bool()), (Some(3), Some(true)));
    assert_eq!(line["refused"].as_array().unwrap().len(), 15);
    assert!(text.contains("error: 15 rows could not be taken; all others are imported"), "{text}");
    assert_eq!(code, 1);
    let (text, code) = with("pass", &[]);
    assert_eq!(
        (text.as_str(), code),
        (
            "error: DIR/data/c2.sqlite: database: has clients or topics already; nothing was \
             imported\nhint: give another --data or --database\n",
            1
        )
    );
    // A key of C2 says which mode it is.
    let pk = tempfile::tempdir().unwrap();
    let old = Old::file(pk.path());
    old.fill(Mode::PublicKey);
    let source = pk.path().join("old.sqlite").display().to_string();
    let output = common::e4()
        .args(["import", "teserakt-db", &source, "--old-passphrase-file", &place("pass")])
        .args(["--c2-key", &place("c2.key"), "--data", &place("pk")])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "imported: 3 clients, 2 topics, 3 memberships, 2 links\n"
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
