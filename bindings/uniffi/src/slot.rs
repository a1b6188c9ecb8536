// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A secret that can be closed before the last reference to it is gone.

use std::sync::{PoisonError, RwLock};

use crate::failure::{Failure, Result};

/// Holds a value until it is closed; then the value is dropped, and so wiped.
pub struct Slot<T>(RwLock<Option<T>>);

impl<T> Slot<T> {
    /// Open.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Some(value)))
    }

    /// Uses the value.
    pub fn with<R>(&self, work: impl FnOnce(&T) -> e4::Result<R>) -> Result<R> {
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let value = guard.as_ref().ok_or_else(|| Failure::parameter("it is closed"))?;
        Ok(work(value)?)
    }

    /// Drops the value.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
