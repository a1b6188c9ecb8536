// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists and numbers, for people and interfaces.

use super::Tx;
use super::database::{Param, Row, params};
use crate::domain::{Page, Result};

/// Restricts a list of names to a page: after ?1, at most ?2, from ?3 on; ?4 is the list's own.
macro_rules! paged {
    ($select:literal) => {
        concat!(
            "SELECT name FROM (",
            $select,
            ") AS list WHERE name > ?1 ORDER BY name LIMIT ?2 OFFSET ?3"
        )
    };
}

fn page<'a>(page: &'a Page, subject: &'a [Param<'a>]) -> Vec<Param<'a>> {
    // No name has a NUL, and PostgreSQL takes none: what is before it has the same names after it.
    let after = page.after.as_deref().and_then(|after| after.split('\0').next());
    let after = after.unwrap_or_default();
    let limit = page.limit.clamp(0, Page::MAX);
    let mut all = vec![after.into(), limit.into(), page.offset.max(0).into()];
    all.extend_from_slice(subject);
    all
}

fn names(rows: &[Row]) -> Result<Vec<String>> {
    rows.iter().map(|row| row.text(0)).collect()
}

impl Tx<'_> {
    /// Names of clients.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn clients(&mut self, part: &Page) -> Result<Vec<String>> {
        let sql = paged!("SELECT name FROM clients WHERE removed = 0");
        names(&self.query(sql, &page(part, &[]))?)
    }

    /// How many clients there are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_clients(&mut self) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM clients WHERE removed = 0", &[])
    }

    /// Names of clients that cannot be brought to what they should hold; `trouble` says why.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn troubled_clients(&mut self, part: &Page) -> Result<Vec<String>> {
        let sql = paged!("SELECT name FROM clients WHERE removed = 0 AND trouble IS NOT NULL");
        names(&self.query(sql, &page(part, &[]))?)
    }

    /// Names of topics.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topics(&mut self, part: &Page) -> Result<Vec<String>> {
        // In the words of the index.
        let sql = "SELECT name FROM topics WHERE removed = 0 \
             AND substr(name, 1, 400) >= substr(?1, 1, 400) AND name > ?1 \
             ORDER BY substr(name, 1, 400), name LIMIT ?2 OFFSET ?3";
        names(&self.query(sql, &page(part, &[]))?)
    }

    /// How many topics there are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_topics(&mut self) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM topics WHERE removed = 0", &[])
    }

    /// Topics of which a client should hold the key.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topics_of_client(&mut self, client: i64, part: &Page) -> Result<Vec<String>> {
        let sql = paged!(
            "SELECT t.name FROM holdings h JOIN topics t ON t.id = h.subject \
             WHERE h.client = ?4 AND h.kind = 1 AND h.wish <> 0 AND t.removed = 0"
        );
        names(&self.query(sql, &page(part, params![client]))?)
    }

    /// How many those are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_topics_of_client(&mut self, client: i64) -> Result<i64> {
        self.count(
            "SELECT COUNT(*) FROM holdings h JOIN topics t ON t.id = h.subject \
             WHERE h.client = ?1 AND h.kind = 1 AND h.wish <> 0 AND t.removed = 0",
            params![client],
        )
    }

    /// Clients that should hold the key of a topic.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn clients_of_topic(&mut self, topic: i64, part: &Page) -> Result<Vec<String>> {
        let sql = paged!(
            "SELECT c.name FROM holdings h JOIN clients c ON c.id = h.client \
             WHERE h.kind = 1 AND h.subject = ?4 AND h.wish <> 0"
        );
        names(&self.query(sql, &page(part, params![topic]))?)
    }

    /// How many those are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_clients_of_topic(&mut self, topic: i64) -> Result<i64> {
        self.count(
            "SELECT COUNT(*) FROM holdings WHERE kind = 1 AND subject = ?1 AND wish <> 0",
            params![topic],
        )
    }

    /// Sources that are linked to a target.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn linked_clients(&mut self, target: i64, part: &Page) -> Result<Vec<String>> {
        let sql = paged!(
            "SELECT c.name FROM links l JOIN clients c ON c.id = l.source WHERE l.target = ?4"
        );
        names(&self.query(sql, &page(part, params![target]))?)
    }

    /// How many those are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_linked_clients(&mut self, target: i64) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM links WHERE target = ?1", params![target])
    }
}
