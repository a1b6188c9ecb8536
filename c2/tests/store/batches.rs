// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Batches under an idempotency key.

use std::sync::Arc;
use std::time::Instant;

use e4::{IdKey, Mode};
use e4_c2::domain::{Batch, Caller, Clock, Credential, Error, Operation, Page, What};
use e4_c2::service::Service;

use super::Open;
use crate::common::database::{
    Hands, NOON, ann, attempt, dump, everything, join, meddle, new_client, new_topic, service,
    store,
};

const DAY: i64 = 24 * 3600 * 1000;

fn batch() -> Vec<Operation> {
    let bad = Credential::Key(vec![1; 31].into());
    vec![
        new_client("pump"),
        new_topic("plant/a"),
        join("plant/a", "pump"),
        Operation::NewClient { client: "fan".into(), credential: bad },
        join("plant/a", "fan"),
        Operation::NewC2Key,
        new_topic("plant/a"),
    ]
}

/// Everything of the results, keys included.
fn words(batch: &Batch) -> Vec<String> {
    let one = |result: &e4_c2::domain::Result<_>| match result {
        Ok(e4_c2::domain::Outcome { operation, created, epoch, secret }) => {
            let secret = secret.as_ref().map(|secret| hex::encode(&*secret.0));
            format!("{operation} {created} {epoch:?} {secret:?}")
        }
        Err(error) => format!("{error:?}"),
    };
    batch.results.iter().map(one).collect()
}

pub fn the_same_batch_again_changes_nothing(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let first = service.apply_once(&ann(), Some("morning"), &batch()).unwrap();
    assert!(!first.again);
    let numbers = first.results.iter().flatten().map(|outcome| outcome.operation);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(first.results[0].as_ref().unwrap().secret.is_some());
    let before = dump(&*open());
    for _ in 0..2 {
        let again = service.apply_once(&ann(), Some("morning"), &batch()).unwrap();
        assert!(again.again);
        assert_eq!(words(&again), words(&first));
        assert_eq!(dump(&*open()), before);
    }
    // Without a key everything happens again.
    let other = service.apply_once(&ann(), None, &batch()).unwrap();
    assert!(!other.again);
    let numbers = other.results.iter().flatten().map(|outcome| outcome.operation);
    assert_eq!(numbers.collect::<Vec<_>>(), [5, 6, 7, 8]);
    // A single act has a number as well, whatever it does.
    assert_eq!(attempt(&service, join("plant/a", "pump")).unwrap().operation, 9);
    let remove = Operation::RemoveClient { client: "pump".into(), rotate: true };
    assert_eq!(attempt(&service, remove).unwrap().operation, 10);
    let nothing = service.apply_once(&ann(), Some("nothing"), &[]).unwrap();
    assert_eq!((nothing.results.len(), nothing.again), (0, false));
    assert!(service.apply_once(&ann(), Some("nothing"), &[]).unwrap().again);
}

pub fn a_key_belongs_to_its_content_and_caller(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let given = |key: &[u8]| Operation::NewClient {
        client: "pump".into(),
        credential: Credential::Key(key.to_vec().into()),
    };
    let password = |text: &str| Operation::NewClient {
        client: "pump".into(),
        credential: Credential::Password(text.to_string().into()),
    };
    service.apply_once(&ann(), Some("k"), &[given(&[1; 32])]).unwrap();
    let before = dump(&*open());
    for other in [
        vec![],
        vec![given(&[2; 32])],
        vec![new_client("pump")],
        vec![password("a password of a pump")],
        vec![given(&[1; 32]), given(&[1; 32])],
        vec![new_topic("pump")],
    ] {
        let error = service.apply_once(&ann(), Some("k"), &other).unwrap_err();
        assert!(
            matches!(error, Error::Invalid { field: "idempotency_key", .. }),
            "{other:?}: {error}"
        );
        assert_eq!(dump(&*open()), before);
    }
    assert!(service.apply_once(&ann(), Some("k"), &[given(&[1; 32])]).unwrap().again);
    // Where from does not matter, who does.
    let elsewhere = Caller::new("ann", "another place");
    assert!(service.apply_once(&elsewhere, Some("k"), &[given(&[1; 32])]).unwrap().again);
    let bob = Caller::new("bob", "test");
    assert!(!service.apply_once(&bob, Some("k"), &[given(&[3; 32])]).unwrap().again);
    for bad in ["", &"x".repeat(129), "a\0b", "a\nb"] {
        let error = service.apply_once(&ann(), Some(bad), &[]).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "idempotency_key", .. }), "{bad:?}");
    }
    let longest = "\u{fc}".repeat(64);
    service.apply_once(&ann(), Some(&longest), &[]).unwrap();
    assert!(service.apply_once(&ann(), Some(&longest), &[]).unwrap().again);
}

