// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may call.

use super::Tx;
use super::database::{Row, params};
use crate::domain::{Error, Millis, Page, Result, Role, Token};

fn token(row: &Row) -> Result<Token> {
    Ok(Token {
        name: row.text(0)?,
        role: Role::from_number(row.int(1)?)
            .ok_or_else(|| Error::Store("a role is not understood".into()))?,
        messages: row.bool(2)?,
        certificate: row.int(3)? == CERTIFICATE,
        made_at: row.int(4)?,
        expires_at: row.int_or_null(5)?,
    })
}

const BEARER: i64 = 1;
const CERTIFICATE: i64 = 2;

impl Tx<'_> {
    /// Adds one; false if the name is taken.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_token(&mut self, token: &Token, hash: &[u8; 32]) -> Result<bool> {
        let known = "SELECT 1 FROM tokens WHERE name = ?1 OR hash = ?2";
        if self.query_one(known, params![token.name.as_str(), hash])?.is_some() {
            return Ok(false);
        }
        let id = self.next("tokens")?;
        let kind = if token.certificate { CERTIFICATE } else { BEARER };
        self.execute(
            "INSERT INTO tokens (id, name, kind, hash, role, messages, made_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                token.name.as_str(),
                kind,
                hash,
                token.role.number(),
                token.messages,
                token.made_at,
                token.expires_at
            ],
        )?;
        Ok(true)
    }

    /// The one with a hash.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn token_by_hash(&mut self, hash: &[u8; 32], certificate: bool) -> Result<Option<Token>> {
        let kind = if certificate { CERTIFICATE } else { BEARER };
        let row = self.query_one(
            "SELECT name, role, messages, kind, made_at, expires_at FROM tokens \
             WHERE hash = ?1 AND kind = ?2",
            params![hash, kind],
        )?;
        row.as_ref().map(token).transpose()
    }

    /// When the one of a name ends; none for never, and for no such token.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn token_ends_at(&mut self, name: &str) -> Result<Option<Millis>> {
        let row = self.query_one("SELECT expires_at FROM tokens WHERE name = ?1", params![name])?;
        row.map_or(Ok(None), |row| row.int_or_null(0))
    }

    /// By name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn tokens(&mut self, page: &Page) -> Result<Vec<Token>> {
        // No name has a NUL, and PostgreSQL takes none.
        let after = page.after.as_deref().and_then(|after| after.split('\0').next());
        let rows = self.query(
            "SELECT name, role, messages, kind, made_at, expires_at FROM tokens \
             WHERE name > ?1 ORDER BY name LIMIT ?2",
            params![after.unwrap_or_default(), page.limit.clamp(0, Page::MAX)],
        )?;
        rows.iter().map(token).collect()
    }

    /// Forgets one; false if there is none of the name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove_token(&mut self, name: &str) -> Result<bool> {
        if name.contains('\0') {
            return Ok(false);
        }
        Ok(self.execute("DELETE FROM tokens WHERE name = ?1", params![name])? > 0)
    }

    /// Whether there is one that has not expired and is an administrator's.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn has_admin(&mut self, now: Millis) -> Result<bool> {
        let row = self.query_one(
            "SELECT 1 FROM tokens WHERE role = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
            params![Role::Admin.number(), now],
        )?;
        Ok(row.is_some())
    }
}
