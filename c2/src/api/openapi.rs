// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The OpenAPI document of the HTTP interface, made from the descriptors: routes, messages and
//! their comments.
// JSON objects take any name, and all that are indexed here were made as objects.
#![allow(clippy::indexing_slicing)]

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};

use super::routes::{Route, Routes};
use crate::domain::Permission;

const TIMESTAMP: &str = "google.protobuf.Timestamp";
const INT64: &str = "^-?[0-9]{1,18}$";

/// The document.
pub fn document(routes: &Routes) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Error".into(), error());
    for route in routes.all() {
        let path = route.template.replace("=**}", "}").replace(".name}", "}");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.verb.to_lowercase(), operation(route, &mut schemas));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "E4 C2",
            "description": "Key management of a fleet. Each call needs `Authorization: Bearer \
                TOKEN` or a client certificate. An answer to a change has a header `e4-operation`, \
                the number of its audit record.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Refused": {
                "description": "What was wrong; nothing was changed.",
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Error" }
                } },
            } },
        },
    })
}

fn error() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": { "type": "integer", "description": "Number of a gRPC status." },
            "message": text,
            "error": text,
            "details": { "type": "array", "maxItems": 0 },
        },
        "additionalProperties": false,
    })
}

fn operation(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let method = &route.method;
    let (input, output) = (method.input(), method.output());
    let mut description = comment(method.parent_service().parent_file(), method.path());
    let who = match route.permission {
        Some(Permission::Read) => "admin, operator, reader",
        Some(Permission::Provision) => "admin, operator, device-provisioner (new clients only)",
        Some(Permission::Operate) => "admin, operator",
        Some(Permission::Admin) => "admin",
        Some(Permission::Messages) => "tokens that may protect and open messages",
        None => "nobody",
    };
    let summary = description.split_inclusive('.').next().unwrap_or_default().to_string();
    description.push_str(&format!("\n\nFor: {who}."));
    let held: Vec<&str> = route.path_fields().collect();
    let mut parameters: Vec<Value> = held.iter().map(|field| path_field(&input, field)).collect();
    let mut all = json!({
        "operationId": method.name(),
        "summary": summary.trim(),
        "description": description.trim(),
    });
    if route.body {
        let mut schema = object(&input, schemas, false);
        // What the path holds need not be in the body.
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties
                .retain(|name, _| !held.iter().any(|held| held.split('.').next() == Some(name)));
        }
        all["requestBody"] = json!({
            // No body is an empty one.
            "required": false,
            "content": { "application/json": { "schema": schema } },
        });
    } else {
        let plain = |field: &FieldDescriptor| {
            !field.is_list() && !matches!(field.kind(), Kind::Message(_) | Kind::Bytes)
        };
        let open = |field: &FieldDescriptor| !held.iter().any(|held| *held == field.name());
        for field in input.fields().filter(plain).filter(open) {
            parameters.push(json!({
                "name": field.name(), "in": "query", "required": false,
                "schema": value(&field, schemas, false),
                "description": comment(input.parent_file(), field.path()),
            }));
        }
    }
    all["parameters"] = parameters.into();
    let content = if !method.is_server_streaming() {
        let schema = reference(&output, schemas);
        json!({ "application/json": { "schema": schema } })
    } else if output.get_field_by_name("data").is_some() {
        json!({ "application/octet-stream": {} })
    } else {
        reference(&output, schemas);
        json!({ "text/event-stream": { "schema": { "type": "string" } } })
    };
    let mut responses = json!({ "200": { "description": "Done.", "content": content } });
    let fleet = !["Policy", "Campaign"].iter().any(|what| method.name().contains(what));
    if fleet && (route.permission == Some(Permission::Operate) || method.name() == "NewClient") {
        responses["200"]["headers"] = json!({ "e4-operation": {
            "description": "Number of the audit record, for GetOperation.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[0-9]+$" },
        } });
    }
    let exists =
        matches!(method.name(), "NewClient" | "CreateToken" | "CreatePolicy").then_some("409");
    for status in ["400", "401", "403", "404", "429", "503", "504"].into_iter().chain(exists) {
        responses[status] = json!({ "$ref": "#/components/responses/Refused" });
    }
    all["responses"] = responses;
    all
}

/// What the path holds: a client goes by the field that it is in, without its `.name`.
fn path_field(input: &MessageDescriptor, path: &str) -> Value {
    let name = path.split('.').next().unwrap_or(path);
    let number = input.get_field_by_name(path).is_some_and(|field| field.kind() == Kind::Int64);
    let (schema, example) = match name {
        _ if number => (json!({ "type": "string", "format": "int64", "pattern": INT64 }), "1"),
        "topic" => (json!({ "type": "string", "minLength": 1 }), "plant/pressure"),
        "sourceClient" => (json!({ "type": "string", "minLength": 1 }), "gauge-1"),
        _ => (json!({ "type": "string", "minLength": 1 }), "pump-1"),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
}

/// A reference to the schema of a message, which is made where it is not there yet.
fn reference(message: &MessageDescriptor, schemas: &mut Map<String, Value>) -> Value {
    let name = message.name().to_string();
    if !schemas.contains_key(&name) {
        schemas.insert(name.clone(), Value::Null);
        let schema = object(message, schemas, true);
        schemas.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn object(message: &MessageDescriptor, schemas: &mut Map<String, Value>, answer: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in message.fields() {
        let mut schema = match field.cardinality() {
            Cardinality::Repeated => {
                json!({ "type": "array", "items": value(&field, schemas, answer) })
            }
            _ => value(&field, schemas, answer),
        };
        let text = comment(message.parent_file(), field.path());
        if let (false, Some(schema)) = (text.is_empty(), schema.as_object_mut()) {
            schema.insert("description".into(), text.into());
        }
        if !answer {
            // As good as left out.
            nullable(&mut schema);
        }
        if answer && !field.supports_presence() {
            required.push(field.name().to_string());
        }
        properties.insert(field.name().into(), schema);
    }
    let mut schema = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    let text = comment(message.parent_file(), message.path());
    if !text.is_empty() {
        schema["description"] = text.into();
    }
    schema
}

fn nullable(schema: &mut Value) {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        names.push(Value::Null);
    }
}

fn value(field: &FieldDescriptor, schemas: &mut Map<String, Value>, answer: bool) -> Value {
    match field.kind() {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Int64 => json!({ "type": "string", "format": "int64", "pattern": INT64 }),
        Kind::Bytes => {
            json!({ "type": "string", "format": "byte", "contentEncoding": "base64" })
        }
        Kind::Enum(kind) => json!({ "type": "string", "enum": names(&kind) }),
        Kind::Message(message) if message.full_name() == TIMESTAMP => {
            json!({ "type": "string", "format": "date-time" })
        }
        Kind::Message(message) if answer => reference(&message, schemas),
        Kind::Message(message) => object(&message, schemas, false),
        _ => json!({ "type": "string" }),
    }
}

fn names(kind: &EnumDescriptor) -> Vec<String> {
    kind.values().map(|value| value.name().to_string()).collect()
}

/// The comment before something, as one text.
fn comment(file: FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|at| at.path == path));
    let text = location.and_then(|at| at.leading_comments.as_deref()).unwrap_or_default();
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_string()
}
