// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sections 1, 2 and 3: constants, windows, and the order of checks.

use e4::protect::{self, Window};
use e4::{ClientTopic, Error, check_name, check_topic, check_topic_for_key};

use super::*;

#[test]
fn s1_ids_and_hashes_are_the_first_half_of_sha3() {
    let whole = e4::crypto::hash::sha3_256(&[b"pump-1"]);
    assert_eq!(ClientId::from_name("pump-1").unwrap().as_bytes(), &whole[..16]);
    assert_eq!(TopicHash::from_topic("pump-1").unwrap().as_bytes(), &whole[..16]);
}

#[test]
fn s1_a_name_has_1_to_255_bytes() {
    for (name, fits) in [(0, false), (1, true), (255, true), (256, false), (5000, false)] {
        let name = "n".repeat(name);
        assert_eq!(check_name(&name).is_ok(), fits);
        assert_eq!(ClientId::from_name(&name).is_ok(), fits);
    }
    assert_eq!(ClientId::from_name(&"é".repeat(128)).unwrap_err(), Error::InvalidName);
}

#[test]
fn s1_a_topic_has_1_to_65535_bytes() {
    for (length, fits) in [(0, false), (1, true), (65_535, true), (65_536, false)] {
        let topic = "t".repeat(length);
        assert_eq!(check_topic(&topic).is_ok(), fits);
        let expected = if fits { Error::TopicKeyMissing } else { Error::InvalidTopic };
        let mut pair = sk();
        assert_eq!(pair.client.protect_to_vec(at(NOW), &topic, b"").unwrap_err(), expected);
        assert_eq!(pair.client.unprotect_to_vec(at(NOW), &topic, b"").unwrap_err(), expected);
        assert_eq!(pair.client.has_topic(&topic).is_ok(), fits);
    }
}

#[test]
fn s1_c2_refuses_topics_that_are_no_single_topic_or_its_own() {
    for refused in ["", "a+", "#", "a/#", "a\0b", "$SYS/x", "e4", "e4/", "e4/x", "e4/x/ack"] {
        assert_eq!(check_topic_for_key(refused).unwrap_err(), Error::InvalidTopic, "{refused:?}");
    }
    for taken in ["a", "e4x", "e4x/y", "/e4", "E4/x", "a$", "plant/pressure"] {
        assert_eq!(check_topic_for_key(taken), Ok(()), "{taken:?}");
    }
}

#[test]
fn s1_a_password_has_16_bytes_at_least() {
    use e4::crypto::password::{id_key_from_password, signing_key_from_password};
    assert_eq!(id_key_from_password("fifteen bytes..").unwrap_err(), Error::InvalidPassword);
    assert_eq!(signing_key_from_password("").unwrap_err(), Error::InvalidPassword);
    let bad = Identity::symmetric_from_password("n", "short");
    assert_eq!(bad.unwrap_err(), Error::InvalidPassword);
}

