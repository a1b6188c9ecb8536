// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Changes: several in one call, and what became of each.

use e4_c2::api::pb;
pub use e4_c2::api::pb::change::Change;
use serde_json::{Map, Value, json};
use tonic::Code;

use super::super::failure::Failure;
use super::output::{self, shown};
use super::server::{self, Server};

/// So many changes go in one call.
pub const CHUNK: usize = 1000;

/// A change, and how it is spoken of.
pub struct Wish {
    /// What it is about, `client` and `topic` by name.
    pub about: Vec<(&'static str, String)>,
    /// What is true once it is done: `pump-1 has …`.
    pub done: String,
    /// What to ask for.
    pub change: Change,
}

/// A client by name, as messages want it.
pub fn client(name: &str) -> Option<pb::Client> {
    Some(pb::Client { name: name.into() })
}

/// Makes the changes in this order and prints what became of them.
pub fn make(server: &Server, wishes: Vec<Wish>, json: bool) -> Result<(), Failure> {
    let single = wishes.len() == 1;
    let mut said = Vec::new();
    let mut results = Vec::new();
    for wish in wishes {
        said.push((wish.about, wish.done));
        results.push(wish.change);
    }
    let results = batches(server, results)?;
    let mut failed = 0;
    let mut array = Vec::new();
    let total = results.len();
    for ((about, done), result) in said.into_iter().zip(results) {
        let refused = refusal(&result);
        if single && let Some(failure) = refused {
            return Err(failure);
        }
        failed += usize::from(refused.is_some());
        if json {
            array.push(object(&about, &result));
        } else if refused.is_some() {
            let about: Vec<String> = about.iter().map(|(_, name)| shown(name)).collect();
            output::line(&format!("{}: FAILED: {}", about.join(" "), shown(&result.message)))?;
        } else {
            output::line(&format!("{} (operation {})", shown(&done), result.operation))?;
        }
    }
    match (json, single) {
        (true, true) => array.iter().try_for_each(output::json)?,
        (true, false) => output::json(&Value::Array(array))?,
        _ => {}
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{failed} of {total} changes were refused"))
            .hint("the others were made")),
    }
}

/// What a change was refused for.
pub fn refusal(result: &pb::Result) -> Option<Failure> {
    let code = Code::from_i32(result.code);
    (code != Code::Ok).then(|| server::explain(code, &result.message, true))
}

fn object(about: &[(&'static str, String)], result: &pb::Result) -> Value {
    let about = about.iter().map(|(what, name)| ((*what).to_string(), json!(name)));
    let mut object: Map<String, Value> = about.collect();
    match result.code {
        0 => object.insert("operation".into(), json!(result.operation)),
        code => {
            object.insert("code".into(), json!(code));
            object.insert("error".into(), json!(result.message))
        }
    };
    Value::Object(object)
}

fn batches(server: &Server, changes: Vec<Change>) -> Result<Vec<pb::Result>, Failure> {
    // A key for this run: a call whose answer was lost may be made again.
    let run = e4::ClientId::random()?;
    let mut results = Vec::with_capacity(changes.len());
    for (number, chunk) in changes.chunks(CHUNK).enumerate() {
        results.extend(batch(server, chunk.to_vec(), &format!("e4-{run}-{number}"))?.0);
    }
    Ok(results)
}

/// One call: the results, and whether they are those of an earlier call with this key.
pub fn batch(
    server: &Server,
    changes: Vec<Change>,
    key: &str,
) -> Result<(Vec<pb::Result>, bool), Failure> {
    let count = changes.len();
    let changes = changes.into_iter().map(|change| pb::Change { change: Some(change) }).collect();
    let request = pb::BatchRequest { changes, idempotency_key: key.into() };
    let again = request.clone();
    let answer = match server.attempt(async |c2| c2.batch(request).await) {
        Err(status) if status.code() == Code::Unavailable => {
            server.call(async |c2| c2.batch(again).await)?
        }
        answer => answer.map_err(|status| server.failure(&status))?.into_inner(),
    };
    match answer.results.len() == count {
        true => Ok((answer.results, answer.again)),
        false => Err(Failure::new("the server did not answer every change")),
    }
}
