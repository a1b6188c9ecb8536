// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Backup while the server works, and restore into an empty database of either kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::database::{
    Hands, NOON, ann, dump, everything, join, leave, meddle, new_client, new_topic, service,
};
use common::fleet::{apply, unlock};
use common::postgres::server;
use e4::Mode;
use e4_c2::domain::{Credential, Error, Operation, Page, Result, UNKNOWN};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Restored, Sqlite, Store, Tx, Unlock, Verified, restore};

const LATER: i64 = NOON + 3_600_000;

/// Databases of every kind, each empty and in a place of its own.
struct Places {
    directory: tempfile::TempDir,
    count: std::cell::Cell<usize>,
}

impl Places {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), count: 0.into() }
    }

    fn file(&self) -> PathBuf {
        self.count.set(self.count.get() + 1);
        self.directory.path().join(format!("{}.sqlite", self.count.get()))
    }

    /// Opens one again each time.
    fn all(&self) -> Vec<Box<dyn Fn() -> Box<dyn Database>>> {
        let (file, memory) = (self.file(), Sqlite::memory().unwrap());
        let mut all: Vec<Box<dyn Fn() -> Box<dyn Database>>> = vec![
            Box::new(move || Box::new(Sqlite::file(&file).unwrap())),
            Box::new(move || Box::new(memory.clone())),
        ];
        if let Some(server) = server() {
            let address = server.database();
            all.push(Box::new(move || Box::new(Postgres::new(&address, None, None).unwrap())));
        }
        all
    }
}

/// Something in every table.
fn fill(service: &Service, database: &dyn Database) {
    for number in 0..120 {
        let (client, topic) = (format!("c{number}"), format!("plant/{number}"));
        apply(service, new_client(&client));
        apply(service, new_topic(&topic));
        apply(service, join(&topic, "c0"));
        apply(service, join("plant/0", &client));
    }
    apply(service, new_topic("plant/0"));
    apply(service, Operation::NewClientKey { client: "c1".into() });
    apply(service, leave("plant/1", "c0"));
    apply(service, new_topic(&"x".repeat(65_535)));
    apply(service, new_topic("stra\u{df}e/\u{1f600}"));
    let key = Credential::Key(service_key(service.mode()).into());
    apply(service, Operation::NewClient { client: "given".into(), credential: key });
    if service.mode() == Mode::PublicKey {
        let (source, target) = (|| "c1".to_string(), || "c2".to_string());
        apply(service, Operation::LinkClient { source: source(), target: target() });
        apply(service, Operation::SendClientPubKey { source: source(), target: target() });
        apply(service, Operation::NewC2Key);
    }
    apply(service, Operation::RemoveClient { client: "c3".into(), rotate: true });
    apply(service, Operation::RemoveTopic { topic: "plant/4".into() });
    service.apply_once(&ann(), Some("k"), &[new_client("once")]).unwrap();
    let work = |tx: &mut Tx| {
        let mut client = tx.client("c0")?;
        (client.answers, client.seen_at, client.stamp) = (true, Some(NOON), NOON / 1000 - 5);
        (client.answer_sivs, client.trouble) = (vec![9; 32], Some("why".into()));
        tx.update_client(&client)?;
        let holding = tx.holdings(client.row)?.remove(0);
        let sent = e4_c2::store::Sent {
            kind: holding.kind,
            subject: holding.subject,
            target: holding.target,
            siv: [0x51; 16],
            stamp: NOON / 1000,
        };
        tx.sent(client.row, &sent, NOON)?;
        tx.answered(client.row, &sent.siv, None, NOON)?;
        Ok(())
    };
    service.store().write(work).unwrap();
    let bytes = if database.describe().starts_with("PostgreSQL") { "'\\x5a5a'" } else { "x'5a5a'" };
    meddle(
        database,
        &format!(
            "INSERT INTO tokens (id, name, kind, hash, role, messages, made_at, expires_at) \
             VALUES (1, 'reader', 1, {bytes}, 3, 0, 5, NULL)"
        ),
    );
    for row in [
        "labels VALUES (1, 1, 'line', '3')",
        "policies VALUES (1, 'monthly', '{}', 0, 5, 7, NULL, 0)",
        "policy_marks VALUES (1, 1, 1, 3, 0)",
        "campaigns VALUES (1, 1, 'monthly', '{}', 1, NULL, 5, 5, NULL, 6)",
        "campaign_items VALUES (1, 1, 1, 1, 0, 1, 2, 5, NULL, NULL)",
    ] {
        meddle(database, &format!("INSERT INTO {row}"));
    }
}

