// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Secrets stay secret, changes stay whole, and who meddles is noticed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use e4::Mode;
use e4_c2::domain::{Credential, Error, Operation, Page, What};
use e4_c2::service::Service;
use e4_c2::store::{Database, KeyOfClient, Store, Tx, Unlock, Value, Verified};

use crate::Open;
use crate::common::database::{
    NOON, Watch, Watched, ann, attempt, dump, everything, join, leave, meddle, new_client,
    new_topic, service,
};
use crate::common::fleet::{apply, unlock};

/// Every secret that a database holds.
fn secrets(service: &Service) -> Vec<Vec<u8>> {
    let all = |tx: &mut Tx| {
        let mut all = Vec::new();
        for topic in tx.topics(&Page::first(100))? {
            let topic = tx.topic(&topic)?;
            all.extend(tx.topic_keys(&topic)?.iter().map(|(key, _)| key.expose().to_vec()));
        }
        for client in tx.clients(&Page::first(100))? {
            let client = tx.client(&client)?;
            for key in tx.client_keys(client.row, 0)? {
                match key.key {
                    KeyOfClient::Id(key) => all.push(key.expose().to_vec()),
                    KeyOfClient::Public(_, Some(key)) => {
                        // The second half is the public key.
                        all.push(key.expose().get(..32).unwrap().to_vec());
                    }
                    KeyOfClient::Public(_, None) => {}
                }
            }
        }
        all.extend(tx.c2_keys()?.iter().map(|key| key.secret.expose().to_vec()));
        Ok(all)
    };
    service.store().read(all).unwrap()
}

fn fill(service: &Service) -> usize {
    for number in 0..3 {
        let (client, topic) = (format!("c{number}"), format!("plant/{number}"));
        apply(service, new_client(&client));
        apply(service, Operation::NewClientKey { client: client.clone() });
        apply(service, new_topic(&topic));
        apply(service, new_topic(&topic));
        apply(service, join(&topic, &client));
    }
    match service.mode() {
        // Id keys and topic keys, two of each.
        Mode::Symmetric => 3 * 4,
        Mode::PublicKey => {
            apply(service, Operation::NewC2Key);
            // The first key of a client is its own alone; C2 has two.
            3 * 3 + 2
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub fn keys_are_nowhere_in_the_open(open: Open) {
    let database = open();
    let place = std::path::PathBuf::from(database.describe());
    let service = service(database, Mode::Symmetric);
    let first = attempt(&service, new_client("first")).unwrap().secret.unwrap().0;
    apply(&service, Operation::RemoveClient { client: "first".into(), rotate: false });
    let expected = fill(&service);
    let mut secrets = secrets(&service);
    assert_eq!(secrets.len(), expected);
    secrets.push(first.to_vec());
    look(&everything(&*open()), &secrets);
    // The write-ahead log counts as well, and what was deleted.
    let (dir, name) = (place.parent().unwrap(), place.file_name().unwrap().to_string_lossy());
    let mut files = 0;
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&*name) {
            let bytes = std::fs::read(entry.path()).unwrap();
            let first = bytes.get(..100).unwrap_or_default();
            assert!(secrets.iter().all(|secret| !holds(&bytes, secret)), "{first:?}");
            // The names show that this is the right place to look.
            files += usize::from(holds(&bytes, b"plant/2"));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
            }
        }
    }
    assert_eq!(files > 0, place.is_absolute());
}

fn look(rows: &[e4_c2::store::Row], secrets: &[Vec<u8>]) {
    for row in rows {
        for value in &row.0 {
            let bytes = match value {
                Value::Blob(bytes) => bytes.clone(),
                Value::Text(text) => text.clone().into_bytes(),
                Value::Int(_) | Value::Null => continue,
            };
            for secret in secrets {
                assert!(!holds(&bytes, secret), "{row:?}");
                assert!(!holds(&bytes, hex::encode(secret).as_bytes()), "{row:?}");
            }
        }
    }
}

