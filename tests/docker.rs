//! `community.docker` against a real engine, which `components/docker.sh` starts once.
//!
//! `docker/NAME.yml` are playbooks whose every result is compared with the one that Ansible came to,
//! `docker/NAME.json`, written by `docker/record.py`. The rest are scenarios.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

mod build;
mod far;
mod projects;
mod reach;
mod registries;

use self::projects::{answers, few, foreseen, refused};
use self::reach::{devices, pruned, tls};
use self::registries::{broken, tokens};

use crate::harness::recorded::Recorded;
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Engine>] = &[
    ("objects come out as with Ansible", objects),
    ("containers come out as with Ansible", containers),
    ("Compose projects come out as with Ansible", compose),
    ("log-ins come out as with Ansible", login),
    ("mounts of a newer engine come out as with Ansible", newer),
    ("check mode says what the run does", check),
    ("images are built, saved and loaded", images),
    ("through a host's SSH connection, with become", over_ssh),
    ("plays inside a container", connection),
    ("an engine that speaks TLS", tls),
    (
        "an engine that speaks TLS, through a host's SSH connection",
        far::tls,
    ),
    ("an engine behind `ssh://`", far::by_ssh),
    (
        "what is built goes where it shall, with secrets",
        build::all,
    ),
    ("what a damaged registry has leaves nothing behind", broken),
    ("a registry whose tokens come from elsewhere", tokens),
    (
        "what would be pruned after an update that is foreseen",
        pruned,
    ),
    ("limits and requests of devices", devices),
    ("errors are clear", errors),
];

/// What is shown with an engine and a Compose of a younger generation as well.
const PROJECTS: &[Scenario<Engine>] = &[
    ("Compose projects come out as with Ansible", compose),
    ("check mode says what the run does", check),
    ("what a project would change is what it changes", foreseen),
    ("lists are those of Compose itself", answers),
    ("where nothing changes, few questions are asked", few),
    ("what is wrong with a project is told", refused),
];

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let mut results = vec![];
    for (area, scenarios, folder) in [
        ("docker", [SCENARIOS, &PROJECTS[2..]].concat(), ""),
        ("docker-young", PROJECTS.to_vec(), "new"),
    ] {
        let chosen = scenario::chosen(area, &scenarios, wanted);
        if chosen.is_empty() {
            continue;
        }
        match Engine::of(root, folder) {
            Ok(engine) => results.extend(scenario::run(area, &chosen, &engine)),
            Err(reason) => results.push((area.to_owned(), Verdict::Skipped(reason))),
        }
    }
    results
}

/// A running engine; it ends when dropped, and also when the tests are killed.
pub(crate) struct Engine {
    root: PathBuf,
    folder: tempfile::TempDir,
    process: Child,
    /// Where its programs are.
    tools: PathBuf,
    /// A process whose network it is.
    inner: String,
}

impl Engine {
    pub(crate) fn start(root: &Path) -> Result<Self, String> {
        Self::of(root, "")
    }

