// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Swift package: generated, bundled, built and tested in both language modes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kotlin::vector_folders;
use crate::session::Session;
use crate::stage::{Mosquitto, Outcome, Stage, command, has, root, run, run_lines, target};
use crate::uniffi;

/// Debian 13 has Swift; it is set up here where the machine has none (3.1 GB).
fn system() -> PathBuf {
    std::env::var_os("E4_SWIFT_ROOT").map_or_else(|| "/var/tmp/e4-swift/root".into(), PathBuf::from)
}

/// A folder in there for each working copy, so that two do not meet.
fn folder() -> String {
    let mut hasher = DefaultHasher::new();
    root().hash(&mut hasher);
    format!("e4-{:x}", hasher.finish())
}

/// Where the compiler is.
enum Place {
    /// On the path.
    Here,
    /// In a system of its own.
    Inside(PathBuf),
}

impl Place {
    fn find() -> Option<Self> {
        if has("swiftc") && has("swift") {
            return Some(Self::Here);
        }
        let inside = system();
        inside.join("usr/bin/swiftc").is_file().then_some(Self::Inside(inside))
    }

    /// Where the bundle is put, as this machine sees it.
    fn work(&self) -> PathBuf {
        match self {
            Self::Here => target().join("swift"),
            Self::Inside(system) => system.join(folder()),
        }
    }

    /// A path under `work`, as the compiler sees it.
    fn seen(&self, path: &str) -> String {
        match self {
            Self::Here => self.work().join(path).to_string_lossy().into_owned(),
            Self::Inside(_) => format!("/{}/{path}", folder()),
        }
    }

    fn command(&self, mode: u8, program: &str) -> Command {
        let mode = format!("E4_SWIFT_MODE={mode}");
        match self {
            Self::Here => {
                let mut env = command("env");
                env.arg(mode).arg(program);
                env
            }
            Self::Inside(system) => {
                // The compiler needs /proc; nobody else sees this mount, and it goes by itself.
                let enter = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
                let mut inside = command("unshare");
                inside.args(["--mount", "sh", "-c", enter]).arg(system);
                inside.args(["env", "HOME=/tmp", &mode, program]);
                inside
            }
        }
    }

    /// `swift build` and the like.
    fn swift(&self, mode: u8, what: &str, scratch: &str) -> Command {
        let mut swift = match self {
            Self::Here => {
                let mut swift = self.command(mode, "swift");
                swift.arg(what);
                swift
            }
            // Debian leaves some of the links to these out.
            Self::Inside(_) => self.command(mode, &format!("/usr/libexec/swift/bin/swift-{what}")),
        };
        swift.args(["--disable-sandbox", "--package-path", &self.seen("bundle")]);
        swift.args(["--scratch-path", scratch]);
        swift
    }
}

