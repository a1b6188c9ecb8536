// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of errors is for life, and no secret is ever printed.

use e4::client::memory::HeapMemory;
use e4::{C2SecretKey, Command, Error};

use super::*;

const TABLE: &[(i32, &str)] = &[
    (-100, "Internal"),
    (-101, "InvalidTag"),
    (-102, "TimestampInFuture"),
    (-103, "TimestampTooOld"),
    (-104, "MessageTooShort"),
    (-105, "TopicKeyMissing"),
    (-106, "Replayed"),
    (-107, "InvalidCommand"),
    (-108, "Storage"),
    (-109, "SignerUnknown"),
    (-110, "SignatureInvalid"),
    (-111, "BufferTooSmall"),
    (-112, "InvalidParameter"),
    (-113, "StateIncompatible"),
    (-114, "InvalidKey"),
    (-115, "InvalidName"),
    (-116, "InvalidTopic"),
    (-117, "InvalidPassword"),
    (-118, "NotProvisioned"),
    (-119, "AlreadyProvisioned"),
    (-120, "StateCorrupt"),
    (-121, "StorageFull"),
    (-122, "WrongMode"),
    (-123, "Randomness"),
    (-124, "ClockUnknown"),
    (-125, "OutOfMemory"),
];

#[test]
fn the_numbers_and_names_of_errors_are_frozen() {
    let table: Vec<_> = Error::ALL.iter().map(|error| (error.number(), error.name())).collect();
    assert_eq!(table, TABLE);
    for error in Error::ALL {
        assert_eq!(Error::from_number(error.number()), Some(*error));
        assert!(!error.text().is_empty() && !error.text().ends_with('.'));
        // The status byte of an answer is the number as a signed byte.
        assert!(i8::try_from(error.number()).is_ok());
    }
    for number in [0, 1, -1, -99, -126] {
        assert_eq!(Error::from_number(number), None);
    }
}

#[test]
fn no_secret_is_printed() {
    let mut printed = Vec::new();
    for pair in both() {
        let pair = pair.talking();
        printed.push(format!("{:?} {:#?}", pair.client, pair.client));
    }
    printed.push(format!("{:?} {:?}", sk_identity(), pk_identity()));
    printed.push(format!("{:?}", TopicKey::from_slice(&[5; 32]).unwrap()));
    printed.push(format!("{:?}", IdKey::from_slice(&[9; 32]).unwrap()));
    printed.push(format!("{:?}", C2SecretKey::from_slice(&[0x77; 32]).unwrap()));
    printed
        .push(format!("{:?}", SharedKey::for_client(&signing(8), &c2_secret().public()).unwrap()));
    printed.push(format!("{:?}", signing(8)));
    printed.push(format!("{:?}", Command::decode(&[&[2][..], &[9; 32]].concat()).unwrap()));
    printed.push(format!("{:?}", Command::decode(&set_topic(TOPIC, 5)).unwrap()));
    let secrets = [[5; 32], [9; 32], [8; 32], [0x77; 32], pk().key];
    for text in printed {
        for secret in &secrets {
            let list = format!("{:?}", &secret[..4]);
            let list = list.trim_matches(['[', ']']);
            assert!(!text.contains(&hex::encode(&secret[..4])), "{text}");
            assert!(!text.contains(list), "{text}");
        }
    }
    // Not even a type that holds keys has a way to print them.
    let _ = HeapMemory::default();
}
