//! Records of runs: what is written, what is shown of it, and what a run does where nothing can be written.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::scenario::{self, Scenario, eventually, expect, finish};
use crate::harness::stages::{Verdict, rplay};

const SCENARIOS: &[Scenario<Place>] = &[
    ("a run is listed, and shown once more", recorded),
    ("a run that was killed is shown as far as it came", killed),
    ("the oldest records go", rotated),
    ("where nothing can be written, the run goes on", unwritable),
    ("on a full disk the run goes on", full),
    ("what is no record is told", refused),
    ("runs are compared", compared),
    ("a run goes on where it failed", resumed),
    ("hosts that go their own way go on", resumed_free),
    ("handlers of a run that was killed are run", flushed),
    ("what has changed is named before a run goes on", outdated),
    ("what a record does not have is not made up", lacking),
    ("what cannot go on is told", no_resume),
];

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: greeting
      copy: {content: "hello {{ inventory_hostname }}\n", dest: "{{ playbook_dir }}/{{ inventory_hostname }}.txt", mode: "0644"}
      notify: stamp
    - name: look
      command: "echo {{ item }}"
      loop: [a, b]
      register: seen
    - name: stop
      fail: {msg: "no more"}
      when: inventory_hostname == 'two'
  handlers:
    - name: stamp
      debug: {msg: "{{ seen.results | length }}"}
"#;

const INVENTORY: &str = "one ansible_connection=local\ntwo ansible_connection=local\n";

struct Place(tempfile::TempDir);

