// SPDX-License-Identifier: Apache-2.0 OR MIT
//! With the feature `capi`: makes `e4.h` of `src/capi` in the build directory, and in a checkout
//! copies it to `include/` when it has changed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "capi")]
    header::make()?;
    Ok(())
}

#[cfg(feature = "capi")]
mod header {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// The files of the header, in its order. The first line of each is its heading.
    const PARTS: &[&str] = &[
        "sizes",
        "types",
        "about",
        "provision",
        "client",
        "messages",
        "storage",
        "file",
        "names",
        "keys",
        "commands",
    ];

    pub fn make() -> Result<()> {
        let top = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rerun-if-changed=src/capi");
        println!("cargo::rerun-if-changed=src/error.rs");
        println!("cargo::rerun-if-changed=cbindgen.toml");
        println!("cargo::rerun-if-changed=include/e4.h");

        let parts = PARTS.iter().map(|part| top.join(format!("src/capi/{part}.rs")));
        let parts: Vec<PathBuf> = parts.collect();
        let mut config = cbindgen::Config::from_file(top.join("cbindgen.toml"))?;
        config.header = Some(HEADER.to_owned());
        let errors = errors(&fs::read_to_string(top.join("src/error.rs"))?)?;
        config.after_includes = Some(format!("{}{}", preamble()?, errors));
        let mut builder = cbindgen::Builder::new().with_config(config);
        for part in &parts {
            builder = builder.with_src(part);
        }
        let mut made = Vec::new();
        builder.generate()?.write(&mut made);
        let mut text = String::from_utf8(made)?;
        for part in &parts {
            let source = fs::read_to_string(part)?;
            text = with_heading(&text, &source).ok_or(format!("no heading for {part:?}"))?;
        }

        let text = tidy(&text);

        fs::write(PathBuf::from(env::var("OUT_DIR")?).join("e4.h"), &text)?;
        let committed = top.join("include/e4.h");
        let checkout = top.join(".git").exists();
        if checkout && fs::read(&committed).ok().as_deref() != Some(text.as_bytes()) {
            fs::create_dir_all(committed.parent().unwrap_or(Path::new(".")))?;
            fs::write(&committed, &text)?;
        }
        Ok(())
    }

    const HEADER: &str = include_str!("src/capi/header.txt");

    /// The version macros and the attribute for results.
    fn preamble() -> Result<String> {
        let number = |name: &str| env::var(format!("CARGO_PKG_VERSION_{name}"));
        let (major, minor, patch) = (number("MAJOR")?, number("MINOR")?, number("PATCH")?);
        Ok(format!(
            "
// Marks a function whose result must be looked at.
#ifndef E4_NODISCARD
#if defined(__cplusplus) && __cplusplus >= 201703L
#define E4_NODISCARD [[nodiscard]]
#elif defined(__GNUC__) || defined(__clang__)
#define E4_NODISCARD __attribute__((warn_unused_result))
#else
#define E4_NODISCARD
#endif
#endif

{}
// The version of this header; e4_version() tells that of the library.
#define E4_VERSION_MAJOR {major}
#define E4_VERSION_MINOR {minor}
#define E4_VERSION_PATCH {patch}
#define E4_VERSION \"{major}.{minor}.{patch}\"
",
            banner("Version")
        ))
    }

    /// The error table of `src/error.rs`: lines of `/// text` and `Name = -100, "text";`.
    fn errors(source: &str) -> Result<String> {
        let (_, table) = source.split_once("\nerrors! {\n").ok_or("no table of errors")?;
        let (table, _) = table.split_once("\n}\n").ok_or("no end of the table of errors")?;
        let mut text = format!("\n{}{RESULTS}", banner("Results"));
        for line in table.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("///") {
                text.push_str(&format!("//{comment}\n"));
            } else {
                let (name, rest) = line.split_once(" = ").ok_or("a line without =")?;
                let (number, _) = rest.split_once(',').ok_or("a line without a number")?;
                text.push_str(&format!("#define E4_ERROR_{} ({number})\n", upper(name)));
            }
        }
        Ok(text)
    }

    const RESULTS: &str = "
