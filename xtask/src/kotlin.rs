// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Kotlin package: generated, compiled with kotlinc, tested on the JVM.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::stage::{
    Mosquitto, Outcome, Stage, cargo, command, has, root, run, run_counting, target,
};
use crate::uniffi;

const COMPILER: &str = "2.4.20";
const COMPILER_SHA256: &str = "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f";
const TESTS: &[&str] = &["Broker", "Client", "Collect", "Storage", "Tasks", "Types"];

/// Where the compiler is put, and what is compiled.
fn work() -> PathBuf {
    target().join("kotlin")
}

/// What Debian calls them; elsewhere E4_JARS names a folder that holds them.
const JARS: &[&str] = &["jna.jar", "junit4.jar", "hamcrest-core.jar"];

fn jar(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("E4_JARS").map(PathBuf::from);
    let places = given.into_iter().chain(["/usr/share/java".into()]);
    places.map(|folder| folder.join(name)).find(|path| path.is_file())
}

struct Tools {
    kotlinc: PathBuf,
    /// The folder with kotlin-stdlib.jar and kotlin-test.jar.
    lib: PathBuf,
    jars: Vec<PathBuf>,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let hint = "cargo xtask kotlin --install";
        if !has("java") {
            return Err(format!("java is not installed; {hint}"));
        }
        let package = work().join("package");
        let kotlinc = package.join("bin/kotlinc");
        if !kotlinc.is_file() {
            return Err(format!("no kotlinc {COMPILER}; {hint}"));
        }
        let jars: Vec<_> = JARS.iter().filter_map(|name| jar(name)).collect();
        if jars.len() < JARS.len() {
            return Err(format!("{} are not all installed; {hint}", JARS.join(", ")));
        }
        Ok(Self { kotlinc, lib: package.join("lib"), jars })
    }

    fn path<'a>(&'a self, more: &[&'a Path]) -> String {
        let names = ["kotlin-stdlib.jar", "kotlin-test.jar", "kotlin-test-junit.jar"];
        let own = names.iter().map(|name| self.lib.join(name));
        let all = more.iter().map(|path| path.to_path_buf()).chain(self.jars.clone()).chain(own);
        all.map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().join(":")
    }

    /// Compiles, unless the jar was made from the same sources, and on the same base, in the same
    /// way.
    fn compile(
        &self,
        options: &[String],
        sources: &[PathBuf],
        base: &str,
        to: &Path,
    ) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        (COMPILER, options, base).hash(&mut hasher);
        for source in sources {
            fs::read(source).map_err(|error| error.to_string())?.hash(&mut hasher);
        }
        let stamp = to.with_extension("stamp");
        let now = format!("{:x}", hasher.finish());
        if to.is_file() && fs::read_to_string(&stamp).is_ok_and(|then| then == now) {
            return Ok(());
        }
        let mut kotlinc = command(&self.kotlinc);
        kotlinc.args(["-no-stdlib", "-no-reflect", "-jvm-target", "1.8"]).args(options);
        run(kotlinc.args(sources).arg("-d").arg(to))?;
        fs::write(&stamp, now).map_err(|error| error.to_string())
    }
}

