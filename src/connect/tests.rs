//! The connections against a real server, real `sudo` and real keys.
//!
//! Run as root with `cargo test --lib connect::tests -- --ignored --test-threads 1`.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rplay_modules::data::Data;
use rplay_modules::wire::Run;

use super::*;
use proxy::{Counts, Proxy};

#[path = "../../tests/harness/proxy.rs"]
mod proxy;

/// A server for one test, see `tests/harness/sshd.sh`.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
}

fn harness(verb: &str, folder: &Path, kbd: bool) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/sshd.sh");
    let mut command = Command::new(script);
    let output = command
        .arg(verb)
        .arg(folder)
        .env("KBD", if kbd { "yes" } else { "no" })
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    fn start() -> Self {
        Self::with(false)
    }

    fn with(kbd: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = harness("start", folder.path(), kbd).trim().parse().unwrap();
        Self { folder, port }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self) -> Target {
        Target {
            port: Some(self.port),
            user: Some("rplaytest".to_owned()),
            private_key_file: Some(self.file("id_ed25519")),
            known_hosts: vec![self.file("known_hosts")],
            ssh_args: vec!["-F".to_owned(), "none".to_owned()],
            ..Target::new("h", Kind::Ssh, "127.0.0.1")
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        harness("stop", self.folder.path(), false);
    }
}

fn local() -> Target {
    Target::new("localhost", Kind::Local, "localhost")
}

fn sudo(user: &str, password: Option<&str>) -> Become {
    Become {
        method: "sudo".to_owned(),
        user: user.to_owned(),
        password: password.map(Secret::from),
        exe: None,
        flags: None,
    }
}

fn ping() -> Run {
    Run::new(
        7,
        "ansible.builtin.ping",
        rplay_modules::data::Map::default(),
    )
}

async fn check_ping(link: &mut Link, r#become: Option<&Become>) {
    let mut run = ping();
    run.args
        .insert("data".to_owned(), Data::Str("pong".to_owned()));
    let result = link.call(r#become, run).await.unwrap().result;
    assert!(result.is_ok(), "{result:?}");
}

fn user(hello: &Hello) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let uid = format!(":x:{}:", hello.process.uid);
    let line = passwd.lines().find(|line| line.contains(&uid)).unwrap();
    line.split(':').next().unwrap().to_owned()
}

async fn error(target: Target) -> String {
    Link::new(target).hello(None).await.unwrap_err().to_string()
}

#[test]
fn the_page_shows_the_bytes_of_a_task() {
    let page = include_str!("../../docs/wire.md");
    let line = page
        .lines()
        .find(|line| line.contains("61 6e 73 69 62 6c 65"));
    let shown = line.unwrap().split_whitespace();
    let shown: Vec<u8> = shown
        .map(|word| u8::from_str_radix(word, 16).unwrap())
        .collect();
    let sent = wire::encode(&Request::Run(Box::new(ping()))).unwrap();
    assert_eq!(shown, sent, "docs/wire.md, step 5");
}

#[tokio::test]
async fn local_agent_serves_calls() {
    let mut link = Link::new(local());
    check_ping(&mut link, None).await;
    check_ping(&mut link, None).await;
    let hello = link.hello(None).await.unwrap();
    link.close().await;
    assert!(
        !Path::new(&format!("/proc/{}", hello.pid)).exists(),
        "the agent is still there"
    );
}

#[tokio::test]
async fn local_files_go_and_come() {
    let mut link = Link::new(local());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::write(&file, &content).unwrap();
    assert_eq!(link.fetch(None, &file).await.unwrap(), Ok(content.clone()));
    assert!(
        link.fetch(None, Path::new("/nowhere"))
            .await
            .unwrap()
            .unwrap_err()
            .contains("No such file")
    );
    link.put(None, 1, Content::Bytes(content))
        .await
        .unwrap()
        .unwrap();
    check_ping(&mut link, None).await;
}

