// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A few bytes without a heap.

use core::ops::Deref;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Wipes secrets in a way that the compiler does not leave out. One copy of it, since everything that
/// holds a secret ends with it.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn wipe(secret: &mut [u8]) {
    secret.zeroize();
}

/// Up to `N` bytes, wiped when dropped. It reads as a slice.
#[derive(Clone)]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Bytes<N> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds a part; what does not fit is a fault of the caller's arithmetic and is left out.
    pub(crate) fn push(&mut self, part: &[u8]) {
        append(&mut self.bytes, &mut self.len, &[part]);
    }

    /// The parts, one after the other.
    #[inline(always)]
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut bytes = Self::new();
        bytes.extend(parts);
        bytes
    }

    /// Adds parts; see [`Bytes::push`].
    pub(crate) fn extend(&mut self, parts: &[&[u8]]) {
        append(&mut self.bytes, &mut self.len, parts);
    }

    /// Room for `len` bytes to be written.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        self.len = len.min(N);
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// All `N` bytes, zeros after those that were added.
    #[cfg(feature = "std")]
    pub(crate) const fn whole(&self) -> &[u8; N] {
        &self.bytes
    }
}

impl<const N: usize> Drop for Bytes<N> {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl<const N: usize> ZeroizeOnDrop for Bytes<N> {}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> AsRef<[u8]> for Bytes<N> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// [`Bytes::extend`] for all lengths.
#[cfg_attr(not(feature = "std"), inline(never))]
fn append(bytes: &mut [u8], len: &mut usize, parts: &[&[u8]]) {
    for part in parts {
        let free = bytes.get_mut(*len..).and_then(|free| free.get_mut(..part.len()));
        if let Some(to) = free {
            copy(to, part);
            *len += part.len();
        }
    }
}

/// `N` bytes from `at`, which are there: both are constants, and so is the length of `bytes`, or it was
/// checked.
#[inline(always)]
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; N])
}

/// Writes a field over what stands at `at`; see [`field`].
#[inline(always)]
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..value.len())) {
        copy(to, value);
    }
}

/// Writes a short field, a few bytes of a number, over what stands at `at`; see [`field`].
#[inline(always)]
pub(crate) fn put_short<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(to) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *to = value;
    }
}

/// Copies as far as the shorter one reaches.
#[cfg(feature = "std")]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
}

/// The same for microcontrollers. The compiler makes a call of `memcpy` of a plain loop, and the one
/// that comes with Rust takes 400 bytes.
#[cfg(not(feature = "std"))]
#[inline(never)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let nothing = core::hint::black_box(0);
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from ^ nothing);
}
