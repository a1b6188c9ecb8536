// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a device needs to begin with, as one line of text: for a QR code, or a file.
//!
//! ```text
//! e4:1?name=pump-1&mode=sk&key=…&broker=mqtt://mqtt.example.org:1883
//! e4:1?name=pump-1&mode=pk&key=…&c2=…&broker=mqtts://mqtt.example.org:8883
//! ```
//!
//! Version 1. The fields stand in this order, each once; `broker` may be left out. Keys are in
//! base64url without padding; bytes of a name or broker that are no letter, digit or one of
//! `-._~:/` are percent-encoded. A reader refuses everything else, other versions too.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e4::{C2PublicKey, ClientId, IdKey, Identity, SigningKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Error, Result};

/// With what it begins.
const START: &str = "e4:1?";
/// The longest text: a name of 255 bytes and a broker, all of them percent-encoded, and keys.
const LONGEST: usize = 2048;
/// The longest name of a host.
const HOST_MAX: usize = 255;

const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// Where a device finds its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl BrokerAddress {
    /// Reads `mqtt://HOST:PORT` or, for TLS, `mqtts://HOST:PORT`; without either it is as `tls`
    /// says.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(text: &str, tls: bool) -> Result<Self> {
        let wrong = || Error::invalid("broker", "is not [mqtt://|mqtts://]HOST:PORT");
        let (rest, tls) = match text.split_once("://") {
            None => (text, tls),
            Some(("mqtt", rest)) => (rest, false),
            Some(("mqtts", rest)) => (rest, true),
            Some(_) => return Err(wrong()),
        };
        let (host, digits) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let (host, bracketed) = match host.strip_prefix('[') {
            Some(host) => (host.strip_suffix(']').ok_or_else(wrong)?, true),
            None => (host, false),
        };
        let port: u16 = digits.parse().map_err(|_| wrong())?;
        let canonical = port.to_string() == digits && port != 0;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let fits = match bracketed {
            true => host.parse::<std::net::Ipv6Addr>().is_ok(),
            false => host.bytes().all(known),
        };
        if host.is_empty() || host.len() > HOST_MAX || !fits || !canonical {
            return Err(wrong());
        }
        Ok(Self { host: host.into(), port, tls })
    }

    /// Whether it is this machine to whoever looks there.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// The keys with which a device begins. Printing them shows their kind alone.
pub enum FirstKeys {
    /// Its id key.
    Symmetric(IdKey),
    /// Its signing key, and the public key of C2.
    Public(Box<SigningKey>, C2PublicKey),
}

/// What a device needs to begin with. Printing it shows no key.
#[derive(Debug)]
pub struct Provision {
    /// Name.
    pub name: String,
    /// Keys.
    pub keys: FirstKeys,
    /// Where its broker is.
    pub broker: Option<BrokerAddress>,
}

impl fmt::Debug for FirstKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FirstKeys::Symmetric(_) => "Symmetric",
            FirstKeys::Public(..) => "Public",
        })
    }
}

impl FirstKeys {
    /// From the key that C2 made, and C2's own public key, where there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key is none of that mode.
    pub fn new(secret: &[u8], c2: Option<C2PublicKey>) -> Result<Self> {
        match c2 {
            None => IdKey::from_slice(secret).map(FirstKeys::Symmetric),
            Some(c2) => {
                SigningKey::from_slice(secret).map(|key| FirstKeys::Public(Box::new(key), c2))
            }
        }
        .map_err(|_| Error::invalid("key", "is no key of this mode"))
    }
}

