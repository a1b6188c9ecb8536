// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys from passwords: the legacy Argon2i of the field (RFC 9106, PROTOCOL section 5).
//!
//! Version 0x13, empty salt, t = 1, m = 65,536 KiB, p = 4, 32 bytes. A salt of no bytes means that
//! equal passwords give equal keys and that one table serves against all; it is kept so that
//! devices in the field keep their keys. Use random keys for new ones. The `argon2` crate refuses
//! salts under 8 bytes, so this one derivation stands here, over `blake2`.

extern crate alloc;

use alloc::vec::Vec;

use blake2::{Blake2b256, Blake2b512, Digest};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::keys::{IdKey, KEY_LEN};
use crate::error::{Error, Result};
pub use crate::sizes::PASSWORD_MIN;

/// The SK id key of a password: 64 MiB of memory and some tens of milliseconds.
///
/// # Errors
/// [`Error::InvalidPassword`] below 16 bytes, [`Error::OutOfMemory`].
pub fn id_key_from_password(password: &str) -> Result<IdKey> {
    IdKey::new_with(|key| legacy(password, key))
}

/// The PK key pair of a password, whose seed is the derived key.
///
/// # Errors
/// [`Error::InvalidPassword`] below 16 bytes, [`Error::OutOfMemory`].
#[cfg(feature = "pubkey")]
pub fn signing_key_from_password(password: &str) -> Result<crate::crypto::sign::SigningKey> {
    let mut seed = Zeroizing::new([0u8; KEY_LEN]);
    legacy(password, &mut seed)?;
    crate::crypto::sign::SigningKey::from_seed(&*seed)
}

fn legacy(password: &str, key: &mut [u8; KEY_LEN]) -> Result<()> {
    if password.len() < PASSWORD_MIN {
        return Err(Error::InvalidPassword);
    }
    let cost = Cost { passes: 1, memory: 65_536, lanes: 4 };
    argon2i(password.as_bytes(), &[], &cost, key)
}

/// Passes, KiB of memory, lanes.
struct Cost {
    passes: u32,
    memory: u32,
    lanes: u32,
}

const ARGON2I: u32 = 1;
const VERSION: u32 = 0x13;
/// Segments of a lane, between which the lanes wait for each other.
const SLICES: usize = 4;
/// Words of a block of 1 KiB.
const WORDS: usize = 128;
const BLOCK_LEN: usize = 8 * WORDS;

type Block = [u64; WORDS];

