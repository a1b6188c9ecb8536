// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 import csv`

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, ValueEnum};
use e4::crypto::hash::sha3_256;
use e4_c2::api::pb;
use serde_json::{Value, json};
use tonic::Code;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::Common;
use super::change::{self, CHUNK, Change, client};
use super::clients::{Given, from_hex, mode};
use super::files;
use super::list::{self, Part};
use super::output::{self, Progress, hex, shown};
use super::server::Server;

/// Passwords in one call: each costs the server a second.
const PASSWORDS: usize = 16;

/// Create the clients of a CSV file
///
/// The first line names the columns: `name`, and as needed `key` (hexadecimal digits or
/// base64), `password`, `topics` (separated by semicolons). A row with neither key nor
/// password gets a key that C2 makes; such keys go to the file of --out. Each row has a
/// result; wrong ones are named by line, and do not stop the others. The exit code is 1 if
/// any failed.
///
/// The same file again within a day changes nothing, and gives the same results, keys among
/// them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 import csv fleet.csv --out fleet-keys.csv
  e4 import csv fleet.csv --create-topics --json | jq '.[] | select(.error)'

fleet.csv:
  name,key,topics
  pump-1,6b65...32 bytes in hexadecimal digits...,plant/pressure;plant/valve
  pump-2,,plant/pressure")]
pub struct Csv {
    #[command(flatten)]
    common: Common,
    file: PathBuf,
    /// File for the keys that C2 makes (CSV: name, key), mode 0600
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file of --out
    #[arg(long, requires = "out")]
    force: bool,
    /// What becomes of a row whose client exists
    #[arg(long, value_enum, default_value = "fail", value_name = "WHAT")]
    existing: Existing,
    /// Create topics that do not exist yet
    #[arg(long)]
    create_topics: bool,
    /// Text of 1 to 100 bytes that stands for this import [default: made from the file]
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// It fails, and the client stays as it is
    Fail,
    /// The client keeps its key, and gets the topics
    Keep,
    /// The client gets the key: its device was provisioned anew
    Replace,
}

/// Where a client's key comes from.
enum Source {
    Key(Given),
    Password(Zeroizing<String>),
    Made,
}

struct Row {
    line: u64,
    name: String,
    topics: Vec<String>,
    /// What is wrong with the row itself, or where the key comes from.
    source: Result<Source, String>,
    done: Option<Done>,
    /// What went wrong on the server.
    error: Option<String>,
    operation: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Created,
    Replaced,
    Kept,
}

impl Row {
    fn error(&self) -> Option<&str> {
        self.source.as_ref().err().or(self.error.as_ref()).map(String::as_str)
    }
}

