// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 events`

use std::time::Duration;

use clap::Args;
use e4_c2::api::pb;
use serde_json::json;
use tonic::Code;

use super::super::failure::Failure;
use super::output::{self, shown, time};
use super::server::Server;
use super::{Common, status};

/// How long nothing may come before the past is over.
const SILENCE: Duration = Duration::from_secs(2);

/// Print what happened, and with --follow what happens
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 events                       # the last 20 changes
  e4 events --follow
  e4 events --after 1200 --json | jq .")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Go on until Ctrl-C, over restarts of the server
    #[arg(long, short)]
    follow: bool,
    /// Begin after the change with this number
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = false)]
    after: Option<i64>,
    /// Begin with the last so many changes [default: 20, or 0 with --follow]
    #[arg(long, value_name = "NUMBER", conflicts_with = "after")]
    last: Option<u32>,
}

/// Prints events.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut server = arguments.common.connect()?;
    let newest = status::statistics(&server)?.audit_records;
    let last = arguments.last.unwrap_or(if arguments.follow { 0 } else { 20 });
    let mut seen = arguments.after.unwrap_or((newest - i64::from(last)).max(0));
    if !arguments.follow {
        return arguments.past(&server, seen, newest);
    }
    loop {
        let status = arguments.stream(&server, &mut seen)?;
        if !matches!(status.code(), Code::Unavailable | Code::Ok | Code::Unknown | Code::Internal) {
            return Err(server.failure(&status));
        }
        eprintln!("the connection ended; trying again");
        server = loop {
            std::thread::sleep(Duration::from_secs(2));
            if let Ok(server) = arguments.common.connect() {
                break server;
            }
        };
    }
}

impl Arguments {
    /// Everything up to what is the newest record now.
    fn past(&self, server: &Server, seen: i64, newest: i64) -> Result<(), Failure> {
        if seen >= newest {
            return Ok(());
        }
        let request = pb::SubscribeToEventStreamRequest { after: from(seen) };
        let mut events = server.call(async |c2| c2.subscribe_to_event_stream(request).await)?;
        loop {
            // Not every record is an event.
            let next = async { tokio::time::timeout(SILENCE, events.message()).await };
            match server.wait(next) {
                Ok(Ok(Some(event))) if event.number <= newest => {
                    let end = event.number == newest;
                    self.print(&event)?;
                    if end {
                        return Ok(());
                    }
                }
                Ok(Err(status)) => return Err(server.failure(&status)),
                Ok(Ok(_)) | Err(_) => return Ok(()),
            }
        }
    }

    /// Until the stream ends.
    fn stream(&self, server: &Server, seen: &mut i64) -> Result<tonic::Status, Failure> {
        let request = pb::SubscribeToEventStreamRequest { after: from(*seen) };
        let mut events =
            match server.attempt(async |c2| c2.subscribe_to_event_stream(request).await) {
                Ok(events) => events.into_inner(),
                Err(status) => return Ok(status),
            };
        loop {
            match server.wait(events.message()) {
                Ok(Some(event)) => {
                    *seen = event.number.max(*seen);
                    self.print(&event)?;
                }
                Ok(None) => return Ok(tonic::Status::ok("")),
                Err(status) => return Ok(status),
            }
        }
    }

    fn print(&self, event: &pb::Event) -> Result<(), Failure> {
        let at = time(event.timestamp.as_ref());
        let kind =
            pb::EventType::try_from(event.r#type).map_or("UNDEFINED", |kind| kind.as_str_name());
        if self.common.json {
            return output::json(&json!({
                "type": kind,
                "source": event.source,
                "target": event.target,
                "timestamp": at,
                "number": event.number,
                "actor": event.actor,
            }));
        }
        let mut text =
            format!("{}  {:<19}", at.unwrap_or_default(), kind.to_lowercase().replace('_', " "));
        for name in [&event.source, &event.target] {
            if !name.is_empty() {
                text += &format!("  {}", shown(name));
            }
        }
        if event.number > 0 {
            text += &format!("  (operation {} by {})", event.number, shown(&event.actor));
        }
        output::line(&text)
    }
}

/// What to ask for after a number: 0 would be what happens from now on, -1 is everything.
fn from(seen: i64) -> i64 {
    if seen == 0 { -1 } else { seen }
}
