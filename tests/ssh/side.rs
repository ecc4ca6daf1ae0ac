//! Hosts that go through a play side by side: what is sent ahead of its turn, and that nobody can tell.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Server, script, without_times};
use crate::harness::proxy::Proxy;
use crate::harness::scenario::{expect, one_of_five};

/// Every way in which hosts may hang on each other, with and without sending ahead.
pub(super) fn together(server: &Server) -> Result<(), String> {
    server.write("side.yml", include_str!("together-hosts.yml"))?;
    let hosts: Vec<String> = ["a", "b", "c", "d"].map(|name| server.host(name)).to_vec();
    server.write("hosts.ini", &(hosts.join("\n") + "\n"))?;
    // With one host at a time the order of hosts is certain, however busy this machine is.
    let modes = [
        &["-f", "1"][..],
        &["--check", "--diff", "-f", "1"],
        &["-f", "2"],
        &[],
    ];
    for mode in modes {
        let ordered = mode.ends_with(&["1"]);
        let mut told = vec![];
        for way in ["never", "always"] {
            server.write("ansible.cfg", &format!("[rplay]\nsend_ahead = {way}\n"))?;
            let words = [&["side.yml", "-i", "hosts.ini"], mode].concat();
            let (code, text) = server.rplay("known_hosts", &words)?;
            let clean = "    - shell: ls together-*; rm -rf together-*\n";
            let left = server.play(clean, &["-v"])?;
            server.write("hosts.ini", &(hosts.join("\n") + "\n"))?;
            let left = without_times(&left.1);
            let mut text = format!("exit code {code}\n{}{left}", without_times(&text));
            if !ordered {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                text = lines.join("\n");
            }
            told.push(text);
        }
        std::fs::remove_file(server.file("ansible.cfg")).map_err(|fault| fault.to_string())?;
        if told[0] != told[1] {
            let lines = told[0].lines().zip(told[1].lines());
            let unlike: Vec<_> = lines.filter(|(one, other)| one != other).take(5).collect();
            return Err(format!(
                "{mode:?}: {unlike:?}\n{}\n=====\n{}",
                told[0], told[1]
            ));
        }
        let whole = ["rescued", "PLAY RECAP"];
        if !whole.iter().all(|part| told[0].contains(part)) {
            return Err(told.swap_remove(0));
        }
    }
    Ok(())
}

/// Tasks of hosts that do not wait for each other; `end` is who ends the play for all.
const FREE: &str = r#"
- hosts: all
  gather_facts: false
  vars: {here: "free-{{ inventory_hostname }}"}
  handlers:
    - name: after
      copy: {content: "handled {{ read.stdout }}", dest: "{{ here }}/handled"}
  tasks:
    - ping:
    - file: {path: "{{ here }}", state: directory}
    - copy: {content: "first {{ inventory_hostname }}", dest: "{{ here }}/first"}
      notify: after
    - command: cat "{{ here }}/first"
      register: read
    - set_fact: {seen: "{{ read.stdout }}"}
    - copy: {content: "{{ seen }}", dest: "{{ here }}/seen"}
      when: inventory_hostname != 'b'
    - block:
        - command: ls "{{ here }}/{{ 'none' if inventory_hostname == 'a' else 'first' }}"
        - copy: {content: y, dest: "{{ here }}/y"}
      rescue:
        - copy: {content: rescued, dest: "{{ here }}/rescued"}
      always:
        - copy: {content: always, dest: "{{ here }}/always"}
    - shell: test "{{ inventory_hostname }}" != c
    - copy: {content: on, dest: "{{ here }}/on"}
    - meta: end_host
      when: inventory_hostname == 'b'
    - command: ls {{ here }}
      register: left
    - debug: msg="{{ left.stdout_lines }}"
"#;

