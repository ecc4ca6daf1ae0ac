//! Plays through programs that run commands elsewhere: `chroot` in a Debian tree, and stand-ins for `podman`
//! and `kubectl`, because neither a second engine nor a kubelet is at hand. `docker` is in `docker.rs`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::argv::Watch;
use crate::harness::scenario::{self, Scenario, expect};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Place>] = &[
    ("a play in a folder, with become", chroot),
    ("a folder that cannot be entered", no_chroot),
    ("a pod, with a stand-in for kubectl", kubectl),
    ("a container, with a stand-in for podman", podman),
];

/// Runs every wanted scenario, or tells why it cannot.
pub(crate) fn all(_root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("inside", SCENARIOS, wanted);
    if chosen.is_empty() {
        return Vec::new();
    }
    match Place::make() {
        Ok(place) => scenario::run("inside", &chosen, &place),
        Err(reason) => vec![("inside".to_string(), Verdict::Skipped(reason))],
    }
}

/// A folder with a layer above the Debian tree, which is mounted for each run alone.
struct Place {
    folder: tempfile::TempDir,
    tree: PathBuf,
}

impl Place {
    fn make() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root, to mount and to enter a folder".to_string());
        }
        let tree = scenario::prepared("hpc");
        if !tree.join(".built").exists() {
            return Err("needs the tree that tests/run builds with components/root.sh".to_string());
        }
        let folder = tempfile::Builder::new().prefix("rplay-inside-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        for name in ["root", "up", "work", "home", "bin"] {
            std::fs::create_dir(folder.path().join(name)).map_err(|fault| fault.to_string())?;
        }
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).map_err(|fault| fault.to_string())?;
        Ok(Self { folder, tree })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.file(name), text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// Runs a program with the tree mounted at `root`, in a mount namespace of its own.
    fn mounted(&self, command: &Command) -> Result<(i32, String), String> {
        let script = "mount -t overlay test-inside -o lowerdir=$1,upperdir=up,workdir=work root\n\
                      mount -t proc proc root/proc\nmount --bind /dev root/dev\nshift\nexec \"$@\"";
        let mut inside = Command::new("unshare");
        inside
            .args(["--mount", "sh", "-eu", "-c", script, "sh"])
            .arg(&self.tree)
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(self.folder.path())
            .env_clear();
        for (name, value) in command.get_envs() {
            inside.env(name, value.unwrap_or_default());
        }
        scenario::finish(&mut inside)
    }

    /// Runs a play of these tasks; the programs of `bin` come first.
    fn play(&self, host: &str, tasks: &str, words: &[&str]) -> Result<(i32, String), String> {
        self.write("hosts.ini", &format!("{host}\n"))?;
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        self.write("play.yml", &play)?;
        let words = [&["play.yml", "-i", "hosts.ini"], words].concat();
        let mut command = scenario::command(self.folder.path(), &self.file("home"), &words);
        let known = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.file("bin")).chain(std::env::split_paths(&known));
        let path = std::env::join_paths(folders).map_err(|fault| fault.to_string())?;
        command.env("PATH", path).env("SEEN", self.file("seen"));
        self.mounted(&command)
    }

    /// A program of `bin` that notes its arguments and its environment.
    fn stand_in(&self, name: &str, script: &str) -> Result<(), String> {
        let text = format!("#!/bin/sh\n{{ echo \"$@\"; env; }} >>\"$SEEN\"\n{script}\n");
        self.write(&format!("bin/{name}"), &text)?;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.file(&format!("bin/{name}")), mode)
            .map_err(|fault| fault.to_string())
    }

    /// What the stand-ins noted since they were asked last.
    fn seen(&self) -> String {
        let text = std::fs::read_to_string(self.file("seen")).unwrap_or_default();
        // A run without a stand-in leaves nothing.
        let _ = std::fs::remove_file(self.file("seen"));
        text
    }
}

const TASKS: &str = "    - command: cat /etc/debian_version\n      register: r\n      changed_when: false\n\
    \x20   - debug: msg=\"Debian {{ r.stdout }}\"\n\
    \x20   - copy: {content: inside, dest: /srv/new, mode: '0640'}\n\
    \x20   - fetch: {src: /srv/new, dest: got, flat: true}\n\
    \x20   - raw: echo raw-$(id -un)\n      register: r\n\
    \x20   - debug: msg={{ r.stdout }}\n\
    \x20   - setup: {gather_subset: [min]}\n\
    \x20   - debug: msg=\"{{ ansible_distribution }} {{ ansible_distribution_release }}\"\n";

