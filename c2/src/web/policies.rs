// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rules by which keys rotate, and the runs of each.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Fields, Flash};
use super::campaigns;
use super::policy_form::{self as words, fill, read};
use super::{Web, ui};
use crate::domain::{Caller, Error, Page, Permission, Policy, Result as Done};
use crate::service::Service;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/policies", get(list))
        .route("/policies/new", get(form).post(create))
        .route("/policy", get(one))
        .route("/policy/change", get(form_again).post(change))
        .route("/policy/run", get(plan).post(run))
        .route("/policy/pause", post(pause))
        .route("/policy/resume", post(resume))
        .route("/policy/delete", get(ask_delete).post(delete))
}

/// Runs that are shown beside policies.
const RUNS: i64 = 10;

pub(super) fn href(name: &str) -> String {
    ui::href("/policy", &[("name", name)])
}

async fn list(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let after = ask.fields.trimmed("after").to_string();
    let work = move |service: &Service| {
        let policies = service.policies(&Page::after(&after, Page::MAX))?;
        Ok((policies, service.campaigns(None, None, RUNS)?))
    };
    let (policies, runs) = web.run(work).await?;
    let last =
        policies.last().filter(|_| policies.len() == usize::try_from(Page::MAX).unwrap_or(0));
    let operates = ask.may(Permission::Operate);
    let body = html! {
        div.heading {
            h1 { "Policies" }
            @if operates && !policies.is_empty() {
                div.buttons { a.button.primary href="/policies/new" { "Create a policy" } }
            }
        }
        p.faint { "A policy says which keys rotate by themselves, and when. A run of it is a campaign." }
        @if policies.is_empty() && !ask.fields.ticked("after") {
            (ui::empty("No policy yet", "With one, keys rotate by the calendar, or when devices come and go, and nobody has to think of it.",
                operates.then_some(("/policies/new", "Create a policy"))))
        } @else {
            div #policies data-live {
                (ui::table("Policies", &["Name", "Whose keys", "When", "Next run", "Last run"], html! {
                    @for policy in &policies {
                        tr {
                            th scope="row" { a href=(href(&policy.name)) { (policy.name) } }
                            td.wrap { (joined(policy.spec.targets.iter().map(words::target))) }
                            td.wrap { (joined(policy.spec.triggers.iter().map(words::trigger))) }
                            td { (next_run(policy, ask.now)) }
                            td { (ui::when_or(policy.last_at, ask.now, "never")) }
                        }
                    }
                }))
            }
            nav.pager aria-label="Parts of the list" {
                p { "By name" }
                ul {
                    @if ask.fields.ticked("after") { li { a href="/policies" { "First" } } }
                    @if let Some(last) = last {
                        li { a href=(ui::href("/policies", &[("after", &last.name)])) rel="next" { "Next" } }
                    }
                }
            }
        }
        @if !runs.is_empty() {
            h2 { "Latest runs" }
            div #runs data-live { (campaigns::table(&runs, ask.now, true)) }
        }
    };
    Ok(ui::page(&ask, "Policies", body))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    super::ask::capital(&parts.collect::<Vec<_>>().join("; "))
}

fn next_run(policy: &Policy, now: i64) -> Markup {
    match policy.next_at {
        _ if policy.paused => ui::badge("warning", "paused"),
        Some(at) => ui::when(at, now),
        None => html! { span.faint { "when it happens" } },
    }
}

