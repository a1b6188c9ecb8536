// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 serve`: C2 itself.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory, ValueEnum};
use e4_c2::api::{Api, Settings, tls};
use e4_c2::domain::{BrokerAddress, Clock};
use e4_c2::reconcile::{Engine, Patience};
use e4_c2::schedule::Scheduler;
use e4_c2::service::Service;
use e4_c2::transport::{Broker, Commands, Login, Options, Qos, Tls, WINDOW};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::{self, DatabaseSettings, ModeName};
use super::failure::Failure;

/// Run C2: keep what each device should hold, and work until it does
///
/// The first start makes the directory, a key file, a database and a certificate, and says how to
/// get the first token. An MQTT broker listens on 127.0.0.1:1883; with --broker it uses yours. Ctrl-C or SIGTERM end it; nothing is lost by that,
/// nor by a crash.
///
/// Each setting is a flag, an environment variable or a line of the file that --config names, and
/// counts in this order. Secrets come from files.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[command(after_help = "\
Examples:
  e4 serve
  e4 serve --data /var/lib/e4 --broker mqtt.example.org:8883 --tls-ca ca.pem
  e4 serve --database postgresql://e4@db.example.org/e4 --database-password-file db.pass \\
           --database-ca ca.pem --broker 10.0.0.5:1883
  e4 serve --mode public-key --print-config > e4.toml
  e4 serve --config e4.toml")]
pub struct Arguments {
    #[command(flatten)]
    #[serde(flatten)]
    database: DatabaseSettings,
    /// Kind of keys, for a new database; one that exists keeps its own [default: symmetric]
    #[arg(long, env = "E4_MODE", value_enum)]
    mode: Option<ModeName>,
    /// MQTT broker: HOST:PORT, or `embedded` for one inside this process [default: embedded]
    #[arg(long, env = "E4_BROKER", value_name = "HOST:PORT|embedded")]
    broker: Option<String>,
    /// Where the embedded broker listens [default: 127.0.0.1:1883]
    #[arg(long, env = "E4_EMBEDDED_LISTEN", value_name = "ADDRESS:PORT")]
    embedded_listen: Option<SocketAddr>,
    /// Speak TLS with the broker, and trust this authority (PEM)
    #[arg(long, env = "E4_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate for the broker (PEM)
    #[arg(long, env = "E4_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, env = "E4_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// User name for the broker
    #[arg(long, env = "E4_USERNAME")]
    username: Option<String>,
    /// File whose first line is the password for the broker
    #[arg(long, env = "E4_MQTT_PASSWORD_FILE", value_name = "FILE")]
    mqtt_password_file: Option<PathBuf>,
    /// Where devices find the broker, for their QR codes: HOST:PORT, with mqtt:// or mqtts:// before
    /// it where TLS differs from C2's own [default: as C2]
    #[arg(long, env = "E4_DEVICE_BROKER", value_name = "HOST:PORT")]
    device_broker: Option<String>,
    /// MQTT client identifier; -in and -out are added [default: one of its own]
    #[arg(long, env = "E4_CLIENT_ID")]
    client_id: Option<String>,
    /// Quality of service of commands: 0, 1 or 2 [default: 2]
    #[arg(long, env = "E4_QOS", value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: Option<u8>,
    /// Commands on their way to the broker at once, up to 2048; Mosquitto at its defaults loses
    /// QoS 2 commands of a window beyond 20 [default: 20]
    #[arg(long, env = "E4_WINDOW", value_parser = clap::value_parser!(u16).range(1..=2048))]
    window: Option<u16>,
    /// Seconds between signs of life to the broker [default: 30]
    #[arg(long, env = "E4_KEEP_ALIVE", value_name = "SECONDS")]
    keep_alive: Option<u16>,
    /// Seconds before a command that is not confirmed is sent again; each time after waits three
    /// times as long [default: 10]
    #[arg(long, env = "E4_RETRY_FIRST", value_name = "SECONDS")]
    retry_first: Option<f64>,
    /// The longest such wait, in seconds [default: 21600]
    #[arg(long, env = "E4_RETRY_LONGEST", value_name = "SECONDS")]
    retry_longest: Option<f64>,
    /// Seconds that the broker may take for a command [default: 60]
    #[arg(long, env = "E4_LEASE", value_name = "SECONDS")]
    lease: Option<f64>,
    /// Where gRPC is served; HTTP/JSON as well [default: 127.0.0.1:5555]
    #[arg(long, env = "E4_GRPC_LISTEN", value_name = "ADDRESS:PORT")]
    grpc_listen: Option<SocketAddr>,
    /// Where HTTP/JSON is served; gRPC as well [default: 127.0.0.1:8888]
    #[arg(long, env = "E4_HTTP_LISTEN", value_name = "ADDRESS:PORT")]
    http_listen: Option<SocketAddr>,
    /// Where the automation interface of earlier servers speaks gRPC, and HTTP/JSON; their port was
    /// 5556 [default: nowhere]
    #[arg(long, env = "E4_AUTOMATION_GRPC_LISTEN", value_name = "ADDRESS:PORT")]
    automation_grpc_listen: Option<SocketAddr>,
    /// Where it speaks HTTP/JSON, and gRPC; their port was 8886 [default: nowhere]
    #[arg(long, env = "E4_AUTOMATION_HTTP_LISTEN", value_name = "ADDRESS:PORT")]
    automation_http_listen: Option<SocketAddr>,
    /// Certificate of the server (PEM) [default: one of its own, DIR/tls/cert.pem, signed by
    /// DIR/tls/ca.pem]
    #[arg(long, env = "E4_API_CERT", value_name = "FILE")]
    api_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, env = "E4_API_KEY", value_name = "FILE")]
    api_key: Option<PathBuf>,
    /// Authority of client certificates (PEM); `e4 token create --certificate` says what each may
    #[arg(long, env = "E4_API_CLIENT_CA", value_name = "FILE")]
    api_client_ca: Option<PathBuf>,
    /// Names and addresses for the certificate of its own, beside localhost
    #[arg(long, env = "E4_API_NAMES", value_name = "NAME,...", value_delimiter = ',')]
    api_names: Option<Vec<String>>,
    /// Serve without TLS, on the loopback only
    #[arg(long, env = "E4_NO_TLS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "true|false")]
    no_tls: Option<bool>,
    /// Let everybody do everything, on the loopback only: for old tools that have no token
    #[arg(long, env = "E4_NO_AUTH", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "true|false")]
    no_auth: Option<bool>,
    /// What to log: error, warn, info, debug [default: info]
    #[arg(long, env = "E4_LOG", value_name = "LEVEL")]
    log: Option<String>,
    /// How to log [default: text on a terminal, JSON otherwise]
    #[arg(long, env = "E4_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Print the settings as a file for --config, and end
    #[arg(long)]
    #[serde(skip)]
    print_config: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

