// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Campaigns: the keys of a run, one after the other, as fast as it may go, and no further than it
//! goes well.

use serde_json::json;

use super::schedule::Advance;
use super::{Service, calendar, stages};
use crate::domain::{
    Caller, Campaign, CampaignItem, CampaignState, Error, ItemState, Millis, Operation, Page,
    Receivers, Result,
};
use crate::store::{Begun, CampaignRow, Subject, Tx};

/// Keys that are rotated in one transaction.
const TOGETHER: i64 = 200;
/// How soon a campaign that waits is looked at again.
const LOOK: Millis = 1000;
/// How late, when nothing was rotated for long.
const LOOK_LATE: Millis = 30_000;

impl Service {
    /// Runs of policies before a number, of one policy or of all, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn campaigns(
        &self,
        policy: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Campaign>> {
        let before = before.unwrap_or(i64::MAX);
        self.store.read(|tx| tx.campaigns(policy, before, limit.clamp(0, Page::MAX)))
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn campaign(&self, number: i64) -> Result<Campaign> {
        self.store.read(|tx| {
            let row = tx.campaign_row(number)?;
            tx.with_counts(row)
        })
    }

    /// The keys of one, after a position, of a state or all.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn campaign_items(
        &self,
        number: i64,
        state: Option<ItemState>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<CampaignItem>> {
        self.store.read(|tx| {
            tx.campaign_row(number)?;
            tx.campaign_items(number, state, after, limit.clamp(0, Page::MAX))
        })
    }

    /// Has a campaign wait.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] if it does not run; [`Error::Store`].
    pub fn pause_campaign(&self, who: &Caller, number: i64) -> Result<Campaign> {
        self.change_campaign(who, number, "pause_campaign", |campaign, _| {
            let runs = campaign.state == CampaignState::Running;
            (campaign.state, campaign.next_at) = (CampaignState::Paused, None);
            runs
        })
    }

    /// Has a campaign go on that waits or was stopped. What failed until now does not count any
    /// more.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] if it runs or has ended; [`Error::Store`].
    pub fn resume_campaign(&self, who: &Caller, number: i64) -> Result<Campaign> {
        self.change_campaign(who, number, "resume_campaign", |campaign, now| {
            let rests = matches!(campaign.state, CampaignState::Paused | CampaignState::Stopped);
            if campaign.state == CampaignState::Stopped {
                campaign.resumed_at = now;
            }
            (campaign.state, campaign.why) = (CampaignState::Running, None);
            campaign.next_at = Some(now);
            rests
        })
    }

    /// Ends a campaign: what has not had its turn keeps its key.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] if it has ended; [`Error::Store`].
    pub fn cancel_campaign(&self, who: &Caller, number: i64) -> Result<Campaign> {
        self.change_campaign(who, number, "cancel_campaign", |campaign, now| {
            let open = campaign.ended_at.is_none();
            (campaign.state, campaign.why) = (CampaignState::Cancelled, None);
            (campaign.ended_at, campaign.next_at) = (Some(now), None);
            open
        })
    }

    fn change_campaign(
        &self,
        who: &Caller,
        number: i64,
        action: &str,
        change: impl Fn(&mut CampaignRow, Millis) -> bool,
    ) -> Result<Campaign> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.lock_audit()?;
            let mut campaign = tx.campaign_row(number)?;
            let before = campaign.state;
            if !change(&mut campaign, now) {
                let why = format!("campaign {number} is {}: not now", word(before));
                return Err(Error::Busy(why));
            }
            tx.update_campaign(&campaign)?;
            let detail = json!({ "campaign": number, "policy": campaign.name });
            tx.audit(now, who, action, &detail)?;
            tx.with_counts(campaign)
        })
    }

    /// Goes on with the campaigns that are due, one transaction each.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) fn advance_campaigns(&self) -> Result<Advance> {
        let now = self.clock.now();
        let due = self.store.read(|tx| tx.due_campaigns(now))?;
        let mut changed = false;
        for campaign in due {
            changed |= self.store.write(|tx| {
                tx.lock_audit()?;
                // Another server may have been here.
                let mut campaign = tx.campaign_row(campaign.number)?;
                let due = campaign.next_at.is_some_and(|at| at <= now);
                if !due || campaign.state != CampaignState::Running {
                    return Ok(false);
                }
                let changed = go_on(tx, now, &mut campaign)?;
                tx.update_campaign(&campaign)?;
                Ok(changed)
            })?;
        }
        Ok(Advance { changed, next_at: self.store.read(|tx| tx.next_campaign())? })
    }
}

/// The name of a state.
fn word(state: CampaignState) -> &'static str {
    match state {
        CampaignState::Running => "running",
        CampaignState::Paused => "paused",
        CampaignState::Stopped => "stopped",
        CampaignState::Finished => "finished",
        CampaignState::Cancelled => "cancelled",
    }
}