fn refused(database: Box<dyn Database>, unlock: &Unlock, mode: Option<Mode>) -> (String, String) {
    match Store::open(database, unlock, mode, NOON) {
        Err(Error::Invalid { field, why }) => (field.into(), why),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(text.to_string().into())
}

fn key_file(bytes: &[u8]) -> Unlock {
    Unlock::KeyFile(bytes.to_vec().into())
}

pub fn another_passphrase_or_key_file_is_noticed(open: Open) {
    for (short, field) in
        [(passphrase("too short"), "passphrase"), (key_file(&[1; 31]), "key file")]
    {
        assert_eq!(refused(open(), &short, None).0, field);
    }
    // Nothing was set up by those.
    service(open(), Mode::PublicKey);
    let before = dump(&*open());
    for other in [&[8; 32][..], &[7; 33], &[0; 64]] {
        let (field, why) = refused(open(), &key_file(other), None);
        assert_eq!((field.as_str(), why.as_str()), ("key file", "is not the one of this database"));
    }
    let (field, why) = refused(open(), &passphrase("long enough, but none"), None);
    assert_eq!(
        (field.as_str(), why.as_str()),
        ("passphrase", "this database is locked with a key file")
    );
    assert_eq!(refused(open(), &unlock(), Some(Mode::Symmetric)).0, "mode");
    assert_eq!(dump(&*open()), before);
    assert_eq!(Store::open(open(), &unlock(), None, NOON).unwrap().mode(), Mode::PublicKey);
    // A stored data key that was altered opens with nothing.
    for (script, expected) in [
        (
            "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'mode') \
          WHERE name = 'data key'",
            "the stored data key is not understood",
        ),
        ("DELETE FROM meta WHERE name = 'mode'", "the stored mode is not understood"),
    ] {
        meddle(&*open(), "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM meta");
        meddle(&*open(), script);
        let error = Store::open(open(), &unlock(), None, NOON).err().unwrap();
        assert_eq!(error, Error::Store(expected.into()));
        meddle(&*open(), "DELETE FROM meta; INSERT INTO meta SELECT * FROM kept");
    }
    assert!(Store::open(open(), &unlock(), None, NOON).is_ok());
}

pub fn rekey(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    let (before, rows) = (secrets(&service), everything(&*open()).len());
    let store = service.store();
    assert!(store.rekey(&passphrase("short"), &ann(), NOON).is_err());
    let new = passphrase("correct horse battery");
    store.rekey(&new, &ann(), NOON).unwrap();
    assert_eq!(everything(&*open()).len(), rows + 1, "one record more");
    // Who has it open goes on.
    apply(&service, new_client("later"));
    assert_eq!(refused(open(), &unlock(), None).0, "key file");
    assert_eq!(refused(open(), &passphrase("correct horse batterz"), None).0, "passphrase");
    let again = Store::open(open(), &new, None, NOON).unwrap();
    assert_eq!(secrets(&Service::new(Arc::new(again), service.clock().clone())), before);
    let records = service.audit_records(0, 100).unwrap();
    let record = records.iter().find(|record| record.action == "rekey").unwrap();
    assert_eq!(record.detail, r#"{"unlock":"Passphrase"}"#);
    assert!(matches!(store.verify_audit(), Ok(Verified::Intact(_))));
    store.rekey(&unlock(), &ann(), NOON).unwrap();
    assert_eq!(refused(open(), &new, None).0, "passphrase");
    assert!(Store::open(open(), &unlock(), None, NOON).is_ok());
}

pub fn a_moved_or_altered_key_is_noticed(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    let opened = |what: &str| {
        let read = |tx: &mut Tx| match what {
            "topic" => {
                let topic = tx.topic("plant/1")?;
                tx.topic_keys(&topic).map(|_| ())
            }
            "client" => {
                let client = tx.client("c1")?;
                tx.client_keys(client.row, 0).map(|_| ())
            }
            _ => tx.c2_keys().map(|_| ()),
        };
        service.store().read(read)
    };
    let noticed = |what: &str, script: &str| {
        assert_eq!(opened(what), Ok(()));
        meddle(
            &*open(),
            "DROP TABLE IF EXISTS kept_topics; DROP TABLE IF EXISTS kept_clients; \
             DROP TABLE IF EXISTS kept_c2; CREATE TABLE kept_topics AS SELECT * FROM topic_keys; \
             CREATE TABLE kept_clients AS SELECT * FROM client_keys; \
             CREATE TABLE kept_c2 AS SELECT * FROM c2_keys",
        );
        meddle(&*open(), script);
        let error = opened(what).unwrap_err().to_string();
        assert!(error.ends_with("a stored key was altered or moved"), "{script}: {error}");
        meddle(
            &*open(),
            "DELETE FROM topic_keys; DELETE FROM client_keys; DELETE FROM c2_keys; \
             INSERT INTO topic_keys SELECT * FROM kept_topics; \
             INSERT INTO client_keys SELECT * FROM kept_clients; \
             INSERT INTO c2_keys SELECT * FROM kept_c2",
        );
    };
    // From another topic, from another epoch of the same, from another table.
    noticed(
        "topic",
        "UPDATE topic_keys SET sealed = (SELECT k.sealed FROM topic_keys k \
         WHERE k.topic = 1 AND k.epoch = 2) WHERE topic = 2 AND epoch = 2",
    );
    noticed(
        "topic",
        "UPDATE topic_keys SET sealed = (SELECT k.sealed FROM topic_keys k \
         WHERE k.topic = 2 AND k.epoch = 1) WHERE topic = 2 AND epoch = 2",
    );
    noticed(
        "topic",
        "UPDATE topic_keys SET topic = 100 WHERE topic = 1; \
         UPDATE topic_keys SET topic = 1 WHERE topic = 2; \
         UPDATE topic_keys SET topic = 2 WHERE topic = 100",
    );
    noticed(
        "topic",
        "UPDATE topic_keys SET sealed = (SELECT k.sealed FROM client_keys k \
         WHERE k.client = 2 AND k.epoch = 2) WHERE topic = 2 AND epoch = 2",
    );
    noticed(
        "client",
        "UPDATE client_keys SET sealed = (SELECT k.sealed FROM client_keys k \
         WHERE k.client = 1 AND k.epoch = 2) WHERE client = 2 AND epoch = 2",
    );
    noticed(
        "c2",
        "UPDATE c2_keys SET sealed = (SELECT c.sealed FROM c2_keys c WHERE c.epoch = 1) \
         WHERE epoch = 2",
    );
    assert_eq!(opened("topic"), Ok(()));
}

pub fn the_audit_chain(open: Open) {
    let service = service(open(), Mode::Symmetric);
    assert!(matches!(service.store().verify_audit(), Ok(Verified::Intact(head)) if head.seq == 0));
    fill(&service);
    let verify = || service.store().verify_audit().unwrap();
    let Verified::Intact(head) = verify() else { panic!("{:?}", verify()) };
    assert_eq!(head.seq, 15);
    let records = service.audit_records(0, 100).unwrap();
    assert_eq!(records.len(), 15);
    assert_eq!(records[2].action, "new_topic");
    assert_eq!(records[2].detail, r#"{"epoch":1,"topic":"plant/0"}"#);
    assert_eq!((records[2].actor.as_str(), records[2].at), ("test", NOON));

    meddle(&*open(), "CREATE TABLE kept_audit AS SELECT * FROM audit");
    meddle(&*open(), "CREATE TABLE kept_meta AS SELECT * FROM meta");
    let altered = "the record was altered";
    let missing = "the record is missing";
    let end = "records at the end are missing, or were added without the key";
    let broken = |script: &str, seq: i64, why: &'static str| {
        meddle(&*open(), script);
        assert_eq!(verify(), Verified::Broken { seq, why }, "{script}");
        meddle(
            &*open(),
            "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept_audit; \
             DELETE FROM meta; INSERT INTO meta SELECT * FROM kept_meta",
        );
        assert_eq!(verify(), Verified::Intact(head.clone()));
    };
    for change in [
        "at = at + 1",
        "actor = 'bob'",
        "origin = ''",
        "action = 'new_client'",
        "detail = '{}'",
        "mac = (SELECT a.mac FROM audit a WHERE a.seq = 2)",
        // From one text into the next.
        "actor = 'tes', origin = 'ttest'",
    ] {
        broken(&format!("UPDATE audit SET {change} WHERE seq = 3"), 3, altered);
    }
    broken("DELETE FROM audit WHERE seq = 1", 1, missing);
    broken("DELETE FROM audit WHERE seq = 7", 7, missing);
    broken("DELETE FROM audit WHERE seq > 12", 12, end);
    broken("DELETE FROM audit", 0, end);
    broken(
        "DELETE FROM audit WHERE seq = 7; UPDATE audit SET seq = seq - 1 WHERE seq = 8",
        7,
        altered,
    );
    broken(
        "UPDATE audit SET seq = 100 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; \
         UPDATE audit SET seq = 6 WHERE seq = 100",
        5,
        altered,
    );
    let copy = "INSERT INTO audit SELECT {} , at, actor, origin, action, detail, mac FROM audit \
                WHERE seq = 1";
    broken(&copy.replace("{}", "16"), 16, altered);
    broken(&copy.replace("{}", "0"), 1, missing);
    broken(&copy.replace("{}", "-4"), 1, missing);
    broken("DELETE FROM meta WHERE name = 'audit head'", 0, "the end of the chain is missing");
    // Cut off, and the end moved to where it was cut.
    let moved = match &*open().describe() {
        name if name.starts_with("PostgreSQL") => {
            "decode('0c00000000000000', 'hex') || a.mac || substr(value, 41)"
        }
        _ => "CAST(x'0c00000000000000' || a.mac || substr(value, 41) AS BLOB)",
    };
    broken(
        &format!(
            "DELETE FROM audit WHERE seq > 12; UPDATE meta SET value = (SELECT {moved} \
         FROM audit a WHERE a.seq = 12) WHERE name = 'audit head'"
        ),
        0,
        "the end of the chain was altered",
    );
    // Nor does C2 go on from such an end, and make it good by that.
    meddle(
        &*open(),
        &format!(
            "UPDATE meta SET value = (SELECT {moved} FROM audit a \
         WHERE a.seq = 12) WHERE name = 'audit head'"
        ),
    );
    let error = attempt(&service, new_topic("plant/9")).unwrap_err();
    assert_eq!(error, Error::Store("the end of the audit records was altered".into()));
    // What is cut off and continued stays visible.
    meddle(
        &*open(),
        "DELETE FROM meta; INSERT INTO meta SELECT * FROM kept_meta; \
         DELETE FROM audit WHERE seq > 12",
    );
    apply(&service, new_topic("plant/9"));
    assert_eq!(verify(), Verified::Broken { seq: 13, why: missing });
}

fn every_operation() -> Vec<Operation> {
    let (a, b) = (|| "c0".to_string(), || "c1".to_string());
    vec![
        new_client("new"),
        new_client("c0"),
        Operation::RemoveClient { client: a(), rotate: true },
        Operation::ResetClient { client: a() },
        Operation::NewClientKey { client: a() },
        new_topic("new"),
        new_topic("plant/0"),
        Operation::RemoveTopic { topic: "plant/0".into() },
        join("plant/0", "c1"),
        leave("plant/0", "c0"),
        Operation::LinkClient { source: a(), target: b() },
        Operation::UnlinkClient { source: b(), target: a() },
        Operation::SendClientPubKey { source: a(), target: b() },
        Operation::RemoveClientPubKey { source: b(), target: a() },
        Operation::ResetClientPubKeys { target: a() },
        Operation::NewC2Key,
        Operation::Resync { client: Some(a()) },
        Operation::Resync { client: None },
    ]
}

pub fn a_change_without_its_record_does_not_happen(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    apply(&service, Operation::LinkClient { source: "c1".into(), target: "c0".into() });
    apply(&service, Operation::SendClientPubKey { source: "c1".into(), target: "c0".into() });
    let before = dump(&*open());
    let rename = |from: &str, to: &str| {
        meddle(&*open(), &format!("ALTER TABLE {from} RENAME TO {to}"));
    };
    for operation in every_operation() {
        rename("audit", "gone");
        let result = attempt(&service, operation);
        rename("gone", "audit");
        assert!(matches!(result, Err(Error::Store(_))), "{result:?}");
        assert_eq!(dump(&*open()), before);
    }
    rename("audit", "gone");
    assert!(service.store().rekey(&key_file(&[9; 32]), &ann(), NOON).is_err());
    assert!(service.apply_all(&ann(), &every_operation()).is_err());
    rename("gone", "audit");
    assert_eq!(dump(&*open()), before);
    // With it, each of them does, and is told of.
    let operations = every_operation();
    let names: Vec<&str> = operations.iter().map(Operation::name).collect();
    for operation in operations {
        // Some remove what others need.
        let fresh = |tx: &mut Tx| tx.find_client("c0");
        if service.store().read(fresh).unwrap().is_none() {
            apply(&service, new_client("c0"));
        }
        match operation {
            Operation::RemoveTopicClient { .. } => {
                apply(&service, new_topic("plant/0"));
                apply(&service, join("plant/0", "c0"));
            }
            Operation::NewTopicClient { .. } => {
                apply(&service, new_topic("plant/0"));
            }
            Operation::UnlinkClient { .. } => {
                let (source, target) = ("c1".into(), "c0".into());
                apply(&service, Operation::LinkClient { source, target });
            }
            Operation::RemoveClientPubKey { .. } => {
                let (source, target) = ("c1".into(), "c0".into());
                apply(&service, Operation::SendClientPubKey { source, target });
            }
            _ => {}
        }
        let records = |service: &Service| match service.store().verify_audit() {
            Ok(Verified::Intact(head)) => head.seq,
            other => panic!("{other:?}"),
        };
        let (count, before) = (records(&service), dump(&*open()));
        apply(&service, operation);
        assert_eq!(records(&service), count + 1);
        assert_ne!(dump(&*open()), before);
    }
    let records = service.audit_records(0, 1000).unwrap();
    for name in names {
        assert!(records.iter().any(|record| record.action == name), "{name}");
    }
}

pub fn a_batch_has_a_result_for_each(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let bad = Credential::Key(vec![1; 31].into());
    let batch = [
        new_client("pump"),
        Operation::NewClient { client: "fan".into(), credential: bad },
        new_topic("plant/a"),
        join("plant/a", "pump"),
        join("plant/a", "fan"),
        new_topic("plant/#"),
        Operation::NewC2Key,
        new_topic("plant/a"),
    ];
    let results = service.apply_all(&ann(), &batch).unwrap();
    let short: Vec<Result<Option<i64>, Error>> =
        results.into_iter().map(|result| result.map(|outcome| outcome.epoch)).collect();
    assert_eq!(short[0], Ok(Some(1)));
    assert!(matches!(short[1], Err(Error::Invalid { field: "key", .. })));
    assert_eq!((&short[2], &short[3]), (&Ok(Some(1)), &Ok(Some(1))));
    let unknown = Error::NotFound { what: What::Client, name: "fan".into() };
    assert_eq!(short[4], Err(unknown));
    assert!(matches!(short[5], Err(Error::Invalid { field: "topic", .. })));
    assert!(matches!(short[6], Err(Error::WrongMode { .. })));
    assert_eq!(short[7], Ok(Some(2)));
    let records = service.audit_records(0, 100).unwrap();
    let actions: Vec<&str> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["new_client", "new_topic", "new_topic_client", "new_topic"]);
    assert_eq!(service.apply_all(&ann(), &[]).unwrap().len(), 0);

    // What ends in the middle leaves nothing of it: the last needs a table that is not there.
    let before = dump(&*open());
    meddle(&*open(), "ALTER TABLE client_keys RENAME TO gone");
    let result = service.apply_all(&ann(), &[new_topic("plant/b"), new_client("eye")]);
    assert!(matches!(result, Err(Error::Store(_))), "{result:?}");
    meddle(&*open(), "ALTER TABLE gone RENAME TO client_keys");
    assert_eq!(dump(&*open()), before);
    apply(&service, new_topic("plant/b"));
}

pub fn a_rotation_writes_as_much_for_ten_as_for_a_thousand(open: Open) {
    let watch = Arc::new(Watch::default());
    let database = Watched { inner: open(), watch: watch.clone() };
    let service = service(Box::new(database), Mode::Symmetric);
    let written = &watch.written;
    let cost = |operation: Operation| {
        let before = written.load(Ordering::SeqCst);
        apply(&service, operation);
        written.load(Ordering::SeqCst) - before
    };
    let fill = |from: u32, to: u32| {
        let members = (from..to).flat_map(|number| {
            let name = format!("n{number}");
            [new_client(&name), join("plant/a", &name)]
        });
        let members: Vec<Operation> = members.collect();
        service.apply_all(&ann(), &members).unwrap();
    };
    apply(&service, new_topic("plant/a"));
    // The keys before the last two are deleted: let there be some.
    cost(new_topic("plant/a"));
    cost(new_topic("plant/a"));
    fill(0, 10);
    let ten = cost(new_topic("plant/a"));
    fill(10, 1000);
    assert_eq!(service.count_clients_of_topic("plant/a"), Ok(1000));
    let thousand = cost(new_topic("plant/a"));
    // Key, epoch, old key, counter, twice the change to be told, record, end of the records.
    assert_eq!((ten, thousand), (8, 8));
    let resync = cost(Operation::Resync { client: None });
    let removal = cost(Operation::RemoveTopic { topic: "plant/a".into() });
    assert!(resync <= 8 && removal <= 10, "{resync} {removal}");
}

pub fn a_newer_schema_is_refused(open: Open) {
    drop(service(open(), Mode::Symmetric));
    meddle(&*open(), "INSERT INTO schema_versions (version, applied_at) VALUES (1000, 0)");
    let before = dump(&*open());
    let error = Store::open(open(), &unlock(), None, NOON).err().unwrap();
    let expected = "database: its schema has version 1000, and this program knows 3 at most: use \
                    a newer one";
    assert_eq!(error.to_string(), expected);
    assert_eq!(dump(&*open()), before);
}

pub fn a_panic_leaves_nothing(open: Open) {
    let service = service(open(), Mode::Symmetric);
    fill(&service);
    let before = dump(&*open());
    let fall = || {
        let work = |tx: &mut Tx| -> e4_c2::domain::Result<()> {
            let client = tx.client("c0")?;
            tx.remove_client(&client, NOON)?;
            std::panic::panic_any("on purpose")
        };
        service.store().write(work)
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(fall)).is_err());
    assert_eq!(dump(&*open()), before);
    apply(&service, new_client("c9"));
}