fn service_key(mode: Mode) -> Vec<u8> {
    match mode {
        Mode::Symmetric => vec![0x21; 32],
        Mode::PublicKey => {
            e4::SigningKey::from_seed(&[0x21; 32]).unwrap().public().as_bytes().to_vec()
        }
    }
}

fn back(backup: &Path, database: &dyn Database) -> Result<Restored> {
    restore(backup, database, &unlock(), &ann(), LATER)
}

fn reopen(database: Box<dyn Database>) -> Service {
    let store = Store::open(database, &unlock(), None, LATER).unwrap();
    Service::new(Arc::new(store), Hands::at(LATER))
}

fn intact(service: &Service) -> i64 {
    match service.store().verify_audit().unwrap() {
        Verified::Intact(head) => head.seq,
        broken => panic!("{broken:?}"),
    }
}

/// Every column of every table is in the dumps that are compared here.
#[test]
fn nothing_is_left_out() {
    let places = Places::new();
    let file = places.file();
    let database = || Box::new(Sqlite::file(&file).unwrap());
    let service = service(database(), Mode::PublicKey);
    fill(&service, &*database());
    let backup = service.store().backup().unwrap();
    let tables = |path: &Path| {
        let file = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT t.name || '.' || c.name FROM sqlite_schema t \
                   JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1";
        let mut all = file.prepare(sql).unwrap();
        let rows = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| row.unwrap()).collect::<Vec<_>>()
    };
    let columns = tables(&file);
    assert_eq!(tables(backup.path()), columns);
    let versions = columns.iter().filter(|name| name.starts_with("schema_versions.")).count();
    let mut counted: Vec<(String, usize)> = Vec::new();
    let copy = rusqlite::Connection::open(backup.path()).unwrap();
    for name in &columns {
        let table = name.split('.').next().unwrap();
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = copy.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "the test has to fill {table}");
        match counted.last_mut() {
            Some((last, count)) if last == table => *count += 1,
            _ => counted.push((table.into(), 1)),
        }
    }
    assert_eq!(counted.len(), 19);
    let dumped: usize = {
        let rows = everything(&*database());
        let mut widths: Vec<usize> = rows.iter().map(|row| row.0.len()).collect();
        widths.dedup();
        // Tables in their order: two of one width beside each other would be taken for one.
        widths.iter().sum()
    };
    let widths: usize = counted.iter().map(|(_, count)| count).sum::<usize>() - versions;
    // meta and counters, both of two columns, stand beside each other in the dump.
    assert_eq!(dumped, widths - 2);
}

#[test]
fn from_every_kind_to_every_kind() {
    for mode in [Mode::Symmetric, Mode::PublicKey] {
        let places = Places::new();
        for from in places.all() {
            let service = service(from(), mode);
            fill(&service, &*from());
            let file = service.backup(&ann()).unwrap();
            let before = dump(&*from());
            // What a caller gets is the file from its beginning.
            let backup = places.file();
            std::io::copy(&mut &file, &mut std::fs::File::create(&backup).unwrap()).unwrap();
            assert_eq!(dump(&Sqlite::file(&backup).unwrap()), before);
            let copied = std::fs::read(&backup).unwrap();
            for to in places.all() {
                let done = back(&backup, &*to()).unwrap();
                let records = intact(&service);
                assert_eq!(done, Restored { clients: 121, topics: 121, records });
                check(&service, &reopen(to()), records);
                // It is not empty any more, and stays as it is.
                let there = dump(&*to());
                let error = back(&backup, &*to()).unwrap_err();
                assert!(matches!(error, Error::Invalid { field: "database", .. }), "{error}");
                assert_eq!(dump(&*to()), there);
            }
            assert_eq!(std::fs::read(&backup).unwrap(), copied, "the backup stays as it is");
        }
    }
}

