// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2, the command and control server of E4: it keeps what each client should hold, and works
//! until each client does.
//!
//! * [`api`]: gRPC and HTTP/JSON.
//! * [`domain`]: clients, topics, holdings, operations.
//! * [`import`]: the database of an earlier C2.
//! * [`metrics`]: figures for Prometheus.
//! * [`qr`]: QR codes.
//! * [`service`]: the operations over a database.
//! * [`reconcile`]: what does each client still need?
//! * [`store`]: SQLite and PostgreSQL; keys are sealed, records are chained.
//! * [`timing`]: how long things take.
//! * [`transport`]: MQTT, and a broker for the first minute.
//! * `web`: pages for operators.

pub mod api;
pub mod domain;
pub mod import;
pub mod metrics;
pub mod qr;
pub mod reconcile;
pub mod schedule;
pub mod service;
pub mod store;
pub mod timing;
pub mod transport;
mod web;
