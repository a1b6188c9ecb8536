// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 …`

mod audit;
mod config;
mod demo;
mod device;
mod failure;
mod import;
mod keygen;
mod remote;
mod restore;
mod serve;
#[cfg(feature = "otel")]
mod traces;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;

/// The commands, in groups.
const HELP: &str = "\
{about}

{usage-heading} {usage}            (e4 help COMMAND has options and examples)

Begin
  demo                  Watch devices talk in secret, and one fail to listen
  serve                 Run C2, the key server
  login                 Remember a server and a token for the commands below
The fleet
  client, topic         Create, show, list, remove; give new keys
  attach, detach        Give clients the key of a topic, or take it
  status, events        How far each change has come; what happens
  protect, unprotect    Protect or open a message of a topic
  import, label         Bring in many clients at once; label them
  policy, campaign      Keys that rotate by themselves; how a run of that goes
The server
  health, c2-key, rekey Whether all is well; C2's own key; seal stored keys anew
  token, audit          Who may call; who did what
  backup, restore       Copy the database while it works; bring a copy back
Here
  keygen, device        Make keys in files; be a device
  completion            Print the completion script of a shell

Examples: e4 demo; e4 serve; e4 client create pump-1 --out pump-1.key";

/// End-to-end encryption and key management for IoT messages
#[derive(Parser)]
#[command(
    name = "e4",
    version,
    arg_required_else_help = true,
    help_template = HELP,
    override_usage = "e4 COMMAND"
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
    /// Remember a server, its authority and a token for the other commands
    Login(remote::login::Arguments),
    /// Add, show and remove devices; give them new keys
    Client(remote::clients::Arguments),
    /// Add, show and remove topics; give them new keys
    Topic(remote::topics::Arguments),
    /// Give clients the key of a topic
    Attach(remote::members::Attach),
    /// Take the key of a topic from clients
    Detach(remote::members::Detach),
    /// Label clients and topics
    Label(remote::labels::Arguments),
    /// Have keys rotate by themselves
    Policy(remote::policies::Arguments),
    /// Watch the runs of policies
    Campaign(remote::campaigns::Arguments),
    /// Show what is wanted, and how far that has come
    Status(remote::status::Arguments),
    /// Print what happened, and with --follow what happens
    Events(remote::events::Arguments),
    /// Protect a message under the key of a topic
    Protect(remote::messages::Protect),
    /// Open a message of a topic
    Unprotect(remote::messages::Unprotect),
    /// Bring in many clients at once, or the database of an earlier C2
    #[command(subcommand, after_help = IMPORT)]
    Import(Import),
    /// Ask whether C2, its database and its broker work
    Health(remote::health::Arguments),
    /// Show or change C2's own key
    C2Key(remote::c2_key::Arguments),
    /// Say who may call
    Token(remote::tokens::Arguments),
    /// Look at who did what
    Audit(audit::AuditArguments),
    /// Copy the database while the server works
    Backup(remote::backup::Arguments),
    /// Seal the stored keys under another passphrase or key file
    Rekey(audit::RekeyArguments),
    /// Bring a backup into an empty database
    Restore(restore::Arguments),
    /// Make a random key or key pair in files
    Keygen(keygen::Arguments),
    /// Be a device: send, receive, take commands
    Device(Box<device::Arguments>),
    /// Print the completion script of a shell
    #[command(
        visible_alias = "completion",
        after_help = "Example:\n  e4 completion bash > /etc/bash_completion.d/e4"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

const IMPORT: &str = "\
Examples:
  e4 import csv fleet.csv --out fleet-keys.csv
  e4 import teserakt-db c2.sqlite --old-passphrase-file old.pass --mode symmetric";

#[derive(Subcommand)]
enum Import {
    /// Create the clients of a CSV file
    Csv(Box<remote::import::Csv>),
    /// Bring over the database of an earlier C2
    TeseraktDb(Box<import::TeseraktDb>),
}

/// Runs the command line: exit code 0 on success, 1 on failure, 2 on wrong usage.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Serve(arguments) => serve::run(&arguments),
        Task::Login(arguments) => remote::login::run(&arguments),
        Task::Client(arguments) => remote::clients::run(&arguments),
        Task::Topic(arguments) => remote::topics::run(&arguments),
        Task::Attach(arguments) => remote::members::attach(&arguments),
        Task::Detach(arguments) => remote::members::detach(&arguments),
        Task::Label(arguments) => remote::labels::run(&arguments),
        Task::Policy(arguments) => remote::policies::run(&arguments),
        Task::Campaign(arguments) => remote::campaigns::run(&arguments),
        Task::Status(arguments) => remote::status::run(&arguments),
        Task::Events(arguments) => remote::events::run(&arguments),
        Task::Protect(arguments) => remote::messages::protect(&arguments),
        Task::Unprotect(arguments) => remote::messages::unprotect(&arguments),
        Task::Import(Import::Csv(arguments)) => arguments.run(),
        Task::Import(Import::TeseraktDb(arguments)) => import::run(&arguments),
        Task::Health(arguments) => remote::health::run(&arguments),
        Task::C2Key(arguments) => remote::c2_key::run(&arguments),
        Task::Token(arguments) => remote::tokens::run(&arguments),
        Task::Audit(arguments) => audit::audit(&arguments),
        Task::Backup(arguments) => remote::backup::run(&arguments),
        Task::Rekey(arguments) => audit::rekey(&arguments),
        Task::Restore(arguments) => restore::run(&arguments),
        Task::Keygen(arguments) => keygen::run(&arguments),
        Task::Device(arguments) => device::run(&arguments),
        Task::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "e4", &mut script);
            remote::output::say(&String::from_utf8_lossy(&script))
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