pub fn every_refusal_comes_again(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let (source, target) = ("pump".to_string(), "fan".to_string());
    let all = vec![
        new_client("pump"),
        new_client("fan"),
        new_topic("plant/a"),
        new_client(""),
        new_topic("plant/#"),
        Operation::NewClient {
            client: "eye".into(),
            credential: Credential::Password("short".to_string().into()),
        },
        Operation::NewClient { client: "eye".into(), credential: Credential::Key(vec![].into()) },
        join("plant/b", "pump"),
        join("plant/a", "eye"),
        Operation::RemoveTopicClient { topic: "plant/a".into(), client: "pump".into() },
        Operation::LinkClient { source, target },
        Operation::NewC2Key,
        Operation::AddClient { client: "pump".into(), credential: Credential::Random },
        Operation::RemoveClient { client: "nobody \u{1f600}".into(), rotate: false },
    ];
    let first = service.apply_once(&ann(), Some("all"), &all).unwrap();
    let again = service.apply_once(&ann(), Some("all"), &all).unwrap();
    assert!(again.again);
    assert_eq!(words(&again), words(&first));
    let refused = again.results.iter().filter_map(|result| result.as_ref().err());
    assert_eq!(refused.count(), 11);
}

pub fn refusals_of_public_keys(open: Open) {
    let service = service(open(), Mode::PublicKey);
    let (source, target) = (|| "pump".to_string(), || "fan".to_string());
    let all = vec![
        new_client("pump"),
        new_client("fan"),
        Operation::UnlinkClient { source: source(), target: target() },
        Operation::RemoveClientPubKey { source: source(), target: target() },
        Operation::LinkClient { source: source(), target: source() },
        Operation::LinkClient { source: source(), target: String::new() },
        Operation::LinkClient { source: String::new(), target: target() },
        Operation::NewC2Key,
    ];
    let first = service.apply_once(&ann(), Some("all"), &all).unwrap();
    let again = service.apply_once(&ann(), Some("all"), &all).unwrap();
    assert_eq!(words(&again), words(&first));
    let what = |number: usize| match &again.results[number] {
        Err(Error::NotFound { what, .. }) => *what,
        other => panic!("{other:?}"),
    };
    assert_eq!((what(2), what(3)), (What::Link, What::PublicKey));
    assert!(matches!(again.results[4], Err(Error::Invalid { field: "source_client", .. })));
    assert!(matches!(again.results[5], Err(Error::Invalid { field: "target_client", .. })));
}

pub fn a_key_is_known_for_a_day(open: Open) {
    let hands = Hands::at(NOON);
    let service = Service::new(Arc::new(store(open(), Mode::Symmetric)), hands.clone());
    let once = || service.apply_once(&ann(), Some("k"), &[new_topic("plant/a")]).unwrap().again;
    let purge = || service.store().write(|tx| tx.purge_batches(hands.now())).unwrap();
    assert!(!once());
    hands.turn(DAY - 1);
    assert_eq!(purge(), 0);
    assert!(once());
    hands.turn(1);
    // Not purged yet, and yet forgotten.
    assert!(!once());
    assert!(once());
    assert_eq!(purge(), 0);
    service.apply_once(&ann(), Some("other"), &[]).unwrap();
    hands.turn(DAY);
    assert_eq!(purge(), 2);
    let other = service.apply_once(&ann(), Some("k"), &[new_topic("plant/b")]).unwrap();
    assert!(!other.again);
}

