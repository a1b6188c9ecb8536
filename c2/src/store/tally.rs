// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How all clients and all topics stand, in one pass over what is not confirmed.

use std::collections::HashMap;

use e4::Mode;

use super::Tx;
use super::database::params;
use super::holdings::target;
use crate::domain::{Outstanding, OwnKeys, Result, Standing, Standings};

/// Everything, counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Clients by how they stand.
    pub clients: Standings,
    /// Topics, by name.
    pub topics: Vec<TopicTally>,
}

/// A topic, counted.
#[derive(Clone, Debug)]
pub struct TopicTally {
    /// Name.
    pub name: String,
    /// Number of its key.
    pub epoch: i64,
    /// Its clients by how they stand with it.
    pub members: Standings,
}

/// What each topic has but for those that confirmed, by its row.
type Open = HashMap<i64, OpenOf>;

#[derive(Default)]
struct OpenOf {
    members: Standings,
    /// How many are told to forget it.
    leaving: i64,
}

/// Adds what a number of [`open_topics`] says, so often.
fn add(topics: &mut Open, packed: i64, count: i64) -> Standing {
    let standing = standing(packed & 7);
    let topic = topics.entry(packed >> 4).or_default();
    if packed & 8 == 0 {
        topic.leaving += count;
    } else {
        topic.members.add_many(standing, count);
    }
    standing
}

/// What is not confirmed: what is selected, then its standing. A client that answers and is at rest
/// has confirmed everything, unless it was not told of a change yet: then all are looked at (?1).
/// The words CROSS JOIN keep the order: first the few clients, then what they hold.
macro_rules! open {
    ($select:literal, $subjects:literal, $of:literal, $wanted:expr) => {
        concat!(
            $select,
            ", CAST(CASE WHEN h.sent <> ",
            $wanted,
            " THEN 1 WHEN h.failed <> 0 THEN 4 WHEN h.tries < 2 AND h.handed = 0 THEN 1 \
             WHEN c.answers = 0 THEN 3 WHEN h.tries < 2 THEN 1 ELSE 2 END \
             AS BIGINT) AS standing FROM clients c CROSS JOIN holdings h CROSS JOIN ",
            $subjects,
            " WHERE h.client = c.id AND ",
            $of,
            " AND c.removed = 0 AND (c.due_at IS NOT NULL OR c.answers = 0 \
             OR c.trouble IS NOT NULL OR CAST(?1 AS BIGINT) = 1) \
             AND (h.confirmed <> h.sent OR h.sent <> ",
            $wanted,
            ")"
        )
    };
}

/// The same of topics; the subject, whether it is wanted and the standing in one number: rows cost
/// less the fewer columns they have.
macro_rules! open_topics {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM (",
            open!(
                "SELECT c.id AS client, h.subject, \
                 CAST(CASE WHEN h.wish = 0 THEN 0 ELSE 1 END AS BIGINT) AS wanted",
                "topics t",
                "h.kind = 1 AND t.id = h.subject",
                target!()
            ),
            ") AS open",
            $rest
        )
    };
}

const OPEN_TOPICS: &str = open_topics!("SELECT subject * 16 + wanted * 8 + standing, client", "");
const OPEN_OF_TOPICS: &str = open_topics!(
    "SELECT subject * 16 + wanted * 8 + standing, COUNT(*)",
    " GROUP BY subject, wanted, standing"
);
const OPEN_PEERS: &str = open!(
    "SELECT c.id",
    "clients p",
    "h.kind = 2 AND p.id = h.subject",
    "CASE WHEN p.removed = 1 THEN 0 ELSE h.wish END"
);

