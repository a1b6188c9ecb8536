// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What browsers keep for the pages: sealed under the data key, so that every server on a database
//! reads it, after a restart as well, and nobody else writes it.

use e4::crypto::hash::sha3_256;
use zeroize::Zeroizing;

use super::Store;
use super::audit::equal;
use super::vault::Place;
use crate::domain::Result;

/// Which of them; one is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Who is signed in, until when.
    Session,
    /// What the next page says.
    Flash,
}

impl Cookie {
    fn place(self) -> Place {
        Place::new("browser", self as i64, 0)
    }
}

impl Store {
    /// Seals a cookie.
    ///
    /// # Errors
    /// None that the inputs can cause.
    pub fn seal_cookie(&self, cookie: Cookie, plain: &[u8]) -> Result<Vec<u8>> {
        self.vault.seal(&cookie.place(), plain)
    }

    /// Opens a cookie; none if it was not sealed here as such.
    pub fn open_cookie(&self, cookie: Cookie, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.vault.open(&cookie.place(), sealed).ok()
    }

    /// What a form of a session carries: who does not read the pages of the session does not know
    /// it.
    pub fn form_token(&self, session: &[u8]) -> [u8; 32] {
        sha3_256(&[&*self.vault.form_key(), session])
    }

    /// Whether it is that, compared in constant time.
    pub fn is_form_token(&self, session: &[u8], token: &[u8; 32]) -> bool {
        equal(&self.form_token(session), token)
    }
}
