//! Keys that are encrypted: asked for once, on the terminal or by a program, or left out with the reason.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Server, WHOAMI};
use crate::harness::argv::Watch;
use crate::harness::scenario::{self, expect};
use crate::harness::stages::rplay;
use crate::program::pseudo;

const PASSPHRASE: &str = "locked-with-7397";

/// Keys in every format, with what makes them, and whether they can be read.
const FORMATS: &[(&str, &str)] = &[
    ("openssh", "ssh-keygen -q -t ed25519 -N $P -f $K"),
    ("openssh-rsa", "ssh-keygen -q -t rsa -N $P -f $K"),
    ("pkcs8", "ssh-keygen -q -t rsa -m PKCS8 -N $P -f $K"),
    ("pkcs8-ecdsa", "ssh-keygen -q -t ecdsa -m PKCS8 -N $P -f $K"),
    ("pem", "ssh-keygen -q -t rsa -m PEM -N $P -f $K"),
    (
        "des",
        "ssh-keygen -q -t rsa -m PEM -N '' -f $K; openssl rsa -in $K -traditional -des3 -passout pass:$P -out $K.new; mv $K.new $K; chmod 600 $K",
    ),
];

/// Makes a key that the server accepts.
fn key(server: &Server, name: &str, line: &str) -> Result<String, String> {
    let path = server.file(name);
    let line = format!("({line}) 2>/dev/null && cat $K.pub >>authorized_keys");
    let mut made = Command::new("sh");
    made.args(["-c", &line])
        .env("P", PASSPHRASE)
        .env("K", &path);
    let ran = scenario::finish(made.current_dir(server.file("")))?;
    expect(ran, 0, &[])?;
    Ok(path.display().to_string())
}

/// Runs a play on a terminal of its own, on which each question is answered in turn: the exit code and
/// what was shown.
fn typed(server: &Server, arguments: &[&str], answers: &[&str]) -> Result<(i32, String), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let (screen, line) = pseudo()?;
    let copy = || line.try_clone().map_err(fault);
    let known = server.file("known_hosts").display().to_string();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(rplay());
    command
        .args(["play.yml", "-i", "hosts.ini"])
        .args(arguments);
    command.args([
        "--ssh-common-args",
        &format!("-F none -o UserKnownHostsFile={known}"),
    ]);
    command.current_dir(server.file("")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("HOME", server.file("home"))
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
    let mut child = command.spawn().map_err(fault)?;
    drop((command, line));
    let mut screen = File::from(screen);
    let mut reader = screen.try_clone().map_err(fault)?;
    let (sender, shown) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut text = String::new();
    let mut answers = answers.iter();
    let mut asked = 0;
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let Ok(bytes) = shown.recv_timeout(Duration::from_secs(30)) else {
            break;
        };
        text += &String::from_utf8_lossy(&bytes);
        let questions = text.matches("Enter passphrase for key").count();
        if questions > asked && text.ends_with("': ") {
            asked = questions;
            // Longer than the line of progress needs to appear.
            std::thread::sleep(Duration::from_millis(2700));
            let answer = answers.next().unwrap_or(&"");
            writeln!(screen, "{answer}").map_err(fault)?;
        }
    }
    let status = child.wait().map_err(fault)?;
    Ok((status.code().unwrap_or(-1), text.replace("\r\n", "\n")))
}

fn hosts(server: &Server, key: &str, count: usize) -> Result<(), String> {
    let own = server.file("id_ed25519").display().to_string();
    let lines =
        (0..count).map(|number| server.host(&format!("h{number}")).replace(&own, key) + "\n");
    let local = "here ansible_connection=local\n".to_owned();
    server.write("hosts.ini", &lines.chain([local]).collect::<String>())?;
    let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{WHOAMI}");
    server.write("play.yml", &play)
}

