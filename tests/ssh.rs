//! Plays over real SSH: a server on loopback, a login user that is not root, sudo, Lmod.

mod keys;
mod plain;
mod scale;
mod side;
mod undo;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rplay_modules::machine::digest::hex;
use rustix::process::{Pid, Signal, kill_process};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::harness::argv::Watch;
use crate::harness::faulty::{After, Fault, Faulty, Harm, Random};
use crate::harness::page::Page;
use crate::harness::proxy::{Counts, Proxy};
use crate::harness::scenario::{self, Scenario, expect};
use crate::harness::stages::{self, Verdict};

/// A running server, see `harness/sshd.sh`; stopped when dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    /// The port on 127.0.0.1.
    pub(crate) port: String,
}

const SCENARIOS: &[Scenario<Server>] = &[
    ("a play as a user that is not root", plain),
    ("tasks that log in as several users", several_users),
    (
        "a task takes a turn, a folder too, and what is there is not sent",
        few_turns,
    ),
    (
        "what travels together comes out as what travels alone",
        together,
    ),
    (
        "hosts side by side come out as one task after the other",
        side::together,
    ),
    (
        "hosts that wait for nobody come out as one task after the other",
        side::free,
    ),
    (
        "hosts that have their files alone need few turns",
        side::apart,
    ),
    (
        "an interrupted chain has told what it did, and stops",
        interrupted,
    ),
    (
        "a connection that is lost while a task runs costs nothing",
        lost,
    ),
    (
        "what nobody can know after a lost connection is told so",
        lost_for_good,
    ),
    (
        "a controller that is killed leaves nothing for long",
        killed,
    ),
    (
        "hosts that hang, close, send garbage or take their time are told, and others go on",
        misbehaving,
    ),
    (
        "many names of one server never are too many for it",
        many_names,
    ),
    (
        "an encrypted key is asked for once, and nothing disturbs the question",
        keys::on_terminal,
    ),
    ("encrypted keys of every format", keys::formats),
    (
        "commands on a host that no agent can run on",
        plain::commands,
    ),
    ("many hosts do all of a play", scale::hosts),
    ("fewer descriptors than hosts need", scale::few_files),
    ("sudo with a password", sudo_password),
    ("runs of several users are undone", undo::users),
    ("sudo without a password", sudo_free),
    ("a task in the background as another user", background),
    ("a wrong sudo password fails the task", sudo_wrong),
    (
        "a wrong password of the connection is told when the server tells it",
        connection_wrong,
    ),
    ("a host starts again, as far as anybody can tell", reboot),
    ("secrets are in no process's arguments", unseen),
    ("rsync goes over the system's ssh", synchronize),
    ("options of the client are honoured", options),
    ("what only the system's ssh can do, it does", openssh),
    (
        "a changed host key is refused, other hosts go on",
        changed_key,
    ),
    (
        "Setonix: check, deploy, deploy again, next version",
        setonix,
    ),
];

/// Runs every wanted scenario, and the cases of the modules over SSH, or tells why it cannot.
pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("ssh", SCENARIOS, wanted);
    if chosen.is_empty() && !wanted("ssh::modules") {
        return Vec::new();
    }
    let server = match Server::start(root) {
        Ok(server) => server,
        Err(reason) => return vec![("ssh".to_string(), Verdict::Skipped(reason))],
    };
    let mut results = scenario::run("ssh", &chosen, &server);
    if wanted("ssh::modules") {
        results.extend(cases(root, &server));
    }
    results
}

/// The cases of the modules once more, as root through the server, with the same expectations.
fn cases(root: &Path, server: &Server) -> Vec<(String, Verdict)> {
    let more = [
        "-c".to_string(),
        "ssh".to_string(),
        "-u".to_string(),
        "root".to_string(),
        "--private-key".to_string(),
        server.file("id_ed25519").display().to_string(),
        "--ssh-common-args".to_string(),
        format!(
            "-F none -o UserKnownHostsFile={}",
            server.file("known_hosts").display()
        ),
        "-e".to_string(),
        format!("ansible_host=127.0.0.1 ansible_port={}", server.port),
    ];
    let mut results = Vec::new();
    for path in crate::pages(&root.join("tests/cases/modules")) {
        let Ok(page) = Page::read(&path) else {
            continue;
        };
        let name = crate::page_name(root, &path);
        for case in &page.cases {
            let verdict = stages::over_ssh(&name, case, &more);
            results.push((format!("ssh::{name}::{}", case.title), verdict));
        }
    }
    results
}

impl Server {
    /// Starts a server, which only root can: it makes the login users.
    pub(crate) fn start(root: &Path) -> Result<Self, String> {
        Self::with_config(root, "")
    }

    /// A server with further lines of configuration.
    pub(crate) fn with_config(root: &Path, config: &str) -> Result<Self, String> {
        if !rustix::process::getuid().is_root() {
            return Err("needs root, to make login users".to_string());
        }
        for program in ["/usr/sbin/sshd", "/usr/bin/sudo"] {
            if !Path::new(program).exists() {
                return Err(format!("needs {program}"));
            }
        }
        let folder = tempfile::Builder::new().prefix("rplay-ssh-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        let output = script(
            Command::new("/bin/sh"),
            root,
            "start",
            folder.path(),
            config,
        )?;
        Ok(Self {
            folder,
            port: output.trim().to_string(),
        })
    }