impl Provision {
    /// The text.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Room for all of it: a text that grows leaves copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(START);
        text.push_str("name=");
        text.extend(utf8_percent_encode(&self.name, PLAIN));
        match &self.keys {
            FirstKeys::Symmetric(key) => {
                text.push_str("&mode=sk&key=");
                push(&mut text, key.expose());
            }
            FirstKeys::Public(key, c2) => {
                text.push_str("&mode=pk&key=");
                push(&mut text, &*key.expose());
                text.push_str("&c2=");
                push(&mut text, c2.as_bytes());
            }
        }
        if let Some(broker) = &self.broker {
            text.push_str("&broker=");
            text.extend(utf8_percent_encode(&broker.to_string(), PLAIN));
        }
        text
    }

    /// Reads the text; spaces and line ends around it do not matter.
    ///
    /// # Errors
    /// [`Error::Invalid`], which says what is wrong and nothing of what is there.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let wrong = |why: &str| Error::invalid("code", why);
        if text.len() > LONGEST {
            return Err(wrong("is longer than any such code"));
        }
        let rest = match text.strip_prefix(START) {
            Some(rest) => rest,
            None if text.starts_with("e4:") => {
                return Err(wrong("has a version that this program does not know"));
            }
            None => return Err(wrong("does not begin with e4:1?")),
        };
        let mut fields = Fields { rest: rest.split('&'), field: None };
        let name = fields.take("name")?.ok_or_else(|| wrong("has no name first"))?;
        let name =
            decode(name).ok_or_else(|| wrong("has a name that is not encoded as it should"))?;
        e4::check_name(&name).map_err(|_| wrong("has a name that is empty or too long"))?;
        if name.chars().any(char::is_control) {
            return Err(wrong("has a name with control characters"));
        }
        let mode = fields.take("mode")?.ok_or_else(|| wrong("has no mode after the name"))?;
        let key = fields.take("key")?.ok_or_else(|| wrong("has no key after the mode"))?;
        let key = bytes(key).ok_or_else(|| wrong("has a key that is not base64url"))?;
        let c2 = match fields.take("c2")? {
            None => None,
            Some(text) => {
                let key = bytes(text).and_then(|bytes| C2PublicKey::from_slice(&bytes).ok());
                Some(key.ok_or_else(|| wrong("has a key of C2 that is none"))?)
            }
        };
        let broker = match fields.take("broker")? {
            None => None,
            Some(text) => {
                let text = decode(text).filter(|text| text.contains("://"));
                let broker = text.and_then(|text| BrokerAddress::parse(&text, false).ok());
                Some(broker.ok_or_else(|| wrong("has a broker that is none"))?)
            }
        };
        fields.end()?;
        let keys = match (mode, c2) {
            ("sk", None) | ("pk", Some(_)) => FirstKeys::new(&key, c2),
            ("sk" | "pk", _) => return Err(wrong("has a key of C2 in public-key mode alone")),
            _ => return Err(wrong("has a mode that is not sk or pk")),
        };
        let keys = keys.map_err(|_| wrong("has a key that is none of its mode"))?;
        Ok(Self { name, keys, broker })
    }

    /// The device that begins with it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the keys do not fit together.
    pub fn into_identity(self) -> Result<Identity> {
        let wrong = |error: e4::Error| Error::invalid("code", error);
        let id = ClientId::from_name(&self.name).map_err(wrong)?;
        match self.keys {
            FirstKeys::Symmetric(key) => Ok(Identity::symmetric(id, key)),
            FirstKeys::Public(key, c2) => Identity::public_key(id, *key, c2).map_err(wrong),
        }
    }
}

/// Fields in their order.
struct Fields<'a> {
    rest: std::str::Split<'a, char>,
    field: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// The value of the next field if that has this name.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>> {
        let Some(field) = self.field.take().or_else(|| self.rest.next()) else { return Ok(None) };
        match field.split_once('=') {
            None => Err(Error::invalid("code", "has a field without a value")),
            Some((found, value)) if found == name => Ok(Some(value)),
            Some(_) => {
                self.field = Some(field);
                Ok(None)
            }
        }
    }

    fn end(mut self) -> Result<()> {
        match self.field.take().or_else(|| self.rest.next()) {
            None => Ok(()),
            Some(_) => {
                let why = "has a field too many, twice or out of its place";
                Err(Error::invalid("code", why))
            }
        }
    }
}

fn push(text: &mut Zeroizing<String>, bytes: &[u8]) {
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
    text.push_str(&encoded);
}

fn bytes(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
}

/// Percent-decodes what was encoded as it is done here.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    let same = utf8_percent_encode(&decoded, PLAIN).to_string() == text;
    same.then_some(decoded)
}

#[cfg(test)]
mod tests {
    use e4::{C2SecretKey, IdKey, SigningKey};

    use super::{BrokerAddress, FirstKeys, Provision};

    fn symmetric(name: &str, broker: Option<&str>) -> Provision {
        let keys = FirstKeys::Symmetric(IdKey::from_slice(&[0xfb; 32]).unwrap());
        let broker = broker.map(|broker| BrokerAddress::parse(broker, false).unwrap());
        Provision { name: name.into(), keys, broker }
    }

    #[test]
    fn what_is_written_is_read() {
        let longest = "\u{1f600}".repeat(63);
        for name in ["pump-1", "Pumpe 1 & \u{e4}?=%", "a/b:c", "e4:1?name=x&mode=sk", &longest] {
            for broker in [None, Some("mqtts://mqtt.example.org:8883"), Some("[::1]:1883")] {
                let given = symmetric(name, broker);
                let text = given.to_text();
                assert!(text.len() <= super::LONGEST && text.is_ascii());
                let read = Provision::parse(&format!(" {}\r\n", *text)).unwrap();
                assert_eq!((read.name.as_str(), &read.broker), (name, &given.broker));
                assert_eq!(*read.to_text(), *text);
                read.into_identity().unwrap();
            }
        }
        let key = SigningKey::random().unwrap();
        let c2 = C2SecretKey::random().unwrap().public();
        let keys = FirstKeys::Public(Box::new(key), c2);
        let text = Provision { name: "pump".into(), keys, broker: None }.to_text();
        let read = Provision::parse(&text).unwrap();
        assert_eq!(*read.to_text(), *text);
        assert_eq!(format!("{read:?}"), "Provision { name: \"pump\", keys: Public, broker: None }");
        read.into_identity().unwrap();
    }

