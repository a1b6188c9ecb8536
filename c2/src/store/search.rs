// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Looking for audit records.

use super::Tx;
use super::database::params;
use crate::domain::{AuditRecord, Result, Search};

/// What stands anywhere in a text, for LIKE with `!` before what is meant as it is.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl Tx<'_> {
    /// Records from number `from` to `to`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn find_records(
        &mut self,
        search: &Search,
        [from, to]: [i64; 2],
        limit: i64,
    ) -> Result<Vec<AuditRecord>> {
        // Nothing that is stored has a NUL, and PostgreSQL takes none.
        if [&search.text, &search.actor, &search.action].iter().any(|text| text.contains('\0')) {
            return Ok(Vec::new());
        }
        let rows = self.query(
            "SELECT seq, at, actor, origin, action, detail FROM audit \
             WHERE seq >= ?1 AND seq <= ?2 AND at >= ?3 AND at < ?4 \
             AND (?5 = '' OR actor = ?5) AND (?6 = '' OR action = ?6) \
             AND (?7 = '%%' OR lower(detail) LIKE ?7 ESCAPE '!' \
             OR lower(origin) LIKE ?7 ESCAPE '!') ORDER BY seq DESC LIMIT ?8",
            params![
                from,
                to,
                search.from.unwrap_or(i64::MIN),
                search.until.unwrap_or(i64::MAX),
                search.actor.as_str(),
                search.action.as_str(),
                pattern(&search.text).as_str(),
                limit
            ],
        )?;
        rows.iter()
            .map(|row| {
                Ok(AuditRecord {
                    seq: row.int(0)?,
                    at: row.int(1)?,
                    actor: row.text(2)?,
                    origin: row.text(3)?,
                    action: row.text(4)?,
                    detail: row.text(5)?,
                })
            })
            .collect()
    }
}