    /// A file of the server's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the server's folder.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.file(name);
        std::fs::write(path, text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// An inventory line for a host that is this server.
    pub(crate) fn host(&self, name: &str) -> String {
        format!(
            "{name} ansible_host=127.0.0.1 ansible_port={} ansible_user=rplaytest ansible_ssh_private_key_file={}",
            self.port,
            self.file("id_ed25519").display()
        )
    }

    /// Runs rplay; its exit code and both streams.
    fn rplay(&self, known: &str, arguments: &[&str]) -> Result<(i32, String), String> {
        let ssh = format!(
            "-F none -o UserKnownHostsFile={}",
            self.file(known).display()
        );
        let words = [arguments, &["--ssh-common-args", &ssh]].concat();
        let mut command = scenario::command(self.folder.path(), &self.file("home"), &words);
        scenario::finish(&mut command)
    }

    /// Runs a play of these tasks on host `h`, with further arguments.
    fn play(&self, tasks: &str, arguments: &[&str]) -> Result<(i32, String), String> {
        self.write("hosts.ini", &format!("{}\n", self.host("h")))?;
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        self.write("play.yml", &play)?;
        self.rplay(
            "known_hosts",
            &[&["play.yml", "-i", "hosts.ini"], arguments].concat(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is gone already needs no stopping.
        let _ = script(
            Command::new("/bin/sh"),
            Path::new(env!("CARGO_MANIFEST_DIR")),
            "stop",
            self.folder.path(),
            "",
        );
    }
}

/// What starts or stops a server, by the command that comes before it.
fn script(
    mut command: Command,
    root: &Path,
    verb: &str,
    folder: &Path,
    config: &str,
) -> Result<String, String> {
    let output = command
        .arg(root.join("tests/harness/sshd.sh"))
        .arg(verb)
        .arg(folder)
        .env("SSHD_CONFIG", config)
        .output()
        .map_err(|fault| fault.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "sshd.sh {verb}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

const WHOAMI: &str = "    - command: id -un\n      register: who\n      changed_when: false\n    - debug: msg=\"I am {{ who.stdout }}\"\n";

fn plain(server: &Server) -> Result<(), String> {
    expect(
        server.play(WHOAMI, &[])?,
        0,
        &["I am rplaytest", "ok=2    changed=0"],
    )?;
    let tasks = "    - tempfile: {state: directory}\n      register: t\n    - copy: {content: over ssh, dest: \"{{ t.path }}/f\"}\n    - slurp: {src: \"{{ t.path }}/f\"}\n      register: s\n    - debug: msg=\"read {{ s.content | b64decode }}\"\n    - file: {path: \"{{ t.path }}\", state: absent}\n";
    expect(
        server.play(tasks, &[])?,
        0,
        &["read over ssh", "ok=5    changed=3"],
    )
}

/// What a play costs through a proxy that counts, without what connecting costs.
fn cost(server: &Server, tasks: &str, stats: &str) -> Result<(u64, u64), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let port: u16 = server.port.parse().map_err(|_| "no port")?;
    let mut counts = vec![];
    for tasks in ["    - ping:\n", tasks] {
        let proxy = Proxy::start(([127, 0, 0, 1], port).into(), Duration::ZERO).map_err(fault)?;
        let (from, to) = (format!(":{port} "), format!(":{} ", proxy.port));
        let known = std::fs::read_to_string(server.file("known_hosts")).map_err(fault)?;
        server.write("known_proxy", &known.replace(&from, &to))?;
        let from = format!("ansible_port={port}");
        let host = server
            .host("h")
            .replace(&from, &format!("ansible_port={}", proxy.port));
        server.write("hosts.ini", &format!("{host}\n"))?;
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        server.write("play.yml", &play)?;
        let told = if tasks.contains("ping") {
            "ok=1 "
        } else {
            stats
        };
        let words = ["play.yml", "-i", "hosts.ini"];
        expect(server.rplay("known_proxy", &words)?, 0, &[told])?;
        counts.push(proxy.counts());
    }
    let extra = |of: fn(&Counts) -> u64| of(&counts[1]).saturating_sub(of(&counts[0]));
    let (turns, bytes) = (
        |counts: &Counts| counts.turns,
        |counts: &Counts| counts.to_server + counts.to_client,
    );
    Ok((extra(turns), extra(bytes)))
}

/// Turns and bytes are counted, never timed. A turn more or less is the proxy's, see there.
fn few_turns(server: &Server) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let tree = server.file("tree");
    for number in 0..1000 {
        let folder = tree.join(format!("d{}", number % 40));
        std::fs::create_dir_all(&folder).map_err(fault)?;
        std::fs::write(
            folder.join(format!("f{number}")),
            format!("file {number}\n"),
        )
        .map_err(fault)?;
    }
    // Nothing can pack it.
    let noise = |number: u64| Sha256::digest(number.to_be_bytes());
    let large: Vec<u8> = (0..250_000).flat_map(noise).collect();
    std::fs::write(server.file("large"), &large).map_err(fault)?;
    let text = "A line of a log, much like the next one.\n".repeat(200_000);
    std::fs::write(server.file("text"), &text).map_err(fault)?;
    // A play from the beginning, which the first time brings the agent, or once more.
    let fresh =
        "    - file: {path: turns, state: absent}\n    - file: {path: turns, state: directory}\n";
    expect(server.play(fresh, &[])?, 0, &["ok=2 "])?;
    let few = |what: &str, tasks: &str, stats: &str, most: u64| {
        let turns = || {
            if stats != "changed=0 " {
                expect(server.play(fresh, &[])?, 0, &["ok=2 "])?;
            }
            cost(server, tasks, stats).map(|(turns, _)| turns)
        };
        scenario::one_of_five(what, turns, |turns| *turns <= most)
    };
    let mut hundred = String::from("    - file: {path: turns, mode: '0700'}\n");
    for number in 0..25 {
        hundred += &format!("    - file: {{path: turns/d{number}, state: directory}}\n");
        hundred += &format!("    - copy: {{content: c, dest: turns/c{number}}}\n");
        hundred += &format!("    - template: {{src: large.j2, dest: turns/t{number}}}\n");
        hundred += &format!("    - lineinfile: {{path: turns/l{number}, line: l, create: true}}\n");
    }
    server.write("large.j2", "{{ inventory_hostname }}\n")?;
    few("turns of 101 tasks", &hundred, "changed=101 ", 2)?;
    few("turns of them again", &hundred, "changed=0 ", 2)?;
    server.write("ansible.cfg", "[rplay]\nsend_ahead = never\n")?;
    few("turns of them one by one", &hundred, "changed=0 ", 105)?;
    std::fs::remove_file(server.file("ansible.cfg")).map_err(fault)?;
    let loops = "    - copy: {content: c, dest: 'turns/i{{ item }}'}\n      loop: \"{{ range(500) | list }}\"\n";
    few("turns of 500 items", loops, "changed=1 ", 3)?;
    few("turns of them again", loops, "changed=0 ", 3)?;
    let copy = "    - copy: {src: tree/, dest: turns/tree/}\n";
    few("turns of a tree", copy, "changed=1 ", 10)?;
    few("turns of a tree again", copy, "changed=0 ", 2)?;
    let most = |what: &str, found: u64, most: u64| {
        let text = format!("{what}: {found}, more than {most}");
        (found <= most).then_some(()).ok_or(text)
    };
    let copy = "    - copy: {src: large, dest: turns/}\n";
    let (_, bytes) = cost(server, copy, "changed=1 ")?;
    most("bytes that were not sent", large.len() as u64, bytes)?;
    most("bytes again", cost(server, copy, "changed=0 ")?.1, 100_000)?;
    let fetch = "    - fetch: {src: turns/large, dest: fetched/, flat: true}\n";
    let (_, bytes) = cost(server, fetch, "changed=1 ")?;
    most("bytes that were not sent back", large.len() as u64, bytes)?;
    most("bytes again", cost(server, fetch, "changed=0 ")?.1, 10_000)?;
    let long = format!("#!/bin/sh\necho ran; exit\n{}", text.repeat(5));
    std::fs::write(server.file("long"), &long).map_err(fault)?;
    let script = "    - script: long\n      register: r\n      failed_when: r.stdout != 'ran\\n'\n";
    let (_, bytes) = cost(server, script, "changed=1 ")?;
    most("bytes of a long script", bytes, long.len() as u64 / 10)?;
    let copy = format!(
        "    - copy: {{src: text, dest: turns/text, checksum: {}}}\n",
        hex(&Sha1::digest(&text))
    );
    let (_, bytes) = cost(server, &copy, "changed=1 ")?;
    most("bytes of a text", bytes, text.len() as u64 / 10)?;
    // The agent is what starts the command; it has taken in the tree and the large file before.
    let peak = "    - copy: {src: tree/, dest: turns/tree2/}\n    - copy: {src: large, dest: turns/large2}\n    - shell: grep VmHWM /proc/$PPID/status\n      register: peak\n    - assert: {that: 'peak.stdout.split()[1] | int < 20 * 1024', fail_msg: '{{ peak.stdout }}'}\n";
    expect(server.play(peak, &[])?, 0, &["changed=3 "])?;
    let clean = "    - file: {path: turns, state: absent}\n    - find: {paths: [.], recurse: true, hidden: true, patterns: 'rplay*,*.ansible*'}\n      register: f\n    - debug: msg=\"left {{ f.files | map(attribute='path') | map('dirname') | unique | list }}\"\n    - find: {paths: /tmp, patterns: 'rplay-*', file_type: any}\n      register: f\n    - debug: msg=\"spooled {{ f.files | selectattr('pw_name', 'eq', 'rplaytest') | list }}\"\n";
    expect(server.play(clean, &[])?, 0, &["left [", "spooled []"])
}

/// Every way in which tasks hang on each other, with and without sending ahead.
fn together(server: &Server) -> Result<(), String> {
    let play = include_str!("ssh/together.yml");
    let included = include_str!("ssh/together-included.yml");
    server.write("together.yml", play)?;
    server.write("together-included.yml", included)?;
    server.write("hosts.ini", &format!("{}\n", server.host("h")))?;
    for mode in [&["-v"][..], &["--diff"], &["--check", "--diff"]] {
        let mut told = vec![];
        for way in ["never", "far"] {
            server.write("ansible.cfg", &format!("[rplay]\nsend_ahead = {way}\n"))?;
            let words = [&["together.yml", "-i", "hosts.ini"], mode].concat();
            let (code, text) = server.rplay("known_hosts", &words)?;
            told.push(format!("exit code {code}\n{}", without_times(&text)));
        }
        std::fs::remove_file(server.file("ansible.cfg")).map_err(|fault| fault.to_string())?;
        if told[0] != told[1] {
            let lines = told[0].lines().zip(told[1].lines());
            let unlike = lines.filter(|(one, other)| one != other).take(5);
            return Err(format!(
                "{mode:?}: {:?}\n{}",
                unlike.collect::<Vec<_>>(),
                told[0]
            ));
        }
        // Check mode does not run commands, and then handlers lack what those say.
        let code = if mode.contains(&"--check") {
            ""
        } else {
            "exit code 0"
        };
        let whole = [code, "PLAY RECAP"];
        if !whole.iter().all(|part| told[0].contains(part)) {
            return Err(told.swap_remove(0));
        }
    }
    Ok(())
}

/// Tasks that were sent together, interrupted while one of them runs.
fn interrupted(server: &Server) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let tasks = "    - ping:\n    - file: {path: chain, state: absent}\n    - file: {path: chain, state: directory}\n    - command: sleep 30.125\n    - copy: {content: never, dest: chain/never}\n";
    server.write("hosts.ini", &format!("{}\n", server.host("h")))?;
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    server.write("play.yml", &play)?;
    let ssh = format!(
        "-F none -o UserKnownHostsFile={}",
        server.file("known_hosts").display()
    );
    let words = ["play.yml", "-i", "hosts.ini", "--ssh-common-args", &ssh];
    let mut command = scenario::command(server.folder.path(), &server.file("home"), &words);
    let mut child = command.spawn().map_err(fault)?;
    let process = Pid::from_child(&child);
    let output = child.stdout.take().ok_or("no output")?;
    let mut told = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.map_err(fault)?;
        told += &format!("{line}\n");
        if line.starts_with("TASK [command]") {
            kill_process(process, Signal::INT).map_err(|fault| fault.to_string())?;
        }
    }
    let status = child.wait().map_err(fault)?;
    let whole = told.contains("TASK [command]") && told.matches("changed: [h]").count() >= 1;
    if status.code() != Some(99) || !whole {
        return Err(format!("{status}\n{told}"));
    }
    let left = "    - stat: {path: chain/never}\n      register: s\n    - command: pgrep -f 'sleep 30.125'\n      register: p\n      failed_when: false\n    - debug: msg=\"{{ s.stat.exists }} {{ p.stdout }}\"\n    - file: {path: chain, state: absent}\n";
    expect(server.play(left, &[])?, 0, &["\"msg\": \"False \""])
}

/// Results without what is another one in every run: times, and sizes and places of times.
fn without_times(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        for key in ["\"start\": \"", "\"end\": \"", "\"delta\": \""] {
            while let Some((before, after)) = line.split_once(key) {
                let after = after.split_once('"').map_or("", |(_, after)| after);
                line = format!("{before}{after}");
            }
        }
        kept += &line;
        kept.push('\n');
    }
    kept
}

