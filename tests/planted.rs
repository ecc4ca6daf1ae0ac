//! Twenty kinds of secrets, planted wherever a playbook can put them: no byte that a run writes has one of them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::argv::Watch;
use crate::harness::scenario::{self, Scenario, finish};
use crate::harness::stages::{REPORTS, Verdict};

const SCENARIOS: &[Scenario<Place>] = &[
    ("no byte that a run writes", run_in_earnest),
    ("no byte of a plan, and of what comes of it", plan_and_apply),
    ("no byte of a run that fails early", broken),
];

/// Each secret with where it comes from. All are unlike each other and unlike any other text.
const SECRETS: &[(&str, &str)] = &[
    ("a variable in a vault", "zq-vaulted-inline-01"),
    ("a vaulted file of variables", "zq-vaulted-file-02"),
    ("a vaulted file that is copied", "zq-vaulted-copy-03"),
    ("a vaulted file that is included", "zq-vaulted-include-04"),
    ("extra variables from a vaulted file", "zq-extra-file-05"),
    ("group variables in a vault", "zq-group-vars-06"),
    ("host variables in a vault", "zq-host-vars-07"),
    ("the vault's password", "zq-vault-password-08"),
    ("the become password", "zq-become-pass-09"),
    ("the connection's password", "zq-connect-pass-10"),
    (
        "a become password in the inventory",
        "zq-inventory-become-11",
    ),
    (
        "a variable that the settings call secret",
        "zq-secret-vars-12",
    ),
    (
        "a variable that a pattern of the settings calls secret",
        "zq-secret-pattern-13",
    ),
    (
        "a secret variable made of the environment",
        "zq-environment-14",
    ),
    ("an argument that is no_log", "zq-no-log-argument-15"),
    ("the output of a no_log task", "zq-no-log-output-16"),
    ("an item of a no_log loop", "zq-no-log-item-17"),
    (
        "the message of a no_log task that fails",
        "zq-no-log-failed-18",
    ),
    ("a fact that is set under a secret name", "zq-set-fact-19"),
    ("a password in an address", "zq-address-pass-20"),
    ("a secret with signs", "zq\"sign's \\ <&> é-21"),
    ("the data of a secret of Kubernetes", "zq-kubernetes-22"),
    ("the password of a registry", "zq-registry-pass-23"),
    ("what a hidden handler says", "zq-handler-24"),
];

const PLAY: &str = r#"
- hosts: all
  gather_facts: false
  vars_files: [vaulted.yml]
  vars:
    inline: !vault |
INLINE
    signs: !vault |
