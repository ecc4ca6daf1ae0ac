//! Many hosts in one run: SSH servers on loopback addresses, real ones and some of our own, and this machine
//! under many names.
//!
//! `RPLAY_SCALE=100,900,1000,10` says how many of each there are and how many work at a time, and has the figures
//! told; without it there are few.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use russh::server::{Auth, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelMsg, keys, server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::Server;
use crate::harness::scenario::{self, eventually};

/// Twenty tasks, most of which change something or start a program.
const TASKS: &str = r#"
    - file: {path: "{{ place }}", state: directory}
    - copy: {content: "{{ inventory_hostname }}\n", dest: "{{ place }}/name"}
    - lineinfile: {path: "{{ place }}/name", line: second}
    - stat: {path: "{{ place }}/name"}
      register: s
    - assert: {that: s.stat.size > 7, quiet: true}
    - command: cat "{{ place }}/name"
      register: c
    - assert: {that: "c.stdout_lines == [inventory_hostname, 'second']", quiet: true}
    - slurp: {src: "{{ place }}/name"}
      register: r
    - set_fact: {read: "{{ r.content | b64decode }}"}
    - copy: {content: "{{ read }}", dest: "{{ place }}/copy", mode: "0600"}
    - file: {path: "{{ place }}/copy", mode: "0640"}
    - blockinfile: {path: "{{ place }}/copy", block: "a\nb"}
    - replace: {path: "{{ place }}/copy", regexp: second, replace: third}
    - find: {paths: "{{ place }}"}
      register: f
    - assert: {that: f.matched == 2, quiet: true}
    - file: {src: copy, dest: "{{ place }}/link", state: link}
    - command: readlink "{{ place }}/link"
    - copy: {content: "{{ 'x' * 10000 }}", dest: "{{ place }}/large"}
    - file: {path: "{{ place }}", state: absent}
    - ping:
"#;

/// How many of a kind there are.
struct Sizes {
    real: usize,
    own: usize,
    local: usize,
    forks: usize,
    tell: bool,
}

impl Sizes {
    fn wanted() -> Result<Self, String> {
        let text = std::env::var("RPLAY_SCALE").ok();
        let tell = text.is_some();
        let text = text.unwrap_or_else(|| "4,28,24,20".to_owned());
        let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[real, own, local, forks]) => Ok(Self {
                real,
                own,
                local,
                forks,
                tell,
            }),
            _ => Err(format!("RPLAY_SCALE is `{text}`, not four numbers")),
        }
    }
}

/// A host's address: 127.BLOCK.x.y.
fn address(block: u8, number: usize) -> Ipv4Addr {
    let (high, low) = (number / 250, number % 250 + 1);
    Ipv4Addr::new(
        127,
        block,
        u8::try_from(high).unwrap_or(255),
        u8::try_from(low).unwrap_or(1),
    )
}

/// Processes that end with the test.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Real servers, a process each.
fn real(server: &Server, count: usize) -> Result<Children, String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let text = std::fs::read_to_string(server.file("sshd_config")).map_err(fault)?;
    let own = |line: &&str| !line.starts_with("ListenAddress") && !line.starts_with("PidFile");
    let text: Vec<&str> = text.lines().filter(own).collect();
    let config = server.file("sshd_scale");
    std::fs::write(&config, text.join("\n") + "\nPidFile none\nUsePAM no\n").map_err(fault)?;
    let mut children = Children(vec![]);
    for number in 0..count {
        let mut command = Command::new("/usr/sbin/sshd");
        command.arg("-D").arg("-f").arg(&config);
        command
            .arg("-o")
            .arg(format!("ListenAddress={}", address(1, number)));
        command.arg("-E").arg(server.file("log-scale"));
        children.0.push(command.spawn().map_err(fault)?);
    }
    Ok(children)
}

/// A server of our own, which lets in whoever has a key.
struct Own;

impl Handler for Own {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        tokio::spawn(async move {
            // A connection that ends is no concern of the others.
            let _ = serve(channel).await;
        });
        Ok(())
    }
}

/// Runs what the channel asks for.
async fn serve(channel: Channel<Msg>) -> Result<(), russh::Error> {
    let (mut reading, writing) = channel.split();
    let line = loop {
        match reading.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => {
                break String::from_utf8_lossy(&command).into_owned();
            }
            Some(_) => {}
            None => return Ok(()),
        }
    };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", &line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut input, output) = (child.stdin.take(), child.stdout.take());
    let feeding = tokio::spawn(async move {
        while let Some(message) = reading.wait().await {
            let ended = match (message, &mut input) {
                (ChannelMsg::Data { data }, Some(to)) => to.write_all(&data).await.is_err(),
                (ChannelMsg::Eof, _) => {
                    input = None;
                    false
                }
                _ => false,
            };
            if ended {
                break;
            }
        }
    });
    let mut bytes = vec![0; 4096];
    if let Some(mut output) = output {
        while let Ok(count @ 1..) = output.read(&mut bytes).await {
            writing.data(&bytes[..count]).await?;
        }
    }
    let status = child.wait().await?;
    writing
        .exit_status(u32::try_from(status.code().unwrap_or(255)).unwrap_or(255))
        .await?;
    writing.close().await?;
    feeding.abort();
    Ok(())
}