impl Csv {
    /// Imports.
    pub fn run(&self) -> Result<(), Failure> {
        let common = &self.common;
        let place = self.file.display().to_string();
        let bytes = std::fs::read(&self.file).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| Failure::new(format!("{place}: {error}")))?;
        let key = self.key(&bytes)?;
        let mut rows = read(&bytes).map_err(|failure| failure.at(&place))?;
        let made = |row: &&Row| matches!(row.source, Ok(Source::Made));
        if let (Some(row), None) = (rows.iter().find(made), &self.out) {
            return Err(Failure::new(format!(
                "{place}:{}: {} has no key: C2 makes one, and it has to go somewhere",
                row.line,
                shown(&row.name)
            ))
            .hint("give --out FILE"));
        }
        if let Some(path) = self.out.as_deref().filter(|path| path.exists() && !self.force) {
            return Err(files::exists(path));
        }
        let server = common.connect()?;
        let private = |row: &Row| matches!(&row.source, Ok(Source::Key(key)) if key.private);
        // For symmetric keys, a public half would be a secret that is none.
        if rows.iter().any(private) && mode(&server)? != pb::CryptoMode::CryptomodePubkey {
            for row in rows.iter_mut().filter(|row| private(row)) {
                row.source = Err("key: an Ed25519 private key; 32 bytes are needed".into());
            }
        }
        self.topics(&server, &rows, &place)?;
        let mut out = match &self.out {
            Some(path) => Some(Keys::open(path, self.force)?),
            None => None,
        };
        let again = self.clients(&server, &mut rows, &key, &mut out)?;
        self.members(&server, &mut rows, &key)?;
        report(&rows, common.json)?;
        if again {
            eprintln!("this import was made before: nothing has changed (see --idempotency-key)");
        }
        let wrong: Vec<&Row> = rows.iter().filter(|row| row.error().is_some()).collect();
        match wrong.first() {
            None => Ok(()),
            Some(row) => Err(Failure::new(format!(
                "{} of {} rows failed, the first is {place}:{}: {}",
                wrong.len(),
                rows.len(),
                row.line,
                shown(row.error().unwrap_or_default())
            ))
            .hint("mend those rows and import the file again with --existing keep")),
        }
    }

    /// What stands for this import: the same file and the same wishes are the same.
    fn key(&self, bytes: &[u8]) -> Result<String, Failure> {
        match &self.idempotency_key {
            Some(key) if (1..=100).contains(&key.len()) => Ok(key.clone()),
            Some(_) => Err(Failure::new("an idempotency key has 1 to 100 bytes")),
            None => {
                let existing: &[u8] = match self.existing {
                    Existing::Fail => b"fail",
                    Existing::Keep => b"keep",
                    Existing::Replace => b"replace",
                };
                let hash = sha3_256(&[b"e4 import csv\0", existing, b"\0", bytes]);
                Ok(format!("csv-{}", hex(&hash)))
            }
        }
    }

    /// Sees to it that the topics are there before anything is changed.
    fn topics(&self, server: &Server, rows: &[Row], place: &str) -> Result<(), Failure> {
        let good = rows.iter().filter(|row| row.source.is_ok());
        let mut wanted: HashMap<&str, u64> = HashMap::new();
        for row in good {
            for topic in &row.topics {
                wanted.entry(topic).or_insert(row.line);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let existing = list::topics(server, &Part::default())?;
        wanted.retain(|topic, _| !existing.iter().any(|one| one == topic));
        let mut missing: Vec<(u64, &str)> =
            wanted.into_iter().map(|(topic, line)| (line, topic)).collect();
        missing.sort_unstable();
        let Some((line, topic)) = missing.first() else { return Ok(()) };
        if !self.create_topics {
            let more = match missing.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            return Err(Failure::new(format!(
                "{place}:{line}: topic {} does not exist{more}; nothing was imported",
                shown(topic)
            ))
            .hint("create them all with --create-topics"));
        }
        let make = |(_, topic): &(u64, &str)| {
            Change::NewTopic(pb::NewTopicRequest { topic: (*topic).into() })
        };
        let changes: Vec<Change> = missing.iter().map(make).collect();
        for (chunk, missing) in changes.chunks(CHUNK).zip(missing.chunks(CHUNK)) {
            let (results, _) = change::batch(server, chunk.to_vec(), "")?;
            for (result, (line, _)) in results.iter().zip(missing) {
                if result.code != 0 {
                    let why = shown(&result.message);
                    return Err(Failure::new(format!("{place}:{line}: {why}"))
                        .hint("no client was imported"));
                }
            }
        }
        Ok(())
    }

    /// Creates the clients; whether all of that was done before.
    fn clients(
        &self,
        server: &Server,
        rows: &mut [Row],
        key: &str,
        out: &mut Option<Keys>,
    ) -> Result<bool, Failure> {
        let progress = Progress::new();
        let total = rows.len();
        let mut good: Vec<&mut Row> = rows.iter_mut().filter(|row| row.source.is_ok()).collect();
        let mut rest = good.as_mut_slice();
        let (mut number, mut done, mut again) = (0, 0, true);
        while !rest.is_empty() {
            let size = chunk(rest);
            let (now, later) = rest.split_at_mut(size);
            rest = later;
            let changes = now.iter().filter_map(|row| self.change(row)).collect();
            let (results, known) = change::batch(server, changes, &format!("{key}-c{number}"))?;
            again &= known;
            for (row, result) in now.iter_mut().zip(results) {
                let made = result.key.map(Zeroizing::new);
                match Code::from_i32(result.code) {
                    Code::Ok => {
                        row.operation = result.operation;
                        let created = if result.created { Done::Created } else { Done::Replaced };
                        row.done = Some(created);
                    }
                    Code::AlreadyExists if self.existing == Existing::Keep => {
                        row.done = Some(Done::Kept);
                    }
                    _ => row.error = Some(result.message),
                }
                if let (Some(made), Some(out)) = (made, out.as_mut()) {
                    out.add(&row.name, &made)?;
                }
            }
            // Before the next keys are made, these are safe.
            out.as_ref().map_or(Ok(()), Keys::sync)?;
            number += 1;
            done += size;
            progress.show(&format!("{done} of {total} clients"));
        }
        Ok(again && number > 0)
    }

    fn change(&self, row: &Row) -> Option<Change> {
        let mut request = pb::NewClientRequest {
            client: client(&row.name),
            must_be_new: self.existing != Existing::Replace,
            ..Default::default()
        };
        match row.source.as_ref().ok()? {
            Source::Key(key) => request.key = key.bytes.to_vec(),
            Source::Password(password) => request.password = password.to_string(),
            Source::Made => request.generate = true,
        }
        Some(Change::NewClient(request))
    }

    /// Gives the clients their topics.
    fn members(&self, server: &Server, rows: &mut [Row], key: &str) -> Result<(), Failure> {
        let progress = Progress::new();
        let mut places = Vec::new();
        let mut changes = Vec::new();
        for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.done.is_some()) {
            for topic in &row.topics {
                places.push(index);
                let request =
                    pb::NewTopicClientRequest { client: client(&row.name), topic: topic.clone() };
                changes.push(Change::NewTopicClient(request));
            }
        }
        let total = changes.len();
        for (number, (chunk, places)) in changes.chunks(CHUNK).zip(places.chunks(CHUNK)).enumerate()
        {
            let (results, _) = change::batch(server, chunk.to_vec(), &format!("{key}-t{number}"))?;
            for (result, index) in results.into_iter().zip(places) {
                let Some(row) = rows.get_mut(*index) else { continue };
                if result.code == 0 {
                    row.operation = row.operation.max(result.operation);
                } else if row.error.is_none() {
                    row.error = Some(result.message);
                }
            }
            progress
                .show(&format!("{} of {total} topics of clients", number * CHUNK + chunk.len()));
        }
        Ok(())
    }
}

