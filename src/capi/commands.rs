// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands and answers, for C2.
//
// One function for each command, so that no plaintext with a key in it lies about in the caller's
// memory.

use super::client::hash_at;
use super::messages::clock;
use super::provision::E4_OK;
#[cfg(feature = "pubkey")]
use super::provision::id_at;
use super::raw::{self, Output, Span};
use super::sizes::*;
use super::types::e4_answer_info;
use crate::command::Command;
use crate::crypto::keys::{IdKey, TopicKey};
use crate::error::{Error, Result};
use crate::protect;
#[cfg(feature = "pubkey")]
use crate::{C2PublicKey, PublicKey, SigningKey};

/// Builds a command and protects it for one client, to be published on the client's control topic
/// with QoS 2 (or 1), not retained. This one makes the client forget the key of a topic.
///
/// For all the functions e4_command_...: command_key is the id key of a symmetric-key client, or
/// what e4_shared_key gives for a public-key client. now is C2's clock; the commands of one client
/// must be stamped in non-decreasing order, and an e4go client refuses one second ahead of its
/// own clock. out needs E4_COMMAND_MAX bytes at most.
///
/// E4_ERROR_BUFFER_TOO_SMALL; E4_ERROR_INVALID_KEY for a key that a client would refuse;
/// E4_ERROR_INVALID_PARAMETER, also for E4_NO_CLOCK.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [topic_hash; E4_TOPIC_HASH_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_remove_topic(
    command_key: *const u8,
    now: u64,
    topic_hash: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(command_key, now, &[Span::many(topic_hash, E4_TOPIC_HASH_LEN)], out, &mut || {
            Ok(Command::RemoveTopic { topic: hash_at(topic_hash)? })
        })
    })
}

/// Makes the client forget the keys of all topics.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_reset_topics(
    command_key: *const u8,
    now: u64,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe { protect(command_key, now, &[], out, &mut || Ok(Command::ResetTopics)) })
}

/// Replaces the id key of a symmetric-key client by another one.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [new_key; E4_KEY_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_set_id_key(
    command_key: *const u8,
    now: u64,
    new_key: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(command_key, now, &[Span::many(new_key, E4_KEY_LEN)], out, &mut || {
            Ok(Command::SetIdKey { key: IdKey::from_slice(raw::bytes(new_key, E4_KEY_LEN))? })
        })
    })
}

/// Replaces the Ed25519 private key of a public-key client by another one (in public-key mode).
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [new_private_key; E4_PRIVATE_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_set_private_key(
    command_key: *const u8,
    now: u64,
    new_private_key: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(
            command_key,
            now,
            &[Span::many(new_private_key, E4_PRIVATE_KEY_LEN)],
            out,
            &mut || {
                Ok(Command::SetSigningKey {
                    key: SigningKey::from_slice(raw::bytes(new_private_key, E4_PRIVATE_KEY_LEN))?,
                })
            },
        )
    })
}

/// Gives the client the key of a topic, or another one. The replaced key opens messages for another
/// hour.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [topic_hash; E4_TOPIC_HASH_LEN], [topic_key; E4_KEY_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_set_topic_key(
    command_key: *const u8,
    now: u64,
    topic_hash: *const u8,
    topic_key: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(
            command_key,
            now,
            &[Span::many(topic_hash, E4_TOPIC_HASH_LEN), Span::many(topic_key, E4_KEY_LEN)],
            out,
            &mut || {
                Ok(Command::SetTopicKey {
                    topic: hash_at(topic_hash)?,
                    key: TopicKey::from_slice(raw::bytes(topic_key, E4_KEY_LEN))?,
                })
            },
        )
    })
}

/// Makes a public-key client forget the public key of another client (in public-key mode).
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [id; E4_ID_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_remove_pub_key(
    command_key: *const u8,
    now: u64,
    id: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(command_key, now, &[Span::many(id, E4_ID_LEN)], out, &mut || {
            Ok(Command::RemovePubKey { id: id_at(id)? })
        })
    })
}

/// Makes a public-key client forget the public keys of all other clients (in public-key mode).
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_reset_pub_keys(
    command_key: *const u8,
    now: u64,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe { protect(command_key, now, &[], out, &mut || Ok(Command::ResetPubKeys)) })
}

