// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the pages look at and nobody else.

use super::Service;
use crate::domain::{AuditRecord, Cell, Laggard, Result, Search, TopicRow};
use crate::store::Tally;

/// A topic and what each of its clients holds.
#[derive(Debug)]
pub struct TopicMap {
    /// The topic.
    pub topic: TopicRow,
    /// Its clients, in the order in which they came to C2.
    pub cells: Vec<Cell>,
}

/// Audit records that were found.
#[derive(Debug)]
pub struct Found {
    /// The records, newest first.
    pub records: Vec<AuditRecord>,
    /// Where to look on: before this number; none where everything was looked at.
    pub before: Option<i64>,
}

impl Service {
    /// Audit records that are looked at for one answer.
    pub const LOOKED_AT: i64 = 50_000;

    /// How all clients and topics stand.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn tally(&self) -> Result<Tally> {
        self.store.read(|tx| tx.tally())
    }

    /// What each client of a topic holds.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::domain::Error::NotFound),
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_map(&self, topic: &str) -> Result<TopicMap> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            let cells = tx.cells(&topic)?;
            Ok(TopicMap { topic, cells })
        })
    }

    /// The client of a cell of that map.
    ///
    /// # Errors
    /// As [`topic_map`](Self::topic_map).
    pub fn client_of_cell(&self, topic: &str, number: i64) -> Result<Option<String>> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            tx.client_of_cell(&topic, number)
        })
    }

    /// Clients of a topic that do not hold its newest key.
    ///
    /// # Errors
    /// As [`topic_map`](Self::topic_map).
    pub fn laggards(&self, topic: &str, offset: i64, limit: i64) -> Result<Vec<Laggard>> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            tx.laggards(&topic, offset, limit)
        })
    }

    /// Audit records, newest first, before a number; so many are looked at that an answer comes
    /// soon, however long the chain is.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn find_records(&self, search: &Search, before: Option<i64>, limit: i64) -> Result<Found> {
        self.store.read(|tx| {
            let newest = tx.newest_record()?;
            let to = before.map_or(newest, |before| newest.min(before.saturating_sub(1)));
            let from = to.saturating_sub(Self::LOOKED_AT - 1).max(1);
            let records = tx.find_records(search, [from, to], limit)?;
            let full = i64::try_from(records.len()).is_ok_and(|count| count == limit);
            let next = if full { records.last().map_or(from, |record| record.seq) } else { from };
            Ok(Found { records, before: (next > 1).then_some(next) })
        })
    }
}
