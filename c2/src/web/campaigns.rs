// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs of policies: how far they have come, and what may be done about it.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, policies, ui};
use crate::domain::{
    Caller, Campaign, CampaignState, Error, ItemState, Millis, Permission, Result as Done,
};
use crate::service::Service;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/campaign", get(one))
        .route("/campaign/pause", post(pause))
        .route("/campaign/resume", post(resume))
        .route("/campaign/cancel", get(ask_cancel).post(cancel))
}

/// Keys in one part of the list.
const PART: i64 = 100;

pub(super) fn href(number: i64) -> String {
    ui::href("/campaign", &[("number", &number.to_string())])
}

fn state(state: CampaignState) -> Markup {
    match state {
        CampaignState::Running => ui::badge("info", "running"),
        CampaignState::Paused => ui::badge("warning", "paused"),
        CampaignState::Stopped => ui::badge("bad", "stopped: too many failed"),
        CampaignState::Finished => ui::badge("good", "finished"),
        CampaignState::Cancelled => ui::badge("plain", "cancelled"),
    }
}

/// Parts of a campaign: for the bar, and in words.
fn parts(campaign: &Campaign) -> [(&'static str, i64, &'static str); 5] {
    [
        ("good", campaign.confirmed, "confirmed"),
        ("info", campaign.rotated, "rotated, not confirmed yet"),
        ("bad", campaign.failed, "failed"),
        ("plain", campaign.gone, "gone before their turn"),
        ("rest", campaign.waiting, "waiting for their turn"),
    ]
}

/// Campaigns, for lists.
pub fn table(campaigns: &[Campaign], now: Millis, with_policy: bool) -> Markup {
    let heads: &[&str] = match with_policy {
        true => &["Run", "Policy", "State", "Progress", "Confirmed", "Began"],
        false => &["Run", "State", "Progress", "Confirmed", "Began"],
    };
    ui::table(
        "Runs",
        heads,
        html! {
            @for campaign in campaigns {
                tr {
                    th scope="row" { a href=(href(campaign.number)) { "Run " (campaign.number) } }
                    @if with_policy { td.wrap { (campaign.name) } }
                    td { (state(campaign.state)) }
                    td.progress { (ui::bar(&parts(campaign))) }
                    td { (ui::number(campaign.confirmed)) " of " (ui::number(campaign.total)) }
                    td { (ui::when(campaign.made_at, now)) }
                }
            }
        },
    )
}

/// Campaigns that have not ended, for the overview.
pub fn under_way(campaigns: &[Campaign], now: Millis) -> Markup {
    let open: Vec<Campaign> =
        campaigns.iter().filter(|campaign| campaign.ended_at.is_none()).cloned().collect();
    html! {
        div #campaigns data-live {
            @if !open.is_empty() {
                section.card { h2 { "Runs of policies" } (table(&open, now, true)) }
            }
        }
    }
}

