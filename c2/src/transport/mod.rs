// SPDX-License-Identifier: Apache-2.0 OR MIT
//! MQTT: a client, C2's side of a broker, and a broker for the first minute.

mod broker;
mod commands;
mod mqtt;

pub use broker::Broker;
pub use commands::Commands;
pub use mqtt::{Event, Link, Login, Options, Qos, Tls, Token, WINDOW};
