//! An SSH server within the tests, which stands in for OpenSSH's where hundreds of connections are
//! needed: it lets everybody in, and runs command lines with `sh` as the user of the tests.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelMsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// A running server; it takes no more connections when it is dropped.
pub(crate) struct StandIn {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    listening: JoinHandle<()>,
}

impl StandIn {
    /// Starts a server on an address of loopback and a free port.
    pub(crate) async fn start(address: [u8; 4]) -> io::Result<Self> {
        let mut random = [0; 32];
        io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
        let key = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&random);
        let key = PrivateKey::from(key);
        debug_assert_eq!(key.algorithm(), Algorithm::Ed25519);
        let config = Arc::new(Config {
            keys: vec![key],
            auth_rejection_time: Duration::ZERO,
            nodelay: true,
            ..Config::default()
        });
        let listener = TcpListener::bind(SocketAddr::from((address, 0))).await?;
        let address = listener.local_addr()?;
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = run_stream(config, stream, Guest).await {
                        // How it ends is the client's business.
                        let _ = session.await;
                    }
                });
            }
        });
        Ok(Self { address, listening })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Whoever has connected.
struct Guest;

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(serve(channel));
        Ok(())
    }
}

/// Serves a channel: one command line.
async fn serve(mut channel: Channel<Msg>) {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => {
                let line = String::from_utf8_lossy(&command).into_owned();
                let child = Command::new("sh")
                    .args(["-c", &line])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn();
                if let Ok(child) = child {
                    run(channel, child).await;
                }
                return;
            }
            Some(_) => {}
            None => return,
        }
    }
}

/// Passes the streams of a program on. Those of a connection that breaks are closed, and the program is
/// left to itself, as OpenSSH's server leaves it.
async fn run(mut channel: Channel<Msg>, mut child: Child) {
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return;
    };
    let mut input: Option<ChildStdin> = child.stdin.take();
    let (mut from_out, mut from_err) = (vec![0; 32 << 10], vec![0; 4 << 10]);
    let mut open = (true, true);
    while open.0 || open.1 {
        tokio::select! {
            read = out.read(&mut from_out), if open.0 => match read {
                Ok(count @ 1..) => {
                    if channel.data(&from_out[..count]).await.is_err() {
                        return;
                    }
                }
                _ => open.0 = false,
            },
            read = err.read(&mut from_err), if open.1 => match read {
                Ok(count @ 1..) => {
                    if channel.extended_data(1, &from_err[..count]).await.is_err() {
                        return;
                    }
                }
                _ => open.1 = false,
            },
            message = channel.wait() => match message {
                Some(ChannelMsg::Data { data }) => {
                    if let Some(stream) = &mut input
                        && stream.write_all(&data).await.is_err()
                    {
                        input = None;
                    }
                }
                Some(ChannelMsg::Eof) => input = None,
                Some(ChannelMsg::Close) | None => return,
                Some(_) => {}
            },
        }
    }
    if let Ok(status) = child.wait().await {
        let code = status.code().and_then(|code| u32::try_from(code).ok());
        // The client may have gone.
        let _ = channel.exit_status(code.unwrap_or(255)).await;
    }
    let _ = channel.close().await;
}