/// A stream whose bytes are counted.
struct Counted(TcpStream, Arc<AtomicU64>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        self.1
            .fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.1.fetch_add(count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Listens on every address, and counts the bytes of all.
async fn own(server: &Server, count: usize, port: u16) -> Result<Arc<AtomicU64>, String> {
    let key = keys::load_secret_key(server.file("host_ed25519"), None);
    let config = Arc::new(Config {
        keys: vec![key.map_err(|fault| fault.to_string())?],
        nodelay: true,
        ..Config::default()
    });
    let bytes = Arc::new(AtomicU64::new(0));
    for number in 0..count {
        let listener = TcpListener::bind((address(2, number), port)).await;
        let listener = listener.map_err(|fault| fault.to_string())?;
        let (config, bytes) = (Arc::clone(&config), Arc::clone(&bytes));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = Counted(stream, Arc::clone(&bytes));
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = run_stream(config, stream, Own).await {
                        // How it ends is no concern of the others.
                        let _ = session.await;
                    }
                });
            }
        });
    }
    Ok(bytes)
}

/// What a run took at most.
#[derive(Debug, Default)]
struct Peak {
    seconds: f64,
    cpu: f64,
    kilobytes: u64,
    files: usize,
    sockets: usize,
}

/// Looks at a process until it ends.
fn watch(child: &mut Child) -> Result<(Peak, i32), String> {
    let mut peak = Peak::default();
    let start = Instant::now();
    let folder = format!("/proc/{}", child.id());
    loop {
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let memory = memory.and_then(|text| text.split_whitespace().next()?.parse().ok());
        peak.kilobytes = peak.kilobytes.max(memory.unwrap_or(0));
        let stat = std::fs::read_to_string(format!("{folder}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        // User and system time, in hundredths of a second.
        if let (Some(user), Some(system)) = (ticks(12), ticks(13)) {
            peak.cpu = peak.cpu.max((user + system) / 100.0);
        }
        let files = std::fs::read_dir(format!("{folder}/fd"))
            .into_iter()
            .flatten();
        let files: Vec<_> = files.flatten().collect();
        peak.files = peak.files.max(files.len());
        let is_socket = |entry: &&std::fs::DirEntry| {
            let to = std::fs::read_link(entry.path()).unwrap_or_default();
            to.to_string_lossy().starts_with("socket:")
        };
        peak.sockets = peak.sockets.max(files.iter().filter(is_socket).count());
        if let Some(status) = child.try_wait().map_err(|fault| fault.to_string())? {
            peak.seconds = start.elapsed().as_secs_f64();
            return Ok((peak, status.code().unwrap_or(-1)));
        }
        if start.elapsed() > Duration::from_secs(1200) {
            let _ = child.kill();
            return Err("it took twenty minutes".to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs the tasks on these hosts, each of which must come to the same.
fn run(server: &Server, what: &str, hosts: &[String], more: &[&str]) -> Result<Peak, String> {
    let fault = |fault: std::io::Error| fault.to_string();
    server.write("scale.ini", &(hosts.join("\n") + "\n"))?;
    let place = server.file("scale").display().to_string();
    std::fs::create_dir_all(&place).map_err(fault)?;
    let play = format!(
        "- hosts: all\n  gather_facts: false\n  vars: {{place: '{place}/{{{{ inventory_hostname }}}}'}}\n  tasks:{TASKS}"
    );
    server.write("scale.yml", &play)?;
    let known = server.file("known_scale").display().to_string();
    let ssh = format!("-F none -o UserKnownHostsFile={known}");
    let words = ["scale.yml", "-i", "scale.ini", "--ssh-common-args", &ssh];
    let words = [&words, more].concat();
    let mut command = scenario::command(&server.file(""), &server.file("home"), &words);
    let shown = server.file("scale.out");
    command.stdout(File::create(&shown).map_err(fault)?);
    command.stderr(File::create(server.file("scale.err")).map_err(fault)?);
    let (peak, code) = watch(&mut command.spawn().map_err(fault)?)?;
    let text = std::fs::read_to_string(&shown).map_err(fault)?;
    let (_, recap) = text.split_once("PLAY RECAP").unwrap_or_default();
    let whole = "ok=20 ";
    let good = recap.lines().filter(|line| line.contains(whole)).count();
    if code != 0 || good != hosts.len() {
        let wrong = recap.lines().skip(1).find(|line| !line.contains(whole));
        let fatal = text.lines().find(|line| line.contains("fatal:"));
        let errors = std::fs::read_to_string(server.file("scale.err")).unwrap_or_default();
        let errors: String = errors.chars().take(2000).collect();
        return Err(format!(
            "{what}: code {code}, {good} are well; {wrong:?} {fatal:?}\n{errors}"
        ));
    }
    Ok(peak)
}

/// Every host does all of it, however many there are.
pub(super) fn hosts(_server: &Server) -> Result<(), String> {
    let sizes = Sizes::wanted()?;
    let fault = |fault: std::io::Error| fault.to_string();
    let server = Server::start(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let port: u16 = server.port.parse().map_err(|_| "no port")?;
    let key = std::fs::read_to_string(server.file("host_ed25519.pub")).map_err(fault)?;
    server.write("known_scale", &format!("[127.*]:{port} {key}"))?;
    let _children = real(&server, sizes.real)?;
    let runtime = tokio::runtime::Runtime::new().map_err(fault)?;
    let bytes = runtime.block_on(own(&server, sizes.own, port))?;
    let last = address(1, sizes.real.saturating_sub(1));
    eventually("the servers listen", Duration::from_secs(60), || {
        Ok(sizes.real == 0 || std::net::TcpStream::connect((last, port)).is_ok())
    })?;
    let login = format!(
        "ansible_port={port} ansible_user=root ansible_ssh_private_key_file={}",
        server.file("id_ed25519").display()
    );
    let line = |name: &str, block: u8, number: usize| {
        format!(
            "{name}{number} ansible_host={} {login}",
            address(block, number)
        )
    };
    let mut far: Vec<String> = (0..sizes.real)
        .map(|number| line("real", 1, number))
        .collect();
    far.extend((0..sizes.own).map(|number| line("own", 2, number)));
    let local = |number: usize| format!("l{number} ansible_connection=local");
    let local: Vec<String> = (0..sizes.local).map(local).collect();
    let mut told = String::new();
    let forks = sizes.forks.to_string();
    for (what, all) in [("far", &far), ("local", &local)] {
        // The agents are there from the second run on.
        let one = all
            .first()
            .map(|host| run(&server, what, std::slice::from_ref(host), &[]));
        let Some(one) = one.transpose()? else {
            continue;
        };
        bytes.store(0, Ordering::Relaxed);
        let peak = run(&server, what, all, &["-f", &forks])?;
        let count = all.len();
        let each = peak.kilobytes.saturating_sub(one.kilobytes) / count as u64;
        let passed = bytes.load(Ordering::Relaxed) / sizes.own.max(1) as u64;
        told += &format!(
            "{what}, {count} hosts, {forks} forks: {peak:?}; one host {one:?}; {each} kB a host more, {passed} bytes a host of our own\n"
        );
    }
    if sizes.tell {
        std::io::stderr()
            .write_all(told.as_bytes())
            .map_err(fault)?;
    }
    Ok(())
}

/// Where the hosts need more descriptors than there may be, connections are made anew; where not even that is
/// enough, the reason is told.
pub(super) fn few_files(server: &Server) -> Result<(), String> {
    let hosts: String = (0..60)
        .map(|number| format!("l{number} ansible_connection=local\n"))
        .collect();
    server.write("few.ini", &hosts)?;
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n    - command: echo on\n    - ping:\n";
    server.write("few.yml", play)?;
    let run = |limit: &str, forks: &str| {
        let words = ["few.yml", "-i", "few.ini", "-f", forks];
        let inner = scenario::command(&server.file(""), &server.file("home"), &words);
        let mut outer = Command::new("sh");
        outer.args([
            "-c",
            &format!("ulimit -Sn 28; ulimit -Hn {limit}; exec \"$@\""),
            "sh",
        ]);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer.env_clear().envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        scenario::finish(outer.current_dir(server.file("")).stdin(Stdio::null()))
    };
    // The soft limit alone is no limit.
    let (code, text) = run("1000", "20")?;
    scenario::expect((code, text.clone()), 0, &["l59 "])?;
    // Sixty agents would need two hundred and forty.
    let (code, text) = run("160", "3")?;
    scenario::expect((code, text.clone()), 0, &["l59 "])?;
    if text.matches("ok=3 ").count() != 60 {
        return Err(text);
    }
    let told = "no further connection: this process may have 28 files open, and nearly all are; `ulimit -Hn` raises that, fewer `forks` need less";
    scenario::expect(run("28", "60")?, 4, &[told])
}
