// SPDX-License-Identifier: Apache-2.0 OR MIT
//! State files of version 1, byte for byte: what an earlier version has written opens, and what is
//! written is the same. The files were made by the first version that had them.
//!
//! A difference is a change of the state file: it needs a version and a migration. To make the files
//! of another scenario: `E4_WRITE_STATE=1 cargo test --test state_file`.
#![cfg(all(feature = "std", feature = "pubkey"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use std::path::{Path, PathBuf};

use e4::client::storage::FileStorage;
use e4::protect::protect_command;
use e4::{
    C2SecretKey, Client, ClientId, Command, CommandKey, Error, IdKey, Identity, PublicKey,
    SharedKey, SigningKey, Timestamp, TopicHash, TopicKey, Unprotected,
};

const NOON: u64 = 1_700_000_000;

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state_file").join(name)
}

fn topic(name: &str) -> TopicHash {
    TopicHash::from_topic(name).unwrap()
}

fn set(name: &str, key: u8) -> Command {
    Command::SetTopicKey { topic: topic(name), key: TopicKey::from_slice(&[key; 32]).unwrap() }
}

/// More commands in one second than the replay mark has, keys replaced, removed, reset and set again.
fn commands(is_public_key: bool) -> Vec<(u64, Command)> {
    let mut commands: Vec<_> = (0..40)
        .map(|at| (u64::from(at / 25), set(&format!("topic/{}", at % 7), at + 1)))
        .chain([
            (1, Command::RemoveTopic { topic: topic("topic/3") }),
            (1, Command::RemoveTopic { topic: topic("unknown") }),
            (2, set("topic/9", 99)),
            (3, Command::ResetTopics),
        ])
        .chain((0..5).map(|at| (4, set(&format!("new/{at}"), 100 + at))))
        .chain([(5, set("new/2", 120)), (5, Command::RemoveTopic { topic: topic("new/0") })])
        .collect();
    if is_public_key {
        let id = |number| ClientId::from_bytes([number; 16]);
        let key = || signing(9).public();
        commands.extend([
            (6, Command::SetPubKey { id: id(1), key: key() }),
            (6, Command::SetPubKey { id: id(2), key: key() }),
            (6, Command::RemovePubKey { id: id(1) }),
            (7, Command::ResetPubKeys),
            (7, Command::SetPubKey { id: id(3), key: key() }),
        ]);
    }
    commands
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

/// Goes through the scenario in a new file.
fn write(path: &Path, identity: Identity, key: &impl CommandKey) {
    let mut client = Client::provision(FileStorage::open(path).unwrap(), identity).unwrap();
    let control = client.control_topic();
    for (at, command) in commands(client.public_key().is_some()) {
        let now = Timestamp::from_secs(NOON + at);
        let command = protect_command(key, now, &command).unwrap();
        let applied = client.unprotect_to_vec(now, &control, &command).unwrap();
        assert!(matches!(applied, Unprotected::CommandApplied(_)));
    }
}

/// Opens the kept file, and writes one that is the same.
fn check(name: &str, identity: Identity, key: &impl CommandKey) {
    let kept = kept(name);
    let room = tempfile::tempdir().unwrap();
    let (new, copy) = (room.path().join("new"), room.path().join("copy"));
    write(&new, identity, key);
    if std::env::var_os("E4_WRITE_STATE").is_some() {
        std::fs::copy(&new, &kept).unwrap();
    }
    assert!(std::fs::read(&new).unwrap() == std::fs::read(&kept).unwrap(), "{name} differs");

    std::fs::copy(&kept, &copy).unwrap();
    let mut client = Client::open(FileStorage::open(&copy).unwrap()).unwrap();
    let (now, control) = (Timestamp::from_secs(NOON + 7), client.control_topic());
    let topics = ["new/0", "new/1", "new/2", "new/3", "new/4", "topic/1"];
    let held = topics.map(|topic| client.has_topic(topic).unwrap());
    assert_eq!(held, [false, true, true, true, true, false]);
    let is_public_key = client.public_key().is_some();
    assert_eq!(client.peer_count(), u32::from(is_public_key));
    // The replay mark came with it, and so did the key that was replaced.
    let (at, last) = commands(is_public_key).pop().unwrap();
    let last = protect_command(key, Timestamp::from_secs(NOON + at), &last).unwrap();
    assert_eq!(client.unprotect_to_vec(now, &control, &last).unwrap_err(), Error::Replayed);
    if !is_public_key {
        let before = TopicKey::from_slice(&[102; 32]).unwrap();
        let mut out = [0; 64];
        let sent = e4::protect::protect(&before, now, b"under the old key", &mut out).unwrap();
        assert!(client.unprotect_to_vec(now, "new/2", sent).is_ok());
    }
}

#[test]
fn symmetric() {
    let key = || IdKey::from_slice(&[7; 32]).unwrap();
    check(
        "symmetric.bin",
        Identity::symmetric(ClientId::from_name("pump").unwrap(), key()),
        &key(),
    );
}

#[test]
fn public_key() {
    let c2 = C2SecretKey::from_slice(&[8; 32]).unwrap();
    let public: PublicKey = signing(7).public();
    let shared = SharedKey::for_c2(&c2, &public).unwrap();
    let id = ClientId::from_name("pump").unwrap();
    check("public-key.bin", Identity::public_key(id, signing(7), c2.public()).unwrap(), &shared);
}