/// Sets up Debian 13 with Swift in a folder of its own; needs root and 3.1 GB.
pub fn install() -> Result<(), String> {
    if Place::find().is_some() {
        return Ok(());
    }
    if !has("debootstrap") {
        let apt = ["install", "-y", "-qq", "--no-install-recommends", "debootstrap"];
        run(command("apt-get").args(apt).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    let system = system();
    fs::create_dir_all(&system).map_err(|error| error.to_string())?;
    let mirror =
        std::env::var("E4_MIRROR").unwrap_or_else(|_| "http://deb.debian.org/debian".into());
    let mut debootstrap = command("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=swiftlang,ca-certificates", "trixie"]);
    run(debootstrap.arg(&system).arg(mirror))?;
    let place = Place::Inside(system);
    run(place.command(6, "apt-get").args(["update", "-qq"]))?;
    let packages = ["libc6-dev", "libstdc++-14-dev", "gcc"];
    let apt = ["install", "-y", "-qq", "--no-install-recommends"];
    run(place.command(6, "apt-get").args(apt).args(packages))
}

/// `cargo xtask swift --bundle DIR`: a package that needs the toolchain alone.
pub fn bundle(to: &Path) -> Result<(), String> {
    let library = uniffi::library()?;
    let generated = target().join("swift-generated");
    uniffi::generate(&library, "swift", &generated)?;
    let ours = root().join("bindings/swift");
    let examples = root().join("examples/swift");
    for name in ["Package.swift", "README.md", "Sources/E4", "Tests", "Examples"] {
        let target = to.join(name);
        if target.is_dir() {
            fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
        }
        let from = if name == "Examples" { &examples } else { &ours.join(name) };
        uniffi::copy(from, &target)?;
    }
    let pairs = [
        ("E4Generated.swift", "Sources/E4Generated/E4Generated.swift"),
        ("E4FFI.h", "Sources/E4FFI/E4FFI.h"),
        ("E4FFI.modulemap", "Sources/E4FFI/module.modulemap"),
    ];
    for (from, at) in pairs {
        uniffi::copy(&generated.join(from), &to.join(at))?;
    }
    let name = library.file_name().ok_or("no library")?;
    uniffi::copy(&library, &to.join("lib").join(name))
}

/// The stage: Swift 5 and Swift 6, the tests, the vectors, the examples over a broker.
pub fn swift() -> Stage {
    let Some(place) = Place::find() else {
        let why = "not compiled here: no swiftc; cargo xtask swift --install";
        return Ok(Outcome::NotHere(why.into()));
    };
    let work = place.work();
    bundle(&work.join("bundle"))?;
    let mut remarks = vec![version(&place)?];
    for mode in [5, 6] {
        let scratch = place.seen(&format!("build-{mode}"));
        let count = tests(&mut place.swift(mode, "test", &scratch))?;
        remarks.push(format!("{count} tests in mode {mode}"));
        run(&mut place.command(mode, &format!("{scratch}/debug/quickstart")))?;
    }
    let programs = place.seen("build-6/debug");
    let mut cases = 0;
    for (number, folder) in vector_folders().iter().enumerate() {
        let name = format!("vectors-{number}");
        uniffi::copy(folder, &work.join(&name))?;
        let mut runner = place.command(6, &format!("{programs}/vectors"));
        run_lines(runner.arg(place.seen(&name)), |line| {
            let count = line.split_once(" passed, ").and_then(|(count, _)| count.parse().ok());
            cases += count.unwrap_or(0u64);
        })?;
    }
    remarks.push(format!("{cases} cases of vectors"));
    if Mosquitto::program().is_some() {
        talk(&place, &programs)?;
        remarks.push("two devices over Mosquitto".into());
    }
    Ok(Outcome::Passed(remarks.join(", ")))
}

fn version(place: &Place) -> Result<String, String> {
    let mut first = String::new();
    run_lines(place.command(6, "swiftc").arg("--version"), |line| {
        if first.is_empty() {
            first = line.split(" (").next().unwrap_or(line).to_owned();
        }
    })?;
    Ok(first)
}

/// Runs XCTest, and returns how many tests it says it executed.
fn tests(command: &mut Command) -> Result<u64, String> {
    let mut count = 0;
    run_lines(command, |line| {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["Executed", number, "tests,", "with", "0", ..] = words.as_slice() {
            count = number.parse().unwrap_or(0);
        }
    })?;
    if count == 0 { Err("XCTest ran no test".into()) } else { Ok(count) }
}

/// The example's key script gives keys to two devices, in both modes; one speaks, the other hears.
fn talk(place: &Place, programs: &str) -> Result<(), String> {
    let broker = Mosquitto::start()?;
    let address = broker.address();
    for mode in ["symmetric", "public-key"] {
        let keys = format!("keys-{mode}");
        let c2 = mode == "public-key";
        write_keys(&place.work().join(&keys), c2)?;
        let file = |name: &str| place.seen(&format!("{keys}/{name}"));
        let suffix = if c2 { ".pub" } else { "" };
        let start = |name: &str| {
            let mut device = place.command(6, &format!("{programs}/device"));
            device.args(["--name", name, "--topic", "demo", "--broker", &address]);
            device.args(["--key", &file(&format!("{name}.key"))]);
            device.args(["--state", &file(&format!("{name}.e4state"))]);
            if c2 {
                device.args(["--c2-key", &file("c2.key.pub")]);
            }
            Session::start(&mut device, name)
        };
        let mut alice = start("alice")?;
        let mut bob = start("bob")?;
        alice.wait_for("connected")?;
        bob.wait_for("connected")?;
        let mut script = place.command(6, &format!("{programs}/init-keys"));
        script.args(["--topic", "demo", "--broker", &address]);
        for name in ["alice", "bob"] {
            script.args(["--key", &format!("{name}={}{suffix}", file(&format!("{name}.key")))]);
        }
        if c2 {
            script.args(["--c2-key", &file("c2.key")]);
        }
        run(&mut script)?;
        alice.say("the valve is open")?;
        bob.wait_for_start("< demo: the valve is open")?;
        bob.say("I hear")?;
        alice.wait_for_start("< demo: I hear")?;
        drop(bob);
        // From its state file alone.
        let mut bob = start("bob")?;
        bob.wait_for("connected")?;
        alice.say("and closed again")?;
        bob.wait_for_start("< demo: and closed again")?;
    }
    Ok(())
}

/// Key files for alice, bob and C2: made up, or, where they must be pairs, out of the vectors.
fn write_keys(folder: &Path, pairs: bool) -> Result<(), String> {
    uniffi::empty(folder)?;
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))
    };
    if !pairs {
        write("alice.key", &[1; 32])?;
        return write("bob.key", &[2; 32]);
    }
    let path = root().join("vectors/peers/shared_key.json");
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let field = |case: usize, name: &str| -> Result<Vec<u8>, String> {
        let digits = file.pointer(&format!("/cases/{case}/in/{name}")).and_then(Value::as_str);
        let digits = digits.ok_or_else(|| format!("a case without {name}"))?.as_bytes();
        let pair = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16);
        digits.chunks(2).map(|digits| pair(digits).map_err(|error| error.to_string())).collect()
    };
    for (case, name) in ["alice", "bob"].into_iter().enumerate() {
        write(&format!("{name}.key"), &field(case, "client_ed_private")?)?;
        write(&format!("{name}.key.pub"), &field(case, "client_ed_public")?)?;
    }
    write("c2.key", &field(0, "c2_x_private")?)?;
    write("c2.key.pub", &field(0, "c2_x_public")?)
}
