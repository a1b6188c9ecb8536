// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing in and out.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;
use zeroize::Zeroizing;

use super::ask::{Answer, Ask, Failure};
use super::session::{self, Session};
use super::{Web, door, ui};
use crate::service::{Stranger, token_hash};

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route(door::SIGN_IN, get(form).post(sign_in)).route("/sign-out", post(sign_out))
}

async fn form(ask: Ask) -> Answer {
    if ask.visitor.is_some() {
        return Ok(session::see(next(&ask)));
    }
    let why = match ask.fields.get("why") {
        Some("expired") => Some("Your session has expired. Sign in again to go on."),
        Some("ended") => Some("Your token was revoked or has expired. Sign in with another."),
        Some("out") => Some("You are signed out."),
        _ => None,
    };
    Ok(page(&ask, StatusCode::OK, why.map(|why| ui::notice("info", why, ""))))
}

fn page(ask: &Ask, status: StatusCode, notice: Option<maud::Markup>) -> Response {
    let body = html! {
        div.sign-in {
            h1 { "Sign in" }
            @if let Some(notice) = notice { (notice) }
            form method="post" action=(door::SIGN_IN) {
                (ui::form_token(ask))
                input type="hidden" name="next" value=(next(ask));
                div.field {
                    label for="token" { "Access token" }
                    input #token name="token" type="password" required autocomplete="current-password"
                        autofocus spellcheck="false" aria-describedby="token-hint";
                    p.hint #token-hint {
                        "It begins with " code { "e4_" } "."
                    }
                }
                button.primary type="submit" { "Sign in" }
            }
            details {
                summary { "No token yet?" }
                p { "On the machine of the server, an administrator makes one with" }
                pre { code { "e4 token create NAME --role admin" } }
                p { "and for colleagues on the page " b { "Tokens" } ". Roles: admin, operator, reader." }
            }
        }
    };
    ui::with_status(status, ui::page(ask, "Sign in", body))
}

async fn sign_in(State(web): State<Web>, ask: Ask) -> Answer {
    let token = Zeroizing::new(ask.fields.trimmed("token").to_string());
    let hash = token_hash(&token);
    let why = match web.run(move |service| service.recognise_hash(&hash, false)).await? {
        Ok(_) => {
            let mut response = session::see(next(&ask));
            Session::new(Some(hash), ask.now)?.keep(&web, ask.now, &mut response);
            return Ok(response);
        }
        Err(Stranger::Unknown) => "this token is not known here",
        Err(Stranger::Expired) => "this token has expired",
    };
    match door::refuse_token(&web, &ask, why).await {
        Failure::Refused(why) => {
            let hint = "Check that all of it was pasted, or ask an administrator for another.";
            let notice = ui::alert(&super::ask::sentence(&why), hint);
            Ok(page(&ask, StatusCode::UNAUTHORIZED, Some(notice)))
        }
        Failure::Wait(why) => {
            let notice = ui::alert(&super::ask::sentence(&why), "");
            Ok(page(&ask, StatusCode::TOO_MANY_REQUESTS, Some(notice)))
        }
        other => Err(other),
    }
}

async fn sign_out(State(web): State<Web>, _: Ask) -> Answer {
    let mut response = session::see(&ui::href(door::SIGN_IN, &[("why", "out")]));
    session::forget(&web, &mut response);
    Ok(response)
}

/// Where to go after signing in: a page of this site.
fn next(ask: &Ask) -> &str {
    let next = ask.fields.get("next").unwrap_or("/");
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    // `//host` would be another site.
    let here = next.starts_with('/') && !next.starts_with("//");
    if plain && here && !next.starts_with(door::SIGN_IN) { next } else { "/" }
}
