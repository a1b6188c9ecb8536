// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From pointers to values: the checks that every call makes, in one place.

use core::mem::MaybeUninit;

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
}

impl Span {
    /// Nothing.
    pub const NONE: Self = Self { start: 0, len: 0 };
    /// What no memory is.
    const REFUSED: Self = Self { start: 0, len: 1 };

    /// `count` values from `pointer`; NULL is refused unless `count` is 0.
    #[inline(always)]
    pub fn many<T>(pointer: *const T, count: usize) -> Self {
        match size_of::<T>() {
            1 => Self { start: pointer.addr(), len: count },
            size => Self::of(pointer.addr(), count, size, align_of::<T>()),
        }
    }

    #[cfg_attr(not(feature = "std"), inline(never))]
    fn of(start: usize, count: usize, size: usize, align: usize) -> Self {
        if count > 0 && !start.is_multiple_of(align) {
            return Self::REFUSED;
        }
        Self { start, len: count.saturating_mul(size) }
    }

    /// A client: one copy of what most calls check.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn client(client: *const e4_client) -> Self {
        Self::one(client)
    }

    /// One value.
    pub fn one<T>(pointer: *const T) -> Self {
        Self::many(pointer, 1)
    }

    fn is_sound(&self) -> bool {
        let end = self.start.checked_add(self.len);
        self.len == 0 || self.start != 0 && self.len <= isize::MAX.unsigned_abs() && end.is_some()
    }

    /// Of two that are sound.
    fn is_apart(&self, other: &Self) -> bool {
        self.len == 0
            || other.len == 0
            || self.start.wrapping_add(self.len) <= other.start
            || other.start.wrapping_add(other.len) <= self.start
    }
}

/// Refuses NULL, memory that is not aligned or wraps around, and overlaps of what is written with
/// anything else.
///
/// # Errors
/// [`Error::InvalidParameter`].
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn check(writes: &[Span], reads: &[Span]) -> Result<()> {
    let (mut span, mut others) = (&Span::NONE, writes);
    while are_apart(span, others) && are_apart(span, reads) {
        let Some((next, rest)) = others.split_first() else { return Ok(()) };
        (span, others) = (next, rest);
    }
    Err(Error::InvalidParameter)
}

/// Whether memory is sound, all of it, and apart from a span that is sound.
#[cfg_attr(not(feature = "std"), inline(never))]
fn are_apart(span: &Span, others: &[Span]) -> bool {
    others.iter().all(|other| other.is_sound() && span.is_apart(other))
}

/// Bytes that are read; the pointer may be NULL where there are none.
///
/// # Safety
/// `len` bytes at `pointer` were checked, and stay readable and unchanged for `'a`.
#[cfg_attr(not(feature = "std"), inline(never))]
pub unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: not NULL, since that was checked, and readable by the contract above.
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