/// Each host does and tells the same as without sending ahead, whichever host is first; and what was done when
/// another host ends the play is told.
pub(super) fn free(server: &Server) -> Result<(), String> {
    let names = ["a", "b", "c", "d"];
    let hosts: Vec<String> = names.map(|name| server.host(name)).to_vec();
    let mut ended = String::from(
        "- hosts: all\n  gather_facts: false\n  vars: {here: 'free-{{ inventory_hostname }}'}\n  tasks:\n    - ping:\n    \
         - meta: end_play\n      when: inventory_hostname == 'd'\n    - file: {path: '{{ here }}', state: directory}\n",
    );
    for number in 0..30 {
        ended += &format!("    - file: {{path: '{{{{ here }}}}/{number}', state: touch}}\n");
    }
    server.write("free.yml", FREE)?;
    server.write("ended.yml", &ended)?;
    let run = |play: &str, forks: &str| {
        server.write("hosts.ini", &(hosts.join("\n") + "\n"))?;
        let words = [play, "-i", "hosts.ini", "-f", forks, "-v"];
        server.rplay("known_hosts", &words)
    };
    let left = |command: &str| {
        let clean = format!("    - shell: {command}; rm -rf free-*\n");
        Ok::<_, String>(without_times(&server.play(&clean, &["-v"])?.1))
    };
    for (strategy, forks) in [("free", "1"), ("free", "2"), ("free", "5")]
        .into_iter()
        .chain([("host_pinned", "1"), ("host_pinned", "2")])
    {
        let mut told = vec![];
        for way in ["never", "always"] {
            let settings =
                format!("[defaults]\nstrategy = {strategy}\n[rplay]\nsend_ahead = {way}\n");
            server.write("ansible.cfg", &settings)?;
            let (code, text) = run("free.yml", forks)?;
            // What each host tells, in its order; hosts come in any.
            let text = without_times(&text);
            let of_host = |name: &str| -> Vec<String> {
                let lines = text.lines();
                let own = lines.filter(|line| line.contains(&format!("[{name}]")));
                own.map(str::to_owned).collect()
            };
            let recap = text.split_once("PLAY RECAP").unwrap_or_default().1;
            told.push((
                code,
                names.map(of_host),
                recap.to_owned(),
                left("head -v free-*/*")?,
            ));
            let (_, text) = run("ended.yml", forks)?;
            let made =
                |line: &&str| line.starts_with("changed: ") && line.contains("\"state\": \"file\"");
            let made = text.lines().filter(made).count();
            let there = left("echo files $(ls free-*/* | wc -l)")?;
            if !there.contains(&format!("files {made}\"")) {
                return Err(format!("{strategy} {way}: {made} told\n{there}\n{text}"));
            }
        }
        std::fs::remove_file(server.file("ansible.cfg")).map_err(|fault| fault.to_string())?;
        if told[0] != told[1] || !told[0].2.contains("rescued=1") {
            return Err(format!("{strategy}, {forks}:\n{told:#?}"));
        }
    }
    Ok(())
}

/// A server that takes itself for a machine of its own: it has its own mounts, and its own start of the
/// kernel.
fn machine(root: &Path, boot: &str) -> Result<Server, String> {
    let folder = tempfile::Builder::new().prefix("rplay-ssh-").tempdir();
    let folder = folder.map_err(|fault| fault.to_string())?;
    let id = folder.path().join("boot");
    std::fs::write(&id, format!("{boot}\n")).map_err(|fault| fault.to_string())?;
    let begin = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"",
        id.display()
    );
    let mut start = Command::new("unshare");
    start.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &begin,
        "sh",
    ]);
    let port = script(start, root, "start", folder.path(), "")?;
    let port = port.trim().to_owned();
    Ok(Server { folder, port })
}

/// The turns of each host.
type Counted = Result<Vec<u64>, String>;

/// What twenty-one tasks cost hosts side by side, in turns beside those of connecting, on each host.
fn turns(servers: &[Server], before: &str, tasks: &str) -> Counted {
    turns_by("linear", servers, before, tasks)
}

fn turns_by(strategy: &str, servers: &[Server], before: &str, tasks: &str) -> Counted {
    let fault = |fault: std::io::Error| fault.to_string();
    let first = servers.first().ok_or("no server")?;
    let mut counts = vec![];
    for tasks in [before.to_owned(), format!("{before}{tasks}")] {
        let mut proxies = vec![];
        let (mut hosts, mut known) = (String::new(), String::new());
        for (number, server) in servers.iter().enumerate() {
            let port: u16 = server.port.parse().map_err(|_| "no port")?;
            let address = ([127, 0, 0, 1], port).into();
            let proxy = Proxy::start(address, Duration::from_millis(2)).map_err(fault)?;
            let keys = std::fs::read_to_string(server.file("known_hosts")).map_err(fault)?;
            known += &keys.replace(&format!(":{port} "), &format!(":{} ", proxy.port));
            let host = server.host(&format!("h{number}"));
            let to = format!("ansible_port={}", proxy.port);
            hosts += &host.replace(&format!("ansible_port={port}"), &to);
            hosts.push('\n');
            proxies.push(proxy);
        }
        first.write("known_proxy", &known)?;
        first.write("hosts.ini", &hosts)?;
        let play = format!(
            "- hosts: all\n  gather_facts: false\n  strategy: {strategy}\n  tasks:\n{tasks}"
        );
        first.write("play.yml", &play)?;
        let ran = first.rplay("known_proxy", &["play.yml", "-i", "hosts.ini"])?;
        let done = tasks.matches("\n    - ").count() + 1;
        expect(
            ran,
            0,
            &[&format!("h0                         : ok={done} ")],
        )?;
        counts.push(
            proxies
                .iter()
                .map(|proxy| proxy.counts().turns)
                .collect::<Vec<_>>(),
        );
    }
    let pairs = counts[1].iter().zip(&counts[0]);
    Ok(pairs
        .map(|(all, connecting)| all.saturating_sub(*connecting))
        .collect())
}

