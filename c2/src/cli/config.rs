// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Settings: flags before environment before the file of --config before defaults.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use e4::Mode;
use e4_c2::domain::{Clock, ShiftedClock, SystemClock};
use e4_c2::store::{Database, Postgres, Sqlite, Store, Unlock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::failure::Failure;

/// Where the database is and how it is opened.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseSettings {
    /// Directory of the server: database, key file, broker's messages
    #[arg(long, env = "E4_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// SQLite file, or a PostgreSQL address like postgresql://e4@db.example.org/e4 [default:
    /// DIR/c2.sqlite]
    #[arg(long, env = "E4_DATABASE", value_name = "FILE|URL")]
    pub database: Option<String>,
    /// File whose first line is the password for PostgreSQL
    #[arg(long, env = "E4_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
    /// Speak TLS with PostgreSQL, and trust this authority (PEM)
    #[arg(long, env = "E4_DATABASE_CA", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,
    /// Key file that the stored keys are sealed under, 32 random bytes; made at the first start
    /// [default: DIR/key]
    #[arg(long, env = "E4_KEY_FILE", value_name = "FILE", conflicts_with = "passphrase_file")]
    pub key_file: Option<PathBuf>,
    /// File whose first line is the passphrase that the stored keys are sealed under, instead
    #[arg(long, env = "E4_PASSPHRASE_FILE", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Settings in a file (TOML), with the names of the flags
    #[arg(long, env = "E4_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// The settings of a database, as a file has them.
pub const DATABASE: [&str; 6] =
    ["data", "database", "database_password_file", "database_ca", "key_file", "passphrase_file"];

/// Symmetric keys or public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeName {
    /// Devices and C2 share a key each
    Symmetric,
    /// Devices sign their messages, and agree on a key with C2
    PublicKey,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Symmetric => Mode::Symmetric,
            ModeName::PublicKey => Mode::PublicKey,
        }
    }
}

