// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The same calls as HTTP and JSON: a path and a body become the request of a call, its answer
//! becomes JSON with the original field names, defaults written out, 64-bit numbers as texts and
//! bytes as base64.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_DISPOSITION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response, Sse, sse};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use prost_reflect::prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, SerializeOptions,
    Value,
};
use serde_json::json;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::MESSAGE_MAX;
use super::gate::{Gate, Peer, in_time};
use super::routes::{Found, Route, Routes};
use crate::domain::Permission;

/// Signs of life on an event stream.
const ALIVE: Duration = Duration::from_secs(15);
/// Bytes of a body that nobody needs, and how long they may take.
const UNREAD_MAX: usize = 1 << 20;
const UNREAD_PATIENCE: Duration = Duration::from_secs(5);

/// HTTP over the calls.
#[derive(Clone)]
pub struct Gateway {
    /// The routes.
    pub routes: Arc<Routes>,
    /// Who may call.
    pub gate: Arc<Gate>,
    /// The calls, behind the gate.
    pub calls: Router,
}

/// A refusal as JSON.
pub fn failure(status: &Status) -> Response {
    let code = i32::from(status.code());
    let message = status.message();
    let body = json!({ "code": code, "message": message, "error": message, "details": [] });
    let number = StatusCode::from_u16(super::status::http(status.code()));
    let mut response = (
        number.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        [(CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response();
    if status.code() == Code::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn invalid(why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(why.to_string())
}

/// Takes whatever is no call of gRPC and no page.
pub async fn serve(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let streams = parts.version >= Version::HTTP_2;
    let answered = match in_time(answer(gateway, parts, &mut body)).await {
        Ok(Answer::Whole(response)) => Ok(response),
        // A large backup takes its time before the first piece.
        Ok(Answer::Stream(route, body)) => streamed(&route, body).await,
        Err(status) => Err(status),
    };
    let mut response = answered.unwrap_or_else(|status| failure(&status));
    if !streams && !drain(body).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads on where a call did not need the body: the caller may still be sending it, and would find
/// the connection broken in place of the answer. Whether that was the end of it.
async fn drain(mut body: Body) -> bool {
    let rest = async {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if length > UNREAD_MAX {
                return None;
            }
        }
        Some(())
    };
    tokio::time::timeout(UNREAD_PATIENCE, rest).await.is_ok_and(|end| end.is_some())
}

/// What a call gave.
enum Answer {
    Whole(Response),
    Stream(Route, Body),
}

async fn answer(gateway: Gateway, parts: Parts, body: &mut Body) -> Result<Answer, Status> {
    let peer = parts.extensions.get::<Peer>().cloned();
    let peer = peer.ok_or_else(|| Status::internal("a call from nowhere"))?;
    let path = parts.uri.path();
    let (route, fields) = match gateway.routes.by_path(parts.method.as_str(), path) {
        Found::Route(route, fields) => (route.clone(), fields),
        other => {
            // A stranger is not told what there is.
            let call = format!("{} {path}", parts.method);
            gateway.gate.admit(&peer, &parts.headers, &call, Some(Permission::Read)).await?;
            return Ok(Answer::Whole(match other {
                Found::OtherVerb => {
                    let mut response = failure(&Status::unimplemented("not with this method"));
                    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                    let verbs = gateway.routes.verbs(path).join(", ");
                    response.headers_mut().extend(verbs.parse().ok().map(|verbs| (ALLOW, verbs)));
                    response
                }
                _ => failure(&Status::not_found("there is no such path")),
            }));
        }
    };
    let call = route.call();
    let admitted = gateway.gate.admit(&peer, &parts.headers, &call, route.permission).await?;
    let message = request_of(&route, &parts.headers, parts.uri.query(), fields, body).await?;
    let mut inner = axum::http::Request::post(call)
        .header(CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Body::from(frame(&message)))
        .map_err(|error| Status::internal(error.to_string()))?;
    inner.extensions_mut().insert(admitted);
    inner.extensions_mut().insert(peer);
    let response = match gateway.calls.oneshot(inner).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return Err(status);
    }
    if route.method.is_server_streaming() {
        return Ok(Answer::Stream(route, body));
    }
    let mut frames = Frames::new(body);
    let bytes = match frames.next().await? {
        Some(bytes) => bytes,
        None => return Err(Status::internal("a call gave no answer")),
    };
    // What comes after an answer is how the call ended.
    frames.next().await?;
    let mut response = (
        [(CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")],
        json_of(route.method.output(), bytes)?,
    )
        .into_response();
    if let Some(number) = parts.headers.get("e4-operation") {
        response.headers_mut().insert("e4-operation", number.clone());
    }
    Ok(Answer::Whole(response))
}

/// The request of a call: the body, what the path holds, and otherwise the query.
async fn request_of(
    route: &Route,
    headers: &HeaderMap,
    query: Option<&str>,
    fields: Vec<(String, String)>,
    body: &mut Body,
) -> Result<DynamicMessage, Status> {
    let input = route.method.input();
    let mut message = DynamicMessage::new(input.clone());
    if route.body {
        let body = Limited::new(body, MESSAGE_MAX)
            .collect()
            .await
            .map_err(|_| invalid(format!("the body is longer than {MESSAGE_MAX} bytes")))?
            .to_bytes();
        if !body.is_empty() {
            let mut json = serde_json::Deserializer::from_slice(&body);
            let options = DeserializeOptions::new().deny_unknown_fields(true);
            message = DynamicMessage::deserialize_with_options(input, &mut json, &options)
                .and_then(|message| json.end().map(|()| message))
                .map_err(|error| invalid(format!("the body: {}", plain(&error))))?;
        }
    } else {
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                let text = text.replace('+', " ");
                let decoded = percent_decode_str(&text).decode_utf8();
                decoded.map(String::from).map_err(|_| invalid("the query is not UTF-8"))
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if fields.iter().any(|(field, _)| *field == name) {
                return Err(invalid(format!("{name}: is in the path already")));
            }
            set(&mut message, &name, &value)?;
        }
        if route.method.is_server_streaming()
            && let Some(last) = headers.get("last-event-id").and_then(|id| id.to_str().ok())
            && !last.is_empty()
        {
            set(&mut message, "after", last)?;
        }
    }
    for (name, value) in fields {
        set(&mut message, &name, &value)?;
    }
    Ok(message)
}

/// What the parser says, without the input: a key may be in it.
fn plain(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // `unrecognized field name 'x'` helps; `invalid value: string "…"` would tell.
            match text.find("invalid") {
                None => text,
                Some(_) => {
                    format!("a field has a value of another type, line {line} column {column}")
                }
            }
        }
        _ => format!("it is not JSON, line {line} column {column}"),
    }
}

/// Sets a field by its path, `client.name`.
fn set(message: &mut DynamicMessage, path: &str, text: &str) -> Result<(), Status> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let unknown = || invalid(format!("there is no field {path}"));
    let field = message.descriptor().get_field_by_name(first).ok_or_else(unknown)?;
    if field.is_list() || field.is_map() {
        return Err(unknown());
    }
    let wrong = |what: &str| invalid(format!("{path}: is no {what}"));
    let value = match (field.kind(), rest) {
        (Kind::Message(_), Some(rest)) => {
            let Some(inner) = message.get_field_mut(&field).as_message_mut() else {
                return Err(unknown());
            };
            return set(inner, rest, text);
        }
        (Kind::Message(_), None) | (_, Some(_)) => return Err(unknown()),
        (Kind::String, None) => Value::String(text.into()),
        (Kind::Int64, None) => Value::I64(text.parse().map_err(|_| wrong("number"))?),
        (Kind::Int32, None) => Value::I32(text.parse().map_err(|_| wrong("number"))?),
        (Kind::Enum(names), None) => {
            let named = names.get_value_by_name(text).ok_or_else(|| wrong("word of those"))?;
            Value::EnumNumber(named.number())
        }
        (Kind::Bool, None) => Value::Bool(text.parse().map_err(|_| wrong("true or false"))?),
        _ => return Err(wrong("thing for a path or query")),
    };
    message.set_field(&field, value);
    Ok(())
}

/// A message with the header of gRPC: not compressed, its length.
fn frame(message: &DynamicMessage) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(encoded.len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&encoded);
    bytes.freeze()
}