    /// Starts one with the programs of a folder in the one that `engine.sh` made.
    fn of(root: &Path, folder: &str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let prepared = scenario::prepared("engine");
        let tools = prepared.join(folder);
        if !prepared.join(".built").exists() || !tools.exists() {
            return Err(
                "needs the engine that tests/components/engine.sh gets, which tests/run calls"
                    .to_owned(),
            );
        }
        let folder = tempfile::Builder::new().prefix("rplay-docker-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        let mut script = Command::new(root.join("tests/components/docker.sh"));
        script.arg(folder.path().join("run")).arg(&tools);
        let (process, inner) = scenario::component(&mut script)?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            process,
            tools,
            inner,
        })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.file(name), text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// Puts a program into the network of the engine, with its address and its home.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.inner, "--net"]);
        inside.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(name, value);
            }
        }
        let known = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![self.tools.join("usr/bin")];
        folders.extend(std::env::split_paths(&known));
        inside
            .env("PATH", std::env::join_paths(folders).unwrap_or(known))
            .env("HOME", self.file("run/home"))
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.file("run/sock").display()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        inside
    }

    /// rplay in a folder, in the network of the engine.
    pub(crate) fn rplay(&self, folder: &Path, words: &[&str]) -> Command {
        self.inside(&scenario::command(folder, self.folder.path(), words))
    }

    /// A command in the network of the engine, with its programs.
    pub(crate) fn within(&self, command: &Command) -> Command {
        self.inside(command)
    }

    /// The folder of the engine's programs.
    pub(crate) fn tools(&self) -> &Path {
        &self.tools
    }

    /// The `docker` program.
    pub(crate) fn docker(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.args(words);
        let (code, text) = finish(&mut self.inside(&command))?;
        match code {
            0 => Ok(text),
            _ => Err(format!("docker {words:?}: {text}")),
        }
    }

    /// Takes everything away.
    fn clean(&self) -> Result<(), String> {
        for name in self.docker(&["ps", "-aq"])?.split_whitespace() {
            self.docker(&["rm", "-f", name])?;
        }
        self.docker(&["system", "prune", "-af", "--volumes"])?;
        self.docker(&["volume", "prune", "-af"]).map(|_| ())
    }

    /// Runs a play whose tasks are these.
    fn play(&self, tasks: &str, words: &[&str]) -> Result<(i32, String), String> {
        let lines = tasks.lines().map(|line| format!("    {line}\n"));
        let lines: String = lines.collect();
        self.write(
            "play.yml",
            &format!("- hosts: localhost\n  gather_facts: false\n  tasks:\n{lines}"),
        )?;
        let mut all = vec!["play.yml"];
        all.extend(words);
        finish(&mut self.rplay(self.folder.path(), &all))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What is another in every run; `docker/record.py` has the same list.
const DROP: &[&str] = &[
    "Aliases",
    "Created",
    "CreatedAt",
    "DNSNames",
    "DriverStatus",
    "EndpointID",
    "FinishedAt",
    "Gateway",
    "GraphDriver",
    "Health",
    "Hostname",
    "HostnamePath",
    "HostsPath",
    "ID",
    "IPAM",
    "IPAddress",
    "IPv4Address",
    "Id",
    "LastTagTime",
    "LogPath",
    "MacAddress",
    "Mountpoint",
    "Mounts",
    "NetworkID",
    "Pid",
    "ResolvConfPath",
    "RunningFor",
    "SandboxID",
    "SandboxKey",
    "StartedAt",
    "Status",
    "action",
    "atime",
    "checksum",
    "cmd",
    "containers",
    "ctime",
    "delta",
    "dev",
    "differences",
    "duration",
    "exception",
    "failed_when_suppressed_exception",
    "host_info",
    "id",
    "image_different",
    "images",
    "inode",
    "invocation",
    "mtime",
    "push_status",
    "src",
    "stat",
    "stderr",
    "stderr_lines",
    "warnings",
];

fn plain(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .filter(|(key, value)| {
                    let own = key.as_str() == "actions" && !told(value);
                    !DROP.contains(&key.as_str()) && !key.starts_with("_ansible") && !own
                })
                .collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries = entries
                .into_iter()
                .map(|(key, value)| (numbers(key), plain(value)));
            Json::Object(entries.collect())
        }
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(plain).collect();
            items.sort_by_key(Json::to_string);
            Json::Array(items)
        }
        Json::String(text) => Json::String(numbers(text)),
        other => other.clone(),
    }
}

/// What Ansible lists of a container's requests is its own affair.
fn told(actions: &Json) -> bool {
    let mut all = actions.as_array().into_iter().flatten();
    all.all(|one| !one.is_object() || one.get("what").is_some())
}

/// A text without the numbers of containers and images.
fn numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
        let tail = &rest[start..];
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let end = tail.find(|c| !is_hex(c)).unwrap_or(tail.len());
        out += &rest[..start];
        out += &"@id@".repeat(end / 64);
        out += &tail[end / 64 * 64..end];
        rest = &tail[end..];
    }
    out + rest
}

/// Compares every result of a playbook with the recorded one.
fn compare(engine: &Engine, name: &str) -> Result<(), String> {
    recorded(engine, name, name)
}