/// Hosts that have their files alone go ahead of each other where nobody can tell, and only then.
pub(super) fn apart(_: &Server) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut servers = vec![];
    for number in 0..5 {
        let boot = format!("5eed0000-0000-4000-8000-00000000000{number}");
        servers.push(machine(root, &boot)?);
    }
    let mut files =
        String::from("    - file: {path: 'side-{{ inventory_hostname }}', state: directory}\n");
    for number in 0..5 {
        let at = format!("side-{{{{ inventory_hostname }}}}/{number}");
        files += &format!("    - copy: {{content: c, dest: '{at}'}}\n");
        files += &format!("    - file: {{path: '{at}', mode: '0600'}}\n");
        files += &format!("    - lineinfile: {{path: '{at}', line: l}}\n");
        files += &format!("    - stat: {{path: '{at}'}}\n");
    }
    // The first task brings the agent, if need be, the second one says what the host sees.
    let ready = "    - ping:\n    - file: {path: 'side-{{ inventory_hostname }}', state: absent}\n";
    let judge = |what: &str, turns: &dyn Fn() -> Counted, fits: &dyn Fn(u64) -> bool| {
        let what = format!("{what}: turns of 21 tasks");
        one_of_five(&what, turns, |found| found.iter().copied().all(fits))
    };
    turns(&servers, "    - ping:\n", &files)?;
    let few = |turns| turns <= 1;
    judge("2 hosts", &|| turns(&servers[..2], ready, &files), &few)?;
    judge("5 hosts", &|| turns(&servers, ready, &files), &few)?;
    // As another user, the agent of the user who logs in has nothing to say.
    let other = |tasks: &str| {
        let tasks = tasks.replace("'side-", "'/tmp/rplay-side-");
        tasks.replace(
            "    - ",
            "    - become: true\n      become_user: rplayfree\n      ",
        )
    };
    let cost = || turns(&servers[..2], &other(ready), &other(&files));
    let done = judge("as another user", &cost, &few);
    let clean = "    - file: {path: 'side-{{ item }}', state: absent}\n      loop: [h0, h1]\n";
    expect(servers[0].play(&other(clean), &[])?, 0, &["changed=1 "])?;
    done?;
    // A command may look at other hosts: it is in step.
    let mixed = files.replacen("    - stat:", "    - command: 'true'\n    - stat:", 1);
    let some = |turns| (1..=4).contains(&turns);
    judge("with a command", &|| turns(&servers, ready, &mixed), &some)?;
    // There it keeps nobody from going on.
    for strategy in ["free", "host_pinned"] {
        let alone = || turns_by(strategy, &servers, ready, &mixed);
        judge(strategy, &alone, &few)?;
    }
    let each = |turns| turns >= 18;
    // Any failure would be everybody's.
    let fatal = files.replace("    - ", "    - any_errors_fatal: true\n      ");
    judge("fatal", &|| turns(&servers, ready, &fatal), &each)?;
    // A task mounts what other machines may have, too.
    let mount = "grep -q ^side /proc/mounts || { exec 3<>/dev/fuse && mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 side /mnt; }";
    let mount = format!(
        "{ready}    - become: true\n      become_user: rplayfree\n      command: sudo -n sh -c '{mount}'\n"
    );
    judge("shared", &|| turns(&servers[..2], &mount, &files), &each)?;
    let boot = "5eed0000-0000-4000-8000-0000000000aa";
    let one = [machine(root, boot)?, machine(root, boot)?];
    judge("one machine", &|| turns(&one, ready, &files), &each)
}
