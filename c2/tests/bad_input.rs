// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bad input gives errors that name the field, and nothing is stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::database::{ann, attempt, dump, join, leave, new_client, new_topic, service};
use common::fleet::apply;
use common::postgres::server;
use e4::Mode;
use e4_c2::domain::{Credential, Error, Operation, Page, What};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite};

/// Runs a test on SQLite and on PostgreSQL, with a way to see whether anything was stored.
fn on_each(mode: Mode, test: impl Fn(&Service, &dyn Fn())) {
    let sqlite = Sqlite::memory().unwrap();
    let mut open: Vec<Box<dyn Fn() -> Box<dyn Database>>> =
        vec![Box::new(move || Box::new(sqlite.clone()))];
    if let Some(server) = server() {
        let address = server.database();
        open.push(Box::new(move || Box::new(Postgres::new(&address, None, None).unwrap())));
    }
    for open in open {
        let service = service(open(), mode);
        apply(&service, new_client("pump"));
        apply(&service, new_client("fan"));
        apply(&service, new_topic("plant/a"));
        apply(&service, join("plant/a", "pump"));
        let before = dump(&*open());
        test(&service, &|| assert_eq!(dump(&*open()), before));
    }
}

fn field(service: &Service, operation: Operation) -> &'static str {
    let shown = format!("{operation:.60?}");
    match attempt(service, operation).map(|_| ()) {
        Err(Error::Invalid { field, why }) => {
            assert!(!why.is_empty());
            field
        }
        other => panic!("{shown}: {other:?}"),
    }
}

fn with_key(bytes: &[u8]) -> Operation {
    let credential = Credential::Key(bytes.to_vec().into());
    Operation::NewClient { client: "new".into(), credential }
}

fn with_password(text: &str) -> Operation {
    let credential = Credential::Password(text.to_string().into());
    Operation::NewClient { client: "new".into(), credential }
}

/// Every operation on a client, with the field in which its name stands.
fn on_client(name: &str) -> Vec<(&'static str, Operation)> {
    let client = || name.to_string();
    vec![
        ("client", new_client(name)),
        ("client", Operation::RemoveClient { client: client(), rotate: true }),
        ("client", Operation::ResetClient { client: client() }),
        ("client", Operation::NewClientKey { client: client() }),
        ("client", Operation::Resync { client: Some(client()) }),
        ("client", join("plant/a", name)),
        ("client", leave("plant/a", name)),
    ]
}

/// The same for what exists in PK mode alone.
fn on_pair(name: &str) -> Vec<(&'static str, Operation)> {
    let (name, pump) = (|| name.to_string(), || "pump".to_string());
    vec![
        ("source_client", Operation::LinkClient { source: name(), target: pump() }),
        ("target_client", Operation::LinkClient { source: pump(), target: name() }),
        ("source_client", Operation::UnlinkClient { source: name(), target: pump() }),
        ("target_client", Operation::UnlinkClient { source: pump(), target: name() }),
        ("source_client", Operation::SendClientPubKey { source: name(), target: pump() }),
        ("target_client", Operation::SendClientPubKey { source: pump(), target: name() }),
        ("source_client", Operation::RemoveClientPubKey { source: name(), target: pump() }),
        ("target_client", Operation::RemoveClientPubKey { source: pump(), target: name() }),
        ("target_client", Operation::ResetClientPubKeys { target: name() }),
    ]
}

fn on_topic(topic: &str) -> Vec<Operation> {
    vec![
        new_topic(topic),
        Operation::RemoveTopic { topic: topic.into() },
        join(topic, "pump"),
        leave(topic, "pump"),
    ]
}

#[test]
fn names() {
    on_each(Mode::PublicKey, |service, unchanged| {
        let long = "n".repeat(256);
        let wide = "\u{e4}".repeat(128);
        let huge = "n".repeat(100_000);
        for name in ["", &long, &wide, &huge, "pu\0mp", "\0", "pump\n", "\u{1b}[2J", "\u{85}"] {
            for (expected, operation) in on_client(name).into_iter().chain(on_pair(name)) {
                assert_eq!(field(service, operation), expected, "{name:.9?}");
            }
        }
        unchanged();
        for name in ["n".repeat(255), "\u{e4}".repeat(127), " ".into(), "a/b+#$%".into()] {
            apply(service, new_client(&name));
        }
    });
}

#[test]
fn topics() {
    on_each(Mode::Symmetric, |service, unchanged| {
        let (long, huge) = ("t".repeat(65_536), "t".repeat(100 * 1024));
        let (under, below) = (format!("e4/{}", "0".repeat(32)), "e4/x/ack");
        for topic in [
            "",
            &long,
            &huge,
            "plant/+",
            "+",
            "#",
            "plant/#",
            "pl+ant",
            "$SYS/x",
            "$",
            "$share/g/plant",
            "e4",
            "e4/",
            &under,
            below,
            "plant\0a",
            "\0",
        ] {
            for operation in on_topic(topic) {
                assert_eq!(field(service, operation), "topic", "{topic:.9?}");
            }
            for error in [
                service.protect(topic, b"x").unwrap_err(),
                service.unprotect(topic, &[0; 40]).unwrap_err(),
            ] {
                assert!(matches!(error, Error::Invalid { field: "topic", .. }), "{error}");
            }
        }
        unchanged();
        for topic in ["t", "/", "e4x/a", "E4/a", "plant/e4/a", "pl$ant", " ", &"t".repeat(65_535)] {
            apply(service, new_topic(topic));
        }
    });
}