/// The memory: lanes one after the other, wiped when dropped.
struct Matrix {
    blocks: Vec<Block>,
    lane_len: usize,
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Matrix {
    fn new(lanes: usize, lane_len: usize) -> Result<Self> {
        let mut blocks = Vec::new();
        let count = lanes.checked_mul(lane_len).ok_or(Error::OutOfMemory)?;
        blocks.try_reserve_exact(count).map_err(|_| Error::OutOfMemory)?;
        blocks.resize(count, [0; WORDS]);
        Ok(Self { blocks, lane_len })
    }

    fn get(&self, lane: usize, column: usize) -> Result<&Block> {
        self.blocks.get(lane * self.lane_len + column).ok_or(Error::Internal)
    }

    fn get_mut(&mut self, lane: usize, column: usize) -> Result<&mut Block> {
        self.blocks.get_mut(lane * self.lane_len + column).ok_or(Error::Internal)
    }
}

/// A place in the order of filling.
struct Position {
    pass: usize,
    slice: usize,
    lane: usize,
    index: usize,
}

/// Argon2i of RFC 9106 without secret and associated data, lanes one after the other.
fn argon2i(password: &[u8], salt: &[u8], cost: &Cost, out: &mut [u8; KEY_LEN]) -> Result<()> {
    let lanes = index(cost.lanes)?;
    let segment_len = index(cost.memory)? / (SLICES * lanes);
    let lane_len = segment_len * SLICES;
    let mut matrix = Matrix::new(lanes, lane_len)?;
    let first = first_hash(password, salt, cost)?;
    for lane in 0..lanes {
        for column in 0..2 {
            let bytes = block_hash(&[&*first, &word(column)?, &word(lane)?])?;
            let block = matrix.get_mut(lane, column)?;
            for (to, from) in block.iter_mut().zip(bytes.as_chunks().0) {
                *to = u64::from_le_bytes(*from);
            }
        }
    }
    for pass in 0..index(cost.passes)? {
        for slice in 0..SLICES {
            for lane in 0..lanes {
                fill_segment(&mut matrix, cost, pass, slice, lane, segment_len)?;
            }
        }
    }
    let mut last = Zeroizing::new([0u8; BLOCK_LEN]);
    for lane in 0..lanes {
        let block = matrix.get(lane, lane_len - 1)?;
        for (to, from) in last.iter_mut().zip(block.iter().flat_map(|word| word.to_le_bytes())) {
            *to ^= from;
        }
    }
    // H' of 32 bytes is one hash.
    *out = Blake2b256::new().chain_update(word(KEY_LEN)?).chain_update(*last).finalize().into();
    Ok(())
}

fn fill_segment(
    matrix: &mut Matrix,
    cost: &Cost,
    pass: usize,
    slice: usize,
    lane: usize,
    segment_len: usize,
) -> Result<()> {
    let lane_len = matrix.lane_len;
    let blocks = cost.lanes as usize * lane_len;
    let mut input: Block = [0; WORDS];
    let header = [pass, lane, slice, blocks, cost.passes as usize, ARGON2I as usize];
    input.iter_mut().zip(header).for_each(|(to, from)| *to = from as u64);
    let mut addresses: Block = [0; WORDS];
    let start = if pass == 0 && slice == 0 { 2 } else { 0 };
    for index in start..segment_len {
        if index == start || index % WORDS == 0 {
            input[6] += 1;
            addresses = compress(&[0; WORDS], &compress(&[0; WORDS], &input));
        }
        let address = addresses.get(index % WORDS).copied().ok_or(Error::Internal)?;
        let here = Position { pass, slice, lane, index };
        let (ref_lane, ref_column) = reference(&here, cost, lane_len, segment_len, address);
        let column = slice * segment_len + index;
        let previous = matrix.get(lane, (column + lane_len - 1) % lane_len)?;
        let mut new = compress(previous, matrix.get(ref_lane, ref_column)?);
        let block = matrix.get_mut(lane, column)?;
        if pass > 0 {
            new.iter_mut().zip(block.iter()).for_each(|(to, old)| *to ^= old);
        }
        *block = new;
    }
    Ok(())
}

/// Which block is mixed in: lane and column (RFC 9106 section 3.4.2).
fn reference(
    here: &Position,
    cost: &Cost,
    lane_len: usize,
    segment_len: usize,
    address: u64,
) -> (usize, usize) {
    let first_segment = here.pass == 0 && here.slice == 0;
    let lane =
        if first_segment { here.lane } else { ((address >> 32) as usize) % cost.lanes as usize };
    let done = if here.pass == 0 { here.slice * segment_len } else { lane_len - segment_len };
    let area =
        if lane == here.lane { done + here.index - 1 } else { done - usize::from(here.index == 0) };
    let x = ((address & 0xffff_ffff) * (address & 0xffff_ffff)) >> 32;
    let y = ((area as u64 * x) >> 32) as usize;
    let begin = if here.pass == 0 { 0 } else { (here.slice + 1) * segment_len };
    (lane, (begin + area - 1 - y) % lane_len)
}

/// The compression function G (RFC 9106 section 3.5).
fn compress(x: &Block, y: &Block) -> Block {
    let mut mixed = *x;
    mixed.iter_mut().zip(y).for_each(|(to, from)| *to ^= from);
    let before = mixed;
    for row in mixed.as_chunks_mut().0 {
        permute(row);
    }
    for pair in 0..8 {
        let mut column = [0u64; 16];
        let words = mixed.as_chunks::<2>().0.iter().skip(pair).step_by(8);
        for (to, from) in column.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            *to = *from;
        }
        permute(&mut column);
        let words = mixed.as_chunks_mut::<2>().0.iter_mut().skip(pair).step_by(8);
        for (to, from) in words.zip(column.as_chunks::<2>().0) {
            *to = *from;
        }
    }
    mixed.iter_mut().zip(before).for_each(|(to, from)| *to ^= from);
    mixed
}

