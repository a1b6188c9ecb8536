// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the store asks of a database: text and parameters in, rows out. The SQL stands once, in
//! the files beside this one, in the words that SQLite and PostgreSQL share: parameters are `?1`,
//! `?2`, …, numbers are 64-bit, bytes are BYTEA, and `FOR UPDATE` means nothing where one writer
//! has the whole file.

use crate::domain::{Error, Result};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Param::Int(value)
    }
}

impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Param::Int(value.into())
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Param::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Param::Blob(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Param<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Param::Blob(value)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Param::Null, Into::into)
    }
}

/// A list of parameters.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::database::Param::from($value)),*] };
}
pub(crate) use params;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A row of a result.
#[derive(Clone, Debug)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A number.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn int(&self, column: usize) -> Result<i64> {
        self.int_or_null(column)?.ok_or_else(|| mismatch(column))
    }

    /// A number or nothing.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn int_or_null(&self, column: usize) -> Result<Option<i64>> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(mismatch(column)),
        }
    }

    /// A yes or no.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn bool(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn text(&self, column: usize) -> Result<String> {
        self.text_or_null(column)?.ok_or_else(|| mismatch(column))
    }

    /// A text or nothing.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn text_or_null(&self, column: usize) -> Result<Option<String>> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(Some(value.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(mismatch(column)),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn blob(&self, column: usize) -> Result<&[u8]> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => Ok(value),
            _ => Err(mismatch(column)),
        }
    }

    /// Bytes of a known length.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N]> {
        self.blob(column)?.try_into().map_err(|_| mismatch(column))
    }

    /// Bytes of a known length or nothing.
    ///
    /// # Errors
    /// [`Error::Store`] if it is something else.
    pub fn array_or_null<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.array(column).map(Some),
        }
    }
}

fn mismatch(column: usize) -> Error {
    Error::Store(format!("column {column} of a row is not what was written"))
}

/// What a database says when it cannot.
#[derive(Debug)]
pub enum Fault {
    /// Somebody else was faster, or the connection broke: the transaction may be tried again.
    Again(String),
    /// It will not work the next time either.
    Fatal(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Again(text) | Fault::Fatal(text) => f.write_str(text),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Store(fault.to_string())
    }
}

/// A connection to a database.
pub trait Connection: Send {
    /// Runs statements without parameters, one after the other.
    ///
    /// # Errors
    /// What the database says.
    fn script(&mut self, sql: &str) -> std::result::Result<(), Fault>;

    /// Runs a statement and says how many rows it changed.
    ///
    /// # Errors
    /// What the database says.
    fn execute(&mut self, sql: &'static str, params: &[Param]) -> std::result::Result<u64, Fault>;

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// What the database says.
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param],
    ) -> std::result::Result<Vec<Row>, Fault>;

    /// Keeps other processes from changing the schema until the transaction ends.
    ///
    /// # Errors
    /// What the database says.
    fn lock_schema(&mut self) -> std::result::Result<(), Fault>;

    /// Begins a transaction that will write, or only read.
    ///
    /// # Errors
    /// What the database says.
    fn begin(&mut self, write: bool) -> std::result::Result<(), Fault>;

    /// Makes the transaction last.
    ///
    /// # Errors
    /// What the database says.
    fn commit(&mut self) -> std::result::Result<(), Fault>;

    /// Makes the transaction undone.
    fn rollback(&mut self);
}

/// A database that gives connections.
pub trait Database: Send + Sync {
    /// Opens another connection.
    ///
    /// # Errors
    /// What the database says.
    fn connect(&self) -> std::result::Result<Box<dyn Connection>, Fault>;

    /// A name for messages, without secrets.
    fn describe(&self) -> String;

    /// Connections that make sense at once for reading.
    fn readers(&self) -> usize;
}
