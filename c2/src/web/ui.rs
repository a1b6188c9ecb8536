// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The parts that pages are made of.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ask::{Ask, Failure};
use super::{assets, door};
use crate::domain::{Millis, Permission, Standing};

/// What a query leaves as it is.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The page has said what was done before.
#[derive(Clone, Copy)]
pub struct Said;

/// A path with a query.
pub fn href(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = path.to_string();
    for (number, (name, value)) in query.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.extend(utf8_percent_encode(name, PLAIN));
        text.push('=');
        text.extend(utf8_percent_encode(value, PLAIN));
    }
    text
}

/// A whole page, with what all pages have.
pub fn page(ask: &Ask, title: &str, body: Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a.skip href="#main" { "Skip to the content" }
                (header(ask))
                main #main tabindex="-1" {
                    @if ask.open {
                        (notice("warning", "Nobody is asked who they are.",
                                "This server runs with --no-auth: everybody on this machine may do everything."))
                    }
                    @if let Some(flash) = &ask.flash {
                        (notice(if flash.good { "good" } else { "bad" }, &flash.text, ""))
                    }
                    (body)
                }
                footer { p { "E4 C2 " (env!("CARGO_PKG_VERSION")) } }
            }
        }
    };
    let mut response = Html(markup.into_string()).into_response();
    response.extensions_mut().insert(Said);
    response
}

/// The same with another status.
pub fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

/// The page of a failure.
pub fn failure(ask: &Ask, failure: &Failure) -> Response {
    with_status(failure.status(), page(ask, "Not done", why(failure)))
}

/// The same where nobody is known to ask.
pub fn bare(status: StatusCode, failure: &Failure) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" { (head("Not done")) body { main #main { (why(failure)) } } }
    };
    with_status(status, Html(markup.into_string()).into_response())
}

