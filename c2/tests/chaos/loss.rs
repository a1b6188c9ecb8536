// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The database is lost, and a backup from the middle of the storm is brought back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e4_c2::domain::{Caller, Clock};
use e4_c2::store::restore;

use super::{Site, Storm, patience};
use crate::operator::Place;
use crate::plan;

/// How long an old device may take until people see that it no longer follows.
const NOTICED: Duration = Duration::from_secs(15);

impl Storm {
    /// A backup, while everybody works.
    pub fn back_up(&mut self, site: &Site) {
        let begun = Instant::now();
        let mut file = self.service.backup(&Caller::new("harness", "storm")).unwrap();
        let mut kept = std::fs::File::create(site.directory.join("backup")).unwrap();
        let bytes = std::io::copy(&mut file, &mut kept).unwrap();
        self.tally.add("backup in the middle, bytes", bytes);
        self.tally.add("backup in the middle, milliseconds", begun.elapsed().as_millis() as u64);
    }

    /// Servers and database are gone. New ones begin with the backup; the devices know nothing of
    /// that. A device whose key was made after the backup is provisioned anew by hand: where it
    /// answers C2 names it, and an old one falls silent.
    pub fn lose_everything(&mut self, site: &Site) {
        for server in &mut self.servers {
            if !server.kill() {
                self.wrong.push("a server ended by itself; see its log".into());
            }
        }
        let file = site.directory.join("restored.sqlite").display().to_string();
        let key = site.directory.join("key");
        let place = Place { database: site.spare.clone().unwrap_or(file), key };
        let who = Caller::new("harness", "storm");
        let backup = site.directory.join("backup");
        let done = restore(&backup, &*place.database(), &place.unlock(), &who, self.clock.now());
        self.tally.add("audit records restored", done.unwrap().records as u64);
        self.service = place.open(None, self.clock.clone());
        for server in &mut self.servers {
            server.move_to(&place.database);
            server.start();
        }
        // A device that cannot read what it is sent says nothing until it connects again.
        for device in &self.devices {
            device.wire.cut();
        }
        self.bring_back();
        self.check_awake();
    }

    fn bring_back(&mut self) {
        let begun = Instant::now();
        let mut renewed = BTreeSet::new();
        while begun.elapsed() < patience(&self.size) {
            let mut left = 0;
            for device in self.awake() {
                let lost = match self.plan.silent[device] {
                    true => begun.elapsed() > NOTICED && self.unrest(device).is_some(),
                    false => self.state(device).trouble.is_some(),
                };
                if lost && renewed.insert(device) {
                    self.renew(device);
                }
                left += usize::from(self.unrest(device).is_some());
            }
            if left == 0 && begun.elapsed() > NOTICED {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        self.tally.add("provisioned anew after the restore", renewed.len() as u64);
        self.settle(&self.awake());
        self.tally.add("seconds to rest after the restore", begun.elapsed().as_secs());
    }

    /// A device gets a key by hand.
    fn renew(&mut self, device: usize) {
        let mut key = [0; 32];
        getrandom::fill(&mut key).unwrap();
        self.devices[device].kill();
        self.apply(&plan::new_client(device, self.size.mode, &key));
        let c2 = self.c2_key();
        self.devices[device].provision(&key, c2);
        self.start(device);
    }
}
