// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names for clients, topics and moments: 16 bytes, 16 bytes, 8 bytes, never to be confused.

use core::fmt;

use crate::error::{Error, Result};
pub use crate::sizes::{ID_LEN, NAME_MAX, TOPIC_MAX};

macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// From 16 bytes.
            pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }

            /// From 32 hexadecimal digits of either case.
            pub fn from_hex(digits: &str) -> Option<Self> {
                let mut bytes = [0u8; ID_LEN];
                if digits.len() != 2 * ID_LEN {
                    return None;
                }
                for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
                    for digit in pair {
                        let value = char::from(*digit).to_digit(16)?;
                        *byte = (*byte << 4) | u8::try_from(value).ok()?;
                    }
                }
                Some(Self(bytes))
            }
        }

        /// 32 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

sixteen_bytes! {
    /// The id of a client: the first 16 bytes of SHA3-256 of its name, or random
    /// (PROTOCOL section 1).
    ClientId
}

sixteen_bytes! {
    /// The hash of a topic: the first 16 bytes of its SHA3-256 (PROTOCOL section 1).
    TopicHash
}

/// A moment in whole seconds since 1970-01-01 00:00 UTC (Unix time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From Unix seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Unix seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The form on the wire: 8 bytes, little-endian.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// From the form on the wire.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Seconds since `earlier`, 0 if that is not earlier.
    pub const fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `seconds` before this one, not before 1970.
    pub const fn before(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// What the system clock says; 0 if it stands before 1970.
    #[cfg(feature = "std")]
    pub fn now() -> Self {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(Self(0), |age| Self(age.as_secs()))
    }
}

/// The two ways to protect (PROTOCOL sections 2 and 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Symmetric key: topic keys alone; C2 commands under the client's id key.
    Symmetric = 1,
    /// Public key: topic keys and Ed25519 signatures; C2 commands under an agreed key.
    PublicKey = 2,
}

/// Checks a client name: 1 to 255 bytes.
///
/// # Errors
/// [`Error::InvalidName`].
pub fn check_name(name: &str) -> Result<()> {
    match name.len() {
        1..=NAME_MAX => Ok(()),
        _ => Err(Error::InvalidName),
    }
}

/// Checks a topic as a client does: 1 to 65,535 bytes.
///
/// # Errors
/// [`Error::InvalidTopic`].
pub fn check_topic(topic: &str) -> Result<()> {
    match topic.len() {
        1..=TOPIC_MAX => Ok(()),
        _ => Err(Error::InvalidTopic),
    }
}

/// Checks a topic as C2 does before it makes a key for it: a topic that clients can publish to,
/// without `+`, `#`, NUL or a leading `$`, and neither `e4` nor anything below `e4/`
/// (PROTOCOL section 1).
///
/// # Errors
/// [`Error::InvalidTopic`].
pub fn check_topic_for_key(topic: &str) -> Result<()> {
    check_topic(topic)?;
    let reserved = topic == "e4" || topic.starts_with("e4/") || topic.starts_with('$');
    if reserved || topic.contains(['+', '#', '\0']) {
        return Err(Error::InvalidTopic);
    }
    Ok(())
}