/// Looks what became of what was begun, and begins what may be.
fn go_on(tx: &mut Tx, now: Millis, campaign: &mut CampaignRow) -> Result<bool> {
    let who = Caller::new(&format!("policy:{}", campaign.name), "campaign");
    let patience = Millis::from(campaign.pace.patience) * 1000;
    tx.settle_items(campaign.number, patience, now)?;
    let begun = tx.begun(campaign, now)?;
    let detail = json!({ "campaign": campaign.number, "policy": campaign.name });
    if let Some(why) = too_many(campaign, &begun) {
        (campaign.state, campaign.why, campaign.next_at) =
            (CampaignState::Stopped, Some(why), None);
        tx.audit(now, &who, "stop_campaign", &detail)?;
        return Ok(true);
    }
    let counts = tx.with_counts(campaign.clone())?;
    if counts.waiting == 0 && counts.rotated == 0 {
        campaign.state = CampaignState::Finished;
        (campaign.ended_at, campaign.next_at) = (Some(now), None);
        tx.audit(now, &who, "finish_campaign", &detail)?;
        return Ok(true);
    }
    let look = look(&begun, patience, now);
    campaign.next_at = Some(look);
    let canaries = begun.canaries_open > 0;
    if counts.waiting == 0 {
        return Ok(false);
    }
    if let Some(window) = &campaign.pace.window {
        let opens = calendar::opens(window, now)?;
        if opens > now {
            // What was begun is looked at until then.
            campaign.next_at = Some(if counts.rotated > 0 { look.min(opens) } else { opens });
            return Ok(false);
        }
    }
    let limit = allowance(campaign, &begun, now).min(TOGETHER);
    // Those that are not ready let others go before.
    let waiting = tx.waiting_items(campaign.number, canaries, TOGETHER)?;
    let any = !waiting.is_empty();
    let late =
        begun.last_at.unwrap_or(campaign.resumed_at).max(campaign.resumed_at) + patience <= now;
    let mut done = 0;
    for (position, subject) in waiting {
        if done == limit {
            break;
        }
        match rotate(tx, now, &who, campaign, &subject) {
            Ok(epoch) => tx.begin_item(campaign.number, position, epoch, now)?,
            // Its turn comes again, unless it lasts.
            Err(Error::Busy(_)) if !late => continue,
            // It was removed this moment: the next look says so.
            Err(Error::NotFound { .. }) => continue,
            Err(error @ (Error::Store(_) | Error::Message(_))) => return Err(error),
            Err(error) => {
                tx.refuse_item(campaign.number, position, &error.to_string(), now)?;
            }
        }
        done += 1;
    }
    if done == TOGETHER {
        campaign.next_at = Some(now);
    } else if any {
        let last_at = if done > 0 { Some(now) } else { begun.last_at };
        campaign.next_at = Some(look.min(turn(campaign, last_at, now)));
    }
    Ok(done > 0)
}

/// When the next turn may come.
fn turn(campaign: &CampaignRow, last_at: Option<Millis>, now: Millis) -> Millis {
    let apart = match i64::from(campaign.pace.per_minute) {
        0 => 0,
        rate => (60_000 + rate - 1) / rate,
    };
    last_at.map_or(now, |at| at.saturating_add(apart)).max(now + LOOK)
}

/// When to look again what became of keys: the later the longer none was rotated.
fn look(begun: &Begun, patience: Millis, now: Millis) -> Millis {
    let since = begun.last_at.map_or(0, |at| now.saturating_sub(at));
    let look = now + (since / 10).clamp(LOOK, LOOK_LATE);
    begun.oldest_at.map_or(look, |at| look.min((at + patience).max(now + 1)))
}

/// Why it does not go on by itself.
fn too_many(campaign: &CampaignRow, begun: &Begun) -> Option<String> {
    if begun.canaries_failed > 0 {
        return Some(format!("{} of those that came first failed", begun.canaries_failed));
    }
    let share = i64::from(campaign.pace.abort_percent);
    let over = share < 100 && begun.failed * 100 > share * begun.all;
    over.then(|| format!("{} of {} failed, which is more than {share} %", begun.failed, begun.all))
}

/// How many keys may rotate now.
fn allowance(campaign: &CampaignRow, begun: &Begun, now: Millis) -> i64 {
    let rate = i64::from(campaign.pace.per_minute);
    if rate == 0 {
        return i64::MAX;
    }
    // Spread over the minute, and never more than that in any one.
    let since = begun.last_at.map_or(LOOK, |at| now.saturating_sub(at).clamp(0, 60_000));
    let spread = (since * rate).div_euclid(60_000);
    let spread = if begun.last_at.is_none() { spread.max(1) } else { spread };
    spread.min(rate - begun.last_minute).max(0)
}

fn rotate(
    tx: &mut Tx,
    now: Millis,
    who: &Caller,
    campaign: &CampaignRow,
    subject: &Subject,
) -> Result<i64> {
    let name = subject.name.clone();
    let operation = match (subject.kind, campaign.pace.zero_loss) {
        (Subject::TOPIC, true) => Operation::RotateTopic {
            topic: name,
            receivers: Receivers::Known,
            deadline: stages::DEADLINE,
        },
        (Subject::TOPIC, false) => Operation::NewTopic { topic: name },
        _ => Operation::NewClientKey { client: name },
    };
    // A topic that is gone would be made anew.
    if subject.kind == Subject::TOPIC {
        tx.topic(&subject.name)?;
    }
    let outcome = super::apply(tx, now, who, &operation, None)?;
    Ok(outcome.epoch.unwrap_or_default())
}
