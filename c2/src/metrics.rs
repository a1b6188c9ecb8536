// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Figures in the text that Prometheus reads. Nothing in them names a client or a topic: their
//! number does not grow with the fleet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::domain::{Error, Result};
use crate::reconcile::Figures;
use crate::service::Service;
use crate::timing::Timing;

/// How old figures over the whole database may be: who asks more often gets the same again.
const FRESH: Duration = Duration::from_secs(5);

/// The figures of a server.
pub struct Metrics {
    service: Service,
    figures: Arc<Figures>,
    last: Mutex<Option<(Instant, String)>>,
}

type Labels = [(&'static str, &'static str); 1];

impl Metrics {
    /// The figures of a service and its engine.
    pub fn new(service: Service, figures: Arc<Figures>) -> Self {
        Self { service, figures, last: Mutex::default() }
    }

    /// All figures, in the `OpenMetrics` text format (media type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`). It reads the whole database,
    /// at most once in five seconds.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn render(&self) -> Result<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, text)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(text.clone());
        }
        let mut registry = Registry::with_prefix("e4");
        self.engine(&mut registry);
        self.database(&mut registry);
        self.fleet(&mut registry)?;
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| Error::Store(error.to_string()))?;
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }

    fn engine(&self, registry: &mut Registry) {
        let figures = &*self.figures;
        for (name, help, value) in [
            ("commands_sent", "Commands handed to the MQTT client", &figures.sent),
            ("commands_handed", "Commands that the broker took", &figures.handed),
            (
                "commands_lost",
                "Commands of which nobody knows whether the broker took them",
                &figures.lost,
            ),
            ("commands_refused", "Commands that a client refused", &figures.refused),
            ("answers", "Answers of clients", &figures.answers),
            (
                "answers_foreign",
                "Answers that open under none of their client's keys",
                &figures.foreign,
            ),
            (
                "reconcile_failures",
                "Attempts of the reconciler that the database ended",
                &figures.failures,
            ),
        ] {
            counter(registry, name, help, value);
        }
        let connected = figures.connected.load(Ordering::Relaxed);
        let listening = figures.listening.load(Ordering::Relaxed);
        gauge(registry, "broker_connected", "Whether commands can be published", connected.into());
        gauge(registry, "broker_listening", "Whether answers can be heard", listening.into());
        timing(
            registry,
            "publish_seconds",
            "From handing a command to the MQTT client until the broker took it",
            &figures.publish,
        );
        timing(
            registry,
            "confirmation_lag_seconds",
            "From a new key until a client that held the one before confirmed it",
            &figures.lag,
        );
    }

    fn database(&self, registry: &mut Registry) {
        let figures = self.service.store().figures();
        timing(
            registry,
            "database_write_seconds",
            "Transactions that write, waiting for others included",
            &figures.writes,
        );
        timing(registry, "database_read_seconds", "Transactions that read", &figures.reads);
        counter(
            registry,
            "database_failures",
            "Transactions that the database did not do",
            &figures.failures,
        );
    }

    fn fleet(&self, registry: &mut Registry) -> Result<()> {
        let numbers = self.service.statistics()?;
        let behind = self.service.store().read(|tx| tx.behind())?;
        for (name, help, value) in [
            ("clients", "Clients", numbers.clients),
            ("topics", "Topics", numbers.topics),
            ("memberships", "Clients of topics", numbers.memberships),
            ("clients_due", "Clients that have something to be sent", numbers.due_clients),
            (
                "clients_troubled",
                "Clients that cannot be brought to what they should hold",
                numbers.troubled_clients,
            ),
            ("clients_answering", "Clients that ever answered", numbers.answering_clients),
            ("audit_records", "Number of the newest audit record", numbers.audit_records),
        ] {
            gauge(registry, name, help, value);
        }
        let counts = numbers.deliveries;
        family(
            registry,
            "topic_keys",
            "Topic keys that clients should hold, by how far they have come",
            "state",
            &[
                ("queued", counts.queued),
                ("handed", counts.handed),
                ("failed", counts.failed),
                ("confirmed", counts.confirmed),
            ],
        );
        family(
            registry,
            "topic_keys_behind",
            "Clients of topics, by how many keys behind the newest is the one that they confirmed",
            "behind",
            &[
                ("0", behind.none),
                ("1", behind.one),
                ("more", behind.more),
                ("unknown", behind.unknown),
            ],
        );
        Ok(())
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: &AtomicU64) {
    registry.register(name, help, ConstCounter::new(value.load(Ordering::Relaxed)));
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn timing(registry: &mut Registry, name: &str, help: &str, timing: &Timing) {
    registry.register(name, help, timing.0.clone());
}

fn family(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&'static str, i64)],
) {
    let family = Family::<Labels, Gauge>::default();
    for (word, value) in values {
        family.get_or_create(&[(label, *word)]).set(*value);
    }
    registry.register(name, help, family);
}
