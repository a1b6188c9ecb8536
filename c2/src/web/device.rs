// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One device: what it should hold, how far that has come, and what was done to it.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, labels, ui};
use crate::domain::{
    AuditRecord, DeviceDetail, Error, Held, History, Labelled, Operation, Permission,
};

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/device", get(device))
        .route("/device/join", post(join))
        .route("/device/leave", post(leave))
        .route("/device/label", post(label))
        .route("/device/rotate", post(rotate))
        .route("/device/resync", post(resync))
        .route("/device/reset", get(ask_reset).post(reset))
        .route("/device/remove", get(ask_remove).post(remove))
}

/// Where the page of a device is.
pub fn href(name: &str) -> String {
    ui::href("/device", &[("name", name)])
}

async fn device(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    show(&web, &ask, None).await
}

async fn show(web: &Web, ask: &Ask, failure: Option<Failure>) -> Answer {
    let status = failure.as_ref().map(Failure::status);
    let alert = failure.map(ui::mend).transpose()?;
    let name = ask.fields.text("name")?.to_string();
    let before = match ask.fields.number("records", 0)? {
        0 => None,
        number => Some(number),
    };
    let work = move |service: &crate::service::Service| {
        Ok((service.device(&name)?, service.client_history(&name, before)?))
    };
    let (detail, history) = web.run(work).await?;
    let device = &detail.device;
    let may = ask.may(Permission::Operate);
    let body = html! {
        p.up { a href="/devices" { "Devices" } }
        div.heading {
            h1 { (device.name) }
            div #standing data-live { (ui::standing(device.standing)) }
        }
        @if let Some(alert) = alert { (alert) }
        div.cards {
            section.card #facts data-live { h2 { "How it stands" } (facts(ask, &detail)) }
            @if may { section.card { h2 { "What to do" } (actions(ask, &device.name)) } }
        }
        section.card {
            h2 { "Topics" }
            div.live #topics data-live { (topics(ask, &detail, may)) }
            @if may { (join_form(ask, &device.name)) }
        }
        section.card {
            h2 { "Labels" }
            (labels::editor(ask, "/device/label", &device.name, "/devices", &device.labels))
        }
        @if ask.public_keys {
            section.card { h2 { "Public keys of others" } div.live #peers data-live { (peers(ask, &detail)) } }
        }
        section.card { h2 { "History" } div.live #history data-live { (histories(ask, &history, &href(&device.name), "records")) } }
    };
    let page = ui::page(ask, &device.name, body);
    Ok(match status {
        Some(status) => ui::with_status(status, page),
        None => page,
    })
}

fn facts(ask: &Ask, detail: &DeviceDetail) -> Markup {
    let device = &detail.device;
    html! {
        dl.facts {
            @if let Some(trouble) = &device.trouble {
                dt { "Trouble" } dd { strong { (trouble) } }
            }
            dt { "Last seen" }
            dd {
                (ui::when_or(device.seen_at, ask.now, "never"))
                @if !device.answers {
                    p.hint { "It was not started yet, or it is of a make that does not answer: then \
                              what the broker took is all that C2 can know." }
                }
            }
            dt { "Behind" }
            dd {
                @match device.behind {
                    0 => "nothing is outstanding",
                    behind => { (ui::number(behind)) " outstanding" }
                }
                @if detail.resets { ", and it is told to forget everything first" }
            }
            @if let Some(due) = detail.due_at.filter(|due| *due > ask.now) {
                dt { "Next try" } dd { (ui::when(due, ask.now)) }
            }
            dt { "Its own key" }
            dd { (own_key(&detail.own_key)) }
            @if let Some(key) = &detail.c2_key {
                dt { "C2's key" } dd { (own_key(key)) }
            }
            dt { "Added" } dd { (ui::when(detail.made_at, ask.now)) }
            dt { "Id" } dd { code { (detail.id) } }
        }
    }
}

fn own_key(key: &Held) -> Markup {
    html! {
        "number " (key.epoch) " " (ui::standing(key.standing))
        @if key.attempts > 0 { " " span.faint { "sent " (key.attempts) " times" } }
    }
}

fn actions(ask: &Ask, name: &str) -> Markup {
    let fields = [("name", name)];
    html! {
        dl.actions {
            dt { (ui::button(ask, "/device/rotate", &fields, "", "New key")) }
            dd { "A new key of its own. It travels under the old one; a device that sleeps takes it \
                  when it wakes." }
            dt { (ui::button(ask, "/device/resync", &fields, "", "Send again")) }
            dd { "Everything that it should hold is sent again." }
            dt { a.button href=(ui::href("/device/reset", &fields)) { "Reset" } }
            dd { "It forgets all keys but its own, and its topics." }
            dt { a.button.danger href=(ui::href("/device/remove", &fields)) { "Remove" } }
            dd { "C2 forgets it; the topics that it knew may get new keys." }
        }
    }
}

fn topics(ask: &Ask, detail: &DeviceDetail, may: bool) -> Markup {
    if detail.topics.is_empty() {
        return html! { p.faint { "It is in no topic yet." } };
    }
    let name = &detail.device.name;
    let mut heads = vec!["Topic", "State", "Key", "It holds", "Sent", "Changed"];
    if may {
        heads.push("");
    }
    ui::table(
        "Topics of the device",
        &heads,
        html! {
            @for held in &detail.topics {
                tr {
                    th scope="row" {
                        a href=(ui::href("/topic", &[("name", &held.name)])) { (held.name) }
                        @if held.receives { " " (ui::badge("plain", "only receives")) }
                    }
                    (held_cells(ask, held))
                    @if may {
                        td {
                            @if held.epoch > 0 {
                                @let fields = [("name", name.as_str()), ("topic", held.name.as_str())];
                                (ui::button(ask, "/device/leave", &fields, "quiet", "Take out"))
                            }
                        }
                    }
                }
            }
        },
    )
}

fn held_cells(ask: &Ask, held: &Held) -> Markup {
    html! {
        td {
            (ui::standing(held.standing))
            @if let Some(error) = &held.error { p.hint { (error) } }
        }
        td { @if held.epoch == 0 { "to be forgotten" } @else { (held.epoch) } }
        td { @if held.confirmed == 0 { span.faint { "none" } } @else { (held.confirmed) } }
        td { (ui::number(held.attempts)) }
        td { (ui::when_or(held.changed_at, ask.now, "")) }
    }
}

fn join_form(ask: &Ask, name: &str) -> Markup {
    html! {
        form.filter method="post" action="/device/join" {
            (ui::form_token(ask))
            input type="hidden" name="name" value=(name);
            (ui::input("text", "topic", "Add it to a topic", "", "", true))
            button type="submit" { "Add" }
        }
    }
}

fn peers(ask: &Ask, detail: &DeviceDetail) -> Markup {
    let name = &detail.device.name;
    let names = |all: &[String]| {
        html! {
            @for (number, name) in all.iter().enumerate() {
                @if number > 0 { ", " }
                a href=(href(name)) { (name) }
            }
            @if all.is_empty() { span.faint { "none" } }
        }
    };
    html! {
        @if detail.peers.is_empty() {
            p.faint { "It holds none: it cannot tell who signed what it receives." }
        } @else {
            (ui::table("Public keys that the device holds", &["Of", "State", "Key", "It holds", "Sent", "Changed"], html! {
                @for held in &detail.peers {
                    tr {
                        th scope="row" { a href=(href(&held.name)) { (held.name) } }
                        (held_cells(ask, held))
                    }
                }
            }))
        }
        dl.facts {
            dt { "Gets, as they change, the keys of" } dd { (names(&detail.sources)) }
            dt { "Its key goes, as it changes, to" } dd { (names(&detail.targets)) }
        }
        @if ask.may(Permission::Operate) {
            p { a href=(ui::href("/links", &[("target", name)])) { "Change what it holds" } }
        }
    }
}

/// Records, newest first, with a link to those before.
pub fn histories(ask: &Ask, history: &History, here: &str, field: &str) -> Markup {
    html! {
        @if history.records.is_empty() {
            p.faint { "Nothing" @if history.looked_to > 0 { " after record " (history.looked_to) } "." }
        } @else {
            (ui::table("What was done", &["Record", "When", "What", "By", "Details"], html! {
                @for record in &history.records { (record_row(ask, record)) }
            }))
        }
        @if history.looked_to > 0 {
            p {
                a href={ (here) "&" (field) "=" (history.looked_to + 1) "#history" } {
                    "Look further back, before record " (history.looked_to + 1)
                }
            }
        }
    }
}

fn record_row(ask: &Ask, record: &AuditRecord) -> Markup {
    let detail: serde_json::Value = serde_json::from_str(&record.detail).unwrap_or_default();
    let parts = detail.as_object().into_iter().flatten().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    let words: Vec<String> = parts.collect();
    html! {
        tr {
            td { (record.seq) }
            td { (ui::when(record.at, ask.now)) }
            td { (record.action.replace('_', " ")) }
            td { (record.actor) }
            td.wrap { (words.join(", ")) }
        }
    }
}

async fn changed(web: &Web, ask: &Ask, operation: Operation, done: String) -> Answer {
    let name = ask.fields.text("name")?.to_string();
    match web.apply(ask, operation).await {
        Ok(_) => Ok(web.back(ask, &href(&name), Flash::done(done))),
        // Where the device itself is missing there is no page of it.
        Err(Failure::Error(Error::NotFound { what: crate::domain::What::Client, name })) => {
            Err(Error::NotFound { what: crate::domain::What::Client, name }.into())
        }
        Err(failure) => show(web, ask, Some(failure)).await,
    }
}

async fn join(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let (client, topic) =
        (ask.fields.text("name")?.to_string(), ask.fields.trimmed("topic").to_string());
    let done = format!("{client} is sent the key of {topic}.");
    changed(&web, &ask, Operation::NewTopicClient { topic, client }, done).await
}

async fn leave(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let (client, topic) =
        (ask.fields.text("name")?.to_string(), ask.fields.text("topic")?.to_string());
    let done = format!(
        "{client} is told to forget the key of {topic}. To shut it out for sure, rotate the topic."
    );
    changed(&web, &ask, Operation::RemoveTopicClient { topic, client }, done).await
}

async fn label(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let client = ask.fields.text("name")?.to_string();
    match labels::operation(&ask, Labelled::Client(client)) {
        Ok(operation) => changed(&web, &ask, operation, "The labels were changed.".into()).await,
        Err(error) => show(&web, &ask, Some(error.into())).await,
    }
}

async fn rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let client = ask.fields.text("name")?.to_string();
    let done = format!("{client} gets a new key of its own.");
    changed(&web, &ask, Operation::NewClientKey { client }, done).await
}

async fn resync(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let client = ask.fields.text("name")?.to_string();
    let done = format!("{client} is sent everything again.");
    changed(&web, &ask, Operation::Resync { client: Some(client) }, done).await
}

async fn ask_reset(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let known = name.clone();
    let topics = web.run(move |service| service.count_topics_of_client(&known)).await?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Have {name} forget its topics?"),
            text: html! {
                p {
                    "It forgets all keys but its own, and is in none of its " (ui::number(topics))
                    " topics any more. Add it again to those that it needs."
                }
            },
            action: "/device/reset",
            fields: &[("name", &name)],
            button: "Reset",
            danger: true,
            back: &href(&name),
        },
    ))
}

