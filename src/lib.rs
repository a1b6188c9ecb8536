// SPDX-License-Identifier: Apache-2.0 OR MIT
//! End-to-end encryption and key management for IoT messages.
//!
//! A device protects its messages under topic keys that a broker never sees. C2, the command and
//! control server, gives and takes those keys by protected commands over the same broker.
//!
//! * [`Client`] is the device: it keeps keys in a [`Storage`], protects and
//!   unprotects messages, and applies commands.
//! * [`protect`](mod@protect) is the protocol without state, for C2 and its scripts.
//!
//! Time is an argument everywhere, and protection needs no randomness.
//!
//! ```
//! use e4::{Client, Command, IdKey, Identity, MemoryStorage, Timestamp, TopicHash, TopicKey, Unprotected};
//!
//! # fn main() -> e4::Result<()> {
//! let now = Timestamp::from_secs(1_700_000_000);
//! let id_key = IdKey::random()?;
//! let c2_copy = IdKey::from_slice(id_key.expose())?;
//! let identity = Identity::symmetric(e4::ClientId::from_name("pump-1")?, id_key);
//! let mut pump = Client::provision(MemoryStorage::new(), identity)?;
//!
//! // C2 gives the pump the key of a topic.
//! let command = Command::SetTopicKey { topic: TopicHash::from_topic("plant/pressure")?, key: TopicKey::random()? };
//! let protected = e4::protect::protect_command(&c2_copy, now, &command)?;
//! let control = pump.control_topic();
//! assert!(matches!(pump.unprotect_to_vec(now, &control, &protected)?, Unprotected::CommandApplied(_)));
//!
//! // From now on it talks in secret.
//! let message = pump.protect_to_vec(now, "plant/pressure", b"4.2 bar")?;
//! assert_eq!(message.len(), 7 + 24);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! * `std` (default): tables that grow, storage in a file, random keys, import of old state files.
//! * `pubkey` (default): public-key mode.
//! * `password` (default): keys from passwords, for compatibility; needs a heap.
//! * `capi`: the C ABI of `include/e4.h`.
//!
//! Without `std` and `password` the crate needs no heap.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bytes;
#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;
pub mod client;
pub mod command;
pub mod crypto;
mod error;
mod id;
pub mod protect;
pub mod sizes;
pub mod wire;

pub use client::storage::Storage;
#[cfg(feature = "std")]
pub use client::storage::{FileStorage, MemoryStorage};
pub use client::{Client, Identity, Settings, Unprotected};
pub use command::{Command, Opcode};
#[cfg(feature = "pubkey")]
pub use crypto::agree::{C2PublicKey, C2SecretKey};
pub use crypto::keys::{CommandKey, IdKey, SharedKey, TopicKey};
#[cfg(feature = "pubkey")]
pub use crypto::sign::{PublicKey, SigningKey};
pub use error::{Error, Result};
pub use id::{ClientId, Mode, Timestamp, TopicHash, check_name, check_topic, check_topic_for_key};
pub use wire::answer::Answer;
pub use wire::topic::ClientTopic;

/// The README's example compiles.
#[cfg(all(doctest, feature = "std", feature = "password"))]
#[doc = include_str!("../README.md")]
struct Readme;
