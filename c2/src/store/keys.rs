// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The keys of clients, and C2's own.

use e4::{C2PublicKey, C2SecretKey, IdKey, PublicKey, SigningKey};

use super::database::{Connection, params};
use super::vault::{Place, Vault};
use super::{Fault, Tx};
use crate::domain::{Error, Millis, Result};

const CLIENT: &str = "client_keys.sealed";
const C2: &str = "c2_keys.sealed";

/// A key that a client may hold.
pub struct ClientKey {
    /// Its number.
    pub epoch: i64,
    /// The key.
    pub key: KeyOfClient,
}

/// The key of a client's own.
pub enum KeyOfClient {
    /// SK.
    Id(IdKey),
    /// PK. The private half is here until the client confirmed a key that C2 made.
    Public(PublicKey, Option<Box<SigningKey>>),
}

/// A key pair of C2.
pub struct C2Key {
    /// Its number.
    pub epoch: i64,
    /// The private half.
    pub secret: C2SecretKey,
    /// The public half.
    pub public: C2PublicKey,
}

pub(super) fn insert_c2_key(
    connection: &mut dyn Connection,
    vault: &Vault,
    epoch: i64,
    now: Millis,
) -> Result<()> {
    let secret = C2SecretKey::random().map_err(Error::Message)?;
    let sealed = vault.seal(&Place::new(C2, epoch, 0), secret.expose())?;
    let public = secret.public();
    let done = connection.execute(
        "INSERT INTO c2_keys (epoch, public, sealed, made_at) VALUES (?1, ?2, ?3, ?4)",
        params![epoch, public.as_bytes(), sealed.as_slice(), now],
    );
    done.map(|_| ()).map_err(|fault: Fault| fault.into())
}

fn damaged(_: e4::Error) -> Error {
    Error::Store("a stored key is not a key".into())
}

impl Tx<'_> {
    /// A key for a client.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_client_key(
        &mut self,
        client: i64,
        epoch: i64,
        key: &KeyOfClient,
        now: Millis,
    ) -> Result<()> {
        let place = Place::new(CLIENT, client, epoch);
        let (public, sealed) = match key {
            KeyOfClient::Id(key) => (None, Some(self.vault().seal(&place, key.expose())?)),
            KeyOfClient::Public(public, secret) => {
                let sealed = match secret {
                    Some(secret) => Some(self.vault().seal(&place, &*secret.expose())?),
                    None => None,
                };
                (Some(*public.as_bytes()), sealed)
            }
        };
        self.execute(
            "INSERT INTO client_keys (client, epoch, public, sealed, made_at) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![client, epoch, public.as_ref(), sealed.as_deref(), now],
        )?;
        Ok(())
    }

    /// The keys that a client may hold, from one on, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn client_keys(&mut self, client: i64, from: i64) -> Result<Vec<ClientKey>> {
        let rows = self.query(
            "SELECT epoch, public, sealed FROM client_keys WHERE client = ?1 AND epoch >= ?2 \
             ORDER BY epoch",
            params![client, from],
        )?;
        rows.iter()
            .map(|row| {
                let epoch = row.int(0)?;
                let public = row.array_or_null::<32>(1)?;
                let place = Place::new(CLIENT, client, epoch);
                let key = match public {
                    None => {
                        let bytes = self.vault().open(&place, row.blob(2)?)?;
                        KeyOfClient::Id(IdKey::from_slice(&bytes).map_err(damaged)?)
                    }
                    Some(public) => {
                        let public = PublicKey::from_slice(&public).map_err(damaged)?;
                        let secret = match row.blob(2) {
                            Ok(sealed) => {
                                let bytes = self.vault().open(&place, sealed)?;
                                Some(Box::new(SigningKey::from_slice(&bytes).map_err(damaged)?))
                            }
                            Err(_) => None,
                        };
                        KeyOfClient::Public(public, secret)
                    }
                };
                Ok(ClientKey { epoch, key })
            })
            .collect()
    }

    /// Forgets the keys before one that the client confirmed, but for public keys that others
    /// still hold, and its private half: it is the client's alone now.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn forget_client_keys(&mut self, client: i64, before: i64) -> Result<()> {
        self.execute(
            "DELETE FROM client_keys WHERE client = ?1 AND epoch < ?2 AND NOT EXISTS \
             (SELECT client FROM holdings WHERE kind = 2 AND subject = ?1 AND wish = epoch)",
            params![client, before],
        )?;
        self.execute(
            "UPDATE client_keys SET sealed = NULL WHERE client = ?1 AND epoch <= ?2 \
             AND public IS NOT NULL AND sealed IS NOT NULL",
            params![client, before],
        )?;
        Ok(())
    }

    /// Puts a key pair in the place of C2's first one, which no client knows yet.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn replace_c2_key(&mut self, secret: &C2SecretKey, now: Millis) -> Result<()> {
        let epoch = self.c2_epoch()?;
        let sealed = self.vault().seal(&Place::new(C2, epoch, 0), secret.expose())?;
        let public = secret.public();
        self.execute(
            "UPDATE c2_keys SET public = ?2, sealed = ?3, made_at = ?4 WHERE epoch = ?1",
            params![epoch, public.as_bytes(), sealed.as_slice(), now],
        )?;
        Ok(())
    }

    /// Another key pair for C2.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn new_c2_key(&mut self, now: Millis) -> Result<i64> {
        let epoch = self.c2_epoch()? + 1;
        insert_c2_key(self.connection, &self.store.vault, epoch, now)?;
        Ok(epoch)
    }

    /// The number of C2's newest key pair; 0 in SK mode.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn c2_epoch(&mut self) -> Result<i64> {
        self.count("SELECT COALESCE(MAX(epoch), 0) FROM c2_keys", &[])
    }

    /// C2's key pairs that some client may still know, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn c2_keys(&mut self) -> Result<Vec<C2Key>> {
        let rows = self.query("SELECT epoch, sealed FROM c2_keys ORDER BY epoch", &[])?;
        rows.iter()
            .map(|row| {
                let epoch = row.int(0)?;
                let bytes = self.vault().open(&Place::new(C2, epoch, 0), row.blob(1)?)?;
                let secret = C2SecretKey::from_slice(&bytes).map_err(damaged)?;
                let public = secret.public();
                Ok(C2Key { epoch, secret, public })
            })
            .collect()
    }

    /// Forgets C2's key pairs that every client has replaced.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn forget_c2_keys(&mut self) -> Result<u64> {
        self.execute(
            "DELETE FROM c2_keys WHERE epoch < (SELECT MAX(epoch) FROM c2_keys) AND epoch < \
             COALESCE((SELECT MIN(c2_confirmed) FROM clients WHERE removed = 0), 0)",
            &[],
        )
    }
}
