// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 health`

use clap::Args;
use e4_c2::api::pb;
use serde_json::json;

use super::super::failure::Failure;
use super::Common;
use super::output::{self, shown};

/// Ask whether C2, its database and its broker work
///
/// Exit code 0 means that all is well.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 health
  e4 health --json")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
}

/// Asks.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.common.connect()?;
    let health = server.call(async |c2| c2.health_check(pb::HealthCheckRequest {}).await)?;
    if arguments.common.json {
        output::json(&json!({ "code": health.code, "status": health.status }))?;
    }
    match health.code {
        0 if arguments.common.json => Ok(()),
        0 => output::line(&shown(&health.status)),
        _ => Err(Failure::new(shown(&health.status)).hint("the log of the server says more")),
    }
}
