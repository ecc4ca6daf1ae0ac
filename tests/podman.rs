//! Podman, which `components/podman.sh` starts: plays inside its containers, and the modules of Docker over its socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Podman>] = &[
    ("plays inside a container", connection),
    ("modules of Docker over its socket", modules),
];

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("podman", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    match Podman::start(root) {
        Ok(podman) => scenario::run("podman", &chosen, &podman),
        Err(reason) => vec![("podman".to_owned(), Verdict::Skipped(reason))],
    }
}

/// Podman with storage of its own; it ends when dropped, and also when the tests are killed.
struct Podman {
    folder: tempfile::TempDir,
    process: Child,
}

impl Podman {
    fn start(root: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let tools = scenario::prepared("engine");
        if !tools.join("usr/bin/podman").exists() {
            let text =
                "needs the Podman that tests/components/engine.sh gets, which tests/run calls";
            return Err(text.to_owned());
        }
        let folder = tempfile::Builder::new().prefix("rplay-podman-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        let mut script = Command::new(root.join("tests/components/podman.sh"));
        script.arg(folder.path().join("run")).arg(&tools);
        let (process, _) = scenario::component(&mut script)?;
        Ok(Self { folder, process })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.file(name), text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// The program, and what it says.
    fn podman(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(self.file("run/podman"));
        let (code, text) = finish(command.args(arguments))?;
        match code {
            0 => Ok(text),
            _ => Err(format!("podman {arguments:?}: {text}")),
        }
    }

    /// Runs a playbook on the host of a line of an inventory.
    fn play(&self, play: &str, host: &str, more: &[&str]) -> Result<(i32, String), String> {
        self.write("play.yml", play)?;
        self.write("hosts.ini", &format!("{host}\n"))?;
        let words = [&["play.yml", "-i", "hosts.ini"], more].concat();
        let mut command = scenario::command(self.folder.path(), self.folder.path(), &words);
        finish(&mut command)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended by itself.
        let _ = self.process.wait();
    }
}

fn connection(podman: &Podman) -> Result<(), String> {
    podman.podman(&["run", "-d", "--name", "box", "localhost/demo:1"])?;
    let play = "- hosts: box
  gather_facts: false
  vars: {ansible_connection: containers.podman.podman}
  tasks:
    - copy: {content: \"inside {{ inventory_hostname }}\\n\", dest: /tmp/new}
    - raw: 'echo raw; cat /tmp/new'
      register: r
      changed_when: false
    - debug: msg=\"{{ r.stdout_lines }}\"
    - command: sh -c 'id -u; pwd; echo $GREETING'
      register: r
      changed_when: false
    - debug: msg=\"as {{ r.stdout_lines }}\"
";
    let program = podman.file("run/podman");
    let host = format!("box ansible_podman_executable={}", program.display());
    let here = ["\"inside box\"", "as ['0', '/'", "ok=5    changed=1"];
    expect(podman.play(play, &host, &["--check"])?, 0, &["changed=1"])?;
    expect(podman.play(play, &host, &[])?, 0, &here)?;
    expect(podman.play(play, &host, &[])?, 0, &["ok=5    changed=0"])?;
    podman.podman(&["exec", "box", "sh", "-c", "chmod 777 /tmp; rm /tmp/new"])?;
    let more = format!("{host} ansible_user=1234 ansible_podman_working_directory=/bin");
    let env = ["-e", "{ansible_podman_extra_env: {GREETING: hello}}"];
    let other = ["as ['1234', '/bin', 'hello']", "changed=1"];
    expect(podman.play(play, &more, &env)?, 0, &other)?;
    let left = podman.podman(&["top", "box"])?;
    if left.contains("agent-") {
        return Err(format!("an agent is left behind:\n{left}"));
    }
    podman.podman(&["rm", "-f", "-t", "0", "box"])?;
    let gone = "cannot reach the container `box`";
    expect(podman.play(play, &host, &[])?, 4, &["UNREACHABLE!", gone])
}

fn modules(podman: &Podman) -> Result<(), String> {
    let play = "- hosts: localhost
  gather_facts: false
  module_defaults:
    group/community.docker.docker: {docker_host: \"unix://{{ socket }}\"}
  tasks:
    - community.docker.docker_host_info: {images: true, volumes: true}
      register: host
    - assert: {that: host.images | length == 1}
    - community.docker.docker_volume: {name: data}
    - community.docker.docker_container:
        name: far
        image: localhost/demo:1
        network_mode: none
        env: {GREETING: hello}
        labels: {made: here}
        volumes: ['data:/data']
    - community.docker.docker_container_exec: {container: far, command: sh -c 'cat; echo $GREETING', stdin: 'far away'}
      register: ran
    - assert: {that: \"ran.stdout_lines == ['far away', 'hello']\"}
    - community.docker.docker_container_info: {name: far}
      register: far
    - assert: {that: far.exists and far.container.State.Running}
    - community.docker.docker_image_info: {name: localhost/demo:1}
      register: image
    - assert: {that: image.images | length == 1}
    - community.docker.docker_container: {name: far, state: absent, force_kill: true}
    - community.docker.docker_volume: {name: data, state: absent}
";
    let socket = format!("socket={}", podman.file("run/sock").display());
    let words = ["-e", &socket];
    let host = "localhost ansible_connection=local";
    expect(podman.play(play, host, &words)?, 0, &["failed=0"])?;
    // What is there stays as it is.
    let keep = play.split_inclusive("    - ").collect::<Vec<_>>();
    let keep: String = keep[..keep.len() - 2].concat();
    let keep = keep.trim_end_matches("    - ").to_owned();
    let made = podman.play(&keep, host, &words)?;
    expect(made, 0, &["changed=3 ", "failed=0"])?;
    expect(
        podman.play(&keep, host, &words)?,
        0,
        &["changed=1 ", "failed=0"],
    )?;
    let foreseen = podman.play(play, host, &[&words[..], &["--check", "--diff"]].concat())?;
    expect(foreseen, 0, &["failed=0"])?;
    let names = podman.podman(&["ps", "-a", "--format", "{{.Names}}"])?;
    expect((0, names), 0, &["far"])?;
    expect(podman.play(play, host, &words)?, 0, &["failed=0"])?;
    let left = podman.podman(&["ps", "-aq"])?;
    match left.trim() {
        "" => Ok(()),
        _ => Err(format!("left behind: {left}")),
    }
}