/// The same with the results of another name.
fn recorded(engine: &Engine, name: &str, results: &str) -> Result<(), String> {
    engine.clean()?;
    let folder = engine.root.join("tests/docker");
    let out = engine.file(&format!("out-{name}"));
    std::fs::create_dir_all(&out).map_err(|fault| fault.to_string())?;
    let (playbook, variable) = (format!("{name}.yml"), format!("out={}", out.display()));
    let words = [
        playbook.as_str(),
        "-e",
        &variable,
        "-e",
        "registry=127.0.0.1:5001",
        "-e",
        "closed=127.0.0.1:5000",
    ];
    let mut command = engine.rplay(&folder, &words);
    Recorded {
        file: &folder.join(format!("{results}.json")),
        replaced: &[
            (out.display().to_string(), "@out@"),
            (engine.file("run").display().to_string(), "@run@"),
        ],
        plain,
        variable: "RPLAY_DOCKER_EXPECT",
    }
    .compare(&mut command)
}

fn objects(engine: &Engine) -> Result<(), String> {
    compare(engine, "objects")
}

fn containers(engine: &Engine) -> Result<(), String> {
    compare(engine, "containers")
}

fn compose(engine: &Engine) -> Result<(), String> {
    let young = engine.tools.ends_with("new");
    recorded(
        engine,
        "compose",
        if young { "compose-young" } else { "compose" },
    )
}

fn login(engine: &Engine) -> Result<(), String> {
    compare(engine, "login")
}

/// The engine that all others are tested with is too old for these options.
fn newer(engine: &Engine) -> Result<(), String> {
    let late = "- community.docker.docker_container: {name: late, image: '127.0.0.1:5001/demo:1.0.0', mounts: [{type: tmpfs, target: /x, tmpfs_options: [{exec: null}]}]}\n";
    expect(
        engine.play(late, &[])?,
        2,
        &[
            "Docker API version is 1.45. Minimum version required is 1.46 to set mounts.tmpfs_options option.",
        ],
    )?;
    let newer = Engine::of(&engine.root, "new").map_err(|reason| format!("skip: {reason}"))?;
    recorded(&newer, "newer", "newer-young")
}

/// A network, a volume, a container in it and a project whose files are only written on the way.
const LOOK: &str = r#"
- community.docker.docker_network: {name: look}
- community.docker.docker_volume: {name: look}
- community.docker.docker_container:
    name: look
    image: 127.0.0.1:5001/demo:1.0.0
    networks: [{name: look}]
    volumes: ["look:/data"]
- ansible.builtin.file: {path: "{{ playbook_dir }}/look", state: directory}
- ansible.builtin.copy:
    dest: "{{ playbook_dir }}/look/compose.yaml"
    content: "services: {web: {image: '127.0.0.1:5001/demo:${V}', volumes: ['./data:/data']}}\n"
- ansible.builtin.copy: {dest: "{{ playbook_dir }}/look/.env", content: "V=1.1.0\n"}
- community.docker.docker_compose_v2: {project_src: "{{ playbook_dir }}/look"}
"#;

fn check(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    let planned = engine.play(LOOK, &["--check", "--diff"])?;
    expect(planned.clone(), 0, &["demo:1.1.0", "changed=7", "failed=0"])?;
    let none = engine.docker(&["ps", "-aq"])? + &engine.docker(&["volume", "ls", "-q"])?;
    if !none.trim().is_empty() || engine.file("look").exists() {
        return Err(format!("check mode made something: {none}"));
    }
    expect(
        engine.play(LOOK, &["--diff"])?,
        0,
        &["changed=7", "failed=0"],
    )?;
    for words in [&["--check"][..], &[]] {
        expect(engine.play(LOOK, words)?, 0, &["changed=0", "failed=0"])?;
    }
    // What would be pruned is what is pruned.
    let prune = "- community.docker.docker_prune: {containers: true, networks: true, images: true, images_filters: {dangling: false}, volumes: true, volumes_filters: {all: true}}\n";
    let away = "- community.docker.docker_compose_v2: {project_src: '{{ playbook_dir }}/look', state: absent}\n- community.docker.docker_container: {name: look, state: stopped}\n";
    expect(engine.play(away, &["--check"])?, 0, &["changed=2"])?;
    expect(engine.play(away, &[])?, 0, &["changed=2"])?;
    let shown = engine.play(prune, &["--check", "--diff"])?;
    expect(shown, 0, &["demo:1.1.0", "changed=1"])?;
    expect(engine.play(prune, &[])?, 0, &["changed=1"])?;
    expect(engine.play(prune, &[])?, 0, &["changed=0"])?;
    expect(engine.play(prune, &["--check"])?, 0, &["changed=0"])
}

