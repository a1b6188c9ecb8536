// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A new device, and its key: shown once, in the answer to the form, which nobody keeps.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::ask::{Answer, Ask, Failure};
use super::many::{self, ONCE};
use super::{Web, ui};
use crate::domain::{Credential, Error, Operation, Permission, Provision, Result, Secret};
use crate::qr;

/// Passwords that are worked on at once: each takes a second and 64 MiB.
static PASSWORDS: Semaphore = Semaphore::const_new(2);

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/devices/new", get(form).post(create))
}

async fn form(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Provision).await?;
    Ok(ui::page(&ask, "Add a device", page(&ask, None)?))
}

/// Where the key may come from.
fn choices(public_keys: bool) -> [(&'static str, &'static str, &'static str); 3] {
    [
        ("random", "C2 makes it", "It is shown once, as text, as a file and as a QR code."),
        (
            "password",
            "From a passphrase",
            "The device derives its key from the same words. 16 bytes at least.",
        ),
        match public_keys {
            false => ("key", "A key of yours", "32 bytes, as 64 hexadecimal digits."),
            true => (
                "key",
                "A public key",
                "The device made its key itself: 64 hexadecimal digits of the Ed25519 public key.",
            ),
        },
    ]
}

fn page(ask: &Ask, failure: Option<Failure>) -> std::result::Result<Markup, Failure> {
    let alert = failure.map(ui::mend).transpose()?;
    let from = ask.fields.get("from").unwrap_or("random");
    let once = many::once()?;
    Ok(html! {
        h1 { "Add a device" }
        @if let Some(alert) = alert { (alert) }
        form.card method="post" action="/devices/new" {
            (ui::form_token(ask))
            input type="hidden" name=(ONCE) value=(once);
            (ui::input("text", "name", "Name", ask.fields.trimmed("name"),
                "1 to 255 bytes. The device and C2 derive its id from the name.", true))
            fieldset.first-key {
                legend { "Its key" }
                @for (value, words, hint) in choices(ask.public_keys) {
                    div.field.tick {
                        input id={ "from-" (value) } type="radio" name="from" value=(value)
                            checked[from == value] aria-describedby={ "from-" (value) "-hint" };
                        label for={ "from-" (value) } { (words) }
                        p.hint id={ "from-" (value) "-hint" } { (hint) }
                    }
                }
                // What was typed before is not sent back.
                (ui::input("password", "password", "Passphrase", "", "For a key from a passphrase.", false))
                (ui::input(if ask.public_keys { "text" } else { "password" }, "key", if ask.public_keys { "Public key" } else { "Key" },
                    if ask.public_keys { ask.fields.trimmed("key") } else { "" },
                    "For a key that the device has already.", false))
            }
            @if ask.may(Permission::Operate) {
                div.field {
                    label for="topics" { "Topics" }
                    textarea id="topics" name="topics" rows="3" spellcheck="false"
                        aria-describedby="topics-hint" { (ask.fields.get("topics").unwrap_or_default()) }
                    p.hint id="topics-hint" { "One a line. The device gets their keys when it is awake." }
                }
                (ui::checkbox("replace", "The device exists, and was provisioned anew", ask.fields.ticked("replace"),
                    "Its old key is forgotten, and it is told everything again."))
            }
            div.buttons {
                button.primary type="submit" { "Add the device" }
                @if ask.may(Permission::Read) { a.button href="/devices" { "Cancel" } }
            }
        }
    })
}

/// A key in hexadecimal digits.
fn digits(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = || Error::invalid("key", "has 64 hexadecimal digits");
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 64 || !pairs.remainder().is_empty() {
        return Err(wrong());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(32));
    for pair in pairs {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        let plain = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(pair, 16).ok().filter(|_| plain);
        bytes.push(byte.ok_or_else(wrong)?);
    }
    Ok(bytes)
}

fn credential(ask: &Ask) -> Result<Credential> {
    match ask.fields.get("from") {
        Some("password") => {
            let text = ask.fields.text("password")?;
            Ok(Credential::Password(Zeroizing::new(text.to_string())))
        }
        Some("key") => digits(ask.fields.trimmed("key")).map(Credential::Key),
        _ => Ok(Credential::Random),
    }
}

/// The device.
fn device(ask: &Ask) -> Result<Operation> {
    let client = ask.fields.text("name")?.trim().to_string();
    let credential = credential(ask)?;
    Ok(match ask.may(Permission::Operate) && ask.fields.ticked("replace") {
        true => Operation::NewClient { client, credential },
        false => Operation::AddClient { client, credential },
    })
}

/// Its topics.
fn topics(ask: &Ask) -> Vec<String> {
    let text = match ask.may(Permission::Operate) {
        true => ask.fields.get("topics").unwrap_or_default(),
        false => "",
    };
    let topics = text.lines().map(str::trim).filter(|topic| !topic.is_empty());
    topics.map(str::to_string).collect()
}

async fn create(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Provision).await?;
    let mend = |failure: Failure| -> Answer {
        let status = failure.status();
        Ok(ui::with_status(status, ui::page(&ask, "Add a device", page(&ask, Some(failure))?)))
    };
    let operation = match device(&ask) {
        Ok(operation) => operation,
        Err(error) => return mend(error.into()),
    };
    let (name, topics) = (ask.fields.trimmed("name").to_string(), topics(&ask));
    // No key is made when a topic is missing.
    let wanted = topics.clone();
    let known = move |service: &crate::service::Service| {
        wanted.iter().try_for_each(|topic| service.topic_state(topic).map(drop))
    };
    if let Err(failure) = web.run(known).await {
        return mend(failure);
    }
    let permit = match operation.credential() {
        Some(Credential::Password(_)) => {
            Some(PASSWORDS.acquire().await.map_err(|_| Failure::Broken)?)
        }
        _ => None,
    };
    let outcome = match web.apply_many(&ask, ask.fields.get(ONCE), vec![operation]).await?.pop() {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => return mend(error.into()),
        None => return Err(Failure::Broken),
    };
    drop(permit);
    let join = |topic: String| Operation::NewTopicClient { topic, client: name.clone() };
    let joins: Vec<Operation> = topics.into_iter().map(join).collect();
    let refused: Vec<Error> = match joins.is_empty() {
        true => Vec::new(),
        false => {
            let results = web.apply_many(&ask, None, joins).await?;
            results.into_iter().filter_map(Result::err).collect()
        }
    };
    let code = match outcome.secret {
        None => None,
        Some(secret) => {
            let named = name.clone();
            let work = move |service: &crate::service::Service| {
                service.provision(&named, &secret).map(|provision| (provision, secret))
            };
            Some(web.run(work).await?)
        }
    };
    let body = html! {
        h1 { (name) @if outcome.created { " was added" } @else { " was provisioned anew" } }
        @for error in &refused { (ui::alert(&super::ask::sentence(&error.to_string()), "")) }
        @match &code {
            Some((provision, secret)) => { (key(provision, secret)?) }
            None => { p { "It begins with the key that it has. C2 sends it the rest." } }
        }
        div.buttons {
            @if ask.may(Permission::Read) {
                a.button.primary href=(ui::href("/device", &[("name", &name)])) { "To the device" }
            }
            a.button href="/devices/new" { "Add another" }
        }
    };
    Ok(ui::with_status(StatusCode::CREATED, ui::page(&ask, "Device added", body)))
}

