// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every call can fail with: a number of the core's table.

use std::fmt;

use e4::Error;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Failure>;

/// An error of the core's table.
#[derive(Debug, uniffi::Error)]
pub enum Failure {
    /// The only case.
    Failed {
        /// The number, the same in every language.
        number: i32,
        /// What happened, in one line.
        text: String,
    },
}

impl Failure {
    /// A bad length, or something that is closed.
    pub fn parameter(what: &str) -> Self {
        let error = Error::InvalidParameter;
        Self::Failed { number: error.number(), text: format!("{error}: {what}") }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed { number: error.number(), text: error.text().into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Failed { text, .. } = self;
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}

/// One row of the table.
#[derive(uniffi::Record)]
pub struct ErrorRow {
    /// The number.
    number: i32,
    /// The name: `InvalidTag`.
    name: String,
    /// What happened, in one line.
    text: String,
}

/// The whole table.
#[uniffi::export]
pub fn error_table() -> Vec<ErrorRow> {
    let row = |error: &Error| ErrorRow {
        number: error.number(),
        name: error.name().into(),
        text: error.text().into(),
    };
    Error::ALL.iter().map(row).collect()
}
