//! `rplay plan`, `apply`, `show` and `diff`: that a plan is what then happens, or nothing does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::{Verdict, rplay};

const SCENARIOS: &[Scenario<Place>] = &[
    ("what is planned is shown, and then done", planned),
    ("exit codes tell of changes", exit_codes),
    ("what is no plan of ours is refused", refused),
    ("what has changed since is named", outdated),
    (
        "a plan of another inventory or program is refused",
        elsewhere,
    ),
    ("a plan is the same in every locale", locales),
    (
        "a plan or a report on a full disk leaves no half file",
        full,
    ),
    (
        "no kind of report begins a run that it cannot tell of",
        every_report,
    ),
    ("a terminal is asked", asked),
    (
        "an answer that is hashed is the same when it is applied",
        hashed,
    ),
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
    std::fs::create_dir(folder.join("other")).map_err(|fault| fault.to_string())?;
    let there = run(&folder.join("other"), &["apply", "../plan.json"])?;
    expect(
        there,
        1,
        &[
            "is refused",
            "* none of the files that it was made of is here",
        ],
    )?;
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
        let (ended, shown) = scenario::on_terminal(&folder, APPLY, answer, false)?;
        if shown.matches("extra: ").count() != 1 {
            return Err(format!("it is not asked once:\n{shown}"));
        }
        expect(
            (ended, shown),
            code,
            &["Plan: 5 changes", "Only `yes` is taken"],
        )?;
        if folder.join("out").exists() != there {
            return Err(format!("after the answer {answer:?} it is not so"));
        }
    }
    Ok(())
}

/// Salts by chance are those of the plan; the hash of a private answer is a secret, too.
fn hashed(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars_prompt:
    - {name: password, encrypt: md5_crypt}
    - {name: short, encrypt: md5_crypt, salt_size: 4, private: false}
  tasks:
    - copy: {content: "{{ password }} {{ short }}\n", dest: "{{ playbook_dir }}/hash"}
"#;
    let folder = place.fresh("hashed", play)?;
    let answers = "typed-word-1\nseen-word-2\n";
    let planned = scenario::on_terminal(&folder, MAKE, answers, false)?;
    expect(planned.clone(), 0, &["+******** $1$", "Plan: 1 change"])?;
    let hashes = |text: &str| text.matches("$1$").count();
    if hashes(&planned.1) != 1 || hashes(&read(&folder, "plan.json")?) != 1 {
        return Err(format!(
            "the hash of a private answer is shown:\n{}",
            planned.1
        ));
    }
    // Another answer is another hash, for all that the salt is the same.
    let other = "typed-word-3\nseen-word-2\nyes\n";
    let told = [
        "is refused",
        "TASK [copy] play.yml:8 on one: changed, with another difference",
    ];
    expect(
        scenario::on_terminal(&folder, APPLY, other, false)?,
        1,
        &told,
    )?;
    let answers = format!("{answers}yes\n");
    let done = scenario::on_terminal(&folder, APPLY, &answers, false)?;
    expect(done, 0, &["Done as planned."])?;
    let first = read(&folder, "hash")?;
    // A run without a plan has a salt of its own, as ever.
    let words = ["play.yml", "-i", "hosts"];
    expect(
        scenario::on_terminal(&folder, &words, &answers, false)?,
        0,
        &["changed=1"],
    )?;
    let second = read(&folder, "hash")?;
    match first != second && first.starts_with("$1$") && first.contains(" $1$") {
        true => Ok(()),
        false => Err(format!("the hashes are {first} and {second}")),
    }
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
    let reported = [&words[..], &["--report", "gitlab=counts.json"]].concat();
    expect(run(&folder, &reported)?, 10, &["one: 5 changes\n"])?;
    if !read(&folder, "counts.json")?.contains("\"create\":") {
        return Err("drift has written no report".to_owned());
    }
    // What is not known is no change, neither in the line nor in the counts.
    write(&folder, "unknown.yml", UNKNOWN)?;
    let unknown = "drift unknown.yml -i hosts --report gitlab=counts.json";
    let unknown: Vec<&str> = unknown.split(' ').collect();
    expect(
        run(&folder, &unknown)?,
        10,
        &["one: no changes, 2 unknown\n"],
    )?;
    let counts = read(&folder, "counts.json")?;
    if counts != "{\"create\":0,\"update\":0,\"delete\":0}\n" {
        return Err(format!("other counts: {counts}"));
    }
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

/// What gives the hosts says others, or another program made the plan.
fn elsewhere(place: &Place) -> Result<(), String> {
    let folder = place.fresh("elsewhere", PLAY)?;
    let script = "#!/bin/sh\ncat list.json\n";
    write(&folder, "script", script)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.join("script"), mode).map_err(|fault| fault.to_string())?;
    let list = |name: &str, word: &str| {
        let vars = match word {
            "" => String::new(),
            word => format!("\"{name}\": {{\"word\": \"{word}\"}}"),
        };
        let hosts = format!("\"all\": {{\"hosts\": [\"{name}\"]}}");
        format!("{{{hosts}, \"_meta\": {{\"hostvars\": {{{vars}}}}}}}")
    };
    let common = "ansible_connection: local\nword: hello\n";
    std::fs::create_dir(folder.join("group_vars")).map_err(|fault| fault.to_string())?;
    write(&folder, "group_vars/all.yml", common)?;
    write(&folder, "list.json", &list("one", ""))?;
    let words = ["plan", "play.yml", "-i", "script", "--out", "plan.json"];
    expect(run(&folder, &words)?, 0, &[])?;
    let greeting = "TASK [greeting] play.yml:7 on one: changed, with another difference\n";
    for (name, word, told) in [
        ("two", "", "* two is a host that the plan does not have\n"),
        ("two", "", "* one is no host of its plays any longer\n"),
        ("one", "bye", greeting),
        (
            "one",
            "bye",
            "variables come from <inventory script output from ",
        ),
    ] {
        write(&folder, "list.json", &list(name, word))?;
        expect(run(&folder, APPLY)?, 1, &["is refused", told])?;
    }
    write(&folder, "list.json", &list("one", ""))?;
    let text = read(&folder, "plan.json")?;
    let mut plan = rplay::report::plan::Plan::from_text(&text)?;
    plan.engine = "9.9.9".to_owned();
    let edited = plan.to_text().map_err(|fault| fault.to_string())?;
    write(&folder, "other.json", &edited)?;
    let told = "it was made by rplay 9.9.9; this is ";
    expect(run(&folder, &["apply", "other.json"])?, 1, &[told])?;
    // A setting names the inventory.
    let with = |words: &[&str], inventory: &str| {
        let mut command = scenario::command(&folder, &folder, words);
        finish(command.env("ANSIBLE_INVENTORY", inventory))
    };
    let words = ["plan", "play.yml", "--out", "plan.json"];
    expect(with(&words, "hosts")?, 0, &[])?;
    let told = "* the environment variable ANSIBLE_INVENTORY has changed\n";
    expect(with(APPLY, "script")?, 1, &[told])?;
    match folder.join("out").exists() {
        true => Err("a refused plan has done something".to_owned()),
        false => expect(with(APPLY, "hosts")?, 0, &["Done as planned."]),
    }
}