async fn reset(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let client = ask.fields.text("name")?.to_string();
    let done = format!("{client} is told to forget its topics.");
    changed(&web, &ask, Operation::ResetClient { client }, done).await
}

async fn ask_remove(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let name = ask.fields.text("name")?.to_string();
    let known = name.clone();
    let work = move |service: &crate::service::Service| {
        let page = crate::domain::Page::first(10);
        let topics = service.topics_of_client(&known, &page)?;
        Ok((topics, service.count_topics_of_client(&known)?))
    };
    let (topics, count) = web.run(work).await?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Remove {name}?"),
            text: html! {
                p { "C2 forgets the device and its key. The device itself is not told." }
                @if count > 0 {
                    p {
                        "It knows the keys of " (topics.join(", "))
                        @if count > 10 { " and " (ui::number(count - 10)) " more topics" } "."
                    }
                    (ui::checkbox("rotate", "Give these topics new keys", true,
                        "Then what it knows is worth nothing any more. Their other devices get the new keys."))
                }
            },
            action: "/device/remove",
            fields: &[("name", &name)],
            button: "Remove",
            danger: true,
            back: &href(&name),
        },
    ))
}

async fn remove(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let (client, rotate) = (ask.fields.text("name")?.to_string(), ask.fields.ticked("rotate"));
    let done = match rotate {
        true => format!("{client} was removed, and its topics get new keys."),
        false => format!("{client} was removed."),
    };
    web.apply(&ask, Operation::RemoveClient { client, rotate }).await?;
    Ok(web.back(&ask, "/devices", Flash::done(done)))
}
