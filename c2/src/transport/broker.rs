// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An MQTT broker inside the process, on the loopback, for the first minute and small sites.
//!
//! It is that of the crate `mqtt5`: it knows QoS 2 and persistent sessions, its dependencies are of
//! the same generation as the rest of the tree, and it needs no system library.

use std::net::SocketAddr;
use std::path::Path;

use mqtt5::broker::config::{AuthConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};

/// A running broker; it stops when dropped.
pub struct Broker {
    address: SocketAddr,
    // Dropping the runtime ends the broker's tasks.
    _runtime: tokio::runtime::Runtime,
}

impl Broker {
    /// Starts a broker on a free port of 127.0.0.1 that keeps everything in memory.
    ///
    /// # Errors
    /// What the system says of threads or sockets.
    pub fn start() -> Result<Self, String> {
        Self::start_at(([127, 0, 0, 1], 0).into(), None)
    }

    /// Starts a broker at an address, port 0 for a free one. With a directory, sessions and
    /// messages survive its end; the directory has to exist.
    ///
    /// # Errors
    /// What the system says of threads or sockets.
    pub fn start_at(address: SocketAddr, directory: Option<&Path>) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let storage = StorageConfig {
            backend: match directory {
                Some(_) => StorageBackend::File,
                None => StorageBackend::Memory,
            },
            base_dir: directory.map(Path::to_path_buf).unwrap_or_default(),
            enable_persistence: directory.is_some(),
            ..StorageConfig::default()
        };
        let config = BrokerConfig::new()
            .with_bind_address(address)
            .with_auth(AuthConfig { allow_anonymous: true, ..AuthConfig::default() })
            .with_storage(storage)
            .with_sys_topics_enabled(false);
        let broker = runtime.block_on(MqttBroker::with_config(config));
        let mut broker = broker.map_err(|error| error.to_string())?;
        let address = broker.local_addr().ok_or("the broker has no address")?;
        runtime.spawn(async move { broker.run().await });
        Ok(Self { address, _runtime: runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
