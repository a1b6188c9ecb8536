// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2's side of the broker: commands go out, answers come in.
//!
//! Two connections: the session of the one that listens outlives C2, so that answers wait for it;
//! that of the one that publishes does not, because commands that were not taken are protected anew
//! instead of being sent late.

use std::sync::mpsc::Sender;

use e4::wire::answer::ANSWER_LEN;

use super::mqtt::{Event, Link, Options, Qos};
use crate::reconcile;

/// Where answers come from: those of all clients (PROTOCOL section 8).
const ANSWERS: &str = "e4/+/ack";

/// C2's connections to a broker.
pub struct Commands {
    out: Link,
    answers: Link,
    qos: Qos,
}

impl Commands {
    /// Starts to connect. The client identifiers are that of the options, with `-out` and `-in`.
    ///
    /// # Errors
    /// TLS files that cannot be read.
    pub fn connect(
        options: &Options,
        qos: Qos,
        events: &Sender<reconcile::Event>,
    ) -> Result<Self, String> {
        let out = Options {
            client_id: format!("{}-out", options.client_id),
            persistent: false,
            resend: false,
            ..options.clone()
        };
        let sender = events.clone();
        let out = Link::connect(&out, move |event| {
            let event = match event {
                Event::Connected => reconcile::Event::Connected,
                Event::Lost(why) => reconcile::Event::Lost(why),
                Event::Published(token) => reconcile::Event::Published(token.0),
                Event::Dropped(token) => reconcile::Event::Dropped(token.0),
                Event::Subscribed | Event::Message { .. } => return true,
            };
            sender.send(event).is_ok()
        })?;
        let listen = Options {
            client_id: format!("{}-in", options.client_id),
            persistent: true,
            ..options.clone()
        };
        let sender = events.clone();
        let answers = Link::connect(&listen, move |event| {
            let event = match event {
                // Anybody may publish there: nothing waits in memory that cannot be an answer.
                Event::Message { payload, .. } if payload.len() != ANSWER_LEN => return true,
                Event::Message { topic, payload } => reconcile::Event::Answer { topic, payload },
                Event::Subscribed => reconcile::Event::Listening(true),
                Event::Lost(_) => reconcile::Event::Listening(false),
                Event::Connected | Event::Published(_) | Event::Dropped(_) => return true,
            };
            sender.send(event).is_ok()
        })?;
        answers.subscribe(ANSWERS, Qos::AtLeastOnce)?;
        Ok(Self { out, answers, qos })
    }
}

impl reconcile::Publisher for Commands {
    fn publish(&self, topic: &str, payload: &[u8]) -> Result<u64, String> {
        self.out.publish(topic, self.qos, payload).map(|token| token.0)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.out.disconnect();
        self.answers.disconnect();
    }
}