    #[test]
    fn a_text_for_ever() {
        let text = symmetric("pump 1", Some("mqtt.example.org:1883")).to_text();
        let whole = format!(
            "e4:1?name=pump%201&mode=sk&key={}&broker=mqtt://mqtt.example.org:1883",
            "-_v7".repeat(10) + "-_s"
        );
        assert_eq!(*text, whole);
    }

    #[test]
    fn nothing_else_is_read() {
        let key = "-_v7".repeat(10) + "-_s";
        let good = format!("e4:1?name=pump&mode=sk&key={key}");
        Provision::parse(&good).unwrap();
        let broker = format!("{good}&broker=mqtt://h:1");
        Provision::parse(&broker).unwrap();
        let c2 = "CQ".to_string() + &"A".repeat(41);
        let secret = SigningKey::random().unwrap();
        let pair = {
            use base64::Engine as _;
            super::URL_SAFE_NO_PAD.encode(*secret.expose())
        };
        let public = format!("e4:1?name=pump&mode=pk&key={pair}&c2={c2}");
        Provision::parse(&public).unwrap();
        for (flaw, text) in [
            ("empty", String::new()),
            ("no start", good.replace("e4:1?", "")),
            ("capital start", good.replace("e4:1", "E4:1")),
            ("another version", good.replace("e4:1", "e4:2")),
            ("longer version", good.replace("e4:1", "e4:10")),
            ("cut", good[..good.len() - 1].into()),
            ("longer key", format!("{good}A")),
            ("padded", format!("{good}=")),
            ("wrong letters", good.replace("-_v7", "+/v7")),
            ("bits that are left over", good.replace("-_s", "-_t")),
            ("a key of zeros", good.replace(&key, &"A".repeat(43))),
            ("no name", good.replace("name=pump&", "")),
            ("empty name", good.replace("pump", "")),
            ("long name", good.replace("pump", &"p".repeat(256))),
            ("control character", good.replace("pump", "pu%0Amp")),
            ("not UTF-8", good.replace("pump", "%ff")),
            ("NUL", good.replace("pump", "%00")),
            ("encoded for nothing", good.replace("pump", "%70ump")),
            ("small digits", good.replace("pump", "a%2fb")),
            ("not encoded", good.replace("pump", "pu mp")),
            ("not encoded, not ASCII", good.replace("pump", "p\u{fc}mp")),
            ("half a code", good.replace("pump", "pump%2")),
            ("no mode", good.replace("&mode=sk", "")),
            ("another mode", good.replace("mode=sk", "mode=SK")),
            ("public key without C2's", good.replace("mode=sk", "mode=pk")),
            ("key of another mode", public.replace("mode=pk", "mode=sk")),
            ("C2's key in symmetric mode", format!("{good}&c2={c2}")),
            ("no key of C2", public.replace(&format!("&c2={c2}"), "")),
            ("a key of C2 of zeros", public.replace(&c2, &"A".repeat(43))),
            ("a short key of C2", public.replace(&c2, "CQAA")),
            ("broker without scheme", broker.replace("mqtt://", "")),
            ("another scheme", broker.replace("mqtt", "http")),
            ("broker without port", broker.replace("h:1", "h")),
            ("port too large", broker.replace("h:1", "h:65536")),
            ("port zero", broker.replace("h:1", "h:0")),
            ("port of other digits", broker.replace("h:1", "h:01")),
            ("no host", broker.replace("h:1", ":1")),
            ("a path", broker.replace("h:1", "h:1/x")),
            ("a user", broker.replace("h:1", "u%40h:1")),
            ("field twice", format!("{good}&key={key}")),
            ("field too many", format!("{good}&x=y")),
            ("after the broker", format!("{broker}&c2={c2}")),
            ("another order", format!("e4:1?mode=sk&name=pump&key={key}")),
            ("no value", format!("{good}&broker")),
            ("two texts", format!("{good}\n{good}")),
            ("an end of its own", format!("{good}&")),
            ("too long", format!("{good}{}", " x".repeat(2000))),
        ] {
            let error = Provision::parse(&text).expect_err(flaw).to_string();
            assert!(!error.contains("-_v7") && !error.contains("pump"), "{flaw}: {error}");
        }
    }

    #[test]
    fn brokers() {
        for (text, tls, shown) in [
            ("h:1883", false, "mqtt://h:1883"),
            ("h:8883", true, "mqtts://h:8883"),
            ("mqtt://h:1883", true, "mqtt://h:1883"),
            ("mqtts://10.0.0.1:1", false, "mqtts://10.0.0.1:1"),
            ("[fe80::1]:1883", false, "mqtt://[fe80::1]:1883"),
        ] {
            assert_eq!(BrokerAddress::parse(text, tls).unwrap().to_string(), shown);
        }
        for text in ["", "h", "h:", ":1", "h:x", "h:+1", "[::1:1", "::1:1883", "ftp://h:1", "h h:1"]
        {
            assert!(BrokerAddress::parse(text, false).is_err(), "{text}");
        }
        assert!(BrokerAddress::parse("[::1]:1", false).unwrap().is_loopback());
        assert!(!BrokerAddress::parse("10.0.0.1:1", false).unwrap().is_loopback());
    }
}
