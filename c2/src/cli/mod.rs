// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 …`

mod audit;
mod config;
mod demo;
mod device;
mod failure;
mod import;
mod keygen;
mod restore;
mod serve;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;

/// End-to-end encryption and key management for IoT messages
#[derive(Parser)]
#[command(
    name = "e4",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  e4 demo
  e4 serve --data e4-data
  e4 keygen --type symmetric --out pump-1.key
  e4 device --name pump-1 --key pump-1.key --broker 127.0.0.1:1883

`e4 help COMMAND` has examples for each command."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Watch two devices talk in secret through a broker, and a third one fail to listen
    Demo(demo::Arguments),
    /// Run C2: keep what each device should hold, and work until it does
    Serve(Box<serve::Arguments>),
    /// Look at who did what
    Audit(audit::AuditArguments),
    /// Seal the stored keys under another passphrase or key file
    Rekey(audit::RekeyArguments),
    /// Bring a backup into an empty database
    Restore(restore::Arguments),
    /// Bring over clients, topics and keys
    #[command(subcommand)]
    Import(Import),
    /// Make a random key or key pair in files
    Keygen(keygen::Arguments),
    /// Be a device: send, receive, take commands
    Device(Box<device::Arguments>),
    /// Print the completion script of a shell
    #[command(after_help = "Example:\n  e4 completions bash > /etc/bash_completion.d/e4")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum Import {
    /// Bring over the database of an earlier C2
    TeseraktDb(Box<import::TeseraktDb>),
}

/// Runs the command line: exit code 0 on success, 1 on failure, 2 on wrong usage.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Serve(arguments) => serve::run(&arguments),
        Task::Audit(arguments) => audit::audit(&arguments),
        Task::Rekey(arguments) => audit::rekey(&arguments),
        Task::Import(Import::TeseraktDb(arguments)) => import::run(&arguments),
        Task::Restore(arguments) => restore::run(&arguments),
        Task::Keygen(arguments) => keygen::run(&arguments),
        Task::Device(arguments) => device::run(&arguments),
        Task::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "e4", &mut std::io::stdout());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The first line of a file that holds a secret.
fn first_line(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_string())
}

/// Reads `HOST:PORT`.
fn host_port(text: &str) -> Result<(String, u16), Failure> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => {
            Ok((host.trim_matches(['[', ']']).to_string(), port))
        }
        _ => {
            Err(Failure::new(format!("'{text}' is not HOST:PORT"))
                .hint("for example 127.0.0.1:1883"))
        }
    }
}