fn why(failure: &Failure) -> Markup {
    html! {
        div.failure {
            p.code { (failure.status().as_u16()) }
            h1 { (failure.text()) }
            p { (failure.hint()) }
            p { a.button href="/" { "To the overview" } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · E4" }
            link rel="stylesheet" href=(*assets::STYLE_ADDRESS);
            link rel="icon" href=(*assets::ICON_ADDRESS) type="image/svg+xml";
            script src=(*assets::THEME_ADDRESS) {}
            script src=(*assets::SCRIPT_ADDRESS) defer {}
        }
    }
}

/// What one finds in the head of all pages, and who finds it.
const PLACES: [(&str, &str, Permission); 8] = [
    ("/", "Overview", Permission::Read),
    ("/devices", "Devices", Permission::Read),
    ("/topics", "Topics", Permission::Read),
    ("/links", "Public keys", Permission::Read),
    ("/policies", "Policies", Permission::Read),
    ("/audit", "Audit", Permission::Admin),
    ("/tokens", "Tokens", Permission::Admin),
    ("/about", "About", Permission::Read),
];

fn header(ask: &Ask) -> Markup {
    let seen = |(path, _, permission): &&(&str, &str, Permission)| {
        ask.may(*permission) && (ask.public_keys || *path != "/links")
    };
    // `/device` and `/devices/new` belong to `/devices`.
    let here = |path: &str| match path {
        "/" => ask.path == "/" || ask.path.starts_with("/map"),
        "/policies" => ask.path.starts_with("/polic") || ask.path.starts_with("/campaign"),
        _ => ask.path.starts_with(path.trim_end_matches('s')),
    };
    html! {
        header {
            a.brand href="/" { (logo()) span { "E4" } }
            @if let Some(grant) = &ask.visitor {
                nav aria-label="Pages" {
                    ul {
                        @for (path, name, _) in PLACES.iter().filter(seen) {
                            li { a href=(path) aria-current=[here(path).then_some("page")] { (name) } }
                        }
                    }
                }
                div.who {
                    span.name title="Whose token you signed in with" { (grant.name) }
                    span.role { (grant.role.name()) }
                    (theme())
                    @if ask.session.token.is_some() {
                        form method="post" action="/sign-out" {
                            (form_token(ask))
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
            } @else {
                div.who { (theme()) }
            }
        }
    }
}

/// It is shown by the script, which alone can do it.
fn theme() -> Markup {
    html! { button.quiet.theme type="button" data-theme-toggle hidden { "Dark" } }
}

fn logo() -> Markup {
    html! {
        svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" {
            rect.logo-back width="32" height="32" rx="7" {}
            path.logo-front d="M8 9h9M8 16h7M8 23h9M21 9v8h4M25 13v10" fill="none" stroke-width="2.6"
                stroke-linecap="round" stroke-linejoin="round" {}
        }
    }
}

/// What every form that is posted carries.
pub fn form_token(ask: &Ask) -> Markup {
    html! { input type="hidden" name=(door::FORM_TOKEN) value=(ask.form_token); }
}

/// A form that is posted.
pub fn form(ask: &Ask, action: &str, content: Markup) -> Markup {
    html! { form method="post" action=(action) { (form_token(ask)) (content) } }
}

/// A button that posts and is a form by itself; the fields are hidden.
pub fn button(ask: &Ask, action: &str, fields: &[(&str, &str)], class: &str, name: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (form_token(ask))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class=(class) type="submit" { (name) }
        }
    }
}

/// A word to the reader; `kind`: good, bad, warning, info.
pub fn notice(kind: &str, text: &str, hint: &str) -> Markup {
    let role = if kind == "bad" { "alert" } else { "status" };
    html! {
        div.notice.(kind) role=(role) {
            p { strong { (text) } @if !hint.is_empty() { " " (hint) } }
        }
    }
}

/// What went wrong in a form, above it.
pub fn alert(text: &str, hint: &str) -> Markup {
    notice("bad", text, hint)
}

/// The same for a failure; those that are not the visitor's doing are returned.
///
/// # Errors
/// The failure itself where no other input would help.
pub fn mend(failure: Failure) -> Result<Markup, Failure> {
    use crate::domain::Error::{Busy, Exists, Invalid, Message, NotFound, WrongMode};
    match &failure {
        Failure::Error(Invalid { .. } | Exists { .. } | NotFound { .. } | WrongMode { .. })
        | Failure::Error(Message(_) | Busy(_)) => {
            let hint = match &failure {
                Failure::Error(error) => error.hint().map(|hint| super::ask::sentence(&hint)),
                _ => None,
            };
            Ok(alert(&failure.text(), &hint.unwrap_or_default()))
        }
        _ => Err(failure),
    }
}

/// Where there is nothing yet: what to do first.
pub fn empty(title: &str, text: &str, link: Option<(&str, &str)>) -> Markup {
    html! {
        div.empty {
            h2 { (title) }
            p { (text) }
            @if let Some((href, name)) = link { p { a.button.primary href=(href) { (name) } } }
        }
    }
}

/// A table, which scrolls by itself where the screen is narrow. `heads` of an empty text are for
/// buttons.
pub fn table(caption: &str, heads: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.hidden { (caption) }
                thead {
                    tr {
                        @for head in heads {
                            @if head.is_empty() { td {} } @else { th scope="col" { (head) } }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// Links to the other parts of a list, from part 1; the query of the page stays but for `page`.
pub fn pager(ask: &Ask, page: i64, size: i64, total: i64) -> Markup {
    let last = (total.max(1) + size - 1) / size;
    let to = |page: i64| {
        let number = page.to_string();
        let kept =
            ask.fields.0.iter().filter(|(name, _)| name != "page" && name != door::FORM_TOKEN);
        let mut query: Vec<_> = kept.map(|(name, value)| (&**name, &**value)).collect();
        query.push(("page", &number));
        href(&ask.path, &query)
    };
    let (from, until) = ((page - 1) * size + 1, (page * size).min(total));
    html! {
        @if total > 0 {
            nav.pager aria-label="Parts of the list" {
                p { (number(from)) "–" (number(until)) " of " (number(total)) }
                @if last > 1 {
                    ul {
                        @if page > 1 {
                            li { a href=(to(1)) { "First" } }
                            li { a href=(to(page - 1)) rel="prev" { "Previous" } }
                        }
                        @if page < last {
                            li { a href=(to(page + 1)) rel="next" { "Next" } }
                            li { a href=(to(last)) { "Last" } }
                        }
                    }
                }
            }
        }
    }
}

/// A page that asks before something is done.
pub struct Confirm<'a> {
    /// The question.
    pub title: &'a str,
    /// What it will do.
    pub text: Markup,
    /// Where it is posted, with these fields.
    pub action: &'a str,
    /// Hidden fields.
    pub fields: &'a [(&'a str, &'a str)],
    /// What the button says.
    pub button: &'a str,
    /// Whether it takes something away.
    pub danger: bool,
    /// Where one goes who does not want to.
    pub back: &'a str,
}

/// Asks before something is done.
pub fn confirm(ask: &Ask, confirm: &Confirm) -> Response {
    let class = if confirm.danger { "danger" } else { "primary" };
    let body = html! {
        div.confirm {
            h1 { (confirm.title) }
            form method="post" action=(confirm.action) {
                (form_token(ask))
                @for (name, value) in confirm.fields {
                    input type="hidden" name=(name) value=(value);
                }
                (confirm.text)
                div.buttons {
                    button class=(class) type="submit" { (confirm.button) }
                    a.button href=(confirm.back) { "Cancel" }
                }
            }
        }
    };
    page(ask, confirm.title, body)
}

/// A line of a form. `kind`: text, search, number, password, datetime-local, ….
pub fn input(
    kind: &str,
    name: &str,
    label: &str,
    value: &str,
    hint: &str,
    required: bool,
) -> Markup {
    let described = (!hint.is_empty()).then(|| format!("{name}-hint"));
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) value=(value) required[required]
                autocomplete="off" spellcheck="false" aria-describedby=[described.as_deref()];
            @if let Some(id) = &described { p.hint id=(id) { (hint) } }
        }
    }
}

/// A choice of a form: value and words.
pub fn select(name: &str, label: &str, chosen: &str, choices: &[(&str, &str)]) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, words) in choices {
                    option value=(value) selected[*value == chosen] { (words) }
                }
            }
        }
    }
}

