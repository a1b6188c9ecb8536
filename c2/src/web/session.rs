// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions without a table: what a server has to know of one is in its cookie, sealed. A cookie
//! holds the hash of a token, never the token; whether that still lets anybody in is looked up for
//! each request.

use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};

use super::{Ask, Failure, Flash, Web};
use crate::domain::{Error, Millis};
use crate::store;

/// How long one is signed in.
pub const LENGTH: Millis = 8 * 3600 * 1000;
/// Bytes of a flash's text: cookies are small.
const FLASH_MAX: usize = 1000;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What makes it this one.
    nonce: [u8; 16],
    /// When it ends.
    pub expires: Millis,
    /// Hash of the token that was shown; none before that, and where none is needed.
    pub token: Option<[u8; 32]>,
}

/// What a browser showed.
pub enum Shown {
    /// Nothing that was sealed here.
    Nothing,
    /// A session that is over.
    Over,
    /// A session.
    Session(Session),
}

impl Session {
    /// A new one.
    ///
    /// # Errors
    /// No randomness.
    pub fn new(token: Option<[u8; 32]>, now: Millis) -> Result<Self, Failure> {
        let mut nonce = [0; 16];
        let filled = getrandom::fill(&mut nonce);
        filled.map_err(|_| Error::Message(e4::Error::Randomness))?;
        Ok(Self { nonce, expires: now.saturating_add(LENGTH), token })
    }

    /// `nonce (16) | expires (8, little-endian) | hash of the token (32, or nothing)`.
    fn encode(&self) -> Vec<u8> {
        let token = self.token.as_ref().map_or(&[][..], |token| token);
        [&self.nonce, self.expires.to_le_bytes().as_slice(), token].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (nonce, rest) = bytes.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let token = match rest {
            [] => None,
            token => Some(token.try_into().ok()?),
        };
        Some(Self { nonce: *nonce, expires: Millis::from_le_bytes(*expires), token })
    }

    /// The session that a request shows.
    pub fn shown(web: &Web, headers: &HeaderMap, now: Millis) -> Shown {
        let opened = opened(web, headers, store::Cookie::Session);
        match opened.and_then(|bytes| Self::decode(&bytes)) {
            None => Shown::Nothing,
            Some(session) if session.expires <= now => Shown::Over,
            Some(session) => Shown::Session(session),
        }
    }

    /// What its forms carry.
    pub fn form_token(&self, web: &Web) -> String {
        URL_SAFE_NO_PAD.encode(web.service.store().form_token(&self.nonce))
    }

    /// Whether a form carries that.
    pub fn is_form_token(&self, web: &Web, token: Option<&str>) -> bool {
        let decoded = token.and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
        let token: Option<[u8; 32]> = decoded.and_then(|bytes| bytes.try_into().ok());
        token.is_some_and(|token| web.service.store().is_form_token(&self.nonce, &token))
    }

    /// Has the browser keep it.
    pub fn keep(&self, web: &Web, now: Millis, response: &mut Response) {
        let seconds = self.expires.saturating_sub(now).div_euclid(1000);
        set(web, response, store::Cookie::Session, &self.encode(), seconds);
    }
}

/// Has the browser forget its session.
pub fn forget(web: &Web, response: &mut Response) {
    set(web, response, store::Cookie::Session, &[], 0);
}

/// Has the browser forget what was said.
pub fn forget_flash(web: &Web, response: &mut Response) {
    set(web, response, store::Cookie::Flash, &[], 0);
}

/// What is to be said first, if it is for this session.
pub fn flash(web: &Web, headers: &HeaderMap, session: &Session) -> Option<Flash> {
    let bytes = opened(web, headers, store::Cookie::Flash)?;
    let (nonce, rest) = bytes.split_first_chunk::<16>()?;
    let (good, text) = rest.split_first()?;
    let text = std::str::from_utf8(text).ok()?.to_string();
    (*nonce == session.nonce).then_some(Flash { good: *good == 1, text })
}

/// On to another page.
pub fn redirect(web: &Web, ask: &Ask, to: &str, flash: Option<&Flash>) -> Response {
    let mut response = see(to);
    if let Some(flash) = flash {
        let mut text = flash.text.as_str();
        while text.len() > FLASH_MAX {
            let last = text.char_indices().next_back().map_or(0, |(last, _)| last);
            text = text.get(..last).unwrap_or_default();
        }
        let plain = [&ask.session.nonce, &[u8::from(flash.good)][..], text.as_bytes()].concat();
        set(web, &mut response, store::Cookie::Flash, &plain, 60);
    }
    response
}

/// On to another page, to be fetched with GET.
pub fn see(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, to);
    response
}

/// A browser that speaks TLS keeps them for this very host, and sends them over TLS alone.
fn name(web: &Web, cookie: store::Cookie) -> &'static str {
    match (cookie, web.secure) {
        (store::Cookie::Session, true) => "__Host-e4-session",
        (store::Cookie::Session, false) => "e4-session",
        (store::Cookie::Flash, true) => "__Host-e4-flash",
        (store::Cookie::Flash, false) => "e4-flash",
    }
}

fn opened(
    web: &Web,
    headers: &HeaderMap,
    cookie: store::Cookie,
) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = texts.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let found = cookies.find(|found| found.name() == name(web, cookie))?;
    let sealed = URL_SAFE_NO_PAD.decode(found.value()).ok()?;
    web.service.store().open_cookie(cookie, &sealed)
}

fn set(web: &Web, response: &mut Response, cookie: store::Cookie, plain: &[u8], seconds: i64) {
    let value = match plain {
        [] => String::new(),
        plain => match web.service.store().seal_cookie(cookie, plain) {
            Ok(sealed) => URL_SAFE_NO_PAD.encode(sealed),
            Err(_) => return,
        },
    };
    let built = Cookie::build((name(web, cookie), value))
        .path("/")
        .http_only(true)
        .secure(web.secure)
        .same_site(SameSite::Strict)
        .max_age(cookie::time::Duration::seconds(seconds));
    if let Ok(value) = HeaderValue::from_str(&built.build().to_string()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
