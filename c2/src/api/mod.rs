// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The network interface: gRPC, the same calls as HTTP/JSON, and a few pages beside them. Both
//! protocols are served at both addresses; there are two because existing tools expect two.

mod automation;
mod calls;
mod convert;
pub(crate) mod events;
pub(crate) mod gate;
mod http;
mod listen;
mod openapi;
pub mod pb;
pub mod policies;
mod routes;
mod status;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::metrics::Metrics;
use crate::reconcile::{Engine, Figures};
use crate::service::Service;
use crate::web::{self, Web};
use automation::Automation;
use calls::Calls;
use events::Events;
use gate::Gate;
use http::Gateway;
pub use routes::{Route, Routes};

/// The longest message or body, in bytes.
pub const MESSAGE_MAX: usize = 8 << 20;
/// Threads that wait for the database at once.
const BLOCKING: usize = 64;
/// How often the health service is told.
const HEALTH: std::time::Duration = std::time::Duration::from_secs(2);

/// Where and how to serve.
#[derive(Debug)]
pub struct Settings {
    /// Addresses; port 0 takes any.
    pub listen: Vec<SocketAddr>,
    /// TLS, or none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Everybody may everything.
    pub open: bool,
    /// Addresses of the automation interface of earlier servers.
    pub automation: Vec<SocketAddr>,
}

/// A running interface; it ends when dropped, after what is under way.
pub struct Api {
    addresses: Vec<SocketAddr>,
    end: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What pages see.
#[derive(Clone)]
struct Pages {
    service: Service,
    figures: Arc<Figures>,
    document: Arc<serde_json::Value>,
    metrics: Arc<Metrics>,
}

impl Api {
    /// Begins to serve.
    ///
    /// # Errors
    /// An address that is taken, by its name.
    pub fn start(settings: Settings, service: &Service, engine: &Engine) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("api")
            .max_blocking_threads(BLOCKING)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (end, ends) = watch::channel(false);
        let (router, automation) = {
            let _inside = runtime.enter();
            (router(&settings, service, engine, &ends)?, automation(&settings, service, engine)?)
        };
        let tls = settings.tls.map(TlsAcceptor::from);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        let main = settings.listen.into_iter().map(|address| (address, &router));
        let old = settings.automation.into_iter().map(|address| (address, &automation));
        for (address, router) in main.chain(old) {
            let listener = runtime
                .block_on(tokio::net::TcpListener::bind(address))
                .map_err(|error| format!("{address}: {error}"))?;
            addresses.push(listener.local_addr().map_err(|error| error.to_string())?);
            let serve = listen::serve(listener, tls.clone(), router.clone(), ends.clone());
            listeners.push(runtime.spawn(serve));
        }
        Ok(Self { addresses, end, listeners, runtime: Some(runtime) })
    }

    /// Where it listens: the interface, then that for automation.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // It fails only where nobody listens any more.
        let _ = self.end.send(true);
        if let Some(runtime) = self.runtime.take() {
            for listener in self.listeners.drain(..) {
                // A listener that panicked has said why.
                let _ = runtime.block_on(listener);
            }
            runtime.shutdown_background();
        }
    }
}