const EMBEDDED: &str = "embedded";

/// Serves until a signal.
pub fn run(given: &Arguments) -> Result<(), Failure> {
    let known: Vec<String> = names();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let settings = config::load(given, given.database.config.as_deref(), &known)?;
    let settings: Arguments = settings.with_defaults();
    if given.print_config {
        print!("{}", settings.to_toml()?);
        return Ok(());
    }
    settings.log()?;
    let served = settings.serve();
    #[cfg(feature = "otel")]
    super::traces::end();
    served
}

/// The names that a file of settings may have.
fn names() -> Vec<String> {
    #[derive(clap::Parser)]
    struct Serve {
        #[command(flatten)]
        _arguments: Arguments,
    }
    let hidden = ["config", "print_config", "help", "version"];
    Serve::command()
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .filter(|name| !hidden.contains(&name.as_str()))
        .collect()
}

impl Arguments {
    fn with_defaults(mut self) -> Self {
        let patience = Patience::default();
        self.database = self.database.with_defaults();
        let broker = self.broker.get_or_insert_with(|| EMBEDDED.into());
        if broker == EMBEDDED {
            self.embedded_listen.get_or_insert(SocketAddr::from(([127, 0, 0, 1], 1883)));
        }
        self.qos.get_or_insert(2);
        self.window.get_or_insert(WINDOW);
        self.keep_alive.get_or_insert(30);
        self.retry_first.get_or_insert(patience.first.as_secs_f64());
        self.retry_longest.get_or_insert(patience.longest.as_secs_f64());
        self.lease.get_or_insert(patience.lease.as_secs_f64());
        self.grpc_listen.get_or_insert(SocketAddr::from(([127, 0, 0, 1], 5555)));
        self.http_listen.get_or_insert(SocketAddr::from(([127, 0, 0, 1], 8888)));
        self.log.get_or_insert_with(|| "info".into());
        self
    }

    fn to_toml(&self) -> Result<String, Failure> {
        let value = serde_json::to_value(self).map_err(|error| Failure::new(error.to_string()))?;
        let set = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let table: serde_json::Map<_, _> =
            set.map(|(name, value)| (name.replace('_', "-"), value.clone())).collect();
        toml::to_string(&table).map_err(|error| Failure::new(error.to_string()))
    }

