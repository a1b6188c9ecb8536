// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Connections: TCP, TLS, HTTP/1 and HTTP/2, with limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::debug;

use super::gate::Peer;

/// Connections at once.
const CONNECTIONS: usize = 2048;
/// For the handshake of TLS, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For calls that are under way when the server ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Calls at once in one connection.
const STREAMS: u32 = 256;

/// Serves until `end` says so.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    mut end: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = Arc::new(GracefulShutdown::new());
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            _ = end.wait_for(|end| *end) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.wait_for(|end| *end) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: what is there ends at some time.
                debug!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            connection(stream, address, tls, router, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful) {
        let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Small answers are not held back.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        let peer = Peer { address, certificate: None };
        return speak(stream, peer, router, watcher).await;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate =
                certificates.and_then(|all| all.first()).map(|one| one.as_ref().into());
            speak(stream, Peer { address, certificate }, router, watcher).await;
        }
        Ok(Err(error)) => debug!(from = %address, "no TLS: {error}"),
        Err(_) => debug!(from = %address, "no TLS in time"),
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let address = peer.address;
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        debug!(from = %address, "connection: {error}");
    }
}