fn json_of(output: MessageDescriptor, bytes: Bytes) -> Result<String, Status> {
    let broken = |error: &dyn std::fmt::Display| Status::internal(format!("an answer: {error}"));
    let message = DynamicMessage::decode(output, bytes).map_err(|error| broken(&error))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false)
        .stringify_64_bit_integers(true);
    let mut json = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| broken(&error))?;
    String::from_utf8(json).map_err(|error| broken(&error))
}

/// Messages out of the body of an answer.
struct Frames {
    body: axum::body::BodyDataStream,
    trailers: tokio::sync::oneshot::Receiver<HeaderMap>,
    buffer: BytesMut,
}

impl Frames {
    fn new(body: Body) -> Self {
        let (sender, trailers) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let kept = body.map_frame(move |frame| match frame.into_trailers() {
            Ok(trailers) => {
                if let Some(sender) = sender.take() {
                    // The reader may have left.
                    let _ = sender.send(trailers);
                }
                http_body::Frame::data(Bytes::new())
            }
            Err(frame) => frame,
        });
        Self { body: Body::new(kept).into_data_stream(), trailers, buffer: BytesMut::new() }
    }

    /// The next message; none at the end of a call that went well.
    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<5>() {
                let [_, length @ ..] = head;
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                if rest.len() >= length {
                    self.buffer.advance(5);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
            match self.body.next().await {
                Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                Some(Err(error)) => return Err(Status::internal(error.to_string())),
                None => break,
            }
        }
        match self.trailers.try_recv().ok().as_ref().and_then(Status::from_header_map) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(None),
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, Status>> {
        stream::unfold(Some(self), |frames| async move {
            let mut frames = frames?;
            match frames.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(frames))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
    }
}

/// Events as server-sent events; pieces of a file as the file.
async fn streamed(route: &Route, body: Body) -> Result<Response, Status> {
    let output = route.method.output();
    let mut frames = Frames::new(body);
    let Some(data) = output.get_field_by_name("data") else {
        let events = frames.stream().map(move |frame| {
            let json = frame.and_then(|bytes| json_of(output.clone(), bytes));
            let event = match json {
                Ok(json) => {
                    let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
                    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
                    let event = sse::Event::default();
                    // Only what can be begun after has a number.
                    let event = match text("number").filter(|number| *number != "0") {
                        Some(number) => event.id(number),
                        None => event,
                    };
                    event.event(text("type").unwrap_or("message")).data(&json)
                }
                Err(status) => sse::Event::default().event("error").data(status.message()),
            };
            Ok::<_, std::convert::Infallible>(event)
        });
        let alive = sse::KeepAlive::new().interval(ALIVE);
        return Ok(Sse::new(events).keep_alive(alive).into_response());
    };
    // The first piece says whether it works, while a status can still be sent.
    let first = frames.next().await?;
    let pieces = stream::iter(first.map(Ok)).chain(frames.stream()).map(move |frame| {
        let message = DynamicMessage::decode(output.clone(), frame?)
            .map_err(|error| Status::internal(error.to_string()))?;
        let piece = message.get_field(&data).as_bytes().cloned();
        Ok::<_, Status>(piece.unwrap_or_default())
    });
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment; filename=\"e4-backup.sqlite\""),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