/// Names and contents that are no ASCII, in locales that know nothing else.
fn locales(place: &Place) -> Result<(), String> {
    let play = r#"
- name: Spiel für alle
  hosts: all
  gather_facts: false
  tasks:
    - name: größe
      copy: {content: "neu ä {{ inventory_hostname }} 日本\n", dest: "{{ playbook_dir }}/dätei-{{ inventory_hostname }}"}
    - name: no text
      copy: {content: "caf", dest: "{{ playbook_dir }}/latin"}
      run_once: true
"#;
    let folder = place.fresh("locales", play)?;
    let hosts = "münchen ansible_connection=local\nžluť ansible_connection=local\n";
    write(&folder, "hösts", hosts)?;
    std::fs::write(folder.join("latin"), b"caf\xe9\n").map_err(|fault| fault.to_string())?;
    let inside = |words: &[&str], locale: &str| {
        let mut command = scenario::command(&folder, &folder, words);
        finish(command.env("LC_ALL", locale).env("LANG", locale))
    };
    let mut first = None;
    for locale in ["C.UTF-8", "C", "POSIX", "de_DE.ISO-8859-1", ""] {
        let words = "plan play.yml -i hösts -f 1 --out plan.json --report markdown=report.md";
        let words: Vec<&str> = words.split(' ').collect();
        let (code, text) = inside(&words, locale)?;
        let told = ["neu ä žluť 日本", "dätei-münchen", "Plan: 3 changes"];
        expect((code, text.clone()), 0, &told)?;
        let plan = rplay::report::plan::Plan::from_text(&read(&folder, "plan.json")?)?;
        let seen = (
            text,
            read(&folder, "report.md")?,
            plan.plays
                .iter()
                .flat_map(|play| {
                    play.tasks.iter().flat_map(|task| {
                        task.results
                            .iter()
                            .map(|one| (one.host.clone(), one.outcome.clone()))
                    })
                })
                .collect::<Vec<_>>(),
        );
        if first.get_or_insert_with(|| seen.clone()) != &seen {
            return Err(format!("in {locale:?} it is not the same:\n{}", seen.0));
        }
    }
    let shown = ["~ münchen: changes", "+neu ä münchen 日本"];
    expect(inside(&["show", "plan.json"], "C")?, 0, &shown)?;
    // Planned in one, applied in another.
    expect(inside(APPLY, "POSIX")?, 0, &["Done as planned."])?;
    if read(&folder, "dätei-žluť")? != "neu ä žluť 日本\n" {
        return Err("the file is another one".to_owned());
    }
    // A name that is no text cannot stand in a plan.
    let name: std::ffi::OsString =
        std::os::unix::ffi::OsStringExt::from_vec(b"caf\xe9.yml".to_vec());
    std::fs::write(folder.join(&name), play).map_err(|fault| fault.to_string())?;
    let mut command = scenario::command(
        &folder,
        &folder,
        &["plan", "-i", "hösts", "--out", "other.json"],
    );
    expect(
        finish(command.arg(&name))?,
        1,
        &["is no UTF-8, and a plan is text"],
    )?;
    match folder.join("other.json").exists() {
        true => Err("there is a plan that nobody can apply".to_owned()),
        false => Ok(()),
    }
}

