// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clients and topics as people look at them: lists to search, to sort and to leaf through, and
//! each by itself.

use std::collections::{HashMap, HashSet};

use e4::Mode;
use serde_json::Value;

use super::{Service, public_keys};
use crate::domain::{
    AuditRecord, ClientRow, Counts, Device, DeviceDetail, Filter, Held, History, Holding, Kind,
    LinkView, Member, OwnKeys, Page, Part, Place, Result, Sorted, Standing, Standings, TopicStage,
    TopicView,
};
use crate::store::{Sight, Subject, Tx};

/// The most rows of a list at once.
const ROWS_MAX: usize = 100;
/// Clients of the topics of a list that are counted one by one.
const WEIGHT_MAX: i64 = 20_000;
/// Records that are looked at for a history at once.
const LOOK_BACK: i64 = 20_000;
/// The most records of a history at once.
const HISTORY: i64 = 50;
/// Names of links that are shown with a client.
const LINKS: i64 = 100;

impl Service {
    /// A part of the clients that a filter lets through.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn devices(&self, filter: &Filter, place: &Place, limit: usize) -> Result<Sorted<Device>> {
        self.store.read(|tx| {
            let sights = tx.sights(filter)?;
            let of = |sight: &Sight| Standing::of_client(&sight.outstanding);
            let standings = standings(sights.iter().map(of));
            let wanted: Vec<Sight> = sights
                .into_iter()
                .filter(|sight| filter.standing.is_none_or(|standing| of(sight) == standing))
                .collect();
            let part = part(wanted, place, limit, |sight| &sight.name);
            let mut rows = Vec::with_capacity(part.rows.len());
            for sight in &part.rows {
                rows.extend(device(tx, sight)?);
            }
            let Part { total, before, after, .. } = part;
            Ok(Sorted { part: Part { rows, total, before, after }, standings })
        })
    }

    /// All clients by how they stand.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn device_standings(&self) -> Result<Standings> {
        let sights = self.store.read(|tx| tx.sights(&Filter::default()))?;
        Ok(standings(sights.iter().map(|sight| Standing::of_client(&sight.outstanding))))
    }

    /// A client by itself.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::domain::Error::NotFound), [`Error::Store`](crate::domain::Error::Store).
    pub fn device(&self, name: &str) -> Result<DeviceDetail> {
        self.store.read(|tx| {
            let client = tx.client(name)?;
            detail(tx, &client)
        })
    }

    /// What was done to a client, newest first: among so many records before a number, or among
    /// the newest.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn client_history(&self, name: &str, before: Option<i64>) -> Result<History> {
        self.history(name, before, &["client", "source", "target"])
    }

    /// The same of a topic.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_history(&self, name: &str, before: Option<i64>) -> Result<History> {
        self.history(name, before, &["topic"])
    }

    fn history(&self, name: &str, before: Option<i64>, fields: &[&str]) -> Result<History> {
        let text = Value::from(name).to_string();
        if name.contains('\0') {
            return Ok(History { records: Vec::new(), looked_to: 0 });
        }
        self.store.read(|tx| {
            let newest = tx.newest_record()?;
            let to = before.map_or(newest, |before| newest.min(before.saturating_sub(1)));
            let from = to.saturating_sub(LOOK_BACK).max(0);
            let found = tx.records_with(&text, [from, to], HISTORY)?;
            let all = i64::try_from(found.len()).unwrap_or(HISTORY) < HISTORY;
            let last = found.last().map_or(from, |record| record.seq - 1);
            let records = found.into_iter().filter(|record| is_about(record, name, fields));
            Ok(History { records: records.collect(), looked_to: if all { from } else { last } })
        })
    }

    /// A part of the topics that a filter lets through.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_views(
        &self,
        filter: &Filter,
        place: &Place,
        limit: usize,
    ) -> Result<Part<TopicView>> {
        let limit = limit.clamp(1, ROWS_MAX);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        self.store.read(|tx| {
            let mut stages = match place {
                Place::First => tx.topic_stages(filter, "", false, one_more)?,
                Place::After(name) => tx.topic_stages(filter, name, false, one_more)?,
                Place::Before(name) => tx.topic_stages(filter, name, true, one_more)?,
            };
            let more = stages.len() > limit;
            stages.truncate(limit);
            let (before, after) = match place {
                Place::First => (false, more),
                Place::After(_) => (true, more),
                Place::Before(_) => {
                    stages.reverse();
                    (more, true)
                }
            };
            let total = tx.count_topic_stages(filter)?;
            let mut weight = 0;
            for stage in &stages {
                weight += tx.weight(stage.topic.row)?;
            }
            // What all topics have outstanding is counted sooner than these with all of theirs.
            let mut known: HashMap<String, Standings> = match weight > WEIGHT_MAX {
                true => tx.tally_topics()?.into_iter().map(|at| (at.name, at.members)).collect(),
                false => HashMap::new(),
            };
            let rows = stages.into_iter().map(|stage| {
                let members = known.remove(&stage.topic.name);
                topic_view(tx, stage, members)
            });
            Ok(Part { rows: rows.collect::<Result<_>>()?, total, before, after })
        })
    }

    /// A topic by itself.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::domain::Error::NotFound), [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_view(&self, name: &str) -> Result<TopicView> {
        self.store.read(|tx| {
            let stage = tx.topic_stage(name)?;
            topic_view(tx, stage, None)
        })
    }

    /// A part of the clients of a topic that a filter lets through; labels do not matter.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::domain::Error::NotFound), [`Error::Store`](crate::domain::Error::Store).
    pub fn members(
        &self,
        topic: &str,
        filter: &Filter,
        place: &Place,
        limit: usize,
    ) -> Result<Sorted<Member>> {
        let search = filter.search.to_lowercase();
        let mut all = self.store.read(|tx| {
            let stage = tx.topic_stage(topic)?;
            tx.memberships(&stage)
        })?;
        all.retain(|member| search.is_empty() || member.name.to_lowercase().contains(&search));
        let standings = standings(all.iter().map(|member| member.standing));
        all.retain(|member| filter.standing.is_none_or(|standing| member.standing == standing));
        let part = part(all, place, limit, |member| &member.name);
        let rows = part.rows.into_iter().map(|member| Member {
            name: member.name,
            standing: member.standing,
            confirmed: member.confirmed,
            receives: member.receives,
            seen_at: member.seen_at,
        });
        let Part { total, before, after, .. } = part;
        Ok(Sorted { part: Part { rows: rows.collect(), total, before, after }, standings })
    }

    /// The number of C2's key, and how far the clients have come with it (PK).
    ///
    /// # Errors
    /// [`Error::WrongMode`](crate::domain::Error::WrongMode), [`Error::Store`](crate::domain::Error::Store).
    pub fn c2_key_state(&self) -> Result<(i64, Counts)> {
        public_keys(self.mode(), "new_c2_key")?;
        self.store.read(|tx| {
            let epoch = tx.c2_epoch()?;
            Ok((epoch, tx.c2_key_progress(epoch)?))
        })
    }

    /// Links by target and source, after those of a target and a source (PK).
    ///
    /// # Errors
    /// [`Error::WrongMode`](crate::domain::Error::WrongMode), [`Error::Store`](crate::domain::Error::Store).
    pub fn links(&self, after: (&str, &str), limit: usize) -> Result<Part<LinkView>> {
        public_keys(self.mode(), "linked_clients")?;
        let limit = limit.clamp(1, ROWS_MAX);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        if after.0.contains('\0') || after.1.contains('\0') {
            return Ok(Part { rows: Vec::new(), total: 0, before: false, after: false });
        }
        self.store.read(|tx| {
            let mut rows = tx.links(after, one_more)?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let before = after != ("", "");
            Ok(Part { rows, total: tx.count_links()?, before, after: more })
        })
    }
}