/// Fills in from the file of --config what flags and environment leave open.
pub fn load<A: Serialize + DeserializeOwned>(
    given: &A,
    config: Option<&Path>,
    known: &[&str],
) -> Result<A, Failure> {
    let internal = |error: serde_json::Error| Failure::new(format!("settings: {error}"));
    let mut settings = match serde_json::to_value(given).map_err(internal)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if let Some(path) = config {
        let fail = |error: String| Failure::new(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let file: Map<String, Value> =
            toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        for (name, value) in file {
            let name = name.replace('-', "_");
            if !known.contains(&name.as_str()) {
                let known: Vec<String> = known.iter().map(|name| name.replace('_', "-")).collect();
                return Err(fail(format!("there is no setting {name:?}"))
                    .hint(format!("settings are {}", known.join(", "))));
            }
            let open = |name: &str| settings.get(name).is_none_or(Value::is_null);
            // Either of the two stands for both.
            let unlocks = ["key_file", "passphrase_file"];
            let unlocked = unlocks.contains(&name.as_str())
                && unlocks.iter().any(|other| given_has(given, other));
            if open(&name) && !unlocked {
                settings.insert(name, value);
            }
        }
        return serde_json::from_value(Value::Object(settings))
            .map_err(|error| fail(error.to_string()));
    }
    serde_json::from_value(Value::Object(settings)).map_err(internal)
}

fn given_has<A: Serialize>(given: &A, name: &str) -> bool {
    serde_json::to_value(given).is_ok_and(|all| all.get(name).is_some_and(|value| !value.is_null()))
}

impl DatabaseSettings {
    /// Whether any of it was given: then the database itself is meant, not a server.
    pub fn is_given(&self) -> bool {
        let Self { data, database, key_file, passphrase_file, config, .. } = self;
        database.is_some()
            || [data, key_file, passphrase_file, config].iter().any(|place| place.is_some())
    }

    /// The directory of the server.
    pub fn directory(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| "e4-data".into())
    }

    fn place(&self) -> String {
        let file = || self.directory().join("c2.sqlite").display().to_string();
        self.database.clone().unwrap_or_else(file)
    }

    /// Where the key file is, if the database is not opened with a passphrase.
    pub fn key_file(&self) -> Option<PathBuf> {
        match (&self.key_file, &self.passphrase_file) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(self.directory().join("key")),
        }
    }

    /// Settings with every default filled in.
    pub fn with_defaults(mut self) -> Self {
        self.database = Some(self.place());
        self.key_file = self.key_file();
        self.data = Some(self.directory());
        self
    }

    /// Opens the database. One that is not there is made if that is wanted, for the mode that is
    /// given or for symmetric keys; one that is there keeps its own.
    pub fn open(&self, create: bool, mode: Option<Mode>) -> Result<Store, Failure> {
        let place = self.place();
        let remote = is_remote(&place);
        let fresh = !remote && !Path::new(&place).exists();
        if fresh && !create {
            return Err(Failure::new(format!("{place} does not exist"))
                .hint("give the directory of the server with --data, or start one: e4 serve"));
        }
        let unlock = self.unlock(create && (fresh || remote))?;
        let database = self.database(&place, remote)?;
        let known = database.describe();
        Store::open(database, &unlock, mode, clock().now()).map_err(|error| {
            let failure = Failure::new(format!("{known}: {error}"));
            match (error.hint(), &error) {
                (Some(hint), _) => failure.hint(hint),
                (None, e4_c2::domain::Error::Invalid { field: "mode", .. }) => {
                    failure.hint("leave --mode out, or give another --data or --database")
                }
                (None, e4_c2::domain::Error::Invalid { .. }) => {
                    failure.hint("give the one of this database: --key-file or --passphrase-file")
                }
                _ => failure,
            }
        })
    }

    /// Whether there is a database: at a server there may be one.
    pub fn exists(&self) -> bool {
        let place = self.place();
        is_remote(&place) || Path::new(&place).exists()
    }

    /// The database itself, whatever is in it, and its file if it is made for this.
    pub fn bare(&self) -> Result<(Box<dyn Database>, Option<PathBuf>), Failure> {
        let place = self.place();
        let remote = is_remote(&place);
        let made = (!remote && !Path::new(&place).exists()).then(|| PathBuf::from(&place));
        Ok((self.database(&place, remote)?, made))
    }

    /// Opens a database that is there, with what a file of settings says.
    pub fn open_existing(&self) -> Result<Store, Failure> {
        load(self, self.config.as_deref(), &DATABASE)?.open(false, None)
    }

    fn database(&self, place: &str, remote: bool) -> Result<Box<dyn Database>, Failure> {
        let fail = |fault| Failure::from(e4_c2::domain::Error::from(fault));
        if !remote {
            return Ok(Box::new(Sqlite::file(Path::new(place)).map_err(fail)?));
        }
        let password = match &self.database_password_file {
            Some(path) => Some(super::first_line(path)?),
            None => None,
        };
        let database = Postgres::new(place, self.database_ca.as_deref(), password.as_deref());
        Ok(Box::new(database.map_err(fail)?))
    }

    /// The passphrase or key file; a key file that is not there is made for a new database.
    pub fn unlock(&self, create: bool) -> Result<Unlock, Failure> {
        let Some(path) = self.key_file() else {
            let path = self.passphrase_file.clone().unwrap_or_default();
            return Ok(Unlock::Passphrase(Zeroizing::new(super::first_line(&path)?)));
        };
        if create && !path.exists() {
            make_key_file(&path)?;
        }
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Unlock::KeyFile(Zeroizing::new(bytes))),
            Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))
                .hint("the stored keys are sealed under this file: bring it back, or give its place with --key-file")),
        }
    }
}

/// Whether it is the address of a server, not a file.
pub fn is_remote(place: &str) -> bool {
    ["postgresql://", "postgres://"].iter().any(|start| place.starts_with(start))
        || place.contains("dbname=")
}

/// A key file of 32 random bytes, mode 0600.
pub fn make_key_file(path: &Path) -> Result<(), Failure> {
    let key = e4::IdKey::random()?;
    super::keygen::write(path, key.expose(), true)
}

/// The clock of the system. Tests move it with a file that E4_TEST_CLOCK names.
pub fn clock() -> Box<dyn Clock> {
    match std::env::var_os("E4_TEST_CLOCK") {
        Some(path) => Box::new(ShiftedClock(path.into())),
        None => Box::new(SystemClock),
    }
}

/// A directory for the owner alone.
pub fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
