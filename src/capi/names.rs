// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names, ids and topics.

use core::ffi::c_char;

use super::provision::{E4_OK, id_at};
use super::raw::{self, Span};
use super::sizes::*;
use crate::bytes::put;
use crate::error::Error;
use crate::id::{ClientId, TopicHash, check_topic_for_key};
use crate::wire::topic::ClientTopic;

/// The id of a client that has a name, of 1 to 255 bytes: the start of SHA3-256 of the name.
///
/// E4_ERROR_INVALID_NAME.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_id_from_name(name: *const c_char, name_len: usize, id: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_ID_LEN>(id, &[Span::many(name, name_len)], |out| {
            let name = raw::text(name, name_len, Error::InvalidName)?;
            *out = *ClientId::from_name(name)?.as_bytes();
            Ok(E4_OK)
        })
    })
}

/// A random id for a new client (on hosts).
///
/// E4_ERROR_RANDOMNESS.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN]]
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_random_id(id: *mut u8) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    raw::status(unsafe {
        raw::fixed::<E4_ID_LEN>(id, &[], |out| {
            *out = *ClientId::random()?.as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The control topic of any client, with a NUL; see e4_control_topic.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN], [topic; E4_CONTROL_TOPIC_LEN + 1]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_control_topic_of(id: *const u8, topic: *mut c_char) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        let reads = [Span::many(id, E4_ID_LEN)];
        raw::fixed::<{ E4_CONTROL_TOPIC_LEN + 1 }>(topic.cast(), &reads, |out| {
            put(out, 0, ClientTopic::control(id_at(id)?).as_bytes());
            Ok(E4_OK)
        })
    })
}

/// The answer topic of any client, with a NUL; see e4_answer_topic.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN], [topic; E4_ANSWER_TOPIC_LEN + 1]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_answer_topic_of(id: *const u8, topic: *mut c_char) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        let reads = [Span::many(id, E4_ID_LEN)];
        raw::fixed::<{ E4_ANSWER_TOPIC_LEN + 1 }>(topic.cast(), &reads, |out| {
            put(out, 0, ClientTopic::answer(id_at(id)?).as_bytes());
            Ok(E4_OK)
        })
    })
}

/// Which client an answer topic belongs to.
///
/// E4_ERROR_INVALID_TOPIC if it is not an answer topic.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_id_from_answer_topic(
    topic: *const c_char,
    topic_len: usize,
    id: *mut u8,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_ID_LEN>(id, &[Span::many(topic, topic_len)], |out| {
            let topic = raw::text(topic, topic_len, Error::InvalidTopic)?;
            let id = ClientTopic::client_of_answer(topic).ok_or(Error::InvalidTopic)?;
            *out = *id.as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The hash of a topic, of 1 to 65535 bytes: the start of its SHA3-256.
///
/// E4_ERROR_INVALID_TOPIC.
///
/// cbindgen:ptrs-as-arrays=[[hash; E4_TOPIC_HASH_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_topic_hash(
    topic: *const c_char,
    topic_len: usize,
    hash: *mut u8,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_TOPIC_HASH_LEN>(hash, &[Span::many(topic, topic_len)], |out| {
            let topic = raw::text(topic, topic_len, Error::InvalidTopic)?;
            *out = *TopicHash::from_topic(topic)?.as_bytes();
            Ok(E4_OK)
        })
    })
}

/// Whether C2 should make a key for a topic: E4_OK, or E4_ERROR_INVALID_TOPIC for one that holds
/// '+', '#' or NUL, starts with '$', or is "e4" or below "e4/".
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_check_topic(topic: *const c_char, topic_len: usize) -> i32 {
    raw::status(raw::check(&[], &[Span::many(topic, topic_len)]).and_then(|()| {
        // SAFETY: the caller's pointer, which was checked.
        check_topic_for_key(unsafe { raw::text(topic, topic_len, Error::InvalidTopic)? })?;
        Ok(E4_OK)
    }))
}
