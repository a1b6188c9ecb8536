// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A browser, as far as the forms of pages need one.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// What is between two texts, the first time.
    pub fn between(&self, before: &str, after: &str) -> String {
        let rest = self.text.split_once(before).unwrap_or_else(|| panic!("no {before}")).1;
        rest.split_once(after).unwrap().0.replace("&amp;", "&").replace("&quot;", "\"")
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        self.between(&format!("name=\"{name}\" value=\""), "\"")
    }
}

pub fn encoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl Browser {
    /// Signs in with a token.
    pub fn sign_in(address: SocketAddr, token: &str) -> Self {
        let mut browser = Self { address, cookies: BTreeMap::new() };
        let page = browser.post_from("/sign-in", "/sign-in", &[("token", token)]);
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    pub fn get(&mut self, path: &str) -> Page {
        self.call("GET", path, "")
    }

    /// Sends a form of another page.
    pub fn post_from(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(from).field("form-token");
        let mut all = fields.to_vec();
        all.push(("form-token", &token));
        self.call("POST", path, &encoded(&all))
    }

    fn call(&mut self, verb: &str, path: &str, body: &str) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            cookies.join("; "),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = head
            .lines()
            .skip(1)
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_string()))
            .collect();
        for (_, value) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = value.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.into(), value.into());
        }
        Page { status, headers, text: text.into() }
    }
}
