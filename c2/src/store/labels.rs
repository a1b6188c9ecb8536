// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Labels, and who is selected by them, by name or by pattern.

use super::Tx;
use super::database::{Row, params};
use crate::domain::{Result, Selector, Target};

/// A topic or a client that a target names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// 1 for a topic, 2 for a client.
    pub kind: i64,
    /// Its row.
    pub row: i64,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// The kind of topics, as it is stored.
    pub const TOPIC: i64 = 1;
    /// The kind of clients.
    pub const CLIENT: i64 = 2;
}

impl Tx<'_> {
    /// Gives a label.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn set_label(&mut self, kind: i64, row: i64, name: &str, value: &str) -> Result<()> {
        self.execute(
            "INSERT INTO labels (kind, subject, name, value) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (kind, subject, name) DO UPDATE SET value = EXCLUDED.value",
            params![kind, row, name, value],
        )?;
        Ok(())
    }

    /// Takes one away; false if there is none of the name.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn remove_label(&mut self, kind: i64, row: i64, name: &str) -> Result<bool> {
        let sql = "DELETE FROM labels WHERE kind = ?1 AND subject = ?2 AND name = ?3";
        Ok(self.execute(sql, params![kind, row, name])? > 0)
    }

    /// Takes all away.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn remove_labels(&mut self, kind: i64, row: i64) -> Result<()> {
        let sql = "DELETE FROM labels WHERE kind = ?1 AND subject = ?2";
        self.execute(sql, params![kind, row])?;
        Ok(())
    }

    /// Names and values, by name.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn labels(&mut self, kind: i64, row: i64) -> Result<Vec<(String, String)>> {
        let sql = "SELECT name, value FROM labels WHERE kind = ?1 AND subject = ?2 ORDER BY name";
        let rows = self.query(sql, params![kind, row])?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// Those that a target names, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn select(&mut self, target: &Target) -> Result<Vec<Subject>> {
        let (kind, selector) = match target {
            Target::Topics(selector) => (Subject::TOPIC, selector),
            Target::Clients(selector) => (Subject::CLIENT, selector),
        };
        let rows = match (kind, selector) {
            (Subject::TOPIC, Selector::Name(name)) => {
                let found = self.find_topic(name)?;
                return Ok(found
                    .map(|topic| subject(kind, topic.row, topic.name))
                    .into_iter()
                    .collect());
            }
            (_, Selector::Name(name)) => {
                let found = self.find_client(name)?;
                return Ok(found
                    .map(|client| subject(kind, client.row, client.name))
                    .into_iter()
                    .collect());
            }
            (Subject::TOPIC, Selector::Label { name, value }) => self.query(
                "SELECT t.id, t.name FROM labels l JOIN topics t ON t.id = l.subject \
                 WHERE l.kind = 1 AND l.name = ?1 AND l.value = ?2 AND t.removed = 0 ORDER BY t.id",
                params![name.as_str(), value.as_str()],
            )?,
            (_, Selector::Label { name, value }) => self.query(
                "SELECT c.id, c.name FROM labels l JOIN clients c ON c.id = l.subject \
                 WHERE l.kind = 2 AND l.name = ?1 AND l.value = ?2 AND c.removed = 0 ORDER BY c.id",
                params![name.as_str(), value.as_str()],
            )?,
            (Subject::TOPIC, _) => {
                self.query("SELECT id, name FROM topics WHERE removed = 0 ORDER BY id", &[])?
            }
            _ => self.query("SELECT id, name FROM clients WHERE removed = 0 ORDER BY id", &[])?,
        };
        let of = |row: &Row| Ok(subject(kind, row.int(0)?, row.text(1)?));
        let mut all = rows.iter().map(of).collect::<Result<Vec<_>>>()?;
        if let Selector::Wildcard(pattern) = selector {
            all.retain(|subject| fits(pattern, &subject.name));
        }
        Ok(all)
    }
}

fn subject(kind: i64, row: i64, name: String) -> Subject {
    Subject { kind, row, name }
}

/// Whether a name fits a pattern: `*` is any text, `?` any one character. It takes time in the
/// product of both lengths at most.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last star was, and from where on it is tried.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some(c) if *c == '?' || Some(c) == name.get(from) => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            _ => {}
        }
        let Some((place, tried)) = star else { return false };
        star = Some((place, tried + 1));
        (at, from) = (place + 1, tried + 1);
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("*", ""),
            ("plant/*", "plant/a/b"),
            ("plant/?", "plant/\u{e9}"),
            ("*/temperature", "a/b/temperature"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
            ("x", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "x"),
            ("plant/?", "plant/"),
            ("plant/*", "Plant/a"),
            ("a*b*c", "acb"),
            ("x", "xx"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
