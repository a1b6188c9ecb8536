// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Our AES-SIV beside the `aes-siv` crate, over random keys, headers and texts of all lengths.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use e4::Error;
use e4::crypto::siv::Siv;

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
        // Now and then a pattern that random bytes never show.
        match self.next() % 8 {
            0 => vec![0; length],
            1 => vec![0xff; length],
            _ => (0..length).map(|_| self.next() as u8).collect(),
        }
    }
}

fn compare(random: &mut Random, headers: &[&[u8]], text: &[u8]) {
    let key: [u8; 32] = random.bytes(32).try_into().unwrap();
    let both: Vec<u8> = key.iter().chain(&key).copied().collect();
    let theirs = Aes256Siv::new_from_slice(&both).unwrap().encrypt(headers, text).unwrap();
    let ours = Siv::new(&key);
    let mut sealed = vec![0xa5; text.len()];
    let mut siv = [0; 16];
    ours.seal(headers, &mut siv, text, &mut sealed).unwrap();
    assert_eq!((&siv[..], &sealed[..]), theirs.split_at(16), "length {}", text.len());
    let mut opened = vec![0xa5; text.len()];
    ours.open(headers, &siv, &sealed, &mut opened).unwrap();
    assert_eq!(opened, text);
}

#[test]
fn every_length_to_six_hundred_and_some_larger() {
    let mut random = Random(0x4534);
    for length in (0..=600).chain([1023, 1024, 1025, 4096, 65_535, 65_536, 65_537]) {
        let text = random.bytes(length);
        for headers in 0..4 {
            let headers: Vec<Vec<u8>> = (0..headers)
                .map(|_| {
                    let length = (random.next() % 50) as usize;
                    random.bytes(length)
                })
                .collect();
            let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
            compare(&mut random, &headers, &text);
        }
    }
}

/// A million random comparisons in release builds, fewer in debug builds: texts of 0 to 600 bytes, one
/// header as E4 has it or up to four of up to 100 bytes, keys and bytes with patterns among them.
#[test]
fn random_comparisons() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let mut random = Random(0x5ca1ab1e);
    for number in 0..count {
        let length = (random.next() % 601) as usize;
        let text = random.bytes(length);
        let headers: Vec<Vec<u8>> = if number % 2 == 0 {
            vec![random.bytes(8)]
        } else {
            (0..random.next() % 5)
                .map(|_| {
                    let length = (random.next() % 101) as usize;
                    random.bytes(length)
                })
                .collect()
        };
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        compare(&mut random, &headers, &text);
    }
}

#[test]
fn one_header_of_every_length() {
    let mut random = Random(7);
    for length in 0..200 {
        let header = random.bytes(length);
        let text = random.bytes(length % 40);
        compare(&mut random, &[&header], &text);
    }
}

#[test]
fn a_wrong_tag_wipes_the_plaintext() {
    let siv = Siv::new(&[7; 32]);
    let (mut tag, mut sealed) = ([0; 16], [0; 20]);
    siv.seal(&[b"header"], &mut tag, b"twenty bytes of text", &mut sealed).unwrap();
    let mut opened = [1; 20];
    for bit in 0..128 {
        let mut wrong = tag;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(siv.open(&[b"header"], &wrong, &sealed, &mut opened), Err(Error::InvalidTag));
        assert_eq!(opened, [0; 20]);
    }
    assert_eq!(siv.open(&[b"Header"], &tag, &sealed, &mut opened), Err(Error::InvalidTag));
    assert_eq!(siv.open(&[], &tag, &sealed, &mut opened), Err(Error::InvalidTag));
    assert_eq!(siv.open(&[b"header"], &tag, &sealed, &mut opened), Ok(()));
    assert_eq!(siv.seal(&[], &mut tag, b"four", &mut opened), Err(Error::Internal));
}
