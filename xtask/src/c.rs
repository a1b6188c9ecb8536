// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The C library: its tests, its examples, and how it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::session::Session;
use crate::stage::{
    Mosquitto, Outcome, Stage, cargo, command, has, root, run, run_counting, target,
};
use crate::vectors_c;

/// What a program that is linked statically needs besides, on Linux with glibc.
const SYSTEM_LIBRARIES: &[&str] = &["-lpthread", "-ldl", "-lm"];
const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Builds `libe4.a` and `libe4.so`.
fn libraries(release: bool) -> Result<PathBuf, String> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    run(cargo().args(["build", "--quiet", "-p", "e4-c", "-p", "e4-c-shared"]).args(profile))?;
    Ok(target().join(if release { "release" } else { "debug" }))
}

fn folder(name: &str) -> Result<PathBuf, String> {
    let path = target().join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let folder = root().join(folder);
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|is| is == extension));
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Compiles one source against the library.
fn compile(
    compiler: &str,
    options: &[&str],
    source: &Path,
    program: &Path,
    libraries: &[&str],
) -> Result<(), String> {
    let mut compile = command(compiler);
    compile.args(options).args(WARNINGS).arg("-Iinclude").arg(source).arg("-o").arg(program);
    run(compile.args(libraries).args(SYSTEM_LIBRARIES))
}

/// Builds and runs `ctests/` with each compiler, under sanitizers, with the shared library, and
/// under valgrind, as far as they are installed.
pub fn ctests() -> Stage {
    let compilers: Vec<&str> = ["gcc", "clang"].into_iter().filter(|cc| has(cc)).collect();
    let Some(first) = compilers.first() else {
        return Ok(Outcome::Skipped("no C compiler is installed".into()));
    };
    let built = libraries(false)?;
    if root().join(".git").exists() && has("git") {
        // The build has brought it up to date; it must have been so.
        run(command("git").args(["diff", "--exit-code", "--stat", "--", "include/e4.h"]))?;
    }
    let work = folder("ctests")?;
    vectors_c::write(&work.join("vectors.txt"), true)?;
    vectors_c::write(&work.join("vectors-quick.txt"), false)?;
    let archive = built.join("libe4.a").to_string_lossy().into_owned();
    let mut count = 0;
    let mut ways = Vec::new();

    let sanitize = ["-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for compiler in &compilers {
        for (way, options) in [("", ["-std=c99", "-g"].as_slice()), ("-sanitized", &sanitize)] {
            for source in files("ctests", "c")? {
                let name = stem(&source);
                let program = work.join(format!("{name}-{compiler}{way}"));
                compile(compiler, options, &source, &program, &[&archive])?;
                count += test(command(&program), &name, &work, "vectors.txt")?;
            }
            ways.push(format!("{compiler}{way}"));
        }
    }
    for (compiler, of) in [("g++", "gcc"), ("clang++", "clang")] {
        if has(compiler) && compilers.contains(&of) {
            let program = work.join(format!("header-{compiler}"));
            let source = root().join("ctests/header.cpp");
            compile(compiler, &["-std=c++11"], &source, &program, &[&archive])?;
            count += run_counting(&mut command(&program))?;
            ways.push(format!("{compiler} (C++11)"));
        }
    }
    let search = format!("-L{}", built.display());
    let find = format!("-Wl,-rpath,{}", work.display());
    let soname = work.join("libe4.so.0");
    fs::copy(built.join("libe4.so"), &soname).map_err(|error| error.to_string())?;
    let program = work.join("roundtrip-shared");
    let source = root().join("ctests/roundtrip.c");
    let shared = [search.as_str(), "-Wl,-Bdynamic", "-l:libe4.so", find.as_str()];
    compile(first, &["-std=c99"], &source, &program, &shared)?;
    count += test(command(&program), "roundtrip", &work, "")?;
    ways.push("shared".into());
    if has("valgrind") {
        for source in files("ctests", "c")? {
            let name = stem(&source);
            let mut valgrind = command("valgrind");
            valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
            valgrind.arg("--suppressions=ctests/valgrind.supp");
            valgrind.arg(work.join(format!("{name}-{first}")));
            count += test(valgrind, &name, &work, "vectors-quick.txt")?;
        }
        ways.push("valgrind".into());
    }
    println!("{count} passed, 0 failed");
    Ok(Outcome::Passed(format!("{count} checks: {}", ways.join(", "))))
}