async fn one(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let name = ask.fields.text("name")?.to_string();
    let work = move |service: &Service| {
        let policy = service.policy(&name)?;
        let runs = service.campaigns(Some(&name), None, RUNS)?;
        Ok((policy, runs))
    };
    let (policy, runs) = web.run(work).await?;
    let name = policy.name.as_str();
    let query = [("name", name)];
    let body = html! {
        div.heading {
            h1 { (name) }
            @if ask.may(Permission::Operate) {
                div.buttons {
                    a.button.primary href=(ui::href("/policy/run", &query)) { "Run now…" }
                    @if policy.paused {
                        (ui::button(&ask, "/policy/resume", &query, "", "Resume"))
                    } @else {
                        (ui::button(&ask, "/policy/pause", &query, "", "Pause"))
                    }
                    a.button href=(ui::href("/policy/change", &query)) { "Change" }
                    a.button.danger href=(ui::href("/policy/delete", &query)) { "Delete" }
                }
            } @else {
                div.buttons { a.button href=(ui::href("/policy/run", &query)) { "What a run would do" } }
            }
        }
        @if !policy.spec.description.is_empty() { p { (policy.spec.description) } }
        section.card #policy data-live {
            dl.facts {
                dt { "Whose keys" } dd { (items(policy.spec.targets.iter().map(words::target))) }
                dt { "When" } dd { (items(policy.spec.triggers.iter().map(words::trigger))) }
                dt { "How" } dd { (items(words::pace(&policy.spec.pace).into_iter())) }
                dt { "Next run" } dd {
                    (next_run(&policy, ask.now))
                    @if let Some(at) = policy.next_at { " " span.faint { (ui::exactly(at)) } }
                }
                dt { "Last run" } dd { (ui::when_or(policy.last_at, ask.now, "never")) }
                dt { "Runs" } dd { (ui::number(policy.runs)) }
                dt { "Created" } dd { (ui::when(policy.made_at, ask.now)) }
            }
        }
        h2 { "Runs" }
        div #runs data-live {
            @if runs.is_empty() {
                p.card { "It has not run yet." }
            } @else {
                (campaigns::table(&runs, ask.now, false))
            }
        }
    };
    Ok(ui::page(&ask, name, body))
}

fn items(parts: impl Iterator<Item = String>) -> Markup {
    html! { ul.plain { @for part in parts { li { (super::ask::capital(&part)) } } } }
}

async fn form(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    Ok(new_page(&ask, StatusCode::OK, None))
}

fn new_page(ask: &Ask, status: StatusCode, wrong: Option<Markup>) -> Response {
    let body = html! {
        div.confirm.wide {
            h1 { "Create a policy" }
            @if let Some(wrong) = wrong { (wrong) }
            (ui::form(ask, "/policies/new", html! {
                (ui::input("text", "name", "Name", ask.fields.trimmed("name"), "", true))
                (words::form(&ask.fields))
                div.buttons {
                    button.primary type="submit" { "Create" }
                    a.button href="/policies" { "Cancel" }
                }
            }))
        }
    };
    ui::with_status(status, ui::page(ask, "Create a policy", body))
}

async fn create(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let (caller, name) = (ask.caller.clone(), ask.fields.trimmed("name").to_string());
    let created = match read(&ask.fields) {
        Ok(spec) => web.run(move |service| service.create_policy(&caller, &name, &spec)).await,
        Err(error) => Err(error.into()),
    };
    match created {
        Ok(policy) => {
            web.changed();
            Ok(web.back(&ask, &href(&policy.name), Flash::done("The policy was created.")))
        }
        Err(failure) => {
            let status = failure.status();
            Ok(new_page(&ask, status, Some(ui::mend(failure)?)))
        }
    }
}

async fn form_again(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let policy = web.run(move |service| service.policy(&name)).await?;
    let (fields, whole) = fill(&policy.spec);
    let wrong = (!whole).then(|| {
        ui::notice(
            "warning",
            "This form cannot show all of it.",
            "What it does not show is left out when it is saved; on the command line all of it can be changed.",
        )
    });
    Ok(change_page(&ask, &policy.name, &fields, StatusCode::OK, wrong))
}

fn change_page(
    ask: &Ask,
    name: &str,
    fields: &Fields,
    status: StatusCode,
    wrong: Option<Markup>,
) -> Response {
    let title = format!("Change {name}");
    let body = html! {
        div.confirm.wide {
            h1 { (title) }
            @if let Some(wrong) = wrong { (wrong) }
            p { "What joined and left before does not count for what it says then. A run that has begun goes on as it began." }
            (ui::form(ask, "/policy/change", html! {
                input type="hidden" name="name" value=(name);
                (words::form(fields))
                div.buttons {
                    button.primary type="submit" { "Save" }
                    a.button href=(href(name)) { "Cancel" }
                }
            }))
        }
    };
    ui::with_status(status, ui::page(ask, &title, body))
}

