// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs of policies, and the keys that they rotate.

use std::sync::LazyLock;

use super::database::{Param, Row, params};
use super::{Subject, Tx};
use crate::domain::{
    Campaign, CampaignItem, CampaignState, Error, ItemState, Millis, Pace, Result, What,
};

/// A campaign as it is stored.
#[derive(Clone, Debug)]
pub struct CampaignRow {
    /// Number, never used again.
    pub number: i64,
    /// Number of the policy.
    pub policy: i64,
    /// Name of the policy.
    pub name: String,
    /// How it goes.
    pub pace: Pace,
    /// How it stands.
    pub state: CampaignState,
    /// Why it stands so.
    pub why: Option<String>,
    /// When it began.
    pub made_at: Millis,
    /// When it was resumed last, or began.
    pub resumed_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// When something of it is due.
    pub next_at: Option<Millis>,
}

/// How many keys of a campaign had their turn since it was resumed, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Those whose turn came.
    pub all: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that failed of the ones that come first.
    pub canaries_failed: i64,
    /// Those that come first and are not through.
    pub canaries_open: i64,
    /// Those whose turn came within the last minute.
    pub last_minute: i64,
    /// When a turn came last.
    pub last_at: Option<Millis>,
    /// When the turn came of the one that has not been confirmed the longest.
    pub oldest_at: Option<Millis>,
}

/// Keys that are written with one statement.
const TOGETHER: usize = 50;

macro_rules! insert_items {
    () => {
        "INSERT INTO campaign_items (campaign, position, kind, subject, canary, state, epoch) VALUES "
    };
}

static MANY_ITEMS: LazyLock<String> = LazyLock::new(|| {
    let row = |at: usize| {
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|column| at * 5 + column);
        format!("(?{a}, ?{b}, ?{c}, ?{d}, ?{e}, 0, 0)")
    };
    let rows: Vec<String> = (0..TOGETHER).map(row).collect();
    format!("{}{}", insert_items!(), rows.join(", "))
});

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, policy, name, spec, state, why, made_at, resumed_at, ended_at, next_at \
             FROM campaigns ",
            $rest
        )
    };
}

fn campaign(row: &Row) -> Result<CampaignRow> {
    let unknown = |what: &str| Error::Store(format!("{what} of a campaign is not understood"));
    Ok(CampaignRow {
        number: row.int(0)?,
        policy: row.int(1)?,
        name: row.text(2)?,
        pace: serde_json::from_str(&row.text(3)?).map_err(|_| unknown("the pace"))?,
        state: CampaignState::from_number(row.int(4)?).ok_or_else(|| unknown("the state"))?,
        why: row.text(5).ok(),
        made_at: row.int(6)?,
        resumed_at: row.int(7)?,
        ended_at: row.int_or_null(8)?,
        next_at: row.int_or_null(9)?,
    })
}

