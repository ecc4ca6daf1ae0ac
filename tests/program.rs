//! The program as a whole on this machine: the README's commands, a terminal, signals, and homes and
//! locales that do not help.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::case::split;
use crate::harness::scenario::{self, Scenario, eventually, expect, finish, outcome};
use crate::harness::stages::{Verdict, rplay};

const SCENARIOS: &[Scenario<Place>] = &[
    ("the first commands of the README", readme),
    ("progress on a terminal is drawn and erased", progress),
    ("no progress where nobody looks", no_progress),
    ("what programs write is shown while they run", streamed),
    ("signals end the run and its programs", signals),
    ("a task in the background outlives the run", background),
    ("a home that cannot be written", closed_home),
    ("accounts that only a directory service has", directory),
    ("files that include each other come to an end", endless),
    (
        "an interrupted password leaves the terminal as it was",
        silence,
    ),
    ("an editor that fails leaves no secret behind", editors),
    ("answers to questions are templates", questions),
    ("shells complete words, files and options", completions),
    (
        "names and contents of any bytes, without a locale",
        no_locale,
    ),
    ("TLS with every curve of keys and certificates", encrypted),
];

/// What an OpenSSL server and its certificate use: the version, the curve of the session's keys, and the
/// kind of the certificate's key. The agent computes P-256 and X25519 its own way.
const ENCRYPTED: &[(&str, &str, &str)] = &[
    ("-tls1_3", "P-256", "ec:P-256"),
    ("-tls1_3", "X25519", "ec:P-256"),
    ("-tls1_2", "P-256", "ec:P-256"),
    ("-tls1_2", "X25519", "ec:P-384"),
    ("-tls1_3", "P-384", "ec:P-384"),
    ("-tls1_3", "X25519", "rsa"),
    ("-tls1_3", "P-256", "ed25519"),
];

/// Makes certificates, the first argument names the kinds of their keys.
const CERTIFICATES: &str = r#"
set -e
new() {
    case $1 in
        ec:*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${1#ec:}" ;;
        *) openssl genpkey -algorithm "$1" ;;
    esac > "$2"
}
for kind; do
    new "$kind" "$kind.ca-key"
    openssl req -x509 -key "$kind.ca-key" -subj "/CN=CA $kind" -days 2 > "$kind.ca"
    cat "$kind.ca" >> ca.pem
    new "$kind" "$kind.key"
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > extensions
    openssl req -new -key "$kind.key" -subj /CN=localhost |
        openssl x509 -req -CA "$kind.ca" -CAkey "$kind.ca-key" -days 2 -extfile extensions > "$kind.pem"
done
"#;

/// What a line to complete has among its completions.
const COMPLETED: &[(&str, &str)] = &[
    ("rplay pl", "play.yml"),
    ("rplay pl", "playbook"),
    ("rplay --sy", "--syntax-check"),
    ("rplay play.yml --sy", "--syntax-check"),
    ("rplay -i hosts play.yml --sy", "--syntax-check"),
    ("rplay vault rek", "rekey"),
    ("rplay vault encrypt --out", "--output"),
    ("rplay doc -t keyw", "keyword"),
    ("ansible-playbook --sy", "--syntax-check"),
    ("ansible-vault encrypt_str", "encrypt_string"),
];

/// Prints the completions of the last word, as bash asks for them.
const BASH: &str = r#"
if [ "$1" = rplay ]; then source <("$RPLAY" completions bash); else source <("$RPLAY" completions bash --program "$1"); fi
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
name=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
"$name" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The same for fish.
const FISH: &str = r#"
if test $argv[1] = rplay; $RPLAY completions fish | source; else; $RPLAY completions fish --program $argv[1] | source; end
complete -C "$argv" | string split -f1 \t
"#;

