// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pages with code out of files that are tested: `docs/tasks.md` is made whole, and in `docs/apps.md`
//! the block behind each `<!-- FILE: MARK -->` is that piece of the file.

use std::fmt::Write as _;
use std::fs;

use crate::stage::{Outcome, Stage, root};

/// Name, file, name for the colours of a page.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("Rust", "tests/tasks.rs", "rust"),
    ("C", "ctests/tasks.c", "c"),
    ("Python", "bindings/python/tests/test_tasks.py", "python"),
    ("Kotlin", "bindings/kotlin/e4/src/test/kotlin/io/e4/TasksTest.kt", "kotlin"),
    ("Swift", "bindings/swift/Tests/E4Tests/TasksTests.swift", "swift"),
];

/// The mark in the files, and what the page says.
const TASKS: &[(&str, &str)] = &[
    ("provision", "A new device, its keys in a file"),
    ("open", "The same device at the next start"),
    ("protect", "Protect a message"),
    ("unprotect", "Take in what arrived: a message, or a command that is done with"),
    ("answer", "Answer the command"),
    ("give a key", "The key script: give a device the key of a topic"),
    ("check an answer", "The key script: is the command applied?"),
    ("errors", "Tell errors apart; each has one number in every language"),
    ("key pair", "A device with a key pair (public-key mode)"),
    ("password", "A key from a password, off the main thread where the language has one"),
];

const HEAD: &str = "\
# Ten tasks in five languages

Each piece is taken out of a test that runs: `pump` is a client, `secret` its 32-byte key, `handle`,
`publish` and `askForKey` belong to the app. In C, `result` is checked in the test. Written by
`cargo xtask docs`; the stage `docs` of `cargo xtask test` fails where page and tests differ.

";

/// What stands between `task: NAME` and `end`, without the indentation that all lines share.
fn piece(text: &str, task: &str) -> Result<String, String> {
    let is_mark = |line: &str, mark: &str| {
        let line = line.trim().trim_end_matches("*/").trim();
        line.strip_prefix(['/', '#'])
            .is_some_and(|rest| rest.trim_start_matches(['/', '*']).trim() == mark)
    };
    let starts = [format!("task: {task}"), format!("mark: {task}")];
    let is_start = |line: &str| starts.iter().any(|start| is_mark(line, start));
    let mut lines = text.lines().skip_while(|line| !is_start(line));
    lines.next().ok_or_else(|| format!("no mark '{task}'"))?;
    let lines: Vec<&str> = lines.take_while(|line| !is_mark(line, "end")).collect();
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.trim().is_empty()).map(indentation).min();
    let shared = shared.ok_or_else(|| format!("nothing between the marks of '{task}'"))?;
    let bare: Vec<&str> = lines.iter().map(|line| line.get(shared..).unwrap_or_default()).collect();
    Ok(bare.join("\n"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The page, made anew.
fn page() -> Result<String, String> {
    let mut page = HEAD.to_owned();
    let mut texts = Vec::new();
    page.push_str("<table>\n<tr><th>Task</th>");
    for (name, path, colours) in LANGUAGES {
        let text =
            fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
        texts.push((*path, *colours, text));
        let _ = write!(page, "<th><a href=\"../{path}\">{name}</a></th>");
    }
    page.push_str("</tr>\n");
    for (task, title) in TASKS {
        let _ = write!(page, "<tr>\n<td>{title}</td>");
        for (path, colours, text) in &texts {
            let piece = piece(text, task).map_err(|error| format!("{path}: {error}"))?;
            if piece.lines().any(str::is_empty) {
                return Err(format!("{path}: a blank line in '{task}' would end the table"));
            }
            let _ = write!(page, "\n<td><pre lang=\"{colours}\">{}</pre></td>", escape(&piece));
        }
        page.push_str("\n</tr>\n");
    }
    page.push_str("</table>\n");
    Ok(page)
}

/// A page whose marked blocks are made anew.
fn filled(page: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        let mark = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let Some((path, mark)) = mark.and_then(|mark| mark.split_once(": ")) else { continue };
        let fence = lines.find(|line| line.starts_with("```")).ok_or("a mark without a block")?;
        lines.find(|line| *line == "```").ok_or("a block without an end")?;
        let text = fs::read_to_string(root().join(path));
        let text = text.map_err(|error| format!("{path}: {error}"))?;
        let piece = piece(&text, mark).map_err(|error| format!("{path}: {error}"))?;
        let _ = writeln!(out, "{fence}\n{piece}\n```");
    }
    Ok(out)
}

const TASKS_PAGE: &str = "docs/tasks.md";
const APPS_PAGE: &str = "docs/apps.md";

fn read(page: &str) -> Result<String, String> {
    fs::read_to_string(root().join(page)).map_err(|error| format!("{page}: {error}"))
}

/// Writes the pages.
pub fn write() -> Result<(), String> {
    for (page, text) in [(TASKS_PAGE, page()?), (APPS_PAGE, filled(&read(APPS_PAGE)?)?)] {
        fs::write(root().join(page), text).map_err(|error| format!("{page}: {error}"))?;
    }
    Ok(())
}

/// Compares the pages with the files.
pub fn check() -> Stage {
    let apps = read(APPS_PAGE)?;
    for (page, is, should) in
        [(TASKS_PAGE, read(TASKS_PAGE)?, page()?), (APPS_PAGE, apps.clone(), filled(&apps)?)]
    {
        if is != should {
            return Err(format!("{page} is not what the files say: cargo xtask docs"));
        }
    }
    let blocks = apps.lines().filter(|line| line.starts_with("<!-- ")).count();
    Ok(Outcome::Passed(format!("{} pieces", LANGUAGES.len() * TASKS.len() + blocks)))
}

#[cfg(test)]
mod tests {
    use super::piece;

    #[test]
    fn pieces_are_cut_out() {
        let text = "a\n    // task: x\n    one\n      two\n    // end\n  # task: y\n  b\n  # end\n";
        assert_eq!(piece(text, "x").as_deref(), Ok("one\n  two"));
        assert_eq!(piece(text, "y").as_deref(), Ok("b"));
        assert_eq!(piece("/* task: z */\nc;\n/* end */\n", "z").as_deref(), Ok("c;"));
        assert!(piece(text, "z").is_err());
    }
}
