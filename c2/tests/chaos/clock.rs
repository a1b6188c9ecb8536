// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One clock for servers, operator and devices, which the storm moves on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use e4::Timestamp;
use e4_c2::domain::{Clock, Millis, SystemClock};

pub struct StormClock {
    ahead: AtomicI64,
    file: PathBuf,
}

impl StormClock {
    pub fn new(directory: &Path) -> Self {
        let clock = Self { ahead: AtomicI64::new(0), file: directory.join("clock") };
        clock.jump(0);
        clock
    }

    /// Where processes read by how many seconds it is ahead.
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn jump(&self, seconds: i64) {
        let ahead = self.ahead.fetch_add(seconds, Ordering::SeqCst) + seconds;
        // A reader sees the old file or the new one, never an empty one.
        let draft = self.file.with_extension("new");
        std::fs::write(&draft, ahead.to_string()).unwrap();
        std::fs::rename(&draft, &self.file).unwrap();
    }

    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_secs(u64::try_from(self.now().div_euclid(1000)).unwrap())
    }
}

impl Clock for StormClock {
    fn now(&self) -> Millis {
        SystemClock.now() + 1000 * self.ahead.load(Ordering::SeqCst)
    }
}
