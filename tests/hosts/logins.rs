//! Ways to log in and to become somebody, on a host with `login.sh`'s layer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::argv::Watch;

use super::{Host, eventually, expect, scenario};

const WHO: &str = "    - command: id -un\n      register: r\n      changed_when: false\n    - debug: msg=\"I am {{ r.stdout }}\"\n";

/// Has sshd read its configuration again, and waits: for a moment it does not listen.
const RELOAD: &str = "count() { grep -c 'Server listening' /var/log/sshd.log; }\nbefore=$(count)\n\
    kill -HUP $(cat /run/sshd.pid)\n\
    for try in $(seq 100); do [ $(count) -le $before ] || exit 0; sleep 0.1; done\nexit 1\n";

/// A play of these tasks as `deploy`, with variables.
fn play(host: &Host, user: &str, tasks: &str, vars: &str) -> Result<(i32, String), String> {
    host.prepare(user, &["h"], tasks)?;
    host.write("vars.yml", vars)?;
    host.rplay(&["play.yml", "-i", "hosts.ini", "-e", "@vars.yml"])
}

/// Start-up files that print, in every shell.
pub(super) fn shells(host: &Host) -> Result<(), String> {
    host.inside(
        "printf 'Banner /etc/banner\\n' >>/etc/ssh/sshd_config.d/tests.conf\n\
         printf 'Welcome!\\nrplay is not here\\n' >/etc/banner\n\
         useradd -m loud\ncp -r /root/.ssh /home/loud/\nchown -R loud: /home/loud/.ssh\n\
         echo 'echo hello from bash; echo more >&2' >/home/loud/.bashrc\n\
         echo 'echo hello from csh' >/home/loud/.cshrc\n\
         mkdir -p /home/loud/.config/fish\necho 'echo hello from fish' >/home/loud/.config/fish/config.fish\n\
         chown -R loud: /home/loud\n",
    )?;
    host.inside(RELOAD)?;
    let tasks = "    - command: sh -c 'echo $0 ok'\n      register: r\n    - raw: echo raw from $USER\n      register: w\n    - debug: msg=\"{{ r.stdout }}, {{ w.stdout_lines | last }}\"\n    - copy: {content: \"it's \\\"quoted\\\" $HOME !1\\n\", dest: ~/made}\n";
    for shell in ["bash", "sh", "tcsh", "csh", "fish"] {
        host.inside(&format!(
            "usermod -s $(command -v {shell}) loud; rm -rf ~loud/.cache ~loud/made"
        ))?;
        let ran = host.play("loud", tasks)?;
        let seen = ["sh ok, raw from loud", "changed=3"];
        expect(ran, 0, &seen).map_err(|reason| format!("{shell}: {reason}"))?;
    }
    let made = host.inside("cat ~loud/made")?;
    expect((0, made), 0, &["it's \"quoted\" $HOME !1"])
}

/// A home that is read-only or not there, and folders that programs may not be run from.
pub(super) fn folders(host: &Host) -> Result<(), String> {
    host.inside(
        "useradd -M -d /nonexistent homeless\nmkdir /etc/ssh/keys\ncp /root/.ssh/authorized_keys /etc/ssh/keys/homeless\n\
         printf 'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%%u\\n' >>/etc/ssh/sshd_config.d/tests.conf\n",
    )?;
    host.inside(RELOAD)?;
    let seen = ["I am homeless", "failed=0"];
    expect(host.play("homeless", WHO)?, 0, &seen)?;
    host.inside("rm -r /tmp/.rplay-*; mount -t tmpfs -o mode=1777,noexec tmp /tmp")?;
    let elsewhere = host.play("homeless", WHO);
    let there = host.inside("ls -d /var/tmp/.rplay-*");
    host.inside("mount -t tmpfs -o mode=1777,noexec tmp /var/tmp")?;
    let shared = host.play("homeless", WHO);
    host.inside("mount -o remount,noexec /dev/shm")?;
    let nowhere = host.play("homeless", "    - ping:\n");
    let plain = host.play("homeless", WHO);
    // As another user who has no home either.
    host.inside("umount /var/tmp; rm -rf /var/tmp/.rplay-*; usermod -d /nonexistent carol")?;
    let other = play(
        host,
        "deploy",
        WHO,
        "{ansible_become: true, ansible_become_user: carol}",
    );
    host.inside("umount /tmp; rm -rf /var/tmp/.rplay-*; mount -o remount,exec /dev/shm; usermod -d /home/carol carol")?;
    expect(elsewhere?, 0, &seen)?;
    there?;
    expect(shared?, 0, &seen)?;
    expect(
        nowhere?,
        4,
        &["UNREACHABLE!", "no folder can hold the agent (tried "],
    )?;
    expect(plain?, 0, &seen)?;
    expect(other?, 0, &["I am carol"])
}

