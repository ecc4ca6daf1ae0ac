//! Plays on a host that shares nothing with this machine but the kernel: Debian with sshd, Lmod and
//! Apptainer, and no Python. See `components/`.

mod images;
mod logins;
mod modules;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::scenario::{self, Scenario, eventually, expect, outcome};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Host>] = &[
    (
        "Setonix with the shell, Lmod and Apptainer, two names of one address",
        setonix_shell,
    ),
    ("Apptainer runs the image that we wrote", setonix_native),
    (
        "images of every source by both engines, moved tags",
        images::sources,
    ),
    (
        "images that cannot be had leave nothing behind",
        images::faults,
    ),
    (
        "programs in containers, instances, module files",
        images::containers,
    ),
    (
        "a host whose session ends is come back to, others go on",
        session_ends,
    ),
    (
        "a host that falls silent is unreachable, others go on",
        silence,
    ),
    ("a full file system breaks no file", full_destination),
    ("a full home leaves no half of an agent", full_home),
    ("a home that cannot be written", closed_home),
    (
        "names and contents of any bytes, without a locale",
        no_locale,
    ),
    ("an interrupted run ends its programs", interrupted),
    ("an interrupted upload breaks no file", interrupted_upload),
];

/// On a host with more programs, see `components/login.sh`.
const LOGINS: &[Scenario<Host>] = &[
    ("shells of all kinds, and what they print", logins::shells),
    (
        "homes and folders that cannot hold the agent",
        logins::folders,
    ),
    ("sudo, sudo-rs, su, doas, sudosu", logins::methods),
    (
        "a wrong password costs what the system makes it cost",
        logins::wrong,
    ),
    ("sudo that wants a terminal", logins::terminal),
    ("nothing but busybox and dropbear", logins::small),
    ("a machine that there is no agent for", logins::no_agent),
    ("what an agent that was killed left behind", logins::killed),
];

/// On a host with Environment Modules, see `components/modules.sh`.
const MODULES: &[Scenario<Host>] = &[
    ("modules of Environment Modules", modules::state),
    (
        "containers by a program out of Environment Modules",
        modules::containers,
    ),
];

/// Runs every wanted scenario, or tells why it cannot.
pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let mut results = Vec::new();
    for (scenarios, layers) in [
        (SCENARIOS, &["hpc"][..]),
        (LOGINS, &["login", "hpc"]),
        (MODULES, &["modules", "hpc"]),
    ] {
        let chosen = scenario::chosen("hosts", scenarios, wanted);
        if chosen.is_empty() {
            continue;
        }
        results.extend(match Host::start(root, layers) {
            Ok(host) => scenario::run("hosts", &chosen, &host),
            Err(reason) => vec![("hosts".to_string(), Verdict::Skipped(reason))],
        });
    }
    results
}

/// A running host; it ends when dropped, and also when the tests are killed.
struct Host {
    folder: tempfile::TempDir,
    process: Child,
    address: String,
    /// The interface on this side.
    link: String,
    /// Its first process.
    first: String,
}

impl Host {
    /// Starts a host whose root has these layers, the uppermost first.
    fn start(root: &Path, layers: &[&str]) -> Result<Self, String> {
        if !rustix::process::getuid().is_root() {
            return Err("needs root, to make namespaces".to_string());
        }
        let trees: Vec<PathBuf> = layers
            .iter()
            .map(|layer| scenario::prepared(layer))
            .collect();
        if !trees.iter().all(|tree| tree.join(".built").exists()) {
            return Err("needs the trees that tests/run builds with components/".to_string());
        }
        let trees: Vec<_> = trees
            .iter()
            .map(|tree| tree.display().to_string())
            .collect();
        let folder = tempfile::Builder::new().prefix("rplay-host-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        let mut script = Command::new(root.join("tests/components/host.sh"));
        script.arg(folder.path().join("host")).arg(trees.join(":"));
        let (process, line) = scenario::component(&mut script)?;
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Ok([address, link, first]) = <[String; 3]>::try_from(words) else {
            return Err(format!("host.sh says {line}"));
        };
        let host = Self {
            folder,
            process,
            address,
            link,
            first,
        };
        std::fs::create_dir_all(host.file("home")).map_err(|fault| fault.to_string())?;
        Ok(host)
    }

    /// A file of the folder that rplay is started in.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.file(name), text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// Runs a script as root inside, past its sshd; what it printed.
    fn inside(&self, script: &str) -> Result<String, String> {
        let mut child = Command::new("nsenter")
            .args(["-t", &self.first, "-a", "--", "sh", "-eu"])
            // Root's own there, whoever runs the tests.
            .env("HOME", "/root")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|fault| format!("nsenter: {fault}"))?;
        if let Some(mut input) = child.stdin.take() {
            let written = input.write_all(script.as_bytes());
            written.map_err(|fault| fault.to_string())?;
        }
        let output = child.wait_with_output();
        match outcome(&output.map_err(|fault| fault.to_string())?) {
            (0, text) => Ok(text),
            (code, text) => Err(format!("exit code {code} of `{script}`\n{text}")),
        }
    }

