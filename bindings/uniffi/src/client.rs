// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client, behind a lock: many threads may use one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use e4::client::import::Imported;
use e4::client::memory::HeapMemory;
use e4::{C2PublicKey, Client as Core, Identity, Timestamp};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use crate::keys::{IdKey, SigningKey, copy_of, copy_of_pair};
use crate::message::{Item, Outcome, Settings, Unprotected};
use crate::names;
use crate::storage::{AnyStorage, Place};

/// A device.
#[derive(uniffi::Object)]
pub struct Client {
    inner: Mutex<Option<Inner>>,
    /// The thread that holds the lock, 0 for none: a storage that uses its own client is refused
    /// instead of waiting for itself.
    owner: AtomicUsize,
}

struct Inner {
    core: Core<AnyStorage>,
    storage: AnyStorage,
    settings: Settings,
}

struct Locked<'a> {
    guard: MutexGuard<'a, Option<Inner>>,
    owner: &'a AtomicUsize,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.owner.store(0, Ordering::Relaxed);
    }
}

impl Locked<'_> {
    fn inner(&mut self) -> Result<&mut Inner> {
        self.guard.as_mut().ok_or_else(|| Failure::parameter("the client is closed"))
    }
}

/// A number of this thread, not 0.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

fn memory(settings: Settings) -> HeapMemory {
    HeapMemory::with_replay_cache(settings.replay_cache.try_into().unwrap_or(usize::MAX))
}

fn time(now: Option<u64>) -> Option<Timestamp> {
    now.map(Timestamp::from_secs)
}

impl Client {
    fn lock(&self) -> Result<Locked<'_>> {
        let me = this_thread();
        if self.owner.load(Ordering::Relaxed) == me {
            return Err(Failure::parameter("a storage must not use the client that it serves"));
        }
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.owner.store(me, Ordering::Relaxed);
        Ok(Locked { guard, owner: &self.owner })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Core<AnyStorage>) -> e4::Result<R>) -> Result<R> {
        Ok(work(&mut self.lock()?.inner()?.core)?)
    }

    fn create(
        place: Place,
        settings: Settings,
        make: impl FnOnce(AnyStorage, HeapMemory, e4::Settings) -> e4::Result<Core<AnyStorage>>,
    ) -> Result<Arc<Self>> {
        let storage = AnyStorage::from(place);
        let core = make(storage.clone(), memory(settings), settings.into())?;
        let inner = Mutex::new(Some(Inner { core, storage, settings }));
        Ok(Arc::new(Self { inner, owner: AtomicUsize::new(0) }))
    }

    fn import(place: Place, settings: Settings, state: Imported) -> Result<Arc<Self>> {
        Self::create(place, settings, |mut storage, memory, settings| {
            Core::import(&mut storage, state)?;
            Core::open_with(storage, memory, settings)
        })
    }
}

#[uniffi::export]
impl Client {
    /// Stores a new SK client.
    #[uniffi::constructor]
    pub fn provision(
        id: Vec<u8>,
        key: &IdKey,
        place: Place,
        settings: Settings,
    ) -> Result<Arc<Self>> {
        let identity = Identity::symmetric(names::id(&id)?, key.0.with(copy_of)?);
        Self::create(place, settings, |storage, memory, settings| {
            Core::provision_with(storage, memory, settings, identity)
        })
    }

    /// Stores a new PK client.
    #[uniffi::constructor]
    pub fn provision_signing(
        id: Vec<u8>,
        key: &SigningKey,
        c2: Vec<u8>,
        place: Place,
        settings: Settings,
    ) -> Result<Arc<Self>> {
        let c2 = C2PublicKey::from_slice(&c2)?;
        let identity = Identity::public_key(names::id(&id)?, key.0.with(copy_of_pair)?, c2)?;
        Self::create(place, settings, |storage, memory, settings| {
            Core::provision_with(storage, memory, settings, identity)
        })
    }

    /// Stores a new client whose key is made from a password; with `c2` it is a PK client.
    #[uniffi::constructor]
    pub fn provision_from_password(
        name: String,
        password: String,
        c2: Option<Vec<u8>>,
        place: Place,
        settings: Settings,
    ) -> Result<Arc<Self>> {
        let password = Zeroizing::new(password);
        let identity = match c2 {
            None => Identity::symmetric_from_password(&name, &password)?,
            Some(c2) => {
                let c2 = C2PublicKey::from_slice(&c2)?;
                Identity::public_key_from_password(&name, &password, c2)?
            }
        };
        Self::create(place, settings, |storage, memory, settings| {
            Core::provision_with(storage, memory, settings, identity)
        })
    }

    /// Opens a stored client.
    #[uniffi::constructor]
    pub fn open(place: Place, settings: Settings) -> Result<Arc<Self>> {
        Self::create(place, settings, Core::open_with)
    }

    /// Stores the client of an e4go JSON file.
    #[uniffi::constructor]
    pub fn import_e4go(json: Vec<u8>, place: Place, settings: Settings) -> Result<Arc<Self>> {
        Self::import(place, settings, Imported::from_e4go(&Zeroizing::new(json))?)
    }

