// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an operation may be refused for.

use std::fmt;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation did not happen. Nothing was stored. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An input is not what it should be.
    Invalid {
        /// Which one, by its name in the interface.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such client, topic, link, ….
    NotFound {
        /// What it would be.
        what: What,
        /// Its name.
        name: String,
    },
    /// There is one of the name already.
    Exists {
        /// What it is.
        what: What,
        /// Its name.
        name: String,
    },
    /// The operation belongs to the other mode.
    WrongMode {
        /// The operation.
        operation: &'static str,
        /// The mode that it needs.
        needs: e4::Mode,
    },
    /// Something else has to end first.
    Busy(String),
    /// A message could not be protected or opened.
    Message(e4::Error),
    /// The database failed, or what it holds is not what was written.
    Store(String),
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A client.
    Client,
    /// A topic.
    Topic,
    /// A client of a topic.
    Member,
    /// A link between clients.
    Link,
    /// A public key that a client was sent.
    PublicKey,
    /// An operation that was done.
    Operation,
    /// Somebody who may call.
    Token,
    /// A label of a client or topic.
    Label,
    /// A rotation policy.
    Policy,
    /// A run of a policy.
    Campaign,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Client => "client",
            What::Topic => "topic",
            What::Member => "client of the topic",
            What::Link => "link",
            What::PublicKey => "public key",
            What::Operation => "operation",
            What::Token => "token",
            What::Label => "label",
            What::Policy => "policy",
            What::Campaign => "campaign",
        }
    }
}

impl Error {
    /// An input that is not what it should be.
    pub fn invalid(field: &'static str, why: impl fmt::Display) -> Self {
        Error::Invalid { field, why: why.to_string() }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotFound { what: What::Client, name } => {
                Some(format!("create the client first: {name}"))
            }
            Error::NotFound { what: What::Topic, name } => {
                Some(format!("create the topic first: {name}"))
            }
            Error::WrongMode { needs: e4::Mode::PublicKey, .. } => {
                Some("this server was set up for symmetric keys".into())
            }
            Error::WrongMode { needs: e4::Mode::Symmetric, .. } => {
                Some("this server was set up for public keys".into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { field, why } => write!(f, "{field}: {why}"),
            Error::NotFound { what, name } => {
                write!(f, "{} {name:?} does not exist", what.name())
            }
            Error::Exists { what, name } => write!(f, "{} {name:?} exists already", what.name()),
            Error::WrongMode { operation, needs } => {
                let needs = match needs {
                    e4::Mode::Symmetric => "symmetric-key",
                    e4::Mode::PublicKey => "public-key",
                };
                write!(f, "{operation} exists in {needs} mode only")
            }
            Error::Busy(why) => f.write_str(why),
            Error::Message(error) => write!(f, "message: {error}"),
            Error::Store(error) => write!(f, "database: {error}"),
        }
    }
}

impl std::error::Error for Error {}
