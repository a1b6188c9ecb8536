// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the fleet is well, at a glance.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};

use super::ask::{Answer, Ask};
use super::summary::{Summary, standing};
use super::{Web, campaigns, map, ui, updates};
use crate::domain::{Permission, Standing, Standings};
use crate::service::Service;

/// The latest runs of policies, of which those are shown that have not ended.
const CAMPAIGNS: i64 = 20;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/", get(overview))
}

async fn overview(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let summaries = web.summaries.clone();
    let work = move |service: &Service| {
        Ok((summaries.get(service)?, service.campaigns(None, None, CAMPAIGNS)?))
    };
    let (summary, runs) = web.run(work).await?;
    let body = html! {
        h1 { "Overview" }
        @if summary.devices.all() == 0 && summary.topics.all() == 0 {
            (first_steps(&ask))
        }
        div.cards {
            (fleet("devices", "Devices", "/devices", &summary.devices))
            (fleet("topics", "Topics", "/topics", &summary.topics))
        }
        (campaigns::under_way(&runs, ask.now))
        (keys(&summary))
        div.cards {
            section.card {
                h2 { "What happens" }
                (updates::recent(&web, &ask).await?)
            }
            div.column {
                section.card { h2 { "Health" } (health(&web)) }
                section.card { h2 { "How long new keys take" } (lag(&web.figures.recent_lags.all())) }
            }
        }
    };
    Ok(ui::page(&ask, "Overview", body))
}

fn first_steps(ask: &Ask) -> Markup {
    html! {
        section.card.first {
            h2 { "First steps" }
            ol {
                li { "Add a device: it gets a key, which is shown once, also as a QR code." }
                li { "Create a topic, and add the device to it." }
                li { "Start the device: here it turns green once it holds the key of the topic." }
            }
            @if ask.may(Permission::Operate) {
                div.buttons {
                    a.button.primary href="/devices/new" { "Add a device" }
                    a.button href="/topics/new" { "Create a topic" }
                }
            }
        }
    }
}

/// Words for how things stand, worst last.
const WORDS: [(Standing, &str, &str); 5] = [
    (Standing::Confirmed, "good", "confirmed"),
    (Standing::OnItsWay, "info", "on their way"),
    (Standing::Waiting, "warning", "waiting for a device to wake"),
    (Standing::Handed, "plain", "never answered"),
    (Standing::Failed, "bad", "failed"),
];

fn fleet(id: &str, title: &str, path: &str, all: &Standings) -> Markup {
    html! {
        section.card id=(id) data-live {
            div.heading {
                h2 { a href=(path) { (title) } }
                p.total { (ui::number(all.all())) }
            }
            (standings_bar(all))
            dl.counts {
                @for (standing, kind, words) in WORDS {
                    @let count = all.get(standing);
                    div.(if count == 0 { "zero" } else { "some" }) {
                        dt { span.dot.(kind) aria-hidden="true" {} (words) }
                        dd {
                            @if path == "/devices" && count > 0 {
                                a href=(ui::href(path, &[("state", standing.name())])) { (ui::number(count)) }
                            } @else { (ui::number(count)) }
                        }
                    }
                }
            }
        }
    }
}

/// How many stand how, as a bar; the words are beside it.
fn standings_bar(all: &Standings) -> Markup {
    let parts = WORDS.map(|(standing, kind, words)| (kind, all.get(standing), words));
    ui::bar(&parts)
}

/// The map: a picture for each of the topics that are furthest from rest.
fn keys(summary: &Summary) -> Markup {
    let shown = summary.shown.len();
    let more = summary.topics.all() - i64::try_from(shown).unwrap_or_default();
    html! {
        section.card #keys data-live {
            div.heading { h2 { "Who holds which key" } (map::legend(None)) }
            @if summary.shown.is_empty() {
                p.faint { "There is no topic yet. Each gets a map here: one cell for each of its devices." }
            }
            @for topic in &summary.shown {
                div.topic {
                    div.heading {
                        h3 { a href=(ui::href("/topic", &[("name", &topic.name)])) { (topic.name) } }
                        p.faint {
                            "key " (topic.epoch) ", " (ui::number(topic.members.confirmed)) " of "
                            (ui::number(topic.members.all())) " "
                            (ui::standing(standing(topic)))
                        }
                    }
                    @if topic.members.all() > 0 {
                        (map::image(&topic.name, topic.epoch, topic.members.all()))
                    } @else {
                        p.faint { "No device yet." }
                    }
                }
            }
            @if more > 0 {
                p { a href="/topics" { (ui::number(more)) " more topics" } ", which are nearer to rest." }
            }
        }
    }
}

