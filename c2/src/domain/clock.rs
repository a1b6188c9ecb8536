// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Time as an argument.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub type Millis = i64;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now(&self) -> Millis;
}

/// The clock of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The clock of the system, ahead by the seconds that a file holds: tests let hours pass with it.
#[derive(Clone, Debug)]
pub struct ShiftedClock(pub PathBuf);

impl Clock for ShiftedClock {
    fn now(&self) -> Millis {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let seconds: i64 = text.trim().parse().unwrap_or_default();
        SystemClock.now().saturating_add(seconds.saturating_mul(1000))
    }
}
