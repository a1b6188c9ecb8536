// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys that sections 1, 4 and 6 refuse.

use e4::{C2PublicKey, Command, Error, PublicKey};

use super::*;

fn refused(plain: &[u8]) {
    assert_eq!(Command::decode(plain).unwrap_err(), Error::InvalidKey);
    let mut pair = pk().talking();
    let before = pair.client.digest().unwrap();
    assert_eq!(pair.command(NOW, plain), Err(Error::InvalidKey));
    assert_eq!(pair.client.digest().unwrap(), before);
}

#[test]
fn s1_s4_an_all_zero_key_is_refused() {
    assert_eq!(TopicKey::from_slice(&[0; 32]).unwrap_err(), Error::InvalidKey);
    assert_eq!(IdKey::from_slice(&[0; 32]).unwrap_err(), Error::InvalidKey);
    assert_eq!(C2SecretKey::from_slice(&[0; 32]).unwrap_err(), Error::InvalidKey);
    assert_eq!(SigningKey::from_seed(&[0; 32]).unwrap_err(), Error::InvalidKey);
    assert_eq!(SigningKey::from_slice(&[0; 64]).unwrap_err(), Error::InvalidKey);
    let zero = |opcode: u8, length: usize| [&[opcode][..], &vec![0; length]].concat();
    refused(&zero(2, 64));
    refused(&zero(3, 48));
    refused(&zero(6, 48));
    refused(&zero(7, 32));
    assert_eq!(sk().command(NOW, &zero(2, 32)), Err(Error::InvalidKey));
    assert_eq!(sk().command(NOW, &zero(3, 48)), Err(Error::InvalidKey));
}

#[test]
fn s1_a_private_key_of_zero_seed_is_refused_with_its_right_public_half() {
    let public = ed25519_dalek::SigningKey::from_bytes(&[0; 32]).verifying_key();
    let pair = [&[0; 32][..], public.as_bytes()].concat();
    assert_eq!(SigningKey::from_slice(&pair).unwrap_err(), Error::InvalidKey);
}

#[test]
fn s4_an_undecodable_public_key_is_refused() {
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(PublicKey::from_slice(&two).unwrap_err(), Error::InvalidKey);
    refused(&[&[6][..], &two, &[3; 16]].concat());
    // y = p + 4: not canonical, on the curve or not.
    let mut above = [0xff; 32];
    above[31] = 0x7f;
    for low in 0xed..=0xff_u8 {
        above[0] = low;
        refused(&[&[6][..], &above, &[3; 16]].concat());
    }
}

#[test]
fn s4_every_small_order_public_key_is_refused() {
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let key = point.compress().0;
        assert_eq!(PublicKey::from_slice(&key).unwrap_err(), Error::InvalidKey);
        refused(&[&[6][..], &key, &[3; 16]].concat());
    }
}

#[test]
fn s4_s6_every_small_order_c2_key_is_refused() {
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let mut key = point.to_montgomery().to_bytes();
        for _ in 0..2 {
            assert_eq!(C2PublicKey::from_slice(&key).unwrap_err(), Error::InvalidKey);
            refused(&[&[7][..], &key].concat());
            // X25519 ignores the highest bit, so it hides nothing.
            key[31] |= 0x80;
        }
    }
}

#[test]
fn s4_a_private_key_whose_halves_do_not_match_is_refused() {
    let mut pair = *signing(6).expose();
    pair[63] ^= 1;
    assert_eq!(SigningKey::from_slice(&pair).unwrap_err(), Error::InvalidKey);
    refused(&[&[2][..], &pair].concat());
    let other = [&signing(6).expose()[..32], &signing(7).expose()[32..]].concat();
    refused(&[&[2][..], &other].concat());
}

#[test]
fn s1_keys_of_another_length_are_refused() {
    for length in (0..70).filter(|length| *length != 32) {
        let bytes = vec![1; length];
        assert_eq!(TopicKey::from_slice(&bytes).unwrap_err(), Error::InvalidKey);
        assert_eq!(IdKey::from_slice(&bytes).unwrap_err(), Error::InvalidKey);
        assert_eq!(PublicKey::from_slice(&bytes).unwrap_err(), Error::InvalidKey);
        assert_eq!(C2PublicKey::from_slice(&bytes).unwrap_err(), Error::InvalidKey);
        assert_eq!(SigningKey::from_seed(&bytes).unwrap_err(), Error::InvalidKey);
        assert_eq!(SigningKey::from_slice(&bytes).unwrap_err(), Error::InvalidKey);
    }
}

#[test]
fn s6_both_sides_agree_on_the_formula() {
    use e4::crypto::agree::{to_x25519, to_x25519_secret};
    use e4::crypto::hash::sha3_256;
    let client = signing(8);
    let here = SharedKey::for_client(&client, &c2_secret().public()).unwrap();
    let there = SharedKey::for_c2(&c2_secret(), &client.public()).unwrap();
    assert!(here.ct_eq(&there));
    let agreed = x25519_dalek::x25519(*to_x25519_secret(&client), *c2_secret().public().as_bytes());
    assert_eq!(*here.expose(), sha3_256(&[&agreed]));
    let agreed = x25519_dalek::x25519([0x77; 32], to_x25519(&client.public()));
    assert_eq!(*here.expose(), sha3_256(&[&agreed]));
}
