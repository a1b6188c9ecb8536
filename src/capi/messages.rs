// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages and commands.

use core::ffi::c_char;

use super::provision::{E4_OK, E4_OK_COMMAND, E4_OK_NONE};
use super::raw::{self, Output, Span};
use super::sizes::*;
use super::types::{e4_client, e4_message_info};
use crate::client::Unprotected;
use crate::error::Error;
use crate::id::Timestamp;

/// The time of a device without a clock.
const NO_CLOCK: u64 = u64::MAX;

pub(super) fn clock(now: u64) -> Option<Timestamp> {
    (now != NO_CLOCK).then_some(Timestamp::from_secs(now))
}

/// Protects a message for a topic. out needs message_len + E4_SK_OVERHEAD bytes, or
/// message_len + E4_PK_OVERHEAD for a client in public-key mode; *out_len tells how many there are.
/// The message may be empty, but a peer that runs e4go refuses an empty one in symmetric-key mode.
/// Never set now ahead of the true time: e4go refuses one second.
///
/// E4_ERROR_TOPIC_KEY_MISSING; E4_ERROR_INVALID_TOPIC, also for the client's own control topic;
/// E4_ERROR_BUFFER_TOO_SMALL; E4_ERROR_CLOCK_UNKNOWN; errors of the storage.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_protect(
    client: *const e4_client,
    now: u64,
    topic: *const c_char,
    topic_len: usize,
    message: *const u8,
    message_len: usize,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
) -> i32 {
    let reads =
        [Span::client(client), Span::many(topic, topic_len), Span::many(message, message_len)];
    let need = message_len.saturating_add(E4_PK_OVERHEAD);
    // SAFETY: the caller's pointers, as the contract says; `fill` checks them first.
    raw::status(unsafe {
        Output::new(out, out_cap, out_len).fill(need, &reads, |out| {
            let client = raw::client(client)?;
            let topic = raw::text(topic, topic_len, Error::InvalidTopic)?;
            let message = raw::bytes(message, message_len);
            Ok((client.protect_into(clock(now), topic, message, out)?, E4_OK))
        })
    })
}

/// Takes in what arrived on a topic. out needs incoming_len - E4_SK_OVERHEAD bytes
/// (incoming_len bytes are always enough). info is optional.
///
/// E4_OK: a message; its plaintext is in out, *out_len bytes, perhaps none.
/// E4_OK_COMMAND: on the control topic, a command. It has been stored and applied; *out_len is 0.
/// Ask e4_answer for the answer to C2.
///
/// E4_ERROR_REPLAYED, and E4_ERROR_TIMESTAMP_TOO_OLD, are normal for a command where a broker has
/// retained it. Others: E4_ERROR_INVALID_TOPIC, E4_ERROR_TOPIC_KEY_MISSING,
/// E4_ERROR_MESSAGE_TOO_SHORT, E4_ERROR_TIMESTAMP_IN_FUTURE, E4_ERROR_SIGNER_UNKNOWN,
/// E4_ERROR_SIGNATURE_INVALID, E4_ERROR_INVALID_TAG, E4_ERROR_BUFFER_TOO_SMALL, errors of the
/// storage; for a command E4_ERROR_INVALID_COMMAND and E4_ERROR_INVALID_KEY. A command that gave
/// an error has changed nothing.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_unprotect(
    client: *mut e4_client,
    now: u64,
    topic: *const c_char,
    topic_len: usize,
    incoming: *const u8,
    incoming_len: usize,
    out: *mut u8,
    out_cap: usize,
    out_len: *mut usize,
    info: *mut e4_message_info,
) -> i32 {
    let reads =
        [Span::client(client), Span::many(topic, topic_len), Span::many(incoming, incoming_len)];
    let optional = Span::many(info, usize::from(!info.is_null()));
    // SAFETY: the caller's pointers, as the contract says; `fill` checks them first.
    raw::status(unsafe {
        Output::new(out, out_cap, out_len).and(optional).fill(incoming_len, &reads, |out| {
            if !info.is_null() {
                info.cast::<u8>().write_bytes(0, size_of::<e4_message_info>());
            }
            let client = raw::client_mut(client)?;
            let topic = raw::text(topic, topic_len, Error::InvalidTopic)?;
            let protected = raw::bytes(incoming, incoming_len);
            // SAFETY: checked, and nothing else reads or writes it.
            let info = info.as_mut();
            let done = match client.unprotect(clock(now), topic, protected, out)? {
                Unprotected::CommandApplied(opcode) => {
                    if let Some(info) = info {
                        info.opcode = opcode as u8;
                    }
                    (0, E4_OK_COMMAND)
                }
                Unprotected::Message(message) => {
                    if let Some(info) = info {
                        info.timestamp = message.timestamp.as_secs();
                        if let Some(signer) = message.signer {
                            info.signer = *signer.id.as_bytes();
                            info.signer_status = if signer.verified {
                                E4_SIGNER_VERIFIED
                            } else {
                                E4_SIGNER_UNKNOWN
                            };
                        }
                    }
                    (message.plaintext.len(), E4_OK)
                }
            };
            Ok(done)
        })
    })
}

/// The answer to the last command that authenticated since the last answer, to be published on the
/// answer topic with QoS 1, not retained. A command that was refused is answered with its error,
/// a replayed one not at all. Answering is optional; C2 then knows less.
///
/// E4_OK: publish it. E4_OK_NONE: none is due. E4_ERROR_CLOCK_UNKNOWN, errors of the storage: none
/// was made; ask again.
///
/// cbindgen:ptrs-as-arrays=[[answer; E4_ANSWER_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_answer(client: *mut e4_client, now: u64, answer: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_ANSWER_LEN>(answer, &[Span::client(client)], |out| {
            let is_due = raw::client_mut(client)?.answer_into(clock(now), out)?;
            Ok(if is_due { E4_OK } else { E4_OK_NONE })
        })
    })
}

/// A "hello", published like an answer: a client that has lost its way, or has just connected,
/// asks C2 to be brought up to date.
///
/// E4_ERROR_CLOCK_UNKNOWN, errors of the storage.
///
/// cbindgen:ptrs-as-arrays=[[answer; E4_ANSWER_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_hello(client: *const e4_client, now: u64, answer: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_ANSWER_LEN>(answer, &[Span::client(client)], |out| {
            *out = raw::client(client)?.hello(clock(now))?;
            Ok(E4_OK)
        })
    })
}