/// The scripts of `rplay completions` in the shells that are installed.
fn completions(place: &Place) -> Result<(), String> {
    let folder = place.fresh("completions")?;
    std::fs::write(folder.join("play.yml"), "").map_err(|fault| fault.to_string())?;
    for (shell, script) in [("bash", BASH), ("fish", FISH)] {
        for (line, wanted) in COMPLETED {
            let words: Vec<&str> = line.split(' ').collect();
            let mut command = Command::new(shell);
            command.arg("-c").arg(script);
            if shell == "bash" {
                command.arg(shell);
            }
            command.args(&words).current_dir(&folder);
            command
                .env("RPLAY", rplay())
                .env("HOME", &folder)
                .env_remove("XDG_STATE_HOME");
            let Ok(ran) = command.output() else {
                if shell == "bash" {
                    return Err("bash is not there".to_owned());
                }
                break;
            };
            let found = String::from_utf8_lossy(&ran.stdout).into_owned();
            let told = String::from_utf8_lossy(&ran.stderr);
            if !found.lines().any(|one| one.trim_end() == *wanted) {
                return Err(format!(
                    "{shell}: `{line}` is not completed to `{wanted}` but to {found}{told}"
                ));
            }
        }
    }
    Ok(())
}

/// Runs every wanted scenario.
pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("program", SCENARIOS, wanted);
    let folder = tempfile::Builder::new().prefix("rplay-program-").tempdir();
    match folder {
        Ok(folder) => {
            let root = root.to_owned();
            scenario::run("program", &chosen, &Place { root, folder })
        }
        Err(fault) => vec![("program".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

/// Where runs are started.
struct Place {
    /// The repository.
    root: PathBuf,
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder that is fresh for a scenario.
    fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).map_err(|fault| fault.to_string())?;
        Ok(path)
    }

    /// A fresh folder with `play.yml` for the tasks.
    fn play(&self, name: &str, tasks: &str) -> Result<PathBuf, String> {
        let folder = self.fresh(name)?;
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        std::fs::write(folder.join("play.yml"), play).map_err(|fault| fault.to_string())?;
        Ok(folder)
    }
}

/// `play.yml` on this machine.
const HERE: &[&str] = &["play.yml", "-i", "here,", "-c", "local"];

/// A program that goes on when its line has been seen; nothing of tasks whose output is hidden.
fn streamed(place: &Place) -> Result<(), String> {
    use std::io::BufRead;
    let tasks = "    - shell: echo one; for i in $(seq 100); do [ -e seen ] && break; sleep 0.1; done; [ -e seen ] && printf 'two\\nthree'\n      args: {chdir: '{{ playbook_dir }}'}\n    - command: echo hidden\n      no_log: true\n";
    let folder = place.play("streamed", tasks)?;
    let mut command = scenario::command(&folder, &folder, HERE);
    command.env("RPLAY_STREAM_OUTPUT", "yes");
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().map_err(|fault| fault.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut told = vec![];
    for line in std::io::BufReader::new(output).lines() {
        let line = line.map_err(|fault| fault.to_string())?;
        if line == "here | one" {
            std::fs::write(folder.join("seen"), "").map_err(|fault| fault.to_string())?;
        }
        told.push(line);
    }
    let status = child.wait().map_err(|fault| fault.to_string())?;
    // A host that says much does not keep another one waiting.
    let tasks = "    - shell: \"{{ {'a': 'for i in 1 2 3 4 5 6; do echo more; sleep 0.3; done', 'b': 'echo once'}[inventory_hostname] }}\"\n";
    let both = place.play("streamed-by-two", tasks)?;
    let mut command = scenario::command(&both, &both, &["play.yml", "-i", "a,b", "-c", "local"]);
    command.env("RPLAY_STREAM_OUTPUT", "yes");
    let (_, ran) = finish(&mut command)?;
    let at = |line: &str| ran.find(line).ok_or_else(|| format!("no {line}:\n{ran}"));
    if at("b | once")? > at("changed: [a]")? {
        return Err(format!("the second host waited for the first:\n{ran}"));
    }
    let text = told.join("\n");
    let lines = "here | one\nhere | two\nhere | three\nchanged: [here]\n\nTASK [command]";
    if text.contains("hidden") {
        return Err(format!("a hidden task was shown:\n{text}"));
    }
    expect((status.code().unwrap_or(-1), text), 0, &[lines])
}

/// Brings a further source of names (`libnss-extrausers`, without installing it) into a mount namespace, and
/// runs the program of the arguments there.
const DIRECTORY: &str = r#"
set -eu
folder=$1
shift
cd "$folder"
apt-get download -q libnss-extrausers >log 2>&1 || { echo "skip: $(tail -n 1 log)"; exit; }
dpkg -x libnss-extrausers_*.deb source
cp -a /etc etc
sed -i 's/^passwd:.*/passwd: files extrausers/; s/^group:.*/group: files extrausers/' etc/nsswitch.conf
mount --bind etc /etc
mkdir -p lib
mount --bind lib /var/lib
mkdir /var/lib/extrausers
echo 'dora:x:54321:54321:From a directory:/home/dora:/bin/sh' >/var/lib/extrausers/passwd
echo 'directors:x:54322:dora' >/var/lib/extrausers/group
LD_LIBRARY_PATH=$(dirname "$(find "$folder/source/usr/lib" -name 'libnss_extrausers.so.2')") exec "$@"
"#;

/// The agent is static, and finds accounts all the same that no file in `/etc` has.
fn directory(place: &Place) -> Result<(), String> {
    if !rustix::process::getuid().is_root() {
        return Err("skip: needs root, for a mount namespace".to_owned());
    }
    let tasks = "    - copy: {content: x, dest: '{{ playbook_dir }}/f', owner: dora, group: directors}\n    - stat: {path: '{{ playbook_dir }}/f'}\n      register: s\n    - debug: msg=\"{{ s.stat.pw_name }} {{ s.stat.gr_name }} {{ s.stat.uid }} {{ s.stat.gid }}\"\n    - getent: {database: passwd, key: dora}\n    - user: {name: dora, create_home: false}\n      check_mode: true\n    - copy: {content: x, dest: '{{ playbook_dir }}/g', owner: nobody-has-it}\n      ignore_errors: true\n";
    let folder = place.play("directory", tasks)?;
    let plain = scenario::command(&folder, &folder, HERE);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", DIRECTORY, "sh"])
        .arg(&folder);
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(&folder).env("HOME", &folder);
    let ran = finish(&mut command)?;
    if let Some(why) = ran.1.strip_prefix("skip: ") {
        return Err(format!("skip: {}", why.trim()));
    }
    let words = [
        "\"msg\": \"dora directors 54321 54322\"",
        "failed to look up user nobody-has-it",
        "ok=6    changed=1",
    ];
    expect(ran, 0, &words)
}

/// Ansible goes on for ever; we tell the circle.
fn endless(place: &Place) -> Result<(), String> {
    let folder = place.play("endless", "    - include_tasks: a.yml\n")?;
    for (file, next) in [("a.yml", "b.yml"), ("b.yml", "a.yml")] {
        std::fs::write(folder.join(file), format!("- include_tasks: {next}\n"))
            .map_err(|fault| fault.to_string())?;
    }
    let ran = finish(&mut scenario::command(&folder, &folder, HERE))?;
    let words = [
        "files include each other without end",
        "b.yml:1:3",
        "included at",
        "a.yml:1:3",
    ];
    expect(ran, 2, &words)
}

/// Every question without echo, the key that interrupts, and a signal that ends programs.
fn silence(place: &Place) -> Result<(), String> {
    use rustix::termios::{LocalModes, tcgetattr};
    let folder = place.play("silence", "    - pause: {prompt: Word, echo: no}\n")?;
    let ctrl_c: Option<Signal> = None;
    for (option, signal, code) in [
        ("-v", ctrl_c, 99),
        ("-k", ctrl_c, 99),
        ("-K", ctrl_c, 99),
        ("--ask-vault-pass", ctrl_c, 99),
        ("-k", Some(Signal::INT), 99),
        ("-k", Some(Signal::TERM), 143),
    ] {
        let (screen, line) = pseudo()?;
        let copy = || line.try_clone().map_err(|fault| fault.to_string());
        // The terminal that the questions are asked on is that of a session.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(rplay());
        command.args(HERE).arg(option).current_dir(&folder);
        command.env("HOME", &folder).env_remove("XDG_STATE_HOME");
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
        let mut child = command.spawn().map_err(|fault| fault.to_string())?;
        let echoes = || {
            let modes = tcgetattr(&line).map_err(|fault| fault.to_string())?;
            Ok::<_, String>(modes.local_modes.contains(LocalModes::ECHO))
        };
        eventually("silence", Duration::from_secs(20), || Ok(!echoes()?))?;
        match signal {
            None => drop(rustix::io::write(&screen, &[3]).map_err(|fault| fault.to_string())?),
            Some(signal) => {
                // `setsid` has become the program, because it led no group.
                let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
                let pid = pid.ok_or("no process")?;
                kill_process(pid, signal).map_err(|fault| fault.to_string())?;
            }
        }
        let status = child.wait().map_err(|fault| fault.to_string())?;
        if !echoes()? {
            return Err(format!(
                "{option}: nothing is shown on the terminal any more"
            ));
        }
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
        if status.code().unwrap_or(-signal) != code {
            return Err(format!("{option}: it ended with {status}"));
        }
    }
    Ok(())
}

/// What is typed for `vars_prompt` is a template, unless it is unsafe.
fn questions(place: &Place) -> Result<(), String> {
    let folder = place.fresh("questions")?;
    let play = "- hosts: all\n  gather_facts: false\n  vars_prompt:\n    - {name: a, private: false}\n\
                \x20   - {name: b, private: false, unsafe: true}\n  tasks:\n    - debug: msg=\"{{ [a, b] }}\"\n";
    std::fs::write(folder.join("play.yml"), play).map_err(|fault| fault.to_string())?;
    let (screen, line) = pseudo()?;
    let copy = || line.try_clone().map_err(|fault| fault.to_string());
    // They are read when they are asked for.
    rustix::io::write(&screen, b"{{ 3 + 4 }}\n{{ 3 + 5 }}\n").map_err(|fault| fault.to_string())?;
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(rplay()).args(HERE);
    command
        .current_dir(&folder)
        .env("HOME", &folder)
        .env_remove("XDG_STATE_HOME");
    command.stdin(copy()?).stderr(copy()?);
    expect(finish(&mut command)?, 0, &["7,", "\"{{ 3 + 5 }}\""])
}

/// An editor that is interrupted, killed or not there leaves the vault as it was, and no text behind.
fn editors(place: &Place) -> Result<(), String> {
    let folder = place.fresh("editors")?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|fault| fault.to_string())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).map_err(|fault| fault.to_string())
    };
    for (name, text) in [("pw", "word\n"), ("v.yml", "plain: 1\n")] {
        std::fs::write(folder.join(name), text).map_err(|fault| fault.to_string())?;
    }
    let secret = ["--vault-password-file", "pw", "v.yml"];
    let words = |verb| [&["vault", verb], secret.as_slice()].concat();
    let sealed = finish(&mut scenario::command(&folder, &folder, &words("encrypt")))?;
    expect(sealed, 0, &[])?;
    let before = std::fs::read(folder.join("v.yml")).map_err(|fault| fault.to_string())?;
    let change = "#!/bin/sh\necho more >> \"$1\"\ntouch open\n";
    write("waits", &format!("{change}exec sleep 30\n"))?;
    write(
        "traps",
        &format!("{change}trap 'exit 3' INT\nsleep 30 & wait\n"),
    )?;
    write("dies", &format!("{change}kill -KILL $$\n"))?;
    for (editor, verb, end, code) in [
        ("./waits", "edit", Some(Signal::INT), 99),
        ("./waits", "create", Some(Signal::INT), 99),
        ("./traps", "edit", Some(Signal::INT), 99),
        ("./waits", "edit", Some(Signal::TERM), 143),
        ("./dies", "edit", None, 1),
        ("./nowhere", "edit", None, 1),
    ] {
        let wanted = format!("{verb} with {editor}");
        let _ = std::fs::remove_file(folder.join("open"));
        let (screen, line) = pseudo()?;
        let copy = || line.try_clone().map_err(|fault| fault.to_string());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(rplay());
        command.args(["vault", verb, "--vault-password-file", "pw"]);
        command.arg(if verb == "edit" { "v.yml" } else { "new.yml" });
        command
            .current_dir(&folder)
            .env("HOME", &folder)
            .env_remove("XDG_STATE_HOME");
        command.env("ANSIBLE_LOCAL_TEMP", folder.join("tmp"));
        command.env("EDITOR", editor);
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
        let mut child = command.spawn().map_err(|fault| fault.to_string())?;
        if let Some(signal) = end {
            eventually(&wanted, Duration::from_secs(20), || {
                Ok(folder.join("open").exists())
            })?;
            if signal == Signal::INT {
                rustix::io::write(&screen, &[3]).map_err(|fault| fault.to_string())?;
            } else {
                let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
                kill_process(pid.ok_or("no process")?, signal)
                    .map_err(|fault| fault.to_string())?;
            }
        }
        let status = child.wait().map_err(|fault| fault.to_string())?;
        if status.code() != Some(code) {
            return Err(format!("{wanted}: it ended with {status}"));
        }
        if std::fs::read(folder.join("v.yml")).map_err(|fault| fault.to_string())? != before {
            return Err(format!("{wanted}: the vault has changed"));
        }
        if folder.join("new.yml").exists() {
            return Err(format!("{wanted}: a vault was made"));
        }
        let left = std::fs::read_dir(folder.join("tmp")).map_err(|fault| fault.to_string())?;
        if left.count() > 0 {
            return Err(format!("{wanted}: a text was left behind"));
        }
    }
    Ok(())
}