/// User, settings, and who the task then is; the password of carol is `s3cret`, that of root another.
const WORKS: &[(&str, &str, &str)] = &[
    ("carol", "ansible_become_password: s3cret", "root"),
    ("deploy", "ansible_become_user: carol", "carol"),
    ("deploy", "ansible_become_flags: '-H -S -n -i'", "root"),
    (
        "deploy",
        "ansible_become_exe: /usr/bin/sudo, ansible_become_flags: ''",
        "root",
    ),
    (
        "carol",
        "ansible_become_exe: sudo-rs, ansible_become_password: s3cret",
        "root",
    ),
    (
        "deploy",
        "ansible_become_exe: sudo-rs, ansible_become_user: carol",
        "carol",
    ),
    (
        "carol",
        "ansible_become_method: su, ansible_become_password: r00t-Pass",
        "root",
    ),
    (
        "root",
        "ansible_become_method: su, ansible_become_user: carol, ansible_become_flags: '-l'",
        "carol",
    ),
    (
        "deploy",
        "ansible_become_method: community.general.doas, ansible_become_user: carol",
        "carol",
    ),
    (
        "carol",
        "ansible_become_method: doas, ansible_become_password: s3cret",
        "root",
    ),
    (
        "deploy",
        "ansible_become_method: community.general.sudosu, ansible_become_user: carol",
        "carol",
    ),
    (
        "carol",
        "ansible_become_method: sudosu, ansible_become_password: s3cret",
        "root",
    ),
];

/// User, settings, and what the error says, in every language.
const FAILS: &[(&str, &str, &str)] = &[
    (
        "carol",
        "ansible_become_password: wrong",
        "Incorrect sudo password",
    ),
    ("carol", "x: y", "Missing sudo password"),
    (
        "carol",
        "ansible_become_exe: sudo-rs, ansible_become_password: wrong",
        "Incorrect sudo password",
    ),
    (
        "carol",
        "ansible_become_exe: sudo-rs",
        "Missing sudo password",
    ),
    (
        "carol",
        "ansible_become_method: su, ansible_become_password: wrong",
        "Incorrect su password",
    ),
    ("carol", "ansible_become_method: su", "Missing su password"),
    (
        "carol",
        "ansible_become_method: doas, ansible_become_password: wrong",
        "Incorrect doas password",
    ),
    (
        "carol",
        "ansible_become_method: doas",
        "Missing doas password",
    ),
    (
        "plain",
        "ansible_become_method: doas",
        "Operation not permitted",
    ),
    (
        "deploy",
        "ansible_become_user: nobody-at-all",
        "nobody-at-all",
    ),
    (
        "deploy",
        "ansible_become_method: machinectl",
        "'machinectl'",
    ),
];