fn images(engine: &Engine) -> Result<(), String> {
    let tasks = r#"
- ansible.builtin.file: {path: "{{ playbook_dir }}/build", state: directory}
- ansible.builtin.copy:
    dest: "{{ playbook_dir }}/build/Dockerfile"
    content: "FROM 127.0.0.1:5001/demo:1.0.0\nARG WHAT\nRUN echo $WHAT >/www/built\n"
- community.docker.docker_image_pull: {name: "127.0.0.1:5001/demo:1.0.0"}
- community.docker.docker_image:
    name: built:1
    source: build
    build: {path: "{{ playbook_dir }}/build", args: {WHAT: thing}, network: none}
- community.docker.docker_image: {name: "built:1", source: local, archive_path: "{{ playbook_dir }}/built.tar"}
- community.docker.docker_image_build: {name: other, path: "{{ playbook_dir }}/build", args: {WHAT: other}, network: none}
- community.docker.docker_image_info: {name: ["built:1", other]}
  register: found
- ansible.builtin.assert: {that: found.images | length == 2}
"#;
    expect(engine.play(tasks, &[])?, 0, &["changed=6", "failed=0"])?;
    expect(engine.play(tasks, &[])?, 0, &["changed=0", "failed=0"])?;
    let load = r#"
- community.docker.docker_image: {name: "built:1", state: absent}
- community.docker.docker_image: {name: "built:1", source: load, load_path: "{{ playbook_dir }}/built.tar"}
- community.docker.docker_container: {name: built, image: "built:1", command: cat /www/built, detach: false, cleanup: true}
  register: ran
- ansible.builtin.assert: {that: "ran.container.Output == 'thing\n'"}
"#;
    expect(engine.play(load, &[])?, 0, &["changed=3", "failed=0"])
}