/// One task goes on after the run has ended; another one and its programs end when its time is up.
fn background(place: &Place) -> Result<(), String> {
    let sleep = format!("sleep 99.{}", std::process::id());
    let folder = place.play(
        "background",
        &format!(
            "    - shell: sleep 1; touch {{{{ playbook_dir }}}}/done\n      async: 30\n      poll: 0\n\
             \x20   - shell: trap '' HUP INT TERM; {sleep}\n      async: 2\n      poll: 0\n"
        ),
    )?;
    let ran = scenario::command(&folder, &folder, HERE).output();
    expect(
        outcome(&ran.map_err(|fault| fault.to_string())?),
        0,
        &["changed=2"],
    )?;
    let wait = Duration::from_secs(20);
    eventually("the task is done", wait, || {
        Ok(folder.join("done").exists())
    })?;
    eventually("the task is ended", wait, || Ok(!runs(&sleep)))
}

/// Servers of another library, since two ends with the same mistake would understand each other. Their page
/// tells what was agreed on.
fn encrypted(place: &Place) -> Result<(), String> {
    if Command::new("openssl").arg("version").output().is_err() {
        return Err("skip: `openssl` is not installed".to_owned());
    }
    let mut tasks = String::new();
    let folder = place.fresh("encrypted")?;
    let kinds: BTreeSet<&str> = ENCRYPTED.iter().map(|(_, _, kind)| *kind).collect();
    let made = Command::new("sh")
        .args(["-c", CERTIFICATES, "sh"])
        .args(kinds)
        .current_dir(&folder)
        .output();
    let made = outcome(&made.map_err(|fault| fault.to_string())?);
    expect(made, 0, &[])?;
    let mut servers = Vec::new();
    for (version, curve, kind) in ENCRYPTED {
        let (server, port) = serve(&folder, version, curve, kind)?;
        servers.push(server);
        tasks += &format!(
            "    - uri: {{url: 'https://localhost:{port}/', ca_path: '{}/ca.pem', return_content: true, use_proxy: false}}\n\
             \x20     register: page\n      failed_when: \"'Cipher is' not in page.content | default('')\"\n",
            folder.display()
        );
    }
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    std::fs::write(folder.join("play.yml"), play).map_err(|fault| fault.to_string())?;
    let ran = finish(&mut scenario::command(&folder, &folder, HERE));
    for mut server in servers {
        let _ = server.kill();
        let _ = server.wait();
    }
    expect(ran?, 0, &[&format!("ok={}", ENCRYPTED.len())])
}

