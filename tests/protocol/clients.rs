// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sections 7 and 10: what a client does, and what it takes over from others.

use e4::client::import::Imported;
use e4::client::memory::HeapMemory;
use e4::{Error, Settings};

use super::*;

#[test]
fn s7_protect_needs_the_key_of_the_topic_and_never_the_control_topic() {
    for pair in both() {
        let pair = pair.talking();
        let missing = pair.client.protect_to_vec(at(NOW), "other", b"x");
        assert_eq!(missing.unwrap_err(), Error::TopicKeyMissing);
        let control = pair.client.control_topic();
        let refused = pair.client.protect_to_vec(at(NOW), &control, b"x");
        assert_eq!(refused.unwrap_err(), Error::InvalidTopic);
    }
}

#[test]
fn s7_s10_empty_messages_are_legal() {
    for pair in both() {
        let mut pair = pair.talking();
        let message = pair.client.protect_to_vec(at(NOW), TOPIC, b"").unwrap();
        assert_eq!(pair.open(NOW, &message).unwrap(), b"");
    }
}

#[test]
fn s7_a_replaced_key_opens_messages_for_3600_seconds() {
    for pair in both() {
        let mut pair = pair.talking();
        let start = NOW + 10;
        let under = |pair: &Pair, now| pair.client.protect_to_vec(at(now), TOPIC, b"old").unwrap();
        let (early, late, after) =
            (under(&pair, start), under(&pair, start + 3600), under(&pair, start + 3601));
        pair.command(start, &set_topic(TOPIC, 6)).unwrap();
        assert_eq!(pair.open(start, &early).unwrap(), b"old");
        assert_eq!(pair.open(start + 3600, &late).unwrap(), b"old");
        assert_eq!(pair.open(start + 3601, &after), Err(Error::InvalidTag));
    }
}

#[test]
fn s7_setting_the_same_key_moves_nothing_and_only_one_is_kept() {
    for pair in both() {
        let mut pair = pair.talking();
        let old = pair.client.protect_to_vec(at(NOW), TOPIC, b"5").unwrap();
        pair.command(NOW, &set_topic(TOPIC, 6)).unwrap();
        pair.command(NOW + 1, &set_topic(TOPIC, 6)).unwrap();
        assert_eq!(pair.open(NOW, &old).unwrap(), b"5");
        pair.command(NOW + 2, &set_topic(TOPIC, 7)).unwrap();
        assert_eq!(pair.open(NOW, &old), Err(Error::InvalidTag));
    }
}

#[test]
fn s7_remove_and_reset_forget_the_replaced_keys() {
    for reset in [false, true] {
        for pair in both() {
            let mut pair = pair.talking();
            let old = pair.client.protect_to_vec(at(NOW), TOPIC, b"5").unwrap();
            pair.command(NOW, &set_topic(TOPIC, 6)).unwrap();
            let remove = if reset { vec![1] } else { [&[0][..], hash(TOPIC).as_bytes()].concat() };
            pair.command(NOW + 1, &remove).unwrap();
            assert_eq!(pair.open(NOW + 1, &old), Err(Error::TopicKeyMissing));
            pair.command(NOW + 2, &set_topic(TOPIC, 7)).unwrap();
            assert_eq!(pair.open(NOW + 2, &old), Err(Error::InvalidTag));
        }
    }
}

#[test]
fn s7_without_a_cache_a_repeated_message_is_taken_with_one_it_is_replayed() {
    let mut plain = sk().talking();
    let message = plain.client.protect_to_vec(at(NOW), TOPIC, b"x").unwrap();
    assert!(plain.open(NOW, &message).is_ok());
    assert!(plain.open(NOW, &message).is_ok());

    let memory = HeapMemory::with_replay_cache(2);
    let settings = Settings::default();
    let mut client =
        Client::provision_with(MemoryStorage::new(), memory, settings, sk_identity()).unwrap();
    let command = sealed(&[9; 32], NOW, &set_topic(TOPIC, 5));
    client.unprotect_to_vec(at(NOW), &client.control_topic(), &command).unwrap();
    assert!(client.unprotect_to_vec(at(NOW), TOPIC, &message).is_ok());
    assert_eq!(client.unprotect_to_vec(at(NOW), TOPIC, &message).unwrap_err(), Error::Replayed);
    // A forgery does not fill the cache.
    let mut forged = message.clone();
    forged[30 - 6] ^= 1;
    assert_eq!(client.unprotect_to_vec(at(NOW), TOPIC, &forged).unwrap_err(), Error::InvalidTag);
    // When it is full, the oldest is forgotten.
    for time in [NOW + 1, NOW + 2] {
        let other = sealed(&[5; 32], time, b"y");
        assert!(client.unprotect_to_vec(at(NOW), TOPIC, &other).is_ok());
    }
    assert!(client.unprotect_to_vec(at(NOW), TOPIC, &message).is_ok());
}