fn chroot(place: &Place) -> Result<(), String> {
    let host = format!(
        "{} ansible_connection=community.general.chroot",
        place.file("root").display()
    );
    let seen = [
        "Debian 13",
        "raw-root",
        "Debian trixie",
        "ok=8    changed=3",
    ];
    let copy = "    - copy: {content: inside, dest: /srv/new}\n";
    let ran = place.play(&host, copy, &["--check", "--diff"])?;
    expect(ran, 0, &["+inside", "changed=1"])?;
    if place.file("up/srv/new").exists() {
        return Err("check mode wrote a file".to_string());
    }
    expect(place.play(&host, TASKS, &[])?, 0, &seen)?;
    let again = place.play(&host, TASKS, &[])?;
    expect(again, 0, &["ok=8    changed=1"])?;
    let got = std::fs::read_to_string(place.file("got")).unwrap_or_default();
    let new = std::fs::read_to_string(place.file("up/srv/new")).unwrap_or_default();
    if got != "inside" || new != "inside" {
        return Err(format!("`{got}` came back, `{new}` is there"));
    }
    // A name of its own for the folder, another program and shell, another user inside.
    place.stand_in("enter", "exec chroot \"$@\"")?;
    let host = format!(
        "tree ansible_connection=chroot ansible_host={} ansible_chroot_exe=enter ansible_executable=/bin/bash",
        place.file("root").display()
    );
    let tasks = "    - command: id -un\n      register: r\n      become: true\n      become_user: carol\n      become_method: su\n    - debug: msg=\"I am {{ r.stdout }}\"\n    - service_facts:\n";
    expect(place.play(&host, tasks, &[])?, 0, &["I am carol", "ok=3"])?;
    match place.seen().contains("/root /bin/bash -c") {
        true => Ok(()),
        false => Err("the program and the shell were not used".to_string()),
    }
}

/// The texts are Ansible's.
fn no_chroot(place: &Place) -> Result<(), String> {
    let ping = "    - ping:\n";
    let at = |folder: &str| format!("{folder} ansible_connection=community.general.chroot");
    let ran = place.play(&at("/nowhere/at/all"), ping, &[])?;
    expect(ran, 2, &["/nowhere/at/all is not a directory"])?;
    let bare = place.file("home").display().to_string();
    let missing = "does not look like a chrootable dir (/bin/sh missing)";
    expect(place.play(&at(&bare), ping, &[])?, 2, &[missing])?;
    let other = format!(
        "{} ansible_chroot_exe=enter-nothing",
        at(&place.file("root").display().to_string())
    );
    expect(
        place.play(&other, ping, &[])?,
        4,
        &["cannot start `enter-nothing`"],
    )
}

/// The stand-in takes kubectl's words apart as kubectl does, and runs the command in the tree. That a
/// cluster takes them is not shown.
fn kubectl(place: &Place) -> Result<(), String> {
    let script = "config=${KUBECONFIG%%:*}\n[ ! -e \"$config\" ] || sed 's/^/config: /' \"$config\" >>\"$SEEN\"\n\
        while [ \"$1\" != -- ]; do shift; done\nshift\nexec chroot root \"$@\"";
    place.stand_in("kubectl", script)?;
    place.write(
        "vars.yml",
        "ansible_connection: kubernetes.core.kubectl\nansible_kubectl_namespace: shop\nansible_kubectl_pod: web-0\n\
         ansible_kubectl_container: app\nansible_kubectl_context: lab\nansible_kubectl_host: https://127.0.0.1:1\n\
         ansible_kubectl_validate_certs: false\nansible_kubectl_token: token-8431-secret\n\
         ansible_kubectl_kubeconfig: ~/config\nansible_kubectl_extra_args: --v=0\n\
         ansible_kubectl_local_env_vars: {PROXY: here}\n",
    )?;
    let watch = Watch::everywhere(&["token-8431-secret"]);
    let ran = place.play("web", TASKS, &["-e", "@vars.yml"]);
    let shown = watch.end();
    expect(ran?, 0, &["Debian 13", "raw-root", "failed=0"])?;
    if let Some(line) = shown {
        return Err(format!("the token is in {line}"));
    }
    let seen = place.seen();
    let config = place.file("home/config").display().to_string();
    for wanted in [
        "--context=lab --server=https://127.0.0.1:1 --namespace=shop --insecure-skip-tls-verify=true --user=rplay --v=0 exec -i web-0 -c app -- /bin/sh -c",
        "PROXY=here",
        &format!(":{config}\n"),
        "\"token\":\"token-8431-secret\"",
    ] {
        if !seen.contains(wanted) {
            return Err(format!("`{wanted}` is not in\n{seen}"));
        }
    }
    let plain = "web ansible_connection=kubectl";
    expect(place.play(plain, "    - ping:\n", &[])?, 0, &["ok=1 "])?;
    let seen = place.seen();
    expect((0, seen), 0, &["exec -i web -- /bin/sh -c"])?;
    // The reason is the program's.
    place.stand_in(
        "kubectl",
        "echo 'Error from server (NotFound): pods \"web\" not found' >&2; exit 1",
    )?;
    let ran = place.play(plain, "    - ping:\n", &[])?;
    expect(
        ran,
        4,
        &["cannot reach the pod `web`: Error from server (NotFound)"],
    )
}

/// The stand-in runs the command in the tree, and shows the words; `podman.rs` has the real program.
fn podman(place: &Place) -> Result<(), String> {
    let script = "while [ \"$1\" != -i ]; do shift; done\nshift 2\nexec chroot root \"$@\"";
    place.stand_in("podman-remote", script)?;
    place.write(
        "vars.yml",
        "ansible_connection: containers.podman.podman\nansible_podman_executable: podman-remote\nansible_user: deploy\n\
         ansible_podman_extra_args: --log-level error\nansible_podman_extra_env: {SECRET: hidden-4711}\nansible_podman_working_directory: /srv\n",
    )?;
    let ran = place.play("box", TASKS, &["-e", "@vars.yml"])?;
    expect(ran, 0, &["Debian 13", "failed=0"])?;
    let words = "--log-level error exec --user deploy -e SECRET --workdir /srv -i box /bin/sh -c";
    expect((0, place.seen()), 0, &[words, "SECRET=hidden-4711"])
}
