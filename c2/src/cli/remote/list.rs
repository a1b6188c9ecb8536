// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists, to their end.

use clap::Args;
use e4_c2::api::pb;
use serde_json::json;

use super::super::failure::Failure;
use super::output;
use super::server::Server;

/// The most that C2 gives at once.
const PAGE: i64 = 100;

/// Which part of a list.
#[derive(Args, Clone, Default)]
pub struct Part {
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Names after this one
    #[arg(long, value_name = "NAME")]
    pub after: Option<String>,
}

impl Part {
    /// Asks for page after page. A page is asked for by the name before it and a number.
    pub fn collect<T>(
        &self,
        name: impl Fn(&T) -> &str,
        mut page: impl FnMut(String, i64) -> Result<Vec<T>, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut after = self.after.clone().unwrap_or_default();
        let mut all = Vec::new();
        while all.len() < limit {
            let count = i64::try_from(limit - all.len()).map_or(PAGE, |left| left.min(PAGE));
            let found = page(after.clone(), count)?;
            match found.last() {
                Some(last) if name(last) != after => after = name(last).to_string(),
                _ => break,
            }
            all.extend(found);
        }
        Ok(all)
    }

    /// The same for names.
    pub fn names(
        &self,
        page: impl FnMut(String, i64) -> Result<Vec<String>, Failure>,
    ) -> Result<Vec<String>, Failure> {
        self.collect(|name: &String| name.as_str(), page)
    }
}

/// The topics of a client.
pub fn topics_of(server: &Server, name: &str, part: &Part) -> Result<Vec<String>, Failure> {
    part.names(|after, count| {
        let client = Some(pb::Client { name: name.into() });
        let request = pb::GetTopicsForClientRequest { client, offset: 0, count, after };
        Ok(server.call(async |c2| c2.get_topics_for_client(request).await)?.topics)
    })
}

/// All topics.
pub fn topics(server: &Server, part: &Part) -> Result<Vec<String>, Failure> {
    part.names(|after, count| {
        let request = pb::GetTopicsRequest { offset: 0, count, after };
        Ok(server.call(async |c2| c2.get_topics(request).await)?.topics)
    })
}

/// Names of clients out of an answer.
pub fn clients(found: Vec<pb::Client>) -> Vec<String> {
    found.into_iter().map(|client| client.name).collect()
}

/// Prints names: one a line, or an array.
pub fn print(names: &[String], json: bool) -> Result<(), Failure> {
    match json {
        true => output::json(&json!(names)),
        false => {
            output::say(&names.iter().map(|name| output::shown(name) + "\n").collect::<String>())
        }
    }
}
