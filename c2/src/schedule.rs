// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Has the service do what is due by the clock.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::error;

use crate::reconcile::Event;
use crate::service::Service;

/// The longest sleep: others may change something, and the clock may be set.
const LONGEST: Duration = Duration::from_secs(1);
/// The shortest.
const SHORTEST: Duration = Duration::from_millis(20);

/// A thread that looks at the clock; it ends when dropped.
pub struct Scheduler {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scheduler {
    /// Starts it. The reconciler is told when something was changed.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn start(service: Service, engine: Sender<Event>) -> Result<Self, String> {
        let (end, ends) = channel();
        let work = move || {
            let mut seen = 0;
            loop {
                let wait = match service.advance(&mut seen) {
                    Ok(done) => {
                        if done.changed {
                            // It fails only at the end of the server.
                            let _ = engine.send(Event::Wake);
                        }
                        let now = service.clock().now();
                        let left = done.next_at.map(|at| at.saturating_sub(now).max(0));
                        let left = left.and_then(|left| u64::try_from(left).ok());
                        left.map_or(LONGEST, Duration::from_millis).clamp(SHORTEST, LONGEST)
                    }
                    Err(failure) => {
                        error!("schedule: {failure}");
                        LONGEST
                    }
                };
                match ends.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("schedule".into()).spawn(work);
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}
