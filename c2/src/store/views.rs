// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How clients and topics stand, for pages.

use std::collections::HashMap;

use e4::{Mode, TopicHash};

use super::Tx;
use super::database::{Row, params};
use super::holdings::target;
use crate::domain::{
    AuditRecord, Filter, LinkView, Millis, Outstanding, OwnKeys, Result, Standing, Standings,
    TopicRow, TopicStage,
};

/// What clients have not confirmed, counted by [`Standing`]. A client that answers and is at rest
/// has confirmed everything, unless it was not told of a change yet: then all are looked at (?1). The
/// words CROSS JOIN keep the order: first the few clients, then what they hold.
macro_rules! open {
    ($subjects:literal, $of:literal, $wanted:expr) => {
        concat!(
            "SELECT c.id, COUNT(*), COUNT(CASE WHEN h.sent <> ",
            $wanted,
            " OR (h.failed = 0 AND h.tries < 2 AND (c.answers = 1 OR h.handed = 0)) THEN 1 END), \
             COUNT(CASE WHEN h.sent = ",
            $wanted,
            " AND h.failed <> 0 THEN 1 END) \
             FROM clients c CROSS JOIN holdings h CROSS JOIN ",
            $subjects,
            " WHERE h.client = c.id AND ",
            $of,
            " AND c.removed = 0 AND (c.due_at IS NOT NULL OR c.answers = 0 \
             OR c.trouble IS NOT NULL OR CAST(?1 AS BIGINT) = 1) \
             AND (h.confirmed <> h.sent OR h.sent <> ",
            $wanted,
            ") GROUP BY c.id"
        )
    };
}

/// Restricts to what has a label: ?1 its name, empty for all; ?2 whether its value ?3 matters.
macro_rules! labelled {
    ($kind:literal, $id:literal) => {
        concat!(
            " AND (?1 = '' OR EXISTS (SELECT l.subject FROM labels l WHERE l.kind = ",
            $kind,
            " AND l.subject = ",
            $id,
            " AND l.name = ?1 AND (CAST(?2 AS BIGINT) = 0 OR l.value = ?3)))"
        )
    };
}

/// Topics with a label and a text in their name (?4, in small letters), at most ?6.
macro_rules! topics {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.hash, t.name, t.epoch, k.made_at, t.stage, t.stage_until FROM topics t \
             LEFT JOIN topic_keys k ON k.topic = t.id AND k.epoch = t.epoch WHERE t.removed = 0 \
             AND (?4 = '' OR replace(lower(t.name), ?4, '') <> lower(t.name))",
            labelled!("1", "t.id"), $rest
        )
    };
}

/// A client and how it stands.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Number of its row.
    pub row: i64,
    /// Name.
    pub name: String,
    /// What it has not confirmed.
    pub outstanding: Outstanding,
}

/// What a row of a list has beside that.
#[derive(Debug)]
pub struct Beside {
    /// When the client last showed itself.
    pub seen_at: Option<Millis>,
    /// Why it cannot be brought to what it should hold.
    pub trouble: Option<String>,
    /// Topics of which it should hold the key.
    pub topics: i64,
}

/// A client of a topic, and how it stands with its key.
#[derive(Debug)]
pub struct Membership {
    /// Name of the client.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// The epoch that it confirmed.
    pub confirmed: i64,
    /// Whether it only receives.
    pub receives: bool,
    /// When it last showed itself.
    pub seen_at: Option<Millis>,
}

/// The label of a filter: its name, whether the value matters, the value. What has a NUL is
/// nowhere, and PostgreSQL does not take it.
fn label(filter: &Filter) -> Option<(&str, bool, &str)> {
    let Some((name, value)) = &filter.label else { return Some(("", false, "")) };
    let text = value.as_deref().unwrap_or_default();
    let nowhere = name.is_empty() || name.contains('\0') || text.contains('\0');
    (!nowhere).then_some((name, value.is_some(), text))
}

