// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From pointers to values: the checks that every call makes, in one place.

use core::mem::MaybeUninit;

use zeroize::Zeroize;

use super::sizes::E4_CLIENT_WORDS;
use super::storage::Callbacks;
use super::types::{e4_client, e4_key_place, e4_seen_place};
use crate::bytes::wipe;
use crate::client::Client;
use crate::client::memory::{KeyPlace, SeenPlace, SliceMemory};
use crate::error::{Error, Result};

/// The number for C.
pub fn status(result: Result<i32>) -> i32 {
    result.unwrap_or_else(Error::number)
}

/// Memory that a call reads or writes: its address and length.
#[derive(Clone, Copy)]
pub struct Span {
    start: usize,
    len: usize,
    align: usize,
}

impl Span {
    /// Nothing.
    pub const NONE: Self = Self { start: 0, len: 0, align: 1 };

    /// `count` values from `pointer`; NULL is refused unless `count` is 0.
    pub fn many<T>(pointer: *const T, count: usize) -> Self {
        let len = count.saturating_mul(size_of::<T>());
        Self { start: pointer.addr(), len, align: align_of::<T>() }
    }

    /// One value.
    pub fn one<T>(pointer: *const T) -> Self {
        Self::many(pointer, 1)
    }

    fn is_sound(&self) -> bool {
        let end = self.start.checked_add(self.len);
        let exists = self.start != 0 && self.len <= isize::MAX.unsigned_abs() && end.is_some();
        self.len == 0 || exists && self.start.is_multiple_of(self.align)
    }

    fn is_apart(&self, other: &Self) -> bool {
        self.len == 0
            || other.len == 0
            || self.start.saturating_add(self.len) <= other.start
            || other.start.saturating_add(other.len) <= self.start
    }
}

/// Refuses NULL, memory that wraps around, and overlaps of what is written with anything else.
///
/// # Errors
/// [`Error::InvalidParameter`].
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn check(writes: &[Span], reads: &[Span]) -> Result<()> {
    let mut rest = writes;
    while let Some((span, others)) = rest.split_first() {
        for other in [others, reads] {
            if !other.iter().all(|other| span.is_apart(other)) {
                return Err(Error::InvalidParameter);
            }
        }
        rest = others;
    }
    for spans in [writes, reads] {
        if !spans.iter().all(Span::is_sound) {
            return Err(Error::InvalidParameter);
        }
    }
    Ok(())
}

/// Bytes that are read; empty where the pointer is NULL.
///
/// # Safety
/// `len` bytes at `pointer` stay readable and unchanged for `'a`, unless one of them is 0; they
/// were checked.
pub unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> &'a [u8] {
    if pointer.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: not NULL, and readable by the contract above.
    unsafe { core::slice::from_raw_parts(pointer, len) }
}

/// Text that is read.
///
/// # Errors
/// `otherwise` if it is not UTF-8.
///
/// # Safety
/// That of [`bytes`].
pub unsafe fn text<'a>(
    pointer: *const core::ffi::c_char,
    len: usize,
    otherwise: Error,
) -> Result<&'a str> {
    // SAFETY: the contract of this function is that of `bytes`.
    let bytes = unsafe { bytes(pointer.cast(), len) };
    #[cfg(feature = "std")]
    return core::str::from_utf8(bytes).map_err(|_| otherwise);
    #[cfg(not(feature = "std"))]
    // SAFETY: it was checked.
    is_utf8(bytes).then(|| unsafe { core::str::from_utf8_unchecked(bytes) }).ok_or(otherwise)
}

/// Whether text is well-formed (Unicode, table 3-7). On microcontrollers it stands for the check of
/// `core`, which is faster and takes 600 bytes.
#[cfg(any(test, not(feature = "std")))]
fn is_utf8(text: &[u8]) -> bool {
    // How many bytes of a character are to come, and what the next of them may be.
    let (mut rest, mut low, mut high) = (0, 0x80, 0xbf);
    for &byte in text {
        if rest > 0 {
            if byte < low || byte > high {
                return false;
            }
            (rest, low, high) = (rest - 1, 0x80, 0xbf);
            continue;
        }
        match byte {
            0xe0 => low = 0xa0,
            0xed => high = 0x9f,
            0xf0 => low = 0x90,
            0xf4 => high = 0x8f,
            _ => {}
        }
        rest = match byte {
            0..=0x7f => 0,
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf4 => 3,
            _ => return false,
        };
    }
    rest == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_utf8_is_what_core_says() {
        // What stands for the bytes that are treated alike, and their neighbours.
        let edges: [u8; 30] = [
            0, 0x41, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc2,
            0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xfe,
            0xff,
        ];
        let check = |text: &[u8]| {
            assert_eq!(super::is_utf8(text), core::str::from_utf8(text).is_ok(), "{text:x?}");
        };
        check(b"");
        for a in 0..=255 {
            check(&[a]);
            for b in 0..=255 {
                check(&[a, b]);
                for c in edges {
                    check(&[a, b, c]);
                    edges.iter().for_each(|d| check(&[a, b, c, *d]));
                }
            }
        }
    }
}