impl Place {
    /// A fresh folder with a playbook and an inventory; it is the home, too.
    fn fresh(&self, name: &str, play: &str) -> Result<PathBuf, String> {
        let folder = self.0.path().join(name);
        std::fs::create_dir(&folder).map_err(|fault| fault.to_string())?;
        write(&folder, "play.yml", play)?;
        write(&folder, "hosts", INVENTORY)?;
        Ok(folder)
    }
}

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("records", SCENARIOS, wanted);
    match tempfile::Builder::new().prefix("rplay-records-").tempdir() {
        Ok(folder) => scenario::run("records", &chosen, &Place(folder)),
        Err(fault) => vec![("records".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), String> {
    std::fs::write(folder.join(file), text).map_err(|fault| format!("{file}: {fault}"))
}

fn read(folder: &Path, file: &str) -> Result<String, String> {
    std::fs::read_to_string(folder.join(file)).map_err(|fault| format!("{file}: {fault}"))
}

fn run(folder: &Path, words: &[&str]) -> Result<(i32, String), String> {
    finish(&mut scenario::command(folder, folder, words))
}

const RUN: &[&str] = &["play.yml", "-i", "hosts"];

/// Where records are.
const STATE: &str = ".local/state/rplay/runs";

/// The records in a folder's home, the oldest first.
fn records(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder.join(STATE)).map_err(|fault| fault.to_string())?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

fn mode(path: &Path) -> Result<u32, String> {
    let data = path.metadata().map_err(|fault| fault.to_string())?;
    Ok(data.permissions().mode() & 0o7777)
}

/// What a command writes to standard output.
fn stdout(folder: &Path, words: &[&str]) -> Result<String, String> {
    let output = scenario::command(folder, folder, words).output();
    let output = output.map_err(|fault| fault.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn same(what: &str, first: &str, second: &str) -> Result<(), String> {
    match first == second {
        true => Ok(()),
        false => Err(format!("{what}:\n{first}\n--- and ---\n{second}")),
    }
}

fn recorded(place: &Place) -> Result<(), String> {
    let folder = place.fresh("recorded", PLAY)?;
    let empty = run(&folder, &["runs"])?;
    expect(empty, 0, &["RUN"])?;
    // Whatever the view, its bytes come again.
    for (more, view) in [
        (&[][..], "default"),
        (&["-vv", "--diff"][..], "default"),
        (&[][..], "yaml"),
        (&[][..], "minimal"),
        (&["-v"][..], "pretty"),
    ] {
        let words = [RUN, more, &["--output", view]].concat();
        let first = stdout(&folder, &words)?;
        let again = stdout(&folder, &["replay", "last", "--output", view])?;
        same(&format!("{view} {more:?}"), &first, &again)?;
        if !first.contains("greeting") && view != "minimal" {
            return Err(format!("nothing was shown:\n{first}"));
        }
    }
    let all = records(&folder)?;
    let last = all.last().ok_or("there is no record")?;
    let modes = [
        (folder.join(STATE), 0o700),
        (last.clone(), 0o700),
        (last.join("run.json"), 0o600),
        (last.join("events.ndjson"), 0o600),
    ];
    for (path, wanted) in modes {
        let found = mode(&path)?;
        if found != wanted {
            return Err(format!("{} has the mode {found:o}", path.display()));
        }
    }
    expect(
        run(&folder, &["runs"])?,
        0,
        &["  failed   2      play.yml\n"],
    )?;
    let list = [
        "\"state\": \"failed\"",
        "\"two\": {",
        "\"exit_code\": 2",
        "\"bytes\": ",
    ];
    expect(run(&folder, &["runs", "--output", "json"])?, 0, &list)?;
    let page = ["replay", "last", "--output", "json", "--report", "markdown"];
    expect(run(&folder, &page)?, 0, &["\"plays\": ["])?;
    if !read(&folder, "rplay-report.md")?.contains("| two |") {
        return Err("the report has no second host".to_owned());
    }
    // What is only planned is no run; what a plan leads to is one.
    let before = records(&folder)?.len();
    let good = "- hosts: one\n  gather_facts: false\n  tasks: [{debug: }]\n";
    write(&folder, "play.yml", good)?;
    let make = ["plan", "play.yml", "-i", "hosts", "--out", "plan.json"];
    expect(run(&folder, &make)?, 0, &[])?;
    expect(
        run(&folder, &["apply", "plan.json"])?,
        0,
        &["Done as planned"],
    )?;
    match records(&folder)?.len() - before {
        1 => Ok(()),
        count => Err(format!("a plan and its run left {count} records")),
    }
}

fn killed(place: &Place) -> Result<(), String> {
    let play = "- hosts: one\n  gather_facts: false\n  tasks:\n    - debug: {msg: before}\n    \
                - name: long\n      command: sleep 60\n";
    let folder = place.fresh("killed", play)?;
    let mut running = scenario::command(&folder, &folder, RUN)
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let events = |folder: &Path| -> Result<String, String> {
        let found = records(folder).unwrap_or_default();
        Ok(found.last().map_or_else(String::new, |last| {
            read(last, "events.ndjson").unwrap_or_default()
        }))
    };
    let begun = eventually("the long task is recorded", Duration::from_secs(20), || {
        Ok(events(&folder)?.matches("host_started").count() == 2)
    });
    let listed = begun.and_then(|()| {
        expect(run(&folder, &["runs"])?, 0, &["  running  "])?;
        // Nobody removes what is being written.
        let mut other =
            scenario::command(&folder, &folder, &["play.yml", "-i", "hosts", "-t", "none"]);
        other.env("RPLAY_RECORDS_KEEP", "1");
        expect(finish(&mut other)?, 0, &[])
    });
    running.kill().map_err(|fault| fault.to_string())?;
    let output = running
        .wait_with_output()
        .map_err(|fault| fault.to_string())?;
    listed?;
    let all = records(&folder)?;
    if all.len() != 2 {
        return Err(format!("{all:?} are left"));
    }
    let id = all[0].file_name().and_then(|name| name.to_str());
    let id = id.ok_or("the record has no name")?;
    expect(
        run(&folder, &["runs"])?,
        0,
        &["  killed   0      play.yml\n"],
    )?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    // A line that was cut off is not there.
    let path = all[0].join("events.ndjson");
    let text = std::fs::read_to_string(&path).map_err(|fault| fault.to_string())?;
    std::fs::write(&path, text + "{\"event\":\"task_do").map_err(|fault| fault.to_string())?;
    same("what was shown", &shown, &stdout(&folder, &["replay", id])?)?;
    match shown.contains("TASK [long]") {
        true => Ok(()),
        false => Err(format!("the long task is not shown:\n{shown}")),
    }
}

fn rotated(place: &Place) -> Result<(), String> {
    let folder = place.fresh("rotated", PLAY)?;
    write(&folder, "ansible.cfg", "[rplay]\nrecords_keep = 2\n")?;
    let mut made = vec![];
    for _ in 0..4 {
        expect(run(&folder, RUN)?, 2, &[])?;
        made.extend(records(&folder)?.last().cloned());
    }
    let left = records(&folder)?;
    if left != made[2..] {
        return Err(format!("of {made:?} there are left {left:?}"));
    }
    write(&folder, "ansible.cfg", "[rplay]\nrecords_size = 0\n")?;
    expect(run(&folder, RUN)?, 2, &[])?;
    let left = records(&folder)?;
    if left.len() != 1 {
        return Err(format!("there are left {left:?}"));
    }
    // Switched off, and at another place.
    write(&folder, "ansible.cfg", "[rplay]\nrecords = no\n")?;
    expect(run(&folder, RUN)?, 2, &[])?;
    if records(&folder)? != left {
        return Err("there is a record although there shall be none".to_owned());
    }
    let mut other = scenario::command(&folder, &folder, RUN);
    other.env("RPLAY_RECORDS", "yes");
    other.env("RPLAY_RECORDS_PATH", folder.join("elsewhere"));
    expect(finish(&mut other)?, 2, &[])?;
    let there = std::fs::read_dir(folder.join("elsewhere")).map_err(|fault| fault.to_string())?;
    match (there.count(), records(&folder)? == left) {
        (1, true) => Ok(()),
        (count, _) => Err(format!("there are {count} records elsewhere")),
    }
}

fn unwritable(place: &Place) -> Result<(), String> {
    let folder = place.fresh("unwritable", PLAY)?;
    // What it makes is there from now on.
    expect(run(&folder, RUN)?, 2, &[])?;
    let expected = stdout(&folder, RUN)?;
    write(&folder, "file", "")?;
    for at in ["file/runs", "/proc/nowhere/runs"] {
        let mut command = scenario::command(&folder, &folder, RUN);
        command.env("RPLAY_RECORDS_PATH", at);
        let output = command.output().map_err(|fault| fault.to_string())?;
        let shown = String::from_utf8_lossy(&output.stdout);
        same("the output", &expected, &shown)?;
        let told = String::from_utf8_lossy(&output.stderr);
        if told.matches("this run is not recorded").count() != 1 || !told.contains(at) {
            return Err(format!("it is told otherwise:\n{told}"));
        }
    }
    let mut command = scenario::command(&folder, &folder, RUN);
    command.env_remove("HOME");
    expect(finish(&mut command)?, 2, &["this run is not recorded"])
}

/// A disk of its own that is too small.
fn full(place: &Place) -> Result<(), String> {
    let folder = place.fresh("full", PLAY)?;
    if !rustix::process::getuid().is_root() {
        return Err("skip: needs root".to_owned());
    }
    std::fs::create_dir(folder.join("small")).map_err(|fault| fault.to_string())?;
    let script = "mount -t tmpfs -o size=16k,nr_inodes=100 none small || exit 77\n\
                  dd if=/dev/zero of=small/ballast bs=4k count=2 2>/dev/null\n\"$@\"\ncode=$?\n\
                  ls -R small >&2\nexit $code\n";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(rplay());
    command
        .args(RUN)
        .arg("-vvv")
        .current_dir(&folder)
        .env("HOME", &folder);
    command.env("RPLAY_RECORDS_PATH", folder.join("small/runs"));
    let (code, text) = finish(&mut command)?;
    if code == 77 {
        return Err("skip: nothing can be mounted here".to_owned());
    }
    if text.matches("the record of this run is incomplete").count() != 1 {
        return Err(format!("it is not told once:\n{text}"));
    }
    expect(
        (code, text),
        2,
        &["PLAY RECAP", "one                        : ok=3"],
    )
}

fn refused(place: &Place) -> Result<(), String> {
    let folder = place.fresh("refused", PLAY)?;
    expect(
        run(&folder, &["replay", "last"])?,
        1,
        &["no run is recorded in"],
    )?;
    expect(run(&folder, RUN)?, 2, &[])?;
    let all = records(&folder)?;
    let id = all[0].file_name().and_then(|name| name.to_str());
    let id = id.ok_or("the record has no name")?;
    let mistyped = id.replacen("20", "21", 1);
    let told = ["there is no run", &format!("did you mean `{id}`?")];
    expect(run(&folder, &["replay", &mistyped])?, 1, &told)?;
    let good = read(&all[0], "run.json")?;
    write(
        &all[0],
        "run.json",
        &good.replacen("\"version\": 1", "\"version\": 9", 1),
    )?;
    let told = "it has version 9 of the form of records";
    expect(run(&folder, &["replay", id])?, 1, &[told])?;
    expect(run(&folder, &["runs"])?, 0, &["[WARNING]", told])?;
    write(&all[0], "run.json", &good)?;
    let events = read(&all[0], "events.ndjson")?;
    write(&all[0], "events.ndjson", &format!("what?\n{events}"))?;
    expect(run(&folder, &["replay", id])?, 1, &["line 1: "])
}

/// Each task leaves a line, so that one that is done twice is seen; the run fails until there is a file `go`.
const LONG: &str = r#"
- hosts: all
  gather_facts: false
  strategy: STRATEGY
  tasks:
    - name: first
      shell: echo first >> log.{{ inventory_hostname }}; echo {{ inventory_hostname }}-token
      args: {chdir: "{{ playbook_dir }}"}
      register: token
      notify: stamp
    - set_fact: {chance: "{{ 1000000 | random }}", doubled: ["{{ token.stdout }}", 2]}
    - name: chance
      copy: {content: "{{ chance }}", dest: "{{ playbook_dir }}/chance.{{ inventory_hostname }}"}
    - name: caught
      block:
        - name: fails
          shell: echo fails >> log.{{ inventory_hostname }}; false
          args: {chdir: "{{ playbook_dir }}"}
      rescue:
        - name: caught
          shell: echo caught {{ ansible_failed_result.rc }} >> log.{{ inventory_hostname }}
          args: {chdir: "{{ playbook_dir }}"}
    - include_tasks: none.yml
    - block:
        - name: once
          shell: echo once >> once
          args: {chdir: "{{ playbook_dir }}"}
          run_once: ONCE
        - shell: "false"
      rescue:
        - debug: {msg: "caught again"}
    - include_tasks: more.yml
      loop: [x, y]
      when: inventory_hostname != 'three' or item == 'x'
    - name: stop
      command: test -f {{ playbook_dir }}/go
      when: inventory_hostname == 'two'
    - name: last
      shell: echo last {{ token.stdout }} {{ doubled[0] }} {{ chance }} >> log.{{ inventory_hostname }}
      args: {chdir: "{{ playbook_dir }}"}
  handlers:
    - name: stamp
      shell: echo stamp {{ token.stdout }} >> log.{{ inventory_hostname }}
      args: {chdir: "{{ playbook_dir }}"}
- hosts: all
  gather_facts: false
  tasks:
    - name: second play
      shell: echo second >> log.{{ inventory_hostname }}
      args: {chdir: "{{ playbook_dir }}"}
"#;

const MORE: &str = r#"
- name: included
  shell: echo included {{ item }} >> log.{{ inventory_hostname }}
  args: {chdir: "{{ playbook_dir }}"}
"#;

const HOSTS: &str = "[all]\none\ntwo\nthree\n[all:vars]\nansible_connection=local\n";

/// A folder with the long play.
fn long(place: &Place, name: &str, strategy: &str) -> Result<PathBuf, String> {
    // `free` runs what is for once on each host.
    let once = if strategy == "free" { "false" } else { "true" };
    let play = LONG.replace("STRATEGY", strategy).replace("ONCE", once);
    let folder = place.fresh(name, &play)?;
    write(&folder, "more.yml", MORE)?;
    write(&folder, "none.yml", "- debug: {msg: nothing}\n")?;
    write(&folder, "hosts", HOSTS)?;
    Ok(folder)
}

/// Every host has done everything once, with the values of the first run.
fn done_once(folder: &Path) -> Result<(), String> {
    for host in ["one", "two", "three"] {
        let chance = read(folder, &format!("chance.{host}"))?;
        let items = if host == "three" {
            &["x"][..]
        } else {
            &["x", "y"]
        };
        let items: String = items
            .iter()
            .map(|item| format!("included {item}\n"))
            .collect();
        let expected = format!(
            "first\nfails\ncaught 1\n{items}last {host}-token {host}-token {chance}\nstamp {host}-token\nsecond\n"
        );
        same(host, &expected, &read(folder, &format!("log.{host}"))?)?;
    }
    Ok(())
}

fn resumed(place: &Place) -> Result<(), String> {
    goes_on(&long(place, "resumed", "linear")?)
}

fn resumed_free(place: &Place) -> Result<(), String> {
    goes_on(&long(place, "free", "free")?)
}

fn goes_on(folder: &Path) -> Result<(), String> {
    expect(run(folder, RUN)?, 2, &["failed=1"])?;
    let (code, shown) = run(folder, &["resume", "last"])?;
    // The reason is still there.
    let lines = [
        "results on 3 hosts are in its record",
        "TASK [stop]",
        "failed=1",
    ];
    expect((code, shown.clone()), 2, &lines)?;
    let hidden = [
        "TASK [first]",
        "TASK [included]",
        "included:",
        "TASK [last]",
        "[second play]",
    ];
    if let Some(task) = hidden.iter().find(|task| shown.contains(**task)) {
        return Err(format!("{task} is shown again:\n{shown}"));
    }
    write(folder, "go", "")?;
    // The record of the second attempt has what the first one did.
    let (code, shown) = run(folder, &["resume", "last"])?;
    let lines = [
        "TASK [stop]",
        "TASK [last]",
        "RUNNING HANDLER [stamp]",
        "TASK [second play]",
    ];
    expect((code, shown.clone()), 0, &lines)?;
    if shown.contains("on [one]") || shown.contains("changed: [one]") {
        return Err(format!("the first host is worked on again:\n{shown}"));
    }
    done_once(folder)?;
    let free = read(folder, "play.yml")?.contains("strategy: free");
    let once = read(folder, "once")?.lines().count();
    if once != if free { 3 } else { 1 } {
        return Err(format!("what is for once ran {once} times"));
    }
    let again = stdout(folder, &["replay", "last"])?;
    let shown = shown.split_once('\n').map_or("", |(_, rest)| rest);
    same("the second attempt", shown, &again)?;
    expect(
        run(folder, &["resume", "last"])?,
        1,
        &["nothing is left to do"],
    )
}

fn flushed(place: &Place) -> Result<(), String> {
    let folder = long(place, "flushed", "linear")?;
    let play = read(&folder, "play.yml")?;
    let waits = "shell: echo $$ > pid; test -f go || exec sleep 60\n      args: {chdir: \"{{ playbook_dir }}\"}";
    let play = play.replace("command: test -f {{ playbook_dir }}/go", waits);
    write(&folder, "play.yml", &play)?;
    let mut running = scenario::command(&folder, &folder, RUN)
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let begun = eventually("the host waits", Duration::from_secs(30), || {
        Ok(read(&folder, "pid").is_ok_and(|pid| pid.ends_with('\n')))
    });
    running.kill().map_err(|fault| fault.to_string())?;
    running.wait().map_err(|fault| fault.to_string())?;
    begun?;
    // What it had started ends with its agent, or by itself after a minute.
    write(&folder, "play.yml", &format!("{play}\n# changed\n"))?;
    let told = ["cannot be resumed", "* play.yml has changed\n"];
    expect(run(&folder, &["resume", "last"])?, 1, &told)?;
    write(&folder, "play.yml", &play)?;
    write(&folder, "go", "")?;
    let lines = ["RUNNING HANDLER [stamp]", "TASK [second play]"];
    expect(run(&folder, &["resume", "last"])?, 0, &lines)?;
    done_once(&folder)
}

fn outdated(place: &Place) -> Result<(), String> {
    let folder = long(place, "outdated", "linear")?;
    expect(run(&folder, RUN)?, 2, &[])?;
    let play = read(&folder, "play.yml")?;
    // Lines move, and the task that failed is mended.
    let mended = play
        .replacen("- hosts: all", "# mended\n- hosts: all", 1)
        .replace(
            "command: test -f {{ playbook_dir }}/go",
            "command: test -f {{ playbook_dir }}/hosts",
        );
    write(&folder, "play.yml", &mended)?;
    std::fs::create_dir(folder.join("group_vars")).map_err(|fault| fault.to_string())?;
    let told = ["cannot be resumed", "* play.yml has changed\n"];
    expect(run(&folder, &["resume", "last"])?, 1, &told)?;
    write(&folder, "play.yml", &play)?;
    write(&folder, "group_vars/all.yml", "other: 1\n")?;
    expect(
        run(&folder, &["resume", "last"])?,
        1,
        &["* group_vars/all.yml is new\n"],
    )?;
    let mut other = scenario::command(&folder, &folder, &["resume", "last"]);
    other.env("ANSIBLE_FORKS", "7");
    let named = "* the environment variable ANSIBLE_FORKS has changed\n";
    expect(finish(&mut other)?, 1, &[named])?;
    write(&folder, "play.yml", &mended)?;
    let told = ["this is not as it was: play.yml has changed", "TASK [stop]"];
    // The task that sets the facts has no name: from there on all is done again.
    let (code, text) = run(&folder, &["resume", "last", "--force"])?;
    expect((code, text.clone()), 0, &told)?;
    let firsts = read(&folder, "log.one")?.matches("first").count();
    match (firsts, text.contains("TASK [set_fact]")) {
        (1, true) => Ok(()),
        _ => Err(format!("the first task ran {firsts} times:\n{text}")),
    }
}

fn lacking(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  tasks:
    - name: secret
      shell: echo x >> log; echo tok-123456789
      args: {chdir: "{{ playbook_dir }}"}
      register: token
      no_log: true
    - set_fact: {copied: "{{ token.stdout }}"}
    - name: stop
      command: test -f {{ playbook_dir }}/go
    - name: use
      copy: {content: "{{ token.stdout }} {{ copied }}", dest: "{{ playbook_dir }}/used"}
"#;
    let folder = place.fresh("lacking", play)?;
    expect(run(&folder, RUN)?, 2, &[])?;
    write(&folder, "go", "")?;
    let told = [
        "the record lacks results",
        "TASK [secret]",
        "on one",
        "`--force` runs these tasks again",
    ];
    expect(run(&folder, &["resume", "last"])?, 1, &told)?;
    if read(&folder, "log")? != "x\n" {
        return Err("the task ran although it was refused".to_owned());
    }
    expect(
        run(&folder, &["resume", "last", "--force"])?,
        0,
        &["TASK [secret]"],
    )?;
    same(
        "what is used",
        "tok-123456789 tok-123456789",
        &read(&folder, "used")?,
    )?;
    same("the log", "x\nx\n", &read(&folder, "log")?)
}

fn no_resume(place: &Place) -> Result<(), String> {
    let folder = place.fresh("no-resume", PLAY)?;
    expect(run(&folder, &[RUN, &["--check"]].concat())?, 2, &[])?;
    let told = ["cannot be resumed", "it was a run in check mode"];
    expect(run(&folder, &["resume", "last"])?, 1, &told)?;
    let secret = ["-e", "ansible_become_password=horse-battery"];
    expect(run(&folder, &[RUN, &secret].concat())?, 2, &[])?;
    let told = "an argument held a secret";
    let (code, text) = run(&folder, &["resume", "last"])?;
    if text.contains("horse-battery") {
        return Err(format!("the secret is told:\n{text}"));
    }
    expect((code, text), 1, &[told])?;
    for file in records(&folder)? {
        if read(&file, "run.json")?.contains("horse-battery") {
            return Err("the secret is in the record".to_owned());
        }
    }
    Ok(())
}

fn compared(place: &Place) -> Result<(), String> {
    let folder = place.fresh("compared", PLAY)?;
    let check = [RUN, &["--check", "--diff"]].concat();
    let name = |at: usize| -> Result<String, String> {
        let all = records(&folder)?;
        let name = all.get(at).and_then(|path| path.file_name());
        Ok(name.ok_or("no such record")?.to_string_lossy().into_owned())
    };
    for _ in 0..2 {
        expect(run(&folder, &check)?, 2, &[])?;
    }
    let (first, second) = (name(0)?, name(1)?);
    let both = ["diff", &first, &second];
    expect(run(&folder, &both)?, 0, &["The runs say the same.\n"])?;
    // Somebody was there in between.
    write(&folder, "one.txt", "bye one\n")?;
    expect(run(&folder, &check)?, 2, &[])?;
    let lines = ["TASK [greeting] play.yml:5 on one\n", "> -bye one\n"];
    expect(run(&folder, &["diff", &first, "last"])?, 10, &lines)?;
    let told = ["the plan 'nothing' cannot be read"];
    expect(run(&folder, &["diff", &first, "nothing"])?, 1, &told)
}
