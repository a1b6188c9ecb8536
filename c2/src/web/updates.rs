// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens, in words: as a list, and as a stream for pages that are open.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::get;
use futures_util::StreamExt;
use maud::{Markup, html};
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::ask::{Answer, Ask, Failure};
use super::{Web, ui};
use crate::api::events::{expired, of_record};
use crate::api::pb::{Event, EventType};
use crate::domain::{Millis, Permission};

/// Signs of life on the stream.
const ALIVE: Duration = Duration::from_secs(15);
/// Things that happened, in a list.
const SHOWN: usize = 12;
/// Records among which they are.
const AMONG: i64 = 40;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/updates", get(stream))
}

/// Something that happened, in words.
struct Happened {
    kind: &'static str,
    text: String,
    link: Option<String>,
}

fn happened(event: &Event) -> Happened {
    use EventType as E;
    let (source, target) = (event.source.as_str(), event.target.as_str());
    let device = |name: &str| Some(ui::href("/device", &[("name", name)]));
    let topic = |name: &str| Some(ui::href("/topic", &[("name", name)]));
    let policy = |name: &str| Some(ui::href("/policy", &[("name", name)]));
    let (kind, text, link) = match event.r#type() {
        E::ClientSubscribed => ("info", format!("{source} joined {target}"), topic(target)),
        E::ClientUnsubscribed => ("info", format!("{source} left {target}"), topic(target)),
        E::ClientCreated => ("info", format!("{source} was added"), device(source)),
        E::ClientReplaced => ("info", format!("{source} was provisioned anew"), device(source)),
        E::ClientRemoved => ("warning", format!("{source} was removed"), None),
        E::ClientReset => ("warning", format!("{source} was reset"), device(source)),
        E::ClientKeyRotated => {
            ("info", format!("{source} gets a new key of its own"), device(source))
        }
        E::TopicCreated => ("info", format!("{target} was created"), topic(target)),
        E::TopicRotated => ("info", format!("{target} has a new key"), topic(target)),
        E::TopicRemoved => ("warning", format!("{target} was removed"), None),
        E::ClientLinked => {
            ("info", format!("{target} gets the public key of {source}"), device(target))
        }
        E::ClientUnlinked => {
            ("info", format!("{target} is no longer linked to {source}"), device(target))
        }
        E::PublicKeySent => {
            ("info", format!("the public key of {source} goes to {target}"), device(target))
        }
        E::PublicKeyRemoved => {
            ("info", format!("{target} forgets the public key of {source}"), device(target))
        }
        E::PublicKeysReset => {
            ("warning", format!("{source} forgets all public keys"), device(source))
        }
        E::C2KeyRotated => ("info", "C2 has a new key".into(), None),
        E::Resync if source.is_empty() => ("info", "everything is sent again".into(), None),
        E::Resync => ("info", format!("everything is sent to {source} again"), device(source)),
        E::TokenCreated => ("info", format!("the token {target} was created"), None),
        E::TokenRevoked => ("warning", format!("the token {target} was revoked"), None),
        E::CallRefused => ("bad", format!("a call was refused: {target}"), None),
        E::PassphraseChanged => ("warning", "the passphrase was changed".into(), None),
        E::BackupMade => ("info", "a backup was made".into(), None),
        E::ClientConfirmed => ("good", format!("{source} confirmed"), device(source)),
        E::ClientBehind => ("warning", format!("{source} is behind"), device(source)),
        E::ClientForeign => (
            "bad",
            format!("something in the name of {source} opens under none of its keys"),
            device(source),
        ),
        E::PolicyCreated => ("info", format!("the policy {target} was created"), policy(target)),
        E::PolicyChanged => ("info", format!("the policy {target} was changed"), policy(target)),
        E::PolicyPaused => ("warning", format!("the policy {target} rests"), policy(target)),
        E::PolicyResumed => ("info", format!("the policy {target} goes on"), policy(target)),
        E::PolicyDeleted => ("warning", format!("the policy {target} was deleted"), None),
        E::CampaignStarted => ("info", format!("a run of {target} has begun"), policy(target)),
        E::CampaignPaused => ("warning", format!("a run of {target} waits"), policy(target)),
        E::CampaignResumed => ("info", format!("a run of {target} goes on"), policy(target)),
        E::CampaignStopped => {
            ("bad", format!("a run of {target} stopped: too many failed"), policy(target))
        }
        E::CampaignFinished => ("good", format!("a run of {target} has finished"), policy(target)),
        E::CampaignCancelled => {
            ("warning", format!("a run of {target} was cancelled"), policy(target))
        }
        E::BrokerConnected => ("good", "the broker is connected".into(), None),
        E::BrokerLost => ("bad", "the broker is gone".into(), None),
        other => {
            let words = other.as_str_name().to_lowercase().replace('_', " ");
            ("info", format!("{words} {source} {target}").trim_end().into(), None)
        }
    };
    Happened { kind, text, link }
}

fn at(event: &Event) -> Millis {
    let at = event.timestamp.unwrap_or_default();
    at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000))
}

/// What happened last, newest first; the script puts what happens before it.
pub async fn recent(web: &Web, ask: &Ask) -> Result<Markup, Failure> {
    let records = web
        .run(|service| {
            let newest = service.newest_record()?;
            service.audit_records((newest - AMONG).max(0), AMONG)
        })
        .await?;
    let events: Vec<Event> = records.into_iter().rev().filter_map(of_record).take(SHOWN).collect();
    Ok(html! {
        @if events.is_empty() {
            p.faint data-happened-none { "Nothing yet. What is done and what devices say appears here." }
        }
        ol.happened data-happened=(SHOWN) aria-label="What happened last" {
            @for event in &events {
                @let one = happened(event);
                li {
                    span.dot.(one.kind) aria-hidden="true" {}
                    @match &one.link {
                        Some(link) => a href=(link) { (one.text) },
                        None => span { (one.text) },
                    }
                    (ui::when(at(event), ask.now))
                }
            }
        }
    })
}

async fn stream(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let token = ask.visitor.as_ref().map(|grant| grant.name.clone()).unwrap_or_default();
    let events = web.events.subscribe(0, token).await;
    let events = events.map_err(|status| Failure::of_status(&status))?;
    let ends = ask.session.token.is_some().then_some(ask.session.expires);
    let end = expired(web.service.clock().clone(), ends);
    let messages = ReceiverStream::new(events)
        // A page that was too slow, or whose token ended, asks again.
        .take_while(|event| std::future::ready(event.is_ok()))
        .filter_map(|event| std::future::ready(event.ok()))
        .map(|event| {
            let one = happened(&event);
            let text = json!({
                "kind": one.kind, "text": one.text, "link": one.link, "at": ui::exactly(at(&event)),
            });
            Ok::<_, Infallible>(Message::default().data(text.to_string()))
        })
        .take_until(Box::pin(end));
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}