/// An output of a fixed length: zero, then what `make` writes, and zero again if that fails.
///
/// # Errors
/// [`Error::InvalidParameter`] where `reads` or `out` are refused; those of `make`.
///
/// # Safety
/// `out` is writable, unless it is refused.
pub unsafe fn fixed<const N: usize>(
    out: *mut u8,
    reads: &[Span],
    mut make: impl FnMut(&mut [u8; N]) -> Result<i32>,
) -> Result<i32> {
    // SAFETY: the contract of this function is that of `filled`.
    unsafe {
        filled(out, N, reads, &mut |out| {
            let out = out.first_chunk_mut().ok_or(Error::Internal)?;
            Ok((N, make(out)?))
        })
    }
}

/// [`fixed`], where the length is not of the type.
///
/// # Errors
/// Those of [`fixed`].
///
/// # Safety
/// That of [`fixed`].
pub unsafe fn filled(out: *mut u8, len: usize, reads: &[Span], make: Make<'_>) -> Result<i32> {
    let out = Output { out, capacity: len, len: core::ptr::null_mut(), also: Span::NONE };
    // SAFETY: the contract of this function is that of `fill`.
    unsafe { out.fill(len, reads, make) }
}

/// An output with a capacity.
#[derive(Clone, Copy)]
pub struct Output {
    out: *mut u8,
    capacity: usize,
    /// NULL where the length is fixed.
    len: *mut usize,
    also: Span,
}

/// What writes an output: it gets zero bytes, and returns how many it has written, and a status.
pub type Make<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<(usize, i32)>;

impl Output {
    /// # Errors
    /// [`Error::InvalidParameter`] for a pointer to the length that is refused.
    pub fn new(out: *mut u8, capacity: usize, len: *mut usize) -> Result<Self> {
        check(&[Span::one(len)], &[])?;
        Ok(Self { out, capacity, len, also: Span::NONE })
    }

    /// Something else that the call writes.
    pub fn and(self, also: Span) -> Self {
        Self { also, ..self }
    }

    // A frame of its own on microcontrollers, which `make` does not stand on.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn check(&self, reads: &[Span]) -> Result<()> {
        let len = Span::many(self.len, usize::from(!self.len.is_null()));
        check(&[len, Span::many(self.out, self.capacity), self.also], reads)
    }

    /// Sets the length to 0, runs `make` on up to `need` zero bytes of the output, and sets the
    /// length that it returns beside its status; wipes the output if it fails.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] where `reads` or the output are refused; those of `make`.
    ///
    /// # Safety
    /// The output is writable, unless it is refused.
    pub unsafe fn fill(self, need: usize, reads: &[Span], make: Make<'_>) -> Result<i32> {
        let set_len = |len| {
            if !self.len.is_null() {
                // SAFETY: aligned by `new`, and writable by the contract above.
                unsafe { self.len.write(len) };
            }
        };
        set_len(0);
        self.check(reads)?;
        let capacity = self.capacity.min(need);
        let out: &mut [u8] = if capacity == 0 {
            &mut []
        } else {
            // SAFETY: at most `capacity` bytes, not NULL, writable by the contract above, and
            // nothing that is read in `make` overlaps them.
            unsafe {
                self.out.write_bytes(0, capacity);
                core::slice::from_raw_parts_mut(self.out, capacity)
            }
        };
        match make(out) {
            Ok((len, status)) => {
                set_len(len);
                Ok(status)
            }
            Err(error) => {
                wipe(out);
                Err(error)
            }
        }
    }
}