impl Tx<'_> {
    /// How all clients and topics stand.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn tally(&mut self) -> Result<Tally> {
        let untold = self.is_any_untold()?;
        let mut clients: HashMap<i64, Outstanding> = HashMap::new();
        let mut topics = Open::new();
        for row in self.query(OPEN_TOPICS, params![untold])? {
            let standing = add(&mut topics, row.int(0)?, 1);
            note(clients.entry(row.int(1)?).or_default(), standing);
        }
        let mut c2_epoch = 0;
        if self.mode() == Mode::PublicKey {
            c2_epoch = self.c2_epoch()?;
            for row in self.query(OPEN_PEERS, params![untold])? {
                note(clients.entry(row.int(0)?).or_default(), standing(row.int(1)?));
            }
        }
        let mut tally = Tally { topics: self.with_confirmed(topics)?, ..Tally::default() };
        self.tally_clients(&mut tally.clients, c2_epoch, clients)?;
        Ok(tally)
    }

    /// How all topics stand.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn tally_topics(&mut self) -> Result<Vec<TopicTally>> {
        let untold = self.is_any_untold()?;
        let mut topics = Open::new();
        for row in self.query(OPEN_OF_TOPICS, params![untold])? {
            add(&mut topics, row.int(0)?, row.int(1)?);
        }
        self.with_confirmed(topics)
    }

    /// Whether some clients were not told of a change yet.
    fn is_any_untold(&mut self) -> Result<bool> {
        Ok(self.count("SELECT COUNT(*) FROM fanouts", &[])? > 0)
    }

    /// All topics: who is not among those that have something open has confirmed.
    fn with_confirmed(&mut self, mut open: Open) -> Result<Vec<TopicTally>> {
        // In the index alone: whoever is there, those who are told to forget included.
        let rows = self
            .query("SELECT subject, COUNT(*) FROM holdings WHERE kind = 1 GROUP BY subject", &[])?;
        let mut totals = HashMap::with_capacity(rows.len());
        for row in rows {
            totals.insert(row.int(0)?, row.int(1)?);
        }
        let rows = self.query(
            "SELECT id, name, epoch FROM topics WHERE removed = 0 ORDER BY substr(name, 1, 400), \
             name",
            &[],
        )?;
        rows.iter()
            .map(|row| {
                let id = row.int(0)?;
                let OpenOf { mut members, leaving } = open.remove(&id).unwrap_or_default();
                let all = totals.get(&id).copied().unwrap_or_default() - leaving;
                members.add_many(Standing::Confirmed, (all - members.all()).max(0));
                Ok(TopicTally { name: row.text(1)?, epoch: row.int(2)?, members })
            })
            .collect()
    }

    fn tally_clients(
        &mut self,
        sum: &mut Standings,
        c2_epoch: i64,
        mut open: HashMap<i64, Outstanding>,
    ) -> Result<()> {
        // Of who answers, has its keys and is in no trouble everything is said.
        let rows = self.query(
            "SELECT c.id, c.answers, \
             CAST(CASE WHEN c.trouble IS NULL THEN 0 ELSE 1 END AS BIGINT), \
             c.key_epoch, c.key_confirmed, c.key_handed, c.key_tries, c.c2_confirmed, c.c2_handed, c.c2_tries, \
             c.reset, c.drift, CAST(CASE WHEN c.answers = 0 AND EXISTS (SELECT \
             h.client FROM holdings h WHERE h.client = c.id AND h.wish <> 0) THEN 1 ELSE 0 END \
             AS BIGINT) \
             FROM clients c WHERE c.removed = 0 AND (c.answers = 0 OR c.trouble IS NOT NULL \
             OR c.key_confirmed < c.key_epoch OR c.c2_confirmed < ?1 OR c.reset <> 0)",
            params![c2_epoch],
        )?;
        for row in &rows {
            let keys = OwnKeys {
                answers: row.bool(1)?,
                trouble: row.bool(2)?,
                key: [row.int(3)?, row.int(4)?, row.int(5)?],
                key_tries: row.int(6)?,
                c2: [c2_epoch, row.int(7)?, row.int(8)?],
                c2_tries: row.int(9)?,
                reset: row.int(10)?,
                drift: row.int(11)?,
            };
            let mut outstanding = keys.outstanding();
            outstanding.holds = row.bool(12)?;
            if let Some(open) = open.remove(&row.int(0)?) {
                outstanding.open += open.open;
                outstanding.moving += open.moving;
                outstanding.failed += open.failed;
            }
            sum.add(Standing::of_client(&outstanding));
        }
        for outstanding in open.into_values() {
            sum.add(Standing::of_client(&Outstanding { answers: true, ..outstanding }));
        }
        let rest = self.count_clients()? - sum.all();
        sum.add_many(Standing::Confirmed, rest.max(0));
        Ok(())
    }
}

fn standing(number: i64) -> Standing {
    let index = usize::try_from(number).unwrap_or_default();
    Standing::ALL.get(index).copied().unwrap_or(Standing::OnItsWay)
}

/// One thing more that a client has not confirmed.
fn note(client: &mut Outstanding, standing: Standing) {
    client.open += 1;
    client.moving += i64::from(standing == Standing::OnItsWay);
    client.failed += i64::from(standing == Standing::Failed);
}
