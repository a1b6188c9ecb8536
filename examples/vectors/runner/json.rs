// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading the fields of a case; every failure says which field.

use std::collections::BTreeMap;

use serde_json::Value;

/// The result of a check: one line that says what was expected and what came.
pub type Check<T = ()> = Result<T, String>;

/// A field that must be there.
pub fn field<'v>(value: &'v Value, name: &str) -> Check<&'v Value> {
    value.get(name).ok_or_else(|| format!("the case has no field {name:?}"))
}

/// A field that may be absent or null.
pub fn optional<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|value| !value.is_null())
}

/// A text field.
pub fn text<'v>(value: &'v Value, name: &str) -> Check<&'v str> {
    field(value, name)?.as_str().ok_or_else(|| format!("field {name:?} is not text"))
}

/// A hexadecimal field.
pub fn bytes(value: &Value, name: &str) -> Check<Vec<u8>> {
    unhex(text(value, name)?).map_err(|error| format!("field {name:?}: {error}"))
}

/// A hexadecimal field of a known length.
pub fn array<const N: usize>(value: &Value, name: &str) -> Check<[u8; N]> {
    let bytes = bytes(value, name)?;
    bytes.try_into().map_err(|_| format!("field {name:?} does not have {N} bytes"))
}

/// A number.
pub fn number(value: &Value, name: &str) -> Check<u64> {
    field(value, name)?.as_u64().ok_or_else(|| format!("field {name:?} is not a number"))
}

/// Hexadecimal digits to bytes.
pub fn unhex(digits: &str) -> Check<Vec<u8>> {
    hex::decode(digits).map_err(|error| format!("not hexadecimal: {error}"))
}

/// Hexadecimal digits to an array.
pub fn unhex_array<const N: usize>(digits: &str) -> Check<[u8; N]> {
    unhex(digits)?.try_into().map_err(|_| format!("not {N} bytes: {digits}"))
}

/// An object of hexadecimal names and hexadecimal values; absent means empty.
pub fn hex_map(value: &Value, name: &str) -> Check<BTreeMap<[u8; 16], Vec<u8>>> {
    let Some(object) = value.get(name).and_then(Value::as_object) else {
        return Ok(BTreeMap::new());
    };
    let entry = |(at, value): (&String, &Value)| {
        let digits = value.as_str().ok_or_else(|| format!("{name:?} holds what is not text"))?;
        Ok((unhex_array(at)?, unhex(digits)?))
    };
    object.iter().map(entry).collect()
}

/// A text that may also be given in hexadecimal, which then counts: it need not be UTF-8.
pub fn text_bytes(value: &Value, name: &str) -> Check<Vec<u8>> {
    match optional(value, &format!("{name}_hex")) {
        Some(_) => bytes(value, &format!("{name}_hex")),
        None => text(value, name).map(|text| text.as_bytes().to_vec()),
    }
}

/// Unix seconds out of `clock_ns: [before, after]`.
pub fn clock(value: &Value) -> Option<u64> {
    Some(value.get("clock_ns")?.get(0)?.as_u64()? / 1_000_000_000)
}

/// Compares bytes and says which differ.
pub fn same(what: &str, expected: &[u8], got: &[u8]) -> Check {
    if expected == got {
        return Ok(());
    }
    Err(format!("{what}: expected {}, got {}", shorten(expected), shorten(got)))
}

/// Compares a hexadecimal field with bytes.
pub fn same_as(value: &Value, name: &str, got: &[u8]) -> Check {
    same(name, &bytes(value, name)?, got)
}

fn shorten(bytes: &[u8]) -> String {
    match bytes.get(..48) {
        Some(start) if bytes.len() > 48 => {
            format!("{}.. ({} bytes)", hex::encode(start), bytes.len())
        }
        _ => hex::encode(bytes),
    }
}
