//! Plays over real SSH: a server on loopback, a login user that is not root, sudo, Lmod.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::argv::Watch;
use crate::harness::page::Page;
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
    ("sudo with a password", sudo_password),
    ("sudo without a password", sudo_free),
    ("a task in the background as another user", background),
    ("a wrong sudo password fails the task", sudo_wrong),
    ("a host starts again, as far as anybody can tell", reboot),
    ("secrets are in no process's arguments", unseen),
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
            let verdict = stages::over_ssh(case, &more);
            results.push((format!("ssh::{name}::{}", case.title), verdict));
        }
    }
    results
}

impl Server {
    /// Starts a server, which only root can: it makes the login users.
    pub(crate) fn start(root: &Path) -> Result<Self, String> {
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
        let output = script(root, "start", folder.path())?;
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

    /// An inventory line for a host that is this server.
    fn host(&self, name: &str) -> String {
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
            Path::new(env!("CARGO_MANIFEST_DIR")),
            "stop",
            self.folder.path(),
        );
    }
}

fn script(root: &Path, verb: &str, folder: &Path) -> Result<String, String> {
    let mut command = Command::new(root.join("tests/harness/sshd.sh"));
    let output = command
        .arg(verb)
        .arg(folder)
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
