// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PostgreSQL server of its own for a test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{free_port, not_installed, wait_for_port};

pub struct PostgresServer {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl PostgresServer {
    /// `None`, with a word, where PostgreSQL is not installed; with E4_REQUIRE=all a failure.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            not_installed("postgresql");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        // It refuses to run as root.
        let user = is_root().then(|| owner(directory.path()));
        let data = directory.path().join("data");
        let as_user = |program: &str| {
            let program = programs.join(program);
            let mut command = match &user {
                Some(user) => {
                    let mut command = Command::new("setpriv");
                    command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
                    command.arg(program);
                    command
                }
                None => Command::new(program),
            };
            command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = as_user("initdb")
            .args(["-U", "e4", "--auth", "trust", "--no-sync", "-E", "UTF8", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        let port = free_port();
        let child = as_user("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "fsync=off", "-c", "max_connections=200"])
            .spawn()
            .unwrap();
        wait_for_port("postgresql", port);
        let server = Self { child, port, _directory: directory };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        for _ in 0..200 {
            if postgres::Client::connect(&self.url("postgres"), postgres::NoTls).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("postgresql takes no connections");
    }

    /// A new, empty database, and its address.
    pub fn database(&self, name: &str) -> String {
        let mut client = postgres::Client::connect(&self.url("postgres"), postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.url(name)
    }

    fn url(&self, name: &str) -> String {
        format!("postgresql://e4@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The immediate end: nothing of it is needed any more.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    places.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    places
        .into_iter()
        .rev()
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Gives a directory to a user who is not root, and names them.
fn owner(directory: &Path) -> String {
    let chown = |user: &&str| {
        Command::new("chown").arg(user).arg(directory).status().is_ok_and(|done| done.success())
    };
    ["postgres", "nobody"].into_iter().find(chown).unwrap().to_string()
}
