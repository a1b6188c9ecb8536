// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens, told to who listens: the audit records as they are written, by whichever server
//! writes them, and what clients and the broker say to this one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, Notify, broadcast, mpsc, watch};
use tonic::Status;
use tracing::warn;

use super::convert::timestamp;
use super::gate::blocking;
use super::pb::{Event, EventType};
use crate::domain::{AuditRecord, Clock, Millis};
use crate::reconcile::Notice;
use crate::service::Service;

/// How many events a slow listener may be behind.
const ROOM: usize = 4096;
/// How soon changes by other servers are seen.
const POLL: Duration = Duration::from_millis(500);
/// How soon it is seen that the clock was set.
const LOOK: Duration = Duration::from_secs(1);
/// Records read at once.
const PAGE: i64 = 500;

/// Where events come from.
#[derive(Clone)]
pub struct Events {
    service: Service,
    sender: broadcast::Sender<Event>,
    changed: Arc<Notify>,
    end: watch::Receiver<bool>,
    /// The newest record that was told; none while nobody listens.
    last: Arc<Mutex<Option<i64>>>,
}

impl Events {
    /// Begins to follow; streams end when `end` says so.
    pub fn follow(
        service: Service,
        mut notices: broadcast::Receiver<Notice>,
        end: watch::Receiver<bool>,
    ) -> Self {
        let (sender, _) = broadcast::channel(ROOM);
        let events = Self { service, sender, changed: Arc::default(), end, last: Arc::default() };
        let (own, clock) = (events.clone(), events.service.clock().clone());
        tokio::spawn(async move {
            loop {
                match notices.recv().await {
                    // Nobody listens: that is no error.
                    Ok(notice) => drop(own.sender.send(of_notice(notice, &*clock))),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        let own = events.clone();
        tokio::spawn(async move { own.records().await });
        events
    }

    /// Something was changed here: look at once.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// Follows the audit records while anybody listens.
    async fn records(self) {
        loop {
            // Changed or not, after a while it looks.
            let _ = tokio::time::timeout(POLL, self.changed.notified()).await;
            let mut last = self.last.lock().await;
            if self.sender.receiver_count() == 0 {
                *last = None;
            }
            let Some(after) = *last else { continue };
            let page = match self.page(after).await {
                Ok(page) => page,
                Err(status) => {
                    warn!("events: {}", status.message());
                    continue;
                }
            };
            if i64::try_from(page.len()).is_ok_and(|count| count == PAGE) {
                self.changed();
            }
            for record in page {
                *last = Some(record.seq);
                if let Some(event) = of_record(record) {
                    // Nobody listens any more: that is no error.
                    let _ = self.sender.send(event);
                }
            }
        }
    }

    async fn newest(&self) -> Result<i64, Status> {
        let service = self.service.clone();
        blocking(move || service.newest_record()).await
    }

    async fn page(&self, after: i64) -> Result<Vec<AuditRecord>, Status> {
        let service = self.service.clone();
        blocking(move || service.audit_records(after, PAGE)).await
    }

    /// Events from now on, or those after a record first, until the server ends or the caller's
    /// token ends or is revoked.
    ///
    /// # Errors
    /// The database.
    pub async fn subscribe(
        &self,
        after: i64,
        token: String,
    ) -> Result<mpsc::Receiver<Result<Event, Status>>, Status> {
        let mut told = self.last.lock().await;
        let mut live = self.sender.subscribe();
        let last = match *told {
            Some(last) => last,
            None => *told.insert(self.newest().await?),
        };
        drop(told);
        let (service, name) = (self.service.clone(), token.clone());
        let ends_at = blocking(move || service.token_ends_at(&name)).await?;
        let expired = expired(self.service.clock().clone(), ends_at);
        let (sender, receiver) = mpsc::channel(64);
        let events = self.clone();
        let mut end = self.end.clone();
        tokio::spawn(async move {
            let mut next = if after == 0 { last } else { after.clamp(0, last) };
            while next < last {
                let page = match events.page(next).await {
                    Ok(page) => page,
                    Err(status) => return drop(sender.send(Err(status)).await),
                };
                let Some(newest) = page.last().map(|record| record.seq) else { break };
                next = newest;
                for event in page.into_iter().filter_map(of_record) {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
            // What was written meanwhile was read as well.
            let last = last.max(next);
            tokio::pin!(expired);
            loop {
                let event = tokio::select! {
                    event = live.recv() => Some(event),
                    () = &mut expired => None,
                    () = sender.closed() => return,
                    _ = end.wait_for(|end| *end) => return,
                };
                let Some(event) = event else {
                    let why = "this token or certificate has expired";
                    return drop(sender.send(Err(Status::unauthenticated(why))).await);
                };
                let event = match event {
                    Ok(event)
                        if event.r#type() == EventType::TokenRevoked && event.target == token =>
                    {
                        Err(Status::unauthenticated("this token or certificate was revoked"))
                    }
                    Ok(event) if event.number == 0 || event.number > last => Ok(event),
                    Ok(_) => continue,
                    Err(broadcast::error::RecvError::Lagged(_)) => Err(Status::data_loss(
                        "this listener was too slow; begin again after the last number",
                    )),
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                let broken = event.is_err();
                if sender.send(event).await.is_err() || broken {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// Waits until a token ends.
pub(crate) async fn expired(clock: Arc<dyn Clock>, ends_at: Option<Millis>) {
    let Some(ends_at) = ends_at else { return std::future::pending().await };
    while let Ok(left @ 1..) = u64::try_from(ends_at.saturating_sub(clock.now())) {
        // The clock may be set meanwhile.
        tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
    }
}

fn of_notice(notice: Notice, clock: &dyn Clock) -> Event {
    let (kind, source) = match notice {
        Notice::Confirmed(client) => (EventType::ClientConfirmed, client),
        Notice::Behind(client) => (EventType::ClientBehind, client),
        Notice::Foreign(client) => (EventType::ClientForeign, client),
        Notice::BrokerConnected => (EventType::BrokerConnected, String::new()),
        Notice::BrokerLost => (EventType::BrokerLost, String::new()),
    };
    let timestamp = Some(timestamp(clock.now()));
    Event { r#type: kind.into(), source, timestamp, ..Event::default() }
}

pub(crate) fn of_record(record: AuditRecord) -> Option<Event> {
    let detail: Value = serde_json::from_str(&record.detail).unwrap_or_default();
    let text =
        |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let first = detail.get("epoch").and_then(Value::as_i64) == Some(1);
    let kind = match record.action.as_str() {
        "new_client" if first => EventType::ClientCreated,
        "new_client" => EventType::ClientReplaced,
        "remove_client" => EventType::ClientRemoved,
        "reset_client" => EventType::ClientReset,
        "new_client_key" => EventType::ClientKeyRotated,
        "new_topic" if first => EventType::TopicCreated,
        "new_topic" => EventType::TopicRotated,
        "remove_topic" => EventType::TopicRemoved,
        "new_topic_client" => EventType::ClientSubscribed,
        "remove_topic_client" => EventType::ClientUnsubscribed,
        "link_client" => EventType::ClientLinked,
        "unlink_client" => EventType::ClientUnlinked,
        "send_client_pubkey" => EventType::PublicKeySent,
        "remove_client_pubkey" => EventType::PublicKeyRemoved,
        "reset_client_pubkeys" => EventType::PublicKeysReset,
        "new_c2_key" => EventType::C2KeyRotated,
        "resync" => EventType::Resync,
        "create_token" => EventType::TokenCreated,
        "revoke_token" => EventType::TokenRevoked,
        "refused" => EventType::CallRefused,
        "rekey" => EventType::PassphraseChanged,
        "backup" => EventType::BackupMade,
        "set_label" => EventType::LabelSet,
        "remove_label" => EventType::LabelRemoved,
        "rotate_topic" => EventType::RotationBegun,
        "rotation_went_on" => EventType::RotationWentOn,
        "rotation_ended" => EventType::RotationEnded,
        "create_policy" => EventType::PolicyCreated,
        "update_policy" => EventType::PolicyChanged,
        "pause_policy" => EventType::PolicyPaused,
        "resume_policy" => EventType::PolicyResumed,
        "delete_policy" => EventType::PolicyDeleted,
        "start_campaign" => EventType::CampaignStarted,
        "pause_campaign" => EventType::CampaignPaused,
        "resume_campaign" => EventType::CampaignResumed,
        "stop_campaign" => EventType::CampaignStopped,
        "finish_campaign" => EventType::CampaignFinished,
        "cancel_campaign" => EventType::CampaignCancelled,
        // What came with a newer server has a name there.
        _ => return None,
    };
    let (source, target) = match record.action.as_str() {
        "link_client" | "unlink_client" | "send_client_pubkey" | "remove_client_pubkey" => {
            (text("source"), text("target"))
        }
        "reset_client_pubkeys" => (text("target"), String::new()),
        "create_token" | "revoke_token" => (String::new(), text("name")),
        action if action.ends_with("_policy") || action.ends_with("_campaign") => {
            (String::new(), text("policy"))
        }
        "refused" => (String::new(), text("call")),
        _ => (text("client"), text("topic")),
    };
    Some(Event {
        r#type: kind.into(),
        source,
        target,
        timestamp: Some(timestamp(record.at)),
        number: record.seq,
        actor: record.actor,
    })
}