/// Where the system makes nobody wait, a wrong password is told within a second more than a ping takes; else how
/// long it takes is its own time.
pub(super) fn wrong(host: &Host) -> Result<(), String> {
    host.inside(
        "printf 'permit persist carol\\n' >/etc/doas.conf; chmod 600 /etc/doas.conf; cp -a /etc/pam.d /etc/pam.d.kept",
    )?;
    for delay in [true, false] {
        if !delay {
            host.inside("sed -i 's/pam_unix.so/pam_unix.so nodelay/' /etc/pam.d/*; printf 'FAIL_DELAY 0\\n' >>/etc/login.defs")?;
        }
        for method in ["sudo", "sudo-rs", "su", "doas"] {
            let exe = if method == "sudo-rs" {
                ", ansible_become_exe: sudo-rs"
            } else {
                ""
            };
            let name = method.trim_end_matches("-rs");
            let vars = format!(
                "{{ansible_become: true, ansible_become_method: {name}, ansible_become_password: wrong{exe}}}"
            );
            let refused = || {
                let ran = play(host, "carol", WHO, &vars)?;
                expect(ran, 2, &[&format!("Incorrect {name} password")])
            };
            if delay {
                refused()?;
                continue;
            }
            // The agent is there, and the program is warm.
            host.play("carol", "    - ping:\n")?;
            let start = Instant::now();
            host.play("carol", "    - ping:\n")?;
            scenario::once_within(start.elapsed() + Duration::from_secs(1), refused)
                .map_err(|reason| format!("{method}: {reason}"))?;
        }
    }
    host.inside("rm -r /etc/pam.d; mv /etc/pam.d.kept /etc/pam.d; sed -i '/^FAIL_DELAY 0$/d' /etc/login.defs")?;
    Ok(())
}

pub(super) fn methods(host: &Host) -> Result<(), String> {
    host.inside(
        "printf 'permit persist carol\\npermit nopass deploy as carol\\n' >/etc/doas.conf\nchmod 600 /etc/doas.conf\n\
         echo 'root:r00t-Pass' | chpasswd\nuseradd -m plain\ncp -r /root/.ssh /home/plain/\nchown -R plain: /home/plain/.ssh\n",
    )?;
    // Processes of the host are seen from here.
    let watch = Watch::everywhere(&["s3cret", "r00t-Pass"]);
    for (user, vars, who) in WORKS {
        let ran = play(
            host,
            user,
            WHO,
            &format!("{{ansible_become: true, {vars}}}"),
        )?;
        expect(ran, 0, &[&format!("I am {who}")])
            .map_err(|reason| format!("{user}, {vars}: {reason}"))?;
    }
    if let Some(line) = watch.end() {
        return Err(format!("a process shows a password: {line}"));
    }
    let places = "/var/log /tmp /var/tmp /run /home";
    let logs = host.inside(&format!("grep -rElI 's3cret|r00t-Pass' {places} || :"))?;
    if !logs.is_empty() {
        return Err(format!("files with a password: {logs}"));
    }
    for language in ["C", "de_DE.UTF-8"] {
        host.inside(&format!(
            "printf 'LANG={language}\\nLANGUAGE=de\\n' | tee /etc/environment >/etc/default/locale"
        ))?;
        for (user, vars, said) in FAILS {
            let start = Instant::now();
            let ran = play(
                host,
                user,
                WHO,
                &format!("{{ansible_become: true, {vars}}}"),
            )?;
            expect(ran, 2, &[said])
                .map_err(|reason| format!("{user}, {vars}, {language}: {reason}"))?;
            // PAM makes whoever was wrong wait for two seconds or three.
            if start.elapsed() > Duration::from_secs(8) {
                return Err(format!("{vars} took {:?}", start.elapsed()));
            }
        }
    }
    host.inside("rm /etc/environment /etc/default/locale")
        .map(drop)
}