/// One question for all hosts, with nothing else on the terminal meanwhile; wrong answers; none.
pub(super) fn on_terminal(server: &Server) -> Result<(), String> {
    let path = key(server, "asked", FORMATS[0].1)?;
    hosts(server, &path, 4)?;
    let question = format!("Enter passphrase for key '{path}': ");
    let once = |text: &str, count: usize| match text.matches(&question).count() {
        found if found == count => Ok(()),
        found => Err(format!("{found} questions instead of {count}:\n{text}")),
    };
    let ran = typed(server, &[], &[PASSPHRASE])?;
    once(&ran.1, 1)?;
    // Neither the answer nor other hosts' results nor progress stand behind the question.
    if !ran.1.contains(&format!("{question}\n")) || ran.1.contains(PASSPHRASE) {
        return Err(format!("something came behind the question:\n{:?}", ran.1));
    }
    let all = ["I am rplaytest", "h0  ", "h3  ", "ok: [here]"];
    expect(ran, 0, &all)?;
    let ran = typed(server, &[], &["wrong", PASSPHRASE])?;
    once(&ran.1, 2)?;
    expect(ran, 0, &["I am rplaytest"])?;
    let ran = typed(server, &[], &["wrong", "wrong again", "and again"])?;
    once(&ran.1, 3)?;
    if ran.1.contains("wrong") {
        return Err(format!("the answer was shown:\n{}", ran.1));
    }
    let text = "incorrect passphrase supplied to decrypt private key";
    expect(ran, 4, &[text, "Permission denied", "ok: [here]"])?;
    let ran = typed(server, &[], &[""])?;
    once(&ran.1, 1)?;
    expect(
        ran,
        4,
        &["the key is encrypted and no passphrase was given"],
    )?;
    let ran = typed(server, &["--ssh-extra-args", "-o BatchMode=yes"], &[])?;
    once(&ran.1, 0)?;
    expect(ran, 4, &["`BatchMode` forbids to ask for it"])?;
    // A key that the server does not want is not asked for.
    std::fs::rename(
        server.file("authorized_keys"),
        server.file("authorized_others"),
    )
    .map_err(|fault| fault.to_string())?;
    server.write("authorized_keys", "")?;
    let ran = typed(server, &[], &[]);
    std::fs::rename(
        server.file("authorized_others"),
        server.file("authorized_keys"),
    )
    .map_err(|fault| fault.to_string())?;
    let ran = ran?;
    once(&ran.1, 0)?;
    expect(ran, 4, &["Permission denied (publickey,password)"])
}

/// Every format that can be read is, with the passphrase of a program, of a variable, and without one.
pub(super) fn formats(server: &Server) -> Result<(), String> {
    server.write(
        "ask",
        &format!("#!/bin/sh\necho \"$1\" >>asked-for\necho {PASSPHRASE}\n"),
    )?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(server.file("ask"), executable).map_err(|fault| fault.to_string())?;
    let variable = format!("ansible_private_key_passphrase: {PASSPHRASE}\n");
    server.write("passphrase.yml", &variable)?;
    let paths = FORMATS.iter().map(|(name, line)| key(server, name, line));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let watch = Watch::start(&[PASSPHRASE]);
    for ((name, _), path) in FORMATS.iter().zip(paths) {
        hosts(server, &path, 3)?;
        let asked = server.file("asked-for");
        let _ = std::fs::remove_file(&asked);
        let ran = run(server, &[], &[("SSH_ASKPASS", "./ask"), ("DISPLAY", ":0")])?;
        let questions = std::fs::read_to_string(&asked).unwrap_or_default();
        if ran.1.contains(PASSPHRASE) {
            return Err(format!("{name}: the passphrase was shown:\n{}", ran.1));
        }
        if *name == "des" {
            let text = "a PEM file with an rsa private key that is encrypted with DES-EDE3-CBC cannot be read; `ssh-keygen -p -f` writes it in OpenSSH's format";
            expect(ran, 4, &[text, "ok: [here]"])?;
            continue;
        }
        expect(ran, 0, &["I am rplaytest"]).map_err(|fault| format!("{name}: {fault}"))?;
        if questions != format!("Enter passphrase for key '{path}': \n") {
            return Err(format!("{name}: it was asked {questions:?}"));
        }
        let ran = run(server, &["-e", "@passphrase.yml"], &[])?;
        expect(ran, 0, &["I am rplaytest"])?;
        let ran = run(
            server,
            &[],
            &[
                ("SSH_ASKPASS", "./ask"),
                ("DISPLAY", ":0"),
                ("SSH_ASKPASS_REQUIRE", "never"),
            ],
        )?;
        let text = "the key is encrypted and no passphrase was given; add it to ssh-agent";
        expect(ran, 4, &[text, "ok: [here]"])?;
        // Without a public half beside it, formats that tell it are not asked for in vain.
        std::fs::remove_file(server.file(&format!("{name}.pub")))
            .map_err(|fault| fault.to_string())?;
        let ran = run(server, &["-e", "@passphrase.yml"], &[])?;
        expect(ran, 0, &["I am rplaytest"])?;
    }
    watch.end().map_or(Ok(()), |line| {
        Err(format!("the passphrase is in arguments: {line}"))
    })
}

/// Runs the play without a terminal.
fn run(server: &Server, more: &[&str], env: &[(&str, &str)]) -> Result<(i32, String), String> {
    let known = server.file("known_hosts");
    let ssh = format!("-F none -o UserKnownHostsFile={}", known.display());
    let words = [
        &["play.yml", "-i", "hosts.ini", "--ssh-common-args", &ssh],
        more,
    ]
    .concat();
    let command = scenario::command(&server.file(""), &server.file("home"), &words);
    let mut without = Command::new("setsid");
    without.arg("--wait").arg(rplay()).args(command.get_args());
    without.current_dir(server.file("")).env_clear();
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    without.envs(set).envs(env.iter().copied());
    scenario::finish(without.stdin(std::process::Stdio::null()))
}