#[test]
fn keys_sk() {
    on_each(Mode::Symmetric, |service, unchanged| {
        for bytes in [&[][..], &[1], &[1; 31], &[1; 33], &[1; 64], &[0; 32]] {
            assert_eq!(field(service, with_key(bytes)), "key", "{bytes:?}");
        }
        for text in ["", "x", "fifteen bytes.."] {
            match attempt(service, with_password(text)) {
                Err(Error::Invalid { field: "password", .. }) => {}
                other => panic!("{text:.9}: {other:?}"),
            }
        }
        unchanged();
        apply(service, with_key(&[1; 32]));
        apply(service, with_password("sixteen bytes..."));
    });
}

/// Points of small order, in every encoding that decompresses, and what is no point.
const NOT_POINTS: [&str; 17] = [
    // y = 2, 7, and beyond: no x belongs to them.
    "0200000000000000000000000000000000000000000000000000000000000000",
    "0700000000000000000000000000000000000000000000000000000000000000",
    "0200000000000000000000000000000000000000000000000000000000000080",
    // Not below the prime.
    "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    // Order 1, 2, 4, 4, 8, 8, 8, 8.
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    // The same, written in other ways.
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn keys_pk() {
    on_each(Mode::PublicKey, |service, unchanged| {
        for bytes in [&[][..], &[1], &[1; 31], &[1; 33], &[1; 64]] {
            assert_eq!(field(service, with_key(bytes)), "key", "{bytes:?}");
        }
        for digits in NOT_POINTS {
            let bytes = hex::decode(digits).unwrap();
            assert_eq!(field(service, with_key(&bytes)), "key", "{digits}");
            // Nor in place of one that is there.
            let credential = Credential::Key(bytes.into());
            let replace = Operation::NewClient { client: "pump".into(), credential };
            assert_eq!(field(service, replace), "key", "{digits}");
        }
        assert_eq!(field(service, with_password("fifteen bytes..")), "password");
        unchanged();
        // The generator of the group.
        let mut generator = [0x66; 32];
        generator[0] = 0x58;
        apply(service, with_key(&generator));
    });
}

#[test]
fn strangers() {
    on_each(Mode::PublicKey, |service, unchanged| {
        let not_found = |operation: Operation, what: What, name: &str| {
            let expected = Error::NotFound { what, name: name.into() };
            assert_eq!(attempt(service, operation).map(|_| ()).unwrap_err(), expected);
        };
        for (_, operation) in on_client("nobody").into_iter().skip(1).chain(on_pair("nobody")) {
            not_found(operation, What::Client, "nobody");
        }
        for operation in on_topic("plant/x").into_iter().skip(1) {
            not_found(operation, What::Topic, "plant/x");
        }
        not_found(leave("plant/a", "fan"), What::Member, "fan of plant/a");
        let (source, target) = (|| "pump".to_string(), || "fan".to_string());
        let operation = Operation::UnlinkClient { source: source(), target: target() };
        not_found(operation, What::Link, "pump to fan");
        let operation = Operation::RemoveClientPubKey { source: source(), target: target() };
        not_found(operation, What::PublicKey, "of pump at fan");
        let same = Operation::SendClientPubKey { source: source(), target: source() };
        assert_eq!(field(service, same), "source_client");

        let page = Page::first(9);
        let client = Error::NotFound { what: What::Client, name: "nobody".into() };
        assert_eq!(service.topics_of_client("nobody", &page), Err(client.clone()));
        assert_eq!(service.count_topics_of_client("nobody"), Err(client.clone()));
        assert_eq!(service.linked_clients("nobody", &page), Err(client.clone()));
        assert_eq!(service.count_linked_clients("nobody"), Err(client.clone()));
        assert_eq!(service.client_state("nobody").unwrap_err(), client);
        assert!(client.hint().unwrap().contains("nobody"));
        let topic = Error::NotFound { what: What::Topic, name: "plant/x".into() };
        assert_eq!(service.clients_of_topic("plant/x", &page), Err(topic.clone()));
        assert_eq!(service.count_clients_of_topic("plant/x"), Err(topic.clone()));
        assert_eq!(service.topic_state("plant/x"), Err(topic.clone()));
        assert_eq!(service.unprotect("plant/x", &[0; 200]), Err(topic));
        unchanged();
    });
}

#[test]
fn the_other_mode() {
    on_each(Mode::Symmetric, |service, unchanged| {
        let wrong = |error: Error, operation: &str| {
            let expected = format!("{operation} exists in public-key mode only");
            assert_eq!(error.to_string(), expected);
            assert!(error.hint().is_some());
        };
        // The mode is said before anything else that is wrong.
        for (_, operation) in on_pair("fan").into_iter().chain(on_pair("")) {
            let name = operation.name();
            wrong(attempt(service, operation).unwrap_err(), name);
        }
        wrong(attempt(service, Operation::NewC2Key).unwrap_err(), "new_c2_key");
        wrong(service.linked_clients("pump", &Page::first(1)).unwrap_err(), "linked_clients");
        wrong(service.count_linked_clients("pump").unwrap_err(), "linked_clients");
        wrong(service.c2_public_key().unwrap_err(), "c2_public_key");
        unchanged();
    });
    on_each(Mode::PublicKey, |service, unchanged| {
        let error = service.protect("plant/a", b"x").unwrap_err();
        assert_eq!(error.to_string(), "protect exists in symmetric-key mode only");
        unchanged();
    });
}

#[test]
fn a_batch_of_nothing_but_faults() {
    on_each(Mode::PublicKey, |service, unchanged| {
        let mut all: Vec<Operation> = on_topic("plant/#");
        all.extend(on_client("").into_iter().map(|(_, operation)| operation));
        all.extend(on_pair("nobody").into_iter().map(|(_, operation)| operation));
        all.extend([with_key(&[1; 31]), leave("plant/a", "fan")]);
        for result in service.apply_all(&ann(), &all).unwrap() {
            result.unwrap_err();
        }
        unchanged();
    });
}
