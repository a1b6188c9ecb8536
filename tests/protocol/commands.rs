// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Section 4, and what sections 7, 8 and 11 say of commands.

use e4::protect::{open_answer, protect_answer, protect_command};
use e4::{Answer, Command, Error, IdKey, Opcode, SharedKey};

use super::*;

/// A right plaintext of every command of a mode.
fn right(public_key: bool) -> Vec<Vec<u8>> {
    let mut all =
        vec![[&[0][..], &[3; 16]].concat(), vec![1], [&[3][..], &[4; 32], &[5; 16]].concat()];
    if public_key {
        all.push([&[2][..], &*signing(6).expose()].concat());
        all.push([&[4][..], &[3; 16]].concat());
        all.push(vec![5]);
        all.push([&[6][..], signing(7).public().as_bytes(), &[3; 16]].concat());
        all.push([&[7][..], c2_secret().public().as_bytes()].concat());
    } else {
        all.push([&[2][..], &[6; 32]].concat());
    }
    all
}

fn refuses(pair: &mut Pair, plain: &[u8], error: Error) {
    let before = pair.client.digest().unwrap();
    assert_eq!(pair.command(NOW, plain), Err(error), "{plain:02x?}");
    assert_eq!(pair.client.digest().unwrap(), before);
    // Refused is not applied: the replay mark has not moved either.
    assert_eq!(pair.command(NOW - 1, &[1]), Ok(Opcode::ResetTopics));
}

#[test]
fn s4_every_command_of_the_mode_is_applied() {
    for public_key in [false, true] {
        for plain in right(public_key) {
            let mut pair = if public_key { pk() } else { sk() };
            assert_eq!(pair.command(NOW, &plain).unwrap() as u8, plain[0]);
        }
    }
}

#[test]
fn s4_every_command_reads_and_writes_the_same_bytes() {
    for plain in right(false).into_iter().chain(right(true)) {
        assert_eq!(&*Command::decode(&plain).unwrap().encode(), plain.as_slice());
    }
}

#[test]
fn s4_any_other_opcode_is_refused() {
    for opcode in 8..=255u8 {
        for length in [0, 16, 32, 48, 64] {
            let plain = [&[opcode][..], &vec![1; length]].concat();
            assert_eq!(Command::decode(&plain).unwrap_err(), Error::InvalidCommand);
        }
    }
    for make in [sk, pk] {
        refuses(&mut make(), &[8], Error::InvalidCommand);
        refuses(&mut make(), &[255, 1, 2], Error::InvalidCommand);
    }
}

#[test]
fn s4_any_other_length_is_refused() {
    for (public_key, make) in [(false, sk as fn() -> Pair), (true, pk)] {
        for plain in right(public_key) {
            for length in 0..=plain.len() + 70 {
                let mut other = plain.clone();
                other.resize(length, 1);
                let legal = right(public_key)
                    .iter()
                    .any(|right| right.len() == length && right[0] == plain[0]);
                if length > 0 && !legal {
                    refuses(&mut make(), &other, Error::InvalidCommand);
                }
            }
        }
    }
}

#[test]
fn s4_an_empty_command_is_refused() {
    assert_eq!(Command::decode(&[]).unwrap_err(), Error::InvalidCommand);
    for make in [sk, pk] {
        refuses(&mut make(), &[], Error::InvalidCommand);
    }
}

#[test]
fn s4_a_command_of_the_other_mode_is_refused_whatever_key_it_brings() {
    for plain in right(true).into_iter().filter(|plain| !matches!(plain[0], 0 | 1 | 3)) {
        refuses(&mut sk(), &plain, Error::InvalidCommand);
    }
    let zero = |opcode: u8, length: usize| [&[opcode][..], &vec![0; length]].concat();
    for plain in [zero(2, 64), zero(6, 48), zero(7, 32)] {
        refuses(&mut sk(), &plain, Error::InvalidCommand);
    }
    refuses(&mut pk(), &[&[2][..], &[6; 32]].concat(), Error::InvalidCommand);
    refuses(&mut pk(), &zero(2, 32), Error::InvalidCommand);
}

#[test]
fn s4_removing_what_is_not_there_succeeds() {
    for mut pair in both() {
        assert_eq!(pair.command(NOW, &[&[0][..], &[3; 16]].concat()), Ok(Opcode::RemoveTopic));
    }
    assert_eq!(pk().command(NOW, &[&[4][..], &[3; 16]].concat()), Ok(Opcode::RemovePubKey));
}

#[test]
fn s7_a_command_is_recognised_before_any_topic_key_is_looked_at() {
    for mut pair in both() {
        // Even a key for the hash of the control topic is not tried.
        let control = pair.client.control_topic().to_string();
        pair.command(NOW, &set_topic(&control, 5)).unwrap();
        let message = sealed(&[5; 32], NOW, b"not a command");
        assert_eq!(pair.deliver(NOW, &message), Err(Error::InvalidTag));
    }
}

