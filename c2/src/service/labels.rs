// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Labels of clients and topics, and selectors that go by them.

use super::Service;
use crate::domain::{Error, Labelled, Outcome, Result, Selector, What};
use crate::store::{Subject, Tx};

/// The longest name of a label, in bytes.
const NAME_MAX: usize = 64;
/// The longest value, in bytes.
const VALUE_MAX: usize = 255;
/// The longest pattern, in bytes.
const PATTERN_MAX: usize = 1024;
/// Labels of one client or topic.
const LABELS_MAX: usize = 64;

fn subject(tx: &mut Tx, of: &Labelled) -> Result<(i64, i64)> {
    Ok(match of {
        Labelled::Client(name) => (Subject::CLIENT, tx.client(name)?.row),
        Labelled::Topic(name) => (Subject::TOPIC, tx.topic(name)?.row),
    })
}

pub fn set(tx: &mut Tx, of: &Labelled, name: &str, value: &str) -> Result<Outcome> {
    let (kind, row) = subject(tx, of)?;
    let labels = tx.labels(kind, row)?;
    let created = !labels.iter().any(|(known, _)| known == name);
    if created && labels.len() >= LABELS_MAX {
        return Err(Error::invalid("name", format!("there are {LABELS_MAX} labels already")));
    }
    tx.set_label(kind, row, name, value)?;
    Ok(Outcome { created, ..Outcome::default() })
}

pub fn remove(tx: &mut Tx, of: &Labelled, name: &str) -> Result<Outcome> {
    let (kind, row) = subject(tx, of)?;
    if !tx.remove_label(kind, row, name)? {
        return Err(Error::NotFound { what: What::Label, name: name.into() });
    }
    Ok(Outcome::default())
}

fn text(field: &'static str, text: &str, max: usize) -> Result<()> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        let why = format!("has 1 to {max} bytes and no control characters");
        return Err(Error::invalid(field, why));
    }
    Ok(())
}

pub fn check(of: &Labelled, name: &str, value: Option<&str>) -> Result<()> {
    match of {
        Labelled::Client(client) => super::check_client("client", client)?,
        Labelled::Topic(topic) => super::check_topic(topic)?,
    }
    text("name", name, NAME_MAX)?;
    if name.contains('=') {
        return Err(Error::invalid("name", "has no ="));
    }
    value.map_or(Ok(()), |value| text("value", value, VALUE_MAX))
}

pub fn check_selector(field: &'static str, selector: &Selector) -> Result<()> {
    match selector {
        Selector::Any => Ok(()),
        Selector::Name(name) => text(field, name, super::TOPIC_MAX),
        Selector::Wildcard(pattern) => text(field, pattern, PATTERN_MAX),
        Selector::Label { name, value } => {
            text(field, name, NAME_MAX)?;
            text(field, value, VALUE_MAX)
        }
    }
}

impl Service {
    /// The labels of a client or a topic: names and values, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn labels(&self, of: &Labelled) -> Result<Vec<(String, String)>> {
        self.store.read(|tx| {
            let (kind, row) = subject(tx, of)?;
            tx.labels(kind, row)
        })
    }
}
