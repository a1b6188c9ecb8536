// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How long things take, noted where they happen.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// How long something took, each time: from a tenth of a millisecond to two weeks, each step twice
/// as long, so that medians and 99th percentiles are right to that.
pub struct Timing(pub(crate) Histogram);

impl Default for Timing {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(1e-4, 2.0, 34)))
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timing")
    }
}

impl Timing {
    /// It took this long.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// How long the newest of such things took, the newest last.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<Duration>>);

impl Recent {
    /// How many are kept.
    pub const KEPT: usize = 2000;

    /// It took this long.
    pub fn observe(&self, took: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(took);
    }

    /// Those that are kept.
    pub fn all(&self) -> Vec<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
