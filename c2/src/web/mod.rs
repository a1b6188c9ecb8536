// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pages for operators, at the addresses of the interface: rendered here, readable without scripts,
//! without anything from elsewhere.
//!
//! A module of pages has `pub fn routes() -> Router<Web>`, which [`router`] merges behind the door
//! ([`door`]). The door has then found out who asks, and put an [`Ask`] beside the request; for a
//! POST it has checked that the form came from a page of that session. A handler looks like this:
//!
//! ```text
//! async fn remove(State(web): State<Web>, ask: Ask) -> Answer {
//!     web.demand(&ask, Permission::Operate).await?;      // a 403 page, noted as the API notes it
//!     let name = ask.fields.text("name")?.to_string();   // of the query, or of the form
//!     web.apply(&ask, Operation::RemoveClient { client: name.clone(), rotate: false }).await?;
//!     Ok(web.back(&ask, "/devices", Flash::done(format!("{name} was removed"))))
//! }
//! ```
//!
//! and a page `Ok(ui::page(&ask, "Devices", html! { … }))`. What the visitor may not do is left out
//! with `ask.may(Permission::Operate)`. An error that is returned becomes a page; a form that can be
//! mended is rendered again with `ask.fields`, and `ui::alert`. Names go into queries, as in
//! `ui::href("/device", &[("name", name)])`: as part of a path `..` or `a/b` would not arrive. There
//! is no style and no script in a page, and no colour without a word: `ui` has the parts.

mod about;
mod ask;
mod assets;
mod audit;
mod campaigns;
mod created;
mod device;
mod devices;
mod door;
mod labels;
mod links;
mod many;
mod map;
mod overview;
mod policies;
mod policy_form;
mod session;
mod sign_in;
mod summary;
mod tokens;
mod topic;
mod topics;
mod ui;
mod updates;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{ACCEPT, AUTHORIZATION};
use axum::response::Response;
use axum::{Router, middleware};

use crate::api::events::Events;
use crate::api::gate::Gate;
use crate::domain::{Operation, Outcome, Permission, Result};
use crate::reconcile::{Event, Figures};
use crate::service::Service;
pub use ask::{Ask, Failure, Flash};
pub use summary::Summaries;

/// What pages are made from.
#[derive(Clone)]
pub struct Web {
    /// The operations.
    pub service: Service,
    /// Numbers since the start.
    pub figures: Arc<Figures>,
    /// The reconciler.
    pub engine: Sender<Event>,
    /// What happens.
    pub events: Events,
    /// Who may.
    pub gate: Arc<Gate>,
    /// Whether it is served over TLS.
    pub secure: bool,
    /// The interface, as an OpenAPI document.
    pub document: Arc<serde_json::Value>,
    /// Numbers over everything.
    pub summaries: Arc<Summaries>,
}

/// All pages.
pub fn router(web: Web) -> Router {
    let pages = Router::new()
        .merge(sign_in::routes())
        .merge(overview::routes())
        .merge(map::routes())
        .merge(updates::routes())
        .merge(devices::routes())
        .merge(device::routes())
        .merge(created::routes())
        .merge(topics::routes())
        .merge(topic::routes())
        .merge(links::routes())
        .merge(audit::routes())
        .merge(tokens::routes())
        .merge(about::routes())
        .merge(policies::routes())
        .merge(campaigns::routes());
    let pages = pages.layer(middleware::from_fn_with_state(web.clone(), door::guard));
    pages.with_state(web).merge(assets::routes())
}

/// Whether somebody looks for a page, and not for a call of the interface.
pub fn is_for_people(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    request.method() == Method::GET
        && accept.is_some_and(|accept| accept.contains("text/html"))
        && !request.headers().contains_key(AUTHORIZATION)
        && !request.uri().path().starts_with("/e4/")
}

/// What people find where there is no page.
pub fn no_page(web: Web) -> Router {
    let pages = Router::new().fallback(|| async { Failure::NoPage });
    pages.layer(middleware::from_fn_with_state(web, door::guard))
}

impl Web {
    /// Has the database asked on a thread that may wait.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Failure> {
        let service = self.service.clone();
        match tokio::task::spawn_blocking(move || work(&service)).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_) => Err(Failure::Broken),
        }
    }

    /// Does one thing for who asks, and has the reconciler look at once.
    ///
    /// # Errors
    /// Those of [`Service::apply`].
    pub async fn apply(
        &self,
        ask: &Ask,
        operation: Operation,
    ) -> std::result::Result<Outcome, Failure> {
        let caller = ask.caller.clone();
        let outcome = self.run(move |service| service.apply(&caller, &operation)).await?;
        self.changed();
        Ok(outcome)
    }

    /// Something was changed: the reconciler and listeners look at once.
    pub fn changed(&self) {
        // It fails only at the end of the server.
        let _ = self.engine.send(Event::Wake);
        self.events.changed();
    }

    /// Refuses who may not.
    ///
    /// # Errors
    /// [`Failure::Refused`].
    pub async fn demand(
        &self,
        ask: &Ask,
        permission: Permission,
    ) -> std::result::Result<(), Failure> {
        if ask.may(permission) {
            return Ok(());
        }
        let why = match permission {
            Permission::Messages => "your token may not protect or open messages",
            _ => "the role of your token does not allow this",
        };
        Err(self.refuse(ask, why).await)
    }

    async fn refuse(&self, ask: &Ask, why: &str) -> Failure {
        let status = tonic::Status::permission_denied(why);
        let status = self.gate.refuse(&ask.peer, &ask.caller.actor, &ask.call, status).await;
        Failure::of_status(&status)
    }

    /// On to another page, which begins with a word on what was done.
    pub fn back(&self, ask: &Ask, to: &str, flash: Flash) -> Response {
        session::redirect(self, ask, to, Some(&flash))
    }
}
