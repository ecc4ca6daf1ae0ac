//! `rplay plan`, `apply`, `show` and `diff`: that a plan is what then happens, or nothing does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::{Verdict, rplay};
use crate::program::pseudo;

const SCENARIOS: &[Scenario<Place>] = &[
    ("what is planned is shown, and then done", planned),
    ("exit codes tell of changes", exit_codes),
    ("what is no plan of ours is refused", refused),
    ("what has changed since is named", outdated),
    ("a terminal is asked", asked),
    (
        "a file that cannot be written is told before the run",
        unwritable,
    ),
    ("plans are compared", compared),
    ("no secret is in a plan", secrets),
    ("another secret is seen, and not shown", tagged),
    ("what does not come as planned is told", deviations),
    ("reports say what happened", reports),
    ("hosts that have drifted are told", drift),
    ("a password is asked for once", asked_once),
    ("definitions of a variable are listed", why),
    ("a comment has a limit", long_comment),
    (
        "reports that cannot be are told before the run",
        wrong_reports,
    ),
];

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: folder
      file: {path: "{{ playbook_dir }}/out", state: directory, mode: "0755"}
    - name: greeting
      template: {src: greeting.j2, dest: "{{ playbook_dir }}/out/greeting", mode: "0644"}
      notify: stamp
    - name: parts
      copy: {content: "{{ item }}\n", dest: "{{ playbook_dir }}/out/{{ item }}", mode: "0644"}
      loop: [a, b]
    - name: never
      copy: {content: x, dest: "{{ playbook_dir }}/out/never"}
      when: false
  handlers:
    - name: stamp
      file: {path: "{{ playbook_dir }}/out/stamp", state: touch, mode: "0644"}
"#;

const INVENTORY: &str = "one ansible_connection=local word=hello\n";

/// A play whose effect check mode does not know.
const UNKNOWN: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: ask
      command: echo hi
      register: said
      changed_when: false
    - name: answer
      copy: {content: "{{ said.stdout }}\n", dest: "{{ playbook_dir }}/answer", mode: "0644"}
"#;

struct Place(tempfile::TempDir);

