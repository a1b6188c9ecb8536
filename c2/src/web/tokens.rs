// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may call: tokens come and go. A new one is shown once.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, ui};
use crate::domain::{Error, Millis, Page, Permission, Role, Token};
use crate::service::NewToken;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/tokens", get(list))
        .route("/tokens/new", get(form).post(create))
        .route("/tokens/revoke", get(ask_revoke).post(revoke))
}

const DAY: Millis = 24 * 3600 * 1000;

/// What each role may, as people read it.
const ROLES: [(&str, &str); 4] = [
    ("reader", "reader: looks"),
    ("operator", "operator: looks, and changes devices, topics and keys"),
    ("device-provisioner", "device-provisioner: adds new devices, and nothing else"),
    ("admin", "admin: everything, tokens and audit too"),
];

/// When a token ends: days, 0 for never.
const ENDS: [(&str, &str); 6] = [
    ("1", "in a day"),
    ("7", "in a week"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in a year"),
    ("0", "never"),
];

async fn list(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let after = ask.fields.trimmed("after").to_string();
    let page =
        if after.is_empty() { Page::first(Page::MAX) } else { Page::after(&after, Page::MAX) };
    let tokens = web.run(move |service| service.tokens(&page)).await?;
    let full = i64::try_from(tokens.len()).is_ok_and(|count| count == Page::MAX);
    let body = html! {
        div.heading {
            h1 { "Tokens" }
            div.buttons { a.button.primary href="/tokens/new" { "Create a token" } }
        }
        p.faint { "Who may call this server, here and over its interface. A token is known to who holds it "
                  "alone: C2 keeps its hash." }
        @if tokens.is_empty() && !ask.fields.ticked("after") {
            (ui::empty("No token yet", "Create one for each person and each program that calls C2, with the smallest role that will do.",
                       Some(("/tokens/new", "Create a token"))))
        } @else {
            (ui::table("Tokens", &["Name", "Role", "Messages", "Kind", "Created", "Ends", ""], html! {
                @for token in &tokens { (row(&ask, token)) }
            }))
            nav.pager aria-label="Parts of the list" {
                p { "By name" }
                ul {
                    @if ask.fields.ticked("after") { li { a href="/tokens" { "First" } } }
                    @if let (true, Some(last)) = (full, tokens.last()) {
                        li { a href=(ui::href("/tokens", &[("after", &last.name)])) rel="next" { "Next" } }
                    }
                }
            }
        }
    };
    Ok(ui::page(&ask, "Tokens", body))
}

fn row(ask: &Ask, token: &Token) -> Markup {
    let mine = ask.visitor.as_ref().is_some_and(|grant| grant.name == token.name);
    html! {
        tr {
            th scope="row" { (token.name) @if mine { " " (ui::badge("info", "yours")) } }
            td { (token.role.name()) }
            td { (if token.messages { "may protect and open" } else { "no" }) }
            td { (if token.certificate { "client certificate" } else { "token" }) }
            td { (ui::when(token.made_at, ask.now)) }
            td {
                @match token.expires_at {
                    None => span.faint { "never" },
                    Some(at) if at <= ask.now => { (ui::badge("bad", "expired")) },
                    Some(at) => { (ui::when(at, ask.now)) },
                }
            }
            td {
                a.button.quiet href=(ui::href("/tokens/revoke", &[("name", &token.name)]))
                    aria-label={ "Revoke " (token.name) } { "Revoke" }
            }
        }
    }
}

async fn form(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    Ok(form_page(&ask, StatusCode::OK, None))
}

fn form_page(ask: &Ask, status: StatusCode, wrong: Option<Markup>) -> Response {
    let chosen = |name: &str, or: &'static str| {
        let given = ask.fields.trimmed(name);
        if given.is_empty() { or.to_string() } else { given.to_string() }
    };
    let body = html! {
        div.confirm {
            h1 { "Create a token" }
            @if let Some(wrong) = wrong { (wrong) }
            (ui::form(ask, "/tokens/new", html! {
                (ui::input("text", "name", "Name", ask.fields.trimmed("name"),
                           "Of a person or a program; it stands in the audit records. Up to 64 bytes.", true))
                (ui::select("role", "Role", &chosen("role", "reader"), &ROLES))
                (ui::select("ends", "Ends", &chosen("ends", "90"), &ENDS))
                (ui::checkbox("messages", "May protect and open messages", ask.fields.ticked("messages"),
                              "Whoever has this reads what devices say. No role includes it."))
                div.buttons {
                    button.primary type="submit" { "Create" }
                    a.button href="/tokens" { "Cancel" }
                }
            }))
        }
    };
    ui::with_status(status, ui::page(ask, "Create a token", body))
}

fn wanted(ask: &Ask) -> Result<NewToken, Error> {
    let role = ask.fields.trimmed("role");
    let role = Role::ALL.into_iter().find(|one| one.name() == role);
    let days = ask.fields.number("ends", 90)?;
    if !(0..=36_500).contains(&days) {
        return Err(Error::invalid("ends", "is not a number of days up to 36500"));
    }
    Ok(NewToken {
        name: ask.fields.trimmed("name").to_string(),
        role: role.ok_or_else(|| Error::invalid("role", "is not a role"))?,
        messages: ask.fields.ticked("messages"),
        expires_at: (days > 0).then(|| ask.now.saturating_add(days.saturating_mul(DAY))),
        certificate: None,
    })
}

async fn create(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let caller = ask.caller.clone();
    let created = match wanted(&ask) {
        Ok(new) => web.run(move |service| service.create_token(&caller, &new)).await,
        Err(error) => Err(error.into()),
    };
    let token = match created {
        Ok(token) => token.ok_or(Failure::Broken)?,
        Err(failure) => {
            let status = failure.status();
            return Ok(form_page(&ask, status, Some(ui::mend(failure)?)));
        }
    };
    web.changed();
    let name = ask.fields.trimmed("name");
    let body = html! {
        div.confirm {
            h1 { "The token of " (name) }
            (ui::notice("warning", "This is the only time it is shown.",
                        "Hand it over in a way that nobody else reads. If it is lost, revoke it and create another."))
            pre.secret { code #token-text { (*token) } }
            div.buttons {
                button type="button" data-copy="token-text" hidden { "Copy" }
                a.button.primary href="/tokens" { "Done" }
            }
            p { "On the command line, with the token in a file: " code { "e4 login --token-file FILE" } }
        }
    };
    Ok(ui::page(&ask, "Token", body))
}

async fn ask_revoke(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let name = ask.fields.text("name")?;
    let mine = ask.visitor.as_ref().is_some_and(|grant| grant.name == name);
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Revoke {name}?"),
            text: html! {
                p { "Who holds it is let in no more, from the next call on. Pages and streams that are open with it end." }
                @if mine { p { strong { "It is your own: you will be signed out." } } }
            },
            action: "/tokens/revoke",
            fields: &[("name", name)],
            button: "Revoke",
            danger: true,
            back: "/tokens",
        },
    ))
}

async fn revoke(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let name = ask.fields.text("name")?.to_string();
    let (caller, token) = (ask.caller.clone(), name.clone());
    web.run(move |service| service.revoke_token(&caller, &token)).await?;
    web.changed();
    Ok(web.back(&ask, "/tokens", Flash::done(format!("{name} was revoked."))))
}
