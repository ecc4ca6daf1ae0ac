//! Runs that are undone: what files were comes back, and what does not is named.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::scenario::{self, Scenario, eventually, expect, finish};
use crate::harness::stages::{Verdict, rplay};

const SCENARIOS: &[Scenario<Place>] = &[
    ("files are what they were", undone),
    ("tasks that travelled together are undone", travelled),
    ("what has changed since is named", drifted),
    ("what cannot be undone is named", named),
    ("secrets are neither kept nor shown", secret),
    ("what a record may hold has an end", bounded),
    ("what is no run to undo is refused", refused),
    ("what every module writes is put back", families),
    ("a run that was killed is undone as far as is known", killed),
    (
        "on a full disk a run goes on, and is undone as far as is known",
        full,
    ),
    ("a terminal is asked", asked),
];

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/{{ inventory_hostname }}"}
  tasks:
    - name: whole
      copy: {content: "new {{ inventory_hostname }}\n", dest: "{{ out }}/whole", mode: "0600"}
    - name: line
      lineinfile: {path: "{{ out }}/conf", line: added}
    - name: template
      template: {src: t.j2, dest: "{{ out }}/from a {{ '{{' }} template"}
    - name: block
      blockinfile: {path: "{{ out }}/conf", block: "one\ntwo"}
    - name: setting
      community.general.ini_file: {path: "{{ out }}/conf.ini", section: s, option: o, value: v, create: true}
    - name: folders
      file: {path: "{{ out }}/made/{{ item }}", state: directory}
      loop: [deep, other]
    - name: below
      copy: {content: x, dest: "{{ out }}/made/deep/file"}
    - name: link
      file: {src: conf, dest: "{{ out }}/link", state: link}
    - name: another target
      file: {src: conf, dest: "{{ out }}/old-link", state: link}
    - name: mode
      file: {path: "{{ out }}/mode", mode: "0711"}
    - name: folder mode
      file: {path: "{{ out }}/closed", mode: "0700"}
    - name: removed
      file: {path: "{{ out }}/{{ item }}", state: absent}
      loop: [tree, binary, dangling]
    - name: link in the place of a file
      file: {src: conf, dest: "{{ out }}/was a file", state: link, force: true}
    - name: again
      lineinfile: {path: "{{ out }}/whole", line: more}
    - name: for nothing
      copy: {content: x, dest: "{{ out }}/short-lived"}
    - file: {path: "{{ out }}/short-lived", state: absent}
    - name: elsewhere
      copy: {content: "{{ inventory_hostname }}", dest: "{{ out }}/elsewhere"}
      delegate_to: one
"#;

const INVENTORY: &str = "one ansible_connection=local\ntwo ansible_connection=local\n";