impl Place {
    /// A fresh folder with a playbook, what it uses, and an inventory.
    fn fresh(&self, name: &str, play: &str) -> Result<PathBuf, String> {
        let folder = self.0.path().join(name);
        let files = [
            ("play.yml", play),
            ("greeting.j2", "{{ word }}\n"),
            ("hosts", INVENTORY),
        ];
        std::fs::create_dir(&folder).map_err(|fault| fault.to_string())?;
        for (file, text) in files {
            write(&folder, file, text)?;
        }
        Ok(folder)
    }
}

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("plan", SCENARIOS, wanted);
    match tempfile::Builder::new().prefix("rplay-plan-").tempdir() {
        Ok(folder) => scenario::run("plan", &chosen, &Place(folder)),
        Err(fault) => vec![("plan".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), String> {
    std::fs::write(folder.join(file), text).map_err(|fault| fault.to_string())
}

fn read(folder: &Path, file: &str) -> Result<String, String> {
    std::fs::read_to_string(folder.join(file)).map_err(|fault| format!("{file}: {fault}"))
}

fn run(folder: &Path, words: &[&str]) -> Result<(i32, String), String> {
    finish(&mut scenario::command(folder, folder, words))
}

const MAKE: &[&str] = &["plan", "play.yml", "-i", "hosts", "--out", "plan.json"];
const APPLY: &[&str] = &["apply", "plan.json"];

fn planned(place: &Place) -> Result<(), String> {
    let folder = place.fresh("planned", PLAY)?;
    expect(run(&folder, MAKE)?, 0, &["changed=4", "Plan: 5 changes\n"])?;
    if folder.join("out").exists() {
        return Err("planning has made something".to_owned());
    }
    let shown = run(&folder, &["show", "plan.json"])?;
    let lines = [
        "PLAY [all]\n\nTASK [folder] (file)\n  ~ one: changes\n",
        "      +    \"state\": \"directory\"\n",
        "      @@ -0,0 +1 @@\n      +hello\n",
        "  one:\n    ~ (item=a): changes\n",
        "HANDLER [stamp] (file)\n  ~ one: changes\n",
        "\nPlan: 5 changes\n",
    ];
    expect(shown.clone(), 0, &lines)?;
    if shown.1.contains("never") {
        return Err(format!("a skipped task is shown:\n{}", shown.1));
    }
    let wanted = ["changed=4", "Done as planned.\n"];
    expect(run(&folder, APPLY)?, 0, &wanted)?;
    if read(&folder, "out/greeting")? != "hello\n" {
        return Err("the greeting is not there".to_owned());
    }
    let again = "TASK [greeting] play.yml:7 on one: planned changed, now ok\n";
    expect(run(&folder, APPLY)?, 1, &["is refused", again])?;
    expect(run(&folder, MAKE)?, 0, &["Plan: no changes\n"])?;
    expect(
        run(&folder, APPLY)?,
        0,
        &["changed=0", "Done as planned.\n"],
    )
}

fn exit_codes(place: &Place) -> Result<(), String> {
    let folder = place.fresh("codes", PLAY)?;
    let detailed = ["plan", "play.yml", "-i", "hosts", "--detailed-exitcode"];
    expect(run(&folder, &detailed)?, 10, &["Plan: 5 changes"])?;
    expect(run(&folder, &["play.yml", "-i", "hosts"])?, 0, &[])?;
    expect(run(&folder, &detailed)?, 0, &["Plan: no changes"])?;
    write(&folder, "play.yml", UNKNOWN)?;
    expect(run(&folder, &detailed)?, 10, &["2 unknown"])?;
    let fails = "- hosts: all\n  gather_facts: false\n  tasks:\n    - fail: msg=no\n";
    write(&folder, "play.yml", fails)?;
    expect(run(&folder, &detailed)?, 2, &["1 failed"])?;
    expect(run(&folder, MAKE)?, 2, &[])?;
    expect(
        run(&folder, APPLY)?,
        1,
        &["the run that it foretells fails"],
    )?;
    let listing = ["plan", "play.yml", "-i", "hosts", "--list-tasks"];
    expect(run(&folder, &listing)?, 5, &["--list-tasks"])
}

fn refused(place: &Place) -> Result<(), String> {
    let folder = place.fresh("refused", PLAY)?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    let good = read(&folder, "plan.json")?;
    let half: String = good.chars().take(good.chars().count() / 2).collect();
    let edited = good.replacen("hello", "jello", 1);
    let newer = good.replacen("\"version\": 1", "\"version\": 7", 1);
    for (text, why) in [
        (half.as_str(), "it is no plan, or was cut off"),
        (edited.as_str(), "it was edited"),
        (newer.as_str(), "it has version 7 of the form of plans"),
        ("{\"format\": \"else\"}", "its `format` is not `rplay-plan`"),
        ("[]", "its `format` is not `rplay-plan`"),
        ("", "it is no plan, or was cut off"),
    ] {
        write(&folder, "plan.json", text)?;
        for words in [
            APPLY,
            &["show", "plan.json"],
            &["diff", "plan.json", "plan.json"],
        ] {
            expect(run(&folder, words)?, 1, &["plan.json", why])?;
        }
    }
    let near = "did you mean `plan.json`?";
    expect(
        run(&folder, &["show", "plam.json"])?,
        1,
        &["plam.json", near],
    )?;
    match folder.join("out").exists() {
        true => Err("a refused plan has done something".to_owned()),
        false => Ok(()),
    }
}

fn outdated(place: &Place) -> Result<(), String> {
    let folder = place.fresh("outdated", PLAY)?;
    for (file, text) in [
        ("play.yml", format!("{PLAY}\n# a remark\n")),
        (
            "hosts",
            "one ansible_connection=local word=bye\n".to_owned(),
        ),
        ("greeting.j2", "{{ word }}!\n".to_owned()),
    ] {
        expect(run(&folder, MAKE)?, 0, &[])?;
        let before = read(&folder, file)?;
        write(&folder, file, &text)?;
        let named = format!("* {file} has changed\n");
        expect(run(&folder, APPLY)?, 1, &["is refused", &named])?;
        write(&folder, file, &before)?;
    }
    std::fs::create_dir(folder.join("group_vars")).map_err(|fault| fault.to_string())?;
    write(&folder, "group_vars/all.yml", "other: 1\n")?;
    let named = "* group_vars/all.yml is new\n";
    expect(run(&folder, APPLY)?, 1, &[named])?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    let mut other = scenario::command(&folder, &folder, APPLY);
    other.env("ANSIBLE_FORKS", "7");
    let named = "* the environment variable ANSIBLE_FORKS has changed\n";
    expect(finish(&mut other)?, 1, &[named])?;
    // A program gives the same hosts with another variable, and then the name is another machine.
    let text = read(&folder, "plan.json")?;
    let mut plan = rplay::report::plan::Plan::from_text(&text)?;
    let named = std::path::Path::new("/etc/machine-id").exists();
    for (all, name, wanted) in [
        (&mut plan.targets, "one", named),
        (&mut plan.variables, "hosts", true),
    ] {
        if all.insert(name.to_owned(), "0".repeat(32)).is_some() != wanted {
            return Err(format!("the plan does not know {name}:\n{text}"));
        }
    }
    let edited = plan.to_text().map_err(|fault| fault.to_string())?;
    write(&folder, "other.json", &edited)?;
    let told = [
        "variables that hosts gives have changed\n",
        "one is another machine than the plan was made with\n",
    ];
    let told = &told[..1 + usize::from(named)];
    expect(run(&folder, &["apply", "other.json"])?, 1, told)?;
    // Somebody was there in between.
    std::fs::create_dir(folder.join("out")).map_err(|fault| fault.to_string())?;
    write(&folder, "out/greeting", "good morning\n")?;
    let drifted = [
        "TASK [folder] play.yml:5 on one: planned changed, now ok\n",
        "TASK [greeting] play.yml:7 on one: changed, with another difference\n",
    ];
    expect(run(&folder, APPLY)?, 1, &drifted)?;
    match read(&folder, "out/greeting")?.as_str() {
        "good morning\n" => Ok(()),
        text => Err(format!("a refused plan has written {text}")),
    }
}

fn asked(place: &Place) -> Result<(), String> {
    let folder = place.fresh("asked", PLAY)?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    // The question of the play is asked once, for the plan and for the run.
    let prompts = PLAY.replacen(
        "  tasks:",
        "  vars_prompt: [{name: extra, private: false}]\n  tasks:",
        1,
    );
    write(&folder, "play.yml", &prompts)?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    for (answer, code, there) in [("typed\nno\n", 1, false), ("typed\nyes\n", 0, true)] {
        let (screen, line) = pseudo()?;
        let copy = || line.try_clone().map_err(|fault| fault.to_string());
        rustix::io::write(&screen, answer.as_bytes()).map_err(|fault| fault.to_string())?;
        let reader = std::thread::spawn(move || {
            let mut text = vec![0; 1 << 16];
            let mut shown = String::new();
            while let Ok(count) = rustix::io::read(&screen, &mut text) {
                shown.push_str(&String::from_utf8_lossy(&text[..count]));
            }
            shown
        });
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(rplay()).args(APPLY);
        command
            .current_dir(&folder)
            .env("HOME", &folder)
            .env_remove("XDG_STATE_HOME");
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
        let status = command.status().map_err(|fault| fault.to_string())?;
        drop((command, line));
        let shown = reader.join().map_err(|_| "the terminal is gone")?;
        if shown.matches("extra: ").count() != 1 {
            return Err(format!("it is not asked once:\n{shown}"));
        }
        let ended = (status.code().unwrap_or(-1), shown);
        expect(ended, code, &["Plan: 5 changes", "Only `yes` is taken"])?;
        if folder.join("out").exists() != there {
            return Err(format!("after the answer {answer:?} it is not so"));
        }
    }
    Ok(())
}

fn unwritable(place: &Place) -> Result<(), String> {
    let folder = place.fresh("unwritable", PLAY)?;
    for out in ["nowhere/plan.json", "."] {
        let words = ["plan", "play.yml", "-i", "hosts", "--out", out];
        let (code, text) = run(&folder, &words)?;
        if text.contains("PLAY [") {
            return Err(format!("the run had begun:\n{text}"));
        }
        let told = format!("the plan cannot be written to '{out}'");
        expect((code, text), 1, &[&told])?;
    }
    Ok(())
}

fn compared(place: &Place) -> Result<(), String> {
    let folder = place.fresh("compared", PLAY)?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    let both = ["diff", "plan.json", "other.json"];
    std::fs::copy(folder.join("plan.json"), folder.join("other.json"))
        .map_err(|fault| fault.to_string())?;
    expect(run(&folder, &both)?, 0, &["The plans say the same.\n"])?;
    // Another host: what its tasks do is compared.
    write(&folder, "hosts", "two ansible_connection=local word=bye\n")?;
    let words = ["plan", "play.yml", "-i", "hosts", "--out", "other.json"];
    expect(run(&folder, &words)?, 0, &[])?;
    let (code, text) = run(&folder, &both)?;
    if text.contains("TASK [parts]") {
        return Err(format!("what is the same is told:\n{text}"));
    }
    let told = ["TASK [greeting] play.yml:7\n", "< +hello\n", "> +bye\n"];
    expect((code, text), 10, &told)
}

fn secrets(place: &Place) -> Result<(), String> {
    let folder = place.fresh("secrets", PLAY)?;
    write(&folder, "password", "open sesame\n")?;
    write(&folder, "secret.yml", "word: correct-horse-battery\n")?;
    let vault = ["--vault-password-file", "password"];
    let seal = [&["vault", "encrypt", "secret.yml"], &vault[..]].concat();
    expect(run(&folder, &seal)?, 0, &[])?;
    let page = ["--report", "html=page.html"];
    let make = [MAKE, &vault, &["-e", "@secret.yml"], &page].concat();
    expect(run(&folder, &make)?, 0, &["Plan: 5 changes"])?;
    let plan = read(&folder, "plan.json")?;
    let shown = run(&folder, &["show", "plan.json"])?.1;
    let page = read(&folder, "page.html")?;
    for text in [&plan, &shown, &page] {
        if text.contains("correct-horse") || text.contains("open sesame") {
            return Err(format!("a secret is in it:\n{text}"));
        }
    }
    expect((0, plan), 0, &["\"vault_ids\": [\n    \"default\"\n  ]"])?;
    expect(run(&folder, APPLY)?, 0, &["Done as planned.\n"])?;
    if read(&folder, "out/greeting")? != "correct-horse-battery\n" {
        return Err("the secret has not arrived".to_owned());
    }
    let given = [&make[..], &["-e", "more=correct-horse-battery"]].concat();
    let told = ["an argument holds a secret", "-e @FILE"];
    let ended = run(&folder, &given)?;
    match ended.1.contains("correct-horse") {
        true => Err(format!("the secret is told:\n{}", ended.1)),
        false => expect(ended, 1, &told),
    }
}

/// No terminal: questions are answered by standard input, which has one line.
fn asked_once(place: &Place) -> Result<(), String> {
    let play = "- hosts: all\n  gather_facts: false\n  tasks: [{debug: }]\n";
    let folder = place.fresh("asked-once", play)?;
    write(&folder, "answer", "open-sesame\n")?;
    for asking in [
        &["-K"][..],
        &["--become-password-file", "-"],
        &["--ask-vault-pass"],
    ] {
        let make = [MAKE, asking].concat();
        for words in [&make[..], APPLY] {
            let mut command = Command::new("setsid");
            command
                .arg("--wait")
                .arg(rplay())
                .args(words)
                .current_dir(&folder);
            command.env("HOME", &folder).env_remove("XDG_STATE_HOME");
            let answer = std::fs::File::open(folder.join("answer"));
            command.stdin(answer.map_err(|fault| fault.to_string())?);
            let (code, text) = finish(&mut command)?;
            let questions = text.matches("password: ").count();
            if questions != usize::from(asking.len() == 1) || text.contains("open-sesame") {
                return Err(format!("{words:?} asked {questions} times:\n{text}"));
            }
            expect((code, text), 0, &[])?;
        }
    }
    Ok(())
}

/// A secret that comes from outside of all files.
fn tagged(place: &Place) -> Result<(), String> {
    let play = "- hosts: all\n  gather_facts: false\n  vars: {token: \"{{ lookup('env', 'TOKEN') }}\"}\n  tasks:\n    \
                - name: write\n      copy: {content: \"token={{ token }}\\n\", dest: \"{{ playbook_dir }}/there\", mode: \"0600\"}\n    \
                - name: items\n      debug: {msg: x}\n      loop: [\"{{ token }}\"]\n";
    let folder = place.fresh("tagged", play)?;
    write(&folder, "ansible.cfg", "[rplay]\nsecret_vars = token\n")?;
    let with = |token: &str, state: &str, words: &[&str]| {
        let mut command = scenario::command(&folder, &folder, words);
        command.env("TOKEN", token);
        command.env("XDG_STATE_HOME", folder.join(state));
        let (code, text) = finish(&mut command)?;
        let plan = read(&folder, "plan.json")?;
        match text.contains(token) || plan.contains(token) {
            true => Err(format!("the secret is told:\n{text}\n{plan}")),
            false => Ok((code, text)),
        }
    };
    let tag = |text: &str| {
        let (_, tag) = text.split_once("+token=********[")?;
        tag.get(..7)
            .filter(|tag| tag.ends_with(']'))
            .map(str::to_owned)
    };
    expect(
        with("first-horse", "state", MAKE)?,
        0,
        &["+token=********\n"],
    )?;
    let shown = with("first-horse", "state", &["show", "plan.json"])?.1;
    let first = tag(&shown).ok_or_else(|| format!("there is no tag:\n{shown}"))?;
    std::fs::rename(folder.join("plan.json"), folder.join("first.json"))
        .map_err(|fault| fault.to_string())?;
    expect(with("other-horse", "state", MAKE)?, 0, &[])?;
    let shown = with("other-horse", "state", &["show", "plan.json"])?.1;
    if tag(&shown).is_none_or(|other| other == first) {
        return Err(format!("two secrets have one tag, {first}:\n{shown}"));
    }
    let told = ["TASK [write]", &format!("< +token=********[{first}")];
    let diff = ["diff", "first.json", "plan.json"];
    expect(with("other-horse", "state", &diff)?, 10, &told)?;
    // Another secret than was planned is not written.
    let told = "TASK [write] play.yml:5 on one: changed, with another difference\n";
    expect(
        with("third-horse", "state", APPLY)?,
        1,
        &["is refused", told],
    )?;
    // On a machine with another key a tag says nothing, and the plan holds.
    expect(
        with("other-horse", "elsewhere", APPLY)?,
        0,
        &["Done as planned.\n"],
    )?;
    let key = folder.join("state/rplay/tag-key");
    let data = key.metadata().map_err(|fault| fault.to_string())?;
    match std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777 {
        0o600 => Ok(()),
        mode => Err(format!("the key has the mode {mode:o}")),
    }
}

/// A program that changes its mind between the plan and the run.
fn deviations(place: &Place) -> Result<(), String> {
    let folder = place.fresh("deviations", UNKNOWN)?;
    expect(run(&folder, MAKE)?, 0, &["2 unknown"])?;
    let told = [
        "? one: runs then; check mode does not run it\n",
        "? one: not known because of the task 'ask'",
    ];
    expect(run(&folder, &["show", "plan.json"])?, 0, &told)?;
    // What was not known is no surprise.
    expect(run(&folder, APPLY)?, 0, &["Done as planned.\n"])?;
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: first\n      \
                command: touch there creates=there\n      args: {chdir: \"{{ playbook_dir }}\"}\n    \
                - name: second\n      copy: {content: x, dest: \"{{ playbook_dir }}/there\"}\n      \
                when: not ansible_check_mode\n";
    write(&folder, "play.yml", play)?;
    expect(run(&folder, MAKE)?, 0, &[])?;
    let told = "TASK [second] play.yml:7 on one: changed, which was not planned";
    expect(run(&folder, APPLY)?, 0, &[told])
}

/// One run, all reports at once; two hosts that agree stand together.
fn reports(place: &Place) -> Result<(), String> {
    let folder = place.fresh("reports", PLAY)?;
    let there = folder.join("there");
    let hosts = "one ansible_connection=local word=<b>\ntwo ansible_connection=local word=<b>\n";
    write(&folder, "hosts", hosts)?;
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: \"a|b\"\n      \
                copy: {content: \"```\\n{{ word }}\\n\", dest: \"{{ playbook_dir }}/there.{{ inventory_hostname }}\"}\n    \
                - file: {path: \"{{ playbook_dir }}/there\", state: absent}\n      run_once: true\n    \
                - name: trouble, here\n      fail: {msg: \"50% of it\\nis lost\"}\n      \
                when: inventory_hostname == 'two'\n";
    write(&folder, "play.yml", play)?;
    write(&folder, "there", "x")?;
    write(&folder, "summary.md", "before\n")?;
    let kinds = [
        "markdown",
        "gitlab",
        "github",
        "junit=tests.xml",
        "json",
        "ndjson=events",
    ];
    let mut words = vec!["play.yml", "-i", "hosts", "--diff"];
    words.extend(kinds.iter().flat_map(|kind| ["--report", kind]));
    let mut command = scenario::command(&folder, &folder, &words);
    command.env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
    let line = "::error file=play.yml,line=8,title=trouble%2C here::two: 50%25 of it%0Ais lost\n";
    expect(finish(&mut command)?, 2, &[line])?;
    let markdown = read(&folder, "rplay-report.md")?;
    let lines = [
        "## rplay: Run: 3 changes, 1 failed\n",
        "| two | 1 | 1 | 1 | 0 | 0 |\n",
        "<details><summary>🟡 a\\|b: one</summary>\n\n````diff\n--- before\n+++ after: ",
        "+```\n+<b>\n````\n",
        "<summary>❌ trouble, here: two</summary>\n\n```diff\n50% of it\nis lost\n```\n",
    ];
    expect((0, markdown.clone()), 0, &lines)?;
    if read(&folder, "summary.md")? != format!("before\n{markdown}") {
        return Err("the summary of the step is another one".to_owned());
    }
    let counts = read(&folder, "rplay-gitlab.json")?;
    expect(
        (0, counts),
        0,
        &["{\"create\":2,\"update\":0,\"delete\":1}\n"],
    )?;
    let tests = read(&folder, "tests.xml")?;
    expect((0, tests), 0, &["errors=\"1\"", "[one] all: a|b"])?;
    expect(
        (0, read(&folder, "rplay-report.json")?),
        0,
        &["\"failed\": 1"],
    )?;
    let events = read(&folder, "events")?;
    let ends = "{\"event\":\"run_ended\"";
    if !events
        .lines()
        .last()
        .is_some_and(|line| line.starts_with(ends))
    {
        return Err(format!("the events do not end:\n{events}"));
    }
    match there.exists() {
        true => Err("the run did not do its work".to_owned()),
        false => Ok(()),
    }
}

/// What is largest is left out first, and the job's page is named.
fn long_comment(place: &Place) -> Result<(), String> {
    let folder = place.fresh("long", PLAY)?;
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: large\n      \
                copy: {content: \"{{ 'line\\n' * 9000 }}\", dest: \"{{ playbook_dir }}/large\"}\n    \
                - name: larger\n      \
                copy: {content: \"{{ 'lines\\n' * 9000 }}\", dest: \"{{ playbook_dir }}/larger\"}\n    \
                - name: small\n      copy: {content: \"x\\n\", dest: \"{{ playbook_dir }}/small\"}\n";
    write(&folder, "play.yml", play)?;
    let words = [
        "plan",
        "play.yml",
        "-i",
        "hosts",
        "--report",
        "markdown=out.md",
    ];
    let mut command = scenario::command(&folder, &folder, &words);
    command.env("CI_JOB_URL", "https://lab.example/job/7");
    expect(finish(&mut command)?, 0, &["Plan: 3 changes"])?;
    let text = read(&folder, "out.md")?;
    if text.len() > 65_000 {
        return Err(format!("{} characters", text.len()));
    }
    let left = "* 🟡 larger: one; 9003 lines are left out ([all of it](https://lab.example/job/7/artifacts/browse))";
    expect(
        (0, text),
        0,
        &[left, "<summary>🟡 large: one", "<summary>🟡 small: one"],
    )
}

fn wrong_reports(place: &Place) -> Result<(), String> {
    let folder = place.fresh("wrong-reports", PLAY)?;
    for (report, told) in [
        ("markdwon", "did you mean `markdown`?"),
        (
            "gitlab=nowhere/x",
            "the report 'nowhere/x' cannot be written",
        ),
        ("ndjson=.", "the report '.' cannot be written"),
        ("github", "GITHUB_STEP_SUMMARY is not set"),
    ] {
        for program in [&["plan", "play.yml"][..], &["play.yml"]] {
            let words = [program, &["-i", "hosts", "--report", report]].concat();
            let (code, text) = run(&folder, &words)?;
            if text.contains("PLAY [") {
                return Err(format!("the run had begun:\n{text}"));
            }
            expect((code, text), 5, &[told])?;
        }
    }
    let twice = "the reports 'json=x' and 'markdown=./x' have the same file, '";
    let words = "play.yml -i hosts --report json=x --report markdown=./x";
    let words: Vec<&str> = words.split(' ').collect();
    expect(run(&folder, &words)?, 5, &[twice])?;
    let words = "play.yml -i hosts --report json=/dev/null --report markdown=/dev/null";
    let words: Vec<&str> = words.split(' ').collect();
    expect(run(&folder, &words)?, 0, &[])
}

fn drift(place: &Place) -> Result<(), String> {
    let folder = place.fresh("drift", PLAY)?;
    let words = ["drift", "play.yml", "-i", "hosts"];
    expect(run(&folder, &words)?, 10, &["one: 5 changes\n"])?;
    expect(run(&folder, &["play.yml", "-i", "hosts"])?, 0, &[])?;
    let (code, text) = run(&folder, &words)?;
    match text.as_str() {
        "one: no changes\n" => expect((code, text), 0, &[]),
        _ => Err(format!("more is told:\n{text}")),
    }
}

/// Each level in its order; values of vaults are not told.
fn why(place: &Place) -> Result<(), String> {
    let play = "- hosts: all\n  vars: {port: 4}\n  roles: [r]\n";
    let folder = place.fresh("why", play)?;
    for (file, text) in [
        (
            "roles/r/defaults/main.yml",
            "port: 1\nonly: \"{{ port }}\"\n",
        ),
        ("roles/r/vars/main.yml", "port: 5\n"),
        ("group_vars/web.yml", "port: 3\npassword: correct-horse\n"),
        ("password", "open sesame\n"),
        ("hosts", "[web]\none port=9\n[all:vars]\nport=2\n"),
    ] {
        let folders = folder.join(file);
        let folders = folders.parent().ok_or("no folder")?;
        std::fs::create_dir_all(folders).map_err(|fault| fault.to_string())?;
        write(&folder, file, text)?;
    }
    let words = ["why", "one", "port", "-i", "hosts"];
    let with_play = [
        "why", "one", "port", "play.yml", "-i", "hosts", "-e", "port=6",
    ];
    let (code, text) = run(&folder, &with_play)?;
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("port: "))
        .collect();
    let values = ["'6'", "5", "4", "9", "3", "2", "1"];
    let values = values.map(|value| format!("    port: {value}"));
    let same = heads.len() == values.len() && heads.iter().zip(&values).all(|(a, b)| a == b);
    if !same {
        return Err(format!("another order or other values:\n{text}"));
    }
    expect(
        (code, text),
        0,
        &["* --extra-vars\n", "  group_vars of web beside the"],
    )?;
    let told = [
        "* host one in the inventory\n",
        "hosts:2",
        "  group all in the inventory\n",
    ];
    expect(run(&folder, &words)?, 0, &told)?;
    let near = ["why", "one", "prot", "-i", "hosts"];
    let told = [
        "nothing defines 'prot' for the host 'one'",
        "did you mean `port`?",
    ];
    expect(run(&folder, &near)?, 1, &told)?;
    let near = ["why", "onee", "port", "-i", "hosts"];
    expect(run(&folder, &near)?, 1, &["did you mean `one`?"])?;
    let vault = ["--vault-password-file", "password"];
    let seal = [&["vault", "encrypt", "group_vars/web.yml"], &vault[..]].concat();
    expect(run(&folder, &seal)?, 0, &[])?;
    let words = [&["why", "one", "password", "-i", "hosts"], &vault[..]].concat();
    let ended = run(&folder, &words)?;
    match ended.1.contains("correct-horse") {
        true => Err(format!("a secret is told:\n{}", ended.1)),
        false => expect(ended, 0, &["password: ********\n"]),
    }
}
