// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The operator: a process that does operations on the database beside the servers, and is killed
//! in the middle of them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use e4_c2::domain::{Caller, Clock, Error, ShiftedClock};
use e4_c2::service::Service;
use e4_c2::store::{Database, Postgres, Sqlite, Store, Unlock};

use crate::device::Tally;
use crate::plan::Act;

/// Where the database is and what opens it.
#[derive(Clone, Debug)]
pub struct Place {
    pub database: String,
    pub key: PathBuf,
}

impl Place {
    pub fn database(&self) -> Box<dyn Database> {
        if self.database.starts_with("postgresql://") {
            Box::new(Postgres::new(&self.database, None, None).unwrap())
        } else {
            Box::new(Sqlite::file(Path::new(&self.database)).unwrap())
        }
    }

    pub fn unlock(&self) -> Unlock {
        Unlock::KeyFile(std::fs::read(&self.key).unwrap().into())
    }

    pub fn open(&self, mode: Option<e4::Mode>, clock: Arc<dyn Clock>) -> Service {
        let store = Store::open(self.database(), &self.unlock(), mode, clock.now()).unwrap();
        Service::new(Arc::new(store), clock)
    }
}

/// The process: lines of acts in, lines of results out.
pub fn run(arguments: &[String]) {
    let [database, key, clock] = arguments else { panic!("{arguments:?}") };
    let place = Place { database: database.clone(), key: key.into() };
    let service = place.open(None, Arc::new(ShiftedClock(clock.into())));
    let who = Caller::new("operator", "storm");
    for line in std::io::stdin().lock().lines() {
        let acts: Vec<Act> = serde_json::from_str(&line.unwrap()).unwrap();
        let operations: Vec<_> = acts.iter().map(Act::operation).collect();
        let results: Vec<String> = match service.apply_all(&who, &operations) {
            Ok(results) => results.iter().map(|result| word(result.as_ref().err())).collect(),
            Err(error) => vec![word(Some(&error)); acts.len()],
        };
        println!("{}", serde_json::to_string(&results).unwrap());
    }
}

fn word(error: Option<&Error>) -> String {
    match error {
        None => "done".into(),
        // What the storm removed elsewhere in the meantime.
        Some(Error::NotFound { .. }) => "not found".into(),
        Some(error) => error.to_string(),
    }
}

/// The other end: a thread that keeps a process at work and starts it again when it is killed.
pub struct Operator {
    jobs: Option<Sender<Vec<Act>>>,
    child: Arc<Mutex<Option<Child>>>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Operator {
    pub fn start(place: &Place, clock: &Path, tally: &Arc<Tally>) -> Self {
        let (jobs, inbox) = channel();
        let child = Arc::default();
        let worker = Worker {
            place: place.clone(),
            clock: clock.to_path_buf(),
            tally: tally.clone(),
            child: Arc::clone(&child),
            pipes: None,
        };
        let thread = std::thread::spawn(move || worker.run(&inbox));
        Self { jobs: Some(jobs), child, thread: Some(thread) }
    }

    pub fn operate(&self, acts: Vec<Act>) {
        self.jobs.as_ref().unwrap().send(acts).unwrap();
    }

    pub fn kill(&self) {
        if let Some(child) = self.child.lock().unwrap().as_mut() {
            let _ = child.kill();
        }
    }

    /// Waits until everything is done; what went wrong.
    pub fn finish(mut self) -> Vec<String> {
        self.jobs = None;
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Worker {
    place: Place,
    clock: PathBuf,
    tally: Arc<Tally>,
    child: Arc<Mutex<Option<Child>>>,
    pipes: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Vec<Act>>) -> Vec<String> {
        let mut wrong = Vec::new();
        for acts in inbox {
            let line = serde_json::to_string(&acts).unwrap();
            let results = loop {
                match self.ask(&line) {
                    Some(results) => break results,
                    // Killed: nobody knows whether it was done. Twice does no harm.
                    None => {
                        self.tally.add("operator killed at work or before", 1);
                        self.restart();
                    }
                }
            };
            for (act, result) in acts.iter().zip(results) {
                match result.as_str() {
                    "done" => self.tally.add("operations", 1),
                    "not found" => self.tally.add("operations without object", 1),
                    _ => wrong.push(format!("{act:?}: {result}")),
                }
            }
        }
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        wrong
    }

    fn ask(&mut self, line: &str) -> Option<Vec<String>> {
        let (stdin, stdout) = self.pipes.as_mut()?;
        writeln!(stdin, "{line}").ok()?;
        let mut answer = String::new();
        stdout.read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    fn restart(&mut self) {
        let mut place = self.child.lock().unwrap();
        if let Some(mut child) = place.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["operator", &self.place.database]).arg(&self.place.key).arg(&self.clock);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        self.pipes = Some((child.stdin.take().unwrap(), stdout));
        *place = Some(child);
    }
}
