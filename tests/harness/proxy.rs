//! A TCP proxy on loopback that counts what passes, and passes it late.
//!
//! A **turn** is counted each time the client begins to send after the server has sent (or before
//! anything was sent), seen from the client's end of the line: bytes for the client count when they
//! are delivered, bytes from the client when they arrive. A client that sends, waits for the answer
//! and sends again makes two turns, however many packets each of them takes. It is an upper bound
//! of what the client waits for: a message that waits for nothing (a window adjustment of SSH, the
//! second of two requests under way) is a turn too when an answer happens to arrive before it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What went through a proxy since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// TCP connections.
    pub(crate) connections: u64,
    /// Turns, see the module.
    pub(crate) turns: u64,
    /// Bytes from clients.
    pub(crate) to_server: u64,
    /// Bytes for clients.
    pub(crate) to_client: u64,
}

/// A running proxy; it stops listening when dropped. Open connections end with their ends.
pub(crate) struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    counts: Arc<Mutex<Counts>>,
    stopping: Arc<AtomicBool>,
}

/// What both directions of one connection know: the counts, and who was heard last.
#[derive(Clone)]
struct Line {
    counts: Arc<Mutex<Counts>>,
    client_spoke: Arc<Mutex<bool>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Server,
    Client,
}

impl Proxy {
    /// Passes connections on to the server; each byte arrives `delay` later than it would have.
    pub(crate) fn start(server: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let proxy = Self {
            port: listener.local_addr()?.port(),
            counts: Arc::default(),
            stopping: Arc::default(),
        };
        let (counts, stopping) = (Arc::clone(&proxy.counts), Arc::clone(&proxy.stopping));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let line = Line {
                    counts: Arc::clone(&counts),
                    client_spoke: Arc::default(),
                };
                // The client sees a refusal as an end of its connection.
                let _ = line.connect(client, server, delay);
            }
        });
        Ok(proxy)
    }

    /// What went through so far.
    pub(crate) fn counts(&self) -> Counts {
        *locked(&self.counts)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Line {
    fn connect(&self, client: TcpStream, server: SocketAddr, delay: Duration) -> io::Result<()> {
        let server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        locked(&self.counts).connections += 1;
        self.pass(To::Server, client.try_clone()?, server.try_clone()?, delay);
        self.pass(To::Client, server, client, delay);
        Ok(())
    }

    /// One direction: a thread that reads, and one that writes when it is time.
    fn pass(&self, to: To, mut from: TcpStream, mut into: TcpStream, delay: Duration) {
        let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
        let line = self.clone();
        thread::spawn(move || {
            while let Ok((time, bytes)) = receiver.recv() {
                thread::sleep(time.saturating_duration_since(Instant::now()));
                if to == To::Client {
                    line.count(to, bytes.len());
                }
                if into.write_all(&bytes).is_err() {
                    // The reader must not fill a queue that nobody empties.
                    let _ = into.shutdown(Shutdown::Both);
                    return;
                }
            }
            let _ = into.shutdown(Shutdown::Write);
        });
        let line = self.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if to == To::Server {
                    line.count(to, length);
                }
                if sender
                    .send((Instant::now() + delay, buffer[..length].to_vec()))
                    .is_err()
                {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            }
        });
    }

    fn count(&self, to: To, length: usize) {
        let mut counts = locked(&self.counts);
        let mut client_spoke = locked(&self.client_spoke);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        match to {
            To::Server => {
                counts.to_server += length;
                counts.turns += u64::from(!*client_spoke);
            }
            To::Client => counts.to_client += length,
        }
        *client_spoke = to == To::Server;
    }
}

/// A panic elsewhere leaves numbers that are still whole.
fn locked<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