impl Tx<'_> {
    /// Adds one with its keys, the ones that come first first. It gets its number.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_campaign(
        &mut self,
        campaign: &mut CampaignRow,
        items: &[(Subject, bool)],
    ) -> Result<()> {
        campaign.number = self.next("campaigns")?;
        let pace = serde_json::to_string(&campaign.pace);
        let pace = pace.map_err(|error| Error::Store(error.to_string()))?;
        self.execute(
            "INSERT INTO campaigns (id, policy, name, spec, state, why, made_at, resumed_at, \
             ended_at, next_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                campaign.number,
                campaign.policy,
                campaign.name.as_str(),
                pace.as_str(),
                campaign.state as i64,
                campaign.why.as_deref(),
                campaign.made_at,
                campaign.resumed_at,
                campaign.ended_at,
                campaign.next_at
            ],
        )?;
        let rows: Vec<[Param; 5]> = (1i64..)
            .zip(items)
            .map(|(position, (subject, canary))| {
                [
                    campaign.number.into(),
                    position.into(),
                    subject.kind.into(),
                    subject.row.into(),
                    (*canary).into(),
                ]
            })
            .collect();
        for rows in rows.chunks(TOGETHER) {
            if rows.len() == TOGETHER {
                self.execute(&MANY_ITEMS, rows.as_flattened())?;
                continue;
            }
            for row in rows {
                self.execute(concat!(insert_items!(), "(?1, ?2, ?3, ?4, ?5, 0, 0)"), row)?;
            }
        }
        Ok(())
    }

    /// Forgets the oldest campaigns of a policy that have ended, but for so many and so many keys.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn forget_campaigns(&mut self, policy: i64, campaigns: i64, keys: i64) -> Result<()> {
        let row = self.query_one(
            "SELECT MAX(id) FROM (SELECT id, state, SUM(keys) OVER (ORDER BY id DESC) AS keys, \
             ROW_NUMBER() OVER (ORDER BY id DESC) AS place FROM (SELECT c.id, c.state, \
             (SELECT COUNT(*) FROM campaign_items i WHERE i.campaign = c.id) AS keys \
             FROM campaigns c WHERE c.policy = ?1) AS counted) AS ranked \
             WHERE state > 3 AND (place > CAST(?2 AS BIGINT) OR keys > CAST(?3 AS BIGINT))",
            params![policy, campaigns, keys],
        )?;
        let Some(last) = row.map_or(Ok(None), |row| row.int_or_null(0))? else { return Ok(()) };
        self.execute(
            "DELETE FROM campaign_items WHERE campaign IN \
             (SELECT id FROM campaigns WHERE policy = ?1 AND id <= ?2 AND state > 3)",
            params![policy, last],
        )?;
        self.execute(
            "DELETE FROM campaigns WHERE policy = ?1 AND id <= ?2 AND state > 3",
            params![policy, last],
        )?;
        Ok(())
    }

    /// Stores what may change of one.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn update_campaign(&mut self, campaign: &CampaignRow) -> Result<()> {
        self.execute(
            "UPDATE campaigns SET state = ?2, why = ?3, resumed_at = ?4, ended_at = ?5, \
             next_at = ?6 WHERE id = ?1",
            params![
                campaign.number,
                campaign.state as i64,
                campaign.why.as_deref(),
                campaign.resumed_at,
                campaign.ended_at,
                campaign.next_at
            ],
        )?;
        Ok(())
    }

    /// One by its number.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn campaign_row(&mut self, number: i64) -> Result<CampaignRow> {
        let row = self.query_one(select!("WHERE id = ?1"), params![number])?;
        let none = || Error::NotFound { what: What::Campaign, name: number.to_string() };
        row.as_ref().map(campaign).transpose()?.ok_or_else(none)
    }

    /// Those of which something is due.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn due_campaigns(&mut self, now: Millis) -> Result<Vec<CampaignRow>> {
        let rows =
            self.query(select!("WHERE next_at <= ?1 AND state = 1 ORDER BY id"), params![now])?;
        rows.iter().map(campaign).collect()
    }

    /// When something of a campaign is due next.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn next_campaign(&mut self) -> Result<Option<Millis>> {
        let sql = "SELECT MIN(next_at) FROM campaigns WHERE state = 1 AND next_at IS NOT NULL";
        self.query_one(sql, &[])?.map_or(Ok(None), |row| row.int_or_null(0))
    }

    /// The runs of a policy that have not ended.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn open_campaigns(&mut self, policy: i64) -> Result<Vec<CampaignRow>> {
        let rows =
            self.query(select!("WHERE policy = ?1 AND state <= 3 ORDER BY id"), params![policy])?;
        rows.iter().map(campaign).collect()
    }

    /// The number of a run of a policy that has keys whose turn has not come; none if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn busy_campaign(&mut self, policy: i64) -> Result<Option<i64>> {
        let row = self.query_one(
            "SELECT id FROM campaigns WHERE policy = ?1 AND state <= 3 AND EXISTS (SELECT i.position \
             FROM campaign_items i WHERE i.campaign = campaigns.id AND i.state = 0) \
             ORDER BY id LIMIT 1",
            params![policy],
        )?;
        row.map(|row| row.int(0)).transpose()
    }

    /// The newest ones before a number, of a policy by name or of all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn campaigns(
        &mut self,
        policy: Option<&str>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Campaign>> {
        let policy = policy.map(|name| name.split('\0').next().unwrap_or_default());
        let rows = match policy {
            Some(policy) => self.query(
                select!("WHERE id < ?1 AND name = ?3 ORDER BY id DESC LIMIT ?2"),
                params![before, limit, policy],
            )?,
            None => self.query(
                select!("WHERE id < ?1 ORDER BY id DESC LIMIT ?2"),
                params![before, limit],
            )?,
        };
        let rows = rows.iter().map(campaign).collect::<Result<Vec<_>>>()?;
        rows.into_iter().map(|row| self.with_counts(row)).collect()
    }

    /// A campaign with its numbers.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn with_counts(&mut self, row: CampaignRow) -> Result<Campaign> {
        let rows = self.query(
            "SELECT state, COUNT(*) FROM campaign_items WHERE campaign = ?1 GROUP BY state",
            params![row.number],
        )?;
        let mut counts = [0; 5];
        for row in &rows {
            let place = usize::try_from(row.int(0)?).ok().and_then(|state| counts.get_mut(state));
            if let Some(place) = place {
                *place = row.int(1)?;
            }
        }
        let [waiting, rotated, confirmed, failed, gone] = counts;
        Ok(Campaign {
            number: row.number,
            policy: row.policy,
            name: row.name,
            state: row.state,
            why: row.why,
            made_at: row.made_at,
            ended_at: row.ended_at,
            next_at: row.next_at,
            total: counts.iter().sum(),
            waiting,
            rotated,
            confirmed,
            failed,
            gone,
        })
    }

    /// Keys of a campaign after a position, of a state or all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn campaign_items(
        &mut self,
        campaign: i64,
        state: Option<ItemState>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<CampaignItem>> {
        let state = state.map_or(-1, |state| state as i64);
        let rows = self.query(
            "SELECT i.position, i.kind, i.canary, i.state, i.epoch, i.begun_at, i.ended_at, i.why, \
             CASE WHEN i.kind = 1 THEN (SELECT name FROM topics WHERE id = i.subject) \
             ELSE (SELECT name FROM clients WHERE id = i.subject) END FROM campaign_items i \
             WHERE i.campaign = ?1 AND i.position > ?2 AND (CAST(?4 AS BIGINT) < 0 OR i.state = ?4) \
             ORDER BY i.position LIMIT ?3",
            params![campaign, after, limit, state],
        )?;
        let item = |row: &Row| {
            Ok(CampaignItem {
                position: row.int(0)?,
                topic: row.int(1)? == Subject::TOPIC,
                canary: row.bool(2)?,
                state: ItemState::from_number(row.int(3)?)
                    .ok_or_else(|| Error::Store("the state of a key is not understood".into()))?,
                epoch: row.int(4)?,
                begun_at: row.int_or_null(5)?,
                ended_at: row.int_or_null(6)?,
                why: row.text(7).ok(),
                name: row.text(8).unwrap_or_default(),
            })
        };
        rows.iter().map(item).collect()
    }

    /// Positions, kinds and names of keys whose turn may come, in their order.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn waiting_items(
        &mut self,
        campaign: i64,
        canaries: bool,
        limit: i64,
    ) -> Result<Vec<(i64, Subject)>> {
        let rows = self.query(
            "SELECT i.position, i.kind, i.subject, \
             CASE WHEN i.kind = 1 THEN (SELECT name FROM topics WHERE id = i.subject) \
             ELSE (SELECT name FROM clients WHERE id = i.subject) END FROM campaign_items i \
             WHERE i.campaign = ?1 AND i.state = 0 AND (i.canary = 1 OR CAST(?2 AS BIGINT) = 0) \
             ORDER BY i.position LIMIT ?3",
            params![campaign, canaries, limit],
        )?;
        let of = |row: &Row| {
            let name = row.text(3).unwrap_or_default();
            Ok((row.int(0)?, Subject { kind: row.int(1)?, row: row.int(2)?, name }))
        };
        rows.iter().map(of).collect()
    }

    /// Notes that the turn of a key came.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn begin_item(
        &mut self,
        campaign: i64,
        position: i64,
        epoch: i64,
        now: Millis,
    ) -> Result<()> {
        self.execute(
            "UPDATE campaign_items SET state = 1, epoch = ?3, begun_at = ?4 \
             WHERE campaign = ?1 AND position = ?2",
            params![campaign, position, epoch, now],
        )?;
        Ok(())
    }

    /// Notes that a key whose turn came was refused.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn refuse_item(
        &mut self,
        campaign: i64,
        position: i64,
        why: &str,
        now: Millis,
    ) -> Result<()> {
        self.execute(
            "UPDATE campaign_items SET state = 3, begun_at = ?3, ended_at = ?3, why = ?4 \
             WHERE campaign = ?1 AND position = ?2",
            params![campaign, position, now, why],
        )?;
        Ok(())
    }

    /// Looks what became of the keys whose turn came.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn settle_items(&mut self, campaign: i64, patience: Millis, now: Millis) -> Result<()> {
        // What went before its turn, or after it.
        self.execute(
            "UPDATE campaign_items SET state = 4, ended_at = ?2 WHERE campaign = ?1 \
             AND state IN (0, 1) AND ((kind = 1 AND NOT EXISTS \
             (SELECT id FROM topics WHERE id = campaign_items.subject AND removed = 0)) \
             OR (kind = 2 AND NOT EXISTS \
             (SELECT id FROM clients WHERE id = campaign_items.subject AND removed = 0)))",
            params![campaign, now],
        )?;
        // Who never answers is through when the broker took the key.
        self.execute(
            "UPDATE campaign_items SET state = 2, ended_at = ?2, why = NULL WHERE campaign = ?1 \
             AND state IN (1, 3) AND epoch > 0 AND kind = 2 AND EXISTS (SELECT c.id FROM clients c \
             WHERE c.id = campaign_items.subject AND (c.key_confirmed >= campaign_items.epoch \
             OR (c.answers = 0 AND c.key_handed >= campaign_items.epoch)))",
            params![campaign, now],
        )?;
        self.execute(
            "UPDATE campaign_items SET state = 2, ended_at = ?2, why = NULL WHERE campaign = ?1 \
             AND state IN (1, 3) AND epoch > 0 AND kind = 1 AND NOT EXISTS (SELECT h.client FROM holdings h \
             JOIN clients c ON c.id = h.client WHERE h.kind = 1 \
             AND h.subject = campaign_items.subject AND h.wish <> 0 \
             AND NOT ((h.confirmed >= campaign_items.epoch AND h.sent >= campaign_items.epoch) \
             OR (c.answers = 0 AND h.handed = 1 AND h.sent >= campaign_items.epoch)))",
            params![campaign, now],
        )?;
        self.execute(
            "UPDATE campaign_items SET state = 3, ended_at = ?2, \
             why = (SELECT trouble FROM clients WHERE id = campaign_items.subject) \
             WHERE campaign = ?1 AND state = 1 AND kind = 2 AND EXISTS (SELECT c.id \
             FROM clients c WHERE c.id = campaign_items.subject AND c.trouble IS NOT NULL)",
            params![campaign, now],
        )?;
        self.execute(
            "UPDATE campaign_items SET state = 3, ended_at = ?2, why = 'a client refused the key' \
             WHERE campaign = ?1 AND state = 1 AND kind = 1 AND EXISTS (SELECT h.client \
             FROM holdings h WHERE h.kind = 1 AND h.subject = campaign_items.subject \
             AND h.wish <> 0 AND h.failed <> 0 AND h.sent >= campaign_items.epoch)",
            params![campaign, now],
        )?;
        self.execute(
            "UPDATE campaign_items SET state = 3, ended_at = ?2, why = 'not confirmed in time' \
             WHERE campaign = ?1 AND state = 1 AND begun_at <= ?3",
            params![campaign, now, now - patience],
        )?;
        Ok(())
    }

    /// What became of the keys whose turn came since the campaign was resumed.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn begun(&mut self, campaign: &CampaignRow, now: Millis) -> Result<Begun> {
        let row = self.query_one(
            "SELECT COUNT(CASE WHEN begun_at >= ?2 AND state <> 4 THEN 1 END), \
             COUNT(CASE WHEN begun_at >= ?2 AND state = 3 THEN 1 END), \
             COUNT(CASE WHEN begun_at >= ?2 AND state = 3 AND canary = 1 THEN 1 END), \
             COUNT(CASE WHEN canary = 1 AND state IN (0, 1) THEN 1 END), \
             COUNT(CASE WHEN begun_at > ?3 THEN 1 END), MAX(begun_at), \
             MIN(CASE WHEN state = 1 THEN begun_at END) FROM campaign_items WHERE campaign = ?1",
            params![campaign.number, campaign.resumed_at, now - 60_000],
        )?;
        let Some(row) = row else { return Ok(Begun::default()) };
        Ok(Begun {
            all: row.int(0)?,
            failed: row.int(1)?,
            canaries_failed: row.int(2)?,
            canaries_open: row.int(3)?,
            last_minute: row.int(4)?,
            last_at: row.int_or_null(5)?,
            oldest_at: row.int_or_null(6)?,
        })
    }
}