pub fn results_of_a_batch_are_sealed(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let password = "a password that nobody guesses";
    let operations = || {
        let credential = Credential::Password(password.to_string().into());
        vec![new_client("pump"), Operation::NewClient { client: "fan".into(), credential }]
    };
    let first = service.apply_once(&ann(), Some("k"), &operations()).unwrap();
    let other = service.apply_once(&ann(), Some("l"), &operations()).unwrap();
    let secret =
        |batch: &Batch| batch.results[0].as_ref().unwrap().secret.as_ref().unwrap().0.clone();
    for row in everything(&*open()) {
        for value in row.0 {
            let bytes = match value {
                e4_c2::store::Value::Blob(bytes) => bytes,
                e4_c2::store::Value::Text(text) => text.into_bytes(),
                _ => continue,
            };
            for hidden in [&secret(&first)[..], &secret(&other)[..], password.as_bytes()] {
                assert!(!bytes.windows(hidden.len()).any(|part| part == hidden));
            }
        }
    }
    // Neither the digest of one nor its results fit another.
    for (column, other) in [
        ("results", "(SELECT k.results FROM kept k WHERE k.name = 'l')"),
        ("digest", "(SELECT a.mac FROM audit a WHERE a.seq = 1)"),
    ] {
        meddle(&*open(), "CREATE TABLE kept AS SELECT * FROM batches");
        meddle(&*open(), &format!("UPDATE batches SET {column} = {other} WHERE name = 'k'"));
        let error = service.apply_once(&ann(), Some("k"), &operations()).unwrap_err();
        assert!(error.to_string().contains("altered or moved"), "{column}: {error}");
        meddle(
            &*open(),
            "DELETE FROM batches; INSERT INTO batches SELECT * FROM kept; DROP TABLE kept",
        );
    }
    let again = service.apply_once(&ann(), Some("k"), &operations()).unwrap();
    assert_eq!(*secret(&again), *secret(&first));
}

pub fn what_fails_is_not_kept(open: Open) {
    let service = service(open(), Mode::Symmetric);
    for table in ["batches", "audit"] {
        let before = dump(&*open());
        meddle(&*open(), &format!("ALTER TABLE {table} RENAME TO gone"));
        let result = service.apply_once(&ann(), Some("k"), &batch());
        meddle(&*open(), &format!("ALTER TABLE gone RENAME TO {table}"));
        assert!(matches!(result, Err(Error::Store(_))), "{result:?}");
        assert_eq!(dump(&*open()), before);
    }
    assert!(!service.apply_once(&ann(), Some("k"), &batch()).unwrap().again);
}

pub fn ten_thousand_clients_in_one_batch(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let all: Vec<Operation> = (1..=10_000u32)
        .map(|number| {
            let mut key = vec![9; 28];
            key.extend(number.to_le_bytes());
            assert!(IdKey::from_slice(&key).is_ok());
            Operation::NewClient {
                client: format!("c{number:05}"),
                credential: Credential::Key(key.into()),
            }
        })
        .collect();
    let start = Instant::now();
    let first = service.apply_once(&ann(), Some("csv"), &all).unwrap();
    let (took, start) = (start.elapsed(), Instant::now());
    assert!(first.results.iter().all(|result| result.as_ref().is_ok_and(|made| made.created)));
    let again = service.apply_once(&ann(), Some("csv"), &all).unwrap();
    println!("{}: {took:?}, again {:?}", service.store().describe(), start.elapsed());
    assert!(again.again);
    assert_eq!(words(&again), words(&first));
    assert_eq!(service.count_clients().unwrap(), 10_000);
    assert_eq!(service.clients(&Page::first(1)).unwrap(), ["c00001"]);
}
