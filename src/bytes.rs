// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A few bytes without a heap.

use core::ops::Deref;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Up to `N` bytes, wiped when dropped. It reads as a slice.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Bytes<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds a part; what does not fit is a fault of the caller's arithmetic and is left out.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let free = self.bytes.get_mut(self.len..).and_then(|free| free.get_mut(..part.len()));
        if let Some(to) = free {
            to.copy_from_slice(part);
            self.len += part.len();
        }
    }

    /// [`Bytes::push`], in a chain.
    pub(crate) fn with(mut self, part: &[u8]) -> Self {
        self.push(part);
        self
    }

    /// Room for `len` bytes to be written.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        self.len = len.min(N);
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// All `N` bytes, zeros after those that were added.
    pub(crate) const fn whole(&self) -> &[u8; N] {
        &self.bytes
    }
}

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