#[test]
fn s7_s11_commands_are_replayed_once_applied_and_when_older() {
    for mut pair in both() {
        let first = sealed(&pair.key, NOW, &set_topic("a", 1));
        let second = sealed(&pair.key, NOW, &set_topic("b", 1));
        let older = sealed(&pair.key, NOW - 1, &set_topic("c", 1));
        pair.deliver(NOW, &first).unwrap();
        pair.deliver(NOW, &second).unwrap();
        for again in [&first, &second, &older] {
            assert_eq!(pair.deliver(NOW, again), Err(Error::Replayed));
        }
        // Newer ones are taken, and then the whole second before is over.
        pair.command(NOW + 1, &set_topic("d", 1)).unwrap();
        assert_eq!(pair.deliver(NOW + 1, &second), Err(Error::Replayed));
        assert_eq!(pair.client.topic_count(), 3);
    }
}

#[test]
fn s7_the_replay_mark_survives_a_restart() {
    let mut storage = MemoryStorage::new();
    let mut client = Client::provision(&mut storage, sk_identity()).unwrap();
    let control = client.control_topic();
    let commands: Vec<_> =
        (0..5u8).map(|n| sealed(&[9; 32], NOW, &set_topic(&format!("t{n}"), 1))).collect();
    for command in &commands {
        client.unprotect_to_vec(at(NOW), &control, command).unwrap();
    }
    drop(client);
    let mut client = Client::open(&mut storage).unwrap();
    for command in &commands {
        let again = client.unprotect_to_vec(at(NOW), &control, command);
        assert_eq!(again.unwrap_err(), Error::Replayed);
    }
}

#[test]
fn s11_sixteen_commands_of_one_second_are_remembered() {
    let mut pair = sk();
    let commands: Vec<_> =
        (0..16u8).map(|n| sealed(&pair.key, NOW, &set_topic(&format!("t{n}"), 1))).collect();
    for command in &commands {
        pair.deliver(NOW, command).unwrap();
    }
    for command in &commands {
        assert_eq!(pair.deliver(NOW, command), Err(Error::Replayed));
    }
}

#[test]
fn s11_they_are_the_last_sixteen_whenever_the_client_restarts() {
    let commands: Vec<_> =
        (1..=40u8).map(|key| sealed(&[9; 32], NOW, &set_topic(TOPIC, key))).collect();
    for restart in 0..commands.len() {
        let mut storage = MemoryStorage::new();
        let mut client = Client::provision(&mut storage, sk_identity()).unwrap();
        let control = client.control_topic();
        let (before, after) = commands.split_at(restart);
        for command in before {
            client.unprotect_to_vec(at(NOW), &control, command).unwrap();
        }
        drop(client);
        let mut client = Client::open(&mut storage).unwrap();
        for command in after {
            client.unprotect_to_vec(at(NOW), &control, command).unwrap();
        }
        for command in &commands[commands.len() - 16..] {
            let again = client.unprotect_to_vec(at(NOW), &control, command);
            assert_eq!(again.unwrap_err(), Error::Replayed, "restart after {restart}");
        }
    }
}

fn answer(pair: &mut Pair, key: [u8; 32]) -> Option<(Answer, Vec<u8>)> {
    let bytes = pair.client.answer(at(NOW)).unwrap()?;
    let key = IdKey::from_slice(&key).unwrap();
    let (time, answer) = open_answer(&key, &bytes).unwrap();
    assert_eq!(time, at(NOW));
    Some((answer, bytes.to_vec()))
}

#[test]
fn s8_an_applied_command_is_answered_once_with_the_digest_after_it() {
    for mut pair in both() {
        let command = sealed(&pair.key, NOW, &set_topic(TOPIC, 5));
        pair.deliver(NOW, &command).unwrap();
        let key = pair.key;
        let (answer_of, _) = answer(&mut pair, key).unwrap();
        assert_eq!(answer_of.command.unwrap(), command[8..24]);
        assert_eq!(answer_of.status, Ok(()));
        assert_eq!(answer_of.digest, pair.client.digest().unwrap());
        assert!(pair.client.answer(at(NOW)).unwrap().is_none());
    }
}

#[test]
fn s8_a_refused_command_is_answered_with_its_error() {
    for mut pair in both() {
        pair.command(NOW, &[99]).unwrap_err();
        let key = pair.key;
        let (answer, bytes) = answer(&mut pair, key).unwrap();
        assert_eq!(answer.status, Err(Error::InvalidCommand));
        assert_eq!(bytes.len(), 8 + 16 + 34);
        assert_eq!(answer.encode()[17], 0x95);
        pair.command(NOW, &[&[3][..], &[0; 48]].concat()).unwrap_err();
        assert_eq!(
            super::commands::answer(&mut pair, key).unwrap().0.status,
            Err(Error::InvalidKey)
        );
    }
}

