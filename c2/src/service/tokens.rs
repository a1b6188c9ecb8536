// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may call: tokens and certificates come and go, and are recognised.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e4::crypto::hash::sha3_256;
use serde_json::json;
use zeroize::Zeroizing;

use super::Service;
use crate::domain::{Caller, Credentials, Error, Grant, Millis, Page, Result, Role, Token, What};

/// What a token begins with, so that people and scanners know one when they see it.
pub const TOKEN_PREFIX: &str = "e4_";
const NAME_MAX: usize = 64;

/// Who shall be let in.
#[derive(Debug)]
pub struct NewToken {
    /// Name, 1 to 64 bytes.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Whether it may protect and open messages.
    pub messages: bool,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// A client certificate (DER) instead of a token.
    pub certificate: Option<Vec<u8>>,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// What it shows is not known.
    Unknown,
    /// It was let in until a time that has passed.
    Expired,
}

impl Service {
    /// Lets somebody call, and returns the token, which is nowhere else; none for a certificate.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name or certificate is taken; [`Error::Invalid`]; [`Error::Store`].
    pub fn create_token(&self, who: &Caller, new: &NewToken) -> Result<Option<Zeroizing<String>>> {
        let now = self.clock.now();
        if new.name.is_empty() || new.name.len() > NAME_MAX || new.name.contains(char::is_control) {
            let why = "a name has 1 to 64 bytes and no control characters";
            return Err(Error::invalid("name", why));
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid("expiresAt", "has passed"));
        }
        if new.certificate.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid("certificate", "is empty"));
        }
        let (credentials, secret) = match &new.certificate {
            Some(certificate) => (Credentials::Certificate(certificate.clone()), None),
            None => {
                let mut bytes = Zeroizing::new([0; 32]);
                getrandom::fill(&mut *bytes).map_err(|_| Error::Message(e4::Error::Randomness))?;
                let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes));
                let text = Zeroizing::new(text);
                (Credentials::Bearer(text.clone()), Some(text))
            }
        };
        let token = Token {
            name: new.name.clone(),
            role: new.role,
            messages: new.messages,
            certificate: new.certificate.is_some(),
            made_at: now,
            expires_at: new.expires_at,
        };
        let hash = hash(&credentials);
        self.store.write(|tx| {
            tx.lock_audit()?;
            if !tx.insert_token(&token, &hash)? {
                return Err(Error::Exists { what: What::Token, name: token.name.clone() });
            }
            tx.audit(now, who, "create_token", &json!(token))
        })?;
        Ok(secret)
    }

    /// No longer lets somebody call.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn revoke_token(&self, who: &Caller, name: &str) -> Result<()> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.lock_audit()?;
            if !tx.remove_token(name)? {
                return Err(Error::NotFound { what: What::Token, name: name.into() });
            }
            tx.audit(now, who, "revoke_token", &json!({ "name": name }))
        })
    }

    /// Who may call.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn tokens(&self, page: &Page) -> Result<Vec<Token>> {
        self.store.read(|tx| tx.tokens(page))
    }

    /// When a token ends; none for never, and for no such token.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn token_ends_at(&self, name: &str) -> Result<Option<Millis>> {
        self.store.read(|tx| tx.token_ends_at(name))
    }

    /// Whether any administrator may call.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn has_admin(&self) -> Result<bool> {
        let now = self.clock.now();
        self.store.read(|tx| tx.has_admin(now))
    }

    /// Who shows this.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn recognise(
        &self,
        credentials: &Credentials,
    ) -> Result<std::result::Result<Grant, Stranger>> {
        let certificate = matches!(credentials, Credentials::Certificate(_));
        self.recognise_hash(&hash(credentials), certificate)
    }

    /// Who showed what has this hash, see [`token_hash`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn recognise_hash(
        &self,
        hash: &[u8; 32],
        certificate: bool,
    ) -> Result<std::result::Result<Grant, Stranger>> {
        let Some(token) = self.store.read(|tx| tx.token_by_hash(hash, certificate))? else {
            return Ok(Err(Stranger::Unknown));
        };
        if token.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Ok(Err(Stranger::Expired));
        }
        Ok(Ok(Grant { name: token.name, role: token.role, messages: token.messages }))
    }

    /// Notes that somebody was refused.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn refused(&self, who: &Caller, call: &str, why: &str) -> Result<()> {
        let now = self.clock.now();
        let detail = json!({ "call": call, "why": why });
        self.store.write(|tx| tx.audit(now, who, "refused", &detail))
    }
}

/// What is stored of a token: a session of a browser holds this in place of the token.
pub fn token_hash(token: &Zeroizing<String>) -> [u8; 32] {
    hash(&Credentials::Bearer(token.clone()))
}

/// It is looked up by this, so what is stored lets nobody in, and the time of the search says
/// nothing of a token. Tokens have 256 random bits: no salt, no slow hash.
fn hash(credentials: &Credentials) -> [u8; 32] {
    match credentials {
        Credentials::Bearer(text) => sha3_256(&[b"e4 bearer token\0", text.as_bytes()]),
        Credentials::Certificate(der) => sha3_256(&[b"e4 certificate\0", der]),
    }
}
