// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Traces over OpenTelemetry: what each operation, round and transaction took. They name acts, not
//! clients, topics or keys. The collector is on this machine or reached by plain HTTP.

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::failure::Failure;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Sends spans where the environment says; nothing without that.
pub fn layer<S>() -> Result<Option<impl Layer<S>>, Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    if std::env::var_os(ENDPOINT).is_none() {
        return Ok(None);
    }
    let fail = |error: String| {
        Failure::new(format!("traces: {error}"))
            .hint(format!("for example {ENDPOINT}=http://127.0.0.1:4318"))
    };
    let exporter =
        SpanExporter::builder().with_http().build().map_err(|error| fail(error.to_string()))?;
    let resource = Resource::builder().with_service_name("e4").build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer("e4");
    // Ours, and spans alone: what the log says may name clients.
    let ours = filter_fn(|about| about.is_span() && about.target().starts_with("e4_c2"));
    Ok(Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)))
}

/// Sends what is left.
pub fn end() {
    if let Some(provider) = PROVIDER.get() {
        // The collector may be gone before us.
        let _ = provider.shutdown();
    }
}
