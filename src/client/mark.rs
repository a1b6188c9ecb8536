// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The replay mark: which commands were applied (PROTOCOL sections 7 and 11).

use super::records::Stamp;
use crate::error::{Error, Result};
use crate::id::Timestamp;
use crate::wire::message::SIV_LEN;

/// How many commands of one second are remembered.
pub const MARK_SIVS: usize = 16;

/// The time of the newest applied command and the SIVs of the last sixteen applied in that second.
pub struct Mark {
    time: Timestamp,
    sivs: [[u8; SIV_LEN]; MARK_SIVS],
    count: usize,
    next: usize,
}

impl Mark {
    #[inline(always)]
    pub const fn new(time: Timestamp) -> Self {
        Self { time, sivs: [[0; SIV_LEN]; MARK_SIVS], count: 0, next: 0 }
    }

    /// [`Mark::new`], in its place.
    pub fn start(&mut self, time: Timestamp) {
        (self.time, self.count, self.next) = (time, 0, 0);
    }

    pub fn time(&self) -> Timestamp {
        self.time
    }

    pub fn sivs(&self) -> &[[u8; SIV_LEN]] {
        self.sivs.get(..self.count).unwrap_or_default()
    }

    pub fn contains(&self, stamp: &Stamp) -> bool {
        stamp.time == self.time && self.sivs().contains(&stamp.siv)
    }

    /// Refuses a command older than the newest one, and one that was applied in that second.
    pub fn check(&self, stamp: &Stamp) -> Result<()> {
        if stamp.time < self.time || self.contains(stamp) {
            return Err(Error::Replayed);
        }
        Ok(())
    }

    /// Remembers a command that is not older than the newest one. What it returns takes that back.
    pub fn add(&mut self, stamp: &Stamp) -> Before {
        let Self { time, count, next, .. } = *self;
        if stamp.time > time {
            (self.time, self.count, self.next) = (stamp.time, 0, 0);
        }
        let at = self.next;
        let place = self.sivs.get_mut(at);
        let siv = place.map_or([0; SIV_LEN], |place| core::mem::replace(place, stamp.siv));
        self.next = (at + 1) % MARK_SIVS;
        self.count = (self.count + 1).min(MARK_SIVS);
        Before { time, count, next, at, siv }
    }

    /// Takes the last [`Mark::add`] back.
    pub fn restore(&mut self, before: &Before) {
        (self.time, self.count, self.next) = (before.time, before.count, before.next);
        if let Some(place) = self.sivs.get_mut(before.at) {
            *place = before.siv;
        }
    }
}

/// What a [`Mark`] was before a command was added.
pub struct Before {
    time: Timestamp,
    count: usize,
    next: usize,
    at: usize,
    siv: [u8; SIV_LEN],
}
