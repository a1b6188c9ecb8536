// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Types.

use core::ffi::c_void;

use super::sizes::*;

/// A client. Its content is E4's own. Initialise it with E4_CLIENT_INIT (zero bytes). While it is
/// open it must neither be copied nor moved; a copy is refused.
#[repr(C)]
pub struct e4_client {
    pub opaque: [u64; E4_CLIENT_WORDS],
}

/// Reads a record into buf, which has room for cap bytes, and sets *len. Returns E4_OK;
/// E4_OK_NONE if there is no such record; else E4_ERROR_STORAGE, or E4_ERROR_STATE_INCOMPATIBLE
/// if the record is longer than cap.
pub type e4_storage_read = Option<
    unsafe extern "C" fn(
        ctx: *mut c_void,
        record: u32,
        buf: *mut u8,
        cap: usize,
        len: *mut usize,
    ) -> i32,
>;

/// Writes or replaces a record of len bytes; it is durable when this returns E4_OK. Else
/// E4_ERROR_STORAGE, or E4_ERROR_STORAGE_FULL where there is no place for it.
pub type e4_storage_write =
    Option<unsafe extern "C" fn(ctx: *mut c_void, record: u32, buf: *const u8, len: usize) -> i32>;

/// Erases a record so that its bytes cannot be read again, as far as the medium allows. Returns
/// E4_OK, also if there is no such record; else E4_ERROR_STORAGE.
pub type e4_storage_erase = Option<unsafe extern "C" fn(ctx: *mut c_void, record: u32) -> i32>;

/// Where a client keeps its records: e4_memory_storage, e4_file_storage, or three functions over
/// the flash of a device. Their promise is one sentence: AFTER A POWER CUT A RECORD HOLDS THE OLD
/// BYTES OR THE NEW ONES, NEVER A MIXTURE.
///
/// Record 0, of up to E4_RECORD_MAX bytes, says who the client is; the records from 1 up hold one
/// key each in E4_SLOT_LEN bytes and are numbered without gaps. They hold secret keys in the
/// clear. A message costs no write. A command costs one, or two if it overwrites a record in the
/// same second as the command before it; ResetTopics and ResetPubKeys cost one more for each key.
///
/// The functions are called during calls of E4 alone and must not call E4 on the same client. A
/// result that is not listed counts as E4_ERROR_STORAGE.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct e4_storage {
    /// Handed to each function; may be NULL.
    pub ctx: *mut c_void,
    pub read: e4_storage_read,
    pub write: e4_storage_write,
    pub erase: e4_storage_erase,
}

/// A place for one key, of a topic or of another client, in the table of a client.
#[repr(C)]
pub struct e4_key_place {
    pub opaque: [u64; E4_KEY_PLACE_WORDS],
}

/// A place for one message in the replay cache of a client.
#[repr(C)]
pub struct e4_seen_place {
    pub opaque: [u64; E4_SEEN_PLACE_WORDS],
}

/// What a client tolerates. It is not stored: give it at every start. Begin with
/// E4_SETTINGS_DEFAULT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct e4_settings {
    /// How old a message may be, in seconds; 600 by default.
    pub past: u32,
    /// How far ahead of the clock a message may be, in seconds; 600 by default.
    pub future: u32,
    /// How long a replaced topic key still opens messages, in seconds; 3600 by default.
    pub transition: u32,
    /// 1 for a public-key client that takes messages of signers whose public key it does not hold;
    /// 0 by default, other values are refused. A wrong signature of a known signer is never taken.
    pub accept_unknown_signers: u32,
}

/// What a client is opened with. The struct is read during the call alone. The two arrays belong
/// to E4 from then until e4_close, which wipes them; the storage's ctx must live as long.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct e4_config {
    /// Where the records are.
    pub storage: e4_storage,
    /// A table of keys in RAM; optional. A key that has no place here still works: it is read from
    /// the storage for each message.
    pub keys: *mut e4_key_place,
    /// Places in the table.
    pub keys_count: usize,
    /// A replay cache; NULL for none. With it, a message that was seen before is refused with
    /// E4_ERROR_REPLAYED. Two equal payloads in the same second under one key are equal bytes, so
    /// the second of them is refused as well. (Commands are always guarded, without a cache.)
    pub seen: *mut e4_seen_place,
    /// Places in the cache; when it is full the oldest message is forgotten.
    pub seen_count: usize,
    /// What the client tolerates.
    pub settings: e4_settings,
}

/// What e4_unprotect tells beside the plaintext.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct e4_message_info {
    /// A message: the sender's clock in Unix seconds. A command: 0.
    pub timestamp: u64,
    /// A message in public-key mode: who signed it. Else zero.
    pub signer: [u8; E4_ID_LEN],
    /// E4_SIGNER_NONE, E4_SIGNER_VERIFIED or E4_SIGNER_UNKNOWN.
    pub signer_status: u8,
    /// A command: E4_SET_TOPIC_KEY and so on. A message: 0.
    pub opcode: u8,
}

/// Records in memory; see e4_memory_storage. Its content is E4's own.
#[repr(C)]
pub struct e4_memory {
    pub bytes: *mut u8,
    pub len: usize,
}

/// What a client answered.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct e4_answer_info {
    /// The client's clock, in Unix seconds. It is the caller's to judge.
    pub timestamp: u64,
    /// E4_OK if the command was applied, else the error for which it was refused.
    pub status: i32,
    /// 1 for a "hello", which answers no command; else 0.
    pub hello: u8,
    /// The SIV of the command that is answered; zero in a hello. It stands in the protected command
    /// at E4_SIV_OFFSET.
    pub command: [u8; E4_SIV_LEN],
    /// The digest of the keys that the client holds; see e4_digest.
    pub digest: [u8; E4_DIGEST_LEN],
}