fn health(web: &Web) -> Markup {
    let figures = &*web.figures;
    let connected = figures.connected.load(Ordering::Relaxed);
    let listening = figures.listening.load(Ordering::Relaxed);
    let failures = figures.failures.load(Ordering::Relaxed);
    let number = |at: &std::sync::atomic::AtomicU64| {
        ui::number(i64::try_from(at.load(Ordering::Relaxed)).unwrap_or(i64::MAX))
    };
    html! {
        dl.facts #health data-live {
            dt { "Broker" }
            dd {
                @match (connected, listening) {
                    (true, true) => { (ui::badge("good", "connected")) }
                    (true, false) => { (ui::badge("warning", "sends, but hears no answers")) }
                    (false, _) => {
                        (ui::badge("bad", "no connection"))
                        " Nothing is lost: commands are sent when it is back. Is the broker running, and its address right?"
                    }
                }
            }
            dt { "Database" }
            dd {
                // It has just given the numbers of this page.
                (ui::badge(if failures == 0 { "good" } else { "warning" },
                           if failures == 0 { "answers" } else { "answers; it failed before" }))
            }
            dt { "Commands" }
            dd { (number(&figures.sent)) " sent, " (number(&figures.handed)) " taken by the broker, "
                 (number(&figures.refused)) " refused by devices" }
            dt { "Answers" }
            dd { (number(&figures.answers)) " heard" @if figures.foreign.load(Ordering::Relaxed) > 0 {
                ", " (number(&figures.foreign)) " that no key opens" } }
        }
    }
}

/// Steps of the chart: up to so many milliseconds, and what stands below.
const STEPS: [(u128, &str); 7] = [
    (1_000, "1 s"),
    (5_000, "5 s"),
    (30_000, "30 s"),
    (300_000, "5 min"),
    (3_600_000, "1 h"),
    (21_600_000, "6 h"),
    (u128::MAX, "longer"),
];

/// From a new key until a device that held the one before confirmed it.
fn lag(lags: &[Duration]) -> Markup {
    let mut counts = [0usize; STEPS.len()];
    for lag in lags {
        let step = STEPS.iter().position(|(most, _)| lag.as_millis() <= *most);
        if let Some(count) = step.and_then(|step| counts.get_mut(step)) {
            *count += 1;
        }
    }
    let mut sorted = lags.to_vec();
    sorted.sort_unstable();
    let at = |share: usize| sorted.get(sorted.len().saturating_sub(1) * share / 100).copied();
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let said: Vec<String> = STEPS
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|((_, words), count)| {
            format!("{count} up to {words}").replace("up to longer", "longer")
        })
        .collect();
    html! {
        div #lag data-live {
            @if let (Some(half), Some(most)) = (at(50), at(99)) {
                p { "Of the last " (lags.len()) " confirmations half took up to " strong { (words(half)) }
                    ", 99 in 100 up to " strong { (words(most)) } "." }
            } @else {
                p.faint { "Nothing measured since the start. Each rotation shows here how long its "
                          "devices took to confirm the new key." }
            }
            @if !lags.is_empty() {
                svg.chart viewBox="0 0 420 140" role="img" aria-label=(said.join(", ")) {
                    title { (said.join(", ")) }
                    line.axis x1="0" y1="112" x2="420" y2="112" {}
                    @for (column, ((_, words), count)) in STEPS.iter().zip(counts).enumerate() {
                        @let height = if count == 0 { 0 } else { (count * 88 / most).max(3) };
                        rect.info x=(column * 60 + 8) y=(112 - height) width="44" height=(height) rx="3" {}
                        @if count > 0 {
                            text x=(column * 60 + 30) y=(106 - height) { (count) }
                        }
                        text.label x=(column * 60 + 30) y="130" { (words) }
                    }
                }
            }
        }
    }
}

fn words(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..=999 => format!("{ms} ms"),
        ms @ 1_000..=119_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms @ 120_000..=7_199_999 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}