/// An OpenSSL server with one offer, and its port.
fn serve(folder: &Path, version: &str, curve: &str, kind: &str) -> Result<(Child, u16), String> {
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", version])
        .args(["-groups", curve, "-key", &format!("{kind}.key")])
        .args(["-cert", &format!("{kind}.pem")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let lines = server
        .stdout
        .take()
        .map(|pipe| BufReader::new(pipe).lines());
    let port = lines
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, port) = line.strip_prefix("ACCEPT ")?.rsplit_once(':')?;
            port.parse().ok()
        });
    match port {
        Some(port) => Ok((server, port)),
        None => {
            let _ = server.kill();
            let _ = server.wait();
            Err(format!("no server for {version} {curve} {kind}"))
        }
    }
}

/// The commands stand in the README; the program is the one under test.
fn readme(place: &Place) -> Result<(), String> {
    let text = std::fs::read_to_string(place.root.join("README.md"));
    let text = text.map_err(|fault| fault.to_string())?;
    let commands: Vec<Vec<String>> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("cargo run --release -- "))
        .map(split)
        .collect();
    let [first, second, ..] = commands.as_slice() else {
        return Err("the README has no two commands".to_owned());
    };
    let home = place.fresh("readme")?;
    let run = |words: &[String], more: &[&str]| {
        let words = words.iter().map(String::as_str).chain(more.iter().copied());
        let words: Vec<&str> = words.collect();
        finish(&mut scenario::command(&place.root, &home, &words))
    };
    let area = home.join(".cache/rplay/setonix/staging");
    expect(
        run(first, &[])?,
        0,
        &["+-- demo 1.0.0 (staging)", "changed=3", "failed=0"],
    )?;
    if area.exists() {
        return Err("the first command, a look only, made the folder".to_owned());
    }
    expect(run(second, &[])?, 0, &["changed=3", "failed=0"])?;
    expect(run(second, &[])?, 0, &["changed=0", "failed=0"])?;
    let next = ["-e", "version=1.1.0", "--check", "--diff"];
    expect(
        run(second, &next)?,
        0,
        &["+-- demo 1.1.0 (staging)", "changed=3"],
    )?;
    let mut test = second.clone();
    test[0] = test[0].replace("deploy.yml", "test.yml");
    expect(run(&test, &[])?, 0, &["failed=0", "unreachable=0"])?;
    // A SIF file starts with the line that makes it a program.
    let image = std::fs::read(area.join("software/demo/1.0.0/demo"));
    let image = image.map_err(|fault| fault.to_string())?;
    if !image.starts_with(b"#!/usr/bin/env run-singularity\n") {
        return Err("the image is no SIF file".to_owned());
    }
    Ok(())
}

