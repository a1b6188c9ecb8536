// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One topic: its key, and the devices that hold it.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::many::{self, ONCE};
use super::{Web, device, devices, labels, topics, ui};
use crate::domain::{
    Error, Labelled, Member, Operation, Permission, Receivers, RotationPlan, Selector, Sorted,
    Standing, TopicView,
};
use crate::service::Service;

/// Rows of a list.
const ROWS: usize = 50;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/topic", get(topic))
        .route("/topic/label", post(label))
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
            h2 { "Labels" }
            (labels::editor(&ask, "/topic/label", &view.name, "/topics", &view.labels))
        }
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

async fn label(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.text("name")?.to_string();
    let operation = labels::operation(&ask, Labelled::Topic(topic.clone()))?;
    web.apply(&ask, operation).await?;
    Ok(web.back(&ask, &href(&topic), Flash::done("The labels were changed.")))
}

async fn ask_rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    show_plan(&web, &ask, None).await
}

async fn show_plan(web: &Web, ask: &Ask, failure: Option<Failure>) -> Answer {
    let status = failure.as_ref().map(Failure::status);
    let alert = failure.map(ui::mend).transpose()?;
    let name = ask.fields.text("name")?.to_string();
    let topic = name.clone();
    let plan = web.run(move |service| service.rotation_plan(&topic)).await?;
    let once = many::once()?;
    let page = ui::confirm(
        ask,
        &ui::Confirm {
            title: &format!("Rotate the key of {name}?"),
            text: html! {
                @if let Some(alert) = alert { (alert) }
                (planned(ask, &plan))
                (ways(ask, &plan))
            },
            action: "/topic/rotate",
            fields: &[("name", &name), (ONCE, &once)],
            button: "Rotate",
            danger: false,
            back: &href(&name),
        },
    );
    Ok(match status {
        Some(status) => ui::with_status(status, page),
        None => page,
    })
}

/// Names that are shown of those who will miss it.
const NAMED: usize = 10;

/// What a rotation will do.
fn planned(ask: &Ask, plan: &RotationPlan) -> Markup {
    let asleep: Vec<&String> = plan.asleep_names.iter().take(NAMED).collect();
    let more = plan.asleep - i64::try_from(asleep.len()).unwrap_or_default();
    let to = |standing: Standing| {
        let query = [("name", plan.topic.as_str()), ("state", standing.name())];
        ui::href("/topic", &query)
    };
    html! {
        @if let Some(until) = plan.under_way_until.filter(|until| *until > ask.now) {
            (ui::notice("info", "A rotation in two stages is under way.",
                "Rotated at once, the topic leaves it."))
            p.hint { "It ends at the latest " (ui::when(until, ask.now)) "." }
        }
        p { "C2 makes key number " (plan.epoch + 1) " and sends it to every device of the topic." }
        dl.facts.plan {
            dt { "Devices" } dd { (ui::number(plan.members)) }
            dt { "Awake, as far as is known" } dd { (ui::number(plan.awake)) }
            @if plan.awake > 0 {
                dt { "They hold it within" }
                dd { (ui::about(plan.expected_seconds)) }
            }
            @if plan.asleep > 0 {
                dt { "Asleep" }
                dd {
                    (ui::number(plan.asleep)) " will miss it until they wake: "
                    @for (number, name) in asleep.iter().enumerate() {
                        @if number > 0 { ", " }
                        a href=(device::href(name)) { (name) }
                    }
                    @if more > 0 { " and " (ui::number(more)) " more" }
                }
            }
            @if plan.silent > 0 {
                dt { "Never answered" }
                dd {
                    "of " (ui::number(plan.silent)) " nobody will know whether they have it ("
                    a href=(to(Standing::Handed)) { "who" } ")"
                }
            }
        }
    }
}

/// How it is done.
fn ways(ask: &Ask, plan: &RotationPlan) -> Markup {
    let staged = ask.fields.get("how") == Some("stages");
    let known = plan.receivers > 0;
    let of = ask.fields.get("receivers-of").unwrap_or(if known { "known" } else { "names" });
    let mut choices = vec![("names", "the devices below"), ("label", "the devices with a label")];
    let words = format!("the {} of whom an earlier rotation said so", ui::number(plan.receivers));
    if known {
        choices.insert(0, ("known", words.as_str()));
    }
    html! {
        fieldset.ways {
            legend { "How" }
            div.field.tick {
                input #at-once type="radio" name="how" value="once" checked[!staged]
                    aria-describedby="at-once-hint";
                label for="at-once" { "At once" }
                p.hint #at-once-hint {
                    "All devices get it at the same time. Until a device has it, it cannot open what \
                     others protect with it already."
                }
            }
            div.field.tick {
                input #in-stages type="radio" name="how" value="stages" checked[staged]
                    aria-describedby="in-stages-hint";
                label for="in-stages" { "Receivers first" }
                p.hint #in-stages-hint {
                    "Devices that only receive get it first, those that send when these have confirmed \
                     it: no message to a device that is awake is lost."
                }
            }
            div.stages {
                (ui::select("receivers-of", "Who only receives", of, &choices))
                (many::names_field("receivers", "Devices", ask.fields.get("receivers").unwrap_or_default(),
                    "One name a line, for the devices below."))
                (ui::input("text", "label", "Label", ask.fields.trimmed("label"), "Name=value, for devices with a label.", false))
                (ui::input("number", "deadline", "Deadline in seconds",
                    match ask.fields.trimmed("deadline") { "" => "300", given => given },
                    "The senders get it then, whoever has confirmed it; up to 1800.", false))
            }
        }
    }
}

fn rotation(ask: &Ask) -> crate::domain::Result<Operation> {
    let topic = ask.fields.text("name")?.to_string();
    if ask.fields.get("how") != Some("stages") {
        return Ok(Operation::NewTopic { topic });
    }
    let receivers = match ask.fields.get("receivers-of") {
        Some("known") => Receivers::Known,
        Some("label") => match ask.fields.trimmed("label").split_once('=') {
            Some((name, value)) => {
                let (name, value) = (name.trim().to_string(), value.trim().to_string());
                Receivers::Of(Selector::Label { name, value })
            }
            None => return Err(Error::invalid("label", "is not name=value")),
        },
        _ => {
            let names = ask.fields.get("receivers").unwrap_or_default();
            Receivers::Names(many::names("receivers", names)?)
        }
    };
    let deadline = u32::try_from(ask.fields.number("deadline", 300)?);
    let deadline = deadline.map_err(|_| Error::invalid("deadline", "is no number of seconds"))?;
    Ok(Operation::RotateTopic { topic, receivers, deadline })
}

async fn rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.text("name")?.to_string();
    // The operation at once would create it.
    let known = topic.clone();
    web.run(move |service| service.topic_state(&known)).await?;
    let operation = match rotation(&ask) {
        Ok(operation) => operation,
        Err(error) => return show_plan(&web, &ask, Some(error.into())).await,
    };
    let results = web.apply_many(&ask, ask.fields.get(ONCE), vec![operation]).await?;
    for result in results {
        if let Err(error) = result {
            return show_plan(&web, &ask, Some(error.into())).await;
        }
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
