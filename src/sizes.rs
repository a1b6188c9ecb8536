// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lengths in bytes (PROTOCOL section 1).

/// A client id and a topic hash.
pub const ID_LEN: usize = 16;
/// A symmetric key, an Ed25519 public key, an X25519 key.
pub const KEY_LEN: usize = 32;
/// An Ed25519 private key on the wire and on disk: seed (32), then public key (32).
pub const PRIVATE_KEY_LEN: usize = 64;
/// A timestamp on the wire.
pub const TIMESTAMP_LEN: usize = 8;
/// The synthetic IV, which is tag and IV in one.
pub const SIV_LEN: usize = 16;
/// An Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// The longest client name, as UTF-8.
pub const NAME_MAX: usize = 255;
/// The longest topic, as UTF-8 (the limit of MQTT).
pub const TOPIC_MAX: usize = 65_535;
/// The shortest password, as UTF-8.
pub const PASSWORD_MIN: usize = 16;
