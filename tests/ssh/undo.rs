//! Runs over SSH that are undone: by the login user, by root and by another user, with their passwords.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::Server;
use crate::harness::scenario::{self, expect};

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  tasks:
    - name: own
      copy: {content: new, dest: "{{ there }}/own/file", mode: "0600"}
    - name: made
      file: {path: "{{ there }}/own/made/deep", state: directory}
    - name: of root
      copy: {content: new, dest: "{{ there }}/root", owner: rplayfree, mode: "0400"}
      become: true
    - name: of another
      lineinfile: {path: "{{ there }}/other/conf", line: new}
      become: true
      become_user: rplayfree
      vars: {ansible_become_password: null}
    - name: below another
      file: {path: "{{ there }}/other/{{ item }}", state: directory, mode: "0700"}
      become: true
      become_user: rplayfree
      loop: [a, a/b]
      vars: {ansible_become_password: null}
    - name: absent
      file: {path: "{{ there }}/tree", state: absent}
      become: true
    - name: as before
      debug: {msg: "{{ there }}"}
"#;

fn state(path: &Path) -> String {
    let Ok(meta) = path.symlink_metadata() else {
        return format!("{}: none\n", path.display());
    };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
    format!("{} {mode:o} {uid}:{gid} {text}\n", path.display())
}

/// Everything that the play changes.
fn states(server: &Server) -> String {
    let there = server.file("undo");
    let paths = [
        "root",
        "other",
        "other/conf",
        "other/a",
        "other/a/b",
        "tree",
        "tree/f",
        "own/file",
        "own/made",
    ];
    paths.iter().map(|name| state(&there.join(name))).collect()
}

/// What tasks did as several users is put back as these users.
pub(super) fn users(server: &Server) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let there = server.file("undo");
    std::fs::create_dir_all(there.join("tree")).map_err(fault)?;
    std::fs::create_dir_all(there.join("other")).map_err(fault)?;
    std::fs::create_dir_all(there.join("own")).map_err(fault)?;
    std::fs::write(there.join("root"), "old\n").map_err(fault)?;
    std::fs::write(there.join("tree/f"), "old\n").map_err(fault)?;
    std::fs::write(there.join("other/conf"), "old\n").map_err(fault)?;
    // Nobody but this user enters it.
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(there.join("other"), closed).map_err(fault)?;
    let script = format!(
        "chown -R rplayfree: {0}/other; chown rplaytest: {0}/own",
        there.display()
    );
    let mut chown = std::process::Command::new("sh");
    expect(scenario::finish(chown.args(["-c", &script]))?, 0, &[])?;

    server.write("hosts.ini", &format!("{}\n", server.host("h")))?;
    server.write("play.yml", PLAY)?;
    server.write("password", "rplaytest\n")?;
    let before = states(server);
    let variable = format!("there={}", there.display());
    let words = [
        "play.yml",
        "-i",
        "hosts.ini",
        "-e",
        &variable,
        "--become-password-file",
        "password",
        "--ssh-common-args",
        &format!(
            "-F none -o UserKnownHostsFile={}",
            server.file("known_hosts").display()
        ),
    ];
    let run = |words: &[&str]| {
        let mut command = scenario::command(&server.file(""), &server.file("home"), words);
        command.env("RPLAY_RECORDS_IMAGES", "yes");
        scenario::finish(&mut command)
    };
    expect(run(&words)?, 0, &["changed=6", "failed=0"])?;
    let after = states(server);
    if !after.contains("root 100400 ") || after.contains("tree/f 1") {
        return Err(format!("the run did something else:\n{after}"));
    }
    let told = [
        "own/file as it was before [own]",
        "root as it was before [of root]",
        "Plan: 9 changes",
    ];
    expect(run(&["rollback", "last", "--check"])?, 0, &told)?;
    let done = run(&["rollback", "last"])?;
    if done.1.contains("not undone") || done.1.contains("rplaytest\n") {
        return Err(format!("something is left, or shown:\n{}", done.1));
    }
    expect(done, 0, &["Put back as planned."])?;
    match states(server) {
        now if now == before => Ok(()),
        now => Err(format!("before:\n{before}after it was undone:\n{now}")),
    }
}