fn standings(all: impl Iterator<Item = Standing>) -> Standings {
    let mut standings = Standings::default();
    all.for_each(|standing| standings.add(standing));
    standings
}

/// A part of a list that is in the order of its names.
fn part<T>(mut all: Vec<T>, place: &Place, limit: usize, name: impl Fn(&T) -> &String) -> Part<T> {
    let limit = limit.clamp(1, ROWS_MAX);
    let count = all.len();
    let (from, to) = match place {
        Place::First => (0, limit),
        Place::After(last) => {
            let from = all.partition_point(|row| name(row) <= last);
            (from, from + limit)
        }
        Place::Before(first) => {
            let to = all.partition_point(|row| name(row) < first);
            (to.saturating_sub(limit), to)
        }
    };
    let to = to.min(count);
    let rows = all.drain(from..to).collect();
    let total = i64::try_from(count).unwrap_or(i64::MAX);
    Part { rows, total, before: from > 0, after: to < count }
}

fn device(tx: &mut Tx, sight: &Sight) -> Result<Option<Device>> {
    let Some(beside) = tx.beside(sight.row)? else { return Ok(None) };
    Ok(Some(Device {
        name: sight.name.clone(),
        standing: Standing::of_client(&sight.outstanding),
        topics: beside.topics,
        behind: sight.outstanding.open,
        answers: sight.outstanding.answers,
        seen_at: beside.seen_at,
        trouble: beside.trouble,
        labels: tx.labels(Subject::CLIENT, sight.row)?,
    }))
}

