// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the fleet is well, at a glance.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::html;

use super::ask::{Answer, Ask};
use super::{Web, ui};
use crate::domain::Permission;

/// Its pages.
pub fn routes() -> Router<Web> {
    Router::new().route("/", get(overview))
}

async fn overview(State(web): State<Web>, ask: Ask) -> Answer {
    web.demand(&ask, Permission::Read).await?;
    let numbers = web.run(|service| service.statistics()).await?;
    let body = html! {
        h1 { "Overview" }
        p { (numbers.clients) " devices, " (numbers.topics) " topics" }
    };
    Ok(ui::page(&ask, "Overview", body))
}
