// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 backup`

use std::path::PathBuf;

use clap::Args;
use e4_c2::api::pb;
use serde_json::json;

use super::super::failure::Failure;
use super::Common;
use super::files::NewFile;
use super::output::{self, Progress};

/// Copy the database while the server works
///
/// The file is an SQLite database of one moment, mode 0600, whole or not there. Keys in it are
/// sealed as they are on the server: without its key file or passphrase it is of no use, so keep
/// a copy of that as well, somewhere else.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 backup c2-backup.sqlite
  e4 backup \"c2-$(date +%F).sqlite\" --json")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Where it goes
    file: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
}

/// Fetches it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut file = NewFile::reserve(&arguments.file, arguments.force)?;
    let server = arguments.common.connect()?;
    let mut pieces = server.call(async |c2| c2.backup(pb::BackupRequest {}).await)?;
    let progress = Progress::new();
    let mut size = 0;
    while let Some(piece) =
        server.wait(pieces.message()).map_err(|status| server.failure(&status))?
    {
        file.write(&piece.data)?;
        size += piece.data.len();
        progress.show(&format!("{} KB", size / 1000));
    }
    drop(progress);
    if size == 0 {
        return Err(Failure::new("the server sent nothing").hint("the log of the server says more"));
    }
    file.finish()?;
    let place = arguments.file.display().to_string();
    match arguments.common.json {
        true => output::json(&json!({ "file": place, "bytes": size })),
        false => output::line(&format!(
            "{place}: {size} bytes; it opens with the key file or passphrase of the server alone"
        )),
    }
}
