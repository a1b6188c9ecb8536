// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The help: one screen, nothing forgotten, an example for everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::e4;

fn help(command: &[String], flag: &str) -> String {
    let output = e4().args(command).arg(flag).env("COLUMNS", "80").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, as its help lists them.
fn below(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next().map(str::to_string));
    names.filter(|name| name != "help").collect()
}

/// What the completion script knows: all there is.
fn all() -> Vec<String> {
    let output = e4().args(["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    let start = script.find("        e4)\n").unwrap();
    let words = script[start..].split_once("opts=\"").unwrap().1.split('"').next().unwrap();
    let words = words.split_whitespace().filter(|word| !word.starts_with('-') && *word != "help");
    words.map(str::to_string).collect()
}

#[test]
fn the_help_fits_one_screen_and_names_every_command() {
    let text = help(&[], "--help");
    assert!(text.lines().count() <= 24, "{} lines", text.lines().count());
    let wide = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    let commands = all();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "completions") {
        assert!(words.contains(&command.as_str()), "{command}");
    }
}

#[test]
fn every_command_has_an_example() {
    let mut left: Vec<Vec<String>> = all().into_iter().map(|name| vec![name]).collect();
    let mut seen = 0;
    while let Some(command) = left.pop() {
        let text = help(&command, "--help");
        assert!(text.contains("Example"), "{command:?}");
        left.extend(below(&text).into_iter().map(|name| [command.clone(), vec![name]].concat()));
        seen += 1;
    }
    assert!(seen > 45, "{seen}");
}
