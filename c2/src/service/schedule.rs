// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is due by the clock: stages of rotations, policies, campaigns.

use super::Service;
use crate::domain::{Millis, Result};

/// What a look at the clock led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// Whether anything was changed.
    pub changed: bool,
    /// When to look again; none for when something changes.
    pub next_at: Option<Millis>,
}

impl Advance {
    fn and(self, other: Self) -> Self {
        let next_at = match (self.next_at, other.next_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { changed: self.changed || other.changed, next_at }
    }
}

impl Service {
    /// Does everything that is due, each thing in a transaction of its own; several servers on one
    /// database do each of them once. `seen` is the newest audit record that the last look saw, 0
    /// for the first.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store): what was done until then stays done.
    pub fn advance(&self, seen: &mut i64) -> Result<Advance> {
        let stages = self.advance_stages()?;
        let policies = self.advance_policies(seen)?;
        let campaigns = self.advance_campaigns()?;
        Ok(stages.and(policies).and(campaigns))
    }
}