/// The key, shown this once.
fn key(provision: &Provision, secret: &Secret) -> Result<Markup> {
    let text = provision.to_text();
    let picture = qr::svg(&text)?;
    // What stands before the picture is for files.
    let picture = picture.find("<svg").and_then(|at| picture.get(at..)).unwrap_or_default();
    let raw = Zeroizing::new(STANDARD.encode(&*secret.0));
    let hex: Zeroizing<String> =
        Zeroizing::new(secret.0.iter().map(|byte| format!("{byte:02x}")).collect());
    let file: String = provision
        .name
        .chars()
        .map(|letter| if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '_' })
        .collect();
    let loopback = provision.broker.as_ref().is_some_and(|broker| broker.is_loopback());
    Ok(html! {
        (ui::notice("warning", "This is shown once.",
            "C2 keeps the key sealed and never shows it again. Whoever has it is this device."))
        @if loopback {
            (ui::notice("info", "The broker in the code is on this machine.",
                "For devices elsewhere, start C2 with --device-broker HOST:PORT."))
        }
        div.cards {
            section.card {
                h2 { "For a device that reads codes" }
                div.qr #qr role="img" aria-label="QR code with name, key and broker of the device" {
                    (PreEscaped(picture))
                }
                p.hint { "Name, keys and broker, as docs/c2.md describes." }
            }
            section.card {
                h2 { "As text and as files" }
                h3 { "What the code holds" }
                pre { code.secret #code { (text.as_str()) } }
                div.buttons {
                    button type="button" data-copy="code" hidden { "Copy" }
                    a.button download={ (file) ".code" }
                        href={ "data:text/plain;base64," (STANDARD.encode(format!("{}\n", text.as_str()))) }
                        { "Save as a file" }
                }
                p.hint { "A device here: " code { "e4 device --qr " (file) ".code" } }
                h3 { "The key alone" }
                pre { code.secret #key { (hex.as_str()) } }
                div.buttons {
                    button type="button" data-copy="key" hidden { "Copy" }
                    a.button download={ (file) ".key" }
                        href={ "data:application/octet-stream;base64," (raw.as_str()) }
                        { "Save as a file" }
                }
                p.hint { "Raw bytes, as " code { "e4 keygen" } " writes them." }
            }
        }
    })
}
