// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PostgreSQL, over TLS where an authority is given.

use std::collections::HashMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::{Connection, Database, Fault, Param, Row, Value};

/// A database of a PostgreSQL server.
pub struct Postgres {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Postgres {
    /// A server, by `postgresql://user@host/database` or `host=… dbname=…`; with TLS if a file of
    /// authorities (PEM) is given. The password belongs into a file.
    ///
    /// # Errors
    /// The address or a file is not what it should be.
    pub fn new(
        address: &str,
        authorities: Option<&Path>,
        password: Option<&str>,
    ) -> Result<Self, Fault> {
        // The text may hold a password: it is not repeated.
        let mut config: Config = address
            .parse()
            .map_err(|_| Fault::Fatal("the address of the database is not understood".into()))?;
        config.application_name("e4");
        if let Some(password) = password {
            config.password(password);
        }
        let tls = authorities.map(tls).transpose()?;
        if tls.is_none() && config.get_ssl_mode() == SslMode::Require {
            let why = "the address of the database asks for TLS: name a file of authorities";
            return Err(Fault::Fatal(why.into()));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        config.keepalives_idle(Duration::from_secs(60));
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls })
    }
}

fn tls(authorities: &Path) -> Result<MakeRustlsConnect, Fault> {
    let fail = |error: String| Fault::Fatal(format!("{}: {error}", authorities.display()));
    // A provider that was installed before serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(PathBuf::from(authorities))
        .map_err(|error| fail(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("no certificate in it".into()));
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

impl Database for Postgres {
    fn connect(&self) -> Result<Box<dyn Connection>, Fault> {
        let client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        Ok(Box::new(Session { client: client.map_err(fault)?, statements: HashMap::new() }))
    }

    fn describe(&self) -> String {
        let hosts: Vec<String> =
            self.config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        format!("PostgreSQL, {} at {}", self.config.get_dbname().unwrap_or("?"), hosts.join(", "))
    }

    fn readers(&self) -> usize {
        4
    }
}

struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

impl Session {
    fn statement(&mut self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).map_err(fault)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Connection for Session {
    fn script(&mut self, sql: &str) -> Result<(), Fault> {
        // Names are compared by their bytes, as everywhere else.
        self.client.batch_execute(&sql.replace(" TEXT", " TEXT COLLATE \"C\"")).map_err(fault)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param]) -> Result<u64, Fault> {
        let statement = self.statement(sql)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        self.client.execute(&statement, &params).map_err(fault)
    }

    fn query(&mut self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        let rows = self.client.query(&statement, &params).map_err(fault)?;
        rows.iter().map(row).collect()
    }

    fn lock_schema(&mut self) -> Result<(), Fault> {
        // Any number will do that all of ours share: "e4".
        self.script("SELECT pg_advisory_xact_lock(25908)")
    }

    fn begin(&mut self, write: bool) -> Result<(), Fault> {
        self.script(if write {
            "BEGIN READ WRITE"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.script("COMMIT")
    }

    fn rollback(&mut self) {
        // It fails only where the connection has ended, and the transaction with it.
        let _ = self.client.batch_execute("ROLLBACK");
    }
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Param::Null => Ok(IsNull::Yes),
            Param::Int(value) => value.to_sql(kind, out),
            Param::Text(value) => value.to_sql(kind, out),
            Param::Blob(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

fn row(row: &postgres::Row) -> Result<Row, Fault> {
    let values = row.columns().iter().enumerate().map(|(column, about)| {
        let value = match *about.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(column).map(|value| value.map(Value::Int)),
            Type::TEXT => {
                row.try_get::<_, Option<String>>(column).map(|value| value.map(Value::Text))
            }
            _ => row.try_get::<_, Option<Vec<u8>>>(column).map(|value| value.map(Value::Blob)),
        };
        Ok(value.map_err(fault)?.unwrap_or(Value::Null))
    });
    values.collect::<Result<_, _>>().map(Row)
}

fn fault(error: postgres::Error) -> Fault {
    let code = error.code();
    let broken = error.source().is_some_and(|source| source.is::<std::io::Error>());
    let again = error.is_closed()
        || broken
        || [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
        ]
        .iter()
        .any(|known| code == Some(known));
    // What the server says is in the source; the outer text is its kind.
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if again { Fault::Again(text) } else { Fault::Fatal(text) }
}