#[test]
fn s7_a_client_without_a_clock_takes_its_time_from_the_last_command() {
    let mut pair = sk();
    let control = pair.client.control_topic();
    let unknown = pair.client.hello(None).unwrap_err();
    assert_eq!(unknown, Error::ClockUnknown);
    // A command that does not authenticate, or is refused, gives no time.
    for wrong in [sealed(&[0x33; 32], NOW, &[1]), sealed(&pair.key, NOW, &[99])] {
        pair.client.unprotect_to_vec(None, &control, &wrong).unwrap_err();
        assert_eq!(pair.client.hello(None).unwrap_err(), Error::ClockUnknown);
    }
    let command = sealed(&pair.key, NOW, &set_topic(TOPIC, 5));
    pair.client.unprotect_to_vec(None, &control, &command).unwrap();
    let sent = pair.client.protect_to_vec(None, TOPIC, b"x").unwrap();
    assert_eq!(sent[..8], NOW.to_le_bytes());
    for (time, expected) in [(NOW - 601, false), (NOW - 600, true), (NOW + 100_000, true)] {
        let message = sealed(&[5; 32], time, b"x");
        assert_eq!(pair.client.unprotect_to_vec(None, TOPIC, &message).is_ok(), expected);
    }
}

#[test]
fn a_storage_holds_one_client_and_forgets_it() {
    for identity in [sk_identity as fn() -> Identity, pk_identity] {
        let mut storage = MemoryStorage::new();
        assert_eq!(Client::open(&mut storage).unwrap_err(), Error::NotProvisioned);
        let client = Client::provision(&mut storage, identity()).unwrap();
        let digest = client.digest().unwrap();
        drop(client);
        let again = Client::provision(&mut storage, sk_identity());
        assert_eq!(again.unwrap_err(), Error::AlreadyProvisioned);
        let client = Client::open(&mut storage).unwrap();
        assert_eq!(client.digest().unwrap(), digest);
        client.forget().unwrap();
        assert_eq!(Client::open(&mut storage).unwrap_err(), Error::NotProvisioned);
        assert!(Client::provision(&mut storage, identity()).is_ok());
    }
}

#[test]
fn s10_what_is_no_state_file_is_refused_at_every_length() {
    for bad in ["", "{", "{}", "[]", "null", r#"{"ID":"AA==","TopicKeys":{},"Key":{}}"#] {
        assert_eq!(Imported::from_e4go(bad.as_bytes()).unwrap_err(), Error::StateIncompatible);
    }
    let key = [7; 32];
    let file = [b"E41P", &[1; 16][..], &key, &[1, 0], &[2; 16], &key].concat();
    for length in 0..file.len() {
        assert!(Imported::from_libe4(&file[..length]).is_err(), "{length}");
    }
    let client =
        Client::import(MemoryStorage::new(), Imported::from_libe4(&file).unwrap()).unwrap();
    assert_eq!((client.topic_count(), client.id().as_bytes()), (1, &[1; 16]));
    let zero = [b"E41P", &[1; 16][..], &[0; 32], &[0, 0]].concat();
    assert_eq!(Imported::from_libe4(&zero).unwrap_err(), Error::InvalidKey);
}

#[test]
fn s10_a_libe4_private_key_in_expanded_form_is_refused() {
    let c2 = c2_secret().public();
    let head = [b"E42P", &[1; 16][..]].concat();
    let good = [&head[..], &*signing(6).expose(), &[0; 32], c2.as_bytes(), &[0; 4]].concat();
    assert!(Imported::from_libe4(&good).is_ok());
    let expanded = [&head[..], &[0x48; 64], &[0; 32], c2.as_bytes(), &[0; 4]].concat();
    assert_eq!(Imported::from_libe4(&expanded).unwrap_err(), Error::InvalidKey);
}

#[test]
fn s7_a_head_that_no_version_writes_is_refused() {
    use e4::Storage;
    use e4::crypto::hash::sha3_256;

    let mut storage = MemoryStorage::new();
    drop(Client::provision(&mut storage, sk_identity()).unwrap());
    let mut head = [0; e4::client::storage::RECORD_MAX];
    let length = storage.read(0, &mut head).unwrap().unwrap();
    // Magic, mode, id, generations, time, count; then the SIVs, the key, the check.
    let (mark, rest) = head[..length].split_at(38);
    let key = &rest[..rest.len() - 8];
    let mut open = |body: &[u8]| {
        let check = sha3_256(&[&0u32.to_le_bytes(), body]);
        storage.write(0, &[body, &check[..8]].concat()).unwrap();
        Client::open(&mut storage).map(drop)
    };
    let with_count = |count: u8| [&mark[..37], &[count], &[7; 16 * 16], key].concat();
    assert_eq!(open(&with_count(16)), Ok(()));
    assert_eq!(open(&with_count(17)), Err(Error::StateIncompatible));
    assert_eq!(open(&with_count(255)), Err(Error::StateIncompatible));
    assert_eq!(open(&mark[..20]), Err(Error::StateIncompatible));
    assert_eq!(open(&[]), Err(Error::StateIncompatible));
}
