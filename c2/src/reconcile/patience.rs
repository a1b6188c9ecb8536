// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a client is tried again.

use std::time::Duration;

use crate::domain::Millis;

/// How patient the reconciler is.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Before the first repetition; each one after waits three times as long.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How often a client that never answers is sent the same thing by itself.
    pub silent_tries: i64,
    /// How long the broker may take for a command until it is sent again.
    pub lease: Duration,
    /// Commands that may be on their way to the broker at once.
    pub backlog: usize,
    /// How long to sleep when nothing happens, so that changes by other processes are seen.
    pub poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_secs(6 * 3600),
            silent_tries: 8,
            lease: Duration::from_secs(60),
            backlog: 4000,
            poll: Duration::from_millis(250),
        }
    }
}

impl Patience {
    /// How long to wait after so many attempts, give or take a fifth: ten thousand devices that
    /// went away together are not called together.
    pub fn wait(&self, tries: i64) -> Millis {
        let factor = 3u32.saturating_pow(u32::try_from(tries.clamp(1, 20) - 1).unwrap_or(0));
        let wait = self.first.saturating_mul(factor).min(self.longest);
        let wait = millis(wait).max(1);
        let mut random = [0; 8];
        // Without randomness all wait alike, which is no harm to one client.
        let _ = getrandom::fill(&mut random);
        let spread = u64::try_from(wait / 5 * 2 + 1).unwrap_or(1);
        let jitter = i64::try_from(u64::from_le_bytes(random) % spread).unwrap_or(0);
        wait - wait / 5 + jitter
    }

    /// [`Patience::lease`] in milliseconds.
    pub fn lease(&self) -> Millis {
        millis(self.lease)
    }
}

fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Patience;

    #[test]
    fn waits_grow_up_to_the_longest_and_differ() {
        let patience = Patience::default();
        for tries in 1..40 {
            let wait = patience.wait(tries);
            let middle = (10_000 * 3i64.saturating_pow(tries.min(20) as u32 - 1)).min(21_600_000);
            assert!(wait >= middle * 4 / 5 && wait <= middle * 6 / 5 + 1, "{tries}: {wait}");
        }
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| patience.wait(5)).collect();
        assert!(waits.len() > 1);
    }
}
