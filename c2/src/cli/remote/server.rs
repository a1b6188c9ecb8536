// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Calls of C2, one after the other, and what to do when one fails.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use e4_c2::api::pb::c2_client::C2Client;
use tokio::runtime::Runtime;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use super::super::failure::Failure;
use super::connection::Place;
use super::output::shown;

/// What the methods are called on.
pub type Stub = C2Client<InterceptedService<Channel, Bearer>>;

/// Adds the token to each call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A connection to C2.
pub struct Server {
    runtime: Runtime,
    stub: Stub,
    endpoint: String,
    known: bool,
}

impl Server {
    /// Connects.
    pub fn connect(place: &Place) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("runtime: {error}")))?;
        let endpoint = endpoint(place)?;
        let channel = runtime
            .block_on(endpoint.connect())
            .map_err(|error| unreachable(&place.endpoint, place.ca.as_deref(), &error))?;
        let token = match &place.token {
            Some(token) => {
                let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", **token).parse();
                let mut value = value.map_err(|_| {
                    Failure::new("the token has characters that no token has")
                        .hint("it is one line, as e4 token create printed it")
                })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let known = token.is_some() || place.identity.is_some();
        // What comes from C2 is no larger than what was asked for.
        let stub =
            C2Client::with_interceptor(channel, Bearer(token)).max_decoding_message_size(64 << 20);
        Ok(Self { runtime, stub, endpoint: place.endpoint.clone(), known })
    }

    /// Calls a method.
    pub fn call<T>(
        &self,
        act: impl AsyncFnOnce(&mut Stub) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        self.answer(act).map(Response::into_inner)
    }

    /// Calls a method, and gives the answer with its headers.
    pub fn answer<T>(
        &self,
        act: impl AsyncFnOnce(&mut Stub) -> Result<Response<T>, Status>,
    ) -> Result<Response<T>, Failure> {
        self.attempt(act).map_err(|status| self.failure(&status))
    }

    /// Calls a method whose failure says something.
    pub fn attempt<T>(
        &self,
        act: impl AsyncFnOnce(&mut Stub) -> Result<Response<T>, Status>,
    ) -> Result<Response<T>, Status> {
        let mut stub = self.stub.clone();
        self.runtime.block_on(act(&mut stub))
    }

    /// Waits for something else of this connection.
    pub fn wait<T>(&self, act: impl Future<Output = T>) -> T {
        self.runtime.block_on(act)
    }

    /// What a status means for a person.
    pub fn failure(&self, status: &Status) -> Failure {
        // Not the server said it but the connection, which broke.
        if let Some(broken) = status.source() {
            return Failure::new(format!("{}: {}", self.endpoint, cause(broken))).hint(
                "is the server still there? and does it speak TLS? https:// and http:// differ",
            );
        }
        explain(status.code(), status.message(), self.known)
    }
}

/// The number of the audit record of a change.
pub fn operation<T>(answer: &Response<T>) -> Option<i64> {
    answer.metadata().get("e4-operation")?.to_str().ok()?.parse().ok()
}

fn endpoint(place: &Place) -> Result<Endpoint, Failure> {
    let wrong = |error: tonic::transport::Error| {
        Failure::new(format!("{}: {}", place.endpoint, cause(&error)))
    };
    let endpoint = Endpoint::from_shared(place.endpoint.clone()).map_err(wrong)?;
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    if !place.is_secure() {
        return Ok(endpoint);
    }
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    let tls = ClientTlsConfig::new();
    let mut tls = match &place.ca {
        Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
        None => tls.with_native_roots(),
    };
    if let Some((certificate, key)) = &place.identity {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    endpoint.tls_config(tls).map_err(|error| {
        wrong(error).hint("certificates and keys are PEM files: --ca, --cert, --key")
    })
}

/// The last word of a chain of errors.
fn cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    shown(&last.to_string())
}

/// Why there is no connection.
fn unreachable(endpoint: &str, ca: Option<&Path>, error: &(dyn Error + 'static)) -> Failure {
    let mut link = Some(error);
    let mut hint = None;
    while let Some(error) = link {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return distrusted(endpoint, ca, tls);
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            // An error of TLS is wrapped in one of the connection, and is no source of it.
            let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(tls) = inner {
                return distrusted(endpoint, ca, tls);
            }
            hint = match io.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    Some("nobody listens there: start e4 serve, or give --endpoint")
                }
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                    Some("does the server speak TLS there? https:// and http:// differ")
                }
                _ => hint,
            };
        }
        link = error.source();
    }
    Failure::new(format!("{endpoint}: {}", cause(error)))
        .hint(hint.unwrap_or("is the address right, and is the server there? see --endpoint"))
}

fn distrusted(endpoint: &str, ca: Option<&Path>, error: &rustls::Error) -> Failure {
    let hint = match (error, ca) {
        (rustls::Error::InvalidMessage(_), _) => {
            "the server speaks no TLS there: give an address that begins with http://".into()
        }
        (rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName), _)
        | (
            rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext {
                ..
            }),
            _,
        ) => "the certificate is for another name: call the server by a name that it has".into(),
        (rustls::Error::InvalidCertificate(_), Some(path)) => format!(
            "{} is not the authority of this server: bring its tls/ca.pem, and give --ca",
            path.display()
        ),
        (rustls::Error::InvalidCertificate(_), None) => {
            "bring tls/ca.pem from the directory of the server, and give --ca".into()
        }
        _ => "is that the right server? see --endpoint and --ca".into(),
    };
    Failure::new(format!("{endpoint}: {}", shown(&error.to_string()))).hint(hint)
}

/// A status of gRPC as two lines.
pub fn explain(code: Code, message: &str, known: bool) -> Failure {
    let message = match message {
        "" => code.description().to_string(),
        message => shown(message),
    };
    let hint = match (code, known) {
        (Code::Unauthenticated, false) => "log in: e4 login",
        (Code::Unauthenticated, true) => {
            "the token is unknown, expired or revoked: make one (e4 token create), then e4 login"
        }
        (Code::PermissionDenied, _) => {
            "an administrator makes a token of the right role: e4 token create --help"
        }
        (Code::NotFound, _) if message.starts_with("client of") => {
            "see its clients with e4 topic clients"
        }
        (Code::NotFound, _) if message.starts_with("client") => {
            "see all with e4 client list; make one with e4 client create"
        }
        (Code::NotFound, _) if message.starts_with("topic") => {
            "see all with e4 topic list; make one with e4 topic create"
        }
        (Code::NotFound, _) if message.starts_with("token") => "see all with e4 token list",
        (Code::NotFound, _) if message.starts_with("link") => "see its links with e4 client links",
        (Code::AlreadyExists, _) if message.starts_with("client") => {
            "if its device was provisioned anew, replace the key here too: --replace"
        }
        (Code::AlreadyExists, _) if message.starts_with("token") => {
            "give another name, or revoke it first: e4 token revoke"
        }
        (Code::FailedPrecondition, _) if message.contains("mode") => {
            "the mode of a server is chosen at its first start: e4 serve --mode"
        }
        (Code::ResourceExhausted, _) => "too much at once: wait a minute",
        (Code::Unavailable, _) => "is the server still there? e4 health",
        (Code::DeadlineExceeded, _) => "the server took too long; whether it was done is unknown",
        (Code::Unimplemented, _) => "the server is older than this program",
        (Code::Internal | Code::Unknown | Code::DataLoss, _) => "the log of the server says more",
        _ => return Failure::new(message),
    };
    Failure::new(message).hint(hint)
}