fn router(
    settings: &Settings,
    service: &Service,
    engine: &Engine,
    end: &watch::Receiver<bool>,
) -> Result<Router, String> {
    let routes = Arc::new(Routes::load()?);
    let gate = Arc::new(Gate::new(service.clone(), routes.clone(), settings.open));
    let figures = engine.figures().clone();
    let events = Events::follow(service.clone(), engine.notices(), end.clone());
    let described = Arc::new(openapi::document(&routes));
    let web = Web {
        document: described.clone(),
        service: service.clone(),
        figures: figures.clone(),
        engine: engine.events(),
        events: events.clone(),
        gate: gate.clone(),
        secure: settings.tls.is_some(),
        summaries: Arc::default(),
    };
    let calls = Calls::new(service.clone(), engine.events(), figures.clone(), events);
    let calls = pb::c2_server::C2Server::new(calls)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| error.to_string())?;
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(reporter, service.clone(), figures.clone()));
    // Behind the gate of HTTP, which knows paths.
    let calls_of_http = tonic::service::Routes::new(calls.clone()).into_axum_router();
    let grpc = tonic::service::Routes::new(calls)
        .add_service(reflection)
        .add_service(health)
        .into_axum_router()
        .layer(middleware::from_fn_with_state(gate.clone(), gate::guard));
    let pages = Pages {
        service: service.clone(),
        metrics: Arc::new(Metrics::new(service.clone(), figures.clone())),
        figures,
        document: described,
    };
    let open = Router::new().route("/live", get(live)).route("/ready", get(ready));
    let closed = Router::new()
        .route("/openapi.json", get(document))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(gate.clone(), gate::guard_page));
    let gateway =
        axum::routing::any(http::serve).with_state(Gateway { routes, gate, calls: calls_of_http });
    let no_page = web::no_page(web.clone());
    let other = tower::service_fn(move |request: Request| {
        let (no_page, gateway) = (no_page.clone(), gateway.clone());
        async move {
            match web::is_for_people(&request) {
                true => no_page.oneshot(request).await,
                false => gateway.oneshot(request).await,
            }
        }
    });
    let http = open.merge(closed).with_state(pages).merge(web::router(web)).fallback_service(other);
    Ok(either(grpc, http))
}

/// The automation interface of earlier servers.
fn automation(settings: &Settings, service: &Service, engine: &Engine) -> Result<Router, String> {
    let routes = Arc::new(Routes::of(routes::AUTOMATION)?);
    let gate = Arc::new(Gate::new(service.clone(), routes.clone(), settings.open));
    let calls = Automation::new(service.clone(), engine.figures().clone());
    let calls = pb::c2_automation_engine_server::C2AutomationEngineServer::new(calls);
    let calls_of_http = tonic::service::Routes::new(calls.clone()).into_axum_router();
    let grpc = tonic::service::Routes::new(calls)
        .into_axum_router()
        .layer(middleware::from_fn_with_state(gate.clone(), gate::guard));
    let http =
        Router::new().fallback_service(axum::routing::any(http::serve).with_state(Gateway {
            routes,
            gate,
            calls: calls_of_http,
        }));
    Ok(either(grpc, http))
}

/// Both protocols at one address.
fn either(grpc: Router, http: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_grpc = kind.is_some_and(|kind| kind.starts_with("application/grpc"));
        let router = if is_grpc { grpc.clone() } else { http.clone() };
        router.oneshot(request)
    })
}

/// The process is there.
async fn live() -> &'static str {
    "ok\n"
}

/// The database and the broker are there as well.
async fn ready(State(pages): State<Pages>) -> Response {
    let state = tokio::task::spawn_blocking(move || calls::health(&pages.service, &pages.figures));
    match state.await {
        Ok(Ok(())) => "ok\n".into_response(),
        // What is wrong is for those who may call.
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

async fn document(State(pages): State<Pages>) -> Response {
    Json(&*pages.document).into_response()
}

async fn metrics(State(pages): State<Pages>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match gate::blocking(move || pages.metrics.render()).await {
        Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
        Err(status) => http::failure(&status),
    }
}

/// Tells the health service of gRPC how it is.
async fn report_health(
    reporter: tonic_health::server::HealthReporter,
    service: Service,
    figures: Arc<Figures>,
) {
    let mut tick = tokio::time::interval(HEALTH);
    loop {
        tick.tick().await;
        let (service, figures) = (service.clone(), figures.clone());
        let state = tokio::task::spawn_blocking(move || calls::health(&service, &figures)).await;
        let status = match state {
            Ok(Ok(())) => tonic_health::ServingStatus::Serving,
            _ => tonic_health::ServingStatus::NotServing,
        };
        for name in ["", "pb.C2"] {
            reporter.set_service_status(name, status).await;
        }
    }
}