/// One side of a pseudo terminal, and a thread that collects what is shown on it.
fn terminal() -> Result<(OwnedFd, JoinHandle<Vec<u8>>), String> {
    use rustix::termios::{Winsize, tcsetwinsize};
    let (screen, line) = pseudo()?;
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&line, size).map_err(|fault| fault.to_string())?;
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // It ends with an error when the other side is closed.
        let _ = File::from(screen).read_to_end(&mut shown);
        shown
    });
    Ok((line, reader))
}

/// Both sides of a pseudo terminal: the user's, and the program's.
pub(crate) fn pseudo() -> Result<(OwnedFd, OwnedFd), String> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let failed = |fault: rustix::io::Errno| format!("no pseudo terminal: {fault}");
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(failed)?;
    grantpt(&screen)
        .and_then(|()| unlockpt(&screen))
        .map_err(failed)?;
    let name = ptsname(&screen, Vec::new()).map_err(failed)?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let line = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).map_err(failed)?;
    Ok((screen, line))
}

/// Runs with standard output and standard error on terminals of their own: what each showed, and
/// the exit code.
fn on_terminals(folder: &Path, env: &[(&str, &str)]) -> Result<(String, String, i32), String> {
    let ((out, shown), (err, told)) = (terminal()?, terminal()?);
    let mut command = scenario::command(folder, folder, HERE);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    command.envs(env.iter().copied()).stdout(out).stderr(err);
    let status = command.status().map_err(|fault| fault.to_string())?;
    // It holds the last copies of the lines.
    drop(command);
    let text = |thread: JoinHandle<Vec<u8>>| {
        let bytes = thread.join().unwrap_or_default();
        // A terminal makes two of the line's end.
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    };
    Ok((text(shown), text(told), status.code().unwrap_or(-1)))
}