SIGNS
    api_token: zq-secret-vars-12
    deploy_password: "{{ 'zq-secret-' ~ 'pattern-13' }}"
    env_token: "{{ lookup('env', 'PLANTED') }}"
    address: "https://user:{{ address_password }}@127.0.0.1:9/x"
    out: "{{ playbook_dir }}/out"
    all_of_it:
      inline: "{{ inline }}"
      list: ["{{ from_file }}", "{{ of_group }}", "{{ of_host }}", "{{ of_extra }}"]
      named: "{{ api_token }} {{ deploy_password }} {{ env_token }} {{ signs }}"
      address: "{{ address }}"
  tasks:
    - include_vars: included.yml
    - file: {path: "{{ out }}", state: directory, mode: "0700"}
    - name: "heading {{ inline }}"
      debug: {var: all_of_it}
    - debug: {msg: "{{ all_of_it | to_json }} {{ all_of_it | to_nice_yaml }} {{ all_of_it | urlencode }}"}
    - debug: {msg: "{{ inline | b64encode }} {{ ('user:' ~ api_token) | b64encode }} {{ ('u:' ~ from_file) | b64encode }}"}
    - debug: {msg: "{{ included }} {{ signs | quote }} {{ signs | to_json }} {{ [signs] }}"}
    - name: looped
      debug: {msg: "{{ item }}"}
      loop: "{{ all_of_it.list }}"
    - name: file of secrets
      copy: {content: "{{ all_of_it | to_nice_yaml }}", dest: "{{ out }}/all.yml", mode: "0600"}
      notify: tell
    - copy: {src: secret.txt, dest: "{{ out }}/copied", mode: "0600"}
    - template: {src: secret.j2, dest: "{{ out }}/template", mode: "0600"}
      notify: "tell"
    - lineinfile: {path: "{{ out }}/template", regexp: "^token=", line: "token={{ env_token }}"}
    - blockinfile: {path: "{{ out }}/template", block: "{{ of_group }}\n{{ of_extra }}"}
    - name: output
      shell: cat < all.yml; echo $TOKEN >&2
      args: {chdir: "{{ out }}"}
      environment: {TOKEN: "{{ inline }}"}
      register: said
    - debug: {var: said}
    - name: hidden output
      shell: printf 'zq-no-log-%s' output-16
      no_log: true
      register: hidden
    - debug: {var: hidden}
    - debug: {msg: "{{ item }}"}
      no_log: true
      loop: [zq-no-log-item-17]
      register: items
    - debug: {var: items}
    - set_fact: {made_secret: "{{ 'zq-set-' ~ 'fact-19' }}"}
    - debug: {msg: "{{ made_secret }}"}
    - name: hidden failure
      fail: {msg: "{{ 'zq-no-log-' ~ 'failed-18' }}"}
      no_log: true
      ignore_errors: true
      register: failed
    - debug: {var: failed}
    - name: an argument
      htpasswd: {path: "{{ out }}/users", name: one, password: zq-no-log-argument-15, hash_scheme: plaintext, mode: "0600"}
      ignore_errors: true
    - debug: {msg: zq-no-log-argument-15}
    - name: address
      uri: {url: "{{ address }}", timeout: 2}
      ignore_errors: true
    - debug: {msg: "{{ address_password }}"}
    - name: kubernetes
      kubernetes.core.k8s:
        host: http://127.0.0.1:9
        definition: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: d}, stringData: {key: "{{ kube_secret }}"}}
      ignore_errors: true
    - name: registry
      community.docker.docker_login: {registry_url: "127.0.0.1:9", username: u, password: "{{ 'zq-registry-' ~ 'pass-23' }}"}
      ignore_errors: true
    - debug: {msg: "zq-registry-pass-23"}
    - name: until
      shell: echo {{ of_host }}; false
      register: tried
      until: tried.rc == 0
      retries: 1
      delay: 0
      ignore_errors: true
    - set_stats: {data: {inline: "{{ inline }}"}}
    - name: "fails with {{ from_file }}"
      fail: {msg: "{{ all_of_it }} {{ ansible_become_password }}"}
      ignore_errors: true
    - name: undefined
      debug: {msg: "{{ inline }} {{ nowhere }}"}
      ignore_errors: true
  handlers:
    - name: tell
      shell: echo zq-handler-24
      no_log: true
      register: handled
      listen: tell
    - name: told
      debug: {msg: "{{ handled.stdout | default('') }} {{ inline }}"}
      listen: tell
"#;

struct Place(tempfile::TempDir);

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("planted", SCENARIOS, wanted);
    match tempfile::Builder::new().prefix("rplay-planted-").tempdir() {
        Ok(folder) => scenario::run("planted", &chosen, &Place(folder)),
        Err(fault) => vec![("planted".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), String> {
    let path = folder.join(file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|fault| fault.to_string())?;
    }
    std::fs::write(path, text).map_err(|fault| format!("{file}: {fault}"))
}

fn secret(number: usize) -> &'static str {
    SECRETS[number - 1].1
}

