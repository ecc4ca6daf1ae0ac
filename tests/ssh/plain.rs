//! Hosts on which no agent can run.

use super::{Server, without_times};
use crate::harness::argv::Watch;
use crate::harness::scenario::expect;
use std::path::Path;

const SECRET: &str = "plain-value-7398";

/// Tasks whose results are the same with an agent and without.
const TASKS: &str = r#"
    - command: echo "a b" $HOME ~ ~root $NOPE "${USER}x" ä
    - command: {argv: [printf, "%s|", "it's", "a\"b", "", -n, "*", "new\nline", "!x", "\\\\"]}
    - shell: "echo $((1 + 2)) 'it''s' \"$HOME\"; echo err >&2; exit 3"
    - shell: kill -9 $$
    - command: no-such-program with words
    - command: /etc/passwd
    - command: /no/such/program
    - command: {cmd: pwd, chdir: /usr/lib}
    - command: {cmd: pwd, chdir: "~"}
    - command: {cmd: pwd, chdir: /nope}
    - command: {cmd: echo no, creates: "/etc/pass*"}
    - command: {cmd: echo yes, creates: /etc/nope*}
    - command: {cmd: echo no, removes: /nope}
    - command: {cmd: echo yes, removes: passwd, chdir: /etc}
    - command: {cmd: cat, stdin: "it's \"quoted\" $HOME\n\nend"}
    - command: {cmd: od -c, stdin: x, stdin_add_newline: false}
    - command: cat
    - shell: {cmd: "printf 'a\n\n\n'", strip_empty_ends: false}
    - shell: {cmd: "echo ${BASH_VERSION:+bash}", executable: /bin/bash}
    - shell: echo "$A|$B|$C"
      environment: {A: it's, B: $HOME, C: "two\nlines"}
    - shell: exit 127
    - command: sleep 30
      timeout: 1
    - shell: yes | head -c 300000 | tail -c 5
    - command: "true"
      check_mode: true
    - command: {cmd: "true", creates: /nope}
      check_mode: true
    - command: {cmd: echo, argv: [echo]}
    - command: ""
    - raw: echo raw | tr a-z A-Z
    - command: echo {{ item }}
      loop: [one, two]
"#;

/// `command` and `shell` give the same results as with an agent; others say what works, and why.
pub(super) fn commands(server: &Server) -> Result<(), String> {
    let bin = tempfile::tempdir().map_err(|fault| fault.to_string())?;
    let uname = bin.path().join("uname");
    std::fs::write(&uname, "#!/bin/sh\necho Linux mips\n").map_err(|fault| fault.to_string())?;
    for path in [bin.path(), &uname] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).map_err(|fault| fault.to_string())?;
    }
    let config = format!(
        "SetEnv PATH={}:/usr/local/bin:/usr/bin:/bin\n",
        bin.path().display()
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let without = Server::with_config(root, &config)?;
    let tasks = TASKS
        .trim_start_matches('\n')
        .replace("\n    - ", "\n      ignore_errors: true\n    - ");
    let tasks = tasks.trim_end().to_owned() + "\n      ignore_errors: true\n";
    let words = ["-vvv", "--forks", "1"];
    let shown = |server: &Server| {
        let (code, text) = server.play(&tasks, &words)?;
        let of_tasks = text
            .split("\nTASK [")
            .skip(1)
            .collect::<Vec<_>>()
            .join("\nTASK [");
        let lines = of_tasks.lines().filter(|line| !line.starts_with('<'));
        let text = without_times(&lines.collect::<Vec<_>>().join("\n"));
        let folder = server.file("").display().to_string();
        Ok::<_, String>((code, text.replace(&folder, "")))
    };
    let (with, plain) = (shown(server)?, shown(&without)?);
    if with != plain {
        let differs = with.1.lines().zip(plain.1.lines()).find(|(a, b)| a != b);
        return Err(format!(
            "{differs:?}\n{}\n\nwithout an agent:\n{}",
            with.1, plain.1
        ));
    }
    expect(plain, 0, &["ignored="])?;
    let why = "no agent for `Linux mips`: of all modules only `command`, `raw` and `shell` work there; build `rplay-agent-mips` as docs/bootstrap.md says, and set RPLAY_AGENT_DIR to its folder";
    let told = format!("<127.0.0.1> the host's plain shell runs the command, because of: {why}");
    let one = "    - command: id -un\n";
    expect(without.play(one, &["-v"])?, 0, &[&told])?;
    for module in [
        "ping:",
        "copy: {content: x, dest: /tmp/x}",
        "command: id\n      async: 5",
    ] {
        expect(without.play(&format!("    - {module}\n"), &[])?, 2, &[why])?;
    }
    // What travels in a variable is in nobody's arguments.
    let tasks = format!(
        "    - command: sleep 0.5\n      environment: {{TOKEN: {SECRET}}}\n    - {{command: cat, args: {{stdin: {SECRET}}}}}\n    - command: {{argv: [sh, -c, cat >/dev/null; sleep 0.3], stdin: {SECRET}}}\n"
    );
    let watch = Watch::start(&[SECRET]);
    let ran = without.play(&tasks, &[]);
    let seen = watch.end();
    expect(ran?, 0, &["ok=3 "])?;
    seen.map_or(Ok(()), |line| {
        Err(format!("a secret is in arguments: {line}"))
    })
}