/// Gives a public-key client the Ed25519 public key of another client (in public-key mode), whose
/// messages it then reads.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [id; E4_ID_LEN], [public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_set_pub_key(
    command_key: *const u8,
    now: u64,
    id: *const u8,
    public_key: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(
            command_key,
            now,
            &[Span::many(id, E4_ID_LEN), Span::many(public_key, E4_KEY_LEN)],
            out,
            &mut || {
                Ok(Command::SetPubKey {
                    id: id_at(id)?,
                    key: PublicKey::from_slice(raw::bytes(public_key, E4_KEY_LEN))?,
                })
            },
        )
    })
}

/// Gives a public-key client another public key of C2 (in public-key mode). The next command must be
/// protected under the shared key that follows from it.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN], [c2_public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_command_set_c2_key(
    command_key: *const u8,
    now: u64,
    c2_public_key: *const u8,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let out = Output::new(out, out_cap, out_len);
    // SAFETY: the caller's pointers, which `protect` checks before it makes the command.
    raw::status(unsafe {
        protect(command_key, now, &[Span::many(c2_public_key, E4_KEY_LEN)], out, &mut || {
            Ok(Command::SetC2Key {
                key: C2PublicKey::from_slice(raw::bytes(c2_public_key, E4_KEY_LEN))?,
            })
        })
    })
}

/// # Safety
/// The pointers are what the header says; `command` reads `reads` alone, at most two.
unsafe fn protect(
    command_key: *const u8,
    now: u64,
    reads: &[Span],
    out: Output,
    command: &mut dyn FnMut() -> Result<Command>,
) -> Result<i32> {
    let nothing = Span::many::<u8>(core::ptr::null(), 0);
    let read = |number| reads.get(number).copied().unwrap_or(nothing);
    let reads = [Span::many(command_key, E4_KEY_LEN), read(0), read(1)];
    // SAFETY: the contract above; `fill` checks the pointers first.
    unsafe {
        out.fill(E4_COMMAND_MAX, &reads, |out| {
            let now = clock(now).ok_or(Error::InvalidParameter)?;
            // Both kinds of command keys are 32 secret bytes.
            let key = IdKey::from_slice(raw::bytes(command_key, E4_KEY_LEN))?;
            let protected = protect::protect_command(&key, now, &command()?)?;
            let to = out.get_mut(..protected.len()).ok_or(Error::BufferTooSmall)?;
            to.copy_from_slice(&protected);
            Ok((protected.len(), E4_OK))
        })
    }
}

/// Opens what a client published on its answer topic. While a client may hold one of several keys,
/// try each: the one that opens the answer is the one it holds.
///
/// E4_ERROR_MESSAGE_TOO_SHORT; E4_ERROR_INVALID_TAG if it is not an answer under this key;
/// E4_ERROR_STATE_INCOMPATIBLE for a version of answers that is not known. *info is then zero.
///
/// cbindgen:ptrs-as-arrays=[[command_key; E4_KEY_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_open_answer(
    command_key: *const u8,
    answer: *const u8,
    answer_len: usize,
    info: *mut e4_answer_info,
) -> i32 {
    let reads = [Span::many(command_key, E4_KEY_LEN), Span::many(answer, answer_len)];
    raw::status(raw::check(&[Span::one(info)], &reads).and_then(|()| {
        let mut about = e4_answer_info {
            timestamp: 0,
            status: 0,
            hello: 0,
            command: [0; E4_SIV_LEN],
            digest: [0; E4_DIGEST_LEN],
        };
        // SAFETY: the caller's pointers, which were checked.
        let (key, answer) = unsafe {
            // With the padding, so that all of it is zero after an error.
            info.write_bytes(0, 1);
            (raw::bytes(command_key, E4_KEY_LEN), raw::bytes(answer, answer_len))
        };
        let (time, answer) = protect::open_answer(&IdKey::from_slice(key)?, answer)?;
        about.timestamp = time.as_secs();
        about.status = answer.status.err().map_or(E4_OK, Error::number);
        about.hello = answer.command.is_none().into();
        about.command = answer.command.unwrap_or_default();
        about.digest = answer.digest.0;
        // SAFETY: as above.
        unsafe { info.write(about) };
        Ok(E4_OK)
    }))
}
