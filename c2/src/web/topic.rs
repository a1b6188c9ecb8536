// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One topic: its key, and the devices that hold it.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::many::{self, ONCE};
use super::{Web, device, devices, topics, ui};
use crate::domain::{Error, Member, Operation, Permission, Sorted, Standing, TopicView};
use crate::service::Service;

/// Rows of a list.
const ROWS: usize = 50;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/topic", get(topic))
        .route("/topic/members", post(members))
        .route("/topic/rotate", get(ask_rotate).post(rotate))
        .route("/topic/remove", get(ask_remove).post(remove))
}

/// Where the page of a topic is.
fn href(name: &str) -> String {
    ui::href("/topic", &[("name", name)])
}

async fn topic(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let name = ask.fields.text("name")?.to_string();
    let (filter, place) = (devices::filter(&ask), many::place(&ask));
    let number = ask.fields.number("records", 0)?;
    let work = move |service: &Service| {
        let view = service.topic_view(&name)?;
        let members = service.members(&name, &filter, &place, ROWS)?;
        let before = (number > 0).then_some(number);
        Ok((view, members, service.topic_history(&name, before)?))
    };
    let (view, found, history) = web.run(work).await?;
    let may = ask.may(Permission::Operate);
    let body = html! {
        p.up { a href="/topics" { "Topics" } }
        div.heading {
            h1 { (view.name) }
            @if may {
                div.buttons {
                    a.button.primary href=(ui::href("/topic/rotate", &[("name", &view.name)])) { "Rotate the key" }
                    a.button.danger href=(ui::href("/topic/remove", &[("name", &view.name)])) { "Remove" }
                }
            }
        }
        section.card #facts data-live { h2 { "How it stands" } (facts(&ask, &view)) }
        section.card {
            h2 { "Devices" }
            (list(&ask, &view, &found, may))
        }
        @if may { section.card { h2 { "Add or take many" } (many_form(&ask, &view.name)) } }
        section.card {
            h2 { "History" }
            div.live #history data-live {
                (device::histories(&ask, &history, &href(&view.name), "records"))
            }
        }
    };
    Ok(ui::page(&ask, &view.name, body))
}

fn facts(ask: &Ask, view: &TopicView) -> Markup {
    let members = &view.members;
    html! {
        (topics::bar(members))
        dl.facts {
            dt { "Key" }
            dd {
                "number " (view.epoch) ", made " (ui::when_or(view.rotated_at, ask.now, "some time ago"))
            }
            @if let Some(words) = topics::stage(view.stage) {
                dt { "Rotation" }
                dd {
                    (ui::badge("info", words))
                    @if let Some(until) = view.stage_until { " until " (ui::when(until, ask.now)) " at the latest" }
                }
            }
            dt { "Devices" }
            dd {
                (ui::number(members.all()))
                @if members.all() > 0 { ", " (ui::number(members.confirmed)) " of them hold the key that they should" }
            }
            @if !view.labels.is_empty() {
                dt { "Labels" }
                dd { @for (name, value) in &view.labels { (ui::badge("plain", &format!("{name}={value}"))) " " } }
            }
        }
    }
}

fn list(ask: &Ask, view: &TopicView, found: &Sorted<Member>, may: bool) -> Markup {
    if view.members.all() == 0 {
        return html! { p.faint { "No device is in this topic yet." } };
    }
    let mut heads = vec!["Device", "State", "It holds key", "Last seen", ""];
    if may {
        heads.insert(0, "");
    }
    let table = ui::table(
        "Devices of the topic",
        &heads,
        html! {
            @for member in &found.part.rows {
                tr {
                    @if may {
                        td {
                            input type="checkbox" name="device" value=(member.name)
                                aria-label={ "Select " (member.name) };
                        }
                    }
                    th scope="row" { a href=(device::href(&member.name)) { (member.name) } }
                    td { (ui::standing(member.standing)) }
                    td { @if member.confirmed == 0 { span.faint { "none" } } @else { (member.confirmed) } }
                    td { (ui::when_or(member.seen_at, ask.now, "never")) }
                    td { @if member.receives { (ui::badge("plain", "only receives")) } }
                }
            }
        },
    );
    html! {
        form.filter method="get" action="/topic" role="search" aria-label="Devices of the topic" {
            input type="hidden" name="name" value=(view.name);
            (ui::input("search", "search", "Name", ask.fields.trimmed("search"), "", false))
            button type="submit" { "Search" }
        }
        (devices::states(ask, "/topic", &found.standings))
        @if found.part.rows.is_empty() {
            p.faint { "No such device." }
        } @else if may {
            form method="post" action="/topic/members" {
                (ui::form_token(ask))
                input type="hidden" name="name" value=(view.name);
                input type="hidden" name="what" value="take";
                div.live #members data-live { (table) }
                div.buttons { button type="submit" { "Take out those that are ticked" } }
            }
        } @else {
            div.live #members data-live { (table) }
        }
        (many::leaf(ask, "devices", &found.part, |member| &member.name))
    }
}

