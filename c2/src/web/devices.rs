// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All devices: to search, to sort by how they stand, to change many at once.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask};
use super::many::{self, ONCE};
use super::{Web, ui};
use crate::domain::{Device, Error, Filter, Operation, Permission, Sorted, Standing, Standings};

/// Rows of a list.
pub const ROWS: usize = 50;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/devices", get(list))
        .route("/devices/selected", post(selected))
        .route("/devices/change", post(change))
}

/// What the query filters for.
pub fn filter(ask: &Ask) -> Filter {
    let label = match ask.fields.trimmed("label") {
        "" => None,
        text => Some(match text.split_once('=') {
            Some((name, value)) => (name.trim().to_string(), Some(value.trim().to_string())),
            None => (text.to_string(), None),
        }),
    };
    Filter {
        search: ask.fields.trimmed("search").to_string(),
        standing: ask.fields.get("state").and_then(Standing::from_name),
        label,
    }
}

async fn list(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let (filter, place) = (filter(&ask), many::place(&ask));
    let found = web.run(move |service| service.devices(&filter, &place, ROWS)).await?;
    let filtered =
        ["search", "state", "label"].iter().any(|name| !ask.fields.trimmed(name).is_empty());
    let body = html! {
        div.heading {
            h1 { "Devices" }
            @if ask.may(Permission::Provision) {
                a.button.primary href="/devices/new" { "Add a device" }
            }
        }
        @if found.standings.all() == 0 && !filtered {
            (ui::empty("No device yet",
                "A device gets a key here, and comes to hold the keys of its topics. \
                 Many at once come from a file: e4 import csv.",
                ask.may(Permission::Provision).then_some(("/devices/new", "Add the first device"))))
        } @else {
            (search(&ask))
            (states(&ask, "/devices", &found.standings))
            (rows(&ask, &found))
        }
    };
    Ok(ui::page(&ask, "Devices", body))
}

fn search(ask: &Ask) -> Markup {
    html! {
        form.filter method="get" action="/devices" role="search" aria-label="Devices" {
            (ui::input("search", "search", "Name", ask.fields.trimmed("search"), "", false))
            (ui::input("search", "label", "Label", ask.fields.trimmed("label"), "", false))
            @if let Some(state) = ask.fields.get("state").and_then(Standing::from_name) {
                input type="hidden" name="state" value=(state.name());
            }
            button type="submit" { "Search" }
        }
    }
}