impl Tx<'_> {
    /// The clients that have a label and a text in their name, and how they stand, by name.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn sights(&mut self, filter: &Filter) -> Result<Vec<Sight>> {
        let Some((name, has_value, value)) = label(filter) else { return Ok(Vec::new()) };
        let untold = self.count("SELECT COUNT(*) FROM fanouts", &[])? > 0;
        let topics = open!("topics t", "h.kind = 1 AND t.id = h.subject", target!());
        let mut found = self.query(topics, params![untold])?;
        let mut c2_epoch = 0;
        if self.mode() == Mode::PublicKey {
            let peers = open!(
                "clients p",
                "h.kind = 2 AND p.id = h.subject",
                "CASE WHEN p.removed = 1 THEN 0 ELSE h.wish END"
            );
            found.extend(self.query(peers, params![untold])?);
            c2_epoch = self.c2_epoch()?;
        }
        let mut open: HashMap<i64, [i64; 3]> = HashMap::with_capacity(found.len());
        for row in &found {
            let sum = open.entry(row.int(0)?).or_default();
            for (column, sum) in (1..).zip(sum) {
                *sum += row.int(column)?;
            }
        }
        let mut own = self.own_keys(c2_epoch)?;
        let rows = self.query(
            concat!(
                "SELECT c.id, c.name, c.answers, \
                 CAST(CASE WHEN c.trouble IS NULL THEN 0 ELSE 1 END AS BIGINT), \
                 CAST(CASE WHEN c.answers = 0 AND EXISTS (SELECT h.client FROM holdings h \
                 WHERE h.client = c.id AND h.wish <> 0) THEN 1 ELSE 0 END AS BIGINT) \
                 FROM clients c WHERE c.removed = 0",
                labelled!("2", "c.id"),
                " ORDER BY c.name"
            ),
            params![name, has_value, value],
        )?;
        let search = filter.search.to_lowercase();
        let mut sights = Vec::with_capacity(rows.len());
        for row in rows {
            let (client, name) = (row.int(0)?, row.text(1)?);
            if !search.is_empty() && !name.to_lowercase().contains(&search) {
                continue;
            }
            let mut outstanding = own.remove(&client).unwrap_or_default();
            (outstanding.answers, outstanding.trouble) = (row.bool(2)?, row.bool(3)?);
            outstanding.holds = row.bool(4)?;
            if let Some([all, moving, failed]) = open.get(&client) {
                outstanding.open += all;
                outstanding.moving += moving;
                outstanding.failed += failed;
            }
            sights.push(Sight { row: client, name, outstanding });
        }
        Ok(sights)
    }

    /// What clients have not confirmed of keys of their own, of C2's and of resets.
    fn own_keys(&mut self, c2_epoch: i64) -> Result<HashMap<i64, Outstanding>> {
        let rows = self.query(
            "SELECT id, answers, key_epoch, key_confirmed, key_handed, key_tries, c2_confirmed, \
             c2_handed, c2_tries, reset, drift FROM clients WHERE removed = 0 \
             AND (key_confirmed < key_epoch OR c2_confirmed < ?1 OR reset <> 0)",
            params![c2_epoch],
        )?;
        rows.iter()
            .map(|row| {
                let own = OwnKeys {
                    answers: row.bool(1)?,
                    trouble: false,
                    key: [row.int(2)?, row.int(3)?, row.int(4)?],
                    key_tries: row.int(5)?,
                    c2: [c2_epoch, row.int(6)?, row.int(7)?],
                    c2_tries: row.int(8)?,
                    reset: row.int(9)?,
                    drift: row.int(10)?,
                };
                Ok((row.int(0)?, own.outstanding()))
            })
            .collect()
    }

    /// What a list shows of a client beside how it stands; none if it is not there.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn beside(&mut self, client: i64) -> Result<Option<Beside>> {
        let row = self.query_one(
            "SELECT seen_at, trouble, (SELECT COUNT(*) FROM holdings h \
             JOIN topics t ON t.id = h.subject WHERE h.client = ?1 AND h.kind = 1 \
             AND h.wish <> 0 AND t.removed = 0) FROM clients WHERE id = ?1",
            params![client],
        )?;
        row.map(|row| {
            Ok(Beside {
                seen_at: row.int_or_null(0)?,
                trouble: row.text_or_null(1)?,
                topics: row.int(2)?,
            })
        })
        .transpose()
    }

    /// When a client was added.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn client_made_at(&mut self, client: i64) -> Result<Millis> {
        self.count("SELECT made_at FROM clients WHERE id = ?1", params![client])
    }

    /// What of a client's topics only receives, by row of the topic.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn receives(&mut self, client: i64) -> Result<Vec<i64>> {
        let rows = self.query(
            "SELECT subject FROM holdings WHERE client = ?1 AND kind = 1 AND receives = 1",
            params![client],
        )?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Names of clients that get the public key of one when it changes, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn link_targets(&mut self, source: i64, limit: i64) -> Result<Vec<String>> {
        let rows = self.query(
            "SELECT c.name FROM links l JOIN clients c ON c.id = l.target WHERE l.source = ?1 \
             ORDER BY c.name LIMIT ?2",
            params![source, limit],
        )?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Links by target and source, after those of a target and a source.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn links(&mut self, after: (&str, &str), limit: i64) -> Result<Vec<LinkView>> {
        let rows = self.query(
            "SELECT s.name, g.name, s.key_epoch, h.wish, h.sent, h.handed, h.confirmed, h.failed, \
             h.tries, g.answers FROM links l JOIN clients g ON g.id = l.target \
             JOIN clients s ON s.id = l.source LEFT JOIN holdings h ON h.client = l.target \
             AND h.kind = 2 AND h.subject = l.source AND h.wish <> 0 \
             WHERE g.name > ?1 OR (g.name = ?1 AND s.name > ?2) ORDER BY g.name, s.name LIMIT ?3",
            params![after.0, after.1, limit],
        )?;
        rows.iter()
            .map(|row| {
                let standing = match row.int_or_null(3)? {
                    Some(wish) => Some(standing(row, wish, 4, row.bool(9)?)?),
                    None => None,
                };
                Ok(LinkView { source: row.text(0)?, target: row.text(1)?, standing })
            })
            .collect()
    }

    /// How many links there are.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_links(&mut self) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM links", &[])
    }

    /// Topics that have a label and a text in their name, in the order of their names, from after
    /// a name on; or those before it, backwards.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_stages(
        &mut self,
        filter: &Filter,
        from: &str,
        backwards: bool,
        limit: i64,
    ) -> Result<Vec<TopicStage>> {
        let Some((name, has_value, value)) = label(filter) else { return Ok(Vec::new()) };
        let search = filter.search.to_ascii_lowercase();
        if search.contains('\0') || from.contains('\0') {
            return Ok(Vec::new());
        }
        // In the words of the index.
        let sql = match backwards {
            false => topics!(
                " AND substr(t.name, 1, 400) >= substr(?5, 1, 400) AND t.name > ?5 \
                 ORDER BY substr(t.name, 1, 400), t.name LIMIT ?6"
            ),
            true => topics!(
                " AND substr(t.name, 1, 400) <= substr(?5, 1, 400) AND t.name < ?5 \
                 ORDER BY substr(t.name, 1, 400) DESC, t.name DESC LIMIT ?6"
            ),
        };
        let rows =
            self.query(sql, params![name, has_value, value, search.as_str(), from, limit])?;
        rows.iter().map(topic_stage).collect()
    }

    /// How many those are, all together.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn count_topic_stages(&mut self, filter: &Filter) -> Result<i64> {
        let Some((name, has_value, value)) = label(filter) else { return Ok(0) };
        let search = filter.search.to_ascii_lowercase();
        if search.contains('\0') {
            return Ok(0);
        }
        self.count(
            concat!(
                "SELECT COUNT(*) FROM topics t WHERE t.removed = 0 \
                 AND (?4 = '' OR replace(lower(t.name), ?4, '') <> lower(t.name))",
                labelled!("1", "t.id")
            ),
            params![name, has_value, value, search.as_str()],
        )
    }

    /// A topic by its name.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::domain::Error::NotFound).
    pub fn topic_stage(&mut self, name: &str) -> Result<TopicStage> {
        let topic = self.topic(name)?;
        let row = self.query_one(
            "SELECT t.id, t.hash, t.name, t.epoch, k.made_at, t.stage, t.stage_until \
             FROM topics t LEFT JOIN topic_keys k ON k.topic = t.id AND k.epoch = t.epoch \
             WHERE t.id = ?1",
            params![topic.row],
        )?;
        let none = TopicStage { topic, rotated_at: None, stage: 0, stage_until: 0 };
        row.as_ref().map_or(Ok(none), topic_stage)
    }

    /// How many clients a topic has, those that are told to forget it among them: from an index.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn weight(&mut self, topic: i64) -> Result<i64> {
        self.count("SELECT COUNT(*) FROM holdings WHERE kind = 1 AND subject = ?1", params![topic])
    }

    /// The clients of a topic by how they stand with its key.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_standings(&mut self, at: &TopicStage) -> Result<Standings> {
        let (newest, other) = targets(at);
        // Who answers is looked up only where it matters.
        let rows = self.query(
            "SELECT standing, COUNT(*) FROM (SELECT CAST(CASE WHEN h.sent <> CASE WHEN h.receives = 1 \
             THEN CAST(?2 AS BIGINT) ELSE CAST(?3 AS BIGINT) END THEN 1 \
             WHEN h.confirmed = h.sent THEN 0 WHEN h.failed <> 0 THEN 4 \
             WHEN h.tries < 2 AND h.handed = 0 THEN 1 \
             WHEN (SELECT c.answers FROM clients c WHERE c.id = h.client) = 0 THEN 3 \
             WHEN h.tries < 2 THEN 1 ELSE 2 END AS BIGINT) AS standing FROM holdings h \
             WHERE h.kind = 1 AND h.subject = ?1 AND h.wish <> 0) AS members GROUP BY standing",
            params![at.topic.row, newest, other],
        )?;
        let mut all = Standings::default();
        for row in &rows {
            let index = usize::try_from(row.int(0)?).unwrap_or_default();
            if let Some(standing) = Standing::ALL.get(index) {
                all.add_many(*standing, row.int(1)?);
            }
        }
        Ok(all)
    }

    /// The clients of a topic by name, and how they stand with its key.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn memberships(&mut self, at: &TopicStage) -> Result<Vec<Membership>> {
        let (newest, other) = targets(at);
        let rows = self.query(
            "SELECT c.name, c.answers, h.receives, c.seen_at, h.sent, h.handed, h.confirmed, \
             h.failed, h.tries FROM holdings h JOIN clients c ON c.id = h.client \
             WHERE h.kind = 1 AND h.subject = ?1 AND h.wish <> 0 ORDER BY c.name",
            params![at.topic.row],
        )?;
        rows.iter()
            .map(|row| {
                let receives = row.bool(2)?;
                let target = if receives { newest } else { other };
                Ok(Membership {
                    name: row.text(0)?,
                    standing: standing(row, target, 4, row.bool(1)?)?,
                    confirmed: row.int(6)?.max(0),
                    receives,
                    seen_at: row.int_or_null(3)?,
                })
            })
            .collect()
    }

    /// Records up to a number and after another one that have a text in their detail, newest
    /// first, at most `limit`. Where small and capital letters differ, others come along.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn records_with(
        &mut self,
        text: &str,
        [after, to]: [i64; 2],
        limit: i64,
    ) -> Result<Vec<AuditRecord>> {
        let pattern: String = text
            .chars()
            .flat_map(|letter| {
                matches!(letter, '%' | '_' | '!').then_some('!').into_iter().chain([letter])
            })
            .collect();
        let pattern = format!("%{pattern}%");
        let rows = self.query(
            "SELECT seq, at, actor, origin, action, detail FROM audit WHERE seq > ?1 \
             AND seq <= ?2 AND detail LIKE ?3 ESCAPE '!' ORDER BY seq DESC LIMIT ?4",
            params![after, to, pattern.as_str(), limit],
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

/// What clients of a topic should hold: who only receives, and the others.
fn targets(at: &TopicStage) -> (i64, i64) {
    let newest = at.topic.epoch;
    (newest, if at.stage == 1 { newest - 1 } else { newest })
}

/// From sent, handed, confirmed, failed, tries.
fn standing(row: &Row, target: i64, from: usize, answers: bool) -> Result<Standing> {
    let (sent, handed, confirmed) = (row.int(from)?, row.bool(from + 1)?, row.int(from + 2)?);
    let (failed, tries) = (row.int(from + 3)?, row.int(from + 4)?);
    Ok(Standing::new([target, sent, confirmed], handed, failed, tries, answers))
}

fn topic_stage(row: &Row) -> Result<TopicStage> {
    Ok(TopicStage {
        topic: TopicRow {
            row: row.int(0)?,
            hash: TopicHash::from_bytes(row.array(1)?),
            name: row.text(2)?,
            epoch: row.int(3)?,
        },
        rotated_at: row.int_or_null(4)?,
        stage: row.int(5)?,
        stage_until: row.int(6)?,
    })
}
