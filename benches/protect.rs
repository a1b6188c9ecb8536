// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Seal, open, PK protect and unprotect beside `aes-siv` used directly and, where it is installed,
//! OpenSSL (loaded at run time, so that nothing needs it to build).
//!
//! The candidates take turns and the fastest of many short rounds counts: a ratio of two minima
//! is steadier than one of two averages.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::Instant;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use e4::crypto::siv;
use e4::protect::{Window, protect_signed, unprotect_signed};
use e4::{ClientId, SigningKey, Timestamp, TopicKey};

#[path = "protect/openssl.rs"]
mod openssl;

const SIZES: [usize; 5] = [16, 64, 256, 1024, 65_536];
const ROUNDS: usize = 60;
const KEY: [u8; 32] = [0x42; 32];
const AD: [u8; 8] = [7; 8];

/// A candidate: its name and one operation.
type Candidate<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The fastest nanoseconds for one operation of each candidate, taken in turns.
fn fastest(candidates: &mut [Candidate<'_>]) -> Vec<f64> {
    let mut repeats = Vec::new();
    for (_, run) in candidates.iter_mut() {
        let start = Instant::now();
        (0..3).for_each(|_| run());
        let once = start.elapsed().as_nanos().max(1) / 3;
        repeats.push((300_000 / once.max(1)).clamp(1, 5000));
    }
    let mut best = vec![f64::MAX; candidates.len()];
    for _ in 0..ROUNDS {
        for (at, (_, run)) in candidates.iter_mut().enumerate() {
            let start = Instant::now();
            (0..repeats[at]).for_each(|_| run());
            best[at] = best[at].min(start.elapsed().as_nanos() as f64 / repeats[at] as f64);
        }
    }
    best
}

fn report(what: &str, size: usize, mut candidates: Vec<Candidate<'_>>) {
    let times = fastest(&mut candidates);
    print!("{what:<13} {size:>6}");
    for ((name, _), time) in candidates.iter().zip(&times) {
        print!("  {name:>10} {time:>9.0} ns");
        if *name != "e4" {
            print!(" ({:>4.2})", times[0] / time);
        }
    }
    println!();
}

fn main() {
    // `cargo test --benches` only wants to know that this builds and starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let library = openssl::Library::load();
    match &library {
        Some(_) => println!("OpenSSL: found"),
        None => println!("OpenSSL: not found, left out"),
    }
    println!("in brackets: time of e4 divided by theirs; below 1 e4 is faster");
    println!("operation       bytes");
    for size in SIZES {
        bench_siv(size, library.as_ref());
    }
    for size in SIZES {
        bench_signed(size, library.as_ref());
    }
}

fn bench_siv(size: usize, library: Option<&openssl::Library>) {
    let both = [KEY, KEY].concat();
    let plain = vec![0x5a; size];
    let mut sealed = vec![0; size];
    let mut tag = [0; 16];
    siv::seal(&KEY, &[&AD], &mut tag, &plain, &mut sealed).unwrap();
    let whole = [&tag[..], &sealed].concat();
    let (mut ours, mut opened) = (vec![0; size], vec![0; size]);
    let context = library.and_then(|library| openssl::Siv::new(library, &both));

    let mut seals: Vec<Candidate<'_>> = vec![
        (
            "e4",
            Box::new(|| {
                let mut tag = [0; 16];
                siv::seal(black_box(&KEY), &[&AD], &mut tag, &plain, &mut ours).unwrap();
                black_box(tag);
            }),
        ),
        (
            "aes-siv",
            Box::new(|| {
                let mut cipher = Aes256Siv::new_from_slice(black_box(&both)).unwrap();
                black_box(cipher.encrypt([&AD[..]], &plain).unwrap());
            }),
        ),
    ];
    if let Some(context) = &context {
        assert_eq!(context.seal(&AD, &plain), (tag.to_vec(), sealed.clone()), "OpenSSL differs");
        seals.push(("OpenSSL", Box::new(|| drop(black_box(context.seal(&AD, &plain))))));
    }
    report("seal", size, seals);

    let mut opens: Vec<Candidate<'_>> = vec![
        (
            "e4",
            Box::new(|| {
                siv::open(black_box(&KEY), &[&AD], &tag, &sealed, &mut opened).unwrap();
            }),
        ),
        (
            "aes-siv",
            Box::new(|| {
                let mut cipher = Aes256Siv::new_from_slice(black_box(&both)).unwrap();
                black_box(cipher.decrypt([&AD[..]], &whole).unwrap());
            }),
        ),
    ];
    if let Some(context) = &context {
        assert_eq!(context.open(&AD, &tag, &sealed), plain, "OpenSSL differs");
        opens.push(("OpenSSL", Box::new(|| drop(black_box(context.open(&AD, &tag, &sealed))))));
    }
    report("open", size, opens);
}