#[tokio::test]
async fn local_raw() {
    let mut link = Link::new(local());
    let output = link
        .raw(None, "echo out; echo err >&2; exit 3", None)
        .await
        .unwrap();
    assert_eq!(
        (output.code, &*output.stdout, &*output.stderr),
        (3, &b"out\n"[..], &b"err\n"[..])
    );
    let output = link
        .raw(None, "echo 'a b'", Some("/bin/bash"))
        .await
        .unwrap();
    assert_eq!(output.stdout, b"a b\n");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_leaves_no_confusion() {
    let mut link = Link::new(local());
    let before = link.hello(None).await.unwrap();
    tokio::select! {
        biased;
        _ = link.call(None, ping()) => panic!("nobody answers at once"),
        () = std::future::ready(()) => {}
    }
    check_ping(&mut link, None).await;
    assert_ne!(link.hello(None).await.unwrap().pid, before.pid);
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_uploads_once() {
    let server = Server::start();
    let _ = std::fs::remove_dir_all("/home/rplaytest/.cache/rplay");
    for round in ["upload", "cached"] {
        let start = Instant::now();
        let mut link = Link::new(server.target());
        check_ping(&mut link, None).await;
        let first = start.elapsed();
        let start = Instant::now();
        check_ping(&mut link, None).await;
        println!(
            "{round}: first call {first:?}, second {:?}",
            start.elapsed()
        );
        assert_eq!(user(&link.hello(None).await.unwrap()), "rplaytest");
        link.close().await;
    }
    let files: Vec<_> = std::fs::read_dir("/home/rplaytest/.cache/rplay")
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(files.len(), 1);
    // A damaged agent is replaced.
    let path = files[0].path();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    check_ping(&mut Link::new(server.target()), None).await;
}

/// Half of a round trip of the slow line below.
const DELAY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs sshd"]
async fn ssh_turns() {
    let server = Server::start();
    let proxy = Proxy::start(([127, 0, 0, 1], server.port).into(), DELAY).unwrap();
    let turns = |before: &Counts| proxy.counts().turns - before.turns;
    let _ = std::fs::remove_dir_all("/home/rplaytest/.cache/rplay");
    for is_cached in [false, true] {
        let target = Target {
            port: Some(proxy.port),
            host_key_checking: false,
            ..server.target()
        };
        let mut link = Link::new(target);
        let before = proxy.counts();
        link.raw(None, "true", None).await.unwrap();
        let login = turns(&before);
        let before = proxy.counts();
        link.hello(None).await.unwrap();
        let bootstrap = turns(&before);
        let before = proxy.counts();
        check_ping(&mut link, None).await;
        let after = proxy.counts();
        assert_eq!(after.turns - before.turns, 1);
        assert_eq!(after.connections, before.connections);
        assert!(after.to_server > before.to_server && after.to_client > before.to_client);
        println!("cached {is_cached}: login and a command {login}, bootstrap {bootstrap} turns");
        // How many an upload takes depends on the agent's size, and on what both sides leave unanswered.
        assert!(bootstrap <= 3 || !is_cached);
    }
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_folders() {
    let server = Server::start();
    let target = Target {
        remote_tmp: Some("/proc/nowhere".to_owned()),
        ..server.target()
    };
    check_ping(&mut Link::new(target), None).await;
    let target = Target {
        remote_tmp: Some("~/a b/$USER".to_owned()),
        ..server.target()
    };
    check_ping(&mut Link::new(target), None).await;
    assert!(Path::new("/home/rplaytest/a b/rplaytest/rplay").is_dir());
    std::fs::remove_dir_all("/home/rplaytest/a b").unwrap();
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_disk_full() {
    let server = Server::start();
    let folder = server.file("small");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.to_str().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=100k,mode=777", "none", path])
        .status();
    assert!(mount.unwrap().success());
    // The folder of the test must be open to the login user.
    let open = Command::new("chmod")
        .arg("755")
        .arg(server.folder.path())
        .status();
    assert!(open.unwrap().success());
    let target = Target {
        remote_tmp: Some(path.to_owned()),
        ..server.target()
    };
    // The next folder serves, and nothing is left in the one that is full.
    check_ping(&mut Link::new(target), None).await;
    let left = std::fs::read_dir(folder.join("rplay")).unwrap().count();
    assert!(Command::new("umount").arg(path).status().unwrap().success());
    assert_eq!(left, 0);
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_raw_and_fetch() {
    let server = Server::start();
    let mut link = Link::new(server.target());
    let output = link
        .raw(None, "echo $USER; echo err >&2; exit 3", None)
        .await
        .unwrap();
    assert_eq!(
        (output.code, &*output.stdout, &*output.stderr),
        (3, &b"rplaytest\n"[..], &b"err\n"[..])
    );
    let output = link
        .raw(Some(&sudo("root", Some("rplaytest"))), "id -un", None)
        .await
        .unwrap();
    assert_eq!(
        (output.code, &*output.stdout, &*output.stderr),
        (0, &b"root\n"[..], &b""[..])
    );
    let content: Vec<u8> = (0..9_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let file = server.file("content");
    std::fs::write(&file, &content).unwrap();
    assert_eq!(link.fetch(None, &file).await.unwrap(), Ok(content.clone()));
    link.put(None, 1, Content::Bytes(content))
        .await
        .unwrap()
        .unwrap();
    check_ping(&mut link, None).await;
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn sudo_with_and_without_password() {
    let server = Server::start();
    for target in [server.target(), local()] {
        let mut link = Link::new(target);
        let mine = link.hello(None).await.unwrap();
        let free = sudo("rplayfree", None);
        check_ping(&mut link, Some(&free)).await;
        assert_eq!(user(&link.hello(Some(&free)).await.unwrap()), "rplayfree");
        let root = sudo("root", Some("rplaytest"));
        check_ping(&mut link, Some(&root)).await;
        let hello = link.hello(Some(&root)).await.unwrap();
        assert_eq!(
            (hello.process.uid, &*hello.process.home),
            (0, Path::new("/root"))
        );
        // A password that is not asked for harms nothing.
        check_ping(&mut link, Some(&sudo("rplayfree", Some("unused")))).await;
        assert_eq!(link.hello(None).await.unwrap(), mine);
        link.close().await;
    }
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn check_mode_is_one_world_for_all_users() {
    let server = Server::start();
    let mut link = Link::new(server.target());
    let free = sudo("rplayfree", None);
    let call = |id: u64, module: &str, args: &[(&str, &str)]| {
        let given = args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Data::Str((*value).to_owned())))
            .collect();
        let module = rplay_modules::registry::find(&format!("ansible.builtin.{module}")).unwrap();
        let args = rplay_modules::args::prepare(module, &given).unwrap().args;
        Run {
            id,
            module: module.name.to_owned(),
            args,
            check: true,
            ..ping()
        }
    };
    let exists = |answer: Answered| {
        let outcome = answer.result.unwrap();
        format!("{:?}", outcome.results).contains("\"exists\": Bool(true)")
    };
    let (first, second) = ("/home/rplaytest/new", "/tmp/rplay-check-new");
    let stat = |id, path| call(id, "stat", &[("path", path)]);
    assert!(!exists(
        link.call(Some(&free), stat(1, second)).await.unwrap()
    ));
    let file = |id, path| call(id, "file", &[("path", path), ("state", "directory")]);
    let made = link.call(None, file(2, second)).await.unwrap();
    assert!(made.result.is_ok() && !made.changes.is_empty(), "{made:?}");
    assert!(exists(
        link.call(Some(&free), stat(3, second)).await.unwrap()
    ));
    assert!(exists(link.call(None, stat(4, second)).await.unwrap()));
    // An agent that starts later is told everything.
    let root = sudo("root", Some("rplaytest"));
    let made = link.call(None, file(5, first)).await.unwrap();
    made.result.unwrap();
    assert!(exists(
        link.call(Some(&root), stat(6, first)).await.unwrap()
    ));
    assert!(!Path::new(first).exists() && !Path::new(second).exists());
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn agents_leave_and_come_back() {
    let server = Server::start();
    let root = sudo("root", Some("rplaytest"));
    let alive = |pid: u32| Path::new(&format!("/proc/{pid}/exe")).exists();
    for target in [server.target(), local()] {
        let mut link = Link::new(target);
        let pids = [
            link.hello(None).await.unwrap().pid,
            link.hello(Some(&root)).await.unwrap().pid,
        ];
        let killed = Command::new("kill")
            .args(["-9", &pids[0].to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        assert!(matches!(
            link.call(None, ping()).await.unwrap_err(),
            LinkError::Unreachable(_)
        ));
        check_ping(&mut link, None).await;
        let again = link.hello(None).await.unwrap().pid;
        assert!(again != pids[0] && link.hello(Some(&root)).await.unwrap().pid == pids[1]);
        // Nobody says goodbye: the connection just goes.
        drop(link);
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !alive(again) && !alive(pids[1]) {
                break;
            }
        }
        assert!(!alive(again) && !alive(pids[1]));
    }
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn sudo_refuses() {
    let server = Server::start();
    let mut link = Link::new(server.target());
    let mut refusal =
        async |r#become: &Become| link.hello(Some(r#become)).await.unwrap_err().to_string();
    let start = Instant::now();
    assert_eq!(refusal(&sudo("root", None)).await, "Missing sudo password");
    println!("missing after {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(
        refusal(&sudo("root", Some("wrong"))).await,
        "Incorrect sudo password"
    );
    println!("incorrect after {:?}", start.elapsed());
    assert!(
        refusal(&sudo("nobodyhere", Some("rplaytest")))
            .await
            .contains("nobodyhere")
    );
    let doas = Become {
        method: "doas".to_owned(),
        ..sudo("root", Some("x"))
    };
    assert!(refusal(&doas).await.contains("doas"));
    check_ping(&mut link, None).await;
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn su_with_password() {
    let server = Server::start();
    let mut link = Link::new(server.target());
    let su = |password| Become {
        method: "su".to_owned(),
        ..sudo("rplayfree", password)
    };
    check_ping(&mut link, Some(&su(Some("rplayfree")))).await;
    assert_eq!(
        user(&link.hello(Some(&su(Some("rplayfree")))).await.unwrap()),
        "rplayfree"
    );
    assert_eq!(
        link.hello(Some(&su(Some("x"))))
            .await
            .unwrap_err()
            .to_string(),
        "Incorrect su password"
    );
    assert_eq!(
        link.hello(Some(&su(None))).await.unwrap_err().to_string(),
        "Missing su password"
    );
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_keys_and_passwords() {
    let server = Server::start();
    for key in ["id_ed25519", "id_ecdsa", "id_rsa"] {
        let target = Target {
            private_key_file: Some(server.file(key)),
            ..server.target()
        };
        check_ping(&mut Link::new(target), None).await;
    }
    let locked = Target {
        private_key_file: Some(server.file("id_locked")),
        ..server.target()
    };
    assert!(error(locked.clone()).await.contains("encrypted"));
    let unlocked = Target {
        private_key_passphrase: Some("secret".into()),
        ..locked
    };
    check_ping(&mut Link::new(unlocked), None).await;
    let stranger = Target {
        private_key_file: Some(server.file("id_stranger")),
        ..server.target()
    };
    assert_eq!(
        error(stranger.clone()).await,
        "Failed to connect to the host via ssh: rplaytest@127.0.0.1: Permission denied (publickey,password)."
    );
    let missing = Target {
        private_key_file: Some(server.file("nothing")),
        ..server.target()
    };
    let text = error(missing).await;
    assert!(
        text.contains("no such identity: /")
            && text.contains("/nothing: No such file or directory\r\n"),
        "{text}"
    );
    let password = Target {
        password: Some("rplaytest".into()),
        ..stranger
    };
    check_ping(&mut Link::new(password.clone()), None).await;
    assert!(
        error(Target {
            password: Some("wrong".into()),
            ..password
        })
        .await
        .contains("Permission denied")
    );
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_questions() {
    let server = Server::with(true);
    let args = [
        "-F",
        "none",
        "-o",
        "PreferredAuthentications=keyboard-interactive",
    ]
    .map(str::to_owned)
    .to_vec();
    let target = Target {
        ssh_args: args,
        password: Some("rplaytest".into()),
        ..server.target()
    };
    check_ping(&mut Link::new(target.clone()), None).await;
    assert!(
        error(Target {
            password: Some("wrong".into()),
            ..target
        })
        .await
        .contains("Permission denied")
    );
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_host_keys() {
    let server = Server::start();
    let empty = server.file("empty");
    let unknown = Target {
        known_hosts: vec![empty.clone()],
        ..server.target()
    };
    assert_eq!(
        error(unknown.clone()).await,
        "Failed to connect to the host via ssh: Host key verification failed."
    );
    let unchecked = Target {
        host_key_checking: false,
        ..unknown.clone()
    };
    check_ping(&mut Link::new(unchecked.clone()), None).await;
    std::fs::remove_file(&empty).unwrap();
    let mut learning = unknown.clone();
    learning
        .ssh_args
        .push("-oStrictHostKeyChecking=accept-new".to_owned());
    check_ping(&mut Link::new(learning), None).await;
    check_ping(&mut Link::new(unknown.clone()), None).await;
    // Only the second of the server's keys is known.
    let key = std::fs::read_to_string(server.file("host_ecdsa.pub")).unwrap();
    std::fs::write(&empty, format!("[127.0.0.1]:{} {key}", server.port)).unwrap();
    check_ping(&mut Link::new(unknown.clone()), None).await;
    let key = std::fs::read_to_string(server.file("id_stranger.pub")).unwrap();
    std::fs::write(&empty, format!("\n[127.0.0.1]:{} {key}", server.port)).unwrap();
    let text = error(unknown.clone()).await;
    assert!(
        text.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") && text.contains("empty:2"),
        "{text}"
    );
    check_ping(&mut Link::new(unchecked.clone()), None).await;
    let guess = Target {
        private_key_file: None,
        password: Some("rplaytest".into()),
        ..unchecked
    };
    assert!(
        error(guess)
            .await
            .contains("Password authentication is disabled")
    );
    // A certificate of a known authority.
    let run = |program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).status().unwrap().success())
    };
    let (authority, host) = (server.file("id_stranger"), server.file("host_ed25519.pub"));
    let (authority, host) = (authority.to_str().unwrap(), host.to_str().unwrap());
    run(
        "ssh-keygen",
        &[
            "-q",
            "-s",
            authority,
            "-I",
            "host",
            "-h",
            "-n",
            "127.0.0.1",
            "-V",
            "+1h",
            host,
        ],
    );
    let config = server.file("sshd_config");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &format!(
        "HostCertificate {}\n",
        server.file("host_ed25519-cert.pub").display()
    );
    std::fs::write(&config, text).unwrap();
    let pid = std::fs::read_to_string(server.file("pid")).unwrap();
    run("kill", &["-HUP", pid.trim()]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::write(&empty, format!("@cert-authority * {key}")).unwrap();
    check_ping(&mut Link::new(unknown), None).await;
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_unreachable() {
    let closed = Target {
        port: Some(1),
        ..Target::new("h", Kind::Ssh, "127.0.0.1")
    };
    assert_eq!(
        error(closed).await,
        "Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1 port 1: Connection refused"
    );
    let text = error(Target::new("h", Kind::Ssh, "nowhere.invalid")).await;
    assert!(text.starts_with(
        "Failed to connect to the host via ssh: ssh: Could not resolve hostname nowhere.invalid: "
    ));
    // A server that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = Target {
        port: Some(port),
        connect_timeout: Duration::from_millis(300),
        ..Target::new("h", Kind::Ssh, "127.0.0.1")
    };
    assert_eq!(
        error(target).await,
        format!(
            "Failed to connect to the host via ssh: Connection timed out during banner exchange\r\n\
             Connection to 127.0.0.1 port {port} timed out"
        )
    );
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn ssh_jumps_and_proxies() {
    let server = Server::start();
    let key = server.file("id_ed25519");
    let config = server.file("config");
    let text = format!(
        "Host jump\n HostName 127.0.0.1\n Port {0}\n User rplayfree\n IdentityFile {1}\n UserKnownHostsFile {2}\n\
         Host inner\n HostName 127.0.0.1\n Port {0}\n User rplaytest\n IdentityFile {1}\n UserKnownHostsFile {2}\n",
        server.port,
        key.display(),
        server.file("known_hosts").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut target = Target::new("h", Kind::Ssh, "inner");
    target.ssh_args = ["-F", config.to_str().unwrap(), "-J", "jump"]
        .map(str::to_owned)
        .to_vec();
    let mut link = Link::new(target.clone());
    check_ping(&mut link, None).await;
    assert_eq!(user(&link.hello(None).await.unwrap()), "rplaytest");
    // Several hops, the last one by its address.
    let hops = format!("jump,jump,rplayfree@127.0.0.1:{}", server.port);
    let hops = format!("-oProxyJump={hops}");
    target.ssh_args = vec!["-F".to_owned(), config.to_str().unwrap().to_owned(), hops];
    target.known_hosts = vec![server.file("known_hosts")];
    target.private_key_file = Some(key);
    check_ping(&mut Link::new(target.clone()), None).await;
    let proxy =
        "-oProxyCommand=bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; kill $!'".to_owned();
    target.ssh_args = vec!["-F".to_owned(), config.to_str().unwrap().to_owned(), proxy];
    check_ping(&mut Link::new(target), None).await;
}

#[tokio::test]
#[ignore = "needs sshd"]
async fn login_shells() {
    let server = Server::start();
    // The last one is the usual one again.
    for shell in [
        "/bin/dash",
        "/bin/tcsh",
        "/bin/csh",
        "/usr/bin/fish",
        "/bin/bash",
    ] {
        if Path::new(shell).exists() {
            let changed = Command::new("usermod")
                .args(["-s", shell, "rplaytest"])
                .status()
                .unwrap();
            assert!(changed.success());
            check_ping(&mut Link::new(server.target()), None).await;
        }
    }
}