/// So many of these rows go in one call.
fn chunk(rows: &[&mut Row]) -> usize {
    let mut passwords = 0;
    let mut fits = |row: &&mut Row| {
        passwords += usize::from(matches!(row.source, Ok(Source::Password(_))));
        passwords <= PASSWORDS
    };
    rows.iter().take(CHUNK).take_while(|row| fits(row)).count()
}

fn report(rows: &[Row], json: bool) -> Result<(), Failure> {
    let word = |row: &Row| match (row.done, row.error()) {
        (_, Some(_)) => "failed",
        (Some(Done::Created), _) => "created",
        (Some(Done::Replaced), _) => "replaced",
        (Some(Done::Kept), _) => "kept",
        (None, None) => "not done",
    };
    if json {
        let rows = rows.iter().map(|row| {
            json!({
                "line": row.line,
                "name": row.name,
                "result": word(row),
                "error": row.error(),
                "operation": (row.operation > 0).then_some(row.operation),
            })
        });
        return output::json(&Value::Array(rows.collect()));
    }
    let cells = rows.iter().map(|row| {
        let result = match row.error() {
            Some(error) => format!("FAILED: {error}"),
            None => word(row).into(),
        };
        vec![row.line.to_string(), row.name.clone(), result]
    });
    output::table(&["LINE", "NAME", "RESULT"], &cells.collect::<Vec<_>>())
}