fn check(old: &Service, new: &Service, records: i64) {
    assert_eq!(new.mode(), old.mode());
    assert_eq!(intact(new), records + 1);
    let last = new.audit_records(records, 10).unwrap().remove(0);
    assert_eq!((last.action.as_str(), last.at, last.actor.as_str()), ("restore", LATER, "ann"));
    assert_eq!(last.detail, format!("{{\"records\":{records}}}"));
    let all = Page::first(100);
    assert_eq!(new.clients(&all).unwrap(), old.clients(&all).unwrap());
    assert_eq!(new.topics(&all).unwrap(), old.topics(&all).unwrap());
    let keys = |service: &Service| {
        let read = |tx: &mut Tx| {
            let topic = tx.topic("plant/0")?;
            let keys: Vec<Vec<u8>> =
                tx.topic_keys(&topic)?.iter().map(|(key, _)| key.expose().to_vec()).collect();
            let mut rows = Vec::new();
            for name in ["c0", "c1", "given"] {
                let client = tx.client(name)?;
                rows.push((client.row, client.key_epoch, client.key_confirmed));
                assert_eq!(tx.client_keys(client.row, 0)?.len() as i64, client.key_epoch);
            }
            let c2: Vec<[u8; 32]> =
                tx.c2_keys()?.iter().map(|pair| *pair.public.as_bytes()).collect();
            Ok((keys, rows, c2))
        };
        service.store().read(read).unwrap()
    };
    assert_eq!(keys(new), keys(old));
    // Everything is told again, and no command is older than what may have been sent meanwhile.
    let read = |tx: &mut Tx| {
        let (talks, silent) = (tx.client("c0")?, tx.client("c1")?);
        assert_eq!((talks.due_at, silent.due_at), (Some(LATER), Some(LATER)));
        assert_eq!((talks.stamp, silent.stamp), (LATER / 1000, LATER / 1000));
        assert_eq!((talks.reset, silent.reset), (0, tx.everything()));
        assert_eq!(talks.trouble, None);
        for holding in tx.holdings(talks.row)? {
            assert_eq!((holding.sent, holding.confirmed, holding.siv), (UNKNOWN, UNKNOWN, None));
        }
        Ok(())
    };
    new.store().read(read).unwrap();
    // The same batch again is known here as well, and numbers go on.
    assert!(new.apply_once(&ann(), Some("k"), &[new_client("once")]).unwrap().again);
    apply(new, new_client("new"));
    apply(new, new_topic("plant/0"));
    apply(new, join("plant/0", "new"));
}

/// Every backup is one state: a topic and its first member come in one transaction, always.
#[test]
fn while_others_work() {
    let places = Places::new();
    for from in places.all() {
        let working = service(from(), Mode::Symmetric);
        apply(&working, new_client("c0"));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let (working, stop) = (&working, &stop);
                scope.spawn(move || {
                    for round in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let topic = format!("plant/{worker}/{round}");
                        let both = [new_topic(&topic), join(&topic, "c0")];
                        for result in working.apply_all(&ann(), &both).unwrap() {
                            result.unwrap();
                        }
                    }
                });
            }
            for _ in 0..4 {
                std::thread::sleep(std::time::Duration::from_millis(50));
                let backup = working.store().backup().unwrap();
                let to = Sqlite::memory().unwrap();
                back(backup.path(), &to).unwrap();
                let there = reopen(Box::new(to));
                let records = intact(&there);
                let topics = there.count_topics().unwrap();
                assert_eq!(there.count_topics_of_client("c0").unwrap(), topics);
                // A client, two records for each topic, the restore.
                assert_eq!(records, 2 + 2 * topics);
            }
            stop.store(true, Ordering::SeqCst);
        });
        intact(&working);
    }
}

fn refused(error: &Error, expected: &str) {
    let text = error.to_string();
    assert!(text.contains(expected), "{text} has no {expected:?}");
}

