// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a page is asked, by whom, and how it may fail.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};

use super::Web;
use super::session::Session;
use crate::api::gate::Peer;
use crate::domain::{Caller, Error, Grant, Millis, Permission};

/// What a handler answers.
pub type Answer = Result<Response, Failure>;

/// A request, as the door has checked it.
#[derive(Clone)]
pub struct Ask {
    /// Who asks; nobody only where one signs in.
    pub visitor: Option<Grant>,
    /// The same for the audit records.
    pub caller: Caller,
    /// What the query holds, and for a POST the form.
    pub fields: Fields,
    /// What time it is.
    pub now: Millis,
    /// Path, without the query.
    pub path: String,
    /// Verb and path, for the records of refusals.
    pub call: String,
    /// What was done before.
    pub flash: Option<Flash>,
    /// What a form has to carry.
    pub form_token: String,
    /// Whether clients have public keys.
    pub public_keys: bool,
    /// Whether nobody is asked who they are.
    pub open: bool,
    pub(super) session: Session,
    pub(super) peer: Peer,
}

impl Ask {
    /// Whether who asks may do that.
    pub fn may(&self, permission: Permission) -> bool {
        self.visitor.as_ref().is_some_and(|grant| grant.allows(permission))
    }
}

impl FromRequestParts<Web> for Ask {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Failure> {
        let ask = parts.extensions.get::<Arc<Ask>>().map(|ask| Ask::clone(ask));
        ask.ok_or(Failure::Broken)
    }
}

/// The fields of a query and a form, in their order; a name may come several times.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first of a name, or nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first of a name, without spaces around it; empty where there is none.
    pub fn trimmed(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default().trim()
    }

    /// The first of a name.
    ///
    /// # Errors
    /// There is none, or it is empty.
    pub fn text(&self, name: &'static str) -> Result<&str, Error> {
        let text = self.get(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| Error::invalid(name, "is missing"))
    }

    /// A number; the other where there is none.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, name: &'static str, or: i64) -> Result<i64, Error> {
        match self.trimmed(name) {
            "" => Ok(or),
            text => text.parse().map_err(|_| Error::invalid(name, "is not a number")),
        }
    }

    /// Whether a box was ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = move |(key, value): &'a (String, String)| (key == name).then_some(&**value);
        self.0.iter().filter_map(found).collect::<Vec<_>>().into_iter()
    }
}

/// What the next page says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// Whether it went well.
    pub good: bool,
    /// The words. Never a secret.
    pub text: String,
}

impl Flash {
    /// Something was done.
    pub fn done(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into() }
    }

    /// Something was not done.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { good: false, text: text.into() }
    }
}

/// Why there is no page; the door makes one of it.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The service said no.
    Error(Error),
    /// Who asks may not.
    Refused(String),
    /// Too much of something: wait.
    Wait(String),
    /// There is no such page.
    NoPage,
    /// It is our fault; the log says more.
    Broken,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// What the gate said.
    pub fn of_status(status: &Status) -> Self {
        let text = status.message().to_string();
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => Failure::Refused(text),
            Code::ResourceExhausted | Code::DeadlineExceeded => Failure::Wait(text),
            _ => Failure::Broken,
        }
    }

    /// The number that HTTP has for it.
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Error(Error::Invalid { .. } | Error::Message(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Failure::Error(Error::NotFound { .. }) | Failure::NoPage => StatusCode::NOT_FOUND,
            Failure::Error(Error::Exists { .. } | Error::WrongMode { .. } | Error::Busy(_)) => {
                StatusCode::CONFLICT
            }
            Failure::Error(Error::Store(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Refused(_) => StatusCode::FORBIDDEN,
            Failure::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            Failure::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened.
    pub fn text(&self) -> String {
        match self {
            Failure::Error(Error::Store(why)) => {
                tracing::error!("database: {why}");
                "The database does not answer as it should.".into()
            }
            Failure::Error(error) => sentence(&error.to_string()),
            Failure::Refused(why) | Failure::Wait(why) => sentence(why),
            Failure::NoPage => "There is no such page.".into(),
            Failure::Broken => "Something broke in the server.".into(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Failure::Error(Error::Store(_)) => {
                "Nothing was changed. Try again in a moment; the log of the server says more."
                    .into()
            }
            Failure::Error(error) => {
                sentence(&error.hint().unwrap_or_else(|| "go back, mend it, and try again".into()))
            }
            Failure::Refused(_) => {
                "Sign in with a token that may, or ask an administrator for one.".into()
            }
            Failure::Wait(_) => "Nothing was changed.".into(),
            Failure::NoPage => "Go on from the overview.".into(),
            Failure::Broken => "The log of the server says why.".into(),
        }
    }
}

/// With a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{stop}", capital(text))
}

/// With a capital letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