/// The client behind an `e4_client`.
pub type Inner = Client<Callbacks, SliceMemory<'static>>;

/// What an `e4_client` holds.
#[repr(C)]
struct State {
    /// [`MAGIC`] and the address of this struct if it is open, so that a copy is not.
    magic: u64,
    inner: MaybeUninit<Inner>,
}

const MAGIC: u64 = 0x6534_c11e_47a5_0be7;

const _: () = {
    assert!(size_of::<State>() <= E4_CLIENT_WORDS * 8, "E4_CLIENT_WORDS is too small");
    assert!(align_of::<State>() <= align_of::<e4_client>());
    assert!(size_of::<KeyPlace>() <= size_of::<e4_key_place>(), "E4_KEY_PLACE_WORDS is too small");
    assert!(align_of::<KeyPlace>() <= align_of::<e4_key_place>());
    assert!(size_of::<SeenPlace>() <= size_of::<e4_seen_place>());
    assert!(align_of::<SeenPlace>() <= align_of::<e4_seen_place>());
};

fn magic_of(client: *const e4_client) -> u64 {
    // The cast widens: no pointer has more than 64 bits.
    MAGIC ^ client.addr() as u64
}

/// Whether a client is open; one whose pointer is NULL or not aligned is not.
///
/// # Safety
/// `client` is readable, unless it is refused.
pub unsafe fn is_open(client: *const e4_client) -> bool {
    // SAFETY: not NULL, aligned, and readable by the contract above; the magic comes first.
    !client.is_null()
        && client.is_aligned()
        && unsafe { client.cast::<u64>().read() } == magic_of(client)
}

/// An open client to look at.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is not open.
///
/// # Safety
/// `client` is readable, unless it is refused, and nobody changes it for `'a`.
pub unsafe fn client<'a>(client: *const e4_client) -> Result<&'a Inner> {
    // SAFETY: the contract above. Behind the magic of this address stands a client that `put`
    // wrote and `close` has not taken.
    unsafe {
        if !is_open(client) {
            return Err(Error::InvalidParameter);
        }
        Ok((*client.cast::<State>()).inner.assume_init_ref())
    }
}

/// An open client to change.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is not open.
///
/// # Safety
/// `client` is writable, unless it is refused, and nobody else uses it for `'a`.
pub unsafe fn client_mut<'a>(client: *mut e4_client) -> Result<&'a mut Inner> {
    // SAFETY: as in `client`.
    unsafe {
        if !is_open(client) {
            return Err(Error::InvalidParameter);
        }
        Ok((*client.cast::<State>()).inner.assume_init_mut())
    }
}

/// Makes an `e4_client` of a client, in its place.
///
/// # Safety
/// `to` was checked, is writable and not open; nobody else uses it for `'a`.
#[inline(always)]
pub unsafe fn put<'a>(to: *mut e4_client, inner: Inner) -> &'a mut Inner {
    // SAFETY: the contract above; the struct is large enough by the assertion above.
    unsafe {
        to.cast::<u64>().write(magic_of(to));
        (*to.cast::<State>()).inner.write(inner)
    }
}

/// Drops the client, which wipes its keys and its table, and wipes the struct.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is not open.
///
/// # Safety
/// That of [`client_mut`]; nobody uses the client afterwards.
pub unsafe fn close(client: *mut e4_client) -> Result<()> {
    // SAFETY: as in `client`; the magic goes with the wipe, so this happens once.
    unsafe {
        core::ptr::drop_in_place(client_mut(client)?);
        (*client).opaque.zeroize();
    }
    Ok(())
}

/// Empty places over memory of the caller, as many as it has room for.
///
/// # Safety
/// `count` values at `from` were checked; they are E4's for as long as the result lives.
pub unsafe fn places<T, C>(from: *mut C, count: usize, empty: impl Fn() -> T) -> &'static mut [T] {
    if from.is_null() || count == 0 {
        return &mut [];
    }
    let fit = count * size_of::<C>() / size_of::<T>();
    // SAFETY: the contract above. What a client left there goes first, since an empty place need
    // not overwrite all of it.
    unsafe {
        core::slice::from_raw_parts_mut(from.cast::<u8>(), count * size_of::<C>()).zeroize();
        let first = from.cast::<T>();
        (0..fit).for_each(|number| first.add(number).write(empty()));
        core::slice::from_raw_parts_mut(first, fit)
    }
}