/// A vault's envelope of a text.
fn sealed(folder: &Path, text: &str) -> Result<String, String> {
    let words = [
        "vault",
        "encrypt",
        "--vault-password-file",
        "../vault-password",
    ];
    let mut command = scenario::command(folder, folder, &words);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    stdin
        .write_all(text.as_bytes())
        .map_err(|fault| fault.to_string())?;
    drop(stdin);
    let output = child
        .wait_with_output()
        .map_err(|fault| fault.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.starts_with("$ANSIBLE_VAULT") {
        true => Ok(text),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A folder with a project; passwords lie beside it.
fn project(place: &Place, name: &str) -> Result<PathBuf, String> {
    let top = place.0.path().join(name);
    let folder = top.join("project");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    write(&top, "vault-password", secret(8))?;
    write(&top, "become-password", secret(9))?;
    write(&top, "connection-password", secret(10))?;
    let indented = |text: String| -> String {
        text.lines()
            .map(|line| format!("      {line}\n"))
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    let inline = indented(sealed(&folder, secret(1))?);
    let signs = indented(sealed(&folder, secret(21))?);
    let play = PLAY.replace("INLINE", &inline).replace("SIGNS", &signs);
    write(&folder, "play.yml", &play)?;
    for (file, text) in [
        ("vaulted.yml", format!("from_file: {}\n", secret(2))),
        ("secret.txt", format!("{}\n", secret(3))),
        ("included.yml", format!("included: {}\n", secret(4))),
        (
            "extra.yml",
            format!(
                "of_extra: {}\naddress_password: {}\nkube_secret: {}\n",
                secret(5),
                secret(20),
                secret(22)
            ),
        ),
        ("group_vars/all.yml", format!("of_group: {}\n", secret(6))),
        ("host_vars/one.yml", format!("of_host: {}\n", secret(7))),
    ] {
        let text = sealed(&folder, &text)?;
        write(&folder, file, &text)?;
    }
    write(
        &folder,
        "secret.j2",
        "a={{ inline }}\nb={{ signs }}\ntoken=old\n",
    )?;
    let host = "one ansible_connection=local ansible_become_password=zq-inventory-become-11\n";
    write(&folder, "hosts", host)?;
    let settings = "[defaults]\nlog_path = run.log\n[rplay]\nrecords_images = yes\nstream_output = yes\nsecret_vars = api_token, *_password, env_token, made_secret\n";
    write(&folder, "ansible.cfg", settings)?;
    Ok(folder)
}

const OPTIONS: &[&str] = &[
    "play.yml",
    "-i",
    "hosts",
    "-vvvv",
    "--diff",
    "-e",
    "@extra.yml",
    "--vault-password-file",
    "../vault-password",
    "--become-password-file",
    "../become-password",
    "--connection-password-file",
    "../connection-password",
];

/// Every form of a secret that is looked for.
fn forms(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    let json = serde_json::to_string(secret).unwrap_or_default();
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        base64::engine::general_purpose::STANDARD.encode(secret),
    ];
    // What stands before it moves the letters.
    for before in ["user:", "u:"] {
        let encoded =
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{before}{secret}"));
        forms.push(encoded[8..encoded.len() - 4].to_owned());
    }
    forms
}

/// Looks for every secret in bytes that a run wrote.
fn search(what: &str, bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    for (kind, secret) in SECRETS {
        for form in forms(secret) {
            if let Some(line) = text.lines().find(|line| line.contains(&form)) {
                let at = line.find(&form).unwrap_or_default();
                let from = line.floor_char_boundary(at.saturating_sub(200));
                let to = line.floor_char_boundary((at + 200).min(line.len()));
                return Err(format!("{kind} is in {what}: {}", &line[from..to]));
            }
        }
    }
    Ok(())
}

/// Looks into everything that was written in and beside the project, but for what the playbook makes
/// and for what was there before.
fn search_files(folder: &Path, before: &[PathBuf]) -> Result<usize, String> {
    let mut count = 0;
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        let path = entry.path();
        let made = path.starts_with(folder.join("out"));
        if !entry.file_type().is_file() || made || before.contains(&path.to_path_buf()) {
            continue;
        }
        let bytes = std::fs::read(path).map_err(|fault| fault.to_string())?;
        search(&path.display().to_string(), &bytes)?;
        search("a name of a file", path.as_os_str().as_encoded_bytes())?;
        count += 1;
    }
    Ok(count)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.map(walkdir::DirEntry::into_path).collect()
}

/// Runs rplay, while the arguments of all processes are looked at.
fn run(folder: &Path, words: &[&str]) -> Result<(i32, String), String> {
    // Shells of the playbook that are handed a secret by it are the playbook's own.
    let watched: Vec<&str> = SECRETS[7..11].iter().map(|(_, secret)| *secret).collect();
    let watch = Watch::start(&watched);
    let mut command: Command = scenario::command(folder, folder, words);
    command.env("PLANTED", secret(14));
    let (code, text) = finish(&mut command)?;
    if let Some(line) = watch.end() {
        return Err(format!("a process has a secret in its arguments: {line}"));
    }
    search(&format!("the output of {words:?}"), text.as_bytes())?;
    Ok((code, text))
}

fn run_in_earnest(place: &Place) -> Result<(), String> {
    let folder = project(place, "earnest")?;
    let before = files(&folder);
    let reports: Vec<String> = REPORTS
        .iter()
        .map(|kind| format!("--report={kind}=report.{kind}"))
        .collect();
    let mut words = OPTIONS.to_vec();
    words.extend(reports.iter().map(String::as_str));
    let (code, text) = run(&folder, &words)?;
    if code != 0 || !text.contains("ignored=") || text.matches("TASK [").count() < 30 {
        return Err(format!("the run came to something else, {code}:\n{text}"));
    }
    for view in ["json", "ndjson"] {
        run(&folder, &[OPTIONS, &["--output", view]].concat())?;
    }
    for view in ["default", "minimal", "pretty", "yaml", "json", "ndjson"] {
        run(&folder, &["replay", "last", "--output", view])?;
    }
    run(&folder, &[OPTIONS, &["--check"]].concat())?;
    run(&folder, &["runs", "--output", "json"])?;
    // Reports, the log, records of four runs, and the agent.
    let count = search_files(&folder, &before)?;
    if count < 17 {
        return Err(format!("only {count} files were searched"));
    }
    // What is found where nothing hides it: else the search itself would be at fault.
    let made = std::fs::read(folder.join("out/all.yml")).map_err(|fault| fault.to_string())?;
    if search("a file of the playbook", &made).is_ok() {
        return Err("the search finds nothing".to_owned());
    }
    // What is put back shows neither what is there nor what was.
    run(&folder, &["rollback", "last", "--force"])?;
    search_files(&folder, &before)?;
    write(&folder, "ansible.cfg", "[defaults]\n")?;
    let shown = run(&folder, OPTIONS);
    match shown
        .as_ref()
        .is_err_and(|why| why.contains("settings call secret"))
    {
        true => Ok(()),
        false => Err(format!("without the settings nothing is shown: {shown:?}")),
    }
}

fn plan_and_apply(place: &Place) -> Result<(), String> {
    let folder = project(place, "planned")?;
    let before = files(&folder);
    let make = [&["plan"], OPTIONS, &["--out", "plan.json"]].concat();
    let (code, text) = run(&folder, &make)?;
    if code != 0 {
        return Err(format!("the plan came to {code}:\n{text}"));
    }
    run(&folder, &["show", "plan.json"])?;
    run(&folder, &["apply", "plan.json"])?;
    run(&folder, &[&["drift"], OPTIONS].concat())?;
    run(&folder, &["resume", "last"])?;
    let (code, text) = run(&folder, &["rollback", "last"])?;
    if code != 0 || !text.contains("Put back as planned") {
        return Err(format!("it was undone with {code}:\n{text}"));
    }
    search_files(&folder, &before).map(|_| ())
}

fn broken(place: &Place) -> Result<(), String> {
    let folder = project(place, "broken")?;
    let play =
        std::fs::read_to_string(folder.join("play.yml")).map_err(|fault| fault.to_string())?;
    let play = play.replace(
        "    - name: looped\n",
        "    - fail: {msg: \"{{ all_of_it }}\"}\n    - name: looped\n",
    );
    write(&folder, "play.yml", &play)?;
    let before = files(&folder);
    let (code, text) = run(&folder, OPTIONS)?;
    if code != 2 {
        return Err(format!("the run came to {code}:\n{text}"));
    }
    run(&folder, &["resume", "last"])?;
    run(&folder, &["resume", "last", "--force"])?;
    // A wrong password for the vault, and a file that cannot be read.
    let wrong: Vec<&str> = OPTIONS
        .iter()
        .map(|word| {
            word.strip_prefix("../vault")
                .map_or(*word, |_| "../become-password")
        })
        .collect();
    run(&folder, &wrong)?;
    write(&folder, "included.yml", "{ not: [yaml\n")?;
    run(&folder, OPTIONS)?;
    search_files(&folder, &before).map(|_| ())
}