/// A box to tick.
pub fn checkbox(name: &str, label: &str, ticked: bool, hint: &str) -> Markup {
    let described = (!hint.is_empty()).then(|| format!("{name}-hint"));
    html! {
        div.field.tick {
            input id=(name) name=(name) type="checkbox" value="yes" checked[ticked]
                aria-describedby=[described.as_deref()];
            label for=(name) { (label) }
            @if let Some(id) = &described { p.hint id=(id) { (hint) } }
        }
    }
}

/// A word with a colour; `kind`: good, bad, warning, info, plain.
pub fn badge(kind: &str, word: &str) -> Markup {
    html! { span.badge.(kind) { (word) } }
}

/// How something stands.
pub fn standing(standing: Standing) -> Markup {
    match standing {
        Standing::Confirmed => badge("good", "confirmed"),
        Standing::OnItsWay => badge("info", "on its way"),
        Standing::Waiting => badge("warning", "waiting for the device"),
        Standing::Handed => badge("plain", "never answered"),
        Standing::Failed => badge("bad", "failed"),
    }
}

/// Parts of a whole, as a bar: kind, number, words.
pub fn bar(parts: &[(&str, i64, &str)]) -> Markup {
    let total = parts.iter().map(|(_, count, _)| *count).sum::<i64>().max(1);
    let shown = parts.iter().filter(|(_, count, _)| *count > 0);
    let said: Vec<_> =
        shown.clone().map(|(_, count, words)| format!("{} {words}", number(*count))).collect();
    let said = if said.is_empty() { "none".to_string() } else { said.join(", ") };
    let mut left = 0;
    let places = shown.map(|(kind, count, _)| {
        let place = left;
        left += count * 1000;
        (kind, place / total, (count * 1000 / total).max(4))
    });
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(said) {
            @for (kind, left, width) in places {
                rect.(kind) x=(left) y="0" width=(width) height="10" {}
            }
        }
    }
}

/// A number with its thousands apart.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("−{text}") } else { text }
}

/// About how long something takes.
pub fn about(seconds: i64) -> String {
    match (seconds + 59) / 60 {
        ..=1 => "about a minute".into(),
        minutes => format!("about {} minutes", number(minutes)),
    }
}

/// A time, as seen from now; all of it, in UTC, where the mouse rests.
pub fn when(at: Millis, now: Millis) -> Markup {
    let whole = exactly(at);
    html! { time datetime=(whole) title=(whole) { (ago(at, now)) } }
}

/// A time that may not be.
pub fn when_or(at: Option<Millis>, now: Millis, otherwise: &str) -> Markup {
    match at {
        Some(at) => when(at, now),
        None => html! { span.faint { (otherwise) } },
    }
}

/// A time in UTC, to the second.
pub fn exactly(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn ago(at: Millis, now: Millis) -> String {
    let seconds = (now - at).div_euclid(1000);
    let span = match seconds.abs() {
        0..=4 => return "now".into(),
        seconds @ 5..=89 => format!("{seconds} s"),
        seconds @ 90..=5399 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5400..=129_599 => format!("{} h", (seconds + 1800) / 3600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    };
    if seconds < 0 { format!("in {span}") } else { format!("{span} ago") }
}