const SLOW: &str = "    - name: a slow task\n      command: sleep 3\n      changed_when: false\n    - debug: msg=done\n";

fn progress(place: &Place) -> Result<(), String> {
    let folder = place.play("progress", SLOW)?;
    let (shown, told, code) = on_terminals(&folder, &[])?;
    let plain = scenario::command(&folder, &folder, HERE).output();
    let plain = plain.map_err(|fault| fault.to_string())?;
    if code != 0 || shown.as_bytes() != plain.stdout {
        return Err(format!(
            "standard output is another on a terminal ({code}):\n{shown}"
        ));
    }
    if !plain.stderr.is_empty() {
        return Err(format!("progress without a terminal: {:?}", plain.stderr));
    }
    let erase = "\r\x1b[K";
    let expected = format!("{erase}hosts 0/1, a slow task (2 s), waiting for here");
    if !told.contains(&expected) || !told.ends_with(erase) || told.contains('\n') {
        return Err(format!("the line was not drawn and erased: {told:?}"));
    }
    // Without the line the terminal shows no control at all.
    if told.split(erase).any(|text| text.contains('\x1b')) {
        return Err(format!("NO_COLOR is set, and yet: {told:?}"));
    }
    Ok(())
}

fn no_progress(place: &Place) -> Result<(), String> {
    let folder = place.play("no-progress", SLOW)?;
    for env in [("TERM", "dumb"), ("CI", "true")] {
        let (_, told, code) = on_terminals(&folder, &[env])?;
        if code != 0 || !told.is_empty() {
            return Err(format!("{env:?}, exit code {code}: {told:?}"));
        }
    }
    Ok(())
}