/// Runs a play of these tasks, and does something to the host once the file `began` is there.
fn meanwhile(
    server: &Server,
    tasks: &str,
    arguments: &[&str],
    seconds: &str,
    act: &dyn Fn(&mut Child) -> Result<(), String>,
) -> Result<(i32, String), String> {
    // It is the login user who makes that file.
    let open = Command::new("chmod")
        .arg("777")
        .arg(server.folder.path())
        .status();
    open.map_err(|fault| fault.to_string())?;
    let began = server.file("began");
    let _ = std::fs::remove_file(&began);
    server.write("hosts.ini", &format!("{}\n", server.host("h")))?;
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    server.write("play.yml", &play)?;
    let ssh = format!(
        "-F none -o UserKnownHostsFile={}",
        server.file("known_hosts").display()
    );
    let words = ["play.yml", "-i", "hosts.ini", "--ssh-common-args", &ssh];
    let words = [&words[..], arguments].concat();
    let mut command = scenario::command(server.folder.path(), &server.file("home"), &words);
    let mut child = command
        .env("RPLAY_RECONNECT_SECONDS", seconds)
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let started = scenario::eventually("the task runs", Duration::from_secs(30), || {
        Ok(began.exists())
    });
    let acted = started.and_then(|()| act(&mut child));
    let output = child.wait_with_output();
    acted?;
    output
        .map(|output| scenario::outcome(&output))
        .map_err(|fault| fault.to_string())
}

/// A task that says when it has begun, takes a while, and then leaves a line.
fn slow(server: &Server, line: &str) -> String {
    format!(
        "    - shell: \"touch {}; sleep 1.5; echo {line} >>lost\"\n",
        server.file("began").display()
    )
}

