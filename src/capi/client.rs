// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A client at work.

use core::ffi::c_char;

use super::provision::{E4_OK, settings_of, start};
use super::raw::{self, Span};
use super::sizes::*;
use super::types::{e4_client, e4_config, e4_settings};
use crate::error::{Error, Result};
use crate::id::TopicHash;
use crate::wire::topic;

/// Opens a stored client.
///
/// E4_ERROR_NOT_PROVISIONED if the storage holds none; E4_ERROR_STATE_CORRUPT,
/// E4_ERROR_STATE_INCOMPATIBLE; errors of the storage; E4_ERROR_INVALID_PARAMETER, also if the
/// client is open already.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_open(client: *mut e4_client, config: *const e4_config) -> i32 {
    // SAFETY: the caller's pointers, as the contract says; `start` checks them.
    raw::status(unsafe { start(client, config, &[], &mut |client| client.load()) })
}

/// Closes a client: wipes the struct and the two arrays of its config. The storage keeps its
/// records. The client may be opened again.
///
/// E4_ERROR_INVALID_PARAMETER if it is not open; nothing happens then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e4_close(client: *mut e4_client) -> i32 {
    // SAFETY: the caller's pointer, which `close` checks.
    raw::status(unsafe { raw::close(client) }.map(|()| E4_OK))
}

/// Forgets a client: erases its records, and closes it, also on an error.
///
/// After E4_ERROR_STORAGE, or a power cut, the storage holds either the whole client or none; what
/// is left of the keys of a client that is gone is erased by the next e4_open or e4_provision_...
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_forget(client: *mut e4_client) -> i32 {
    // SAFETY: the caller's pointer, which `client_mut` checks; the reference ends before `close`.
    raw::status(unsafe {
        let erased = raw::client_mut(client).and_then(|client| client.erase());
        raw::close(client).and(erased).map(|()| E4_OK)
    })
}

/// E4_MODE_SYMMETRIC, E4_MODE_PUBLIC_KEY, or E4_ERROR_INVALID_PARAMETER.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_mode(client: *const e4_client) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    raw::status(unsafe { raw::client(client) }.map(|client| client.mode() as i32))
}

/// The id of a client.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_id(client: *const e4_client, id: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_ID_LEN>(id, &[Span::client(client)], |id| {
            *id = *raw::client(client)?.id().as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The Ed25519 public key of a client, by which others check its messages (in public-key mode).
///
/// E4_ERROR_WRONG_MODE for a client in symmetric-key mode.
///
/// cbindgen:ptrs-as-arrays=[[public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_public_key(client: *const e4_client, public_key: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_KEY_LEN>(public_key, &[Span::client(client)], |out| {
            *out = *raw::client(client)?.public_key().ok_or(Error::WrongMode)?.as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The topic to subscribe to for commands, with QoS 2 or 1: "e4/", the id in 32 lower-case
/// hexadecimal digits, and a NUL.
///
/// cbindgen:ptrs-as-arrays=[[topic; E4_CONTROL_TOPIC_LEN + 1]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_control_topic(client: *const e4_client, topic: *mut c_char) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe { own_topic(client, topic, E4_CONTROL_TOPIC_LEN) })
}

/// The topic on which e4_answer and e4_hello are published: the control topic, "/ack", and a NUL.
///
/// cbindgen:ptrs-as-arrays=[[topic; E4_ANSWER_TOPIC_LEN + 1]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_answer_topic(client: *const e4_client, topic: *mut c_char) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe { own_topic(client, topic, E4_ANSWER_TOPIC_LEN) })
}

/// So many characters of the answer topic, of which the control topic is the start.
///
/// # Safety
/// The pointers are what the header says.
unsafe fn own_topic(client: *const e4_client, topic: *mut c_char, len: usize) -> Result<i32> {
    // SAFETY: the contract above; `filled` checks the pointers.
    unsafe {
        raw::filled(topic.cast(), len + 1, &[Span::client(client)], |out| {
            topic::put(raw::client(client)?.id_bytes(), out);
            Ok(E4_OK)
        })
    }
}

/// E4_OK if the client holds a key for a topic, else E4_ERROR_TOPIC_KEY_MISSING.
///
/// E4_ERROR_INVALID_TOPIC, errors of the storage.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_has_topic(
    client: *const e4_client,
    topic: *const c_char,
    topic_len: usize,
) -> i32 {
    let reads = [Span::client(client), Span::many(topic, topic_len)];
    raw::status(raw::check(&[], &reads).and_then(|()| {
        // SAFETY: the caller's pointers, which were checked.
        let (client, topic) =
            unsafe { (raw::client(client)?, raw::text(topic, topic_len, Error::InvalidTopic)?) };
        if client.has_topic(topic)? { Ok(E4_OK) } else { Err(Error::TopicKeyMissing) }
    }))
}

/// How many topic keys the client holds, or E4_ERROR_INVALID_PARAMETER.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_topic_count(client: *const e4_client) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    let client = unsafe { raw::client(client) };
    raw::status(client.map(|client| i32::try_from(client.topic_count()).unwrap_or(i32::MAX)))
}

/// How many public keys of other clients the client holds, or E4_ERROR_INVALID_PARAMETER.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_peer_count(client: *const e4_client) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    let client = unsafe { raw::client(client) };
    raw::status(client.map(|client| i32::try_from(client.peer_count()).unwrap_or(i32::MAX)))
}

/// A digest of the keys that the client holds, by which C2 notices drift (PROTOCOL section 11).
///
/// Errors of the storage.
///
/// cbindgen:ptrs-as-arrays=[[digest; E4_DIGEST_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_digest(client: *const e4_client, digest: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_DIGEST_LEN>(digest, &[Span::client(client)], |out| {
            *out = raw::client(client)?.digest()?.0;
            Ok(E4_OK)
        })
    })
}

/// What the client tolerates now.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_settings_get(
    client: *const e4_client,
    settings: *mut e4_settings,
) -> i32 {
    let checked = raw::check(&[Span::one(settings)], &[Span::client(client)]);
    raw::status(checked.and_then(|()| {
        // SAFETY: the caller's pointers, which were checked.
        let client = unsafe { raw::client(client)? };
        let now = client.settings();
        let out = e4_settings {
            past: now.window.past,
            future: now.window.future,
            transition: now.transition,
            accept_unknown_signers: now.accept_unknown_signers.into(),
        };
        // SAFETY: as above.
        unsafe { settings.write(out) };
        Ok(E4_OK)
    }))
}

/// Changes what the client tolerates, from the next call on.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_settings_set(
    client: *mut e4_client,
    settings: *const e4_settings,
) -> i32 {
    let checked = raw::check(&[Span::client(client)], &[Span::one(settings)]);
    raw::status(checked.and_then(|()| {
        // SAFETY: the caller's pointers, which were checked.
        let (client, new) = unsafe { (raw::client_mut(client)?, *settings) };
        *client.settings_mut() = settings_of(&new)?;
        Ok(E4_OK)
    }))
}

/// The hash of a topic that is given as bytes.
///
/// # Safety
/// 16 bytes at `hash` were checked.
pub(super) unsafe fn hash_at(hash: *const u8) -> crate::Result<TopicHash> {
    // SAFETY: the contract above.
    let bytes = unsafe { raw::bytes(hash, E4_TOPIC_HASH_LEN) };
    bytes.try_into().map(TopicHash::from_bytes).map_err(|_| Error::InvalidParameter)
}