    /// rplay with these arguments, which must name an inventory.
    fn command(&self, arguments: &[&str]) -> Command {
        let ssh = format!(
            "-F none -o UserKnownHostsFile={} -o ServerAliveInterval=1 -o ServerAliveCountMax=2",
            self.file("host/known_hosts").display()
        );
        let key = self.file("host/id_ed25519").display().to_string();
        let mut words = arguments.to_vec();
        words.extend(["--private-key", &key, "--ssh-common-args", &ssh]);
        scenario::command(self.folder.path(), &self.file("home"), &words)
    }

    fn rplay(&self, arguments: &[&str]) -> Result<(i32, String), String> {
        scenario::finish(&mut self.command(arguments))
    }

    /// Writes a play of these tasks for hosts of these names, which are all this one.
    fn prepare(&self, user: &str, names: &[&str], tasks: &str) -> Result<(), String> {
        let line =
            |name: &&str| format!("{name} ansible_host={} ansible_user={user}\n", self.address);
        self.write("hosts.ini", &names.iter().map(line).collect::<String>())?;
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        self.write("play.yml", &play)
    }

    /// Runs a play of these tasks for a user on host `h`.
    fn play(&self, user: &str, tasks: &str) -> Result<(i32, String), String> {
        self.prepare(user, &["h"], tasks)?;
        self.rplay(&["play.yml", "-i", "hosts.ini"])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The end of its input is its end; waiting lets its folder be removed.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The inventory of the real system: two names, one address, and variables that are templates of
/// others. The user is wrong, because the command line gives another.
const SETONIX: &str = "\
staging:
  hosts:
    setonix_staging:
      ansible_host: ADDRESS
      ansible_user: nobody_there
      env: staging
      base_dir: \"/software/projects/{{ ansible_user }}/setonix/{{ env }}\"
      singularity_version: 4.1.0-slurm
production:
  hosts:
    setonix_production:
      ansible_host: ADDRESS
      ansible_user: nobody_there
      env: production
      base_dir: \"/software/projects/{{ ansible_user }}/setonix/{{ env }}\"
      singularity_version: 4.1.0-slurm
";

/// Copies the playbooks, and starts a registry with the image of the repository inside.
fn setonix(host: &Host) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.write("inventory.yml", &SETONIX.replace("ADDRESS", &host.address))?;
    let inside = PathBuf::from(format!("/proc/{}/root/srv", host.first));
    let from = root.join("playbooks/setonix");
    for (from, to) in [
        (from.clone(), host.file("setonix")),
        (from.join("files/image"), inside.join("image")),
    ] {
        if to.exists() {
            return Ok(());
        }
        let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
        copied.map_err(|fault| fault.to_string())?;
    }
    host.inside(include_str!("components/registry.sh"))?;
    Ok(())
}

const IMAGE: &str = "docker://127.0.0.1:5000/demo";

fn setonix_shell(host: &Host) -> Result<(), String> {
    setonix(host)?;
    // One host after the other: two calls of Apptainer that fill one cache at once stumble over each other.
    let run = |play: &str, more: &[&str]| {
        host.rplay(&[&[play, "-i", "inventory.yml", "-f", "1"], more].concat())
    };
    let deploy = "setonix/deploy-shell.yml";
    let words = format!("version=1.0.0 ansible_user=deploy remote_image={IMAGE}:1.0.0");
    let json = format!(
        "{{\"version\": \"1.0.0\", \"ansible_user\": \"deploy\", \"remote_image\": \"{IMAGE}:{{{{ version }}}}\"}}"
    );
    host.write(
        "next.yml",
        &format!(
            "version: 1.1.0\nansible_user: deploy\nremote_image: \"{IMAGE}:{{{{ version }}}}\"\n"
        ),
    )?;
    // The mistakes of the real system's test job: an inventory that is not there, and no user.
    let missing = [
        "setonix/test-shell.yml",
        "-i",
        "inventory/staging/inventory.yml",
    ];
    let missing = [missing.as_slice(), &["-e", "version=1.0.0"]].concat();
    expect(
        host.rplay(&missing)?,
        1,
        &["inventory/staging/inventory.yml could not be found"],
    )?;
    let nobody = SETONIX.replace("      ansible_user: nobody_there\n", "");
    host.write("nobody.yml", &nobody.replace("ADDRESS", "198.18.255.1"))?;
    let unnamed = [
        "setonix/test-shell.yml",
        "-i",
        "nobody.yml",
        "-e",
        "version=1.0.0",
    ];
    let texts = [
        "'ansible_user' is undefined",
        "nobody.yml:6:",
        "unreachable=0    failed=1",
    ];
    expect(host.rplay(&unnamed)?, 2, &texts)?;
    // The inventory's own user does not get in; the one of the command line does.
    let ran = run(deploy, &["-l", "staging", "-e", "version=1.0.0"])?;
    expect(ran, 4, &["setonix_staging", "UNREACHABLE!", "nobody_there"])?;
    let ran = run(deploy, &["-e", &words])?;
    expect(
        ran,
        0,
        &[
            "setonix_staging            : ok=5    changed=3",
            "setonix_production         : ok=5    changed=3",
        ],
    )?;
    // It pulls again whenever it runs, and everything else stays.
    let ran = run(deploy, &["-l", "staging", "-e", &json])?;
    expect(ran, 0, &["ok=5    changed=1"])?;
    let hello = ["demo 1.0.0\"", "changed=0", "failed=0"];
    expect(run("setonix/test-shell.yml", &["-e", &json])?, 0, &hello)?;
    let ran = run(
        deploy,
        &["-l", "staging", "-e", "@next.yml", "--check", "--diff"],
    )?;
    expect(
        ran,
        0,
        &["+-- demo 1.1.0 (staging)", "skipping: [setonix_staging]"],
    )?;
    let ran = run(deploy, &["-l", "staging", "-e", "@next.yml"])?;
    expect(ran, 0, &["failed=0"])?;
    let ran = run("setonix/test-shell.yml", &["-e", "@next.yml"])?;
    expect(ran, 0, &["demo 1.1.0\""])?;
    // A tag that is not there fails with the words of the program, and leaves the image that is.
    let ran = run(
        deploy,
        &[
            "-l",
            "staging",
            "-e",
            &words,
            "-e",
            &format!("remote_image={IMAGE}:9"),
        ],
    )?;
    expect(ran, 2, &["FAILED! =>", "manifest unknown"])?;
    host.inside("test -s /software/projects/deploy/setonix/staging/software/demo/1.0.0/demo")
        .map(drop)
}

fn setonix_native(host: &Host) -> Result<(), String> {
    setonix(host)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inventory = root.join("inventory/setonix.yml");
    let inventory = inventory.to_string_lossy();
    let more = format!(
        "version=1.0.0 ansible_user=carol ansible_host={} remote_image={IMAGE}:1.0.0",
        host.address
    );
    let deploy = |flags: &[&str]| {
        let arguments = [
            "setonix/deploy.yml",
            "-i",
            &inventory,
            "-l",
            "production",
            "-e",
            &more,
        ];
        host.rplay(&[arguments.as_slice(), flags].concat())
    };
    expect(
        deploy(&["--check", "--diff"])?,
        0,
        &["changed=3", "failed=0"],
    )?;
    expect(deploy(&[])?, 0, &["changed=3", "failed=0"])?;
    expect(deploy(&[])?, 0, &["changed=0", "failed=0"])?;
    let image = "/software/projects/carol/setonix/production/software/demo/1.0.0/demo";
    let script = format!(
        "su carol -c 'apptainer inspect --labels {image}; apptainer sif list {image}; apptainer run {image} world'"
    );
    let said = host.inside(&script)?;
    let texts = [
        "org.opencontainers.image.version: 1.0.0",
        "Squashfs",
        "hello world, this is demo 1.0.0",
    ];
    expect((0, said), 0, &texts)?;
    // The test of the playbooks runs the program too, where it finds a runtime.
    let user = format!(
        "{more} ansible_connection=ssh base_dir=/software/projects/carol/setonix/production"
    );
    let arguments = [
        "setonix/test.yml",
        "-i",
        &inventory,
        "-l",
        "staging",
        "-e",
        &user,
    ];
    expect(
        host.rplay(&arguments)?,
        0,
        &["ok=6", "skipped=0", "failed=0"],
    )
}

fn session_ends(host: &Host) -> Result<(), String> {
    let tasks = "    - shell: kill -9 $(awk '/^PPid/ { print $2 }' /proc/$PPID/status)\n      when: inventory_hostname == 'gone'\n    - command: echo still here\n";
    host.prepare("root", &["gone", "stays"], tasks)?;
    let ran = host.rplay(&["play.yml", "-i", "hosts.ini"])?;
    let texts = [
        "changed: [stays]",
        "gone                       : ok=2    changed=2    unreachable=0",
        "stays                      : ok=1    changed=1    unreachable=0",
    ];
    expect(ran, 0, &texts)
}

/// Its link goes down in the middle of a task: no end of the connection is ever told.
fn silence(host: &Host) -> Result<(), String> {
    let tasks = "    - shell: touch /run/began; sleep 20\n      when: inventory_hostname == 'gone'\n    - command: echo still here\n";
    host.prepare("root", &["gone", "stays ansible_connection=local"], tasks)?;
    let mut command = host.command(&["play.yml", "-i", "hosts.ini"]);
    let child = command.env("RPLAY_RECONNECT_SECONDS", "2").spawn();
    let child = child.map_err(|fault| fault.to_string())?;
    let began = eventually("the task runs", Duration::from_secs(30), || {
        Ok(host.inside("test -e /run/began").is_ok())
    });
    let link = |state: &str| {
        let words = ["link", "set", &host.link, state];
        let done = Command::new("ip").args(words).status();
        done.map_err(|fault| fault.to_string())
    };
    link("down")?;
    let output = child.wait_with_output();
    link("up")?;
    began?;
    let ran = outcome(&output.map_err(|fault| fault.to_string())?);
    expect(
        ran,
        4,
        &[
            "fatal: [gone]: UNREACHABLE!",
            "changed: [stays]",
            "unreachable=1",
        ],
    )?;
    eventually(
        "nothing of the run is left on the host",
        Duration::from_secs(60),
        || Ok(running(host, "sleep 20")?.is_empty()),
    )
}

/// A file system of 1 MB at a folder.
fn small(folder: &str, owner: &str) -> String {
    format!(
        "mkdir -p {folder} && mount -t tmpfs -o size=1m,mode=755 small {folder} && chown {owner}: {folder}\n"
    )
}

fn full_destination(host: &Host) -> Result<(), String> {
    host.inside(&format!(
        "{}echo old >/srv/small/kept\n",
        small("/srv/small", "root")
    ))?;
    let big = vec![b'x'; 3 << 20];
    std::fs::write(host.file("big"), big).map_err(|fault| fault.to_string())?;
    let tasks = "    - copy: {src: big, dest: /srv/small/new}\n      ignore_errors: true\n    - copy: {src: big, dest: /srv/small/kept}\n      ignore_errors: true\n    - copy: {content: \"{{ 'y' * 2000000 }}\", dest: /srv/small/kept}\n      ignore_errors: true\n    - command: echo go on\n";
    let ran = host.play("root", tasks)?;
    expect(
        ran,
        0,
        &["No space left on device", "ok=4    changed=1", "ignored=3"],
    )?;
    let left =
        host.inside("ls -A /srv/small; cat /srv/small/kept; umount /srv/small; ls /tmp\n")?;
    expect((0, left.clone()), 0, &["kept\nold\n"])?;
    if left.contains("rplay-") {
        return Err(format!("something is left on the host:\n{left}"));
    }
    Ok(())
}

fn full_home(host: &Host) -> Result<(), String> {
    host.inside(&small("~deploy/.cache", "deploy"))?;
    let elsewhere = host.play("deploy", "    - ping:\n");
    let shared = ["/tmp", "/var/tmp", "/dev/shm"];
    let full = |folder: &&str| small(folder, "root") + &format!("chmod 1777 {folder}\n");
    host.inside(&shared.iter().map(full).collect::<String>())?;
    let nowhere = host.play("deploy", "    - ping:\n");
    let left = host.inside(
        "find ~deploy/.cache /tmp /var/tmp /dev/shm -type f; umount ~deploy/.cache /tmp /var/tmp /dev/shm; rm -r /tmp/.rplay-*\n",
    )?;
    expect(elsewhere?, 0, &["ok=1"])?;
    let texts = [
        "fatal: [h]: UNREACHABLE!",
        "no folder can hold the agent",
        "No space left on device",
    ];
    expect(nowhere?, 4, &texts)?;
    if !left.is_empty() {
        return Err(format!("files are left on the host: {left}"));
    }
    Ok(())
}

fn closed_home(host: &Host) -> Result<(), String> {
    host.inside("chown root: ~carol; chmod 755 ~carol\n")?;
    let ran = host.play(
        "carol",
        "    - ping:\n    - copy: {content: x, dest: ~/no}\n      ignore_errors: true\n",
    );
    host.inside("chown carol: ~carol\n")?;
    expect(ran?, 0, &["ok: [h]", "ignored=1"])
}

fn no_locale(host: &Host) -> Result<(), String> {
    let tasks = "    - copy: {content: \"Grüße, 世界\\n\", dest: \"/srv/Zürich ñ\"}\n    - command: cat '/srv/Zürich ñ'\n      register: read\n    - assert: {that: \"read.stdout == 'Grüße, 世界'\"}\n    - shell: printf 'a\\377b'\n      register: raw\n    - debug: {var: raw.stdout}\n    - find: {paths: /srv, patterns: 'Z*'}\n      register: found\n    - debug: {msg: \"{{ found.files[0].path }}\"}\n";
    host.prepare("root", &["h"], tasks)?;
    for locale in ["C", "POSIX", "de_XX.ISO-8859-1"] {
        let mut command = host.command(&["play.yml", "-i", "hosts.ini"]);
        command.env("LC_ALL", locale).env("LANG", locale);
        let ran = scenario::finish(&mut command)?;
        expect(ran, 0, &["/srv/Zürich ñ", "failed=0"])?;
    }
    Ok(())
}

/// Processes of the host that run rplay's agent or this command; what scenarios before this one have left
/// to end by itself is none of them.
fn running(host: &Host, command: &str) -> Result<String, String> {
    host.inside(&format!(
        "pgrep -a agent- || :; pgrep -afx '{command}' || :\n"
    ))
}

fn interrupted(host: &Host) -> Result<(), String> {
    use rustix::process::Signal;
    const SLEEP: &str = "sleep 100";
    // A terminal's Ctrl-C is Ansible's 99; the others end the program as they end any other.
    for (signal, code) in [(Signal::INT, 99), (Signal::TERM, -15), (Signal::HUP, -1)] {
        // Under `nohup` the run goes on.
        if rplay::cli::is_ignored(signal.as_raw()) {
            continue;
        }
        host.prepare(
            "deploy",
            &["h"],
            &format!("    - shell: trap '' HUP TERM; {SLEEP}\n"),
        )?;
        let child = host.command(&["play.yml", "-i", "hosts.ini"]).spawn();
        let child = child.map_err(|fault| fault.to_string())?;
        eventually("the program runs", Duration::from_secs(30), || {
            Ok(running(host, SLEEP)?.contains(SLEEP))
        })?;
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
            rustix::process::kill_process(pid, signal).map_err(|fault| fault.to_string())?;
        }
        let output = child.wait_with_output();
        let ran = outcome(&output.map_err(|fault| fault.to_string())?);
        let said: &[&str] = if code == 99 {
            &["User interrupted execution"]
        } else {
            &[]
        };
        expect(ran, code, said)?;
        eventually(
            "nothing of the run is left on the host",
            Duration::from_secs(10),
            || Ok(running(host, SLEEP)?.is_empty()),
        )?;
    }
    Ok(())
}

