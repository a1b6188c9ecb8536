// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A network that breaks on demand: each wire is a port that leads to the broker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

#[derive(Clone, Copy, Default)]
struct State {
    /// Connections of earlier generations are over.
    generation: u64,
    frozen: bool,
}

pub struct Network {
    runtime: Arc<Runtime>,
    broker: SocketAddr,
}

/// One party's way to the broker.
pub struct Wire {
    pub port: u16,
    state: watch::Sender<State>,
}

impl Network {
    pub fn new(broker: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .unwrap();
        Self { runtime: Arc::new(runtime), broker }
    }

    pub fn wire(&self) -> Wire {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, state) = watch::channel(State::default());
        let broker = self.broker;
        self.runtime.spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(carry(inner, broker, state.clone()));
            }
        });
        Wire { port, state: sender }
    }
}

impl Wire {
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    pub fn freeze(&self, frozen: bool) {
        self.state.send_modify(|state| state.frozen = frozen);
    }
}

async fn carry(inner: TcpStream, broker: SocketAddr, state: watch::Receiver<State>) {
    let generation = state.borrow().generation;
    let Ok(outer) = TcpStream::connect(broker).await else { return };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    let (inner_read, inner_write) = inner.into_split();
    let (outer_read, outer_write) = outer.into_split();
    // The end of one direction is the end of both.
    tokio::select! {
        () = pump(inner_read, outer_write, state.clone(), generation) => {}
        () = pump(outer_read, inner_write, state, generation) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    generation: u64,
) {
    let mut buffer = vec![0; 1 << 14];
    loop {
        let now = *state.borrow_and_update();
        if now.generation != generation {
            return;
        }
        if now.frozen {
            if state.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => {
                    if to.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
