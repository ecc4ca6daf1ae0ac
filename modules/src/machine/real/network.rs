//! Connections, with names resolved as far as a static program can.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{Command, Machine, Stream, UNRESOLVED};

impl Stream for TcpStream {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }
}

impl Stream for UnixStream {
    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }
}

/// Connects to the first address of a host that answers.
pub(super) fn connect(
    machine: &mut dyn Machine,
    host: &str,
    port: u16,
    timeout: Duration,
) -> io::Result<Box<dyn Stream>> {
    let end = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("`{host}` {UNRESOLVED}"));
    for address in resolve(machine, host, timeout)? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), left) {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to a Unix socket, which answers at once or not at all.
pub(super) fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Box<dyn Stream>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_timeout(Some(timeout))?;
    Ok(Box::new(stream))
}

/// The addresses of a host: a literal, `/etc/hosts`, else what `getent` says.
fn resolve(machine: &mut dyn Machine, host: &str, timeout: Duration) -> io::Result<Vec<IpAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known: Vec<IpAddr> = hosts
        .lines()
        .filter_map(|line| address_of(line, host))
        .collect();
    if !known.is_empty() {
        return Ok(known);
    }
    let command = Command {
        timeout: Some(timeout),
        ..Command::new(["getent", "ahosts", "--", host])
    };
    let output = machine.query(&command)?.stdout_text();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in output
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
    {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn address_of(line: &str, host: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_whitespace();
    let address = words.next()?.parse().ok()?;
    words
        .any(|name| name.eq_ignore_ascii_case(host))
        .then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_hosts() {
        assert_eq!(
            address_of("127.0.0.1\tlocalhost lo # x", "LO"),
            Some(IpAddr::from([127, 0, 0, 1]))
        );
        assert_eq!(address_of("127.0.0.1 localhost # lo", "lo"), None);
    }
}