/// Processes that the server started, and what they are called.
fn below(server: &Server) -> Result<Vec<(Pid, String)>, String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let top = std::fs::read_to_string(server.file("pid")).map_err(fault)?;
    let mut known: Vec<(Pid, String)> = vec![];
    let mut all = vec![];
    for entry in std::fs::read_dir("/proc").map_err(fault)?.flatten() {
        // One that has ended meanwhile is none.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let (Some((start, rest)), Some((_, name))) = (stat.rsplit_once(") "), stat.split_once('('))
        else {
            continue;
        };
        let number = |text: Option<&str>| Pid::from_raw(text?.parse().ok()?);
        let parent = number(rest.split(' ').nth(1));
        let own = number(start.split(' ').next());
        let name = name.split(") ").next().unwrap_or_default();
        all.extend(own.zip(parent).map(|pair| (pair, name.to_owned())));
    }
    let top = top.trim().parse().ok().and_then(Pid::from_raw);
    let mut parents: Vec<Pid> = top.into_iter().collect();
    while let Some(above) = parents.pop() {
        let children = all.iter().filter(|((_, parent), _)| *parent == above);
        for ((own, _), name) in children {
            parents.push(*own);
            known.push((*own, name.clone()));
        }
    }
    Ok(known)
}

/// Ends what the server started and is called so: `sshd` are the connections, `agent-` the agents.
fn cut(server: &Server, names: &[&str]) -> Result<(), String> {
    for (process, name) in below(server)? {
        if names.iter().any(|start| name.starts_with(start)) {
            // Its end may have come with another one's.
            let _ = kill_process(process, Signal::KILL);
        }
    }
    Ok(())
}

fn lost(server: &Server) -> Result<(), String> {
    server.write("password", "rplaytest\n")?;
    let clean = "    - file: {path: lost, state: absent}\n    - ping:\n";
    let after = "    - copy: {content: after, dest: after}\n    - shell: cat lost; rm lost after\n      register: r\n    - debug: msg=\"lines {{ r.stdout_lines }}\"\n";
    for (arguments, ahead) in [
        (&[][..], "far"),
        (&[], "never"),
        (&["-b", "--become-password-file", "password"], "far"),
        (&["-c", "openssh"], "far"),
    ] {
        server.write("ansible.cfg", &format!("[rplay]\nsend_ahead = {ahead}\n"))?;
        let tasks = [clean, &slow(server, "one"), after].concat();
        let ran = meanwhile(server, &tasks, arguments, "10", &|_| cut(server, &["sshd"]));
        std::fs::remove_file(server.file("ansible.cfg")).map_err(|fault| fault.to_string())?;
        expect(ran?, 0, &["lines ['one']", "ok=6 ", "unreachable=0"])
            .map_err(|reason| format!("{arguments:?}, {ahead}: {reason}"))?;
    }
    // Items of a loop, of which one is under way.
    let items = format!(
        "{clean}    - shell: \"touch {}; sleep 0.7; echo {{{{ item }}}} >>lost\"\n      loop: [a, b, c]\n{after}",
        server.file("began").display()
    );
    let ran = meanwhile(server, &items, &[], "10", &|_| cut(server, &["sshd"]))?;
    expect(ran, 0, &["lines ['a', 'b', 'c']", "unreachable=0"])
}

fn lost_for_good(server: &Server) -> Result<(), String> {
    let honest = [
        "fatal: [h]: UNREACHABLE!",
        "closed. What came of the task is not known, it may have run: ",
        "unreachable=1",
    ];
    // The agent goes with the connection.
    let tasks = ["    - ping:\n", &slow(server, "two")].concat();
    let both = |_: &mut Child| cut(server, &["sshd", "agent-"]);
    let ran = meanwhile(server, &tasks, &[], "10", &both)?;
    expect(ran, 4, &[&honest[..], &["the agent is gone"]].concat())?;
    // Nobody comes back to a host that is told not to stay.
    let start = Instant::now();
    let ran = meanwhile(server, &tasks, &[], "0", &|_| cut(server, &["sshd"]))?;
    expect(ran, 4, &honest)?;
    if start.elapsed() > Duration::from_secs(20) {
        return Err(format!("it took {:?}", start.elapsed()));
    }
    let clean = "    - shell: sleep 2; rm -f lost\n";
    expect(server.play(clean, &[])?, 0, &["ok=1 "])
}

/// Without a farewell the task goes on, and is stopped when nobody has come back.
fn killed(server: &Server) -> Result<(), String> {
    let tasks = format!(
        "    - ping:\n    - shell: \"touch {}; sleep 97.125\"\n",
        server.file("began").display()
    );
    let running = RefCell::new(vec![]);
    let kill = |child: &mut Child| {
        running.replace(below(server)?);
        child.kill().map_err(|fault| fault.to_string())
    };
    let start = Instant::now();
    meanwhile(server, &tasks, &[], "1", &kill)?;
    let running = running.into_inner();
    let is_there = |what: &str| running.iter().any(|(_, name)| name.starts_with(what));
    if !is_there("agent-") || !is_there("sleep") {
        return Err(format!("it did not run: {running:?}"));
    }
    scenario::eventually("nothing is left", Duration::from_secs(15), || {
        let left = running.iter().any(|(process, _)| {
            Path::new(&format!("/proc/{}/exe", process.as_raw_nonzero())).exists()
        });
        Ok(!left)
    })?;
    // It was not stopped at once either: the controller might have come back.
    let stayed = start.elapsed() > Duration::from_secs(3);
    stayed
        .then_some(())
        .ok_or_else(|| "the host did not wait for the controller".to_owned())
}

/// A server that listens and does this with each connection.
fn odd_server(act: fn(TcpStream) -> std::io::Result<()>) -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|fault| fault.to_string())?;
    let port = listener.local_addr().map_err(|fault| fault.to_string())?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may have given up.
            std::thread::spawn(move || act(stream).unwrap_or_default());
        }
    });
    Ok(port.port())
}

/// Bytes that mean nothing.
fn noise() -> Vec<u8> {
    let mut random = Random(7);
    let words = (0..20_000).flat_map(|_| random.next().to_be_bytes());
    words.collect()
}

/// Longer than anybody waits in these tests.
const LONG: Duration = Duration::from_secs(60);

