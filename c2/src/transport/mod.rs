// SPDX-License-Identifier: Apache-2.0 OR MIT
//! MQTT: a client, and a broker for the first minute.

mod broker;
mod mqtt;

pub use broker::Broker;
pub use mqtt::{Event, Link, Options, Qos, Tls};