/// The rows of a file. What is wrong with a row is in it; what is wrong with the file is an error.
fn read(bytes: &[u8]) -> Result<Vec<Row>, Wrong> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(bytes);
    let mut records = reader.byte_records();
    let broken = |error: csv::Error| Wrong(1, error.to_string());
    let head = records.next().ok_or_else(|| Wrong(1, "the file is empty".into()))?;
    let columns = Columns::read(&head.map_err(broken)?)?;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut rows = Vec::new();
    for record in records {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = columns.row(line, &record);
        if row.source.is_ok() {
            match seen.get(&row.name) {
                Some(first) => {
                    row.source = Err(format!("name: it is in line {first} already"));
                }
                None => drop(seen.insert(row.name.clone(), line)),
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

/// What is wrong with a file, and in which line.
struct Wrong(u64, String);

impl Wrong {
    fn at(self, place: &str) -> Failure {
        Failure::new(format!("{place}:{}: {}", self.0, self.1))
            .hint("the first line names the columns: name, key, password, topics")
    }
}

/// Where the columns are.
struct Columns {
    count: usize,
    name: usize,
    key: Option<usize>,
    password: Option<usize>,
    topics: Option<usize>,
}

impl Columns {
    fn read(head: &csv::ByteRecord) -> Result<Self, Wrong> {
        let mut places = HashMap::new();
        for (place, name) in head.iter().enumerate() {
            let name = String::from_utf8_lossy(name).trim().to_lowercase();
            if !["name", "key", "password", "topics"].contains(&name.as_str()) {
                return Err(Wrong(1, format!("there is no column {:?}", shown(&name))));
            }
            if places.insert(name.clone(), place).is_some() {
                return Err(Wrong(1, format!("the column {name:?} is there twice")));
            }
        }
        let place = |name: &str| places.get(name).copied();
        let name = place("name").ok_or_else(|| Wrong(1, "there is no column \"name\"".into()))?;
        Ok(Self {
            count: head.len(),
            name,
            key: place("key"),
            password: place("password"),
            topics: place("topics"),
        })
    }

    fn row(&self, line: u64, record: &csv::ByteRecord) -> Row {
        let cell = |place: Option<usize>| place.and_then(|place| record.get(place)).unwrap_or(b"");
        let text = |place: Option<usize>| std::str::from_utf8(cell(place)).map(str::trim);
        let name = String::from_utf8_lossy(cell(Some(self.name))).trim().to_string();
        let mut topics = Vec::new();
        let mut known = HashSet::new();
        for topic in text(self.topics).unwrap_or_default().split(';').map(str::trim) {
            if !topic.is_empty() && known.insert(topic) {
                topics.push(topic.to_string());
            }
        }
        let source = (|| {
            if record.len() != self.count {
                return Err(format!("{} columns, not {}", record.len(), self.count));
            }
            for (what, place) in
                [("name", Some(self.name)), ("password", self.password), ("topics", self.topics)]
            {
                text(place).map_err(|_| format!("{what}: no UTF-8"))?;
            }
            if !(1..=255).contains(&name.len()) {
                return Err("name: 1 to 255 bytes are needed".into());
            }
            let (key, password) = (cell(self.key).trim_ascii(), cell(self.password));
            match (key, password) {
                ([], []) => Ok(Source::Made),
                (key, []) => parse(key).map(Source::Key).ok_or_else(|| {
                    "key: neither hexadecimal digits nor base64 of a key of 32 bytes".into()
                }),
                ([], password) => match std::str::from_utf8(password) {
                    Ok(text) if text.len() >= 16 => Ok(Source::Password(text.to_string().into())),
                    _ => Err("password: 16 bytes at least are needed".into()),
                },
                _ => Err("there are both a key and a password".into()),
            }
        })();
        Row { line, name, topics, source, done: None, error: None, operation: 0 }
    }
}

fn parse(text: &[u8]) -> Option<Given> {
    let digits = std::str::from_utf8(text).ok().and_then(from_hex);
    let bytes = digits.or_else(|| BASE64.decode(text).ok().map(Zeroizing::new))?;
    Given::raw(&bytes)
}

/// Keys that C2 made, line by line.
struct Keys {
    file: File,
    place: String,
}

impl Keys {
    fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        let place = path.display().to_string();
        let fail = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => files::exists(path),
            _ => Failure::new(format!("{place}: {error}")),
        };
        if force && path.exists() {
            // A new file, so that it is the owner's alone.
            std::fs::remove_file(path).map_err(fail)?;
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(fail)?;
        file.write_all(b"name,key\n").map_err(fail)?;
        Ok(Self { file, place })
    }

    fn add(&mut self, name: &str, key: &[u8]) -> Result<(), Failure> {
        let mut line = Zeroizing::new(Vec::with_capacity(name.len() * 2 + 140));
        let quoted = name.contains([',', '"', '\n', '\r']);
        match quoted {
            true => line.extend(format!("\"{}\"", name.replace('"', "\"\"")).as_bytes()),
            false => line.extend(name.as_bytes()),
        }
        line.push(b',');
        line.extend(Zeroizing::new(hex(key)).as_bytes());
        line.push(b'\n');
        let done = self.file.write_all(&line);
        done.map_err(|error| Failure::new(format!("{}: {error}", self.place)))
    }

    fn sync(&self) -> Result<(), Failure> {
        let done = self.file.sync_all();
        done.map_err(|error| Failure::new(format!("{}: {error}", self.place)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, read};

    #[test]
    fn each_row_is_read_or_says_what_is_wrong() {
        let hex = "ab".repeat(32);
        let file = format!(
            "\u{feff}Name, key ,password,topics\n\
             a,{hex},,x; y;x\n\
             \"b\nc\",,,\n\
             d,,short,\n\
             e,,\"a long enough password\",\n\
             ,{hex},,\n\
             a,{hex},,\n\
             f,q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=,,\n\
             g,zz,,\n\
             h\n\
             i,{hex},a long enough password,\n"
        );
        let rows = read(file.as_bytes()).ok().unwrap();
        let said: Vec<String> = rows
            .iter()
            .map(|row| match &row.source {
                Ok(Source::Key(_)) => format!("{} key {:?}", row.line, row.topics),
                Ok(Source::Password(_)) => format!("{} password", row.line),
                Ok(Source::Made) => format!("{} made", row.line),
                Err(error) => format!("{} {error}", row.line),
            })
            .collect();
        assert_eq!(
            said,
            [
                "2 key [\"x\", \"y\"]",
                "3 made",
                "5 password: 16 bytes at least are needed",
                "6 password",
                "7 name: 1 to 255 bytes are needed",
                "8 name: it is in line 2 already",
                "9 key []",
                "10 key: neither hexadecimal digits nor base64 of a key of 32 bytes",
                "11 1 columns, not 4",
                "12 there are both a key and a password",
            ]
        );
        for wrong in ["", "key\n", "name,colour\n", "name,name\n"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