async fn one(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let number = ask.fields.number("number", 0)?;
    let after = ask.fields.number("after", 0)?;
    let shown = ask.fields.trimmed("state").to_string();
    let chosen = STATES.iter().find(|(_, name, ..)| *name == shown).map(|(state, ..)| *state);
    let work = move |service: &Service| {
        let campaign = service.campaign(number)?;
        Ok((campaign, service.campaign_items(number, chosen, after, PART)?))
    };
    let (campaign, items) = web.run(work).await?;
    let text = number.to_string();
    let query = [("number", text.as_str())];
    let rests = matches!(campaign.state, CampaignState::Paused | CampaignState::Stopped);
    let full = i64::try_from(items.len()).is_ok_and(|count| count == PART);
    let last = items.last().filter(|_| full).map(|item| item.position.to_string());
    let body = html! {
        div.heading {
            h1 { "Run " (number) " of " a href=(policies::href(&campaign.name)) { (campaign.name) } }
            @if ask.may(Permission::Operate) && campaign.ended_at.is_none() {
                div.buttons {
                    @if campaign.state == CampaignState::Running { (ui::button(&ask, "/campaign/pause", &query, "", "Pause")) }
                    @if rests { (ui::button(&ask, "/campaign/resume", &query, "primary", "Resume")) }
                    a.button.danger href=(ui::href("/campaign/cancel", &query)) { "Cancel the run" }
                }
            }
        }
        section.card #campaign data-live {
            p { (state(campaign.state)) @if let Some(why) = &campaign.why { " " (super::ask::sentence(why)) } }
            @if campaign.state == CampaignState::Stopped {
                p { "Look at those that failed below. Resume goes on with the rest; what failed until then counts no more." }
            }
            (ui::bar(&parts(&campaign)))
            dl.counts {
                @for (kind, count, words) in parts(&campaign) {
                    div.(if count == 0 { "zero" } else { "some" }) {
                        dt { span.dot.(kind) aria-hidden="true" {} (words) }
                        dd { (ui::number(count)) }
                    }
                }
            }
            dl.facts {
                dt { "Keys" } dd { (ui::number(campaign.total)) }
                dt { "Began" } dd { (ui::when(campaign.made_at, ask.now)) }
                @if let Some(at) = campaign.ended_at { dt { "Ended" } dd { (ui::when(at, ask.now)) } }
                @if let Some(at) = campaign.next_at { dt { "Goes on" } dd { (ui::when(at, ask.now)) } }
            }
        }
        div.heading {
            h2 { "Keys" }
            form.filter.small method="get" action="/campaign" aria-label="Keys by state" {
                input type="hidden" name="number" value=(number);
                (ui::select("state", "State", &shown, &choices()))
                button type="submit" { "Show" }
            }
        }
        div #items data-live {
            @if items.is_empty() { p.card { "No key of this state." } } @else {
                (ui::table("Keys", &["Place", "Key of", "State", "Epoch", "Turn", "Why"], html! {
                    @for item in &items {
                        tr {
                            td { (item.position) @if item.canary { " " (ui::badge("plain", "canary")) } }
                            th scope="row" {
                                @let path = if item.topic { "/topic" } else { "/device" };
                                @if item.name.is_empty() { span.faint { "removed" } }
                                @else { a href=(ui::href(path, &[("name", &item.name)])) { (item.name) } }
                            }
                            td { (item_state(item.state)) }
                            td { @if item.epoch > 0 { (item.epoch) } }
                            td { (ui::when_or(item.begun_at, ask.now, "")) }
                            td.wrap { (item.why.as_deref().unwrap_or_default()) }
                        }
                    }
                }))
            }
        }
        @if let Some(last) = last {
            nav.pager aria-label="Parts of the list" {
                p { "In their order" }
                ul { li { a rel="next" href=(ui::href("/campaign", &[("number", &text), ("state", &shown), ("after", &last)])) { "Next" } } }
            }
        }
    };
    Ok(ui::page(&ask, &format!("Run {number} of {}", campaign.name), body))
}

/// States of keys: name in addresses, kind, words.
const STATES: [(ItemState, &str, &str, &str); 5] = [
    (ItemState::Failed, "failed", "bad", "failed"),
    (ItemState::Rotated, "rotated", "info", "rotated"),
    (ItemState::Waiting, "waiting", "plain", "waiting"),
    (ItemState::Confirmed, "confirmed", "good", "confirmed"),
    (ItemState::Gone, "gone", "plain", "gone"),
];

fn choices() -> Vec<(&'static str, &'static str)> {
    let all = STATES.iter().map(|(_, name, _, words)| (*name, *words));
    std::iter::once(("", "all")).chain(all).collect()
}

fn item_state(state: ItemState) -> Markup {
    let found = STATES.iter().find(|(one, ..)| *one == state);
    let (kind, words) = found.map_or(("plain", ""), |(_, _, kind, words)| (*kind, *words));
    ui::badge(kind, words)
}

/// Does something to a campaign, and goes back to it.
async fn act(
    web: &Web,
    ask: &Ask,
    done: &str,
    work: impl FnOnce(&Service, &Caller, i64) -> Done<Campaign> + Send + 'static,
) -> Answer {
    web.demand(ask, Permission::Operate).await?;
    let number = ask.fields.number("number", 0)?;
    let caller = ask.caller.clone();
    let flash = match web.run(move |service| work(service, &caller, number)).await {
        Ok(_) => {
            web.changed();
            Flash::done(done)
        }
        // It went on while somebody looked.
        Err(Failure::Error(error @ Error::Busy(_))) => {
            Flash::failed(super::ask::sentence(&error.to_string()))
        }
        Err(failure) => return Err(failure),
    };
    Ok(web.back(ask, &href(number), flash))
}

async fn pause(State(web): State<Web>, ask: Ask) -> Answer {
    act(&web, &ask, "The run waits.", |service, who, number| service.pause_campaign(who, number))
        .await
}

async fn resume(State(web): State<Web>, ask: Ask) -> Answer {
    let work = |service: &Service, who: &Caller, number: i64| service.resume_campaign(who, number);
    act(&web, &ask, "The run goes on.", work).await
}

async fn ask_cancel(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let number = ask.fields.number("number", 0)?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Cancel run {number}?"),
            text: html! { p { "Keys that it has rotated stay as they are. What has not had its turn keeps its key." } },
            action: "/campaign/cancel",
            fields: &[("number", &number.to_string())],
            button: "Cancel the run",
            danger: true,
            back: &href(number),
        },
    ))
}

async fn cancel(State(web): State<Web>, ask: Ask) -> Answer {
    let work = |service: &Service, who: &Caller, number: i64| service.cancel_campaign(who, number);
    act(&web, &ask, "The run is cancelled.", work).await
}
