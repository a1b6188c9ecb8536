// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Many things at once: who is meant, and what became of each.

use maud::{Markup, html};

use super::ask::{Answer, Ask, Failure, sentence};
use super::{Web, door, ui};
use crate::domain::{Error, Operation, Outcome, Part, Place, Result};

/// The most names at once.
const NAMES_MAX: usize = 10_000;

/// Names of a text field: one a line, or the first column of CSV (RFC 4180). Spaces around them, a
/// first line of the word `name`, and those that were there before do not count.
///
/// # Errors
/// [`Error::Invalid`] if there are too many, or the text is no CSV.
pub fn names(field: &'static str, text: &str) -> Result<Vec<String>> {
    let separated = text.replace(';', ",");
    let text = if text.contains('"') { text } else { &separated };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut names: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(|_| Error::invalid(field, "cannot be read as a list"))?;
        let name = record.get(0).unwrap_or_default();
        let header = line == 0 && name.eq_ignore_ascii_case("name");
        if !name.is_empty() && !header && known.insert(name.to_string()) {
            names.push(name.to_string());
        }
    }
    if names.len() > NAMES_MAX {
        return Err(Error::invalid(field, format!("has more than {NAMES_MAX} names")));
    }
    Ok(names)
}

/// A field for names, and where scripts run a file that is put into it.
pub fn names_field(id: &str, label: &str, value: &str, hint: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            textarea id=(id) name=(id) rows="5" spellcheck="false" autocomplete="off"
                aria-describedby={ (id) "-hint" } { (value) }
            p.hint id={ (id) "-hint" } { (hint) }
            p.file hidden data-file {
                label for={ (id) "-file" } { "or from a file (CSV: the first column)" }
                input id={ (id) "-file" } type="file" accept=".csv,.txt,text/*" data-into=(id);
            }
        }
    }
}

/// A value that makes a form do what it does once, however often it is sent.
///
/// # Errors
/// No randomness.
pub fn once() -> std::result::Result<String, Failure> {
    let id = e4::ClientId::random().map_err(Error::Message)?;
    Ok(id.to_string())
}

/// The field that carries it.
pub const ONCE: &str = "once";

impl Web {
    /// Does many things for who asks, each with a result of its own; a form that is sent again
    /// with the same `once` has the same results.
    ///
    /// # Errors
    /// Those of [`Service::apply_once`](crate::service::Service::apply_once).
    pub async fn apply_many(
        &self,
        ask: &Ask,
        once: Option<&str>,
        operations: Vec<Operation>,
    ) -> std::result::Result<Vec<Result<Outcome>>, Failure> {
        let caller = ask.caller.clone();
        let once = once.map(str::to_string);
        let work = move |service: &crate::service::Service| {
            service.apply_once(&caller, once.as_deref(), &operations)
        };
        let batch = self.run(work).await?;
        self.changed();
        Ok(batch.results)
    }
}

/// A page with a row for each name, what was refused first.
pub fn results(
    ask: &Ask,
    title: &str,
    done: &str,
    names: &[String],
    results: &[Result<Outcome>],
    back: (&str, &str),
) -> Answer {
    let failed = results.iter().filter(|result| result.is_err()).count();
    let mut rows: Vec<(&String, &Result<Outcome>)> = names.iter().zip(results).collect();
    rows.sort_by_key(|(_, result)| result.is_ok());
    let good = results.len() - failed;
    let text = match failed {
        0 => format!("{good} done."),
        failed => format!("{good} done, {failed} not."),
    };
    let body = html! {
        h1 { (title) }
        (ui::notice(if failed == 0 { "good" } else { "bad" }, &text, ""))
        (ui::table("What became of each", &["Device", "Result", "Why"], html! {
            @for (name, result) in rows {
                tr {
                    th scope="row" { a href=(ui::href("/device", &[("name", name)])) { (name) } }
                    @match result {
                        Ok(_) => { td { (ui::badge("good", done)) } td {} }
                        Err(error) => {
                            td { (ui::badge("bad", "not done")) }
                            td.wrap { (sentence(&error.to_string())) }
                        }
                    }
                }
            }
        }))
        p { a.button href=(back.0) { (back.1) } }
    };
    Ok(ui::page(ask, title, body))
}

/// Where in a list the query is.
pub fn place(ask: &Ask) -> Place {
    match (ask.fields.get("after"), ask.fields.get("before")) {
        (Some(name), _) => Place::After(name.into()),
        (None, Some(name)) => Place::Before(name.into()),
        (None, None) => Place::First,
    }
}

/// Links to the parts before and after; the query of the page stays but for them.
pub fn leaf<T>(ask: &Ask, what: &str, part: &Part<T>, name: impl Fn(&T) -> &str) -> Markup {
    let to = |field: &str, name: &str| {
        let gone = ["after", "before", door::FORM_TOKEN];
        let kept = ask.fields.0.iter().filter(|(name, _)| !gone.contains(&name.as_str()));
        let mut query: Vec<_> = kept.map(|(name, value)| (&**name, &**value)).collect();
        if !field.is_empty() {
            query.push((field, name));
        }
        ui::href(&ask.path, &query)
    };
    html! {
        nav.pager aria-label="Parts of the list" {
            p { (ui::number(part.total)) " " (what) }
            @if part.before || part.after {
                ul {
                    @if part.before {
                        li { a href=(to("", "")) { "First" } }
                        @if let Some(first) = part.rows.first() {
                            li { a href=(to("before", name(first))) rel="prev" { "Previous" } }
                        }
                    }
                    @if let (true, Some(last)) = (part.after, part.rows.last()) {
                        li { a href=(to("after", name(last))) rel="next" { "Next" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_of_lines_and_tables() {
        let text = " Name;site\r\n pump-1 ;north\n\npump-2,south\n\"pump, 3\"\npump-1\n";
        assert_eq!(names("names", "a\nb\r\n\na\n c ").unwrap(), ["a", "b", "c"]);
        assert_eq!(names("names", "name;site\na;x\nb;y").unwrap(), ["a", "b"]);
        assert_eq!(
            names("names", "NAME,site\n\"pump, 3\",north\nname,y").unwrap(),
            ["pump, 3", "name"]
        );
        assert!(names("names", text).is_ok() && names("names", "").unwrap().is_empty());
        let many: String = (0..10_001).map(|number| format!("{number}\n")).collect();
        assert!(names("names", &many).is_err());
    }
}
