// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Thin named wrappers over the standards: keys, sealing, hashing, signing, agreement, passwords.

pub mod aes;
#[cfg(feature = "pubkey")]
pub mod agree;
pub mod hash;
pub mod keys;
#[cfg(feature = "password")]
pub mod password;
mod reveal;
#[cfg(feature = "pubkey")]
pub mod sign;
pub mod siv;
#[cfg(not(feature = "std"))]
mod sponge;

pub(crate) use reveal::reveal;
