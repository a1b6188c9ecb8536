// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PostgreSQL server of its own for a run of tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// Starts a server, and ends it when the tests end in whatever way: then nobody holds the other
/// end of its input. `$1` runs the programs, `$2` is their place, `$3` the data, `$4` the port.
/// A line in the input restarts the server at once, as after a crash.
const KEEPER: &str = r#"
as=$1 bin=$2 data=$3 port=$4
start() {
  $as "$bin/postgres" -D "$data/db" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off -c max_connections=200 -c shared_buffers=32MB \
    -c deadlock_timeout=200ms >>"$data/log" 2>&1 </dev/null &
  server=$!
}
trap '' INT TERM HUP
start
while read -r line; do
  kill -QUIT $server; wait $server; start
done
kill -QUIT $server; wait $server
rm -rf "$data"
"#;

/// A running server.
pub struct Server {
    port: u16,
    databases: AtomicU64,
    keeper: Mutex<Child>,
}

/// The server of this run, `None` with a word where PostgreSQL is not installed; with
/// E4_REQUIRE=all a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(Server::start).as_ref();
    if server.is_none() {
        super::not_installed("PostgreSQL");
    }
    server
}

fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> =
            versions.flatten().map(|entry| entry.path().join("bin")).collect();
        versions.sort();
        places.extend(versions.into_iter().rev());
    }
    // The server looks for its files beside itself.
    let place = places
        .iter()
        .find(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file()))?;
    place.join("postgres").canonicalize().ok()?.parent().map(Path::to_path_buf)
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).trim().into())
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Server {
    /// A server, `None` where PostgreSQL is not installed; it ends when dropped.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let data = tempfile::Builder::new().prefix("e4-postgres-").tempdir().unwrap().keep();
        // The server refuses to run as root.
        let user = match output("id", &["-u"]).as_str() {
            "0" => {
                ["postgres", "nobody"].into_iter().find(|user| !output("id", &[user]).is_empty())
            }
            _ => None,
        };
        let prefix = match user {
            Some(user) => {
                run(Command::new("chown").arg(user).arg(&data));
                let group = output("id", &["-g", user]);
                format!("setpriv --reuid={user} --regid={group} --clear-groups")
            }
            None => String::from("env"),
        };
        let mut words = prefix.split(' ');
        run(Command::new(words.next().unwrap())
            .args(words)
            .arg(programs.join("initdb"))
            .args(["-A", "trust", "-U", "e4", "-E", "UTF8", "--no-locale", "--no-sync", "-D"])
            .arg(data.join("db"))
            .current_dir(&data));
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", &prefix])
            .args([&programs, &data])
            .arg(port.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { port, databases: AtomicU64::new(0), keeper: Mutex::new(keeper) };
        server.client("postgres");
        Some(server)
    }

    /// A connection past the code under test.
    pub fn client(&self, database: &str) -> Client {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match Client::connect(&self.address(database), NoTls) {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < end, "PostgreSQL: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A new database, and its address. Where the server can, its names are ordered as in a
    /// dictionary: what relies on the order of bytes has to say so.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let mut client = self.client("postgres");
        let dictionary = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        if client.batch_execute(&format!("CREATE DATABASE {name} {dictionary}")).is_err() {
            client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        }
        self.address(&name)
    }

    fn address(&self, database: &str) -> String {
        format!("postgresql://e4@127.0.0.1:{}/{database}", self.port)
    }

    /// The server falls, and comes back.
    pub fn crash(&self) {
        let mut keeper = self.keeper.lock().unwrap();
        keeper.stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
    }
}
