// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Public keys: who holds whose, who follows whose, and C2's own (public-key mode).

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, Flash};
use super::many::{self, ONCE};
use super::{Web, device, ui};
use crate::domain::{
    Counts, Error, Filter, LinkView, Operation, Part, Permission, Place, Standings,
};
use crate::service::{Service, expected_seconds};

/// Rows of a list.
const ROWS: usize = 50;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/links", get(links))
        .route("/links/change", post(change))
        .route("/links/reset", get(ask_reset).post(reset))
        .route("/links/c2-key", get(ask_rotate).post(rotate))
}

async fn links(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    if !ask.public_keys {
        return Ok(ui::page(
            &ask,
            "Public keys",
            html! {
                h1 { "Public keys" }
                (ui::empty("This server works with symmetric keys",
                    "Devices share a key with C2 each, and there are no public keys to hand round. For \
                     devices that sign what they publish, set up a server of its own: \
                     e4 serve --mode public-key.", None))
            },
        ));
    }
    show(&web, &ask, None).await
}

async fn show(web: &Web, ask: &Ask, failure: Option<Failure>) -> Answer {
    let status = failure.as_ref().map(Failure::status);
    let alert = failure.map(ui::mend).transpose()?;
    let target = ask.fields.trimmed("after-target").to_string();
    let source = ask.fields.trimmed("after-source").to_string();
    let work = move |service: &Service| {
        Ok((service.links((&target, &source), ROWS)?, service.c2_key_state()?))
    };
    let (found, (epoch, counts)) = web.run(work).await?;
    let may = ask.may(Permission::Operate);
    let body = html! {
        h1 { "Public keys" }
        @if let Some(alert) = alert { (alert) }
        section.card {
            div.heading {
                h2 { "C2's own key" }
                @if may { a.button href="/links/c2-key" { "Rotate C2's key" } }
            }
            div.live #c2-key data-live { (c2_key(epoch, &counts)) }
        }
        @if may { section.card { h2 { "Hand keys round" } (hand(ask)) } }
        section.card {
            h2 { "Links" }
            p.hint { "A device that is linked gets the public key of the other one whenever that changes." }
            div.live #links data-live { (rows(ask, &found, may)) }
            (pager(&found))
        }
    };
    let page = ui::page(ask, "Public keys", body);
    Ok(match status {
        Some(status) => ui::with_status(status, page),
        None => page,
    })
}

fn c2_key(epoch: i64, counts: &Counts) -> Markup {
    let parts = [
        ("good", counts.confirmed, "confirmed"),
        ("info", counts.queued, "on their way"),
        ("warning", counts.handed, "sent, no answer yet"),
        ("bad", counts.failed, "failed"),
    ];
    let said = parts.iter().filter(|(_, count, _)| *count > 0);
    let said: Vec<String> =
        said.map(|(_, count, words)| format!("{} {words}", ui::number(*count))).collect();
    html! {
        p { "Number " (epoch) ": " @if said.is_empty() { "no device yet" } @else { (said.join(", ")) } "." }
        (ui::bar(&parts))
    }
}

fn hand(ask: &Ask) -> Markup {
    html! {
        form method="post" action="/links/change" {
            (ui::form_token(ask))
            div.pair {
                (ui::input("text", "source", "Whose public key", ask.fields.trimmed("source"), "The device that signs.", true))
                (ui::input("text", "target", "Who holds it", ask.fields.trimmed("target"), "The device that checks signatures.", true))
            }
            div.buttons {
                button.primary type="submit" name="what" value="send" { "Send it" }
                button type="submit" name="what" value="link" { "Send it whenever it changes" }
                button type="submit" name="what" value="unlink" { "No longer" }
                button type="submit" name="what" value="take" { "Have it forgotten" }
            }
        }
        form.filter method="get" action="/links/reset" {
            div.field {
                label for="forgetful" { "Have a device forget all public keys" }
                input #forgetful name="target" type="text" required autocomplete="off"
                    spellcheck="false";
            }
            button type="submit" { "Go on" }
        }
    }
}

fn rows(ask: &Ask, found: &Part<LinkView>, may: bool) -> Markup {
    if found.rows.is_empty() {
        return html! { p.faint { "No device is linked to another." } };
    }
    let mut heads = vec!["Who holds it", "Whose public key", "State"];
    if may {
        heads.push("");
    }
    ui::table(
        "Links",
        &heads,
        html! {
            @for link in &found.rows {
                tr {
                    th scope="row" { a href=(device::href(&link.target)) { (link.target) } }
                    td.wrap { a href=(device::href(&link.source)) { (link.source) } }
                    td {
                        @match link.standing {
                            Some(standing) => { (ui::standing(standing)) }
                            None => { (ui::badge("plain", "when it changes")) }
                        }
                    }
                    @if may {
                        td {
                            @let fields = [("source", link.source.as_str()), ("target", link.target.as_str()), ("what", "unlink")];
                            (ui::button(ask, "/links/change", &fields, "quiet", "Unlink"))
                        }
                    }
                }
            }
        },
    )
}