/// Links to those that stand one way, with their numbers.
pub fn states(ask: &Ask, path: &str, all: &Standings) -> Markup {
    let chosen = ask.fields.get("state").and_then(Standing::from_name);
    let to = |standing: Option<Standing>| {
        let kept = ["name", "search", "label"].into_iter();
        let kept = kept.map(|name| (name, ask.fields.trimmed(name)));
        let mut query: Vec<_> = kept.filter(|(_, value)| !value.is_empty()).collect();
        query.extend(standing.map(|standing| ("state", standing.name())));
        ui::href(path, &query)
    };
    html! {
        nav aria-label="By state" {
            ul.states #states data-live {
                li {
                    a href=(to(None)) aria-current=[chosen.is_none().then_some("true")] {
                        "all " span.count { (ui::number(all.all())) }
                    }
                }
                @for standing in Standing::ALL {
                    @let here = chosen == Some(standing);
                    @if here || all.get(standing) > 0 {
                        li {
                            a href=(to(Some(standing))) aria-current=[here.then_some("true")] {
                                (ui::standing(standing)) " "
                                span.count { (ui::number(all.get(standing))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rows(ask: &Ask, found: &Sorted<Device>) -> Markup {
    let may = ask.may(Permission::Operate);
    let mut heads = vec!["Device", "State", "Topics", "Behind", "Last seen", "Labels"];
    if may {
        heads.insert(0, "");
    }
    let table = ui::table(
        "Devices",
        &heads,
        html! {
            @for device in &found.part.rows { (row(ask, device, may)) }
        },
    );
    html! {
        @if found.part.rows.is_empty() {
            (ui::empty("No such device", "Nothing fits this search.", Some(("/devices", "Show all"))))
        } @else if may {
            form method="post" action="/devices/selected" {
                (ui::form_token(ask))
                div #devices data-live { (table) }
                fieldset.bulk {
                    legend { "With the devices that are ticked" }
                    label.tick {
                        input type="checkbox" data-select-all="device" hidden;
                        span { "all of this page" }
                    }
                    (ui::select("action", "Do", "add", &ACTIONS))
                    (ui::input("text", "topic", "Topic", "", "For the first two.", false))
                    button type="submit" { "Go on" }
                }
            }
        } @else {
            div #devices data-live { (table) }
        }
        (many::leaf(ask, "devices", &found.part, |device| &device.name))
    }
}

fn row(ask: &Ask, device: &Device, may: bool) -> Markup {
    html! {
        tr {
            @if may {
                td {
                    input type="checkbox" name="device" value=(device.name)
                        aria-label={ "Select " (device.name) };
                }
            }
            th scope="row" { a href=(ui::href("/device", &[("name", &device.name)])) { (device.name) } }
            td {
                (ui::standing(device.standing))
                @if let Some(trouble) = &device.trouble { p.hint { (trouble) } }
            }
            td { (ui::number(device.topics)) }
            td { (ui::number(device.behind)) }
            td { (ui::when_or(device.seen_at, ask.now, "never")) }
            td { (labels(&device.labels)) }
        }
    }
}

/// Labels, each a way to those that have it as well.
pub fn labels(all: &[(String, String)]) -> Markup {
    html! {
        @for (name, value) in all {
            @let text = format!("{name}={value}");
            a.badge href=(ui::href("/devices", &[("label", &text)])) { (text) } " "
        }
    }
}

const ACTIONS: [(&str, &str); 6] = [
    ("add", "add to a topic"),
    ("take", "take from a topic"),
    ("rotate", "give a new key of its own"),
    ("resync", "send everything again"),
    ("reset", "reset: forget all topics"),
    ("remove", "remove"),
];

/// What a choice does to one device.
fn operation(action: &str, topic: &str, client: &str, rotate: bool) -> Option<Operation> {
    let (client, topic) = (client.to_string(), topic.to_string());
    Some(match action {
        "add" => Operation::NewTopicClient { topic, client },
        "take" => Operation::RemoveTopicClient { topic, client },
        "rotate" => Operation::NewClientKey { client },
        "resync" => Operation::Resync { client: Some(client) },
        "reset" => Operation::ResetClient { client },
        "remove" => Operation::RemoveClient { client, rotate },
        _ => return None,
    })
}

/// What is about to be done, and to whom.
fn words(action: &str, topic: &str, count: usize) -> (String, &'static str, &'static str) {
    let devices = if count == 1 { "1 device".into() } else { format!("{count} devices") };
    match action {
        "add" => (format!("Add {devices} to {topic}?"), "Add", "added"),
        "take" => (format!("Take {devices} from {topic}?"), "Take", "told to forget"),
        "rotate" => (format!("Give {devices} a new key each?"), "Rotate", "gets a new key"),
        "resync" => (format!("Send {devices} everything again?"), "Send", "is sent everything"),
        "reset" => (format!("Have {devices} forget all topics?"), "Reset", "told to forget"),
        _ => (format!("Remove {devices}?"), "Remove", "removed"),
    }
}

async fn selected(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let names: Vec<&str> = ask.fields.all("device").collect();
    let (action, topic) = (ask.fields.text("action")?, ask.fields.trimmed("topic"));
    if names.is_empty() {
        return Err(Error::invalid("device", "none was ticked").into());
    }
    if operation(action, topic, "", false).is_none() {
        return Err(Error::invalid("action", "is none of those").into());
    }
    if matches!(action, "add" | "take") {
        let topic = topic.to_string();
        web.run(move |service| service.topic_state(&topic)).await?;
    }
    let (title, button, _) = words(action, topic, names.len());
    let once = many::once()?;
    let mut fields = vec![("action", action), ("topic", topic), (ONCE, once.as_str())];
    fields.extend(names.iter().map(|name| ("device", *name)));
    let text = html! {
        ul.names { @for name in &names { li { (name) } } }
        @match action {
            "rotate" => {
                p { "The new key travels under the old one. A device that sleeps takes it when it wakes." }
            }
            "reset" => { p { "They forget the keys of all topics, and are in none any more." } }
            "remove" => {
                p { "C2 forgets them and their keys. They keep the keys of topics that they hold." }
                (ui::checkbox("rotate", "Give the topics that they knew new keys", true,
                    "Then what they hold is worth nothing any more. The other devices get the new keys."))
            }
            _ => {}
        }
    };
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &title,
            text,
            action: "/devices/change",
            fields: &fields,
            button,
            danger: matches!(action, "take" | "reset" | "remove"),
            back: "/devices",
        },
    ))
}

async fn change(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let names: Vec<String> = ask.fields.all("device").map(str::to_string).collect();
    let (action, topic) = (ask.fields.text("action")?, ask.fields.trimmed("topic"));
    let rotate = ask.fields.ticked("rotate");
    let operations: Option<Vec<Operation>> =
        names.iter().map(|name| operation(action, topic, name, rotate)).collect();
    let operations = operations.ok_or_else(|| Error::invalid("action", "is none of those"))?;
    let results = web.apply_many(&ask, ask.fields.get(ONCE), operations).await?;
    let (title, _, done) = words(action, topic, names.len());
    let title = title.trim_end_matches('?');
    many::results(&ask, title, done, &names, &results, ("/devices", "To the devices"))
}
