//! A TCP proxy on loopback that does harm: it cuts, holds, delays and changes what passes, at places
//! that a seed chooses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Numbers that a seed decides (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// What passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) bytes: u64,
    /// How often something came: a packet each, mostly.
    pub(crate) pieces: u64,
}

/// Where harm is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Within or between packets.
    Bytes(u64),
    /// Between packets.
    Pieces(u64),
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Both ends see the connection close.
    Cut,
    /// The client does; the server believes in it for this time.
    CutClient(Duration),
    /// The server does; the client believes in it for this time.
    CutServer(Duration),
    Delay(Duration),
    /// A byte becomes another one.
    Garble,
}

/// One harm to one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) to_server: bool,
    pub(crate) after: After,
    pub(crate) harm: Harm,
}

/// What went through, to the server and to the client, over all connections.
#[derive(Default)]
struct Totals([AtomicU64; 4]);

/// A running proxy, which ends with its connections when it is dropped.
pub(crate) struct Faulty {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    totals: Arc<Totals>,
    listening: JoinHandle<()>,
}

impl Faulty {
    /// Passes connections on to the server, each with the fault that is its own; further ones without.
    pub(crate) async fn start(server: SocketAddr, faults: Vec<Fault>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let totals = Arc::<Totals>::default();
        let counted = Arc::clone(&totals);
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut faults = faults.into_iter();
            while let Ok((client, _)) = listener.accept().await {
                let (fault, totals) = (faults.next(), Arc::clone(&counted));
                connections.spawn(async move {
                    // A connection that cannot be made is seen by the client as one that ends.
                    let _ = connection(client, server, fault, totals).await;
                });
            }
        });
        Ok(Self {
            port,
            totals,
            listening,
        })
    }

    /// What went through so far: to the server, and to the client.
    pub(crate) fn passed(&self) -> (Passed, Passed) {
        let read = |at: usize| self.totals.0[at].load(Ordering::Relaxed);
        let of = |at: usize| Passed {
            bytes: read(at),
            pieces: read(at + 1),
        };
        (of(0), of(2))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn connection(
    client: TcpStream,
    server: SocketAddr,
    fault: Option<Fault>,
    totals: Arc<Totals>,
) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Who holds these holds the connection.
    let held = |stream: TcpStream| -> io::Result<_> {
        let stream = stream.into_std()?;
        Ok((TcpStream::from_std(stream.try_clone()?)?, stream))
    };
    let ((client, client_end), (server, server_end)) = (held(client)?, held(server)?);
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (sender, mut harms) = mpsc::channel(1);
    let mut ways = JoinSet::new();
    let mine = |to_server: bool| fault.filter(|fault| fault.to_server == to_server);
    let line = |at: usize, to_server: bool| Way {
        fault: mine(to_server),
        harms: sender.clone(),
        totals: Arc::clone(&totals),
        at,
    };
    ways.spawn(line(0, true).pass(from_client, to_server));
    ways.spawn(line(2, false).pass(from_server, to_client));
    drop(sender);
    let harm = harms.recv().await;
    ways.shutdown().await;
    match harm {
        Some(Harm::CutClient(time)) => {
            drop(client_end);
            tokio::time::sleep(time).await;
            drop(server_end);
        }
        Some(Harm::CutServer(time)) => {
            drop(server_end);
            tokio::time::sleep(time).await;
            drop(client_end);
        }
        _ => {}
    }
    Ok(())
}

/// One direction of a connection.
struct Way {
    fault: Option<Fault>,
    harms: mpsc::Sender<Harm>,
    totals: Arc<Totals>,
    /// Where its totals are.
    at: usize,
}

impl Way {
    async fn pass(mut self, mut from: impl AsyncRead + Unpin, mut into: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 1 << 16];
        let mut passed = Passed::default();
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let piece = &mut buffer[..length];
            let here = match self.fault.map(|fault| fault.after) {
                Some(After::Bytes(at)) if at < passed.bytes + length as u64 => {
                    usize::try_from(at.saturating_sub(passed.bytes)).ok()
                }
                Some(After::Pieces(at)) if at <= passed.pieces => Some(0),
                _ => None,
            };
            passed.bytes += length as u64;
            passed.pieces += 1;
            self.totals.0[self.at].fetch_add(length as u64, Ordering::Relaxed);
            self.totals.0[self.at + 1].fetch_add(1, Ordering::Relaxed);
            if let Some(here) = here {
                match self.fault.take().map(|fault| fault.harm) {
                    Some(Harm::Delay(time)) => tokio::time::sleep(time).await,
                    Some(Harm::Garble) => piece[here] ^= 0x41,
                    Some(harm) => {
                        let _ = into.write_all(&piece[..here]).await;
                        // The other direction may have been first.
                        let _ = self.harms.try_send(harm);
                        return;
                    }
                    None => {}
                }
            }
            if into.write_all(piece).await.is_err() {
                return;
            }
        }
        let _ = into.shutdown().await;
    }
}