/// Servers that are none, and what connecting to each comes to.
const ODD: &[(&str, fn(TcpStream) -> std::io::Result<()>, &str)] = &[
    (
        "silent",
        |_stream| {
            std::thread::sleep(LONG);
            Ok(())
        },
        "Connection timed out during banner exchange",
    ),
    ("closing", |_stream| Ok(()), "Connection "),
    (
        "banner",
        |mut stream| stream.write_all(b"SSH-2.0-odd\r\n"),
        "Failed to connect to the host via ssh: ",
    ),
    (
        "garbage",
        |mut stream| {
            stream.write_all(&noise())?;
            std::thread::sleep(LONG);
            Ok(())
        },
        "Failed to connect to the host via ssh: ",
    ),
    (
        "garbage-later",
        |mut stream| {
            stream.write_all(b"SSH-2.0-odd\r\n")?;
            stream.write_all(&noise())?;
            std::thread::sleep(LONG);
            Ok(())
        },
        "Failed to connect to the host via ssh: ",
    ),
    (
        "slow",
        |mut stream| {
            for byte in b"SSH-2.0-a-name-that-takes-more-than-a-minute-at-this-speed\r\n" {
                stream.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        },
        "Connection timed out during banner exchange",
    ),
];

/// How many packets of the way to the agent, in each direction, are the last of a connection.
const STAGES: u64 = 14;

fn misbehaving(server: &Server) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let runtime = tokio::runtime::Runtime::new().map_err(fault)?;
    let port: u16 = server.port.parse().map_err(|_| "no port")?;
    let mut hosts = format!("{}\nhere ansible_connection=local\n", server.host("h"));
    let mut bad = vec![];
    for (name, act, text) in ODD {
        bad.push(((*name).to_owned(), odd_server(*act)?, *text));
    }
    // A server that closes at each stage.
    let mut proxies = vec![];
    for stage in 0..STAGES {
        for to_server in [true, false] {
            let cut = Fault {
                to_server,
                after: After::Pieces(stage),
                harm: Harm::Cut,
            };
            let proxy = Faulty::start(([127, 0, 0, 1], port).into(), vec![cut; 3]);
            let proxy = runtime.block_on(proxy).map_err(fault)?;
            let way = if to_server { "there" } else { "back" };
            bad.push((format!("cut-{way}-{stage}"), proxy.port, ""));
            proxies.push(proxy);
        }
    }
    for (name, port, _) in &bad {
        let of = |port: &str| format!("ansible_port={port} ");
        hosts += &server
            .host(name)
            .replace(&of(&server.port), &of(&port.to_string()));
        hosts += " ansible_host_key_checking=false\n";
    }
    server.write("odd.ini", &hosts)?;
    let play =
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n    - command: echo on\n";
    server.write("odd.yml", play)?;
    let start = Instant::now();
    let words = ["odd.yml", "-i", "odd.ini", "-f", "50", "-T", "5"];
    let (code, told) = server.rplay("known_hosts", &words)?;
    expect((code, told.clone()), 4, &["ok: [h]", "ok: [here]"])?;
    let recap = |name: &str| {
        let mut lines = told.lines().rev();
        lines.find(|line| line.split_whitespace().next() == Some(name))
    };
    for name in ["h", "here"] {
        let line = recap(name).unwrap_or_default();
        if !line.contains("ok=2 ") {
            return Err(format!("{name} did not go on: {line}\n{told}"));
        }
    }
    for (name, _, text) in &bad {
        let line = recap(name).unwrap_or_default();
        if name.starts_with("cut-") && line.contains("ok=2 ") {
            // It was lost while a task ran, and came back.
            continue;
        }
        let fatal = told
            .lines()
            .find(|line| line.starts_with(&format!("fatal: [{name}]: ")));
        let reason = fatal.unwrap_or_default();
        let ended = line.contains("unreachable=1") || line.contains("failed=1");
        if !ended || !reason.contains("\"msg\": \"") || !reason.contains(text) {
            return Err(format!("{name}: {line}\n{reason}"));
        }
    }
    let took = start.elapsed();
    (took < Duration::from_secs(45))
        .then_some(())
        .ok_or_else(|| format!("it took {took:?}"))
}

/// A server with the limit that OpenSSH has by default turns away one of those that are more than ten.
fn many_names(_server: &Server) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Server::with_config(root, "MaxStartups 10:100:10\nUsePAM no\n")?;
    let hosts: String = (0..40)
        .map(|number| server.host(&format!("h{number}")) + "\n")
        .collect();
    server.write("many.ini", &hosts)?;
    server.write(
        "ping.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n",
    )?;
    let words = ["ping.yml", "-i", "many.ini", "-f", "40"];
    let (code, told) = server.rplay("known_hosts", &words)?;
    expect((code, told.clone()), 0, &["ok: [h0]", "ok: [h39]"])?;
    let carried = server.rplay("known_hosts", &[&words[..], &["-c", "openssh"]].concat())?;
    expect(carried, 0, &["ok: [h0]", "ok: [h39]"])?;
    let log = std::fs::read_to_string(server.file("log")).unwrap_or_default();
    match log.contains("MaxStartups") || told.contains("unreachable=1") {
        true => Err(format!("{log}\n{told}")),
        false => Ok(()),
    }
}

fn sudo_password(server: &Server) -> Result<(), String> {
    server.write("password", "rplaytest\n")?;
    let password = ["-b", "--become-password-file", "password"];
    let ran = server.play(WHOAMI, &password)?;
    expect(ran, 0, &["I am root"])
}

/// Passwords of the connection and of the change of user, vaulted and private values, an environment.
fn unseen(server: &Server) -> Result<(), String> {
    const SECRETS: [&str; 6] = [
        "vault-password-7391",
        "vaulted-value-7392",
        "become-password-7393",
        "url-password-7394",
        "account-password-7395",
        "environment-value-7396",
    ];
    let [vault, value, sudo, url, account, environment] = SECRETS;
    server.write("vault-password", vault)?;
    server.write("become-password", sudo)?;
    server.write("secret.yml", &format!("private: {value}\n"))?;
    let encrypt = [
        "vault",
        "encrypt",
        "--vault-password-file",
        "vault-password",
        "secret.yml",
    ];
    let mut command = scenario::command(server.folder.path(), &server.file("home"), &encrypt);
    expect(scenario::finish(&mut command)?, 0, &[])?;
    // Programs that live long enough to be seen.
    let tasks = format!(
        "    - tempfile: {{state: file}}\n      register: t\n    - copy: {{content: \"{{{{ private }}}}\", dest: \"{{{{ t.path }}}}\"}}\n    - lineinfile: {{path: \"{{{{ t.path }}}}\", line: \"more {{{{ private }}}}\"}}\n    - command: {{argv: [sh, -c, cat >/dev/null; sleep 0.3], stdin: \"{{{{ private }}}}\"}}\n    - command: sleep 0.3\n      environment: {{TOKEN: {environment}}}\n    - uri: {{url: 'http://127.0.0.1:9/', url_username: me, url_password: {url}, timeout: 1}}\n      ignore_errors: true\n    - user: {{name: root, password: {account}, update_password: on_create}}\n      vars: {{ansible_user: root}}\n    - command: id -un\n      become: true\n      ignore_errors: true\n    - file: {{path: \"{{{{ t.path }}}}\", state: absent}}\n"
    );
    let watch = Watch::start(&SECRETS);
    let words = [
        "-e",
        "@secret.yml",
        "--vault-password-file",
        "vault-password",
        "--become-password-file",
        "become-password",
    ];
    let ran = server.play(&tasks, &words);
    let shown = watch.end();
    expect(ran?, 0, &["ignored=2"])?;
    shown.map_or(Ok(()), |line| {
        Err(format!("a process has a secret in its arguments: {line}"))
    })
}

