// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Symmetric keys as types: wiped on drop, never printed, copied, compared or serialised by
//! accident.

use core::fmt;

use crate::bytes::copy;
use crate::crypto::reveal;
use crate::error::{Error, Result};
pub use crate::sizes::KEY_LEN;

/// Fills a buffer from the operating system.
#[cfg(feature = "std")]
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| Error::Randomness)
}

/// True if every byte is zero, in constant time.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    verdict(bytes.iter().fold(0, |all, byte| all | byte))
}

/// Whether nothing was found. The compiler is not to know what is asked for while it is looked for, or
/// it might look no further than needed.
fn verdict(found: u8) -> bool {
    reveal(core::hint::black_box(found) == 0)
}

/// A key as it comes: of the right length and not all zero.
///
/// # Errors
/// [`Error::InvalidKey`].
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn checked(key: &[u8]) -> Result<&[u8; KEY_LEN]> {
    let key: &[u8; KEY_LEN] = key.try_into().map_err(|_| Error::InvalidKey)?;
    if is_zero(key) { Err(Error::InvalidKey) } else { Ok(key) }
}

/// Whether two keys are the same, in constant time.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && verdict(differ)
}

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 32 bytes, never all zero. Wiped when dropped; printing it gives its type alone.
        pub struct $name([u8; KEY_LEN]);

        impl Drop for $name {
            fn drop(&mut self) {
                $crate::bytes::wipe(&mut self.0);
            }
        }

        impl ::zeroize::ZeroizeOnDrop for $name {}

        impl $name {
            /// A key that `fill` writes in place.
            ///
            /// # Errors
            /// [`Error::InvalidKey`] if it is all zero; what `fill` returns.
            pub fn new_with(fill: impl FnOnce(&mut [u8; KEY_LEN]) -> Result<()>) -> Result<Self> {
                let mut key = Self([0; KEY_LEN]);
                fill(&mut key.0)?;
                if is_zero(&key.0) {
                    return Err(Error::InvalidKey);
                }
                Ok(key)
            }

            /// From its bytes, 32 of them.
            ///
            /// # Errors
            /// [`Error::InvalidKey`] for another length or all zero.
            pub fn from_slice(bytes: &[u8]) -> Result<Self> {
                $crate::crypto::keys::checked(bytes).map(|key| Self(*key))
            }

            /// A random key from the operating system.
            ///
            /// # Errors
            /// [`Error::Randomness`].
            #[cfg(feature = "std")]
            pub fn random() -> Result<Self> {
                Self::new_with(|key| $crate::crypto::keys::fill_random(key))
            }

            /// The secret bytes, for storing them in a safe place.
            pub const fn expose(&self) -> &[u8; KEY_LEN] {
                &self.0
            }

            /// Whether two keys are the same, in constant time.
            pub fn ct_eq(&self, other: &Self) -> bool {
                $crate::crypto::keys::is_same(&self.0, &other.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}
#[cfg(feature = "pubkey")]
pub(crate) use secret_key;

secret_key! {
    /// The key of a topic; all clients of the topic hold it.
    TopicKey
}

secret_key! {
    /// The key that an SK client shares with C2.
    IdKey
}

secret_key! {
    /// The key that a PK client and C2 agree on (PROTOCOL section 6). Computing it costs a scalar
    /// multiplication; keep it where commands are protected often.
    SharedKey
}

impl IdKey {
    /// All zero, which is no key: for a client that is nobody yet.
    pub(crate) const fn none() -> Self {
        Self([0; KEY_LEN])
    }

    /// Becomes a key that was checked.
    pub(crate) fn set(&mut self, key: &[u8; KEY_LEN]) {
        copy(&mut self.0, key);
    }
}

/// A key under which C2 protects commands for one client: [`IdKey`] (SK) or [`SharedKey`] (PK).
pub trait CommandKey: sealed::Sealed {
    /// The secret bytes.
    fn command_key(&self) -> &[u8; KEY_LEN];
}

impl CommandKey for IdKey {
    fn command_key(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl CommandKey for SharedKey {
    fn command_key(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::IdKey {}
    impl Sealed for super::SharedKey {}
}
