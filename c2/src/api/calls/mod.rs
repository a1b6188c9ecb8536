// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The calls: decode, one call of the service, render. Who may was decided before.

mod methods;
mod policies;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::convert::Change;
use super::events::Events;
use super::gate::{Admitted, blocking};
use super::pb;
use super::status::status;
use crate::domain::{Caller, Credential, Error, Operation, Outcome, Permission, Result};
use crate::reconcile::{Event, Figures};
use crate::service::Service;

/// Passwords that are worked on at once: each takes a second and 64 MiB.
const PASSWORDS: usize = 2;
/// Passwords in one batch.
const PASSWORDS_MAX: usize = 32;

/// The calls of the interface over the service.
pub struct Calls {
    service: Service,
    engine: Sender<Event>,
    figures: Arc<Figures>,
    events: Events,
    passwords: Arc<Semaphore>,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

/// Who calls.
fn admitted<T>(request: &Request<T>) -> std::result::Result<Admitted, Status> {
    let admitted = request.extensions().get::<Admitted>().cloned();
    admitted.ok_or_else(|| Status::unauthenticated("nobody was let in"))
}

impl Calls {
    /// The calls of a service, whose reconciler is told of changes.
    pub fn new(
        service: Service,
        engine: Sender<Event>,
        figures: Arc<Figures>,
        events: Events,
    ) -> Self {
        Self { service, engine, figures, events, passwords: Arc::new(Semaphore::new(PASSWORDS)) }
    }

    /// Something was changed: the reconciler and listeners look at once.
    fn changed(&self) {
        // It fails only at the end of the server.
        let _ = self.engine.send(Event::Wake);
        self.events.changed();
    }

    /// Waits until there is room for work that costs memory on purpose.
    async fn room(
        &self,
        operations: &[Operation],
    ) -> std::result::Result<Option<tokio::sync::OwnedSemaphorePermit>, Status> {
        let costs = |operation: &&Operation| {
            matches!(operation.credential(), Some(Credential::Password(_)))
        };
        let costly = operations.iter().filter(costs).count();
        if costly == 0 {
            return Ok(None);
        }
        if costly > PASSWORDS_MAX {
            let why = format!("more than {PASSWORDS_MAX} with a password: each takes its time");
            return Err(status(Error::invalid("changes", why)));
        }
        let permit = self.passwords.clone().acquire_owned().await;
        permit.map(Some).map_err(|_| Status::unavailable("the server ends"))
    }

    async fn change<Q: Change, R>(
        &self,
        request: Request<Q>,
        render: impl FnOnce(Outcome) -> R,
    ) -> Answer<R> {
        let admitted = admitted(&request)?;
        let operation = restrict(request.into_inner().operation().map_err(status)?, &admitted);
        let room = self.room(std::slice::from_ref(&operation)).await?;
        let service = self.service.clone();
        let outcome = blocking(move || {
            // It is kept by the work: a caller who leaves does not end that.
            let _room = room;
            service.apply(&admitted.caller, &operation)
        })
        .await?;
        self.changed();
        let number = outcome.operation;
        let mut response = Response::new(render(outcome));
        if let Ok(number) = number.to_string().parse() {
            response.metadata_mut().insert("e4-operation", number);
        }
        Ok(response)
    }

    async fn read<Q: Send + 'static, R: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Service, Q) -> Result<R> + Send + 'static,
    ) -> Answer<R> {
        let service = self.service.clone();
        let message = request.into_inner();
        blocking(move || work(&service, message)).await.map(Response::new)
    }
}

impl Calls {
    /// Changes something that is no operation on the fleet, for a caller.
    async fn act<Q: Send + 'static, R: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Service, &Caller, Q) -> Result<R> + Send + 'static,
    ) -> Answer<R> {
        let caller = admitted(&request)?.caller;
        let done = self.read(request, move |service, message| work(service, &caller, message));
        let response = done.await?;
        self.changed();
        Ok(response)
    }
}

/// Who may only add clients replaces none.
fn restrict(operation: Operation, admitted: &Admitted) -> Operation {
    match operation {
        Operation::NewClient { client, credential }
            if !admitted.grant.allows(Permission::Operate) =>
        {
            Operation::AddClient { client, credential }
        }
        operation => operation,
    }
}

fn client(client: Option<pb::Client>) -> String {
    client.unwrap_or_default().name
}

/// Whether the database answers and the broker is there.
///
/// # Errors
/// What is not.
pub fn health(service: &Service, figures: &Figures) -> std::result::Result<(), &'static str> {
    if let Err(error) = service.newest_record() {
        tracing::warn!("health: {error}");
        return Err("the database does not answer");
    }
    match figures.connected.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err("no connection to the broker"),
    }
}
