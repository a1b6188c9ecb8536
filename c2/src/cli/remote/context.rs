// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file of `e4 login`: servers by name, each with what a call needs.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::super::{config, keygen};

/// One server. There is no `Debug`: it holds the token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    pub endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// All of them.
pub struct Contexts {
    path: Option<PathBuf>,
    all: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; one that is not there has none.
    pub fn load() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self { path: None, all: BTreeMap::new() }) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Zeroizing::default(),
            Err(error) => return Err(Failure::new(format!("{}: {error}", path.display()))),
        };
        // The error of the parser quotes lines, and there are tokens in them.
        let all = toml::from_str(&text).map_err(|_| {
            Failure::new(format!("{} is not what e4 login wrote", path.display()))
                .hint("remove the file and log in again: e4 login")
        })?;
        Ok(Self { path: Some(path), all })
    }

    /// Where they are kept, for people.
    pub fn place(&self) -> String {
        self.path.as_ref().map_or("no file".into(), |path| path.display().to_string())
    }

    /// One of them.
    pub fn take(&mut self, name: &str) -> Option<Context> {
        self.all.remove(name)
    }

    /// Adds one, in place of one that had the name.
    pub fn put(&mut self, name: &str, context: Context) {
        self.all.insert(name.into(), context);
    }

    /// Writes the file, for the owner alone.
    pub fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Err(Failure::new("there is no directory to keep the context in")
                .hint("set HOME or XDG_CONFIG_HOME"));
        };
        if let Some(directory) = path.parent() {
            config::make_directory(directory)?;
        }
        let text = toml::to_string(&self.all).map(Zeroizing::new);
        let text = text.map_err(|_| Failure::new("the context cannot be written as TOML"))?;
        keygen::write(path, text.as_bytes(), true)
    }
}

fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let directory = match variable("XDG_CONFIG_HOME") {
        Some(directory) => PathBuf::from(directory),
        None => {
            PathBuf::from(variable("HOME").or_else(|| variable("USERPROFILE"))?).join(".config")
        }
    };
    Some(directory.join("e4").join("context.toml"))
}