fn many_form(ask: &Ask, name: &str) -> Markup {
    html! {
        form method="post" action="/topic/members" {
            (ui::form_token(ask))
            input type="hidden" name="name" value=(name);
            (many::names_field("devices", "Devices", "", "One name a line, or the first column of CSV."))
            div.buttons {
                button.primary type="submit" name="what" value="add" { "Add" }
                button type="submit" name="what" value="take" { "Take out" }
            }
        }
    }
}

async fn members(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.text("name")?.to_string();
    let mut names = many::names("devices", ask.fields.get("devices").unwrap_or_default())?;
    names.extend(ask.fields.all("device").map(str::to_string));
    if names.is_empty() {
        return Err(Error::invalid("devices", "none was named").into());
    }
    let known = topic.clone();
    web.run(move |service| service.topic_state(&known)).await?;
    let adds = ask.fields.get("what") == Some("add");
    let operation = |client: &String| {
        let (topic, client) = (topic.clone(), client.clone());
        match adds {
            true => Operation::NewTopicClient { topic, client },
            false => Operation::RemoveTopicClient { topic, client },
        }
    };
    let operations = names.iter().map(operation).collect();
    let results = web.apply_many(&ask, None, operations).await?;
    let (title, done) = match adds {
        true => (format!("Devices for {topic}"), "added"),
        false => (format!("Devices taken from {topic}"), "told to forget"),
    };
    many::results(&ask, &title, done, &names, &results, (&href(&topic), "To the topic"))
}

async fn ask_rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let topic = name.clone();
    let work = move |service: &Service| {
        let view = service.topic_view(&topic)?;
        let asleep = |standing| {
            let filter = crate::domain::Filter { standing: Some(standing), ..Default::default() };
            service.members(&topic, &filter, &crate::domain::Place::First, 10)
        };
        Ok((view, asleep(Standing::Waiting)?.part.rows, asleep(Standing::Handed)?.part.rows))
    };
    let (view, asleep, silent) = web.run(work).await?;
    let once = many::once()?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Rotate the key of {name}?"),
            text: plan(&view, &asleep, &silent),
            action: "/topic/rotate",
            fields: &[("name", &name), (ONCE, &once)],
            button: "Rotate",
            danger: false,
            back: &href(&name),
        },
    ))
}

/// Commands that C2 gets through in a second, with room to spare.
const RATE: i64 = 100;

/// What a rotation will do.
fn plan(view: &TopicView, asleep: &[Member], silent: &[Member]) -> Markup {
    let members = &view.members;
    let awake = members.confirmed + members.on_its_way;
    let minutes = (awake / RATE + 59) / 60;
    let listed = |some: &[Member], all: i64| {
        html! {
            @for (number, member) in some.iter().enumerate() {
                @if number > 0 { ", " }
                a href=(device::href(&member.name)) { (member.name) }
            }
            @let more = all - i64::try_from(some.len()).unwrap_or_default();
            @if more > 0 { " and " (ui::number(more)) " more" }
        }
    };
    html! {
        p { "C2 makes key number " (view.epoch + 1) " and sends it to every device of the topic." }
        dl.facts.plan {
            dt { "Devices" } dd { (ui::number(members.all())) }
            dt { "Awake, as far as is known" } dd { (ui::number(awake)) }
            dt { "They hold it within" }
            dd { @if minutes <= 1 { "about a minute" } @else { "about " (minutes) " minutes" } }
            @if members.waiting > 0 {
                dt { "Asleep" }
                dd {
                    (ui::number(members.waiting)) " get it when they wake, and open nothing new until then: "
                    (listed(asleep, members.waiting))
                }
            }
            @if members.handed > 0 {
                dt { "Never answered" }
                dd {
                    "of " (ui::number(members.handed)) " nobody will know whether they have it: "
                    (listed(silent, members.handed))
                }
            }
            @if members.failed > 0 {
                dt { "Failed" } dd { (ui::number(members.failed)) " refused the present key" }
            }
        }
        p.hint {
            "Until a device has the new key it cannot open what others protect with it; what was \
             protected with the old one can be opened for a while."
        }
    }
}

async fn rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.text("name")?.to_string();
    // The operation would create it.
    let known = topic.clone();
    web.run(move |service| service.topic_state(&known)).await?;
    let operation = Operation::NewTopic { topic: topic.clone() };
    let results = web.apply_many(&ask, ask.fields.get(ONCE), vec![operation]).await?;
    for result in results {
        result?;
    }
    let done = format!("{topic} has a new key. Its devices turn green as they confirm it.");
    Ok(web.back(&ask, &href(&topic), Flash::done(done)))
}

async fn ask_remove(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let topic = name.clone();
    let count = web.run(move |service| service.count_clients_of_topic(&topic)).await?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Remove {name}?"),
            text: html! {
                p {
                    "C2 forgets the key, and tells "
                    @match count { 1 => "the one device", _ => { "the " (ui::number(count)) " devices" } }
                    " of the topic to forget it. Nothing that is protected with it can be opened any more."
                }
            },
            action: "/topic/remove",
            fields: &[("name", &name)],
            button: "Remove",
            danger: true,
            back: &href(&name),
        },
    ))
}

async fn remove(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.text("name")?.to_string();
    let done = format!("{topic} was removed.");
    web.apply(&ask, Operation::RemoveTopic { topic }).await?;
    Ok(web.back(&ask, "/topics", Flash::done(done)))
}
