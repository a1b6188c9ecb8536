// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2 in the story: the real one, on a database in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e4::{C2PublicKey, C2SecretKey, Mode, SigningKey, TopicKey};
use e4_c2::domain::{Caller, Clock, Credential, Error, Operation, State, SystemClock};
use e4_c2::reconcile::{Engine, Patience};
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Store, Unlock};
use e4_c2::transport::{Commands, Options, Qos};
use zeroize::Zeroizing;

use super::party::PATIENCE;

/// Operations, reconciler, and a connection of its own.
pub struct Server {
    service: Service,
    engine: Engine,
}

impl Server {
    /// Starts, and waits until it is connected.
    pub fn start(mode: Mode, (host, port): &(String, u16)) -> Result<Self, String> {
        let clock = Arc::new(SystemClock);
        // What is gone in a second needs no better key.
        let unlock = SigningKey::random().map_err(|error| error.to_string())?.expose().to_vec();
        let unlock = Unlock::KeyFile(Zeroizing::new(unlock));
        let database = Sqlite::memory().map_err(|fault| text(fault.into()))?;
        let store = Store::open(Box::new(database), &unlock, Some(mode), clock.now());
        let store = Arc::new(store.map_err(text)?);
        let service = Service::new(store.clone(), clock.clone());
        let name = format!("e4-demo-C2-{}-{mode:?}", std::process::id());
        let options = Options::new(host, *port, &name);
        let engine = Engine::start(store, clock, Patience::default(), |events| {
            Commands::connect(&options, Qos::ExactlyOnce, events)
        })?;
        let server = Self { service, engine };
        let figures = server.engine.figures().clone();
        server.wait("C2 is not connected", || {
            let ready = [&figures.connected, &figures.listening];
            Ok(ready.iter().all(|ready| ready.load(Ordering::Relaxed)))
        })?;
        Ok(server)
    }

    /// Has C2 know a client by its password.
    pub fn new_client(&self, (name, password): (&str, &str)) -> Result<(), String> {
        let credential = Credential::Password(Zeroizing::new(password.into()));
        self.apply(Operation::NewClient { client: name.into(), credential })
    }

    /// Does what the operator wishes.
    pub fn apply(&self, operation: Operation) -> Result<(), String> {
        let operator = Caller::new("operator", "demo");
        self.service.apply(&operator, &operation).map_err(text)?;
        self.engine.wake();
        Ok(())
    }

    /// Waits until a client has confirmed everything.
    pub fn wait_for(&self, client: &str) -> Result<(), String> {
        self.wait(&format!("{client} did not confirm"), || {
            let state = self.service.client_state(client).map_err(text)?;
            Ok(state.deliveries.iter().all(|delivery| delivery.state == State::Confirmed))
        })
    }

    fn wait(
        &self,
        what: &str,
        mut check: impl FnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while !check()? {
            if Instant::now() > end {
                return Err(format!("{what} within {} s", PATIENCE.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// C2's public key.
    pub fn public_key(&self) -> Result<C2PublicKey, String> {
        self.service.c2_public_key().map_err(text)
    }

    /// What a thief of C2's memory has: its key and that of a topic.
    pub fn secrets(&self, topic: &str) -> Result<(C2SecretKey, TopicKey), String> {
        let stolen = self.service.store().read(|tx| {
            let topic = tx.topic(topic)?;
            Ok((tx.c2_keys()?.pop(), tx.topic_keys(&topic)?.into_iter().next()))
        });
        match stolen.map_err(text)? {
            (Some(c2), Some((key, _))) => Ok((c2.secret, key)),
            _ => Err("C2 has no keys".into()),
        }
    }
}

fn text(error: Error) -> String {
    error.to_string()
}