#[test]
fn s11_neither_a_replayed_nor_a_forged_command_is_answered() {
    for mut pair in both() {
        let command = sealed(&pair.key, NOW, &[1]);
        pair.deliver(NOW, &command).unwrap();
        pair.client.answer(at(NOW)).unwrap().unwrap();
        pair.deliver(NOW, &command).unwrap_err();
        assert!(pair.client.answer(at(NOW)).unwrap().is_none());
        pair.command(NOW - 1, &[1]).unwrap_err();
        assert!(pair.client.answer(at(NOW)).unwrap().is_none());
        pair.deliver(NOW, &sealed(&[0x33; 32], NOW, &[1])).unwrap_err();
        assert!(pair.client.answer(at(NOW)).unwrap().is_none());
    }
}

#[test]
fn s8_an_answer_on_the_control_topic_is_no_command_and_a_command_no_answer() {
    let mut pair = sk();
    pair.command(NOW, &[1]).unwrap();
    let bytes = pair.client.answer(at(NOW)).unwrap().unwrap();
    assert_eq!(pair.deliver(NOW, &bytes), Err(Error::InvalidTag));
    let key = IdKey::from_slice(&pair.key).unwrap();
    let command = protect_command(&key, at(NOW), &Command::ResetTopics).unwrap();
    assert_eq!(open_answer(&key, &command).unwrap_err(), Error::InvalidTag);
}

#[test]
fn s8_the_answer_to_set_id_key_comes_under_the_new_key() {
    let mut pair = sk();
    pair.command(NOW, &[&[2][..], &[0x21; 32]].concat()).unwrap();
    assert_eq!(answer(&mut pair, [0x21; 32]).unwrap().0.status, Ok(()));
    let mut pair = pk();
    pair.command(NOW, &[&[2][..], &*signing(6).expose()].concat()).unwrap();
    let shared = SharedKey::for_c2(&c2_secret(), &signing(6).public()).unwrap();
    assert_eq!(answer(&mut pair, *shared.expose()).unwrap().0.status, Ok(()));
    // The old key opens nothing any more.
    assert_eq!(pair.command(NOW, &[1]), Err(Error::InvalidTag));
}

#[test]
fn s8_a_hello_has_a_zero_siv() {
    for pair in both() {
        let key = IdKey::from_slice(&pair.key).unwrap();
        let (_, hello) = open_answer(&key, &pair.client.hello(at(NOW)).unwrap()).unwrap();
        assert_eq!((hello.command, hello.status), (None, Ok(())));
        assert_eq!(hello.encode()[1..17], [0; 16]);
    }
}

#[test]
fn s8_an_answer_of_another_version_or_length_is_refused() {
    let pair = sk();
    let answer = Answer { command: None, status: Ok(()), digest: pair.client.digest().unwrap() };
    let mut plain = answer.encode();
    assert_eq!(Answer::decode(&plain).unwrap(), answer);
    for length in 0..plain.len() {
        assert_eq!(Answer::decode(&plain[..length]).unwrap_err(), Error::StateIncompatible);
    }
    plain[0] = 2;
    assert_eq!(Answer::decode(&plain).unwrap_err(), Error::StateIncompatible);
    let key = IdKey::from_slice(&pair.key).unwrap();
    let bytes = protect_answer(&key, at(NOW), &answer).unwrap();
    for length in 0..bytes.len() {
        assert!(open_answer(&key, &bytes[..length]).is_err());
    }
}

#[test]
fn s11_the_digest_is_the_one_of_the_formula() {
    use e4::crypto::hash::sha3_256;
    let mut pair = pk();
    assert_eq!(pair.client.digest().unwrap().0, sha3_256(&[])[..16]);
    pair.command(NOW, &[&[3][..], &[4; 32], &[0xee; 16]].concat()).unwrap();
    pair.command(NOW, &[&[3][..], &[5; 32], &[0x11; 16]].concat()).unwrap();
    pair.command(NOW, &set_peer(3, 7)).unwrap();
    let peer = *signing(7).public().as_bytes();
    let expected = |high: u8| {
        let low = sha3_256(&[&[5; 32]]);
        let high = sha3_256(&[&[high; 32]]);
        let topics = [&[1][..], &[0x11; 16], &low, &[1], &[0xee; 16], &high].concat();
        sha3_256(&[&topics, &[2], &[3; 16], &peer])
    };
    assert_eq!(pair.client.digest().unwrap().0, expected(4)[..16]);
    // A key kept for the transition does not count.
    pair.command(NOW, &[&[3][..], &[6; 32], &[0xee; 16]].concat()).unwrap();
    assert_eq!(pair.client.digest().unwrap().0, expected(6)[..16]);
}