fn test(mut program: Command, name: &str, work: &Path, vectors: &str) -> Result<u64, String> {
    match name {
        "vectors" => program.arg(work.join(vectors)),
        "roundtrip" | "tasks" => program.arg(work.join(format!("{name}.e4state"))),
        _ => &mut program,
    };
    match run_counting(&mut program)? {
        0 => Err(format!("{name}: no check ran")),
        count => Ok(count),
    }
}

/// The version, as the header has it.
fn version() -> Result<String, String> {
    let header = fs::read_to_string(root().join("include/e4.h"));
    let header = header.map_err(|error| format!("include/e4.h: {error}"))?;
    let line = header.lines().find_map(|line| line.strip_prefix("#define E4_VERSION \""));
    line.map(|line| line.trim_end_matches('"').to_owned())
        .ok_or("no version in include/e4.h".into())
}

/// Puts header, libraries, pkg-config file and CMake package under a prefix.
pub fn install(prefix: &Path) -> Result<(), String> {
    let built = libraries(true)?;
    let version = &version()?;
    let fail = |error: std::io::Error| format!("{}: {error}", prefix.display());
    let include = prefix.join("include");
    let lib = prefix.join("lib");
    let pkgconfig = lib.join("pkgconfig");
    let cmake = lib.join("cmake/e4");
    for path in [&include, &pkgconfig, &cmake] {
        fs::create_dir_all(path).map_err(fail)?;
    }
    fs::copy(root().join("include/e4.h"), include.join("e4.h")).map_err(fail)?;
    fs::copy(built.join("libe4.a"), lib.join("libe4.a")).map_err(fail)?;
    let real = format!("libe4.so.{version}");
    fs::copy(built.join("libe4.so"), lib.join(&real)).map_err(fail)?;
    for (link, to) in [("libe4.so.0", real.as_str()), ("libe4.so", "libe4.so.0")] {
        let link = lib.join(link);
        let _ = fs::remove_file(&link);
        #[cfg(unix)]
        std::os::unix::fs::symlink(to, &link).map_err(fail)?;
        #[cfg(not(unix))]
        fs::copy(lib.join(to), &link).map(|_| ()).map_err(fail)?;
    }
    for (template, to) in [
        ("e4.pc.in", pkgconfig.join("e4.pc")),
        ("e4Config.cmake.in", cmake.join("e4Config.cmake")),
        ("e4ConfigVersion.cmake.in", cmake.join("e4ConfigVersion.cmake")),
    ] {
        let text = fs::read_to_string(root().join("bindings/c").join(template)).map_err(fail)?;
        let text = text.replace("@VERSION@", version);
        let text = text.replace("@SYSTEM_LIBRARIES@", &SYSTEM_LIBRARIES.join(" "));
        let system: Vec<&str> =
            SYSTEM_LIBRARIES.iter().filter_map(|name| name.strip_prefix("-l")).collect();
        fs::write(&to, text.replace("@SYSTEM_NAMES@", &system.join(";"))).map_err(fail)?;
    }
    println!("installed e4 {version} in {}", prefix.display());
    Ok(())
}

/// Installs into a folder of its own and builds a program against that, with pkg-config and with
/// CMake, shared and static.
pub fn install_test() -> Stage {
    if !has("gcc") {
        return Ok(Outcome::Skipped("gcc is not installed".into()));
    }
    let prefix = folder("install-test")?;
    install(&prefix)?;
    let lib = prefix.join("lib");
    let mut ways = Vec::new();
    if has("pkg-config") {
        for (way, options) in [("pkg-config", ""), ("pkg-config static", "--static")] {
            let found = command("pkg-config")
                .args(["--cflags", "--libs", "e4"])
                .args(options.split_whitespace())
                .env("PKG_CONFIG_PATH", lib.join("pkgconfig"))
                .output()
                .map_err(|error| format!("pkg-config: {error}"))?;
            if !found.status.success() {
                return Err(String::from_utf8_lossy(&found.stderr).into_owned());
            }
            let mut flags: Vec<String> =
                String::from_utf8_lossy(&found.stdout).split_whitespace().map(Into::into).collect();
            if !options.is_empty() {
                // What a program that wants libe4.a writes.
                flags.iter_mut().filter(|flag| *flag == "-le4").for_each(|flag| {
                    *flag = "-l:libe4.a".into();
                });
            }
            let program = prefix.join(way.replace(' ', "-"));
            run(command("gcc").arg("examples/c/minimal.c").arg("-o").arg(&program).args(&flags))?;
            run(command(&program).env("LD_LIBRARY_PATH", &lib))?;
            ways.push(way);
        }
    }
    if has("cmake") && (has("make") || has("ninja")) {
        let build = prefix.join("cmake-build");
        let path = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
        let source = root().join("bindings/c/consumer");
        run(command("cmake").arg("-S").arg(source).arg("-B").arg(&build).arg(path))?;
        run(command("cmake").arg("--build").arg(&build))?;
        run(&mut command(build.join("shared")))?;
        run(&mut command(build.join("static")))?;
        ways.push("CMake");
    }
    if ways.is_empty() {
        return Ok(Outcome::Skipped("neither pkg-config nor CMake is installed".into()));
    }
    Ok(Outcome::Passed(ways.join(", ")))
}

