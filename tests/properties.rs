// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Properties: what is protected opens, what is altered does not, and the state is that of a
//! simple model whatever happens to the storage.
#![cfg(all(feature = "std", feature = "pubkey", feature = "password"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

#[path = "properties/messages.rs"]
mod messages;
#[path = "../examples/vectors/runner/model.rs"]
#[allow(dead_code)]
mod model;
#[path = "properties/state.rs"]
mod state;
#[path = "properties/storage.rs"]
mod storage;

use e4::{C2PublicKey, C2SecretKey, ClientId, IdKey, Identity, SigningKey};
use model::{Own, State};

pub const NOW: u64 = 1_700_000_000;
pub const TOPIC: &str = "plant/pressure";

pub fn c2_public() -> C2PublicKey {
    C2SecretKey::from_slice(&[0x77; 32]).unwrap().public()
}

/// A client before its first command, and the model of it.
pub fn start(public_key: bool) -> (Identity, State) {
    let id = ClientId::from_bytes([2; 16]);
    if public_key {
        let signing = SigningKey::from_seed(&[8; 32]).unwrap();
        let own = Own::Pair(*signing.expose(), *c2_public().as_bytes());
        let identity = Identity::public_key(id, signing, c2_public()).unwrap();
        (identity, State::new([2; 16], own))
    } else {
        let identity = Identity::symmetric(id, IdKey::from_slice(&[9; 32]).unwrap());
        (identity, State::new([2; 16], Own::Symmetric([9; 32])))
    }
}

/// `timestamp | SIV | ciphertext` of any plaintext under the model's key.
pub fn command(model: &State, time: u64, plain: &[u8]) -> Vec<u8> {
    let time = time.to_le_bytes();
    let mut ct = vec![0; plain.len()];
    let mut tag = [0; 16];
    e4::crypto::siv::seal(&model.command_key(), &[&time], &mut tag, plain, &mut ct).unwrap();
    [&time[..], &tag, &ct].concat()
}

pub fn set_topic(topic: &str, key: u8) -> Vec<u8> {
    [&[3][..], &[key; 32], &model::short(topic.as_bytes())].concat()
}

pub fn set_peer(id: u8, seed: u8) -> Vec<u8> {
    let public = SigningKey::from_seed(&[seed; 32]).unwrap().public();
    [&[6][..], public.as_bytes(), &[id; 16]].concat()
}