fn several_users(server: &Server) -> Result<(), String> {
    let as_root = WHOAMI.replace(
        "      register",
        "      vars: {ansible_user: root}\n      register",
    );
    expect(
        server.play(&[WHOAMI, &as_root, WHOAMI].concat(), &[])?,
        0,
        &["I am rplaytest", "I am root", "ok=6    changed=0"],
    )
}

fn sudo_free(server: &Server) -> Result<(), String> {
    expect(
        server.play(WHOAMI, &["-b", "--become-user", "rplayfree"])?,
        0,
        &["I am rplayfree"],
    )
}

/// Each of the runs has a connection of its own; the second one asks for what the first one started.
fn background(server: &Server) -> Result<(), String> {
    let start = "- hosts: all\n  gather_facts: false\n  tasks:\n\
        \x20   - shell: sleep 1; whoami\n      async: 30\n      poll: 0\n      register: job\n\
        \x20   - debug: msg=\"job {{ job.ansible_job_id }} of {{ job.results_file }}\"\n";
    let sudo = ["-b", "--become-user", "rplayfree"];
    let (code, output) = server.play(start, &sudo)?;
    let id = output
        .split("job j")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let id = format!("j{}", id.unwrap_or_default());
    expect((code, output), 0, &["/home/rplayfree/.ansible_async/j"])?;
    let ask = format!(
        "- hosts: all\n  gather_facts: false\n  tasks:\n\
         \x20   - async_status: jid={id}\n      register: job\n      until: job is finished\n\
         \x20     retries: 30\n      delay: 0.5\n    - debug: msg=\"I am {{{{ job.stdout }}}}\"\n"
    );
    expect(server.play(&ask, &sudo)?, 0, &["I am rplayfree"])
}

fn sudo_wrong(server: &Server) -> Result<(), String> {
    server.write("wrong", "not-the-password\n")?;
    let (code, output) = server.play(WHOAMI, &["-b", "--become-password-file", "wrong"])?;
    if output.contains("not-the-password") {
        return Err(format!("the password is in the output:\n{output}"));
    }
    if code != 2 && code != 4 {
        return Err(format!("exit code {code}\n{output}"));
    }
    expect((code, output), code, &["assword"])
}

/// PAM makes whoever was wrong wait; a server without it answers at once.
fn connection_wrong(_server: &Server) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Server::with_config(root, "UsePAM no\n")?;
    server.write(
        "wrong.yml",
        "{ansible_password: no-7399, ansible_ssh_private_key_file: null}",
    )?;
    scenario::once_within(Duration::from_secs(1), || {
        let ran = server.play(WHOAMI, &["-e", "@wrong.yml"])?;
        expect(ran, 4, &["Permission denied (publickey,password)"])
    })
}

/// To the host, as another user of it, on it, back from it, and with a password.
fn synchronize(server: &Server) -> Result<(), String> {
    std::fs::create_dir_all(server.file("tree")).map_err(|fault| fault.to_string())?;
    server.write("tree/one", "one\n")?;
    let tasks = "    - tempfile: {state: directory}\n      register: t\n\
        \x20   - file: {path: \"{{ t.path }}\", mode: \"0777\"}\n\
        \x20   - synchronize: {src: tree/, dest: \"{{ t.path }}/a/\"}\n\
        \x20   - synchronize: {src: tree/, dest: \"{{ t.path }}/a/\"}\n\
        \x20   - synchronize: {src: tree/, dest: \"{{ t.path }}/b/\", owner: false, group: false}\n\
        \x20     become: true\n      become_user: rplayfree\n\
        \x20   - synchronize: {src: \"{{ t.path }}/a\", dest: \"{{ t.path }}/c\"}\n\
        \x20     delegate_to: \"{{ inventory_hostname }}\"\n\
        \x20   - synchronize: {src: \"{{ t.path }}/c/a/\", dest: back/, mode: pull}\n\
        \x20   - synchronize: {src: \"{{ t.path }}/c/a/\", dest: back/, mode: pull}\n\
        \x20     check_mode: true\n\
        \x20   - shell: stat -c %U-%n {{ t.path }}/*/*; rm -r {{ t.path }}/a {{ t.path }}/c\n      register: s\n\
        \x20   - debug: msg=\"{{ s.stdout_lines | map('replace', t.path, '') }}\"\n\
        \x20   - file: {path: \"{{ t.path }}/b\", state: absent}\n      become: true\n      become_user: rplayfree\n\
        \x20   - file: {path: \"{{ t.path }}\", state: absent}\n";
    let seen = [
        "rplaytest-/a/one",
        "rplayfree-/b/one",
        "rplaytest-/c/a",
        "changed=9",
    ];
    expect(server.play(tasks, &[])?, 0, &seen)?;
    let back = std::fs::read_to_string(server.file("back/one"));
    if back.map_err(|fault| fault.to_string())? != "one\n" {
        return Err("the file that came back is another one".to_string());
    }
    let password = "    - synchronize: {src: tree/, dest: from-password/}\n      vars: {ansible_ssh_private_key_file: null, ansible_password: rplaytest}\n\
        \x20   - file: {path: from-password, state: absent}\n";
    expect(server.play(password, &["-v"])?, 0, &["changed=2"])
}

