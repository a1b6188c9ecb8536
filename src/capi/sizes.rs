// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sizes and constants.
//
// Numbers, because the header is made without compiling; the assertions below tie them to the core.

use crate::client::storage::{RECORD_MAX, SLOT_LEN};
use crate::command::{COMMAND_MAX, Opcode};
use crate::crypto::keys::KEY_LEN;
use crate::id::{ID_LEN, Mode, NAME_MAX, TOPIC_MAX};
use crate::wire::answer::{ANSWER_LEN, DIGEST_LEN};
use crate::wire::message::{PK_OVERHEAD, SIV_LEN, SK_OVERHEAD, TIMESTAMP_LEN};
use crate::wire::topic::{ANSWER_TOPIC_LEN, CONTROL_TOPIC_LEN};

/// The number of the ABI; it is in the name of the shared library (libe4.so.0) and changes when
/// a program must be compiled again.
pub const E4_ABI: u32 = 0;
/// Bytes in the id of a client.
pub const E4_ID_LEN: usize = 16;
/// Bytes in the hash of a topic.
pub const E4_TOPIC_HASH_LEN: usize = 16;
/// Bytes in a symmetric key, an Ed25519 public key, an X25519 public or private key.
pub const E4_KEY_LEN: usize = 32;
/// Bytes in an Ed25519 private key: seed (32), then public key (32).
pub const E4_PRIVATE_KEY_LEN: usize = 64;
/// Bytes in the name of a client, at most.
pub const E4_NAME_MAX: usize = 255;
/// Bytes in a topic, at most (the limit of MQTT).
pub const E4_TOPIC_MAX: usize = 65535;
/// Bytes in a password, at least.
pub const E4_PASSWORD_MIN: usize = 16;
/// What protection adds to a message in symmetric-key mode, and to every command.
pub const E4_SK_OVERHEAD: usize = 24;
/// What protection adds to a message in public-key mode.
pub const E4_PK_OVERHEAD: usize = 104;
/// Bytes in a protected command, at most (SetIdKey in public-key mode).
pub const E4_COMMAND_MAX: usize = 89;
/// Bytes in a protected answer.
pub const E4_ANSWER_LEN: usize = 58;
/// Bytes in the digest of a client's keys.
pub const E4_DIGEST_LEN: usize = 16;
/// Bytes in a SIV, by which an answer names its command.
pub const E4_SIV_LEN: usize = 16;
/// Where the SIV stands in a protected command.
pub const E4_SIV_OFFSET: usize = 8;
/// Characters in a control topic, "e4/" and the id in hexadecimal; a NUL comes on top.
pub const E4_CONTROL_TOPIC_LEN: usize = 35;
/// Characters in an answer topic, the control topic and "/ack"; a NUL comes on top.
pub const E4_ANSWER_TOPIC_LEN: usize = 39;
/// Bytes in a record of a storage, at most. Record 0 alone is longer than E4_SLOT_LEN.
pub const E4_RECORD_MAX: usize = 398;
/// Bytes in a record from number 1 up, which holds one key.
pub const E4_SLOT_LEN: usize = 126;
/// A client that has only symmetric keys (SK).
pub const E4_MODE_SYMMETRIC: i32 = 1;
/// A client that signs its messages (PK).
pub const E4_MODE_PUBLIC_KEY: i32 = 2;
/// Opcode: forget the keys of one topic.
pub const E4_REMOVE_TOPIC: u8 = 0;
/// Opcode: forget the keys of all topics.
pub const E4_RESET_TOPICS: u8 = 1;
/// Opcode: replace the client's own key.
pub const E4_SET_ID_KEY: u8 = 2;
/// Opcode: add or replace the key of a topic.
pub const E4_SET_TOPIC_KEY: u8 = 3;
/// Opcode: forget the public key of one client (PK).
pub const E4_REMOVE_PUB_KEY: u8 = 4;
/// Opcode: forget all public keys (PK).
pub const E4_RESET_PUB_KEYS: u8 = 5;
/// Opcode: add or replace the public key of a client (PK).
pub const E4_SET_PUB_KEY: u8 = 6;
/// Opcode: replace C2's public key (PK).
pub const E4_SET_C2_KEY: u8 = 7;
/// The message has no signer: the client is in symmetric-key mode.
pub const E4_SIGNER_NONE: u8 = 0;
/// The signature was checked with the signer's public key.
pub const E4_SIGNER_VERIFIED: u8 = 1;
/// The signer is not known, so nobody knows who wrote this; only with accept_unknown_signers.
pub const E4_SIGNER_UNKNOWN: u8 = 2;
/// Words of 8 bytes in an e4_client, an e4_key_place, an e4_seen_place.
pub const E4_CLIENT_WORDS: usize = 96;
pub const E4_KEY_PLACE_WORDS: usize = 14;
pub const E4_SEEN_PLACE_WORDS: usize = 4;

const _: () = {
    assert!(E4_ID_LEN == ID_LEN && E4_TOPIC_HASH_LEN == ID_LEN && E4_KEY_LEN == KEY_LEN);
    assert!(E4_NAME_MAX == NAME_MAX && E4_TOPIC_MAX == TOPIC_MAX);
    assert!(E4_SK_OVERHEAD == SK_OVERHEAD && E4_PK_OVERHEAD == PK_OVERHEAD);
    assert!(E4_COMMAND_MAX == COMMAND_MAX + SK_OVERHEAD && E4_ANSWER_LEN == ANSWER_LEN);
    assert!(E4_DIGEST_LEN == DIGEST_LEN && E4_SIV_LEN == SIV_LEN);
    assert!(E4_SIV_OFFSET == TIMESTAMP_LEN);
    assert!(E4_CONTROL_TOPIC_LEN == CONTROL_TOPIC_LEN && E4_ANSWER_TOPIC_LEN == ANSWER_TOPIC_LEN);
    assert!(E4_RECORD_MAX == RECORD_MAX && E4_SLOT_LEN == SLOT_LEN);
    assert!(E4_MODE_SYMMETRIC == Mode::Symmetric as i32);
    assert!(E4_MODE_PUBLIC_KEY == Mode::PublicKey as i32);
    assert!(E4_REMOVE_TOPIC == Opcode::RemoveTopic as u8);
    assert!(E4_RESET_TOPICS == Opcode::ResetTopics as u8);
    assert!(E4_SET_ID_KEY == Opcode::SetIdKey as u8);
    assert!(E4_SET_TOPIC_KEY == Opcode::SetTopicKey as u8);
    assert!(E4_REMOVE_PUB_KEY == Opcode::RemovePubKey as u8);
    assert!(E4_RESET_PUB_KEYS == Opcode::ResetPubKeys as u8);
    assert!(E4_SET_PUB_KEY == Opcode::SetPubKey as u8);
    assert!(E4_SET_C2_KEY == Opcode::SetC2Key as u8);
};

#[cfg(feature = "password")]
const _: () = assert!(E4_PASSWORD_MIN == crate::crypto::password::PASSWORD_MIN);
#[cfg(feature = "pubkey")]
const _: () = assert!(E4_PRIVATE_KEY_LEN == crate::crypto::sign::PRIVATE_KEY_LEN);