struct Place(tempfile::TempDir);

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("rollback", SCENARIOS, wanted);
    match tempfile::Builder::new().prefix("rplay-rollback-").tempdir() {
        Ok(folder) => scenario::run("rollback", &chosen, &Place(folder)),
        Err(fault) => vec![("rollback".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

fn write(folder: &Path, file: &str, text: impl AsRef<[u8]>) -> Result<(), String> {
    let path = folder.join(file);
    let parent = path.parent().ok_or("no folder")?;
    std::fs::create_dir_all(parent).map_err(|fault| fault.to_string())?;
    std::fs::write(path, text).map_err(|fault| format!("{file}: {fault}"))
}

impl Place {
    /// A folder with a play, and files for it.
    fn fresh(&self, name: &str, play: &str) -> Result<PathBuf, String> {
        let folder = self.0.path().join(name);
        write(&folder, "play.yml", play)?;
        write(&folder, "hosts", INVENTORY)?;
        write(&folder, "t.j2", "{{ inventory_hostname }}\n")?;
        write(&folder, "ansible.cfg", "[rplay]\nrecords_images = yes\n")?;
        for host in ["one", "two"] {
            let out = folder.join("out").join(host);
            write(&out, "whole", format!("old {host}\n"))?;
            // What looks like a template or a vault is none.
            write(&out, "conf", "a: {{ b }}\n")?;
            write(&out, "mode", "m")?;
            write(&out, "binary", [0, 159, 146, 150, 0, 10])?;
            write(&out, "was a file", "")?;
            write(&out, "tree/f", "$ANSIBLE_VAULT;1.1;AES256\n00\n")?;
            write(&out, "tree/sub/g", "{% raw %}")?;
            let fault = |fault: std::io::Error| fault.to_string();
            std::fs::create_dir(out.join("closed")).map_err(fault)?;
            symlink("whole", out.join("old-link")).map_err(fault)?;
            symlink("nowhere", out.join("dangling")).map_err(fault)?;
            for (path, mode) in [("whole", 0o640), ("tree/sub", 0o750), ("binary", 0o4711)] {
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(out.join(path), mode).map_err(fault)?;
            }
        }
        Ok(folder)
    }
}

/// Everything below a folder: kind, mode, owner, target and content.
fn snapshot(folder: &Path) -> Result<Vec<String>, String> {
    let mut all = vec![];
    for entry in walkdir::WalkDir::new(folder.join("out")).sort_by_file_name() {
        let entry = entry.map_err(|fault| fault.to_string())?;
        let path = entry.path();
        let meta = path.symlink_metadata().map_err(|fault| fault.to_string())?;
        let content = match () {
            () if meta.is_symlink() => format!("{:?}", std::fs::read_link(path)),
            () if meta.is_file() => format!("{:?}", std::fs::read(path)),
            () => "folder".to_owned(),
        };
        let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
        all.push(format!("{} {mode:o} {uid}:{gid} {content}", path.display()));
    }
    Ok(all)
}

/// Undoes the last run, of which nothing may be left.
fn undo_all(folder: &Path, before: &[String]) -> Result<(), String> {
    let done = run(folder, &["rollback", "last"])?;
    if done.1.contains("not undone") {
        return Err(format!("something is left:\n{}", done.1));
    }
    expect(done, 0, &["Put back as planned."])?;
    let what = "before the run, and after it was undone";
    same(what, before, &snapshot(folder)?)
}

fn same(what: &str, first: &[String], second: &[String]) -> Result<(), String> {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter()
            .filter(|line| !other.contains(line))
            .cloned()
            .collect()
    };
    match first == second {
        true => Ok(()),
        false => Err(format!(
            "{what}: {:?} is {:?}",
            only(first, second),
            only(second, first)
        )),
    }
}

fn run(folder: &Path, words: &[&str]) -> Result<(i32, String), String> {
    finish(&mut scenario::command(folder, folder, words))
}

const RUN: &[&str] = &["play.yml", "-i", "hosts"];

/// The records, the oldest first.
fn records(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let runs = std::fs::read_dir(folder.join(".local/state/rplay/runs"));
    let runs = runs.map_err(|fault| fault.to_string())?;
    let mut all: Vec<PathBuf> = runs.flatten().map(|entry| entry.path()).collect();
    all.sort();
    Ok(all)
}

fn undone(place: &Place) -> Result<(), String> {
    let folder = place.fresh("undone", PLAY)?;
    let before = snapshot(&folder)?;
    expect(run(&folder, RUN)?, 0, &["one ", "failed=0"])?;
    let after = snapshot(&folder)?;
    // What is only shown changes nothing.
    let shown = [
        "Plan: ",
        "-more",
        "+old one",
        "as it was before [link in the place of a file]",
    ];
    expect(run(&folder, &["rollback", "last", "--check"])?, 0, &shown)?;
    same("after a look", &after, &snapshot(&folder)?)?;
    undo_all(&folder, &before)?;
    for record in records(&folder)? {
        for entry in walkdir::WalkDir::new(&record).into_iter().flatten() {
            let mode = entry.metadata().map_err(|fault| fault.to_string())?.mode() & 0o7777;
            let wanted = if entry.file_type().is_dir() {
                0o700
            } else {
                0o600
            };
            if mode != wanted {
                return Err(format!("{} has the mode {mode:o}", entry.path().display()));
            }
        }
    }
    // It is a run itself, and is undone like one.
    let nothing = "There is nothing to put back.";
    let first = records(&folder)?
        .first()
        .and_then(|path| path.file_name()?.to_str().map(str::to_owned));
    expect(
        run(&folder, &["rollback", &first.unwrap_or_default()])?,
        0,
        &[nothing],
    )?;
    expect(
        run(&folder, &["runs", "--output", "json"])?,
        0,
        &["\"undoes\": \"20"],
    )?;
    expect(
        run(&folder, &["resume", "last"])?,
        1,
        &["it undid another run"],
    )?;
    expect(run(&folder, &["replay", "last"])?, 0, &["+old two"])?;
    expect(
        run(&folder, &["rollback", "last", "--limit", "one"])?,
        0,
        &["Put back as planned."],
    )?;
    expect(
        run(&folder, &["rollback", "last"])?,
        0,
        &["Put back as planned."],
    )?;
    same("after there and back", &before, &snapshot(&folder)?)
}

fn travelled(place: &Place) -> Result<(), String> {
    let play = PLAY.replace(
        "gather_facts: false",
        "gather_facts: false\n  strategy: free",
    );
    let folder = place.fresh("travelled", &play)?;
    let before = snapshot(&folder)?;
    for words in [RUN, &["rollback", "last"]] {
        let mut command = scenario::command(&folder, &folder, words);
        command.env("RPLAY_SEND_AHEAD", "always");
        expect(finish(&mut command)?, 0, &["failed=0"])?;
    }
    same(
        "before the run, and after it was undone",
        &before,
        &snapshot(&folder)?,
    )
}

fn drifted(place: &Place) -> Result<(), String> {
    let folder = place.fresh("drifted", PLAY)?;
    let before = snapshot(&folder)?;
    expect(run(&folder, RUN)?, 0, &[])?;
    let one = folder.join("out/one");
    write(&one, "whole", "by hand\n")?;
    write(&one, "made/deep/new", "by hand\n")?;
    let fault = |fault: std::io::Error| fault.to_string();
    std::fs::remove_file(one.join("link")).map_err(fault)?;
    symlink("mode", one.join("link")).map_err(fault)?;
    std::fs::set_permissions(one.join("mode"), std::fs::Permissions::from_mode(0o777))
        .map_err(fault)?;
    let there = snapshot(&folder)?;
    let told = [
        "out/one/whole on one: its content is another one",
        "out/one/link on one: it points to mode, not to conf",
        "out/one/mode on one: its mode is 0777, not 0711",
        "out/one/made/deep on one: the run made it, and it has what the run did not make: ",
        "--skip-changed",
    ];
    expect(run(&folder, &["rollback", "last"])?, 1, &told)?;
    same("after it was refused", &there, &snapshot(&folder)?)?;
    expect(
        run(&folder, &["rollback", "last", "--limit", "two", "--check"])?,
        0,
        &["Plan: "],
    )?;
    expect(
        run(&folder, &["rollback", "last", "--skip-changed"])?,
        0,
        &["What is not undone", told[0]],
    )?;
    let read =
        |name: &str| std::fs::read_to_string(one.join(name)).map_err(|fault| fault.to_string());
    if read("whole")? != "by hand\n"
        || read("made/deep/new")? != "by hand\n"
        || read("conf")? != "a: {{ b }}\n"
    {
        return Err("not only what has changed was left alone".to_owned());
    }
    let first = records(&folder)?
        .first()
        .and_then(|path| path.file_name()?.to_str().map(str::to_owned));
    expect(
        run(
            &folder,
            &["rollback", &first.unwrap_or_default(), "--force"],
        )?,
        0,
        &["Put back as planned."],
    )?;
    same("by force", &before, &snapshot(&folder)?)
}

fn named(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/one"}
  tasks:
    - name: program
      shell: echo x > {{ out }}/by-shell
    - name: hidden
      copy: {content: x, dest: "{{ out }}/hidden"}
      no_log: true
    - name: long
      file: {path: "{{ out }}/later", state: touch}
      async: 20
      poll: 1
    - name: large
      copy: {content: x, dest: "{{ out }}/large"}
    - name: only the mode of a large one
      file: {path: "{{ out }}/huge", mode: "0600"}
    - name: pipe
      file: {path: "{{ out }}/pipe", state: absent}
    - name: times
      file: {path: "{{ out }}/conf", state: touch}
    - name: fetched
      fetch: {src: "{{ out }}/conf", dest: "{{ out }}/fetched", flat: true}
    - name: fails half way
      block:
        - copy: {content: x, dest: "{{ out }}/failed", validate: "false %s"}
      rescue:
        - debug: {msg: caught}
    - name: plain
      copy: {content: x, dest: "{{ out }}/whole"}
      changed_when: false
"#;
    let folder = place.fresh("named", play)?;
    write(&folder, "out/one/large", vec![b'x'; 3000])?;
    write(&folder, "out/one/huge", vec![b'x'; 3000])?;
    let pipe = folder.join("out/one/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into())
        .map_err(|fault| fault.to_string())?;
    let mut command = scenario::command(&folder, &folder, RUN);
    command.env("RPLAY_RECORDS_IMAGE_SIZE", "2");
    expect(finish(&mut command)?, 0, &["failed=0"])?;
    let told = [
        "TASK [program] (",
        "): it ran programs, and nobody knows what they changed [one]",
        "TASK [hidden] (",
        "): `no_log` hides it [one]",
        "TASK [long] (",
        "): it ran in the background [one]",
        "TASK [large] (",
        "out/one/large: it was larger than `records_image_size`",
        "TASK [pipe] (",
        "out/one/pipe: it was neither a file nor a folder nor a link",
        "TASK [times] (",
        "TASK [fetched] (",
        "): what it changed is no file of the host, or only the times of one",
        "out/one/huge as it was before [only the mode of a large one]",
        "+old one",
    ];
    expect(run(&folder, &["rollback", "last"])?, 0, &told)?;
    let mode = folder
        .join("out/one/huge")
        .metadata()
        .map_err(|fault| fault.to_string())?
        .mode();
    match mode & 0o777 {
        0o644 => Ok(()),
        mode => Err(format!("the large file has the mode {mode:o}")),
    }
}

fn secret(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/one", api_token: "tok-4711-secret", later_token: "{{ 'lat' ~ 'er-one-0815' }}"}
  tasks:
    - name: known later
      copy: {content: nothing, dest: "{{ out }}/late"}
    - name: writes it
      copy: {content: "{{ api_token }}\n", dest: "{{ out }}/written"}
    - name: changes it
      lineinfile: {path: "{{ out }}/written", line: plain}
    - name: replaces it
      copy: {content: "{{ api_token }}\n", dest: "{{ out }}/whole"}
    - name: had it
      copy: {content: plain, dest: "{{ out }}/had"}
    - debug: {msg: "{{ later_token }}"}
"#;
    let folder = place.fresh("secret", play)?;
    let settings = "[rplay]\nrecords_images = yes\nsecret_vars = *_token\n";
    write(&folder, "ansible.cfg", settings)?;
    write(&folder, "out/one/had", "x: tok-4711-secret\n")?;
    write(&folder, "out/one/late", "x: later-one-0815\n")?;
    expect(run(&folder, RUN)?, 0, &["failed=0"])?;
    let (code, text) = run(&folder, &["rollback", "last"])?;
    let told = [
        "TASK [had it] (",
        "out/one/had: what it was, or its name, has a secret in it",
        "out/one/late: what it was, or its name, has a secret in it",
        "out/one/whole as it was before [replaces it]",
    ];
    for entry in walkdir::WalkDir::new(folder.join(".local"))
        .into_iter()
        .flatten()
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = String::from_utf8_lossy(&bytes);
        if found.contains("tok-4711") || found.contains("later-one") {
            return Err(format!("a secret is in {}", entry.path().display()));
        }
    }
    if text.contains("tok-4711") || text.contains("later-one") {
        return Err(format!("a secret is shown:\n{text}"));
    }
    expect((code, text), 0, &told)?;
    let written = folder.join("out/one/written");
    let whole = std::fs::read_to_string(folder.join("out/one/whole")).unwrap_or_default();
    match (written.exists(), whole.as_str()) {
        (false, "old one\n") => Ok(()),
        other => Err(format!("it came to {other:?}")),
    }
}

fn bounded(place: &Place) -> Result<(), String> {
    let play = "- hosts: one\n  gather_facts: false\n  tasks:\n    - copy: {content: x, dest: \"{{ playbook_dir }}/out/one/{{ item }}\"}\n      loop: [a, b]\n";
    let folder = place.fresh("bounded", play)?;
    for name in ["a", "b"] {
        write(&folder.join("out/one"), name, name.repeat(700_000))?;
    }
    write(
        &folder,
        "ansible.cfg",
        "[rplay]\nrecords_images = yes\nrecords_size = 1\nrecords_keep = 2\n",
    )?;
    expect(run(&folder, RUN)?, 0, &[])?;
    let told = ["out/one/b: the record has no room", "Put back as planned."];
    expect(run(&folder, &["rollback", "last"])?, 0, &told)?;
    expect(run(&folder, RUN)?, 0, &[])?;
    expect(run(&folder, RUN)?, 0, &[])?;
    // What is removed goes with its images.
    match records(&folder)?.len() {
        2 => Ok(()),
        count => Err(format!("{count} records are left")),
    }
}

fn refused(place: &Place) -> Result<(), String> {
    let folder = place.fresh("refused", PLAY)?;
    expect(
        run(&folder, &["rollback", "last"])?,
        1,
        &["no run is recorded"],
    )?;
    write(&folder, "ansible.cfg", "[rplay]\n")?;
    expect(run(&folder, RUN)?, 0, &[])?;
    expect(
        run(&folder, &["rollback", "last"])?,
        1,
        &["`records_images`", "was not on"],
    )?;
    write(&folder, "ansible.cfg", "[rplay]\nrecords_images = yes\n")?;
    expect(run(&folder, &[RUN, &["--check"]].concat())?, 0, &[])?;
    expect(
        run(&folder, &["rollback", "last"])?,
        1,
        &["check mode, which did nothing"],
    )?;
    let folder = place.fresh("gone", PLAY)?;
    expect(run(&folder, RUN)?, 0, &[])?;
    write(&folder, "hosts", "one ansible_connection=local\n")?;
    let told = [
        "what it did on two: the inventory has no such host",
        "Put back as planned.",
    ];
    expect(run(&folder, &["rollback", "last"])?, 0, &told)?;
    // A host that cannot be reached is no host that is as it was left.
    let folder = place.fresh("unreachable", PLAY)?;
    expect(run(&folder, RUN)?, 0, &[])?;
    write(
        &folder,
        "hosts",
        "one ansible_connection=local\ntwo ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n",
    )?;
    let told = ["out/two/whole on two: it cannot be looked at: "];
    expect(run(&folder, &["rollback", "last"])?, 1, &told)
}

/// What other modules than `copy` and `file` write.
fn families(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/one", from: "{{ playbook_dir }}/from"}
  tasks:
    - assemble: {src: "{{ from }}/parts", dest: "{{ out }}/whole"}
    - assemble: {src: from/parts, dest: "{{ out }}/assembled", remote_src: false}
    - copy: {src: from/tree/, dest: "{{ out }}/tree/"}
    - unarchive: {src: from/a.tgz, dest: "{{ out }}/closed"}
    - replace: {path: "{{ out }}/conf", regexp: a, replace: c}
    - blockinfile: {path: "{{ out }}/mode", block: b, backup: true}
    - file: {path: "{{ out }}/tree", state: directory, recurse: true, mode: "u=rwX,go="}
    - file: {path: "{{ out }}/binary", mode: "0600", owner: "{{ other }}", group: "{{ other }}"}
    - file: {path: "{{ out }}/hard", src: "{{ out }}/was a file", state: hard}
    - file: {path: "{{ out }}/touched", state: touch}
    - get_url: {url: "file://{{ from }}/a.tgz", dest: "{{ out }}/got"}
    - community.general.archive: {path: "{{ out }}/tree", dest: "{{ out }}/archive.tgz"}
    - cron: {name: x, job: ls, cron_file: "{{ out }}/cron", user: root}
    - known_hosts: {name: h, key: "{{ key }}", path: "{{ out }}/known"}
    - ansible.posix.authorized_key: {user: root, key: "{{ key.split(' ', 1)[1] }}", path: "{{ out }}/keys"}
    - community.general.ini_file: {path: "{{ out }}/ini", section: s, option: o, value: v}
"#;
    let folder = place.fresh("families", play)?;
    write(&folder, "from/parts/1", "one\n")?;
    write(&folder, "from/parts/2", "two\n")?;
    write(&folder, "from/tree/f", "new\n")?;
    write(&folder, "from/tree/more/g", "new\n")?;
    let mut tar = Command::new("tar");
    tar.args(["czf", "../a.tgz", "f", "more"]);
    expect(finish(tar.current_dir(folder.join("from/tree")))?, 0, &[])?;
    let root = rustix::process::getuid().is_root();
    let other = if root {
        65534
    } else {
        rustix::process::getuid().as_raw()
    };
    let key = "h ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKDO7LEwIQ7cJyA7qhU4+vqjVpHGvf5dxE2yVoRV0W5m";
    let vars = format!("other: {other}\nkey: {key}\n");
    write(&folder, "group_vars/all.yml", vars)?;
    let before = snapshot(&folder)?;
    expect(run(&folder, RUN)?, 0, &["changed=16", "failed=0"])?;
    undo_all(&folder, &before)
}

/// What the controller had recorded when it was killed is undone, and what nobody knows is told.
fn killed(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/one"}
  tasks:
    - copy: {content: new, dest: "{{ out }}/whole"}
    - file: {path: "{{ out }}/binary", state: absent}
    - name: long
      command: sleep 60
"#;
    let folder = place.fresh("killed", play)?;
    let before = snapshot(&folder)?;
    let child = scenario::command(&folder, &folder, RUN).spawn();
    let mut child = child.map_err(|fault| fault.to_string())?;
    let begun = eventually("the long task is recorded", Duration::from_secs(20), || {
        let last = records(&folder).unwrap_or_default().pop();
        let events = last.map(|last| std::fs::read_to_string(last.join("events.ndjson")));
        let events = events.and_then(Result::ok).unwrap_or_default();
        Ok(events.matches("host_started").count() == 3)
    });
    let running = run(&folder, &["rollback", "last"]);
    child.kill().map_err(|fault| fault.to_string())?;
    child.wait().map_err(|fault| fault.to_string())?;
    begun?;
    expect(running?, 1, &["it is still running"])?;
    let record = records(&folder)?.pop().ok_or("there is no record")?;
    // As if it had been killed while it wrote these: nothing refers to the first, and the second is
    // in nobody's way.
    write(&record, &format!("images/{}", "0".repeat(64)), "hal")?;
    write(&record, ".run.json.part", "{")?;
    let told = [
        "TASK [long] (",
        "): the run ended while it was at it, and nobody knows what it did [one]",
        "what the run did after the last line of its record, if anything: it was killed",
        "Put back as planned.",
    ];
    expect(run(&folder, &["rollback", "last"])?, 0, &told)?;
    same(
        "before the run, and after it was undone",
        &before,
        &snapshot(&folder)?,
    )?;
    // A content that is not what its name says is not brought back.
    let done =
        scenario::command(&folder, &folder, &["play.yml", "-i", "hosts", "-e", "x=1"]).spawn();
    let mut done = done.map_err(|fault| fault.to_string())?;
    let second = eventually("the long task is recorded", Duration::from_secs(20), || {
        let last = records(&folder).unwrap_or_default().pop();
        let events = last.map(|last| std::fs::read_to_string(last.join("events.ndjson")));
        let events = events.and_then(Result::ok).unwrap_or_default();
        Ok(events.matches("host_started").count() == 3)
    });
    done.kill().map_err(|fault| fault.to_string())?;
    done.wait().map_err(|fault| fault.to_string())?;
    second?;
    let last = records(&folder)?.pop().ok_or("there is no record")?;
    let mut images: Vec<PathBuf> = std::fs::read_dir(last.join("images"))
        .map_err(|fault| fault.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    images.sort();
    for image in &images {
        let text = std::fs::read(image).map_err(|fault| fault.to_string())?;
        if text == b"old one\n" {
            write(&last, image.to_str().ok_or("no text")?, "old two\n")?;
        }
    }
    let told = [
        "out/one/whole: what the record has of it is damaged",
        "Put back as planned.",
    ];
    expect(run(&folder, &["rollback", "last"])?, 0, &told)?;
    let whole = std::fs::read_to_string(folder.join("out/one/whole"));
    if whole.map_err(|fault| fault.to_string())? != "new" {
        return Err("a damaged content was brought back".to_owned());
    }
    // Killed runs are no exception when the oldest go.
    let mut other = scenario::command(&folder, &folder, &["play.yml", "-i", "hosts", "-t", "none"]);
    other.env("RPLAY_RECORDS_KEEP", "1");
    expect(finish(&mut other)?, 0, &[])?;
    let left = std::fs::read_dir(folder.join(".local/state/rplay/runs"));
    match left.map_err(|fault| fault.to_string())?.count() {
        1 => Ok(()),
        count => Err(format!("{count} records are left")),
    }
}

/// A disk of its own that has no room for what a file was.
fn full(place: &Place) -> Result<(), String> {
    let play = r#"
- hosts: one
  gather_facts: false
  vars: {out: "{{ playbook_dir }}/out/one"}
  tasks:
    - name: large
      copy: {content: x, dest: "{{ out }}/large"}
    - name: small
      copy: {content: x, dest: "{{ out }}/whole"}
    - name: talks
      debug: {msg: "{{ 'many words ' * 4000 }}"}
    - name: afterwards
      copy: {content: x, dest: "{{ out }}/conf"}
"#;
    let folder = place.fresh("full", play)?;
    if !rustix::process::getuid().is_root() {
        return Err("skip: needs root".to_owned());
    }
    write(&folder, "out/one/large", vec![b'x'; 100_000])?;
    std::fs::create_dir(folder.join("small")).map_err(|fault| fault.to_string())?;
    let script = "mount -t tmpfs -o size=40k,nr_inodes=100 none small || exit 77\n\
                  \"$0\" play.yml -i hosts || exit\n\"$0\" runs\n\"$0\" rollback last\n";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(rplay());
    command.current_dir(&folder).env("HOME", &folder);
    command.env("RPLAY_RECORDS_PATH", folder.join("small/runs"));
    let (code, text) = finish(&mut command)?;
    if code == 77 {
        return Err("skip: nothing can be mounted here".to_owned());
    }
    let told = [
        "PLAY RECAP",
        "[WARNING]: the record of this run is incomplete: No space left on device",
        "[WARNING]: not all that files were is in the record of this run",
        "out/one/large: the record has no room for what it was",
        "TASK [talks] (",
        "the run ended while it was at it",
        "what the run did after the last line of its record, if anything: ",
        "out/one/whole as it was before [small]",
        "Put back as planned.",
    ];
    expect((code, text), 0, &told)?;
    let read = |name: &str| std::fs::read_to_string(folder.join("out/one").join(name));
    match (read("whole").ok().as_deref(), read("conf").ok().as_deref()) {
        (Some("old one\n"), Some("x")) => Ok(()),
        other => Err(format!("it came to {other:?}")),
    }
}

/// Only `yes` is a yes; without a terminal nobody is asked.
fn asked(place: &Place) -> Result<(), String> {
    let folder = place.fresh("asked", PLAY)?;
    let before = snapshot(&folder)?;
    expect(run(&folder, RUN)?, 0, &[])?;
    let after = snapshot(&folder)?;
    let asked = "Put this back? Only `yes` is taken for an answer: ";
    for (answer, piped, code) in [("no\n", false, 1), ("y\n", true, 1), ("yes\n", false, 0)] {
        let (ended, shown) = scenario::on_terminal(&folder, &["rollback", "last"], answer, piped)?;
        if shown.matches(asked).count() != 1 {
            return Err(format!("it is not asked once:\n{shown}"));
        }
        expect((ended, shown), code, &[])?;
        let wanted = if code == 0 { &before } else { &after };
        same(&format!("after {answer:?}"), wanted, &snapshot(&folder)?)?;
    }
    Ok(())
}
