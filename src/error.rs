// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one error table.

use core::fmt;

/// The result of everything that can fail.
pub type Result<T> = core::result::Result<T, Error>;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What went wrong. Each error has one number for life, the same in every language;
        /// -100 to -113 keep the meaning that they have in libe4.
        ///
        /// An error holds no secret and no input.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Error {
            $($(#[$doc])* $name = $number,)*
            /// No error has this number. It lets the numbers end at -1, so that a result without an
            /// error is 0, as in C, and not -99: 150 bytes less on microcontrollers.
            #[doc(hidden)]
            #[cfg(not(feature = "std"))]
            None = -1,
        }

        impl Error {
            /// Every error, in the order of the table.
            pub const ALL: &'static [Error] = &[$(Error::$name,)*];

            /// The number: negative, the same in C, Python, Kotlin, Swift and on the wire.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The error of a number, if it is one of the table.
            pub const fn from_number(number: i32) -> Option<Error> {
                match number {
                    $($number => Some(Error::$name),)*
                    _ => None,
                }
            }

            /// The name of the error: `InvalidTag`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Error::$name => stringify!($name),)*
                    #[cfg(not(feature = "std"))]
                    Error::None => "",
                }
            }

            /// What happened, in one line without a full stop.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Error::$name => $text,)*
                    #[cfg(not(feature = "std"))]
                    Error::None => "",
                }
            }

            /// [`Error::text`], with a NUL at the end.
            #[cfg(feature = "capi")]
            pub(crate) const fn text_nul(self) -> &'static str {
                match self {
                    $(Error::$name => concat!($text, "\0"),)*
                    #[cfg(not(feature = "std"))]
                    Error::None => "\0",
                }
            }
        }
    };
}

errors! {
    /// A bug in E4 itself.
    Internal = -100, "internal error";
    /// The bytes do not authenticate under the key: altered, or protected under another key.
    InvalidTag = -101, "authentication failed: altered message or wrong key";
    /// The timestamp is ahead of the clock by more than the tolerance.
    TimestampInFuture = -102, "timestamp is in the future";
    /// The timestamp is older than the validity.
    TimestampTooOld = -103, "timestamp is too old";
    /// Fewer bytes than the smallest message of the mode.
    MessageTooShort = -104, "protected message is too short";
    /// The client holds no key for the topic.
    TopicKeyMissing = -105, "topic key not found";
    /// The command, or the message where its cache is on, was seen before.
    Replayed = -106, "message was seen before";
    /// An unknown opcode, a wrong length, or a command of the other mode.
    InvalidCommand = -107, "invalid command";
    /// The storage failed to read, write or erase.
    Storage = -108, "storage failed";
    /// The client holds no public key for the signer.
    SignerUnknown = -109, "signer public key not found";
    /// The signature is wrong.
    SignatureInvalid = -110, "invalid signature";
    /// The output buffer is too small for the result.
    BufferTooSmall = -111, "output buffer is too small";
    /// NULL, an overlap, a bad length, or a handle that is not open (C ABI).
    InvalidParameter = -112, "invalid parameter";
    /// The stored state has another format, version or mode than this build reads.
    StateIncompatible = -113, "stored state is of another format, version or mode";
    /// All zero, not on the curve, of small order, of the wrong length, or halves that do not match.
    InvalidKey = -114, "invalid key";
    /// Empty, longer than 255 bytes, or not UTF-8.
    InvalidName = -115, "name must be 1 to 255 bytes of UTF-8";
    /// Empty, longer than 65,535 bytes, not UTF-8, or the client's own control topic.
    InvalidTopic = -116, "invalid topic";
    /// Shorter than 16 bytes, or not UTF-8.
    InvalidPassword = -117, "password must be at least 16 bytes of UTF-8";
    /// The storage holds no client.
    NotProvisioned = -118, "no client is stored here";
    /// The storage holds a client already; forget it first.
    AlreadyProvisioned = -119, "a client is stored here already";
    /// A stored record does not have the check value that it was written with.
    StateCorrupt = -120, "stored state is damaged";
    /// No free record is left for another key.
    StorageFull = -121, "storage is full";
    /// The operation needs the other mode (SK or PK).
    WrongMode = -122, "operation does not exist in this mode";
    /// The operating system gave no randomness.
    Randomness = -123, "no randomness from the operating system";
    /// The client has no clock and has not seen a command to take the time from.
    ClockUnknown = -124, "no clock, and no command yet to take the time from";
    /// Not enough memory for the password derivation.
    OutOfMemory = -125, "not enough memory";
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}