fn pager(found: &Part<LinkView>) -> Markup {
    html! {
        nav.pager aria-label="Parts of the list" {
            p { (ui::number(found.total)) " links" }
            @if found.before || found.after {
                ul {
                    @if found.before { li { a href="/links" { "First" } } }
                    @if let (true, Some(last)) = (found.after, found.rows.last()) {
                        @let query = [("after-target", last.target.as_str()), ("after-source", last.source.as_str())];
                        li { a href=(ui::href("/links", &query)) rel="next" { "Next" } }
                    }
                }
            }
        }
    }
}

async fn change(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let (source, target) = (ask.fields.trimmed("source"), ask.fields.trimmed("target"));
    let pair = || (source.to_string(), target.to_string());
    let send = || {
        let (source, target) = pair();
        Operation::SendClientPubKey { source, target }
    };
    let (operations, done) = match ask.fields.get("what") {
        Some("send") => (vec![send()], format!("{target} is sent the public key of {source}.")),
        Some("link") => {
            let (source, target) = pair();
            let done =
                format!("{target} gets the public key of {source}, now and when it changes.");
            (vec![Operation::LinkClient { source, target }, send()], done)
        }
        Some("unlink") => {
            let done = format!("{target} is not told new public keys of {source} any more.");
            let (source, target) = pair();
            (vec![Operation::UnlinkClient { source, target }], done)
        }
        Some("take") => {
            let done = format!("{target} is told to forget the public key of {source}.");
            let (source, target) = pair();
            (vec![Operation::RemoveClientPubKey { source, target }], done)
        }
        _ => return Err(Error::invalid("what", "is none of those").into()),
    };
    let results = web.apply_many(&ask, None, operations).await?;
    for result in results {
        if let Err(error) = result {
            return show(&web, &ask, Some(error.into())).await;
        }
    }
    Ok(web.back(&ask, "/links", Flash::done(done)))
}

async fn ask_reset(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let target = ask.fields.trimmed("target").to_string();
    let known = target.clone();
    let detail = web.run(move |service| service.device(&known)).await?;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: &format!("Have {target} forget all public keys?"),
            text: html! {
                p { "It holds " (ui::number(i64::try_from(detail.peers.len()).unwrap_or_default()))
                    ", and can check nobody's signature afterwards. Its links stay." }
            },
            action: "/links/reset",
            fields: &[("target", &target)],
            button: "Have them forgotten",
            danger: true,
            back: "/links",
        },
    ))
}

async fn reset(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let target = ask.fields.text("target")?.to_string();
    let done = format!("{target} is told to forget all public keys.");
    web.apply(&ask, Operation::ResetClientPubKeys { target }).await?;
    Ok(web.back(&ask, "/links", Flash::done(done)))
}

async fn ask_rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let work = |service: &Service| {
        let silent =
            Filter { standing: Some(crate::domain::Standing::Handed), ..Filter::default() };
        let silent = service.devices(&silent, &Place::First, 10)?;
        Ok((service.c2_key_state()?, silent))
    };
    let ((epoch, counts), silent) = web.run(work).await?;
    let once = many::once()?;
    let all: Standings = silent.standings;
    let pending = counts.queued + counts.handed + counts.failed;
    let awake = all.confirmed + all.on_its_way;
    Ok(ui::confirm(
        &ask,
        &ui::Confirm {
            title: "Rotate C2's key?",
            text: html! {
                p { "C2 makes key number " (epoch + 1) " of its own, and tells every device, each under the old one." }
                dl.facts.plan {
                    dt { "Devices" } dd { (ui::number(all.all())) }
                    dt { "Awake, as far as is known" } dd { (ui::number(awake)) }
                    @if awake > 0 {
                        dt { "They hold it within" } dd { (ui::about(expected_seconds(awake))) }
                    }
                    @if all.waiting > 0 {
                        dt { "Asleep" } dd { (ui::number(all.waiting)) " get it when they wake" }
                    }
                    @if all.handed > 0 {
                        dt { "Never answered" }
                        dd {
                            "of " (ui::number(all.handed)) " nobody will know whether they have it. Older \
                             makes ignore a new key of C2, and have to be provisioned again: "
                            @for (number, device) in silent.part.rows.iter().enumerate() {
                                @if number > 0 { ", " }
                                a href=(device::href(&device.name)) { (device.name) }
                            }
                            @if all.handed > 10 { " and " (ui::number(all.handed - 10)) " more" }
                        }
                    }
                    @if pending > 0 {
                        dt { "Still without the present key" } dd { (ui::number(pending)) }
                    }
                }
            },
            action: "/links/c2-key",
            fields: &[(ONCE, &once)],
            button: "Rotate",
            danger: all.handed > 0,
            back: "/links",
        },
    ))
}

async fn rotate(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Operate).await?;
    let results = web.apply_many(&ask, ask.fields.get(ONCE), vec![Operation::NewC2Key]).await?;
    for result in results {
        result?;
    }
    let done = "C2 has a new key. Devices confirm it below.";
    Ok(web.back(&ask, "/links", Flash::done(done)))
}
