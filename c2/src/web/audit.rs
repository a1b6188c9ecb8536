// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who did what: search, the check of the chain, and a copy to take away.

use std::collections::VecDeque;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::ask::{Answer, Ask, Failure, Flash};
use super::{Web, ui};
use crate::domain::{AuditRecord, Error, Millis, Permission, Search};
use crate::service::Service;
use crate::store::Verified;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/audit", get(list))
        .route("/audit/export", get(export))
        .route("/audit/verify", post(verify))
}

/// Records in one part of the list.
const PART: i64 = 50;
/// Records that are read at once for a copy.
const PIECE: i64 = 1000;
const DAY: Millis = 24 * 3600 * 1000;

/// What is offered where an action is asked for.
const ACTIONS: [&str; 25] = [
    "new_client",
    "remove_client",
    "reset_client",
    "new_client_key",
    "new_topic",
    "remove_topic",
    "new_topic_client",
    "remove_topic_client",
    "link_client",
    "unlink_client",
    "send_client_pubkey",
    "remove_client_pubkey",
    "reset_client_pubkeys",
    "new_c2_key",
    "resync",
    "create_policy",
    "update_policy",
    "pause_policy",
    "resume_policy",
    "delete_policy",
    "create_token",
    "revoke_token",
    "refused",
    "rekey",
    "backup",
];

/// When a day begins, in UTC.
fn day(text: &str) -> Option<Millis> {
    let day: jiff::civil::Date = text.parse().ok()?;
    let begin = jiff::tz::TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    Some(begin.as_millisecond())
}

/// What is looked for, by the fields of the form.
fn search(ask: &Ask) -> Result<Search, Error> {
    let day = |name: &'static str| match ask.fields.trimmed(name) {
        "" => Ok(None),
        text => day(text)
            .map(Some)
            .ok_or_else(|| Error::invalid(name, "is not a date such as 2027-01-31")),
    };
    let text = |name: &str| ask.fields.trimmed(name).to_string();
    Ok(Search {
        text: text("text"),
        actor: text("actor"),
        action: text("action"),
        from: day("from")?,
        // The day is part of it.
        until: day("to")?.map(|at| at.saturating_add(DAY)),
    })
}

async fn list(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let before = Some(ask.fields.number("before", 0)?).filter(|before| *before > 0);
    let (search, wrong) = match search(&ask) {
        Ok(search) => (search, None),
        Err(error) => (Search::default(), Some(ui::mend(error.into())?)),
    };
    let filtered = search != Search::default();
    let found = web.run(move |service| service.find_records(&search, before, PART)).await?;
    let kept = |more: &[(&str, &str)]| {
        let names = ["text", "actor", "action", "from", "to"];
        let fields = names.iter().map(|name| (*name, ask.fields.trimmed(name)));
        let mut query: Vec<_> = fields.filter(|(_, value)| !value.is_empty()).collect();
        query.extend_from_slice(more);
        query.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let to = |path: &str, more: &[(&str, &str)]| {
        let query: Vec<(String, String)> = kept(more);
        let query: Vec<_> = query.iter().map(|(name, value)| (&**name, &**value)).collect();
        ui::href(path, &query)
    };
    let body = html! {
        div.heading {
            h1 { "Audit" }
            div.buttons {
                (ui::button(&ask, "/audit/verify", &[], "", "Verify the chain"))
                a.button href=(to("/audit/export", &[("format", "jsonl")])) download { "Export JSON lines" }
                a.button href=(to("/audit/export", &[("format", "csv")])) download { "Export CSV" }
            }
        }
        p.faint { "Every change and every refusal is a record. The records are chained: none can be "
                  "altered or taken out unnoticed." }
        @if let Some(wrong) = wrong { (wrong) }
        (filter(&ask))
        @if found.records.is_empty() {
            @match found.before {
                Some(before) => {
                    (ui::empty("Not among these", &format!("None of the newest {} records before that fits.",
                        ui::number(Service::LOOKED_AT)), Some((&to("/audit", &[("before", &before.to_string())]), "Look on"))))
                }
                None if filtered => {
                    (ui::empty("No such record", "Nothing fits. Use fewer words, or a longer time.",
                               Some(("/audit", "All records"))))
                }
                None => {
                    (ui::empty("No record yet", "The first change makes the first record.", None))
                }
            }
        } @else {
            (ui::table("Audit records", &["Number", "When (UTC)", "Who", "What", "About", "From"], html! {
                @for record in &found.records { (row(record)) }
            }))
            nav.pager aria-label="Parts of the list" {
                p { "Newest first" }
                ul {
                    @if before.is_some() { li { a href=(to("/audit", &[])) { "Newest" } } }
                    @if let Some(before) = found.before {
                        li { a href=(to("/audit", &[("before", &before.to_string())])) rel="next" { "Older" } }
                    }
                }
            }
        }
    };
    Ok(ui::page(&ask, "Audit", body))
}

fn filter(ask: &Ask) -> Markup {
    let value = |name: &str| ask.fields.trimmed(name).to_string();
    html! {
        form.filter.card method="get" action="/audit" role="search" aria-label="Audit records" {
            (ui::input("search", "text", "Name or address", &value("text"), "", false))
            (ui::input("search", "actor", "Who, exactly", &value("actor"), "", false))
            div.field {
                label for="action" { "What" }
                input #action name="action" type="search" list="actions" value=(value("action")) autocomplete="off";
                datalist #actions { @for action in ACTIONS { option value=(action) {} } }
            }
            (ui::input("date", "from", "From (UTC)", &value("from"), "", false))
            (ui::input("date", "to", "To (UTC)", &value("to"), "", false))
            div.buttons {
                button.primary type="submit" { "Search" }
                a.button href="/audit" { "Clear" }
            }
        }
    }
}

fn row(record: &AuditRecord) -> Markup {
    let at = ui::exactly(record.at);
    let kind = if record.action == "refused" { "bad" } else { "plain" };
    html! {
        tr {
            td.mono { (record.seq) }
            td.nowrap { time datetime=(at) { (at.trim_end_matches('Z').replace('T', " ")) } }
            td.wrap { (record.actor) }
            td { (ui::badge(kind, &record.action)) }
            td.wrap { (detail(&record.detail)) }
            td.mono.wrap { (record.origin) }
        }
    }
}

/// Names and results, without the signs of JSON.
fn detail(text: &str) -> Markup {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return html! { (text) };
    };
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    html! {
        @for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            span.pair { span.faint { (name) } " " (plain(value)) } " "
        }
    }
}

