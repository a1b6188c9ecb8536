// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A device that was killed in the middle of a QoS 2 delivery comes back to a session in which the
//! broker has a release to send, of a message that the device does not remember. It is answered
//! (MQTT 3.1.1, 4.3.3), and life goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use e4_c2::transport::{Event, Link, Options};

const CONNACK_SESSION_PRESENT: [u8; 4] = [0x20, 2, 1, 0];
const PUBREL: [[u8; 4]; 2] = [[0x62, 2, 0, 7], [0x62, 2, 0xff, 0xff]];
const PUBCOMP: [[u8; 4]; 2] = [[0x70, 2, 0, 7], [0x70, 2, 0xff, 0xff]];
/// QoS 0, topic `t`, payload `hello`.
const PUBLISH: &[u8] = b"\x30\x08\x00\x01thello";

#[test]
fn a_release_of_an_unknown_message_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = std::thread::spawn(move || {
        // It may take another connection, as it does where this one breaks.
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut heard = vec![0; 1 << 10];
            assert!(connection.read(&mut heard).unwrap() > 0, "no CONNECT");
            connection.write_all(&CONNACK_SESSION_PRESENT).unwrap();
            connection.write_all(&PUBREL.concat()).unwrap();
            let mut heard = [0; 8];
            if connection.read_exact(&mut heard).is_ok() {
                assert_eq!(heard.to_vec(), PUBCOMP.concat());
                connection.write_all(PUBLISH).unwrap();
                return connection;
            }
        }
        unreachable!()
    });
    let (sender, events) = channel();
    let options = Options::new("127.0.0.1", port, "pump");
    let options = Options { persistent: true, ..options };
    let _link = Link::connect(&options, move |event| sender.send(event).is_ok()).unwrap();
    loop {
        let event = events.recv_timeout(Duration::from_secs(20)).expect("nothing arrives");
        if let Event::Message { payload, .. } = event {
            assert_eq!(payload, b"hello");
            break;
        }
    }
    drop(broker.join().unwrap());
}