#[test]
fn what_is_no_backup() {
    let places = Places::new();
    let path = places.file();
    for to in places.all() {
        let attempt = |backup: &Path, unlock: &Unlock| {
            restore(backup, &*to(), unlock, &ann(), LATER).unwrap_err()
        };
        let none = places.directory.path().join("none");
        refused(&attempt(&none, &unlock()), "No such file");
        for bytes in [&b""[..], &b"x"[..], &[b'x'; 5000][..], &b"SQLite format 3\0"[..]] {
            std::fs::write(&path, bytes).unwrap();
            refused(&attempt(&path, &unlock()), "is no backup of C2");
        }
        let other = places.file();
        meddle(&Sqlite::file(&other).unwrap(), "CREATE TABLE clients (name TEXT)");
        refused(&attempt(&other, &unlock()), "is no backup of C2");
        // One that ends too early.
        let source = service(Box::new(Sqlite::memory().unwrap()), Mode::PublicKey);
        for number in 0..300 {
            apply(&source, new_topic(&format!("plant/{number}")));
        }
        let backup = source.store().backup().unwrap();
        let whole = std::fs::read(backup.path()).unwrap();
        for part in [2, 3, 10] {
            let length = whole.len() / part / 4096 * 4096;
            std::fs::write(&path, &whole[..length]).unwrap();
            refused(&attempt(&path, &unlock()), "is no backup of C2");
        }
        // Another key file; a record that was cut off; a newer schema.
        let error = attempt(backup.path(), &Unlock::KeyFile(vec![8; 32].into()));
        refused(&error, "key file: is not the one of this database");
        let passphrase = Unlock::Passphrase("correct horse battery".to_string().into());
        refused(&attempt(backup.path(), &passphrase), "locked with a key file");
        for (script, expected) in [
            ("DELETE FROM audit WHERE seq = 7", "audit record 7: the record is missing"),
            ("DELETE FROM audit WHERE seq > 290", "records at the end are missing"),
            ("INSERT INTO schema_versions VALUES (1000, 0)", "its schema has version 1000"),
        ] {
            std::fs::write(&path, &whole).unwrap();
            rusqlite::Connection::open(&path).unwrap().execute_batch(script).unwrap();
            refused(&attempt(&path, &unlock()), expected);
        }
        // Nothing of all that is in the database.
        std::fs::write(&path, &whole).unwrap();
        back(&path, &*to()).unwrap();
        assert_eq!(reopen(to()).count_topics().unwrap(), 300);
    }
}

#[test]
fn a_backup_of_an_older_version() {
    for (name, mode) in [("schema-1-sk", Mode::Symmetric), ("schema-1-pk", Mode::PublicKey)] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let places = Places::new();
        for to in places.all() {
            let backup = places.file();
            std::fs::copy(fixture.join(format!("{name}.sqlite")), &backup).unwrap();
            let before = std::fs::read(&backup).unwrap();
            let done = back(&backup, &*to()).unwrap();
            assert_eq!((done.clients, done.topics), (3, 3));
            assert_eq!(std::fs::read(&backup).unwrap(), before);
            let service = reopen(to());
            assert_eq!(service.mode(), mode);
            assert_eq!(intact(&service), done.records + 1);
            apply(&service, new_topic("plant/a"));
        }
    }
}

/// A restore that the database breaks off leaves it empty.
#[test]
fn all_or_nothing() {
    let places = Places::new();
    let source = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    for number in 0..200 {
        apply(&source, new_topic(&format!("plant/{number}")));
    }
    let backup = source.store().backup().unwrap();
    for to in places.all() {
        let watch = Arc::new(common::database::Watch::default());
        let watched = common::database::Watched { inner: to(), watch: watch.clone() };
        watch.no_commit.store(1000, Ordering::SeqCst);
        assert!(matches!(back(backup.path(), &watched), Err(Error::Store(_))));
        watch.no_commit.store(0, Ordering::SeqCst);
        watch.no_begin.store(2, Ordering::SeqCst);
        // Others were in its way: it is tried again.
        back(backup.path(), &watched).unwrap();
        assert_eq!(reopen(to()).count_topics().unwrap(), 200);
    }
}