/// What does not fit is told, and what was there stays as it was.
fn full(place: &Place) -> Result<(), String> {
    let play = "- hosts: one\n  gather_facts: false\n  tasks:\n    - copy: {content: \"{{ 'x' * 60000 }}\", dest: \"{{ playbook_dir }}/large\"}\n";
    let folder = place.fresh("full", play)?;
    if !rustix::process::getuid().is_root() {
        return Err("skip: needs root".to_owned());
    }
    std::fs::create_dir(folder.join("small")).map_err(|fault| fault.to_string())?;
    let script = "mount -t tmpfs -o size=40k none small || exit 77\n\
                  echo old >small/plan.json\necho old >small/report.md\n\
                  for out in plan.json new.json; do\n\
                  \"$0\" plan play.yml -i hosts --out small/$out && exit 1\ndone\n\
                  \"$0\" play.yml -i hosts --check --diff --report html=small/report.html --report markdown=small/report.md \
                  --report junit=small/report.xml --report json=small/report.json --report ndjson=small/events || exit 2\n\
                  echo left: $(ls -A small)\ncat small/plan.json small/report.md\n";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(rplay());
    command.current_dir(&folder).env("HOME", &folder);
    let (code, text) = finish(&mut command)?;
    if code == 77 {
        return Err("skip: nothing can be mounted here".to_owned());
    }
    let told = [
        "the plan cannot be written to 'small/plan.json'",
        "the plan cannot be written to 'small/new.json'",
        "No space left on device",
        "the report 'small/report.html' cannot be written: No space",
        "the report 'small/report.md' cannot be written: No space",
        "the report 'small/report.xml' cannot be written: No space",
        "the report 'small/report.json' cannot be written: No space",
        "the report 'small/events' is incomplete: No space",
        "left: events plan.json report.md\nold\nold\n",
    ];
    expect((code, text), 0, &told)
}

/// Each kind of report, each reason why its file cannot be, each program that runs something.
fn every_report(place: &Place) -> Result<(), String> {
    let folder = place.fresh("every-report", PLAY)?;
    write(&folder, "file", "")?;
    std::fs::create_dir(folder.join("folder")).map_err(|fault| fault.to_string())?;
    let kinds = [
        "markdown",
        "gitlab",
        "github",
        "junit",
        "json",
        "html",
        "sarif",
        "codequality",
        "ndjson",
    ];
    // As root nothing else refuses a file.
    let wrong = ["nowhere/x", "folder", "file/x", "/proc/rplay-report"];
    let programs = [
        &["play.yml", "-i", "hosts"][..],
        &["plan", "play.yml", "-i", "hosts", "--out", "plan.json"],
        &["drift", "play.yml", "-i", "hosts"],
    ];
    for kind in kinds {
        for file in wrong {
            for program in programs {
                let report = format!("{kind}={file}");
                let words = [program, &["--report", &report]].concat();
                let (code, text) = run(&folder, &words)?;
                if text.contains("PLAY [") || folder.join("out").exists() {
                    return Err(format!("{words:?}: the run had begun:\n{text}"));
                }
                let told = format!("the report '{file}' cannot be written");
                expect((code, text), 5, &[&told]).map_err(|why| format!("{words:?}: {why}"))?;
            }
        }
    }
    let mut left: Vec<String> = std::fs::read_dir(&folder)
        .map_err(|fault| fault.to_string())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with(".local"))
        .collect();
    left.sort();
    match left == ["file", "folder", "greeting.j2", "hosts", "play.yml"] {
        true => Ok(()),
        false => Err(format!("something was left behind: {left:?}")),
    }
}