/// Old rules want a terminal: then there is one, and its bytes are as they were.
pub(super) fn terminal(host: &Host) -> Result<(), String> {
    host.inside("echo 'Defaults requiretty' >/etc/sudoers.d/tty; chmod 440 /etc/sudoers.d/tty")?;
    let tasks = "    - command: id -un\n      register: r\n    - debug: msg=\"I am {{ r.stdout }}\"\n\
        \x20   - copy: {content: \"{{ 'a\\r\\n\\x03\\x04\\x1a\\x7f\\xff\\u4e16' * 20000 }}\", dest: /srv/bytes}\n\
        \x20   - stat: {path: /srv/bytes}\n      register: s\n    - debug: msg=\"size {{ s.stat.size }}\"\n\
        \x20   - raw: id -un\n      register: w\n    - debug: msg=\"raw {{ w.stdout }}\"\n";
    let with = play(
        host,
        "carol",
        tasks,
        "{ansible_become: true, ansible_become_password: s3cret}",
    );
    let without = play(host, "deploy", tasks, "{ansible_become: true}");
    let wrong = play(
        host,
        "carol",
        tasks,
        "{ansible_become: true, ansible_become_password: no}",
    );
    let left = host.inside("rm /etc/sudoers.d/tty /srv/bytes; sleep 1; pgrep -a agent- || :");
    for ran in [with, without] {
        expect(
            ran?,
            0,
            &["I am root", "size 220000", "raw root", "failed=0"],
        )?;
    }
    expect(wrong?, 2, &["Incorrect sudo password"])?;
    match left? {
        left if left.is_empty() => Ok(()),
        left => Err(format!("left on the host: {left}")),
    }
}

/// A host of its own, on loopback.
pub(super) fn small(host: &Host) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").map_err(fault)?;
    let port = free.local_addr().map_err(fault)?.port().to_string();
    drop(free);
    let folder = host.file("small");
    let components = scenario::prepared("login");
    let components = components.parent().unwrap_or(&components);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/components/small.sh");
    let mut started = Command::new(script);
    started.arg(&folder).arg(components).arg(&port);
    started.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut small = started.spawn().map_err(fault)?;
    let mut line = String::new();
    if let Some(out) = small.stdout.take() {
        BufReader::new(out).read_line(&mut line).map_err(fault)?;
    }
    let ran = on_small(host, &folder, &port);
    drop(small.stdin.take());
    small.wait().map_err(fault)?;
    ran
}

fn on_small(host: &Host, folder: &Path, port: &str) -> Result<(), String> {
    let tasks = "    - setup: {gather_subset: [min]}\n    - debug: msg=\"{{ ansible_system }} {{ ansible_user_id }}\"\n\
        \x20   - copy: {content: \"{{ 'x' * 3000000 }}\", dest: /root/large, mode: '0600'}\n\
        \x20   - lineinfile: {path: /etc/shells, line: /bin/ash}\n\
        \x20   - shell: wc -c </root/large; cat /etc/shells\n      register: r\n\
        \x20   - debug: msg=\"{{ r.stdout_lines }}\"\n\
        \x20   - command: id -un\n      become: true\n      become_user: small\n      become_method: su\n      register: r\n\
        \x20   - debug: msg=\"I am {{ r.stdout }}\"\n";
    host.write(
        "small.ini",
        &format!("s ansible_host=127.0.0.1 ansible_port={port} ansible_user=root\n"),
    )?;
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
    host.write("small.yml", &play)?;
    let ssh = format!(
        "-F none -o UserKnownHostsFile={}",
        folder.join("known_hosts").display()
    );
    let key = folder.join("id_ed25519").display().to_string();
    let words = [
        "small.yml",
        "-i",
        "small.ini",
        "--private-key",
        &key,
        "--ssh-common-args",
        &ssh,
    ];
    for (connection, changed) in [("ssh", "changed=4"), ("openssh", "changed=2")] {
        let words = [&words[..], &["-c", connection]].concat();
        let ran = scenario::finish(&mut scenario::command(
            host.folder.path(),
            &host.file("home"),
            &words,
        ))?;
        expect(
            ran,
            0,
            &["Linux root", "3000000", "/bin/ash", "I am small", changed],
        )
        .map_err(|reason| format!("{connection}: {reason}"))?;
    }
    Ok(())
}