/// Ours is the whole message; theirs is the two primitives that it is made of.
fn bench_signed(size: usize, library: Option<&openssl::Library>) {
    let both = [KEY, KEY].concat();
    let plain = vec![0x5a; size];
    let key = TopicKey::from_slice(&KEY).unwrap();
    let signing = SigningKey::from_seed(&[3; 32]).unwrap();
    let public = signing.public();
    let id = ClientId::from_bytes([1; 16]);
    let now = Timestamp::from_secs(u64::from_le_bytes(AD));
    let mut message = vec![0; size + 104];
    protect_signed(&key, id, &signing, now, &plain, &mut message).unwrap();
    let (mut out, mut back) = (vec![0; size + 104], vec![0; size]);
    let dalek = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let verifying = dalek.verifying_key();
    let (signed, signature) = message.split_last_chunk::<64>().unwrap();
    let sealed = &message[24..message.len() - 64];

    let context = library.and_then(|library| {
        Some((openssl::Siv::new(library, &both)?, openssl::Ed25519::new(library, &[3; 32])?))
    });
    let mut protects: Vec<Candidate<'_>> = vec![
        (
            "e4",
            Box::new(|| {
                black_box(protect_signed(&key, id, &signing, now, &plain, &mut out).unwrap());
            }),
        ),
        (
            "crates",
            Box::new(|| {
                let mut cipher = Aes256Siv::new_from_slice(black_box(&both)).unwrap();
                black_box(cipher.encrypt([&AD[..]], &plain).unwrap());
                black_box(ed25519_dalek::Signer::sign(&dalek, signed));
            }),
        ),
    ];
    if let Some((siv, ed25519)) = &context {
        assert_eq!(&ed25519.sign(signed), signature, "OpenSSL differs");
        protects.push((
            "OpenSSL",
            Box::new(|| {
                black_box(siv.seal(&AD, &plain));
                black_box(ed25519.sign(signed));
            }),
        ));
    }
    report("PK protect", size, protects);

    let window = Window::default();
    let mut unprotects: Vec<Candidate<'_>> = vec![
        (
            "e4",
            Box::new(|| {
                black_box(
                    unprotect_signed(&key, &public, now, &window, &message, &mut back).unwrap(),
                );
            }),
        ),
        (
            "crates",
            Box::new(|| {
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                verifying.verify_strict(signed, &signature).unwrap();
                let mut cipher = Aes256Siv::new_from_slice(black_box(&both)).unwrap();
                black_box(cipher.decrypt([&AD[..]], sealed).unwrap());
            }),
        ),
    ];
    if let Some((siv, ed25519)) = &context {
        let (tag, ct) = sealed.split_at(16);
        unprotects.push((
            "OpenSSL",
            Box::new(move || {
                assert!(ed25519.verify(signed, signature));
                black_box(siv.open(&AD, tag, ct));
            }),
        ));
    }
    report("PK unprotect", size, unprotects);
}