/// Algorithms, addresses, compression, variables, the agent's keys, certificates and hashed names.
fn options(server: &Server) -> Result<(), String> {
    let known = std::fs::read_to_string(server.file("known_hosts"));
    let known = known.map_err(|fault| fault.to_string())?;
    let play = |tasks: &str, options: &str, texts: &[&str]| {
        let words = [
            "-e",
            &format!("{{\"ansible_ssh_extra_args\": \"{options}\"}}"),
            "-v",
        ];
        let (code, output) = server.play(tasks, &words)?;
        if output.contains("the system's ssh") {
            return Err(format!("not by itself, with {options}:\n{output}"));
        }
        expect(
            (code, output),
            if texts[0] == "UNREACHABLE!" { 4 } else { 0 },
            texts,
        )
    };
    let ping = "    - ping:\n";
    for own in [
        "-c aes256-cbc,aes192-ctr -o KexAlgorithms=ecdh-sha2-nistp384 -o MACs=hmac-sha1",
        "-o HostKeyAlgorithms=ssh-ed25519 -o PubkeyAcceptedAlgorithms=ssh-ed25519 -C -4 -b 127.0.0.1",
        "-o Ciphers=^aes128-gcm@openssh.com -o RequiredRSASize=2048 -o ConnectionAttempts=2",
    ] {
        play(ping, own, &["ok=1 "])?;
    }
    play(ping, "-6", &["UNREACHABLE!", "Could not resolve hostname"])?;
    play(
        ping,
        "-o PubkeyAcceptedAlgorithms=ssh-rsa",
        &["UNREACHABLE!", "Permission denied"],
    )?;
    let shown = "    - command: sh -c 'echo $LC_ONE-$LC_TWO'\n      register: r\n    - debug: msg=\"is {{ r.stdout }}\"\n";
    play(
        shown,
        "-o 'SetEnv=LC_ONE=1 LC_TWO=two' -o SendEnv=HOME",
        &["is 1-two"],
    )?;
    // Programs on the host see the keys of the agent here, and only if the user says so.
    let agent = Agent::start(&server.file("agent"), &server.file("id_ecdsa"))?;
    let keys = "    - command: ssh-add -l\n      register: r\n      failed_when: false\n    - debug: msg=\"keys {{ r.stdout }}{{ r.stderr }}\"\n";
    let socket = agent.socket.display().to_string();
    play(keys, &format!("-o IdentityAgent={socket} -A"), &["(ECDSA)"])?;
    play(
        keys,
        &format!("-o IdentityAgent={socket}"),
        &["Could not open a connection to your authentication agent"],
    )?;
    drop(agent);
    refused(server)?;
    // A certificate beside the key, one of another file, and a name that is learned hashed.
    let sign = |name: &str| {
        let key = server.file(name).display().to_string();
        let words = [
            "-q",
            "-s",
            &server.file("user_ca").display().to_string(),
            "-I",
            "u",
        ];
        let status = Command::new("ssh-keygen")
            .args(words)
            .args(["-n", "rplaytest", &key])
            .status();
        status.map_err(|fault| fault.to_string())
    };
    sign("id_signed.pub")?;
    std::fs::rename(
        server.file("id_signed-cert.pub"),
        server.file("elsewhere.pub"),
    )
    .map_err(|fault| fault.to_string())?;
    let signed = format!(
        "-o CertificateFile={} -o IdentitiesOnly=yes",
        server.file("elsewhere.pub").display()
    );
    let own = format!(
        "ansible_ssh_private_key_file={}",
        server.file("id_signed").display()
    );
    let words = [
        "-e",
        &own,
        "-e",
        &format!("ansible_ssh_extra_args='{signed}'"),
    ];
    expect(server.play(ping, &words)?, 0, &["ok=1 "])?;
    expect(server.play(ping, &["-e", &own])?, 4, &["Permission denied"])?;
    server.write("hosts.ini", &format!("{}\n", server.host("h")))?;
    let learn =
        "ansible_ssh_extra_args='-o StrictHostKeyChecking=accept-new -o HashKnownHosts=yes'";
    let words = ["play.yml", "-i", "hosts.ini", "-e"];
    expect(
        server.rplay("learned", &[&words[..], &[learn]].concat())?,
        0,
        &["ok=1 "],
    )?;
    let text = std::fs::read_to_string(server.file("learned")).unwrap_or_default();
    if !text.starts_with("|1|") || known.is_empty() {
        return Err(format!("learned: {text}"));
    }
    expect(server.rplay("learned", &words[..3])?, 0, &["ok=1 "])
}

/// An agent with a key, ended when dropped.
struct Agent {
    socket: PathBuf,
    process: std::process::Child,
}

impl Agent {
    fn start(socket: &Path, key: &Path) -> Result<Self, String> {
        Self::with(socket, key, &[])
    }

    /// With further arguments of `ssh-add`.
    fn with(socket: &Path, key: &Path, arguments: &[&str]) -> Result<Self, String> {
        let fault = |fault: std::io::Error| fault.to_string();
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(socket)
            .stdout(std::process::Stdio::null())
            .spawn();
        let agent = Self {
            socket: socket.to_owned(),
            process: process.map_err(fault)?,
        };
        scenario::eventually("the agent listens", Duration::from_secs(5), || {
            Ok(socket.exists())
        })?;
        let added = Command::new("ssh-add")
            .arg("-q")
            .args(arguments)
            .arg(key)
            .env("SSH_AUTH_SOCK", socket)
            .status();
        added.map_err(fault)?;
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A key whose use the agent wants to be confirmed, where nobody can: the next key is tried, and without one
/// the error says whose fault it is.
fn refused(server: &Server) -> Result<(), String> {
    let key = server.file("id_ecdsa");
    let agent = Agent::with(&server.file("refusing"), &key, &["-c"])?;
    let common = format!("-o IdentityAgent={}", agent.socket.display());
    let play = |arguments: &[&str]| {
        let option = format!("ansible_ssh_extra_args='{common}'");
        server.play(WHOAMI, &[&["-e", &option], arguments].concat())
    };
    expect(play(&[])?, 0, &["I am rplaytest"])?;
    let only = format!("ansible_ssh_private_key_file={}", key.display());
    let told = [
        "UNREACHABLE!",
        "sign_and_send_pubkey: signing failed for ECDSA ",
        " from agent: agent refused operation",
    ];
    expect(play(&["-e", &only])?, 4, &told)
}

/// The system's `ssh` carries the agent where it is told to or needed; one connection a host.
fn openssh(server: &Server) -> Result<(), String> {
    let both = [
        WHOAMI,
        &WHOAMI.replace("      register", "      become: true\n      register"),
    ]
    .concat();
    server.write("password", "rplaytest\n")?;
    let sudo = ["--become-password-file", "password"];
    // The password is the user's name, and so it is hidden.
    let here = ["I am ********", "I am root", "failed=0"];
    let ran = server.play(&both, &[&sudo[..], &["-c", "openssh"]].concat())?;
    expect(ran, 0, &here)?;
    // A forwarding is a thing of the program's; the task goes through it.
    let port = server
        .port
        .parse::<u16>()
        .map_err(|fault| fault.to_string())?
        + 1;
    let through = format!(
        "    - command: bash -c 'read -r line </dev/tcp/127.0.0.1/{port}; echo $line'\n      register: r\n    - debug: msg=\"there is {{{{ r.stdout }}}}\"\n"
    );
    let forward = format!(
        "ansible_ssh_extra_args='-R {port}:127.0.0.1:{}'",
        server.port
    );
    let told = "<127.0.0.1> the system's ssh makes the connection, because of: remoteforward";
    let ran = server.play(&through, &["-v", "-e", &forward])?;
    expect(ran, 0, &["there is SSH-2.0-OpenSSH", told])?;
    let (code, output) = server.play(&through, &["-e", &forward])?;
    if output.contains("the system's ssh") {
        return Err(format!("told without -v:\n{output}"));
    }
    expect((code, output), 0, &["there is SSH-2.0"])?;
    // Passwords go through a pipe: neither arguments nor the environment have them.
    let password = "{ansible_connection: openssh, ansible_ssh_private_key_file: null, ansible_password: rplaytest-and-more}";
    server.write("wrong.yml", password)?;
    let watch = Watch::everywhere(&["rplaytest-and-more"]);
    let start = std::time::Instant::now();
    let ran = server.play(WHOAMI, &["-e", "@wrong.yml"]);
    let seen = watch.end();
    expect(
        ran?,
        4,
        &["UNREACHABLE!", "Permission denied (publickey,password)"],
    )?;
    if let Some(line) = seen {
        return Err(format!("the password is in {line}"));
    }
    if start.elapsed() > Duration::from_secs(20) {
        return Err(format!("a wrong password took {:?}", start.elapsed()));
    }
    let right = password.replace("-and-more", "");
    expect(server.play(WHOAMI, &["-e", &right])?, 0, &["I am ********"])?;
    // A program of one's own: here it says that it was there.
    let wrapper = server.file("wrapper").display().to_string();
    server.write("wrapper", "#!/bin/sh\n: >$0.ran\nexec ssh \"$@\"\n")?;
    let made = Command::new("chmod").arg("755").arg(&wrapper).status();
    made.map_err(|fault| fault.to_string())?;
    let words = ["-e", &format!("ansible_ssh_executable={wrapper}")];
    expect(server.play(WHOAMI, &words)?, 0, &["I am rplaytest"])?;
    if !server.file("wrapper.ran").exists() {
        return Err("the program was not used".to_string());
    }
    let unknown = server.rplay("nothing", &["play.yml", "-i", "hosts.ini", "-c", "openssh"])?;
    expect(unknown, 4, &["Host key verification failed"])?;
    let pattern = format!("[o]ControlMaster=.*{}", server.folder.path().display());
    let left = Command::new("pgrep").args(["-fa", &pattern]).output();
    let left = left.map_err(|fault| fault.to_string())?.stdout;
    let left = String::from_utf8_lossy(&left);
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("left behind: {left}")),
    }
}

