// SPDX-License-Identifier: Apache-2.0 OR MIT
//! With the feature `otel`: spans of the server reach a collector, and name nobody.
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::database::{join, new_client, new_topic};
use common::fleet::apply;

/// Takes requests in, and says yes to each.
fn collect(listener: &TcpListener) -> Vec<u8> {
    let mut all = Vec::new();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut part = [0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        all.extend(&part[..length]);
        // The body may come in a piece of its own.
        if all.windows(14).any(|at| at == b"database.write") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            break;
        }
    }
    all
}

#[test]
fn spans_reach_a_collector() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("key"), [7; 32]).unwrap();
    let database = e4_c2::store::Sqlite::file(&data.join("c2.sqlite")).unwrap();
    let service = common::fleet::service(Box::new(database), e4::Mode::Symmetric);
    apply(&service, new_client("pump"));
    apply(&service, new_topic("plant/a"));
    apply(&service, join("plant/a", "pump"));
    let port = || format!("127.0.0.1:{}", common::free_port());
    let mut server = common::e4()
        .args(["serve", "--data", data.to_str().unwrap(), "--embedded-listen", &port()])
        .args(["--grpc-listen", &port(), "--http-listen", &port()])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // They are sent every five seconds, and at the end.
    std::thread::sleep(Duration::from_secs(2));
    let ended = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(ended.success());
    let heard = collect(&listener);
    drop(listener);
    assert!(server.wait().unwrap().success());
    let text = String::from_utf8_lossy(&heard);
    assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("database.write") && text.contains("reconcile.work"));
    assert!(!text.contains("pump") && !text.contains("plant"));
}
