// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A service with pages over it, and a browser, as far as it matters here.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use e4::Mode;
use e4_c2::api::{Api, Settings};
use e4_c2::domain::Role;
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;

use crate::common::database::{Hands, NOON, ann, store};
use crate::common::fleet::service;
use crate::common::world::World;

/// A service with pages over it.
pub struct Place {
    pub service: Service,
    pub clock: Arc<Hands>,
    pub world: Arc<World>,
    pub engine: Engine,
    pub api: Api,
    pub address: SocketAddr,
}

impl Place {
    pub fn new(mode: Mode, open: bool) -> Self {
        let store = store(Box::new(Sqlite::memory().unwrap()), mode);
        let clock = Hands::at(NOON);
        Self::over(Service::new(Arc::new(store), clock.clone()), clock, open)
    }

    /// At the time of the system, as the devices of a world have it.
    pub fn now() -> Self {
        let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
        Self::over(service, Hands::at(NOON), false)
    }

    pub fn over(service: Service, clock: Arc<Hands>, open: bool) -> Self {
        let world = World::new();
        let engine = world.engine(&service);
        let api = serve(&service, &engine, open);
        let address = api.addresses()[0];
        Self { service, clock, world, engine, api, address }
    }

    pub fn token(&self, name: &str, role: Role, expires_at: Option<i64>) -> String {
        let name = name.to_string();
        let new = NewToken { name, role, messages: false, expires_at, certificate: None };
        self.service.create_token(&ann(), &new).unwrap().unwrap().to_string()
    }

    pub fn visitor(&self) -> Visitor {
        Visitor { address: self.address, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    pub fn signed_in(&self, name: &str, role: Role) -> Visitor {
        let token = self.token(name, role, None);
        let mut visitor = self.visitor();
        assert_eq!(visitor.sign_in(&token).status, 303);
        visitor
    }

    pub fn refusals(&self) -> Vec<String> {
        let records = self.service.audit_records(0, 1000).unwrap();
        let refused = records.into_iter().filter(|record| record.action == "refused");
        refused.map(|record| format!("{} {}", record.actor, record.detail)).collect()
    }
}

pub fn serve(service: &Service, engine: &Engine, open: bool) -> Api {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    Api::start(Settings { listen, tls: None, open, automation: Vec::new() }, service, engine)
        .unwrap()
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What its forms carry.
    pub fn form_token(&self) -> String {
        let text = self.text();
        let after = text.split("name=\"form-token\" value=\"").nth(1).expect("a form");
        after.split('"').next().unwrap().to_string()
    }
}

/// A browser, as far as it matters here.
#[derive(Clone)]
pub struct Visitor {
    pub address: SocketAddr,
    pub cookies: BTreeMap<String, String>,
    pub headers: Vec<(&'static str, String)>,
}

impl Visitor {
    pub fn send(&mut self, verb: &str, path: &str, body: &str) -> TcpStream {
        let host = self.headers.iter().find(|(name, _)| *name == "host");
        let host = host.map_or(self.address.to_string(), |(_, host)| host.clone());
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\naccept: text/html\r\n\
             cookie: {}\r\ncontent-length: {}\r\n",
            cookies.join("; "),
            body.len()
        );
        if verb == "POST" {
            head += "content-type: application/x-www-form-urlencoded\r\n";
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "host") {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub fn call(&mut self, verb: &str, path: &str, body: &str) -> Answer {
        let mut bytes = Vec::new();
        self.send(verb, path, body).read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_string(), value.to_string())
        };
        let headers: Vec<_> = lines.map(pair).collect();
        for (_, value) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = value.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        let body = &bytes[end + 4..];
        let body = if chunked { whole(body) } else { body.to_vec() };
        Answer { status, headers, body }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    /// Fills the form of a page and posts it.
    pub fn post(&mut self, page: &str, to: &str, fields: &str) -> Answer {
        let token = self.get(page).form_token();
        self.call("POST", to, &format!("form-token={token}&{fields}"))
    }

    pub fn sign_in(&mut self, token: &str) -> Answer {
        self.post("/sign-in", "/sign-in", &format!("token={token}"))
    }
}

/// What came in chunks.
fn whole(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").expect("a length");
        let length = std::str::from_utf8(&chunks[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&chunks[end + 2..end + 2 + length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
}