#[cfg(unix)]
#[test]
fn for_its_owner_alone_and_gone_when_dropped() {
    use std::os::unix::fs::PermissionsExt;
    let source = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    apply(&source, new_topic("plant/a"));
    let backup = source.store().backup().unwrap();
    let path = backup.path().to_path_buf();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let siblings = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let all = path.parent().unwrap().read_dir().unwrap().flatten();
        all.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).count()
    };
    assert_eq!(siblings(&path), 1, "one file, without a log beside it");
    drop(backup);
    assert_eq!(siblings(&path), 0);
    let mut file = source.backup(&ann()).unwrap();
    let mut first = [0; 16];
    file.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"SQLite format 3\0");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

fn e4(arguments: &[&str]) -> Output {
    common::e4().args(arguments).env_remove("E4_DATA").output().unwrap()
}

#[test]
fn on_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    let source = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
    apply(&source, new_client("pump"));
    apply(&source, new_topic("plant/a"));
    std::fs::copy(source.store().backup().unwrap().path(), place("c2.backup")).unwrap();
    std::fs::write(place("key"), [7; 32]).unwrap();
    std::fs::write(place("other"), [8; 32]).unwrap();

    let text = |output: &Output| {
        let all = [&output.stdout[..], &output.stderr[..]].concat();
        String::from_utf8(all).unwrap().replace(&dir.path().display().to_string(), "DIR")
    };
    let data = place("data");
    let run = |more: &[&str]| {
        let backup = place("c2.backup");
        e4(&[&["restore", &backup, "--data", &data], more].concat())
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("DIR/data/key: No such file"), "{}", text(&output));
    let output = run(&["--key-file", &place("other")]);
    assert_eq!(
        text(&output),
        "error: key file: is not the one of this database\n\
         hint: give the one of the backup: --key-file or --passphrase-file\n"
    );
    assert!(!Path::new(&data).join("c2.sqlite").exists());
    let output = run(&["--key-file", &place("key")]);
    assert_eq!(
        text(&output),
        "restored to DIR/data/c2.sqlite: 1 clients, 1 topics, 2 audit records\n\
         start it: e4 serve. Every device is sent everything again.\n"
    );
    assert!(output.status.success());
    let output = run(&["--key-file", &place("key")]);
    assert_eq!(
        text(&output),
        "error: DIR/data/c2.sqlite: database: is not empty: nothing of it was touched\n\
         hint: give another --data or --database, or move the old one away\n"
    );
    let output = e4(&["audit", "verify", "--data", &data, "--key-file", &place("key")]);
    assert!(text(&output).starts_with("intact: 3 records"), "{}", text(&output));
    let other = place("elsewhere");
    let output =
        e4(&["restore", &place("key"), "--data", &other, "--key-file", &place("key"), "--json"]);
    assert!(text(&output).contains("DIR/key is no backup of C2"), "{}", text(&output));
    assert!(!Path::new(&other).join("c2.sqlite").exists());
}

/// Figures: `cargo test -p e4-c2 --test backup --release -- --ignored --nocapture`.
#[test]
#[ignore = "takes its time; prints figures"]
fn a_large_fleet() {
    let places = Places::new();
    for from in places.all() {
        let service = service(from(), Mode::Symmetric);
        let all: Vec<Operation> =
            (0..10_000).map(|number| new_client(&format!("c{number}"))).collect();
        service.apply_all(&ann(), &all).unwrap();
        let topics: Vec<Operation> =
            (0..50).map(|number| new_topic(&format!("plant/{number}"))).collect();
        service.apply_all(&ann(), &topics).unwrap();
        meddle(
            &*from(),
            "INSERT INTO holdings (client, kind, subject, wish, sent, handed, confirmed, failed, \
             stamp, changed_at, tries) SELECT c.id, 1, t.id, -1, -1, 0, 0, 0, 0, 0, 0 \
             FROM clients c CROSS JOIN topics t",
        );
        let begun = Instant::now();
        let backup = service.store().backup().unwrap();
        let (took, size) = (begun.elapsed(), backup.path().metadata().unwrap().len());
        println!("backup of {}: {took:?}, {size} bytes", service.store().describe());
        for to in places.all() {
            let begun = Instant::now();
            back(backup.path(), &*to()).unwrap();
            println!("  restore to {}: {:?}", to().describe(), begun.elapsed());
        }
    }
}