async fn change(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let (caller, policy) = (ask.caller.clone(), name.clone());
    let changed = match read(&ask.fields) {
        Ok(spec) => web.run(move |service| service.update_policy(&caller, &policy, &spec)).await,
        Err(error) => Err(error.into()),
    };
    if let Err(failure) = changed {
        let status = failure.status();
        return Ok(change_page(&ask, &name, &ask.fields, status, Some(ui::mend(failure)?)));
    }
    web.changed();
    Ok(web.back(&ask, &href(&name), Flash::done("The policy was changed.")))
}

/// What a run would do, and the button that begins it.
async fn plan(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let name = ask.fields.text("name")?.to_string();
    let policy = name.clone();
    let plan = web.run(move |service| service.plan_policy(&policy)).await?;
    let all = plan.topics + plan.clients;
    let shown = i64::try_from(plan.names.len()).unwrap_or_default();
    let title = format!("Run {name} now?");
    let body = html! {
        div.confirm.wide {
            h1 { (title) }
            @if all == 0 {
                p { "It would rotate nothing: no topic and no device fits what the policy says." }
            } @else {
                p {
                    "It would rotate " strong {
                        @if plan.topics > 0 { (ui::number(plan.topics)) " keys of topics" }
                        @if plan.topics > 0 && plan.clients > 0 { " and " }
                        @if plan.clients > 0 { (ui::number(plan.clients)) " keys of devices" }
                    }
                    ", in " (about(plan.seconds)) " at its rate, without what it waits for confirmations and its time of the day."
                }
                details open[shown <= 20] {
                    summary { (if shown < all { format!("The first {shown}") } else { "Which".into() }) }
                    ul.names { @for name in &plan.names { li { (name) } } }
                }
            }
            div.buttons {
                @if all > 0 && ask.may(Permission::Operate) {
                    (ui::button(&ask, "/policy/run", &[("name", &name)], "primary", "Run now"))
                }
                a.button href=(href(&name)) { "Back" }
            }
        }
    };
    Ok(ui::page(&ask, &title, body))
}

fn about(seconds: i64) -> String {
    match seconds {
        0..=90 => format!("about {seconds} s"),
        91..=5400 => format!("about {} min", (seconds + 30) / 60),
        _ => format!("about {} h", (seconds + 1800) / 3600),
    }
}

async fn run(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let (caller, policy) = (ask.caller.clone(), name.clone());
    match web.run(move |service| service.run_policy(&caller, &policy)).await {
        Ok(campaign) => {
            web.changed();
            let flash = Flash::done("The run has begun.");
            Ok(web.back(&ask, &campaigns::href(campaign.number), flash))
        }
        Err(Failure::Error(error @ Error::Busy(_))) => Ok(web.back(
            &ask,
            &href(&name),
            Flash::failed(super::ask::sentence(&error.to_string())),
        )),
        Err(failure) => Err(failure),
    }
}

/// Does something to a policy, and goes back to it.
async fn act(
    web: &Web,
    ask: &Ask,
    done: &str,
    work: impl FnOnce(&Service, &Caller, &str) -> Done<Policy> + Send + 'static,
) -> Answer {
    web.demand(ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let (caller, policy) = (ask.caller.clone(), name.clone());
    web.run(move |service| work(service, &caller, &policy)).await?;
    web.changed();
    Ok(web.back(ask, &href(&name), Flash::done(done)))
}

async fn pause(State(web): State<Web>, ask: Ask) -> Answer {
    act(&web, &ask, "The policy rests.", |service, who, name| service.pause_policy(who, name)).await
}

async fn resume(State(web): State<Web>, ask: Ask) -> Answer {
    let done = "The policy goes on; what it missed meanwhile is not made up.";
    act(&web, &ask, done, |service, who, name| service.resume_policy(who, name)).await
}

async fn ask_delete(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Delete {name}?"),
            text: html! { p { "Its keys rotate by themselves no more. A run of it that has not ended is cancelled; keys that it has rotated stay as they are." } },
            action: "/policy/delete",
            fields: &[("name", name)],
            button: "Delete",
            danger: true,
            back: &href(name),
        },
    ))
}

async fn delete(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let (caller, policy) = (ask.caller.clone(), name.clone());
    web.run(move |service| service.delete_policy(&caller, &policy)).await?;
    web.changed();
    Ok(web.back(&ask, "/policies", Flash::done(format!("{name} was deleted."))))
}
