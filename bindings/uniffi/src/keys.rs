// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The secret keys as objects; public keys are bytes (see `names`).

use std::sync::Arc;

use e4::crypto::{agree, password};
use e4::protect::{self, ProtectedCommand, Window};
use e4::{C2PublicKey, Command, Error, PublicKey, Timestamp};
use zeroize::Zeroizing;

use crate::failure::Result;
use crate::slot::Slot;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident { $($more:tt)* }) => {
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name(pub Slot<e4::$name>);

        impl $name {
            fn new(key: e4::$name) -> Arc<Self> {
                Arc::new(Self(Slot::new(key)))
            }
        }

        #[uniffi::export]
        impl $name {
            /// From the secret bytes.
            #[uniffi::constructor]
            pub fn from_bytes(bytes: Vec<u8>) -> Result<Arc<Self>> {
                Ok(Self::new(e4::$name::from_slice(&Zeroizing::new(bytes))?))
            }

            /// The secret bytes.
            pub fn expose(&self) -> Result<Vec<u8>> {
                self.0.with(|key| Ok(key.expose().to_vec()))
            }

            /// Whether two keys are the same, in constant time.
            pub fn is_same_as(&self, other: &Self) -> Result<bool> {
                let bytes = Zeroizing::new(other.expose()?);
                self.0.with(|key| Ok(same(key.expose().as_slice(), &bytes)))
            }

            /// Wipes the key.
            pub fn wipe(&self) {
                self.0.close();
            }
        }

        #[uniffi::export]
        impl $name {
            $($more)*
        }
    };
}

/// Equal or not, in a time that tells nothing but the lengths.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = |all: u8, (one, other): (&u8, &u8)| std::hint::black_box(all | (one ^ other));
    one.len() == other.len() && one.iter().zip(other).fold(0, differ) == 0
}

secret! {
    /// The key that an SK client shares with C2.
    IdKey {
        /// Random.
        #[uniffi::constructor]
        pub fn random() -> Result<Arc<Self>> {
            Ok(Self::new(e4::IdKey::random()?))
        }

        /// As e4go and libe4 derive it.
        #[uniffi::constructor]
        pub fn from_password(password: String) -> Result<Arc<Self>> {
            Ok(Self::new(password::id_key_from_password(&Zeroizing::new(password))?))
        }
    }
}

secret! {
    /// The key of a topic.
    TopicKey {
        /// Random.
        #[uniffi::constructor]
        pub fn random() -> Result<Arc<Self>> {
            Ok(Self::new(e4::TopicKey::random()?))
        }

        /// Protects a message without a client (SK mode).
        pub fn protect(&self, now: u64, message: Vec<u8>) -> Result<Vec<u8>> {
            self.0.with(|key| {
                let mut out = vec![0; message.len() + e4::Mode::Symmetric.overhead()];
                protect::protect(key, Timestamp::from_secs(now), &message, &mut out)?;
                Ok(out)
            })
        }

        /// Opens a message without a client (SK mode).
        pub fn unprotect(
            &self,
            now: u64,
            protected: Vec<u8>,
            past: u32,
            future: u32,
        ) -> Result<Vec<u8>> {
            self.0.with(|key| {
                let window = Window { past, future };
                let mut out = vec![0; protected.len()];
                let now = Timestamp::from_secs(now);
                let length = protect::unprotect(key, now, &window, &protected, &mut out)?.len();
                out.truncate(length);
                Ok(out)
            })
        }
    }
}

secret! {
    /// The key that a PK client and C2 agree on.
    SharedKey {
        /// The client's side.
        #[uniffi::constructor]
        pub fn for_client(client: &SigningKey, c2: Vec<u8>) -> Result<Arc<Self>> {
            let c2 = C2PublicKey::from_slice(&c2)?;
            Ok(Self::new(client.0.with(|key| e4::SharedKey::for_client(key, &c2))?))
        }

        /// C2's side.
        #[uniffi::constructor]
        pub fn for_c2(c2: &C2SecretKey, client: Vec<u8>) -> Result<Arc<Self>> {
            let client = PublicKey::from_slice(&client)?;
            Ok(Self::new(c2.0.with(|key| e4::SharedKey::for_c2(key, &client))?))
        }
    }
}

secret! {
    /// C2's X25519 private key.
    C2SecretKey {
        /// Random.
        #[uniffi::constructor]
        pub fn random() -> Result<Arc<Self>> {
            Ok(Self::new(e4::C2SecretKey::random()?))
        }

        /// The public half.
        pub fn public_bytes(&self) -> Result<Vec<u8>> {
            self.0.with(|key| Ok(key.public().as_bytes().to_vec()))
        }
    }
}

secret! {
    /// The Ed25519 key pair of a PK client.
    SigningKey {
        /// From the 32-byte seed.
        #[uniffi::constructor]
        pub fn from_seed(seed: Vec<u8>) -> Result<Arc<Self>> {
            Ok(Self::new(e4::SigningKey::from_seed(&Zeroizing::new(seed))?))
        }

        /// Random.
        #[uniffi::constructor]
        pub fn random() -> Result<Arc<Self>> {
            Ok(Self::new(e4::SigningKey::random()?))
        }

        /// As e4go derives it.
        #[uniffi::constructor]
        pub fn from_password(password: String) -> Result<Arc<Self>> {
            Ok(Self::new(password::signing_key_from_password(&Zeroizing::new(password))?))
        }

        /// The public half.
        pub fn public_bytes(&self) -> Result<Vec<u8>> {
            self.0.with(|key| Ok(key.public().as_bytes().to_vec()))
        }

        /// The X25519 private key of this pair.
        pub fn to_x25519(&self) -> Result<Vec<u8>> {
            self.0.with(|key| Ok(agree::to_x25519_secret(key).to_vec()))
        }
    }
}

/// What commands are protected under.
#[derive(uniffi::Enum)]
pub enum CommandKey {
    /// Of an SK client.
    Id {
        /// The key.
        key: Arc<IdKey>,
    },
    /// Of a PK client.
    Shared {
        /// The key.
        key: Arc<SharedKey>,
    },
}

impl CommandKey {
    /// Protects a command.
    pub fn protect(&self, now: u64, command: &Command) -> Result<ProtectedCommand> {
        let now = Timestamp::from_secs(now);
        match self {
            Self::Id { key } => key.0.with(|key| protect::protect_command(key, now, command)),
            Self::Shared { key } => key.0.with(|key| protect::protect_command(key, now, command)),
        }
    }

    /// Opens an answer.
    pub fn open_answer(&self, protected: &[u8]) -> Result<(Timestamp, e4::Answer)> {
        match self {
            Self::Id { key } => key.0.with(|key| protect::open_answer(key, protected)),
            Self::Shared { key } => key.0.with(|key| protect::open_answer(key, protected)),
        }
    }
}

/// A copy of a key, which its constructor checks once more.
pub fn copy_of(key: &e4::IdKey) -> std::result::Result<e4::IdKey, Error> {
    e4::IdKey::from_slice(key.expose())
}

/// A copy of a key pair.
pub fn copy_of_pair(key: &e4::SigningKey) -> std::result::Result<e4::SigningKey, Error> {
    e4::SigningKey::from_slice(key.expose().as_slice())
}