/// A connection that breaks costs a repetition; it never does a change twice, nor loses one.
pub fn broken_connections(open: Open) {
    let watch = Arc::new(Watch::default());
    for left in [&watch.no_connect, &watch.no_begin, &watch.no_commit] {
        left.store(2, Ordering::SeqCst);
    }
    let database = Watched { inner: open(), watch: watch.clone() };
    let service = service(Box::new(database), Mode::Symmetric);
    assert_eq!(watch.no_commit.load(Ordering::SeqCst), 0);
    let records = || match service.store().verify_audit().unwrap() {
        Verified::Intact(head) => head.seq,
        broken => panic!("{broken:?}"),
    };
    for (number, left) in
        (1i64..).zip([&watch.no_begin, &watch.no_commit, &watch.no_word_of_commit, &watch.no_begin])
    {
        for (kind, expected) in [(new_client("pump"), None), (new_topic("plant/a"), Some(number))] {
            left.store(2, Ordering::SeqCst);
            watch.no_connect.store(1, Ordering::SeqCst);
            let (before, connections) = (records(), watch.connections.load(Ordering::SeqCst));
            left.store(2, Ordering::SeqCst);
            let outcome = attempt(&service, kind).unwrap();
            assert_eq!(records(), before + 1, "{number}: once");
            assert!(expected.is_none_or(|epoch| outcome.epoch == Some(epoch)), "{outcome:?}");
            assert!(watch.connections.load(Ordering::SeqCst) > connections, "a new one is used");
            left.store(0, Ordering::SeqCst);
        }
    }
    // The secret that was handed out is that of the key that is stored.
    watch.no_word_of_commit.store(1, Ordering::SeqCst);
    let secret = attempt(&service, new_client("fan")).unwrap().secret.unwrap().0;
    assert!(secrets(&service).iter().any(|stored| **stored == **secret));

    // Where it never comes back, the caller learns what is known.
    watch.no_begin.store(1000, Ordering::SeqCst);
    let error = attempt(&service, new_topic("plant/b")).unwrap_err();
    assert_eq!(error, Error::Store("the connection broke".into()));
    watch.no_begin.store(0, Ordering::SeqCst);
    apply(&service, new_client("eye"));
    watch.no_word_of_commit.store(1, Ordering::SeqCst);
    watch.no_connect.store(1000, Ordering::SeqCst);
    let error = attempt(&service, new_topic("plant/b")).unwrap_err();
    let expected = "the connection broke; it is not known whether the change was made";
    assert_eq!(error, Error::Store(expected.into()));
    watch.no_connect.store(0, Ordering::SeqCst);
    assert_eq!(service.count_topics(), Ok(2));
    records();
}

/// Work that goes on after a statement failed, and reports success, has none.
pub fn a_statement_that_failed_fails_the_whole(open: Open) {
    let service = service(open(), Mode::Symmetric);
    fill(&service);
    let before = dump(&*open());
    let careless = |tx: &mut Tx| {
        let mut client = tx.client("c0")?;
        client.stamp = 7;
        tx.update_client(&client)?;
        // There is one already.
        let key = KeyOfClient::Id(e4::IdKey::random().unwrap());
        assert!(tx.insert_client_key(client.row, client.key_epoch, &key, NOON).is_err());
        Ok(())
    };
    assert!(matches!(service.store().write(careless), Err(Error::Store(_))));
    assert_eq!(dump(&*open()), before);
    apply(&service, new_client("c9"));
}