/// The permutation P: a BLAKE2b round with multiplications.
fn permute(v: &mut [u64; 16]) {
    macro_rules! quarter {
        ($a:literal, $b:literal, $c:literal, $d:literal) => {
            v[$a] = mix(v[$a], v[$b]);
            v[$d] = (v[$d] ^ v[$a]).rotate_right(32);
            v[$c] = mix(v[$c], v[$d]);
            v[$b] = (v[$b] ^ v[$c]).rotate_right(24);
            v[$a] = mix(v[$a], v[$b]);
            v[$d] = (v[$d] ^ v[$a]).rotate_right(16);
            v[$c] = mix(v[$c], v[$d]);
            v[$b] = (v[$b] ^ v[$c]).rotate_right(63);
        };
    }
    quarter!(0, 4, 8, 12);
    quarter!(1, 5, 9, 13);
    quarter!(2, 6, 10, 14);
    quarter!(3, 7, 11, 15);
    quarter!(0, 5, 10, 15);
    quarter!(1, 6, 11, 12);
    quarter!(2, 7, 8, 13);
    quarter!(3, 4, 9, 14);
}

fn mix(x: u64, y: u64) -> u64 {
    let product = (x & 0xffff_ffff).wrapping_mul(y & 0xffff_ffff);
    x.wrapping_add(y).wrapping_add(product.wrapping_mul(2))
}

/// The hash H0 of all parameters (RFC 9106 section 3.2).
fn first_hash(password: &[u8], salt: &[u8], cost: &Cost) -> Result<Zeroizing<[u8; 64]>> {
    let mut hasher = Blake2b512::new();
    for value in [cost.lanes, small(KEY_LEN)?, cost.memory, cost.passes, VERSION, ARGON2I] {
        hasher.update(value.to_le_bytes());
    }
    for text in [password, salt, &[], &[]] {
        hasher.update(word(text.len())?);
        hasher.update(text);
    }
    Ok(Zeroizing::new(hasher.finalize().into()))
}

/// The hash H' of one block (RFC 9106 section 3.3): 30 half hashes and a whole one.
fn block_hash(parts: &[&[u8]]) -> Result<Zeroizing<[u8; BLOCK_LEN]>> {
    let mut out = Zeroizing::new([0u8; BLOCK_LEN]);
    let mut hasher = Blake2b512::new();
    hasher.update(word(BLOCK_LEN)?);
    parts.iter().for_each(|part| hasher.update(part));
    let mut value: [u8; 64] = hasher.finalize().into();
    let (halves, last) = out.split_last_chunk_mut::<64>().ok_or(Error::Internal)?;
    for half in halves.as_chunks_mut::<32>().0 {
        half.iter_mut().zip(value).for_each(|(to, from)| *to = from);
        value = Blake2b512::digest(value).into();
    }
    *last = value;
    Ok(out)
}

fn index(value: u32) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::Internal)
}

fn small(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Internal)
}

fn word(value: usize) -> Result<[u8; 4]> {
    small(value).map(u32::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_argon2_crate_on_salted_input(
            password in prop::collection::vec(any::<u8>(), 0..80),
            salt in prop::collection::vec(any::<u8>(), 8..40),
            lanes in 1u32..5,
            extra in 0u32..600,
            passes in 1u32..4,
        ) {
            let cost = Cost { passes, memory: 8 * lanes + extra, lanes };
            let mut ours = [0u8; KEY_LEN];
            argon2i(&password, &salt, &cost, &mut ours).unwrap();
            let params = argon2::Params::new(cost.memory, passes, lanes, Some(KEY_LEN)).unwrap();
            let reference =
                argon2::Argon2::new(argon2::Algorithm::Argon2i, argon2::Version::V0x13, params);
            let mut theirs = [0u8; KEY_LEN];
            reference.hash_password_into(&password, &salt, &mut theirs).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_password_below_sixteen_bytes_is_refused() {
        assert_eq!(id_key_from_password("fifteen bytes !").unwrap_err(), Error::InvalidPassword);
        assert!(id_key_from_password("sixteen bytes !!").is_ok());
    }
}