async fn verify(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let flash = match web.run(|service| service.store().verify_audit()).await? {
        Verified::Intact(head) => Flash::done(format!(
            "The chain is intact: {} records, each as it was written.",
            ui::number(head.seq)
        )),
        Verified::Broken { seq, why } => Flash::failed(format!(
            "The chain is broken at record {seq}: {why}. Compare with a backup, and find out who \
             had access to the database."
        )),
    };
    Ok(web.back(&ask, "/audit", flash))
}

/// How a copy is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    Csv,
}

/// A copy, oldest first, piece by piece.
struct Export {
    web: Web,
    search: Search,
    format: Format,
    /// The next number, and the last that is looked at.
    next: i64,
    last: i64,
    ready: VecDeque<Bytes>,
}

impl Export {
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some((bytes, self)));
            }
            if self.next > self.last {
                return Ok(None);
            }
            let (from, to) = (self.next, self.last.min(self.next.saturating_add(PIECE - 1)));
            let search = self.search.clone();
            let work = move |service: &Service| {
                service.store().read(|tx| tx.find_records(&search, [from, to], PIECE))
            };
            let records = self.web.run(work).await?;
            self.next = to + 1;
            let mut piece = Vec::new();
            for record in records.iter().rev() {
                write(self.format, record, &mut piece)?;
            }
            if !piece.is_empty() {
                self.ready.push_back(piece.into());
            }
        }
    }
}

fn write(format: Format, record: &AuditRecord, piece: &mut Vec<u8>) -> Result<(), Failure> {
    match format {
        Format::Lines => {
            piece.extend(json!(record).to_string().bytes());
            piece.push(b'\n');
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(&mut *piece);
            let (seq, at) = (record.seq.to_string(), ui::exactly(record.at));
            let texts = [&record.actor, &record.origin, &record.action, &record.detail];
            // A table must not take a name for a formula.
            let texts = texts.map(|text| match text.starts_with(['=', '+', '-', '@', '\t']) {
                true => format!("'{text}"),
                false => text.clone(),
            });
            let row = [seq, at].into_iter().chain(texts);
            writer.write_record(row).map_err(|_| Failure::Broken)?;
            writer.flush().map_err(|_| Failure::Broken)?;
        }
    }
    Ok(())
}

async fn export(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Admin).await?;
    let search = search(&ask)?;
    let (format, kind, name) = match ask.fields.trimmed("format") {
        "csv" => (Format::Csv, "text/csv; charset=utf-8", "e4-audit.csv"),
        _ => (Format::Lines, "application/x-ndjson", "e4-audit.jsonl"),
    };
    let last = web.run(|service| service.newest_record()).await?;
    let mut ready = VecDeque::new();
    if format == Format::Csv {
        ready.push_back(Bytes::from_static(b"number,at,actor,origin,action,detail\n"));
    }
    let export = Export { web, search, format, next: 1, last, ready };
    let pieces = stream::try_unfold(export, |export| async {
        export.piece().await.map_err(|failure| std::io::Error::other(failure.text()))
    });
    let headers = [
        (CONTENT_TYPE, kind.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let response: Response = (headers, Body::from_stream(pieces)).into_response();
    Ok(response)
}
