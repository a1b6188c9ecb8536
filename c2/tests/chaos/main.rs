// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storms: real servers, a real broker, real clients, and everything that may break does. When it is
//! over, everybody who is awake holds exactly what C2 wants.
//!
//! `cargo xtask chaos --help`; without arguments, as in `cargo test`, a short storm in each mode.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod device;
mod operator;
mod plan;
mod proxy;
mod server;
mod storm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use common::postgres;
use e4::Mode;

/// A storm over C2, its broker and its devices
///
/// The history of operations and faults is a function of the seed: the same seed and sizes give the
/// same one again.
#[derive(Parser)]
#[command(name = "chaos", bin_name = "cargo xtask chaos")]
struct Arguments {
    /// Devices
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// Length of the storm, in minutes
    #[arg(long, default_value_t = 1.0 / 3.0)]
    minutes: f64,
    /// Which history [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Where C2 keeps its data [default: SQLite, and PostgreSQL where it is installed]
    #[arg(long, value_enum)]
    database: Option<DatabaseName>,
    /// Kind of keys
    #[arg(long, value_enum, default_value = "both")]
    mode: ModeName,
    /// Keep logs and databases in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum DatabaseName {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ModeName {
    Symmetric,
    PublicKey,
    Both,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [first, rest @ ..] if first == "operator" => {
            operator::run(rest);
            return ExitCode::SUCCESS;
        }
        // What other tests understand: this one is named `chaos`.
        [first, ..] if first == "--list" => {
            println!("chaos: test");
            return ExitCode::SUCCESS;
        }
        [first, ..] if !first.starts_with('-') && !"chaos".contains(first.as_str()) => {
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let known = ["--nocapture", "--quiet", "-q", "--exact", "chaos"];
    let own = arguments.iter().filter(|argument| !known.contains(&argument.as_str()));
    let arguments = Arguments::parse_from(std::iter::once(&"chaos".to_string()).chain(own));
    let failed = storms(&arguments);
    if failed == 0 {
        println!("test result: ok. {} passed", 1);
        return ExitCode::SUCCESS;
    }
    println!("test result: FAILED. {failed} storms");
    ExitCode::FAILURE
}

/// All storms that were asked for, at the same time; how many failed.
fn storms(arguments: &Arguments) -> usize {
    if common::Mosquitto::start().is_none() {
        return 0;
    }
    let postgres = match arguments.database {
        Some(DatabaseName::Sqlite) => None,
        Some(DatabaseName::Postgres) => {
            Some(postgres::server().expect("PostgreSQL is not installed"))
        }
        None => postgres::server(),
    };
    let seed = arguments.seed.unwrap_or_else(|| {
        let mut seed = [0; 4];
        getrandom::fill(&mut seed).unwrap();
        u32::from_le_bytes(seed).into()
    });
    let mut databases = vec![None];
    databases.extend(postgres.map(Some));
    if arguments.database == Some(DatabaseName::Postgres) {
        databases.remove(0);
    }
    let modes = match arguments.mode {
        ModeName::Symmetric => vec![Mode::Symmetric],
        ModeName::PublicKey => vec![Mode::PublicKey],
        ModeName::Both => vec![Mode::Symmetric, Mode::PublicKey],
    };
    std::thread::scope(|scope| {
        let mut storms = Vec::new();
        for (mode, name) in modes.iter().map(|mode| (*mode, mode_name(*mode))) {
            for database in &databases {
                let title = match database {
                    None => format!("{name}, sqlite"),
                    Some(_) => format!("{name}, postgres"),
                };
                let urls = database.map(|server| [server.database(), server.database()]);
                storms.push(scope.spawn(move || storm(arguments, seed, mode, &title, urls)));
            }
        }
        storms.into_iter().map(|storm| storm.join().unwrap_or(1)).sum()
    })
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Symmetric => "symmetric",
        Mode::PublicKey => "public-key",
    }
}

fn storm(
    arguments: &Arguments,
    seed: u64,
    mode: Mode,
    title: &str,
    databases: Option<[String; 2]>,
) -> usize {
    let (database, spare) = databases.map(|[one, other]| (one, other)).unzip();
    let size = plan::Size {
        mode,
        clients: arguments.clients.max(2),
        topics: (arguments.clients / 6).max(6),
        servers: if database.is_some() { 2 } else { 1 },
        length: Duration::from_secs_f64(arguments.minutes * 60.0),
    };
    let scratch = tempfile::tempdir().unwrap();
    let directory = match &arguments.keep {
        Some(place) => place.join(title.replace(", ", "-")),
        None => scratch.path().join("server"),
    };
    std::fs::create_dir_all(&directory).unwrap();
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { scratch.path() };
    let flash = tempfile::tempdir_in(place).unwrap();
    let site = storm::Site { database, spare, directory: &directory, flash: flash.path() };
    let replay = format!(
        "cargo xtask chaos --clients {} --minutes {} --seed {seed} --mode {} --database {}",
        size.clients,
        arguments.minutes,
        mode_name(mode),
        if size.servers == 1 { "sqlite" } else { "postgres" },
    );
    let begun = Instant::now();
    match storm::run(seed, &size, &site) {
        Ok(figures) => {
            println!("storm ({title}), seed {seed}: ok\n{figures}");
            0
        }
        Err(report) => {
            println!("storm ({title}), seed {seed}: FAILED after {:?}\n{report}", begun.elapsed());
            println!("  again: {replay}\n  logs: add --keep DIR\n");
            1
        }
    }
}
