// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is the same for all: the style and the script. Their addresses hold their hash, so that
//! browsers keep them until they change.

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use e4::crypto::hash::sha3_256;

use super::door;

const STYLE: &str = include_str!("assets/style.css");
const THEME: &str = include_str!("assets/theme.js");
const SCRIPT: &str = include_str!("assets/script.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Where the style is.
pub static STYLE_ADDRESS: LazyLock<String> = LazyLock::new(|| address("style.css", STYLE));
/// Where the script is that runs before anything is painted.
pub static THEME_ADDRESS: LazyLock<String> = LazyLock::new(|| address("theme.js", THEME));
/// Where the script is.
pub static SCRIPT_ADDRESS: LazyLock<String> = LazyLock::new(|| address("script.js", SCRIPT));
/// Where the icon is.
pub static ICON_ADDRESS: LazyLock<String> = LazyLock::new(|| address("icon.svg", ICON));

fn address(name: &str, content: &str) -> String {
    let [a, b, c, d, ..] = sha3_256(&[content.as_bytes()]);
    format!("/assets/{name}?v={a:02x}{b:02x}{c:02x}{d:02x}")
}

/// They are for everybody.
pub fn routes() -> Router {
    let script = "text/javascript; charset=utf-8";
    Router::new()
        .route("/assets/style.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/assets/theme.js", get(move || async { file(script, THEME) }))
        .route("/assets/script.js", get(move || async { file(script, SCRIPT) }))
        .route("/assets/icon.svg", get(|| async { file("image/svg+xml", ICON) }))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], content).into_response();
    response.headers_mut().extend(door::headers());
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response
}