fn detail(tx: &mut Tx, client: &ClientRow) -> Result<DeviceDetail> {
    let c2_epoch = match tx.mode() {
        Mode::Symmetric => 0,
        Mode::PublicKey => tx.c2_epoch()?,
    };
    let own = OwnKeys::of(client, c2_epoch);
    let holdings = tx.holdings(client.row)?;
    let receives: HashSet<i64> = tx.receives(client.row)?.into_iter().collect();
    let mut outstanding = own.outstanding();
    outstanding.holds = holdings.iter().any(|holding| holding.target != 0);
    for holding in &holdings {
        let standing = Standing::of(holding, client.answers);
        outstanding.open += i64::from(standing != Standing::Confirmed);
        outstanding.moving += i64::from(standing == Standing::OnItsWay);
        outstanding.failed += i64::from(standing == Standing::Failed);
    }
    let held = |kind: Kind| {
        let mut all: Vec<Held> = holdings
            .iter()
            .filter(|holding| holding.kind == kind)
            .map(|holding| held(holding, client.answers, receives.contains(&holding.subject)))
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    };
    let key = |epochs: [i64; 3], tries: i64| Held {
        name: String::new(),
        standing: own.standing(epochs, tries),
        epoch: epochs[0],
        confirmed: epochs[1],
        attempts: tries,
        changed_at: None,
        error: None,
        receives: false,
    };
    let (sources, targets) = match tx.mode() {
        Mode::Symmetric => (Vec::new(), Vec::new()),
        Mode::PublicKey => (
            tx.linked_clients(client.row, &Page::first(LINKS))?,
            tx.link_targets(client.row, LINKS)?,
        ),
    };
    let topics = held(Kind::Topic);
    let device = Device {
        name: client.name.clone(),
        standing: Standing::of_client(&outstanding),
        topics: tx.count_topics_of_client(client.row)?,
        behind: outstanding.open,
        answers: client.answers,
        seen_at: client.seen_at,
        trouble: client.trouble.clone(),
        labels: tx.labels(Subject::CLIENT, client.row)?,
    };
    Ok(DeviceDetail {
        device,
        id: client.id.to_string(),
        made_at: tx.client_made_at(client.row)?,
        due_at: client.due_at,
        resets: client.reset != 0,
        own_key: key(own.key, own.key_tries),
        c2_key: (tx.mode() == Mode::PublicKey).then(|| key(own.c2, own.c2_tries)),
        topics,
        peers: held(Kind::Peer),
        sources,
        targets,
    })
}

fn held(holding: &Holding, answers: bool, receives: bool) -> Held {
    let number = i32::try_from(holding.failed).unwrap_or_default();
    Held {
        name: holding.name.clone(),
        standing: Standing::of(holding, answers),
        epoch: holding.target,
        confirmed: holding.confirmed.max(0),
        attempts: holding.tries,
        changed_at: Some(holding.changed_at),
        error: e4::Error::from_number(number).map(|error| error.to_string()),
        receives: receives && holding.kind == Kind::Topic,
    }
}

fn topic_view(tx: &mut Tx, at: TopicStage, members: Option<Standings>) -> Result<TopicView> {
    Ok(TopicView {
        members: members.map_or_else(|| tx.topic_standings(&at), Ok)?,
        labels: tx.labels(Subject::TOPIC, at.topic.row)?,
        name: at.topic.name,
        epoch: at.topic.epoch,
        rotated_at: at.rotated_at,
        stage: at.stage,
        stage_until: (at.stage != 0).then_some(at.stage_until),
    })
}

/// Whether one of these fields of a record has a name.
fn is_about(record: &AuditRecord, name: &str, fields: &[&str]) -> bool {
    let detail: Value = serde_json::from_str(&record.detail).unwrap_or_default();
    fields.iter().any(|field| detail.get(field).and_then(Value::as_str) == Some(name))
}
