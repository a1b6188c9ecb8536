// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rotation policies, and how many had joined and left when they last rotated a key.

use super::database::{Row, params};
use super::{Subject, Tx};
use crate::domain::{Error, Page, Policy, Result, What};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, spec, paused, made_at, next_at, last_at, runs FROM policies ",
            $rest
        )
    };
}

fn policy(row: &Row) -> Result<Policy> {
    let spec = serde_json::from_str(&row.text(2)?);
    Ok(Policy {
        number: row.int(0)?,
        name: row.text(1)?,
        spec: spec.map_err(|error| Error::Store(format!("a policy is not understood: {error}")))?,
        paused: row.bool(3)?,
        made_at: row.int(4)?,
        next_at: row.int_or_null(5)?,
        last_at: row.int_or_null(6)?,
        runs: row.int(7)?,
    })
}

fn spec(policy: &Policy) -> Result<String> {
    serde_json::to_string(&policy.spec).map_err(|error| Error::Store(error.to_string()))
}

impl Tx<'_> {
    /// Adds one; false if the name is taken. It gets its number.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_policy(&mut self, policy: &mut Policy) -> Result<bool> {
        if self.find_policy(&policy.name)?.is_some() {
            return Ok(false);
        }
        policy.number = self.next("policies")?;
        self.execute(
            "INSERT INTO policies (id, name, spec, paused, made_at, next_at, last_at, runs) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                policy.number,
                policy.name.as_str(),
                spec(policy)?.as_str(),
                policy.paused,
                policy.made_at,
                policy.next_at,
                policy.last_at,
                policy.runs
            ],
        )?;
        Ok(true)
    }

    /// Stores what may change of one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn update_policy(&mut self, policy: &Policy) -> Result<()> {
        self.execute(
            "UPDATE policies SET spec = ?2, paused = ?3, next_at = ?4, last_at = ?5, runs = ?6 \
             WHERE id = ?1",
            params![
                policy.number,
                spec(policy)?.as_str(),
                policy.paused,
                policy.next_at,
                policy.last_at,
                policy.runs
            ],
        )?;
        Ok(())
    }

    /// One by its name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn policy(&mut self, name: &str) -> Result<Policy> {
        self.find_policy(name)?
            .ok_or_else(|| Error::NotFound { what: What::Policy, name: name.into() })
    }

    fn find_policy(&mut self, name: &str) -> Result<Option<Policy>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let row = self.query_one(select!("WHERE name = ?1"), params![name])?;
        row.as_ref().map(policy).transpose()
    }

    /// By name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn policies(&mut self, page: &Page) -> Result<Vec<Policy>> {
        // No name has a NUL, and PostgreSQL takes none.
        let after = page.after.as_deref().and_then(|after| after.split('\0').next());
        let rows = self.query(
            select!("WHERE name > ?1 ORDER BY name LIMIT ?2"),
            params![after.unwrap_or_default(), page.limit.clamp(0, Page::MAX)],
        )?;
        rows.iter().map(policy).collect()
    }

    /// Those that do not rest, by number.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn active_policies(&mut self) -> Result<Vec<Policy>> {
        let rows = self.query(select!("WHERE paused = 0 ORDER BY id"), &[])?;
        rows.iter().map(policy).collect()
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove_policy(&mut self, number: i64) -> Result<()> {
        self.execute("DELETE FROM policies WHERE id = ?1", params![number])?;
        self.execute("DELETE FROM policy_marks WHERE policy = ?1", params![number])?;
        Ok(())
    }

    /// Notes how many had joined and left every topic and client by now.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn mark_all(&mut self, policy: i64) -> Result<()> {
        self.execute("DELETE FROM policy_marks WHERE policy = ?1", params![policy])?;
        self.execute(
            "INSERT INTO policy_marks (policy, kind, subject, joins, leaves) \
             SELECT CAST(?1 AS BIGINT), 1, id, joins, leaves FROM topics \
             WHERE removed = 0 AND joins + leaves > 0",
            params![policy],
        )?;
        self.execute(
            "INSERT INTO policy_marks (policy, kind, subject, joins, leaves) \
             SELECT CAST(?1 AS BIGINT), 2, id, joins, leaves FROM clients \
             WHERE removed = 0 AND joins + leaves > 0",
            params![policy],
        )?;
        Ok(())
    }

    /// Notes it of those whose keys a campaign rotates.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn mark_items(&mut self, policy: i64, campaign: i64) -> Result<()> {
        self.execute(
            "INSERT INTO policy_marks (policy, kind, subject, joins, leaves) \
             SELECT CAST(?1 AS BIGINT), 1, t.id, t.joins, t.leaves FROM campaign_items i \
             JOIN topics t ON t.id = i.subject WHERE i.campaign = ?2 AND i.kind = 1 \
             ON CONFLICT (policy, kind, subject) \
             DO UPDATE SET joins = EXCLUDED.joins, leaves = EXCLUDED.leaves",
            params![policy, campaign],
        )?;
        self.execute(
            "INSERT INTO policy_marks (policy, kind, subject, joins, leaves) \
             SELECT CAST(?1 AS BIGINT), 2, c.id, c.joins, c.leaves FROM campaign_items i \
             JOIN clients c ON c.id = i.subject WHERE i.campaign = ?2 AND i.kind = 2 \
             ON CONFLICT (policy, kind, subject) \
             DO UPDATE SET joins = EXCLUDED.joins, leaves = EXCLUDED.leaves",
            params![policy, campaign],
        )?;
        Ok(())
    }

    /// Forgets what was noted of those that are gone.
    pub(super) fn forget_marks(&mut self) -> Result<()> {
        self.execute(
            "DELETE FROM policy_marks WHERE (kind = 1 AND NOT EXISTS \
             (SELECT id FROM topics WHERE id = policy_marks.subject)) OR (kind = 2 AND NOT EXISTS \
             (SELECT id FROM clients WHERE id = policy_marks.subject))",
            &[],
        )?;
        Ok(())
    }

    /// Rows of those that at least so many joined, or left, since a policy rotated their key; 0 for
    /// a number that does not count.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn moved_since(
        &mut self,
        policy: i64,
        kind: i64,
        joins: i64,
        leaves: i64,
    ) -> Result<Vec<i64>> {
        let sql = match kind {
            Subject::TOPIC => {
                "SELECT s.id FROM topics s LEFT JOIN policy_marks m \
                 ON m.policy = ?1 AND m.kind = 1 AND m.subject = s.id WHERE s.removed = 0 AND \
                 ((CAST(?2 AS BIGINT) > 0 AND s.joins - COALESCE(m.joins, 0) >= ?2) \
                 OR (CAST(?3 AS BIGINT) > 0 AND s.leaves - COALESCE(m.leaves, 0) >= ?3)) ORDER BY s.id"
            }
            _ => {
                "SELECT s.id FROM clients s LEFT JOIN policy_marks m \
                 ON m.policy = ?1 AND m.kind = 2 AND m.subject = s.id WHERE s.removed = 0 AND \
                 ((CAST(?2 AS BIGINT) > 0 AND s.joins - COALESCE(m.joins, 0) >= ?2) \
                 OR (CAST(?3 AS BIGINT) > 0 AND s.leaves - COALESCE(m.leaves, 0) >= ?3)) ORDER BY s.id"
            }
        };
        let rows = self.query(sql, params![policy, joins, leaves])?;
        rows.iter().map(|row| row.int(0)).collect()
    }
}
