// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 keygen`: the files of PROTOCOL section 10.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use e4::{C2SecretKey, IdKey, SigningKey};

use super::failure::Failure;

/// Make a random key or key pair in files
///
/// symmetric: FILE has 32 bytes, the id key of an SK device.
/// ed25519:   FILE has 64 bytes, the private key of a PK device; FILE.pub has 32.
/// x25519:    FILE has 32 bytes, the private key of C2 in PK mode; FILE.pub has 32.
///
/// All are raw bytes. Private files have mode 0600. Nothing is overwritten without --force.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  e4 keygen --type symmetric --out pump-1.key
  e4 keygen --type ed25519 --out pump-1.key     # and pump-1.key.pub
  e4 keygen --type x25519 --out c2.key          # and c2.key.pub"
)]
pub struct Arguments {
    /// What to make
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// Where the private key goes; a public key goes to FILE.pub
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Symmetric key
    Symmetric,
    /// Ed25519 key pair
    Ed25519,
    /// X25519 key pair
    X25519,
}

/// Makes the key and writes the files.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let public = beside(&arguments.out, ".pub");
    let has_public = !matches!(arguments.kind, Kind::Symmetric);
    let files = [Some(&arguments.out), has_public.then_some(&public)];
    let existing = files.into_iter().flatten().find(|file| file.exists());
    if let (Some(file), false) = (existing, arguments.force) {
        return Err(Failure::new(format!("{} exists", file.display()))
            .hint("give another --out, or --force to overwrite the key that is there"));
    }
    match arguments.kind {
        Kind::Symmetric => write(&arguments.out, IdKey::random()?.expose(), true)?,
        Kind::Ed25519 => {
            let key = SigningKey::random()?;
            write(&arguments.out, &*key.expose(), true)?;
            write(&public, key.public().as_bytes(), false)?;
        }
        Kind::X25519 => {
            let key = C2SecretKey::random()?;
            write(&arguments.out, key.expose(), true)?;
            write(&public, key.public().as_bytes(), false)?;
        }
    }
    let out = arguments.out.display().to_string();
    let public = has_public.then(|| public.display().to_string());
    if arguments.json {
        println!("{}", serde_json::json!({ "private": out, "public": public }));
    } else {
        println!("private key: {out}");
        public.iter().for_each(|public| println!("public key:  {public}"));
    }
    Ok(())
}

/// Writes a whole file or none: a temporary file beside it, synced, then renamed.
pub fn write(path: &Path, bytes: &[u8], private: bool) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let written = (|| -> io::Result<()> {
        // A temporary file is made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        if !private {
            readable_by_all(file.as_file())?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    })();
    written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &std::fs::File) -> io::Result<()> {
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