/// The machine says that it is another one.
pub(super) fn no_agent(host: &Host) -> Result<(), String> {
    host.inside("printf '#!/bin/sh\\necho Linux mips\\n' >/usr/local/bin/uname; chmod 755 /usr/local/bin/uname")?;
    let raw = host.play("deploy", "    - raw: echo here | tr a-z A-Z\n      register: r\n    - debug: msg=\"raw {{ r.stdout }}\"\n");
    let module = host.play("deploy", "    - ping:\n");
    let words = "    - command: printf '%s|' \"it's\" 'a\"b' '!x' $HOME\n      register: r\n    - debug: msg=\"said {{ r.stdout }}\"\n";
    let shells = ["tcsh", "fish", "bash"].map(|shell| {
        host.inside(&format!("usermod -s $(command -v {shell}) deploy"))?;
        host.play("deploy", words)
    });
    let sudo = WHO.to_owned() + "    - command: {cmd: cat, stdin: \"it's read\"}\n";
    let sudo = || play(host, "deploy", &sudo, "{ansible_become: true}");
    let without = sudo();
    host.inside("echo 'Defaults requiretty' >/etc/sudoers.d/tty; chmod 440 /etc/sudoers.d/tty")?;
    let with = sudo();
    host.inside("rm /etc/sudoers.d/tty")?;
    host.inside("rm /usr/local/bin/uname")?;
    expect(raw?, 0, &["raw HERE"])?;
    let said = "no agent for `Linux mips`: of all modules only `command`, `raw` and `shell` work there; build `rplay-agent-mips` as docs/bootstrap.md says, and set RPLAY_AGENT_DIR to its folder";
    expect(module?, 2, &[said])?;
    for ran in shells {
        expect(ran?, 0, &["said it's|a\\\"b|!x|/home/deploy|"])?;
    }
    for ran in [without, with] {
        expect(ran?, 0, &["I am root", "ok=3 "])?;
    }
    Ok(())
}

/// Its folder goes when the next one starts; that of one that lives stays.
pub(super) fn killed(host: &Host) -> Result<(), String> {
    let sparse = std::fs::File::create(host.file("huge")).and_then(|file| file.set_len(300 << 20));
    sparse.map_err(|fault| fault.to_string())?;
    host.prepare(
        "deploy",
        &["h"],
        "    - copy: {src: huge, dest: /home/deploy/huge}\n",
    )?;
    let child = host.command(&["play.yml", "-i", "hosts.ini"]).spawn();
    let child = child.map_err(|fault| fault.to_string())?;
    eventually("the upload begins", Duration::from_secs(60), || {
        Ok(host.inside("ls /tmp")?.contains("rplay-spool-"))
    })?;
    host.inside("kill -9 $(pgrep agent-); mv /tmp/rplay-spool-* /tmp/rplay-spool-1-left; touch -d '2 minutes ago' /tmp/rplay-spool-1-left")?;
    let output = child
        .wait_with_output()
        .map_err(|fault| fault.to_string())?;
    expect(super::outcome(&output), 4, &["UNREACHABLE!"])?;
    host.inside(
        "mkdir -m 700 /tmp/rplay-spool-2-held /tmp/rplay-spool-3-new /tmp/rplay-spool-4-other; chown deploy /tmp/rplay-spool-[23]*\n\
         touch -d '2 minutes ago' /tmp/rplay-spool-[24]*; su deploy -c 'flock /tmp/rplay-spool-2-held sleep 60 >/dev/null 2>&1 &'; sleep 0.5",
    )?;
    let ran = host.play("deploy", "    - ping:\n")?;
    let left = host.inside("cd /tmp; echo rplay-spool-*; rm -r rplay-spool-*")?;
    expect(ran, 0, &["ok=1 "])?;
    match left.trim() {
        "rplay-spool-2-held rplay-spool-3-new rplay-spool-4-other" => Ok(()),
        left => Err(format!("left: {left}")),
    }
}