    fn log(&self) -> Result<(), Failure> {
        let level = self.log.as_deref().unwrap_or("info");
        // The libraries underneath speak of what we say better ourselves.
        let filter =
            EnvFilter::try_new(format!("warn,mqtt5=error,rumqttc=error,e4={level},e4_c2={level}"))
                .map_err(|_| {
                    Failure::new(format!("{level:?} is not a level"))
                        .hint("error, warn, info or debug")
                })?;
        let text = match self.log_format {
            Some(format) => format == LogFormat::Text,
            None => std::io::stderr().is_terminal(),
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = if text {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colour).with_target(false).with_filter(filter).boxed()
        } else {
            lines.json().with_filter(filter).boxed()
        };
        let layers = tracing_subscriber::registry().with(lines);
        #[cfg(feature = "otel")]
        let layers = layers.with(super::traces::layer()?);
        layers.init();
        Ok(())
    }

    fn serve(&self) -> Result<(), Failure> {
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::new(format!("signals: {error}")))?;
        let devices = self.device_broker()?;
        let directory = self.database.directory();
        config::make_directory(&directory)?;
        let _lock = lock(&directory)?;
        let clock: Arc<dyn Clock> = config::clock().into();
        if std::env::var_os("E4_TEST_CLOCK").is_some() {
            warn!("E4_TEST_CLOCK is set: the clock is a test's");
        }
        let store = Arc::new(self.database.open(true, self.mode.map(e4::Mode::from))?);
        info!(database = store.describe(), mode = ?store.mode(), "database open");
        let (broker, host, port) = self.broker(&directory)?;
        let options = self.options(&host, port, &directory)?;
        let patience = self.patience()?;
        let qos = match self.qos {
            Some(0) => Qos::AtMostOnce,
            Some(1) => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        };
        let tls = self.tls_ca.is_some();
        let devices = devices.unwrap_or(BrokerAddress { host: host.clone(), port, tls });
        let service = Service::new(store.clone(), clock.clone()).with_device_broker(Some(devices));
        let engine = Engine::start(store, clock, patience, |events| {
            Commands::connect(&options, qos, events)
        })?;
        let scheduler = Scheduler::start(service.clone(), engine.events())?;
        let api = self.api(&directory, &service, &engine)?;
        info!(broker = format!("{host}:{port}"), "e4 serves; Ctrl-C ends it");
        let signal = signals.forever().next();
        info!(signal, "ending");
        // First what takes wishes, then what sends, then what carries it.
        drop(api);
        drop(scheduler);
        drop(engine);
        drop(broker);
        Ok(())
    }

    /// The network interface, and a word on who may call it.
    fn api(&self, directory: &Path, service: &Service, engine: &Engine) -> Result<Api, Failure> {
        let listen: Vec<SocketAddr> =
            [self.grpc_listen, self.http_listen].into_iter().flatten().collect();
        let automation: Vec<SocketAddr> =
            [self.automation_grpc_listen, self.automation_http_listen]
                .into_iter()
                .flatten()
                .collect();
        let loopback = listen.iter().chain(&automation).all(|address| address.ip().is_loopback());
        let (no_tls, no_auth) = (self.no_tls == Some(true), self.no_auth == Some(true));
        for (flag, given) in [("--no-tls", no_tls), ("--no-auth", no_auth)] {
            if given && !loopback {
                return Err(Failure::new(format!("{flag} is for the loopback alone"))
                    .hint("leave it out, or listen on 127.0.0.1"));
            }
        }
        let (tls, ca) = if no_tls { (None, None) } else { self.api_tls(directory, service)? };
        let settings = Settings { listen, tls, open: no_auth, automation };
        let api = Api::start(settings, service, engine).map_err(|error| {
            Failure::new(format!("the interface: {error}"))
                .hint("is another server there? give other addresses: --grpc-listen, --http-listen")
        })?;
        let scheme = if no_tls { "http" } else { "https" };
        let names = ["gRPC", "HTTP"].into_iter().chain(std::iter::repeat("automation"));
        for (what, address) in names.zip(api.addresses()) {
            info!("{what}: {scheme}://{address}");
        }
        if let Some(ca) = ca {
            info!("callers trust {}", ca.display());
        }
        if no_auth {
            warn!(
                "--no-auth: EVERYBODY ON THIS MACHINE MAY DO EVERYTHING, AND NOBODY IS ASKED WHO THEY ARE"
            );
        } else if !service.has_admin()? {
            let directory = directory.display();
            info!(
                "nobody may call yet; the first: e4 token create NAME --role admin --data {directory}"
            );
        }
        Ok(api)
    }

    fn api_tls(
        &self,
        directory: &Path,
        service: &Service,
    ) -> Result<(Option<Arc<rustls::ServerConfig>>, Option<PathBuf>), Failure> {
        let (files, ca) = match (&self.api_cert, &self.api_key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (certificate.clone(), key.clone());
                (tls::Files { certificate, key, client_ca: None }, None)
            }
            (None, None) => {
                let place = directory.join("tls");
                config::make_directory(&place)?;
                let names = self.api_names.clone().unwrap_or_default();
                let now = service.clock().now().div_euclid(1000);
                let write = |path: &Path, bytes: &[u8]| {
                    super::keygen::write(path, bytes, true).map_err(|error| error.to_string())
                };
                (tls::own(&place, &names, now, write)?, Some(place.join("ca.pem")))
            }
            _ => {
                return Err(Failure::new("the certificate of the server is incomplete")
                    .hint("give both --api-cert and --api-key, or neither"));
            }
        };
        let files = tls::Files { client_ca: self.api_client_ca.clone(), ..files };
        Ok((Some(Arc::new(tls::load(&files)?)), ca))
    }

    fn broker(&self, directory: &Path) -> Result<(Option<Broker>, String, u16), Failure> {
        let name = self.broker.as_deref().unwrap_or(EMBEDDED);
        if name != EMBEDDED {
            let (host, port) = super::host_port(name)?;
            return Ok((None, host, port));
        }
        let address = self.embedded_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1883)));
        if !address.ip().is_loopback() {
            warn!(%address, "the embedded broker takes everybody who reaches it, without a password");
        }
        let messages = directory.join("broker");
        config::make_directory(&messages)?;
        let broker = Broker::start_at(address, Some(&messages)).map_err(|error| {
            Failure::new(format!("the embedded broker: {error}"))
                .hint("is another broker there? use it: --broker 127.0.0.1:1883; or another --embedded-listen")
        })?;
        let at = broker.address();
        info!(address = %at, "the embedded broker listens");
        let host = if at.ip().is_unspecified() { "127.0.0.1".into() } else { at.ip().to_string() };
        Ok((Some(broker), host, at.port()))
    }

    /// Where devices find the broker, if that was said.
    fn device_broker(&self) -> Result<Option<BrokerAddress>, Failure> {
        let Some(text) = &self.device_broker else { return Ok(None) };
        BrokerAddress::parse(text, self.tls_ca.is_some()).map(Some).map_err(|_| {
            Failure::new(format!("device-broker: '{text}' is no address of a broker"))
                .hint("for example mqtt.example.org:1883 or mqtts://mqtt.example.org:8883")
        })
    }

    fn options(&self, host: &str, port: u16, directory: &Path) -> Result<Options, Failure> {
        let client_id = match &self.client_id {
            Some(id) => id.clone(),
            None => format!("e4-c2-{}", instance(directory)?),
        };
        let login = match (&self.username, &self.mqtt_password_file) {
            (Some(user), Some(file)) => {
                Some(Login { user: user.clone(), password: super::first_line(file)? })
            }
            (None, None) => None,
            _ => {
                return Err(Failure::new("the login for the broker is incomplete")
                    .hint("give both --username and --mqtt-password-file"));
            }
        };
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(Failure::new("the client certificate for the broker is incomplete")
                    .hint("give both --tls-cert and --tls-key"));
            }
        };
        let tls = match (&self.tls_ca, identity) {
            (Some(ca), identity) => Some(Tls { ca: ca.clone(), identity }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Failure::new("a client certificate is of use with TLS alone")
                    .hint("give the authority of the broker as well: --tls-ca"));
            }
        };
        let options = Options::new(host, port, &client_id);
        Ok(Options {
            login,
            tls,
            window: self.window.unwrap_or(WINDOW),
            keep_alive: self.keep_alive.unwrap_or(30),
            ..options
        })
    }

    fn patience(&self) -> Result<Patience, Failure> {
        let seconds = |name: &str, value: Option<f64>, default: Duration| match value {
            None => Ok(default),
            Some(value) => Duration::try_from_secs_f64(value)
                .map_err(|_| Failure::new(format!("{name}: {value} is no number of seconds"))),
        };
        let patience = Patience::default();
        Ok(Patience {
            first: seconds("retry-first", self.retry_first, patience.first)?,
            longest: seconds("retry-longest", self.retry_longest, patience.longest)?,
            lease: seconds("lease", self.lease, patience.lease)?,
            ..patience
        })
    }
}

/// One server for a directory.
pub fn lock(directory: &Path) -> Result<std::fs::File, Failure> {
    let path = directory.join("lock");
    let fail = |error: String| Failure::new(format!("{}: {error}", path.display()));
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| fail(error.to_string()))?;
    file.try_lock().map_err(|_| {
        Failure::new(format!("another e4 serve uses {}", directory.display()))
            .hint("several servers on one PostgreSQL database need a --data each")
    })?;
    Ok(file)
}

/// A name of this server's own, kept in its directory.
fn instance(directory: &Path) -> Result<String, Failure> {
    let path = directory.join("instance");
    if let Ok(name) = std::fs::read_to_string(&path) {
        return Ok(name.trim().to_string());
    }
    let id = e4::ClientId::random()?.to_string();
    let name: String = id.chars().take(12).collect();
    super::keygen::write(&path, name.as_bytes(), true)?;
    Ok(name)
}