#[test]
fn s1_the_control_topic_is_e4_and_the_id_in_lower_case() {
    let id = ClientId::from_bytes(std::array::from_fn(|at| 0xf0 | at as u8));
    let topic = ClientTopic::control(id);
    assert_eq!(&*topic, "e4/f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    assert_eq!(topic.len(), 35);
    assert_eq!(&*ClientTopic::answer(id), "e4/f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff/ack");
}

#[test]
fn s1_messages_and_commands_are_valid_for_600_seconds_either_way() {
    let window = [
        (NOW - 601, Err(Error::TimestampTooOld)),
        (NOW - 600, Ok(())),
        (NOW, Ok(())),
        (NOW + 600, Ok(())),
        (NOW + 601, Err(Error::TimestampInFuture)),
        (0, Err(Error::TimestampTooOld)),
        (u64::MAX, Err(Error::TimestampInFuture)),
        (1 << 63, Err(Error::TimestampInFuture)),
    ];
    for (sent, expected) in window {
        assert_eq!(Window::default().check(at(sent), at(NOW)), expected);
        for pair in both() {
            let mut pair = pair.talking();
            let message = pair.client.protect_to_vec(at(sent), TOPIC, b"x").unwrap();
            assert_eq!(pair.open(NOW, &message).map(drop), expected);
        }
        for mut pair in both() {
            let command = sealed(&pair.key, sent, &[1]);
            assert_eq!(pair.deliver(NOW, &command).map(drop), expected);
        }
    }
}

#[test]
fn s1_the_windows_are_settings() {
    let mut pair = sk().talking();
    pair.client.settings_mut().window = Window { past: 10, future: 0 };
    for (sent, ok) in [(NOW - 11, false), (NOW - 10, true), (NOW, true), (NOW + 1, false)] {
        let message = pair.client.protect_to_vec(at(sent), TOPIC, b"x").unwrap();
        assert_eq!(pair.open(NOW, &message).is_ok(), ok);
    }
}

#[test]
fn s2_an_sk_message_is_timestamp_siv_ciphertext() {
    let mut pair = sk().talking();
    for length in [0, 1, 15, 16, 17, 1000] {
        let plain = vec![0xa5; length];
        let message = pair.client.protect_to_vec(at(NOW), TOPIC, &plain).unwrap();
        assert_eq!(message.len(), length + 24);
        assert_eq!(message, sealed(&[5; 32], NOW, &plain));
        assert_eq!(pair.open(NOW, &message).unwrap(), plain);
    }
}

#[test]
fn s3_a_pk_message_is_timestamp_id_siv_ciphertext_signature() {
    let mut pair = pk().talking();
    for length in [0, 1, 16, 1000] {
        let plain = vec![0xa5; length];
        let message = pair.client.protect_to_vec(at(NOW), TOPIC, &plain).unwrap();
        let inner = sealed(&[5; 32], NOW, &plain);
        assert_eq!(message.len(), length + 104);
        assert_eq!(message[..8], inner[..8]);
        assert_eq!(message[8..24], [2; 16]);
        assert_eq!(message[24..message.len() - 64], inner[8..]);
        let (signed, signature) = message.split_last_chunk().unwrap();
        assert_eq!(signature, &signing(8).sign(signed));
        assert_eq!(pair.open(NOW, &message).unwrap(), plain);
    }
}

/// A signed message by hand.
fn signed(key: u8, signer: u8, seed: u8, time: u64) -> Vec<u8> {
    let key = TopicKey::from_slice(&[key; 32]).unwrap();
    let id = ClientId::from_bytes([signer; 16]);
    let mut out = vec![0; 105];
    protect::protect_signed(&key, id, &signing(seed), at(time), b"x", &mut out).unwrap();
    out
}

#[test]
fn s3_checks_come_in_order_topic_length_time_signer_signature_decryption() {
    let mut pair = pk().talking();
    // Each message has this fault and every later one.
    let mut wrong = signed(6, 9, 3, NOW - 700);
    assert_eq!(
        pair.client.unprotect_to_vec(at(NOW), "other", &[]).unwrap_err(),
        Error::TopicKeyMissing
    );
    for length in 0..104 {
        assert_eq!(pair.open(NOW, &wrong[..length]), Err(Error::MessageTooShort));
    }
    assert_eq!(pair.open(NOW, &wrong), Err(Error::TimestampTooOld));
    wrong = signed(6, 9, 3, NOW);
    assert_eq!(pair.open(NOW, &wrong), Err(Error::SignerUnknown));
    wrong = signed(6, 2, 3, NOW);
    assert_eq!(pair.open(NOW, &wrong), Err(Error::SignatureInvalid));
    wrong = signed(6, 2, 8, NOW);
    assert_eq!(pair.open(NOW, &wrong), Err(Error::InvalidTag));
    assert_eq!(pair.open(NOW, &signed(5, 2, 8, NOW)).unwrap(), b"x");
}

#[test]
fn s3_checks_of_sk_come_in_order_topic_length_time_decryption() {
    let mut pair = sk().talking();
    let wrong = sealed(&[6; 32], NOW - 700, b"x");
    assert_eq!(
        pair.client.unprotect_to_vec(at(NOW), "other", &[]).unwrap_err(),
        Error::TopicKeyMissing
    );
    for length in 0..24 {
        assert_eq!(pair.open(NOW, &wrong[..length]), Err(Error::MessageTooShort));
    }
    assert_eq!(pair.open(NOW, &wrong), Err(Error::TimestampTooOld));
    assert_eq!(pair.open(NOW, &sealed(&[6; 32], NOW, b"x")), Err(Error::InvalidTag));
}

#[test]
fn s3_a_signature_with_s_not_below_the_order_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut pair = pk().talking();
    let mut message = signed(5, 2, 8, NOW);
    let s = message.len() - 32;
    let mut carry = 0;
    for (byte, add) in message[s..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(pair.open(NOW, &message), Err(Error::SignatureInvalid));
}

#[test]
fn s3_an_unknown_signer_may_be_accepted_a_wrong_signature_never() {
    let mut pair = pk().talking();
    pair.client.settings_mut().accept_unknown_signers = true;
    let stranger = pair.client.unprotect_to_vec(at(NOW), TOPIC, &signed(5, 9, 3, NOW)).unwrap();
    let Unprotected::Message(message) = stranger else { panic!("not a message") };
    assert_eq!(message.plaintext, b"x");
    let signer = message.signer.unwrap();
    assert_eq!((signer.id.as_bytes(), signer.verified), (&[9; 16], false));
    assert_eq!(pair.open(NOW, &signed(5, 2, 3, NOW)), Err(Error::SignatureInvalid));
    assert_eq!(pair.open(NOW, &signed(6, 9, 3, NOW)), Err(Error::InvalidTag));
    let known = pair.client.unprotect_to_vec(at(NOW), TOPIC, &signed(5, 2, 8, NOW)).unwrap();
    let Unprotected::Message(message) = known else { panic!("not a message") };
    assert!(message.signer.unwrap().verified);
}

#[test]
fn s2_s3_every_buffer_that_is_too_small_is_refused() {
    for pair in both() {
        let mut pair = pair.talking();
        let message = pair.client.protect_to_vec(at(NOW), TOPIC, b"payload").unwrap();
        let mut out = vec![0; message.len()];
        for room in 0..message.len() {
            let made = pair.client.protect(at(NOW), TOPIC, b"payload", &mut out[..room]);
            assert_eq!(made.unwrap_err(), Error::BufferTooSmall);
        }
        for room in 0..7 {
            let opened = pair.client.unprotect(at(NOW), TOPIC, &message, &mut out[..room]);
            assert_eq!(opened.unwrap_err(), Error::BufferTooSmall);
        }
        assert!(pair.client.unprotect(at(NOW), TOPIC, &message, &mut out[..7]).is_ok());
    }
}

#[test]
fn s7_the_output_is_wiped_on_failure() {
    for pair in both() {
        let mut pair = pair.talking();
        let mut message = pair.client.protect_to_vec(at(NOW), TOPIC, b"payload").unwrap();
        message[30] ^= 1;
        let mut out = vec![0; 7];
        pair.client.unprotect(at(NOW), TOPIC, &message, &mut out).unwrap_err();
        assert_eq!(out, [0; 7]);
    }
}
