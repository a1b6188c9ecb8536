// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The head, record 0: who the client is, and the replay mark, which says what commands were applied
//! (PROTOCOL sections 7 and 11).
//!
//! `E4C1 | mode (1) | id (16) | generation of topics (4) | generation of peers (4) | replay mark:
//! time (8), count (1), SIVs (16 each) | keys | check (8)`. Numbers are little-endian. The keys are the
//! id key (32) in SK mode, the private key (64) and C2's public key (32) in PK mode. The replay mark
//! has the time of the newest applied command and the SIVs of the last sixteen applied in that second,
//! the oldest first.

use super::identity::Keys;
use super::record::{CHECK_LEN, Record};
use super::slot::{Kind, Stamp};
use crate::bytes::{copy, field, put, put_short};
use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Mode, Timestamp};
use crate::sizes::{KEY_LEN, PRIVATE_KEY_LEN, SIV_LEN, TIMESTAMP_LEN};

/// The record number of the head.
pub const HEAD: u32 = 0;
/// Length of the longest head.
pub const HEAD_MAX: usize = HEAD_LEN + PRIVATE_KEY_LEN + KEY_LEN + CHECK_LEN;
/// How many commands of one second are remembered.
const MARK_SIVS: usize = 16;

const MAGIC: &[u8; 4] = b"E4C1";
/// Where the fields stand.
const MODE: usize = MAGIC.len();
const ID: usize = MODE + 1;
const GENERATIONS: usize = ID + ID_LEN;
const TIME: usize = GENERATIONS + 2 * GENERATION_LEN;
const COUNT: usize = TIME + TIMESTAMP_LEN;
const SIVS: usize = COUNT + 1;
/// Where the keys stand at most.
const HEAD_LEN: usize = SIVS + MARK_SIVS * SIV_LEN;

const GENERATION_LEN: usize = 4;

/// The head as it stands in its record, up to the keys.
pub struct Head([u8; HEAD_LEN]);

impl Head {
    /// What stands in the place of a head until there is one.
    pub const NONE: Self = Self([0; HEAD_LEN]);

    /// Becomes the head of a new client; it was [`Head::NONE`].
    pub fn start(&mut self, id: &[u8; ID_LEN], mode: Mode) {
        put_short(&mut self.0, 0, *MAGIC);
        put_short(&mut self.0, MODE, [mode as u8]);
        put(&mut self.0, ID, id);
    }

    pub fn id(&self) -> ClientId {
        ClientId::from_bytes(*self.id_bytes())
    }

    pub fn id_bytes(&self) -> &[u8; ID_LEN] {
        field(&self.0, ID)
    }

    /// The time of the newest applied command; zero if there is none.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_bytes(*field(&self.0, TIME))
    }

    /// The slots of a kind that are of another generation are free.
    pub fn generation(&self, kind: Kind) -> u32 {
        u32::from_le_bytes(*field(&self.0, generation_of(kind)))
    }

    fn sivs(&self) -> &[[u8; SIV_LEN]] {
        self.0.get(SIVS..end(&self.0)).unwrap_or_default().as_chunks().0
    }

    /// Whether a command is among those that the mark has.
    pub fn contains(&self, stamp: &Stamp) -> bool {
        stamp.time() == self.time() && self.sivs().contains(stamp.siv())
    }

    /// Refuses a command older than the newest one, and one that was applied in that second.
    ///
    /// # Errors
    /// [`Error::Replayed`].
    pub fn check(&self, stamp: &Stamp) -> Result<()> {
        if stamp.time() < self.time() || self.contains(stamp) {
            return Err(Error::Replayed);
        }
        Ok(())
    }

    /// Remembers a command that is not older than the newest one.
    pub fn add(&mut self, stamp: &Stamp) {
        add(&mut self.0, stamp);
    }

    /// Becomes what stands in a record before the keys.
    pub fn take(&mut self, record: &HeadRecord) {
        put(&mut self.0, 0, record.0.get(..end(record.head())).unwrap_or_default());
    }

    /// Reads a record whose body has so many bytes.
    ///
    /// # Errors
    /// [`Error::StateIncompatible`], [`Error::InvalidKey`].
    pub fn read(&mut self, record: &HeadRecord, body: usize, keys: &mut Keys) -> Result<()> {
        let [mode] = *field(&record.0, MODE);
        let [count] = *field(&record.0, COUNT);
        if usize::from(count) > MARK_SIVS {
            return Err(Error::StateIncompatible);
        }
        let rest = record.0.get(end(record.head())..body).ok_or(Error::StateIncompatible)?;
        keys.read(mode, rest)?;
        self.take(record);
        Ok(())
    }
}

/// A head with the keys, as it is stored.
pub type HeadRecord = Record<HEAD_MAX>;

impl HeadRecord {
    /// Writes a head into its record, the keys not yet; with a reset all keys of a kind are forgotten,
    /// and a command is remembered.
    ///
    /// # Errors
    /// [`Error::Internal`] after four thousand million resets.
    pub fn fill(&mut self, head: &Head, reset: Option<Kind>, stamp: Option<&Stamp>) -> Result<()> {
        put(&mut self.0, 0, &head.0);
        if let Some(kind) = reset {
            let next = head.generation(kind).checked_add(1).ok_or(Error::Internal)?;
            put_short(&mut self.0, generation_of(kind), next.to_le_bytes());
        }
        if let (Some(stamp), Some(head)) = (stamp, self.0.first_chunk_mut()) {
            add(head, stamp);
        }
        Ok(())
    }

    fn head(&self) -> &[u8; HEAD_LEN] {
        field(&self.0, 0)
    }

    /// Whether it begins as a head does.
    pub fn is_head(&self) -> bool {
        self.0.starts_with(MAGIC)
    }

    /// Adds the keys; how many bytes there are then.
    pub fn add_keys(&mut self, keys: &Keys) -> usize {
        let mut len = end(self.head());
        keys.each_part(&mut |part| {
            put(&mut self.0, len, part);
            len += part.len();
        });
        len
    }
}

/// Where the SIVs end.
fn end(head: &[u8; HEAD_LEN]) -> usize {
    let [count] = *field(head, COUNT);
    SIVS + usize::from(count).min(MARK_SIVS) * SIV_LEN
}

/// [`Head::add`].
#[cfg_attr(not(feature = "std"), inline(never))]
fn add(head: &mut [u8; HEAD_LEN], stamp: &Stamp) {
    if stamp.time() > Timestamp::from_bytes(*field(head, TIME)) {
        put_short(head, TIME, stamp.time().to_bytes());
        put_short(head, COUNT, [0]);
    }
    let [mut count] = *field(head, COUNT);
    if usize::from(count) >= MARK_SIVS {
        // The oldest makes room.
        for next in (SIVS + SIV_LEN..HEAD_LEN).step_by(SIV_LEN) {
            let (before, from) = head.split_at_mut(next);
            let at = next - SIV_LEN;
            copy(before.get_mut(at..).unwrap_or_default(), from);
        }
        count -= 1;
    }
    put(head, SIVS + usize::from(count) * SIV_LEN, stamp.siv());
    put_short(head, COUNT, [count + 1]);
}

fn generation_of(kind: Kind) -> usize {
    GENERATIONS + if kind == Kind::Topic { 0 } else { GENERATION_LEN }
}
