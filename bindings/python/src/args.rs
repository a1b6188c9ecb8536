// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What comes in: bytes of any kind, and the time.

use std::borrow::Cow;
use std::ops::Deref;

use e4::Timestamp;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

/// From this length on the GIL is released: below, releasing costs more than the work.
pub const LONG: usize = 8 * 1024;

/// A bytes-like argument. `bytes` is borrowed; what can change while the call runs is copied.
pub struct Data<'a>(Cow<'a, [u8]>);

impl Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Data<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyBytes>() {
            return Ok(Self(Cow::Borrowed(object.extract::<&'a [u8]>()?)));
        }
        let buffer = PyBuffer::<u8>::get(&object).map_err(|_| {
            let found =
                object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
            PyTypeError::new_err(format!("a bytes-like object of bytes is required, not '{found}'"))
        })?;
        Ok(Self(Cow::Owned(buffer.to_vec(object.py())?)))
    }
}

/// Exactly `N` bytes, or ValueError.
pub fn exactly<const N: usize>(what: &str, bytes: &[u8]) -> PyResult<[u8; N]> {
    bytes.try_into().map_err(|_| wrong_length(what, N, bytes.len()))
}

/// The ValueError of a wrong length.
pub fn wrong_length(what: &str, expected: usize, found: usize) -> PyErr {
    PyValueError::new_err(format!("{what} takes {expected} bytes, not {found}"))
}

/// The argument `now`: left out it is the system clock; `None` is a device without a clock.
#[derive(Clone, Copy)]
pub enum Now {
    /// The system clock.
    System,
    /// Given.
    At(Timestamp),
    /// No clock.
    Unknown,
}

impl Now {
    /// For a client.
    pub fn optional(self) -> Option<Timestamp> {
        match self {
            Self::System => Some(Timestamp::now()),
            Self::At(time) => Some(time),
            Self::Unknown => None,
        }
    }

    /// Where there must be a time.
    pub fn required(self) -> PyResult<Timestamp> {
        self.optional().ok_or_else(|| PyTypeError::new_err("now must be Unix seconds, not None"))
    }
}

impl<'py> FromPyObject<'_, 'py> for Now {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self::Unknown);
        }
        if !object.is_instance_of::<PyInt>() {
            return Err(PyTypeError::new_err("now must be an int of Unix seconds, or None"));
        }
        object
            .extract::<u64>()
            .map(Timestamp::from_secs)
            .map(Self::At)
            .map_err(|_| PyValueError::new_err("now must be Unix seconds from 0 to 2**64 - 1"))
    }
}
