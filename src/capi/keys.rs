// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys, for C2.

#[cfg(feature = "password")]
use core::ffi::c_char;

use super::provision::E4_OK;
use super::raw::{self, Span};
#[cfg(any(feature = "std", feature = "password", feature = "pubkey"))]
use super::sizes::*;
#[cfg(any(feature = "std", feature = "password"))]
use crate::IdKey;
#[cfg(feature = "password")]
use crate::crypto::password;
#[cfg(feature = "password")]
use crate::error::Error;
#[cfg(feature = "pubkey")]
use crate::{C2PublicKey, C2SecretKey, PublicKey, SharedKey, SigningKey};

/// Wipes memory in a way that a compiler does not leave out; for keys and plaintexts that are no
/// longer needed. E4_ERROR_INVALID_PARAMETER for NULL with a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e4_wipe(bytes: *mut u8, len: usize) -> i32 {
    raw::status(raw::check(&[Span::many(bytes, len)], &[]).map(|()| {
        for number in 0..len {
            // SAFETY: the caller's pointer, which was checked.
            unsafe { bytes.add(number).write_volatile(0) };
        }
        E4_OK
    }))
}

/// A random symmetric key, of a topic or a client (on hosts).
///
/// E4_ERROR_RANDOMNESS.
///
/// cbindgen:ptrs-as-arrays=[[key; E4_KEY_LEN]]
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_random_key(key: *mut u8) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    raw::status(unsafe {
        raw::fixed::<E4_KEY_LEN>(key, &[], |out| {
            out.copy_from_slice(IdKey::random()?.expose());
            Ok(E4_OK)
        })
    })
}

/// The id key of a symmetric-key client that has a password, of 16 bytes or more (on hosts); see
/// e4_provision_symmetric_password.
///
/// E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
///
/// cbindgen:ptrs-as-arrays=[[key; E4_KEY_LEN]]
#[cfg(feature = "password")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_key_from_password(
    password: *const c_char,
    password_len: usize,
    key: *mut u8,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_KEY_LEN>(key, &[Span::many(password, password_len)], |out| {
            let password = raw::text(password, password_len, Error::InvalidPassword)?;
            out.copy_from_slice(password::id_key_from_password(password)?.expose());
            Ok(E4_OK)
        })
    })
}

/// A random Ed25519 private key for a public-key client (on hosts, in public-key mode).
///
/// E4_ERROR_RANDOMNESS.
///
/// cbindgen:ptrs-as-arrays=[[private_key; E4_PRIVATE_KEY_LEN]]
#[cfg(all(feature = "std", feature = "pubkey"))]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_random_private_key(private_key: *mut u8) -> i32 {
    // SAFETY: the caller's pointer, which is checked.
    raw::status(unsafe {
        raw::fixed::<E4_PRIVATE_KEY_LEN>(private_key, &[], |out| {
            out.copy_from_slice(&*SigningKey::random()?.expose());
            Ok(E4_OK)
        })
    })
}

/// The Ed25519 private key of a public-key client that has a password, of 16 bytes or more (on
/// hosts, in public-key mode).
///
/// E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
///
/// cbindgen:ptrs-as-arrays=[[private_key; E4_PRIVATE_KEY_LEN]]
#[cfg(all(feature = "password", feature = "pubkey"))]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_private_key_from_password(
    password: *const c_char,
    password_len: usize,
    private_key: *mut u8,
) -> i32 {
    let reads = [Span::many(password, password_len)];
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_PRIVATE_KEY_LEN>(private_key, &reads, |out| {
            let password = raw::text(password, password_len, Error::InvalidPassword)?;
            out.copy_from_slice(&*password::signing_key_from_password(password)?.expose());
            Ok(E4_OK)
        })
    })
}

/// The Ed25519 private key of a seed (in public-key mode), for a device that has its own
/// randomness. The seed must not be all zero.
///
/// E4_ERROR_INVALID_KEY.
///
/// cbindgen:ptrs-as-arrays=[[seed; E4_KEY_LEN], [private_key; E4_PRIVATE_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_private_key_from_seed(seed: *const u8, private_key: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        raw::fixed::<E4_PRIVATE_KEY_LEN>(private_key, &[Span::many(seed, E4_KEY_LEN)], |out| {
            let key = SigningKey::from_seed(raw::bytes(seed, E4_KEY_LEN))?;
            out.copy_from_slice(&*key.expose());
            Ok(E4_OK)
        })
    })
}

/// The Ed25519 public key of a private key (in public-key mode).
///
/// E4_ERROR_INVALID_KEY if the halves of the private key do not match.
///
/// cbindgen:ptrs-as-arrays=[[private_key; E4_PRIVATE_KEY_LEN], [public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_public_key_of(private_key: *const u8, public_key: *mut u8) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        let reads = [Span::many(private_key, E4_PRIVATE_KEY_LEN)];
        raw::fixed::<E4_KEY_LEN>(public_key, &reads, |out| {
            let key = SigningKey::from_slice(raw::bytes(private_key, E4_PRIVATE_KEY_LEN))?;
            *out = *key.public().as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The X25519 public key of C2's private key (in public-key mode). Any 32 random bytes are a
/// private key: e4_random_key makes one.
///
/// E4_ERROR_INVALID_KEY if it is all zero.
///
/// cbindgen:ptrs-as-arrays=[[c2_private_key; E4_KEY_LEN], [c2_public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_c2_public_key_of(
    c2_private_key: *const u8,
    c2_public_key: *mut u8,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        let reads = [Span::many(c2_private_key, E4_KEY_LEN)];
        raw::fixed::<E4_KEY_LEN>(c2_public_key, &reads, |out| {
            let key = C2SecretKey::from_slice(raw::bytes(c2_private_key, E4_KEY_LEN))?;
            *out = *key.public().as_bytes();
            Ok(E4_OK)
        })
    })
}

/// The key that C2 shares with a public-key client (in public-key mode): of C2's X25519 private key
/// and the client's Ed25519 public key. It costs a scalar multiplication: compute it once and keep
/// it, in secret, until either key changes.
///
/// E4_ERROR_INVALID_KEY.
///
/// cbindgen:ptrs-as-arrays=[[c2_private_key; E4_KEY_LEN], [public_key; E4_KEY_LEN], [shared_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_shared_key(
    c2_private_key: *const u8,
    public_key: *const u8,
    shared_key: *mut u8,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        let reads = [Span::many(c2_private_key, E4_KEY_LEN), Span::many(public_key, E4_KEY_LEN)];
        raw::fixed::<E4_KEY_LEN>(shared_key, &reads, |out| {
            let c2 = C2SecretKey::from_slice(raw::bytes(c2_private_key, E4_KEY_LEN))?;
            let client = PublicKey::from_slice(raw::bytes(public_key, E4_KEY_LEN))?;
            out.copy_from_slice(SharedKey::for_c2(&c2, &client)?.expose());
            Ok(E4_OK)
        })
    })
}

/// Checks an X25519 public key of C2 before it is sent or stored (in public-key mode).
///
/// E4_ERROR_INVALID_KEY if it is of small order.
///
/// cbindgen:ptrs-as-arrays=[[c2_public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_check_c2_public_key(c2_public_key: *const u8) -> i32 {
    raw::status(raw::check(&[], &[Span::many(c2_public_key, E4_KEY_LEN)]).and_then(|()| {
        // SAFETY: the caller's pointer, which was checked.
        C2PublicKey::from_slice(unsafe { raw::bytes(c2_public_key, E4_KEY_LEN) })?;
        Ok(E4_OK)
    }))
}
