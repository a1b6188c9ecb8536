// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Round trips, and every small alteration refused.

use e4::{Client, MemoryStorage, Result, Timestamp, Unprotected};
use proptest::prelude::*;

use super::*;

fn talking(public_key: bool) -> (Client<MemoryStorage>, State) {
    let (identity, mut model) = start(public_key);
    let mut client = Client::provision(MemoryStorage::new(), identity).unwrap();
    let mut plains = vec![set_topic(TOPIC, 5)];
    plains.extend(public_key.then(|| set_peer(2, 8)));
    for plain in plains {
        let protected = command(&model, NOW - 50, &plain);
        let control = client.control_topic();
        client.unprotect_to_vec(now(), &control, &protected).unwrap();
        model.receive(Some(NOW), &Default::default(), &control, &protected);
    }
    (client, model)
}

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn open(client: &mut Client<MemoryStorage>, bytes: &[u8]) -> Result<Vec<u8>> {
    match client.unprotect_to_vec(now(), TOPIC, bytes)? {
        Unprotected::Message(message) => Ok(message.plaintext),
        Unprotected::CommandApplied(_) => panic!("a message came out as a command"),
    }
}

#[test]
fn every_edge_length_opens_again() {
    for public_key in [false, true] {
        let (mut client, _) = talking(public_key);
        let edges = (0..=64).chain([255, 256, 4095, 4096, 65_535, 65_536]);
        for length in edges {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let message = client.protect_to_vec(now(), TOPIC, &plain).unwrap();
            assert_eq!(message.len(), length + if public_key { 104 } else { 24 });
            assert_eq!(open(&mut client, &message).unwrap(), plain);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]
    #[test]
    fn what_is_protected_opens(public_key: bool, length in 0usize..=65_536, fill: u8) {
        let (mut client, _) = talking(public_key);
        let plain = vec![fill; length];
        let message = client.protect_to_vec(now(), TOPIC, &plain).unwrap();
        prop_assert_eq!(open(&mut client, &message).unwrap(), plain);
    }

    #[test]
    fn random_bytes_are_refused_and_never_panic(
        public_key: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        fresh: bool,
    ) {
        let (mut client, _) = talking(public_key);
        let before = client.digest().unwrap();
        let mut bytes = bytes;
        if fresh && bytes.len() > 8 {
            bytes[..8].copy_from_slice(&NOW.to_le_bytes());
        }
        prop_assert!(open(&mut client, &bytes).is_err());
        let control = client.control_topic();
        prop_assert!(client.unprotect_to_vec(now(), &control, &bytes).is_err());
        prop_assert_eq!(client.digest().unwrap(), before);
    }
}

#[test]
fn every_changed_bit_of_a_message_is_refused() {
    for public_key in [false, true] {
        let (mut client, _) = talking(public_key);
        let message = client.protect_to_vec(now(), TOPIC, b"sixteen bytes...").unwrap();
        for bit in 0..message.len() * 8 {
            let mut altered = message.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&mut client, &altered).is_err(), "bit {bit}");
        }
        assert!(open(&mut client, &message).is_ok());
    }
}

#[test]
fn every_truncation_and_extension_of_a_message_is_refused() {
    for public_key in [false, true] {
        let (mut client, _) = talking(public_key);
        let message = client.protect_to_vec(now(), TOPIC, b"sixteen bytes...").unwrap();
        for length in 0..message.len() {
            assert!(open(&mut client, &message[..length]).is_err());
            assert!(open(&mut client, &message[message.len() - length..]).is_err());
        }
        for extra in 0..=255 {
            assert!(open(&mut client, &[&message[..], &[extra]].concat()).is_err());
            assert!(open(&mut client, &[&[extra], &message[..]].concat()).is_err());
        }
    }
}

#[test]
fn a_command_changes_the_state_only_if_it_is_exactly_right() {
    let mut plains = vec![(false, [&[2][..], &[6; 32]].concat()), (false, set_topic("new", 7))];
    plains.extend([(true, set_topic("new", 7)), (true, set_peer(3, 7)), (true, vec![1])]);
    for (public_key, plain) in plains {
        let (mut client, model) = talking(public_key);
        let control = client.control_topic();
        let before = client.digest().unwrap();
        let right = command(&model, NOW, &plain);
        let mut wrong: Vec<Vec<u8>> = (0..right.len()).map(|end| right[..end].to_vec()).collect();
        wrong.extend((0..=255).map(|extra| [&right[..], &[extra]].concat()));
        wrong.extend((0..right.len() * 8).map(|bit| {
            let mut altered = right.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            altered
        }));
        for altered in wrong {
            assert!(client.unprotect_to_vec(now(), &control, &altered).is_err());
            assert_eq!(client.digest().unwrap(), before);
        }
        // And then the right one is still taken, under the key of before.
        assert!(client.unprotect_to_vec(now(), &control, &right).is_ok());
    }
}
