// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The replay mark: which commands were applied (PROTOCOL sections 7 and 11).

use super::records::Stamp;
use crate::error::{Error, Result};
use crate::id::Timestamp;
use crate::wire::message::SIV_LEN;

/// How many commands of one second are remembered.
pub const MARK_SIVS: usize = 16;

/// The time of the newest applied command and the SIVs of the last sixteen applied in that second.
#[derive(Clone)]
pub struct Mark {
    time: Timestamp,
    sivs: [[u8; SIV_LEN]; MARK_SIVS],
    count: usize,
    next: usize,
}

impl Mark {
    pub const fn new(time: Timestamp) -> Self {
        Self { time, sivs: [[0; SIV_LEN]; MARK_SIVS], count: 0, next: 0 }
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

    /// Remembers a command that is not older than the newest one.
    pub fn add(&mut self, stamp: Stamp) {
        if stamp.time > self.time {
            *self = Self::new(stamp.time);
        }
        if let Some(place) = self.sivs.get_mut(self.next) {
            *place = stamp.siv;
        }
        self.next = (self.next + 1) % MARK_SIVS;
        self.count = (self.count + 1).min(MARK_SIVS);
    }
}