    /// Stores the client of a libe4 file.
    #[uniffi::constructor]
    pub fn import_libe4(file: Vec<u8>, place: Place, settings: Settings) -> Result<Arc<Self>> {
        Self::import(place, settings, Imported::from_libe4(&Zeroizing::new(file))?)
    }

    /// Protects a message.
    pub fn protect(&self, now: Option<u64>, topic: String, message: Vec<u8>) -> Result<Vec<u8>> {
        self.with(|core| core.protect_to_vec(time(now), &topic, &message))
    }

    /// Takes in what arrived.
    pub fn unprotect(
        &self,
        now: Option<u64>,
        topic: String,
        protected: Vec<u8>,
    ) -> Result<Unprotected> {
        self.with(|core| core.unprotect_to_vec(time(now), &topic, &protected)).map(Into::into)
    }

    /// Protects many messages; the first error counts.
    pub fn protect_many(&self, now: Option<u64>, items: Vec<Item>) -> Result<Vec<Vec<u8>>> {
        self.with(|core| {
            let protect = |item: &Item| core.protect_to_vec(time(now), &item.topic, &item.bytes);
            items.iter().map(protect).collect()
        })
    }

    /// Takes in many; each has its own outcome.
    pub fn unprotect_many(&self, now: Option<u64>, items: Vec<Item>) -> Result<Vec<Outcome>> {
        self.with(|core| {
            let each = items.iter().map(|item| {
                match core.unprotect_to_vec(time(now), &item.topic, &item.bytes) {
                    Ok(unprotected) => Outcome::Taken { unprotected: unprotected.into() },
                    Err(error) => {
                        Outcome::Refused { number: error.number(), text: error.text().into() }
                    }
                }
            });
            Ok(each.collect())
        })
    }

    /// The answer to the last command.
    pub fn answer(&self, now: Option<u64>) -> Result<Option<Vec<u8>>> {
        self.with(|core| Ok(core.answer(time(now))?.map(|answer| answer.to_vec())))
    }

    /// A hello.
    pub fn hello(&self, now: Option<u64>) -> Result<Vec<u8>> {
        self.with(|core| Ok(core.hello(time(now))?.to_vec()))
    }

    /// The digest of the keys.
    pub fn digest(&self) -> Result<Vec<u8>> {
        self.with(|core| Ok(core.digest()?.0.to_vec()))
    }

    /// Whether there is a key for a topic.
    pub fn has_topic(&self, topic: String) -> Result<bool> {
        self.with(|core| core.has_topic(&topic))
    }

    /// Erases the client from its storage and closes it. After an error the client is still there
    /// if the storage still holds it.
    pub fn forget(&self) -> Result<()> {
        let mut locked = self.lock()?;
        locked.inner()?;
        let Some(Inner { core, storage, settings }) = locked.guard.take() else { return Ok(()) };
        let Err(error) = core.forget() else { return Ok(()) };
        if let Ok(core) = Core::open_with(storage.clone(), memory(settings), settings.into()) {
            *locked.guard = Some(Inner { core, storage, settings });
        }
        Err(error.into())
    }

    /// Drops keys and storage.
    pub fn shut(&self) -> Result<()> {
        let inner = self.lock()?.guard.take();
        drop(inner);
        Ok(())
    }

    /// The id.
    pub fn id(&self) -> Result<Vec<u8>> {
        self.with(|core| Ok(core.id().as_bytes().to_vec()))
    }

    /// 1 is SK, 2 is PK.
    pub fn mode(&self) -> Result<u8> {
        self.with(|core| Ok(core.mode() as u8))
    }

    /// The public key of a PK client.
    pub fn public_key(&self) -> Result<Option<Vec<u8>>> {
        self.with(|core| Ok(core.public_key().map(|key| key.as_bytes().to_vec())))
    }

    /// The control topic.
    pub fn control_topic(&self) -> Result<String> {
        self.with(|core| Ok(core.control_topic().to_string()))
    }

    /// The answer topic.
    pub fn answer_topic(&self) -> Result<String> {
        self.with(|core| Ok(core.answer_topic().to_string()))
    }

    /// How many topic keys there are.
    pub fn topic_count(&self) -> Result<u32> {
        self.with(|core| Ok(core.topic_count()))
    }

    /// How many public keys of others there are.
    pub fn peer_count(&self) -> Result<u32> {
        self.with(|core| Ok(core.peer_count()))
    }

    /// What the client tolerates.
    pub fn settings(&self) -> Result<Settings> {
        Ok(self.lock()?.inner()?.settings)
    }

    /// Changes what the client tolerates, but not the number of messages it remembers.
    pub fn change_settings(&self, settings: Settings) -> Result<()> {
        let mut locked = self.lock()?;
        let inner = locked.inner()?;
        if settings.replay_cache != inner.settings.replay_cache {
            return Err(Failure::parameter("the replay cache is set at the start"));
        }
        *inner.core.settings_mut() = settings.into();
        inner.settings = settings;
        Ok(())
    }
}