fn interrupted_upload(host: &Host) -> Result<(), String> {
    host.inside("echo old >/srv/upload\n")?;
    let sparse = std::fs::File::create(host.file("huge")).and_then(|file| file.set_len(1 << 30));
    sparse.map_err(|fault| fault.to_string())?;
    host.prepare(
        "root",
        &["h"],
        "    - copy: {src: huge, dest: /srv/upload}\n",
    )?;
    let child = host.command(&["play.yml", "-i", "hosts.ini"]).spawn();
    let mut child = child.map_err(|fault| fault.to_string())?;
    eventually("the upload begins", Duration::from_secs(60), || {
        Ok(host.inside("ls /tmp")?.contains("rplay-"))
    })?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    if let Some(pid) = pid {
        let killed = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        killed.map_err(|fault| fault.to_string())?;
    }
    let status = child.wait().map_err(|fault| fault.to_string())?;
    eventually("the host is clean again", Duration::from_secs(15), || {
        Ok(!host.inside("ls /tmp")?.contains("rplay-") && running(host, "none")?.is_empty())
    })?;
    let left = host.inside("cat /srv/upload; ls -A /srv\n")?;
    if status.code() != Some(99) || !left.starts_with("old\n") || left.contains(".ansible") {
        return Err(format!("{status}\n{left}"));
    }
    Ok(())
}
