// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this is, and under which licences.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use maud::html;

use super::ask::{Answer, Ask};
use super::{Web, ui};
use crate::domain::Permission;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/about", get(about))
        .route("/about/dependencies", get(dependencies))
        .route("/about/openapi.json", get(document))
}

const APACHE: &str = include_str!("../../../LICENSE-APACHE");
const MIT: &str = include_str!("../../../LICENSE-MIT");
/// Made by `cargo xtask dependencies`: a line each, `name version licence`.
const DEPENDENCIES: &str = include_str!("assets/dependencies.txt");

async fn about(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let mode = if ask.public_keys { "public keys (PK)" } else { "symmetric keys (SK)" };
    let database = web.service.store().describe();
    let kind = if database.starts_with("PostgreSQL") { "PostgreSQL" } else { "SQLite" };
    let body = html! {
        h1 { "About" }
        section.card {
            h2 { "This server" }
            dl.facts {
                dt { "Version" } dd { "E4 C2 " (env!("CARGO_PKG_VERSION")) }
                dt { "Mode" } dd { (mode) }
                dt { "Database" } dd { (kind) }
                dt { "Served over" } dd { (if web.secure { "TLS" } else { "HTTP without TLS, on this machine alone" }) }
                dt { "Interface" } dd {
                    "gRPC and HTTP/JSON at this address: " a href="/about/openapi.json" { "OpenAPI document" }
                    " (programs with a token find it at " code { "/openapi.json" } ")"
                }
            }
        }
        section.card {
            h2 { "Licence" }
            p { "Apache-2.0 or MIT, as you like." }
            details { summary { "Apache License 2.0" } pre tabindex="0" { (APACHE) } }
            details { summary { "MIT License" } pre tabindex="0" { (MIT) } }
        }
        section.card {
            h2 { "Made with" }
            p { (DEPENDENCIES.lines().count()) " packages of others, each under a licence that allows this. "
                a href="/about/dependencies" { "All of them" } }
        }
    };
    Ok(ui::page(&ask, "About", body))
}

async fn document(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    Ok(Json(&*web.document).into_response())
}

async fn dependencies(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let body = html! {
        div.heading { h1 { "Made with" } a.button href="/about" { "Back" } }
        (ui::table("Packages", &["Package", "Version", "Licence"], html! {
            @for line in DEPENDENCIES.lines() {
                @let mut words = line.splitn(3, ' ');
                tr {
                    th scope="row" { (words.next().unwrap_or_default()) }
                    td.mono { (words.next().unwrap_or_default()) }
                    td { (words.next().unwrap_or_default()) }
                }
            }
        }))
    };
    Ok(ui::page(&ask, "Made with", body))
}