/// Whether a program with these arguments runs.
fn runs(arguments: &str) -> bool {
    let wanted: Vec<u8> = arguments
        .bytes()
        .map(|byte| if byte == b' ' { 0 } else { byte })
        .collect();
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut lines = folders.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line.starts_with(&wanted))
}

fn signals(place: &Place) -> Result<(), String> {
    // A terminal's Ctrl-C is Ansible's 99; the others end the program as they end any other.
    for (signal, code) in [(Signal::INT, 99), (Signal::TERM, -15), (Signal::HUP, -1)] {
        // Under `nohup` the run goes on.
        if rplay::cli::is_ignored(signal.as_raw()) {
            continue;
        }
        // A duration that no other program sleeps.
        let sleep = format!("sleep 100.{}{}", std::process::id(), signal.as_raw());
        let folder = place.play(
            &format!("signal-{}", signal.as_raw()),
            &format!("    - shell: trap '' HUP INT TERM; {sleep}\n"),
        )?;
        let child = scenario::command(&folder, &folder, HERE).spawn();
        let child = child.map_err(|fault| fault.to_string())?;
        let started = eventually("the program runs", Duration::from_secs(30), || {
            Ok(runs(&sleep))
        });
        if let Some(pid) = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
            kill_process(pid, signal).map_err(|fault| fault.to_string())?;
        }
        let output = child.wait_with_output();
        started?;
        let ran = outcome(&output.map_err(|fault| fault.to_string())?);
        expect(
            ran,
            code,
            if code == 99 {
                &["User interrupted execution"]
            } else {
                &[]
            },
        )?;
        let agent = format!("{}/.cache/rplay/agent-", folder.display());
        eventually(
            "nothing of the run is left",
            Duration::from_secs(10),
            || Ok(!runs(&sleep) && !runs(&agent)),
        )?;
    }
    Ok(())
}

fn closed_home(place: &Place) -> Result<(), String> {
    let folder = place.play(
        "closed",
        "    - ping:\n    - copy: {content: x, dest: ~/no}\n      ignore_errors: true\n",
    )?;
    // Nothing can be made below a file, not even by root.
    let home = folder.join("play.yml");
    let ran = finish(&mut scenario::command(&folder, &home, HERE))?;
    expect(ran, 0, &["ok: [here]", "ignored=1"])
}

fn no_locale(place: &Place) -> Result<(), String> {
    let tasks = "    - copy: {content: \"Grüße, {{ who }}\\n\", dest: \"{{ playbook_dir }}/Zürich ñ\"}\n    - command: cat '{{ playbook_dir }}/Zürich ñ'\n      register: read\n    - assert: {that: \"read.stdout == 'Grüße, 世界'\"}\n    - debug: {msg: \"{{ lookup('file', playbook_dir ~ '/Zürich ñ') }}\"}\n    - shell: printf 'a\\377b'\n      register: raw\n    - debug: {var: raw.stdout}\n    - find: {paths: \"{{ playbook_dir }}\", patterns: 'Z*'}\n      register: found\n    - debug: {msg: \"{{ found.files[0].path }}\"}\n";
    let folder = place.play("Größe", tasks)?;
    let mut outputs = Vec::new();
    for locale in ["C.UTF-8", "C", "POSIX", "de_XX.ISO-8859-1"] {
        let _ = std::fs::remove_file(folder.join("Zürich ñ"));
        let words = [HERE, &["-e", "who=世界"]].concat();
        let mut command = scenario::command(&folder, &folder, &words);
        command.env("LC_ALL", locale).env("LANG", locale);
        let ran = finish(&mut command)?;
        expect(
            ran.clone(),
            0,
            &["Größe/Zürich ñ", "Grüße, 世界", "failed=0"],
        )?;
        outputs.push(ran.1);
    }
    match outputs.iter().find(|output| **output != outputs[0]) {
        Some(other) => Err(format!("the locale changes the output:\n{other}")),
        None => Ok(()),
    }
}
