// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Key files: formats, modes, refusal.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::e4;

fn keygen(kind: &str, out: &Path, more: &[&str]) -> std::process::Output {
    e4().args(["keygen", "--type", kind, "--out"]).arg(out).args(more).output().unwrap()
}

#[test]
fn files_have_the_formats_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, length) in [("symmetric", 32), ("ed25519", 64), ("x25519", 32)] {
        let out = folder.path().join(kind);
        let output = keygen(kind, &out, &[]);
        assert!(output.status.success());
        let private = fs::read(&out).unwrap();
        assert_eq!(private.len(), length);
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!String::from_utf8_lossy(&output.stdout).contains(&hex::encode(&private)));
        let public = fs::read(folder.path().join(format!("{kind}.pub")));
        match kind {
            "symmetric" => assert!(public.is_err() && e4::IdKey::from_slice(&private).is_ok()),
            "ed25519" => {
                let key = e4::SigningKey::from_slice(&private).unwrap();
                assert_eq!(public.unwrap(), key.public().as_bytes());
            }
            _ => {
                let key = e4::C2SecretKey::from_slice(&private).unwrap();
                assert_eq!(public.unwrap(), key.public().as_bytes());
            }
        }
    }
}

#[test]
fn nothing_is_overwritten_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("k");
    fs::write(folder.path().join("k.pub"), "mine").unwrap();
    let output = keygen("ed25519", &out, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "));
    assert!(!out.exists());
    fs::write(&out, "old").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(keygen("ed25519", &out, &["--force", "--json"]).status.success());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn help_everywhere_and_usage_errors_are_two() {
    for command in [vec!["demo"], vec!["keygen"], vec!["device"], vec!["completions"]] {
        let output = e4().args(&command).arg("--help").output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command:?}");
    }
    assert_eq!(e4().arg("keygen").output().unwrap().status.code(), Some(2));
}