/// The socket is root's; the user who logs in has to become root to reach it.
/// The connection `docker`: the image has busybox and nothing else.
fn connection(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    let run = [
        "run",
        "-d",
        "--name",
        "box",
        "127.0.0.1:5001/demo:1.0.0",
        "sleep",
        "300",
    ];
    engine.docker(&run)?;
    let inside = "- hosts: box
  gather_facts: false
  vars: {ansible_connection: community.docker.docker}
  tasks:
    - command: cat /www/index.html
      register: r
      changed_when: false
    - copy: {content: \"inside {{ r.stdout }}\", dest: /data/new}
    - raw: 'echo raw; cat /data/new'
      register: r
      changed_when: false
    - debug: msg=\"{{ r.stdout_lines }}\"
    - command: sh -c 'id -u; pwd; echo $GREETING'
      register: r
      changed_when: false
    - debug: msg=\"as {{ r.stdout_lines }}\"
"
    .replace("\\\"", "\"");
    engine.write("inside.yml", &inside)?;
    let play = |host: &str, more: &[&str]| {
        engine.write("inside.ini", &format!("{host}\n"))?;
        let words = [&["inside.yml", "-i", "inside.ini"], more].concat();
        finish(&mut engine.rplay(engine.folder.path(), &words))
    };
    let here = ["\"inside 1.0.0\"", "as ['0', '/']", "ok=6    changed=1"];
    expect(play("box", &["--check"])?, 0, &["changed=1"])?;
    expect(play("box", &[])?, 0, &here)?;
    expect(play("box", &[])?, 0, &["ok=6    changed=0"])?;
    // Another user has no home, and a shell's variables are there.
    engine.docker(&[
        "exec",
        "box",
        "sh",
        "-c",
        "chmod 777 /data /tmp; rm /data/new",
    ])?;
    let more = "box ansible_docker_host=box ansible_user=1234 ansible_docker_working_dir=/www";
    let env = ["-e", "{ansible_docker_extra_env: {GREETING: hello}}"];
    expect(
        play(more, &env)?,
        0,
        &["as ['1234', '/www', 'hello']", "changed=1"],
    )?;
    let again = engine.docker(&["top", "box"])?;
    if again.contains("agent-") {
        return Err(format!("an agent is left behind:\n{again}"));
    }
    engine.docker(&["stop", "-t", "0", "box"])?;
    expect(play("box", &[])?, 4, &["UNREACHABLE!", "is not running"])?;
    engine.docker(&["rm", "-f", "box"])?;
    expect(
        play("box", &[])?,
        4,
        &["cannot reach the container `box`", "No such container: box"],
    )
}

fn over_ssh(engine: &Engine) -> Result<(), String> {
    let server =
        crate::ssh::Server::start(&engine.root).map_err(|reason| format!("skip: {reason}"))?;
    // Root's search path is sudo's own there.
    let known = ["docker", "socat", "nc", "podman"];
    let folders = ["/usr/local/bin", "/usr/bin"];
    if !folders.iter().any(|folder| {
        known
            .iter()
            .any(|name| Path::new(folder).join(name).exists())
    }) {
        return Err("skip: needs docker, socat, nc or podman".to_owned());
    }
    engine.write("become", "rplaytest\n")?;
    let socket = engine.file("run/sock");
    let path = engine.tools.join("usr/bin");
    let play = format!(
        "- hosts: all
  gather_facts: false
  module_defaults:
    group/community.docker.docker: {{docker_host: unix://{}}}
  tasks:
    - community.docker.docker_host_info: {{volumes: true}}
      register: refused
      failed_when: refused is not failed
    - community.docker.docker_volume: {{name: far}}
      become: true
    - community.docker.docker_container: {{name: far, image: '127.0.0.1:5001/demo:1.0.0', volumes: ['far:/data']}}
      become: true
    - community.docker.docker_container_exec: {{container: far, command: cat, stdin: far away}}
      become: true
      register: ran
    - assert: {{that: \"ran.stdout == 'far away'\"}}
    - community.docker.docker_container: {{name: far, state: absent}}
      become: true
",
        socket.display()
    );
    engine.write("far.yml", &play)?;
    engine.write("far.ini", &format!("{}\n", server.host("far")))?;
    let known = server.file("known_hosts").display().to_string();
    let ssh = format!("-F none -o UserKnownHostsFile={known}");
    let words = [
        "far.yml",
        "-i",
        "far.ini",
        "--ssh-common-args",
        &ssh,
        "--become-password-file",
        "become",
    ];
    let mut command = scenario::command(engine.folder.path(), engine.folder.path(), &words);
    let known = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![path];
    folders.extend(std::env::split_paths(&known));
    let folders = std::env::join_paths(folders).map_err(|fault| fault.to_string())?;
    expect(
        finish(command.env("PATH", folders))?,
        0,
        &["ok=6", "failed=0"],
    )
}

fn errors(engine: &Engine) -> Result<(), String> {
    let told = |tasks: &str, texts: &[&str]| expect(engine.play(tasks, &[])?, 2, texts);
    told(
        "- community.docker.docker_container: {name: x, image: y, networks: [{name: a, alias: b}]}\n",
        &["Unsupported parameters for (community.docker.docker_container) module: networks.alias"],
    )?;
    told(
        "- community.docker.docker_container: {name: x, image: y, device_read_bps: [{path: /x, rate: fast}]}\n",
        &["device_read_bps: the rate `fast` of /x is not a number of bytes"],
    )?;
    // A project that does not get well says why.
    let ill = r#"
- community.docker.docker_compose_v2:
    project_name: ill
    definition:
      services:
        web:
          image: 127.0.0.1:5001/demo:1.0.0
          healthcheck: {test: ["CMD-SHELL", "echo no disk; exit 1"], interval: 1s, retries: 1}
    wait: true
    wait_timeout: 20
"#;
    told(ill, &["ill-web-1 is unhealthy: its check says: no disk"])?;
    engine.docker(&["rm", "-f", "ill-web-1"]).map(|_| ())
}
