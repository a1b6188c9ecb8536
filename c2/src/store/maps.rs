// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which keys of a topic its clients hold. Clients stand in the order in which they came to C2: one
//! that comes moves no other.

use super::Tx;
use super::database::params;
use crate::domain::{Cell, Laggard, Result, TopicRow};

impl Tx<'_> {
    /// What each client of a topic holds.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn cells(&mut self, topic: &TopicRow) -> Result<Vec<Cell>> {
        let rows = self.query(
            "SELECT confirmed, failed FROM holdings WHERE kind = 1 AND subject = ?1 AND wish <> 0 \
             ORDER BY client",
            params![topic.row],
        )?;
        rows.iter().map(|row| Ok(Cell::new(topic.epoch, row.int(0)?, row.int(1)?))).collect()
    }

    /// The client of a cell, by its number from 0.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn client_of_cell(&mut self, topic: &TopicRow, number: i64) -> Result<Option<String>> {
        let row = self.query_one(
            "SELECT c.name FROM clients c WHERE c.id = (SELECT client FROM holdings \
             WHERE kind = 1 AND subject = ?1 AND wish <> 0 ORDER BY client LIMIT 1 OFFSET ?2)",
            params![topic.row, number.max(0)],
        )?;
        row.map(|row| row.text(0)).transpose()
    }

    /// Clients of a topic that do not hold its newest key, by name.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn laggards(&mut self, topic: &TopicRow, offset: i64, limit: i64) -> Result<Vec<Laggard>> {
        let rows = self.query(
            "SELECT c.name, h.confirmed, h.failed, h.changed_at FROM holdings h \
             JOIN clients c ON c.id = h.client WHERE h.kind = 1 AND h.subject = ?1 \
             AND h.wish <> 0 AND h.confirmed < ?2 ORDER BY c.name LIMIT ?3 OFFSET ?4",
            params![topic.row, topic.epoch, limit, offset.max(0)],
        )?;
        rows.iter()
            .map(|row| {
                let confirmed = row.int(1)?;
                Ok(Laggard {
                    name: row.text(0)?,
                    cell: Cell::new(topic.epoch, confirmed, row.int(2)?),
                    confirmed: confirmed.max(0),
                    changed_at: row.int(3)?,
                })
            })
            .collect()
    }
}