// A function returns 0 for success, a positive number for success with a meaning, a negative one
// for an error. Numbers keep their meaning for life; an application meets new ones with
// `default:`. -100 to -113 mean what they mean in libe4.

// It worked.
#define E4_OK 0
// e4_unprotect: what came in was a command of C2. It has been applied and stored.
#define E4_OK_COMMAND 1
// There is nothing: no answer is due, or no such record is stored.
#define E4_OK_NONE 2

";

    const INITIALISERS: &str = "
// The argument now, on a device without a clock.
#define E4_NO_CLOCK UINT64_MAX
// An e4_client that is not open.
#define E4_CLIENT_INIT { { 0 } }
// The e4_settings of a client that is not told otherwise.
#define E4_SETTINGS_DEFAULT { 600, 600, 3600, 0 }
// Bytes for e4_memory_storage, with room for that many keys (of topics and of other clients).
#define E4_MEMORY_SIZE(keys) (2 + E4_RECORD_MAX + (size_t)(keys) * (2 + E4_SLOT_LEN))

";

    /// Takes out what cbindgen leaves of its annotations, and blank lines between constants.
    fn tidy(text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let mut made = String::new();
        let mut last = "";
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).copied().unwrap_or("");
            let annotation = *line == "//" && next.starts_with("E4_NODISCARD");
            let constant = next.starts_with("#define") || next.starts_with("// ");
            let between = line.is_empty() && last.starts_with("#define E4_") && constant;
            let double = line.is_empty() && last.is_empty();
            let group = GROUPS.iter().any(|group| next.starts_with(group));
            if !annotation && (!between || group) && !double {
                made.push_str(line);
                made.push('\n');
                last = line;
            }
        }
        made
    }

    /// Comments before which a blank line stands among the constants.
    const GROUPS: &[&str] = &[
        "// A bug in E4",
        "// Bytes in the id",
        "// Bytes in the name",
        "// What protection adds to a message in s",
        "// Bytes in a SIV",
        "// Characters in a control",
        "// Bytes in a record of",
        "// A client that has only",
        "// Opcode: forget the keys of one",
        "// The message has no",
        "// Words of 8",
        "// The argument now",
    ];

    /// `InvalidTag` to `INVALID_TAG`.
    fn upper(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(letter.to_uppercase());
        }
        text
    }

    fn banner(title: &str) -> String {
        let line = "-".repeat(94_usize.saturating_sub(title.len()));
        format!("/* {title} {line} */\n")
    }

    /// Puts the heading of a file before the first item that the file has in the header.
    fn with_heading(text: &str, source: &str) -> Option<String> {
        let title = source.lines().find_map(|line| line.strip_prefix("//! "))?;
        let title = title.trim_end_matches('.');
        let lines: Vec<&str> = text.lines().collect();
        let types = source.contains("\npub struct") && !source.contains("extern \"C\" fn e4_");
        // The types come first of all in the header, in an order of its own.
        let item = source.lines().find_map(|line| {
            let item = ["pub const ", "pub extern \"C\" fn ", "pub unsafe extern \"C\" fn "]
                .iter()
                .find_map(|start| line.strip_prefix(start))?;
            item.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
        });
        let item = item.or(types.then_some("e4_"))?;
        let called = [format!(" {item}("), format!("*{item}(")];
        let at = lines.iter().position(|line| {
            line.starts_with(&format!("#define {item} "))
                || types && line.starts_with("typedef")
                || !line.starts_with("//") && called.iter().any(|call| line.contains(call.as_str()))
        })?;
        let comment = lines
            .get(..at)?
            .iter()
            .rev()
            .take_while(|line| line.starts_with("//") || line.starts_with("E4_NODISCARD"));
        let first = at - comment.count();
        let mut made = String::new();
        for (number, line) in lines.iter().enumerate() {
            if number == first {
                made.push_str(if types { INITIALISERS } else { "" });
                made.push_str(&banner(title));
                made.push('\n');
            }
            made.push_str(line);
            made.push('\n');
        }
        Some(made)
    }
}