/// Makes everything that is generated internal to the package: apps see `io.e4` alone.
pub fn hide(source: &str) -> String {
    let kinds = ["class", "interface", "object", "fun", "val"];
    let modifiers = ["abstract", "sealed", "open", "data", "inline", "enum"];
    let is_declaration = |line: &str| {
        let first = line.split(' ').find(|word| !modifiers.contains(word));
        first.is_some_and(|word| kinds.contains(&word))
    };
    let mut out = String::with_capacity(source.len() + 4096);
    for line in source.lines() {
        let bare = line.strip_prefix("public ").unwrap_or(line);
        let inner =
            ["    @Throws(Failure::class) ", "         */ "].into_iter().find_map(|start| {
                let rest = line.strip_prefix(start)?;
                rest.starts_with("fun ").then_some((start, rest))
            });
        match inner {
            Some((start, rest)) => out.extend([start, "internal ", rest]),
            None if is_declaration(bare) => out.extend(["internal ", bare]),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Generates the Kotlin code into a folder, and returns the library that it calls.
pub fn generate(to: &Path) -> Result<PathBuf, String> {
    let library = uniffi::library()?;
    uniffi::generate(&library, "kotlin", to)?;
    for file in uniffi::files(to, "kt")? {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        fs::write(&file, hide(&text)).map_err(|error| error.to_string())?;
    }
    Ok(library)
}

/// Sets up what is missing: packages of the system, if this is Debian, and the compiler.
pub fn install() -> Result<(), String> {
    let missing = JARS.iter().any(|name| jar(name).is_none()) || !has("java") || !has("npm");
    if missing && has("apt-get") {
        let packages = ["default-jre-headless", "libjna-java", "libjna-jni", "junit4"];
        let mut apt = command("apt-get");
        apt.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
        if !has("npm") {
            apt.arg("npm");
        }
        run(apt.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if work().join("package/bin/kotlinc").is_file() {
        return Ok(());
    }
    fs::create_dir_all(work()).map_err(|error| error.to_string())?;
    let packed = format!("kotlin-compiler-{COMPILER}.tgz");
    let in_work = |program: &str| {
        let mut command = command(program);
        command.current_dir(work());
        command
    };
    run(in_work("npm").args(["pack", "--silent", &format!("kotlin-compiler@{COMPILER}")]))?;
    let check = format!("echo '{COMPILER_SHA256}  {packed}' | sha256sum --check --quiet");
    run(in_work("sh").args(["-c", &check]))?;
    run(in_work("tar").args(["-xzf", &packed]))
}

/// Compiles the package and its tests; the library, the generated source, and the two jars.
struct Built {
    tools: Tools,
    library: PathBuf,
    package: PathBuf,
    tests: PathBuf,
}

fn build(tools: Tools) -> Result<Built, String> {
    let generated = work().join("generated");
    let library = generate(&generated)?;
    let sources = root().join("bindings/kotlin/e4/src");
    let package = work().join("e4.jar");
    let mut files = uniffi::files(&generated, "kt")?;
    files.extend(uniffi::files(&sources.join("main"), "kt")?);
    let path = tools.path(&[]);
    let options = ["-Xexplicit-api=strict".into(), "-cp".into(), path];
    tools.compile(&options, &files, "", &package)?;
    let tests = work().join("tests.jar");
    let mut files = uniffi::files(&sources.join("test"), "kt")?;
    files.extend(uniffi::files(&root().join("examples/kotlin"), "kt")?);
    let package_stamp = package.with_extension("stamp");
    let made_of = fs::read_to_string(package_stamp).map_err(|error| error.to_string())?;
    let options =
        [format!("-Xfriend-paths={}", package.display()), "-cp".into(), tools.path(&[&package])];
    tools.compile(&options, &files, &made_of, &tests)?;
    Ok(Built { tools, library, package, tests })
}

impl Built {
    /// `java`, by `env` so that the environment is part of what is printed.
    fn java(&self, environment: &[String]) -> std::process::Command {
        let mut java = command("env");
        // A heap of a fixed size: what grows besides is native memory, which a test watches.
        java.args(environment).args(["java", "-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch"]);
        let folder = self.library.parent().unwrap_or(Path::new("."));
        java.arg(format!("-Djna.library.path={}", folder.display()));
        let generated = work().join("generated/io/e4/ffi/e4.kt");
        java.arg(format!("-De4.generated={}", generated.display()));
        java.arg("-cp").arg(self.tools.path(&[&self.tests, &self.package]));
        java
    }

    fn vectors(&self, paths: &[PathBuf]) -> Result<u64, String> {
        run_counting(self.java(&[]).arg("io.e4.vectors.MainKt").args(paths))
    }
}

/// The folders of vectors that are there: of the repository, and what is shared beside it.
pub fn vector_folders() -> Vec<PathBuf> {
    let folders = [root().join("vectors"), root().join("../shared/vectors/peers")];
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

/// The stage: compile, test, run the vectors.
pub fn kotlin() -> Stage {
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let built = build(tools)?;
    let device = match std::env::var_os("E4_PROGRAM") {
        Some(program) => program.into(),
        None if Mosquitto::program().is_some() => {
            // The device of the tests with a broker.
            run(cargo().args(["build", "--quiet", "-p", "e4-c2"]))?;
            target().join("debug/e4")
        }
        None => PathBuf::new(),
    };
    let environment = [format!("E4_PROGRAM={}", device.display())];
    let classes = TESTS.iter().map(|name| format!("io.e4.{name}Test"));
    let tests = run_counting(built.java(&environment).arg("io.e4.MainKt").args(classes))?;
    run(built.java(&[]).arg("io.e4.examples.QuickstartKt"))?;
    let cases = built.vectors(&vector_folders())?;
    Ok(Outcome::Passed(format!("{tests} tests, {cases} cases of vectors")))
}

/// `cargo xtask kotlin --jar FILE`
pub fn jar_to(to: &Path) -> Result<(), String> {
    let built = build(Tools::find()?)?;
    uniffi::copy(&built.package, to)
}

/// `cargo xtask kotlin -- vectors PATH...`
pub fn vectors(paths: &[&str]) -> Result<(), String> {
    let here = std::env::current_dir().map_err(|error| error.to_string())?;
    let paths: Vec<_> = paths.iter().map(|path| here.join(path)).collect();
    build(Tools::find()?)?.vectors(&paths).map(drop)
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn declarations_become_internal() {
        let source = "public object FfiConverterX: A {\n    fun x() {}\nopen class Y\nprivate class Z\n\
                      internal val a = 1\nsealed class Q\n// class\n    @Throws(Failure::class) fun f()\n";
        let hidden = hide(source);
        let lines: Vec<_> = hidden.lines().collect();
        assert_eq!(
            lines[..3],
            ["internal object FfiConverterX: A {", "    fun x() {}", "internal open class Y"]
        );
        assert_eq!(
            lines[3..6],
            ["private class Z", "internal val a = 1", "internal sealed class Q"]
        );
        assert_eq!(lines[6..], ["// class", "    @Throws(Failure::class) internal fun f()"]);
    }
}
