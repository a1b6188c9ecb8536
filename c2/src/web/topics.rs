// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All topics, and new ones.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, devices, many, ui};
use crate::domain::{Operation, Part, Permission, Standing, Standings, TopicView};

/// Rows of a list.
const ROWS: usize = 25;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/topics", get(list)).route("/topics/new", get(form).post(create))
}

async fn list(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let (filter, place) = (devices::filter(&ask), many::place(&ask));
    let found = web.run(move |service| service.topic_views(&filter, &place, ROWS)).await?;
    let filtered = ["search", "label"].iter().any(|name| !ask.fields.trimmed(name).is_empty());
    let may = ask.may(Permission::Operate);
    let body = html! {
        div.heading {
            h1 { "Topics" }
            @if may { a.button.primary href="/topics/new" { "Create a topic" } }
        }
        @if found.total == 0 && !filtered {
            (ui::empty("No topic yet",
                "A topic has a key, and its devices hold it: they protect what they publish there, \
                 and open what others publish.",
                may.then_some(("/topics/new", "Create the first topic"))))
        } @else {
            form.filter method="get" action="/topics" role="search" aria-label="Topics" {
                (ui::input("search", "search", "Name", ask.fields.trimmed("search"), "", false))
                (ui::input("search", "label", "Label", ask.fields.trimmed("label"), "", false))
                button type="submit" { "Search" }
            }
            (rows(&ask, &found))
        }
    };
    Ok(ui::page(&ask, "Topics", body))
}

fn rows(ask: &Ask, found: &Part<TopicView>) -> Markup {
    let heads = ["Topic", "Devices", "How they stand", "Key", "Since"];
    html! {
        @if found.rows.is_empty() {
            (ui::empty("No such topic", "Nothing fits this search.", Some(("/topics", "Show all"))))
        } @else {
            div #list data-live {
                (ui::table("Topics", &heads, html! {
                    @for topic in &found.rows {
                        tr {
                            th scope="row" {
                                a href=(ui::href("/topic", &[("name", &topic.name)])) { (topic.name) }
                                @for (name, value) in &topic.labels {
                                    " " (ui::badge("plain", &format!("{name}={value}")))
                                }
                            }
                            td { (ui::number(topic.members.all())) }
                            td { (bar(&topic.members)) }
                            td { (topic.epoch) @if let Some(words) = stage(topic.stage) { " " (ui::badge("info", words)) } }
                            td { (ui::when_or(topic.rotated_at, ask.now, "")) }
                        }
                    }
                }))
            }
        }
        (many::leaf(ask, "topics", found, |topic| &topic.name))
    }
}

/// What a stage of a rotation is called.
pub fn stage(stage: i64) -> Option<&'static str> {
    match stage {
        1 => Some("receivers first"),
        2 => Some("the others now"),
        _ => None,
    }
}

/// How the devices of a topic stand: a bar, and the same in words.
pub fn bar(members: &Standings) -> Markup {
    let parts = [
        ("good", members.get(Standing::Confirmed), "confirmed"),
        ("info", members.get(Standing::OnItsWay), "on their way"),
        ("warning", members.get(Standing::Waiting), "waiting"),
        ("plain", members.get(Standing::Handed), "never answered"),
        ("bad", members.get(Standing::Failed), "failed"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(_, count, words)| format!("{} {words}", ui::number(*count)))
        .collect();
    html! {
        @if said.is_empty() {
            span.faint { "no device" }
        } @else {
            (ui::bar(&parts))
            p.hint { (said.join(", ")) }
        }
    }
}

async fn form(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    Ok(ui::page(&ask, "Create a topic", page(&ask, None)?))
}

fn page(ask: &Ask, failure: Option<Failure>) -> Result<Markup, Failure> {
    let alert = failure.map(ui::mend).transpose()?;
    Ok(html! {
        h1 { "Create a topic" }
        @if let Some(alert) = alert { (alert) }
        form.card method="post" action="/topics/new" {
            (ui::form_token(ask))
            (ui::input("text", "topic", "Topic", ask.fields.trimmed("topic"),
                "As devices publish on it, such as plant/pressure; without + and #.", true))
            (many::names_field("devices", "Devices", ask.fields.get("devices").unwrap_or_default(),
                "One name a line. They get the key when they are awake; more can be added later."))
            div.buttons {
                button.primary type="submit" { "Create the topic" }
                a.button href="/topics" { "Cancel" }
            }
        }
    })
}

async fn create(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let topic = ask.fields.trimmed("topic").to_string();
    let mend = |failure: Failure| -> Answer {
        let status = failure.status();
        Ok(ui::with_status(status, ui::page(&ask, "Create a topic", page(&ask, Some(failure))?)))
    };
    let names = match many::names("devices", ask.fields.get("devices").unwrap_or_default()) {
        Ok(names) => names,
        Err(error) => return mend(error.into()),
    };
    // One that exists would get a new key.
    let known = topic.clone();
    if web.run(move |service| service.topic_state(&known)).await.is_ok() {
        let what = crate::domain::What::Topic;
        return mend(crate::domain::Error::Exists { what, name: topic }.into());
    }
    if let Err(failure) = web.apply(&ask, Operation::NewTopic { topic: topic.clone() }).await {
        return mend(failure);
    }
    let to = ui::href("/topic", &[("name", &topic)]);
    if names.is_empty() {
        return Ok(web.back(&ask, &to, Flash::done(format!("{topic} was created."))));
    }
    let join = |client: &String| Operation::NewTopicClient {
        topic: topic.clone(),
        client: client.clone(),
    };
    let results = web.apply_many(&ask, None, names.iter().map(join).collect()).await?;
    let title = format!("{topic} was created");
    many::results(&ask, &title, "added", &names, &results, (&to, "To the topic"))
}