/// Builds `examples/c`, runs the two that need no broker, and lets two devices talk over Mosquitto.
pub fn examples() -> Stage {
    if !has("gcc") {
        return Ok(Outcome::Skipped("gcc is not installed".into()));
    }
    let built = libraries(false)?;
    let work = folder("c-examples")?;
    let archive = built.join("libe4.a").to_string_lossy().into_owned();
    for name in ["minimal", "flash_storage"] {
        let program = work.join(name);
        let source = root().join(format!("examples/c/{name}.c"));
        compile("gcc", &["-std=c99", "-g"], &source, &program, &[&archive])?;
        run(&mut command(&program))?;
    }
    let library = Path::new("/usr/include/mosquitto.h").is_file();
    if !library || Mosquitto::program().is_none() {
        return Ok(Outcome::Skipped(
            "minimal and flash_storage ran; mqtt_device needs mosquitto and libmosquitto".into(),
        ));
    }
    for name in ["mqtt_device", "mqtt_c2"] {
        let source = root().join(format!("examples/c/{name}.c"));
        let program = work.join(name);
        compile("gcc", &["-std=c99", "-g"], &source, &program, &[&archive, "-lmosquitto"])?;
    }
    talk(&work)?;
    Ok(Outcome::Passed("minimal, flash_storage, mqtt_device".into()))
}

/// Two devices get a key from C2; one speaks, the other understands; then one starts again from its
/// state file and still understands.
fn talk(work: &Path) -> Result<(), String> {
    let broker = Mosquitto::start()?;
    let address = broker.address();
    let port = address.rsplit(':').next().unwrap_or_default();
    let fail = |error: std::io::Error| error.to_string();
    for (name, byte) in [("alice", 1u8), ("bob", 2)] {
        fs::write(work.join(format!("{name}.key")), [byte; 32]).map_err(fail)?;
    }
    let mut alice = device(work, port, "alice")?;
    let mut bob = device(work, port, "bob")?;
    alice.wait_for("ready")?;
    bob.wait_for("ready")?;
    for name in ["alice", "bob"] {
        let mut c2 = command(work.join("mqtt_c2"));
        c2.args(["--host", "127.0.0.1", "--port", port, "--name", name, "--topic", "demo"]);
        c2.arg("--key-file").arg(work.join(format!("{name}.key")));
        c2.arg("--topic-key-file").arg(work.join("demo.key"));
        run(&mut c2)?;
    }
    alice.wait_for("command 3 applied")?;
    bob.wait_for("command 3 applied")?;
    bob.say("subscribe demo")?;
    bob.wait_for("subscribed")?;
    alice.say("send demo the valve is open")?;
    bob.wait_for("demo: the valve is open")?;
    drop(bob);
    let mut bob = device(work, port, "bob")?;
    bob.wait_for("ready")?;
    bob.say("subscribe demo")?;
    bob.wait_for("subscribed")?;
    alice.say("send demo and closed again")?;
    bob.wait_for("demo: and closed again")
}

fn device(work: &Path, port: &str, name: &str) -> Result<Session, String> {
    let mut device = command(work.join("mqtt_device"));
    device.args(["--host", "127.0.0.1", "--port", port, "--name", name]);
    device.arg("--key-file").arg(work.join(format!("{name}.key")));
    device.arg("--state").arg(work.join(format!("{name}.e4state")));
    Session::start(&mut device, name)
}