/// Whether text is well-formed. On microcontrollers it stands for the check of `core`, which is
/// faster and takes 600 bytes.
#[cfg(any(test, not(feature = "std")))]
#[inline(never)]
fn is_utf8(text: &[u8]) -> bool {
    // How many bytes of a character are to come, and what the next of them may be, the lowest and by
    // how much more (Unicode, table 3-7).
    let (mut rest, mut least, mut more) = (0, 0, 0);
    for byte in text {
        let byte = u32::from(*byte);
        if rest == 0 {
            if byte < 0x80 {
                continue;
            }
            rest = 1 + u32::from(byte >= 0xe0) + u32::from(byte >= 0xf0);
            (least, more) = match byte {
                0xe0 => (0xa0, 0x1f),
                0xed => (0x80, 0x1f),
                0xf0 => (0x90, 0x2f),
                0xf4 => (0x80, 0x0f),
                _ => (0x80, 0x3f),
            };
            if byte.wrapping_sub(0xc2) > 0xf4 - 0xc2 {
                return false;
            }
        } else {
            rest -= 1;
            if byte.wrapping_sub(least) > more {
                return false;
            }
            (least, more) = (0x80, 0x3f);
        }
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
#[inline(always)]
pub unsafe fn fixed<const N: usize>(
    out: *mut u8,
    reads: &[Span],
    make: impl FnOnce(&mut [u8; N]) -> Result<i32>,
) -> Result<i32> {
    // SAFETY: the contract of this function is that of `filled`, which gives `N` bytes.
    unsafe { filled(out, N, reads, |out| make(&mut *out.as_mut_ptr().cast())) }
}

/// [`fixed`], where the length is not of the type.
///
/// # Errors
/// Those of [`fixed`].
///
/// # Safety
/// That of [`fixed`].
#[inline(always)]
pub unsafe fn filled(
    out: *mut u8,
    len: usize,
    reads: &[Span],
    make: impl FnOnce(&mut [u8]) -> Result<i32>,
) -> Result<i32> {
    let mut filled = len;
    // SAFETY: the contract of this function is that of `fill`.
    unsafe { Output::new(out, len, &raw mut filled).fill(len, reads, |out| Ok((len, make(out)?))) }
}

/// An output with a capacity.
#[derive(Clone, Copy)]
pub struct Output {
    out: *mut u8,
    capacity: usize,
    len: *mut usize,
    also: Span,
}

impl Output {
    /// Up to `capacity` bytes, and where their number is told.
    pub fn new(out: *mut u8, capacity: usize, len: *mut usize) -> Self {
        Self { out, capacity, len, also: Span::NONE }
    }

    /// Something else that the call writes.
    pub fn and(self, also: Span) -> Self {
        Self { also, ..self }
    }

    /// Sets the length to 0, runs `make` on up to `need` zero bytes of the output, and sets the
    /// length that it returns beside its status; wipes the output if it fails.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] where `reads` or the output are refused; those of `make`.
    ///
    /// # Safety
    /// The output is writable, unless it is refused.
    #[inline(always)]
    pub unsafe fn fill(
        self,
        need: usize,
        reads: &[Span],
        make: impl FnOnce(&mut [u8]) -> Result<(usize, i32)>,
    ) -> Result<i32> {
        // SAFETY: the contract above; nothing that is read in `make` overlaps the output.
        unsafe {
            let capacity = self.begin(need, reads)?;
            let out: &mut [u8] = match capacity {
                0 => &mut [],
                _ => core::slice::from_raw_parts_mut(self.out, capacity),
            };
            let done = make(&mut *out);
            match done {
                Ok((len, _)) => self.len.write(len),
                Err(_) => wipe(out),
            }
            done.map(|(_, status)| status)
        }
    }

    /// Checks everything, and returns how many bytes of the output, now zero, are to be used.
    ///
    /// # Safety
    /// That of [`Output::fill`].
    // A frame of its own on microcontrollers, which `make` does not stand on.
    #[cfg_attr(not(feature = "std"), inline(never))]
    unsafe fn begin(&self, need: usize, reads: &[Span]) -> Result<usize> {
        let len = Span::one(self.len);
        check(&[len], &[])?;
        // SAFETY: the contract of `fill`, and what was checked.
        unsafe {
            self.len.write(0);
            check(&[len, Span::many(self.out, self.capacity), self.also], reads)?;
            let capacity = self.capacity.min(need);
            if capacity > 0 {
                self.out.write_bytes(0, capacity);
            }
            Ok(capacity)
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

#[cfg_attr(not(feature = "std"), inline(never))]
fn magic_of(client: *const e4_client) -> u64 {
    // The cast widens: no pointer has more than 64 bits.
    MAGIC ^ client.addr() as u64
}

/// Whether a client is open; one whose pointer is NULL or not aligned is not.
///
/// # Safety
/// `client` is readable, unless it is refused.
#[cfg_attr(not(feature = "std"), inline(never))]
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
#[cfg_attr(not(feature = "std"), inline(never))]
pub unsafe fn close(client: *mut e4_client) -> Result<()> {
    // SAFETY: as in `client`; the magic goes with the wipe, so this happens once. The struct is as
    // many bytes.
    unsafe {
        core::ptr::drop_in_place(client_mut(client)?);
        wipe(core::slice::from_raw_parts_mut(client.cast(), size_of::<e4_client>()));
    }
    Ok(())
}

/// Empty places over memory of the caller, which are no longer than his.
///
/// # Safety
/// `count` values at `from` were checked; they are E4's for as long as the result lives. Zero bytes
/// are a `T`.
pub unsafe fn places<T, C>(from: *mut C, count: usize) -> &'static mut [T] {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: the contract above.
    unsafe {
        wipe(core::slice::from_raw_parts_mut(from.cast(), count * size_of::<C>()));
        core::slice::from_raw_parts_mut(from.cast(), count)
    }
}
