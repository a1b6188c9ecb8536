// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may call: every call comes through here before anything else looks at it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tonic::Status;
use tracing::warn;
use zeroize::Zeroizing;

use super::routes::Routes;
use crate::domain::{Caller, Credentials, Grant, Permission, Role};
use crate::service::{Service, Stranger};

/// Refusals of an address in a minute that are looked into and noted.
const REFUSALS: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// Characters of a path that are noted.
const CALL_MAX: usize = 200;
/// How long a call may take; a stream has no end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a call comes from, as the listener found it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address.
    pub address: SocketAddr,
    /// Client certificate, in DER, that TLS has checked.
    pub certificate: Option<Arc<[u8]>>,
}

/// Who calls, with what right: the gate puts it beside the call.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// What the caller may.
    pub grant: Grant,
    /// For the audit records.
    pub caller: Caller,
}

/// The gate.
pub struct Gate {
    service: Service,
    routes: Arc<Routes>,
    refusals: DefaultKeyedRateLimiter<IpAddr>,
    /// Everybody may everything: for old tools, on the loopback alone.
    open: bool,
}

impl Gate {
    /// A gate; with `open` everybody may everything.
    pub fn new(service: Service, routes: Arc<Routes>, open: bool) -> Self {
        let refusals = RateLimiter::keyed(Quota::per_minute(REFUSALS));
        Self { service, routes, refusals, open }
    }

    /// Lets a call through that has the permission.
    ///
    /// # Errors
    /// Unauthenticated, PermissionDenied; ResourceExhausted where too many were refused.
    pub async fn admit(
        self: &Arc<Self>,
        peer: &Peer,
        headers: &HeaderMap,
        call: &str,
        needed: Option<Permission>,
    ) -> Result<Admitted, Status> {
        let origin = peer.address.to_string();
        if self.open {
            if !from_here(headers) {
                let why = "without authentication, pages of browsers and other names of this \
                           machine are refused";
                return Err(Status::permission_denied(why));
            }
            let grant = anybody();
            return Ok(Admitted { caller: Caller::new(&grant.name, &origin), grant });
        }
        let (who, status) = match self.recognise(peer, headers).await? {
            Ok(grant) if needed.is_some_and(|needed| grant.allows(needed)) => {
                return Ok(Admitted { caller: Caller::new(&grant.name, &origin), grant });
            }
            Ok(grant) => {
                let why = match needed {
                    Some(Permission::Messages) => "this token may not protect or open messages",
                    _ => "the role of this token does not allow this call",
                };
                (grant.name, Status::permission_denied(why))
            }
            Err(why) => ("stranger".to_string(), Status::unauthenticated(why)),
        };
        Err(self.refuse(peer, &who, call, status).await)
    }

    /// Notes a refusal, and says what the caller is told.
    pub async fn refuse(
        self: &Arc<Self>,
        peer: &Peer,
        who: &str,
        call: &str,
        status: Status,
    ) -> Status {
        if self.refusals.check_key(&peer.address.ip()).is_err() {
            let why = "too many calls from this address were refused; wait a minute";
            return Status::resource_exhausted(why);
        }
        self.refusals.retain_recent();
        let origin = peer.address.to_string();
        warn!(from = origin, who, call, "refused: {}", status.message());
        let gate = self.clone();
        let call: String = call.chars().take(CALL_MAX).collect();
        let (caller, why) = (Caller::new(who, &origin), status.message().to_string());
        match blocking(move || gate.service.refused(&caller, &call, &why)).await {
            Ok(()) => status,
            Err(failure) => failure,
        }
    }

    /// Whether everybody may everything.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Who that is, or why it is nobody.
    async fn recognise(
        self: &Arc<Self>,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<Result<Grant, &'static str>, Status> {
        let bearer = match headers.get(AUTHORIZATION).map(|value| value.to_str()) {
            None => None,
            Some(Ok(value)) => match value.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Some(Zeroizing::new(token.trim().to_string()))
                }
                _ => return Ok(Err("authorization has to be `Bearer TOKEN`")),
            },
            Some(Err(_)) => return Ok(Err("authorization has to be `Bearer TOKEN`")),
        };
        let credentials = match (bearer, &peer.certificate) {
            (Some(token), _) => Credentials::Bearer(token),
            (None, Some(certificate)) => Credentials::Certificate(certificate.to_vec()),
            (None, None) => {
                return Ok(Err("no token: send `authorization: Bearer TOKEN`"));
            }
        };
        let gate = self.clone();
        let known = blocking(move || gate.service.recognise(&credentials)).await?;
        Ok(known.map_err(|stranger| match stranger {
            Stranger::Unknown => "this token or certificate is not known here",
            Stranger::Expired => "this token or certificate has expired",
        }))
    }

    /// What a path of gRPC needs; `Err` where everybody may ask.
    fn needed(&self, path: &str) -> Result<Option<Permission>, ()> {
        if path.starts_with("/grpc.health.v1.Health/") {
            return Err(());
        }
        if path.starts_with("/grpc.reflection.") {
            return Ok(Some(Permission::Read));
        }
        Ok(self.routes.by_call(path).and_then(|route| route.permission))
    }
}

/// Whether it was not a page in a browser of this machine that called: those say where they come
/// from, or have found another name for the loopback.
fn from_here(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !headers.contains_key(ORIGIN) && host.is_none_or(is_loopback)
}

/// Whether a host, with a port or without, is a name of the loopback.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Who calls where nobody is asked who they are.
pub fn anybody() -> Grant {
    Grant { name: "anybody".into(), role: Role::Admin, messages: true }
}

/// Ends a call that takes too long.
///
/// # Errors
/// Those of the call; DeadlineExceeded.
pub async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded("the call took too long");
    tokio::time::timeout(PATIENCE, call).await.map_err(late)?
}

/// Has the database asked on a thread that may wait.
///
/// # Errors
/// The status of the error; Internal if the work panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::domain::Result<T> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(super::status::status),
        Err(_) => Err(Status::internal("the call broke; see the log")),
    }
}

/// The gate before the gRPC calls.
pub async fn guard(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_string();
    let needed = match gate.needed(&path) {
        Ok(needed) => needed,
        Err(()) => return next.run(request).await,
    };
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Status::internal("a call from nowhere").into_http();
    };
    match gate.admit(&peer, request.headers(), &path, needed).await {
        Ok(admitted) => request.extensions_mut().insert(admitted),
        Err(status) => return status.into_http(),
    };
    let answer = async { Ok(next.run(request).await) };
    in_time(answer).await.unwrap_or_else(Status::into_http)
}

/// The gate before a path that is no call.
pub async fn guard_page(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_string();
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return super::http::failure(&Status::internal("a call from nowhere")).into_response();
    };
    match gate.admit(&peer, request.headers(), &path, Some(Permission::Read)).await {
        Ok(_) => next.run(request).await,
        Err(status) => super::http::failure(&status),
    }
}
