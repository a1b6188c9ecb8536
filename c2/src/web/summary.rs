// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Numbers over everything, for the overview. They are counted in the whole database, so who asks
//! within a second gets the same again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Result, Standing, Standings};
use crate::service::Service;
use crate::store::TopicTally;

/// How old numbers may be; where counting takes long, so many times as long as that took.
const FRESH: Duration = Duration::from_secs(1);
const TIMES: u32 = 10;
/// Topics that the overview shows.
pub const SHOWN: usize = 10;

/// Numbers over everything.
#[derive(Debug, Default)]
pub struct Summary {
    /// Devices by how they stand.
    pub devices: Standings,
    /// Topics by the worst of their devices.
    pub topics: Standings,
    /// The topics that are furthest from rest, and then by name.
    pub shown: Vec<TopicTally>,
}

/// How a topic stands: as the worst of its devices.
pub fn standing(topic: &TopicTally) -> Standing {
    let worst = [Standing::Failed, Standing::OnItsWay, Standing::Waiting, Standing::Handed];
    let found = worst.into_iter().find(|standing| topic.members.get(*standing) > 0);
    found.unwrap_or(Standing::Confirmed)
}

impl Summary {
    fn count(service: &Service) -> Result<Self> {
        let tally = service.tally()?;
        let mut summary = Self { devices: tally.clients, ..Self::default() };
        for topic in &tally.topics {
            summary.topics.add(standing(topic));
        }
        summary.shown = tally.topics;
        // Those that stand the same stay in the order of their names.
        let open = |topic: &TopicTally| topic.members.all() - topic.members.confirmed;
        summary.shown.sort_by_key(|topic| std::cmp::Reverse(open(topic)));
        summary.shown.truncate(SHOWN);
        Ok(summary)
    }
}

/// The newest numbers.
#[derive(Default)]
pub struct Summaries {
    last: Mutex<Option<(Instant, Arc<Summary>)>>,
}

impl Summaries {
    /// Numbers that are about a second old at most. Of several that ask at once one counts.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn get(&self, service: &Service) -> Result<Arc<Summary>> {
        let mut last: MutexGuard<_> = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, summary)) = &*last
            && Instant::now() < *until
        {
            return Ok(summary.clone());
        }
        let begun = Instant::now();
        let summary = Arc::new(Summary::count(service)?);
        let fresh = FRESH.max(begun.elapsed() * TIMES);
        *last = Some((Instant::now() + fresh, summary.clone()));
        Ok(summary)
    }
}
