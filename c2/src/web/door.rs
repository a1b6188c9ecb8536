// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The door before all pages: who asks, and whether a form comes from a page of theirs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, FromRequest, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;

use super::ask::{Ask, Failure, Fields};
use super::session::{self, Session, Shown};
use super::{Web, ui};
use crate::api::gate::{self, Peer, anybody, in_time};
use crate::domain::{Caller, Credentials, Grant};

/// The longest form, in bytes.
const FORM_MAX: usize = 1 << 20;
/// Where one signs in.
pub const SIGN_IN: &str = "/sign-in";
/// What a form carries to show that it is one of ours.
pub const FORM_TOKEN: &str = "form-token";

/// Nothing but what this server sends, into no page but its own.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; trusted-types e4; require-trusted-types-for 'script'";

/// Lets in, or sends to where one signs in.
pub async fn guard(State(web): State<Web>, request: Request, next: Next) -> Response {
    let answered = in_time(async { Ok(enter(&web, request, next).await) }).await;
    let mut response = answered.unwrap_or_else(|status| {
        let failure = Failure::of_status(&status);
        ui::bare(failure.status(), &failure)
    });
    for (name, value) in headers() {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// What every answer of ours says to browsers.
pub fn headers() -> [(HeaderName, HeaderValue); 7] {
    [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        // With `no-referrer` browsers would not say either from where a form comes.
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ]
}

/// Who asks, if anybody; otherwise why nobody does.
enum Found {
    Visitor(Grant),
    Nobody(&'static str),
}

async fn enter(web: &Web, request: Request, next: Next) -> Response {
    let refused = |failure: Failure| ui::bare(failure.status(), &failure);
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return refused(Failure::Broken);
    };
    let now = web.service.clock().now();
    let host = host(request.uri(), request.headers());
    if web.gate.is_open() && !host.as_deref().is_some_and(gate::is_loopback) {
        let why = "without authentication there are pages for this machine alone, under its name \
                   localhost";
        return refused(Failure::Refused(why.into()));
    }
    let shown = Session::shown(web, request.headers(), now);
    let found = match find(web, &peer, &shown).await {
        Ok(found) => found,
        Err(failure) => return refused(failure),
    };
    let (session, fresh) = match shown {
        Shown::Session(session) => (session, false),
        _ => match Session::new(None, now) {
            Ok(session) => (session, true),
            Err(failure) => return refused(failure),
        },
    };
    let (visitor, why) = match found {
        Found::Visitor(grant) => (Some(grant), ""),
        Found::Nobody(why) => (None, why),
    };
    let (uri, method) = (request.uri().clone(), request.method().clone());
    let path = uri.path().to_string();
    let name = visitor.as_ref().map_or("stranger", |grant| &grant.name);
    let mut ask = Ask {
        caller: Caller::new(name, &peer.address.to_string()),
        now,
        call: format!("{method} {path}"),
        path,
        flash: session::flash(web, request.headers(), &session),
        form_token: session.form_token(web),
        public_keys: web.service.mode() == e4::Mode::PublicKey,
        open: web.gate.is_open(),
        fields: Fields::default(),
        visitor,
        session,
        peer,
    };
    // What a page asks for behind the back of its reader does not begin a session: the reader is
    // told why the last one ended.
    let behind = request.headers().get(HeaderName::from_static("sec-fetch-dest"));
    let behind = behind.is_some_and(|what| what != "document");
    let outside = ask.visitor.is_none() && ask.path != SIGN_IN;
    if outside && behind && method == Method::GET {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut response = if outside {
        to_sign_in(&uri, &method, why)
    } else {
        match check(web, &mut ask, request, host.as_deref()).await {
            Err(failure) => failure.into_response(),
            Ok(mut request) => {
                request.extensions_mut().insert(Arc::new(ask.clone()));
                next.run(request).await
            }
        }
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = ui::failure(&ask, &failure);
    }
    if fresh && !response.headers().contains_key(axum::http::header::SET_COOKIE) {
        ask.session.keep(web, now, &mut response);
    }
    // A page says it once; a picture beside it does not.
    if ask.flash.is_some() && response.extensions().get::<ui::Said>().is_some() {
        session::forget_flash(web, &mut response);
    }
    response
}

/// The host that was asked for, with its port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| uri.authority().map(|authority| authority.as_str())).map(str::to_string)
}

async fn find(web: &Web, peer: &Peer, shown: &Shown) -> Result<Found, Failure> {
    if web.gate.is_open() {
        return Ok(Found::Visitor(anybody()));
    }
    if let Shown::Session(Session { token: Some(hash), .. }) = shown {
        let hash = *hash;
        let known = web.run(move |service| service.recognise_hash(&hash, false)).await?;
        return Ok(known.map_or(Found::Nobody("ended"), Found::Visitor));
    }
    if let Some(certificate) = &peer.certificate {
        let credentials = Credentials::Certificate(certificate.to_vec());
        let known = web.run(move |service| service.recognise(&credentials)).await?;
        if let Ok(grant) = known {
            return Ok(Found::Visitor(grant));
        }
    }
    Ok(Found::Nobody(if matches!(shown, Shown::Over) { "expired" } else { "" }))
}

/// To where one signs in, and back from there to what can be asked again.
fn to_sign_in(uri: &Uri, method: &Method, why: &str) -> Response {
    let mut query = Vec::new();
    let wanted = uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    if method == Method::GET && wanted != "/" && uri.path() != "/sign-out" {
        query.push(("next", wanted));
    }
    if !why.is_empty() {
        query.push(("why", why));
    }
    session::see(&ui::href(SIGN_IN, &query))
}

/// Reads the query, and the form; a form has to come from a page of the session.
async fn check(
    web: &Web,
    ask: &mut Ask,
    request: Request,
    host: Option<&str>,
) -> Result<Request, Failure> {
    let unreadable = || Failure::Error(crate::domain::Error::invalid("form", "cannot be read"));
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    ask.fields = Fields(query.map_err(|_| unreadable())?.0);
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Ok(request);
    }
    if let Err(why) = same_origin(request.headers(), host) {
        return Err(web.refuse(ask, why).await);
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, FORM_MAX).await.map_err(|_| unreadable())?;
    let again = Request::from_parts(parts.clone(), Body::from(body));
    let Form(form) =
        Form::<Vec<(String, String)>>::from_request(again, &()).await.map_err(|_| unreadable())?;
    // In the address it does not count: that is written down in too many places.
    let form = Fields(form);
    if !ask.session.is_form_token(web, form.get(FORM_TOKEN)) {
        let why = "this form is not of your present session: load its page again";
        return Err(web.refuse(ask, why).await);
    }
    ask.fields.0.splice(0..0, form.0);
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Whether a form was sent by a page of ours, as far as the browser says.
fn same_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), &'static str> {
    let why = "the form was sent by a page of another site";
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
    {
        return Err(why);
    }
    match text(ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let from = origin.split_once("://").map(|(_, host)| host);
            let same = from.zip(host).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host));
            if same { Ok(()) } else { Err(why) }
        }
    }
}

/// What the gate says of a token that is shown to sign in.
///
/// # Errors
/// Why it lets nobody in; that is noted.
pub async fn refuse_token(web: &Web, ask: &Ask, why: &'static str) -> Failure {
    let status = web.gate.refuse(&ask.peer, "stranger", &ask.call, Status::unauthenticated(why));
    Failure::of_status(&status.await)
}