/// Nothing really starts again: the command does nothing, and the clock is what tells one start from
/// the next.
fn reboot(server: &Server) -> Result<(), String> {
    let task = |arguments: &str| {
        format!("    - reboot: {{reboot_command: \"true\", reboot_timeout: 2, {arguments}}}\n")
    };
    let clock = "boot_time_command: date +%s%N";
    let ran = server.play(&task(clock), &["-v"])?;
    expect(ran, 0, &["changed=1", "\"rebooted\": true"])?;
    let ran = server.play(&task(clock), &["--check"])?;
    expect(ran, 0, &["changed=1"])?;
    let same = "Timed out waiting for last boot time check (timeout=2)";
    expect(server.play(&task("msg: again"), &[])?, 2, &[same])?;
    let ran = server.play(&task("boot_time_command: echo bad >&2; exit 3"), &[])?;
    expect(
        ran,
        2,
        &["reboot: failed to get host boot time info, rc: 3"],
    )?;
    let test = format!("{clock}, test_command: \"false\"");
    let late = "Timed out waiting for post-reboot test command (timeout=2)";
    expect(server.play(&task(&test), &[])?, 2, &[late])?;
    let refused = format!("    - reboot: {{reboot_command: echo no; exit 5, {clock}}}\n");
    let ran = server.play(&refused, &[])?;
    expect(ran, 2, &["Reboot command failed. Error was: 'no, '"])?;
    let unknown =
        format!("    - reboot: {{reboot_command: nosuch -r, {clock}, search_paths: [/x]}}\n");
    let text = "Unable to find command \\\"nosuch\\\" in search paths: ['/x']";
    expect(server.play(&unknown, &[])?, 2, &[text])
}

fn changed_key(server: &Server) -> Result<(), String> {
    let key = std::fs::read_to_string(server.file("id_stranger.pub"));
    let key = key.map_err(|fault| fault.to_string())?;
    let words: Vec<&str> = key.split(' ').take(2).collect();
    server.write(
        "wrong_hosts",
        &format!("[127.0.0.1]:{} {}\n", server.port, words.join(" ")),
    )?;
    let hosts = format!("{}\nhere ansible_connection=local\n", server.host("h"));
    server.write("two.ini", &hosts)?;
    server.write(
        "ping.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n",
    )?;
    let ran = server.rplay("wrong_hosts", &["ping.yml", "-i", "two.ini"])?;
    expect(ran, 4, &["UNREACHABLE!", "ok: [here]", "unreachable=1"])
}

fn setonix(server: &Server) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = root.join("playbooks/setonix");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(from)
        .arg(server.file("setonix"))
        .status();
    copied.map_err(|fault| fault.to_string())?;
    let hosts = format!(
        "[staging]\n{} env=staging base_dir=/home/rplaytest/setonix\n",
        server.host("h")
    );
    server.write("setonix/hosts.ini", &hosts)?;
    let _ = std::fs::remove_dir_all("/home/rplaytest/setonix");
    let deploy = |version: &str, more: &[&str]| {
        let version = format!("version={version}");
        let arguments = [
            "setonix/deploy.yml",
            "-i",
            "setonix/hosts.ini",
            "-l",
            "staging",
            "-e",
            &version,
        ];
        server.rplay("known_hosts", &[arguments.as_slice(), more].concat())
    };
    expect(deploy("1.0.0", &["--check", "--diff"])?, 0, &["failed=0"])?;
    if Path::new("/home/rplaytest/setonix").exists() {
        return Err("check mode made the folder".to_string());
    }
    expect(deploy("1.0.0", &[])?, 0, &["changed=3", "failed=0"])?;
    expect(deploy("1.0.0", &[])?, 0, &["changed=0", "failed=0"])?;
    let arguments = [
        "setonix/test.yml",
        "-i",
        "setonix/hosts.ini",
        "-l",
        "staging",
        "-e",
        "version=1.0.0",
    ];
    expect(server.rplay("known_hosts", &arguments)?, 0, &["failed=0"])?;
    expect(deploy("1.1.0", &["--check", "--diff"])?, 0, &["+", "1.1.0"])?;
    lmod(server)
}

/// The module file that was deployed makes the program a command.
fn lmod(server: &Server) -> Result<(), String> {
    let init = "/etc/profile.d/lmod.sh";
    if !Path::new(init).exists() {
        return Err(
            "skip: the deployment passes; its module file needs lmod to be loaded".to_string(),
        );
    }
    let tasks = format!(
        "    - shell: |\n        . {init}\n        module use /home/rplaytest/setonix/modules\n        module load demo/1.0.0\n        command -v demo\n      args: {{executable: /bin/bash}}\n      register: found\n      changed_when: false\n    - debug: var=found.stdout\n"
    );
    expect(
        server.play(&tasks, &[])?,
        0,
        &["setonix/software/demo/1.0.0/demo"],
    )
}
