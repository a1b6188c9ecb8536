// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How many clients have come how far.

use e4::TopicHash;

use super::Tx;
use super::database::{Row, params};
use crate::domain::{Behind, Counts, Result, Statistics};

/// All, confirmed, failed, handed.
fn counts(row: Option<Row>) -> Result<Counts> {
    let Some(row) = row else { return Ok(Counts::default()) };
    let (all, confirmed, failed, handed) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
    Ok(Counts { queued: all - confirmed - failed - handed, handed, failed, confirmed })
}

impl Tx<'_> {
    /// How far the clients of a topic have come with its key of an epoch, which may be an older
    /// one: who is sent a newer one instead counts with that.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_progress(&mut self, topic: i64, epoch: i64) -> Result<Counts> {
        let row = self.query_one(
            "SELECT COUNT(*), \
             COUNT(CASE WHEN confirmed >= ?2 AND sent >= ?2 THEN 1 END), \
             COUNT(CASE WHEN confirmed < ?2 AND sent >= ?2 AND failed <> 0 THEN 1 END), \
             COUNT(CASE WHEN confirmed < ?2 AND sent >= ?2 AND failed = 0 AND handed = 1 THEN 1 \
             END) FROM holdings WHERE kind = 1 AND subject = ?1 AND wish <> 0",
            params![topic, epoch],
        )?;
        counts(row)
    }

    /// The clients that have not confirmed that they forgot the key of a topic of this hash which
    /// was removed.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn removal_progress(&mut self, topic: TopicHash) -> Result<Counts> {
        let row = self.query_one(
            "SELECT COUNT(*), CAST(0 AS BIGINT), \
             COUNT(CASE WHEN h.sent = 0 AND h.failed <> 0 THEN 1 END), \
             COUNT(CASE WHEN h.sent = 0 AND h.failed = 0 AND h.handed = 1 THEN 1 END) \
             FROM topics t JOIN holdings h ON h.kind = 1 AND h.subject = t.id \
             WHERE t.hash = ?1 AND t.removed = 1",
            params![topic.as_bytes()],
        )?;
        counts(row)
    }

    /// How far the clients have come with C2's key of an epoch.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn c2_key_progress(&mut self, epoch: i64) -> Result<Counts> {
        let row = self.query_one(
            "SELECT COUNT(*), COUNT(CASE WHEN c2_confirmed >= ?1 THEN 1 END), CAST(0 AS BIGINT), \
             COUNT(CASE WHEN c2_confirmed < ?1 AND c2_handed >= ?1 THEN 1 END) \
             FROM clients WHERE removed = 0",
            params![epoch],
        )?;
        counts(row)
    }

    /// By how many keys the clients of topics are behind.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn behind(&mut self) -> Result<Behind> {
        let row = self.query_one(
            "SELECT COUNT(CASE WHEN h.confirmed = t.epoch THEN 1 END), \
             COUNT(CASE WHEN h.confirmed > 0 AND h.confirmed = t.epoch - 1 THEN 1 END), \
             COUNT(CASE WHEN h.confirmed > 0 AND h.confirmed < t.epoch - 1 THEN 1 END), \
             COUNT(CASE WHEN h.confirmed <= 0 THEN 1 END) \
             FROM holdings h JOIN topics t ON t.id = h.subject \
             WHERE +h.kind = 1 AND h.wish <> 0 AND t.removed = 0",
            &[],
        )?;
        let Some(row) = row else { return Ok(Behind::default()) };
        let (none, one, more, unknown) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
        Ok(Behind { none, one, more, unknown })
    }

    /// Numbers over everything.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn statistics(&mut self) -> Result<Statistics> {
        let clients = self.query_one(
            "SELECT COUNT(*), COUNT(due_at), COUNT(trouble), COUNT(CASE WHEN answers = 1 THEN 1 \
             END) FROM clients WHERE removed = 0",
            &[],
        )?;
        // The plus keeps it away from the index by kind: all rows in their order are three times
        // as fast as all rows in another.
        let row = self.query_one(
            "SELECT COUNT(*), \
             COUNT(CASE WHEN h.confirmed = t.epoch AND h.sent = t.epoch THEN 1 END), \
             COUNT(CASE WHEN h.confirmed <> t.epoch AND h.sent = t.epoch AND h.failed <> 0 THEN 1 \
             END), COUNT(CASE WHEN h.confirmed <> t.epoch AND h.sent = t.epoch AND h.failed = 0 \
             AND h.handed = 1 THEN 1 END) \
             FROM holdings h JOIN topics t ON t.id = h.subject \
             WHERE +h.kind = 1 AND h.wish <> 0 AND t.removed = 0",
            &[],
        )?;
        let deliveries = counts(row)?;
        let Counts { queued, handed, failed, confirmed } = deliveries;
        let clients = |column| clients.as_ref().map_or(Ok(0), |row| row.int(column));
        Ok(Statistics {
            clients: clients(0)?,
            topics: self.count_topics()?,
            memberships: queued + handed + failed + confirmed,
            deliveries,
            due_clients: clients(1)?,
            troubled_clients: clients(2)?,
            answering_clients: clients(3)?,
            audit_records: self.newest_record()?,
        })
    }
}
