//! The modules that call `helm`, with the real program of `components/helm.sh`, and the lookup `kustomize`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use super::Cluster;
use crate::harness::recorded::Recorded;
use crate::harness::scenario::{self, expect, finish};

/// What is another in every run; the function of this name in `record.py` does the same.
fn plain(value: &Json) -> Json {
    const DROP: &[&str] = &[
        "action",
        "cmd",
        "delta",
        "deprecations",
        "diff",
        "end",
        "exception",
        "invocation",
        "revision",
        "src",
        "start",
        "updated",
    ];
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .filter(|(key, _)| !DROP.contains(&key.as_str()) && !key.starts_with("_ansible"))
                .map(|(key, value)| match (key.as_str(), value) {
                    ("command", Json::String(text)) => (key.clone(), call(text).into()),
                    _ => (key.clone(), plain(value)),
                })
                .filter(|(key, value)| key != "warnings" || *value != Json::Array(vec![]))
                .collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Json::Object(entries.into_iter().collect())
        }
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::String(text) => {
            let lines = text.split('\n').map(|line| match line {
                line if line.starts_with("LAST DEPLOYED: ") => "LAST DEPLOYED:",
                // Fewer upgrades come to fewer revisions.
                line if line.starts_with("REVISION: ") => "REVISION:",
                line => line,
            });
            lines.collect::<Vec<_>>().join("\n").into()
        }
        other => other.clone(),
    }
}

/// A call without quotes, and without the name of the file that Ansible writes the values to.
fn call(text: &str) -> String {
    let text = text.replace('\'', "");
    let words = text.split_whitespace().map(|word| match word {
        word if word.starts_with("-f=/") => "-f=-",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The folder of a Helm of this number.
fn program(number: &str) -> Result<PathBuf, String> {
    let folder = scenario::prepared("helm");
    match folder.join(number).join("helm").exists() {
        true => Ok(folder.join(number)),
        false => Err(
            "skip: needs the programs that tests/components/helm.sh gets, which tests/run calls"
                .to_owned(),
        ),
    }
}

/// With this Helm first on the search path, and its files in a folder of the scenario.
fn with(command: &mut Command, program: &Path, out: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [program.to_path_buf()]
        .into_iter()
        .chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(all) {
        command.env("PATH", path);
    }
    for name in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(name, out.join("helm"));
    }
}

/// A web server of a folder, which ends when dropped. With a user and a password, where they are given.
struct Server {
    process: Child,
    address: String,
}

/// The same server that asks for a user and a password.
const ASKING: &str = r#"
import base64, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(b"me:geheim").decode():
            return super().do_GET()
        self.send_error(401)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Handler(*args, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

impl Server {
    fn start(folder: &Path, asks: bool) -> Result<Self, String> {
        let code = match asks {
            true => ASKING.to_owned(),
            false => ASKING.replace("== \"Basic \"", "!= \"Basic \""),
        };
        let mut process = Command::new("python3")
            .args(["-c", &code])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|fault| fault.to_string())?;
        let mut port = String::new();
        if let Some(out) = process.stdout.take() {
            let read = BufReader::new(out).read_line(&mut port);
            read.map_err(|fault| fault.to_string())?;
        }
        let address = format!("http://127.0.0.1:{}", port.trim());
        Ok(Self { process, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn helm(cluster: &Cluster) -> Result<(), String> {
    let program = program("3")?;
    let folder = cluster.root.join("tests/kubernetes");
    let out = cluster.out("helm")?;
    let server = Server::start(&out, false)?;
    let out_is = format!("out={}", out.display());
    let repo_is = format!("repo={}", server.address);
    let mut command = cluster.rplay(&folder, &["helm.yml", "-e", &out_is, "-e", &repo_is]);
    with(&mut command, &program, &out);
    Recorded {
        file: &folder.join("helm.json"),
        replaced: &[
            (out.display().to_string(), "@out@"),
            (folder.display().to_string(), "@here@"),
            (server.address.clone(), "@repo@"),
            (program.join("helm").display().to_string(), "@helm@"),
        ],
        plain,
        variable: "RPLAY_KUBERNETES_EXPECT",
    }
    .compare(&mut command)
}

/// Runs tasks with a Helm.
fn play(
    cluster: &Cluster,
    out: &Path,
    number: &str,
    tasks: &str,
    words: &[&str],
) -> Result<(i32, String), String> {
    let lines: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("- hosts: localhost\n  gather_facts: false\n  tasks:\n{lines}");
    cluster.write("helm-play.yml", &text)?;
    let out_is = format!("out={}", out.display());
    let mut all = vec!["helm-play.yml", "-e", &out_is];
    all.extend(words);
    let mut command = cluster.rplay(cluster.folder.path(), &all);
    with(&mut command, &program(number)?, out);
    finish(&mut command)
}

fn chart(cluster: &Cluster, name: &str) -> Result<PathBuf, String> {
    let out = cluster.out(name)?;
    let from = cluster.root.join("tests/kubernetes/chart");
    let mut copy = Command::new("cp");
    expect(
        finish(copy.arg("-r").arg(from).arg(out.join("chart")))?,
        0,
        &[],
    )?;
    Ok(out)
}

pub(super) fn helm_ahead(cluster: &Cluster) -> Result<(), String> {
    let out = chart(cluster, "ahead")?;
    cluster.kubectl(&["create", "namespace", "look"])?;
    let revision = || cluster.kubectl(&["get", "secrets", "-n", "look", "-o", "name"]);
    let before = revision()?;
    let task = |word: &str, password: &str| {
        format!(
            "- ansible.builtin.copy: {{dest: \"{{{{ out }}}}/fresh.yml\", content: \"word: {word}\\n\"}}\n- kubernetes.core.helm: {{name: demo, namespace: look, chart_ref: \"{{{{ out }}}}/chart\", values_files: [\"{{{{ out }}}}/fresh.yml\"], values: {{password: {password}}}}}\n"
        )
    };
    let run = |tasks: &str, words: &[&str]| play(cluster, &out, "3", tasks, words);
    // The file of values is not on the disk yet, and nothing is made.
    let (code, text) = run(&task("of-the-file", "geheim-1"), &["--check", "--diff"])?;
    let seen = text.clone();
    expect(
        (code, text),
        0,
        &["changed=2", "of-the-file", "ConfigMap demo", "*** (after)"],
    )?;
    if seen.contains("geheim") || revision()? != before {
        return Err(format!("a secret is shown, or something was made:\n{seen}"));
    }
    expect(
        run(&task("of-the-file", "geheim-1"), &[])?,
        0,
        &["changed=2"],
    )?;
    expect(
        run(&task("of-the-file", "geheim-1"), &["--check"])?,
        0,
        &["changed=0"],
    )?;
    expect(
        run(&task("of-the-file", "geheim-1"), &[])?,
        0,
        &["changed=0"],
    )?;
    // What differs is shown, and nothing else.
    let (code, text) = run(&task("another", "geheim-1"), &["--check", "--diff"])?;
    if text.contains("geheim") || text.contains("replicas") {
        return Err(format!("too much is shown:\n{text}"));
    }
    expect(
        (code, text),
        0,
        &[
            "changed=2",
            "-        \"word\": \"of-the-file\"",
            "+        \"word\": \"another\"",
        ],
    )?;
    // A chart that an earlier task would write is no error.
    let unwritten = "- ansible.builtin.copy: {src: \"{{ out }}/chart/\", dest: \"{{ out }}/later/\"}\n- kubernetes.core.helm: {name: late, namespace: look, chart_ref: \"{{ out }}/later\"}\n";
    expect(
        run(unwritten, &["--check"])?,
        0,
        &[
            "changed=2",
            "an earlier task of this check would have written it",
        ],
    )?;
    let removed = "- kubernetes.core.helm: {name: demo, namespace: look, state: absent}\n";
    expect(
        run(removed, &["--check", "--diff"])?,
        0,
        &["changed=1", "-    \"kind\": \"ConfigMap\""],
    )?;
    expect(run(removed, &[])?, 0, &["changed=1"])?;
    expect(run(removed, &[])?, 0, &["changed=0"])?;
    // An upgrade that does not become ready in time fails, and the next run puts it right.
    let upgrade = |replicas: u32, further: &str| {
        format!(
            "- kubernetes.core.helm: {{name: slow, namespace: look, chart_ref: \"{{{{ out }}}}/chart\", values: {{replicas: {replicas}}}{further}}}\n"
        )
    };
    expect(run(&upgrade(1, ""), &[])?, 0, &["changed=1"])?;
    expect(
        run(
            &upgrade(1, ", disable_hook: true, post_renderer: /bin/false"),
            &[],
        )?,
        2,
        &["Failure when executing Helm command"],
    )?;
    expect(run(&upgrade(1, ""), &[])?, 0, &["changed=0"])
}

/// Makes a repository of a folder with a chart.
fn pack(program: &Path, out: &Path) -> Result<(), String> {
    for words in [&["package", "chart"][..], &["repo", "index", "."]] {
        let mut command = Command::new(program.join("helm"));
        expect(finish(command.args(words).current_dir(out))?, 0, &[])?;
    }
    Ok(())
}

/// A repository that an earlier task of the same check would have added, with a log-in.
pub(super) fn helm_foreseen(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "namespace", "foreseen"])?;
    for number in ["3", "4"] {
        let program = program(number)?;
        let out = chart(cluster, &format!("foreseen-{number}"))?;
        pack(&program, &out)?;
        let server = Server::start(&out, true)?;
        let tasks = |password: &str| {
            format!(
                r#"
- kubernetes.core.helm_repository: &repo {{name: own, url: "{}", username: me, password: "{password}"}}
- kubernetes.core.helm_repository: *repo
- kubernetes.core.helm: {{name: packed-{number}, namespace: foreseen, chart_ref: own/demo, chart_version: 1.0.0, values: {{word: of-the-play}}}}
- kubernetes.core.helm_template: {{chart_ref: own/demo, output_dir: "{{{{ out }}}}/rendered"}}
"#,
                server.address
            )
        };
        let quiet = |password: &str, words: &[&str]| {
            let ran = play(cluster, &out, number, &tasks(password), words)?;
            match ran.1.contains("geheim") {
                true => Err(format!("the password is shown:\n{}", ran.1)),
                false => Ok(ran),
            }
        };
        // The second task finds what the first would leave, and the chart is rendered out of it.
        let texts = ["ok=4    changed=3", "of-the-play", "ConfigMap packed"];
        expect(quiet("geheim", &["--check", "--diff", "-vvv"])?, 0, &texts)?;
        let left = out.join("helm/repositories.yaml");
        if left.exists() {
            return Err("check mode named the repository".to_owned());
        }
        // What the run would come to: the password is wrong, there is no such version, no such repository any more.
        let wrong = quiet("not-this", &["--check"])?;
        expect(wrong, 2, &["own", "401 Unauthorized"])?;
        let version = tasks("geheim").replace("1.0.0", "9.9.9");
        let wrong = play(cluster, &out, number, &version, &["--check"])?;
        expect(wrong, 2, &["9.9.9"])?;
        expect(quiet("geheim", &["--diff"])?, 0, &["ok=4    changed=3"])?;
        expect(quiet("geheim", &[])?, 0, &["ok=4    changed=0"])?;
        expect(quiet("geheim", &["--check"])?, 0, &["ok=4    changed=0"])?;
        let gone = format!(
            "- kubernetes.core.helm_repository: {{name: own, state: absent}}\n- kubernetes.core.helm: {{name: packed-{number}, namespace: foreseen, chart_ref: own/demo}}\n"
        );
        for words in [&["--check"][..], &[]] {
            let told = play(cluster, &out, number, &gone, words)?;
            expect(told, 2, &["changed=1", "repo own not found"])?;
        }
    }
    Ok(())
}

pub(super) fn helm_four(cluster: &Cluster) -> Result<(), String> {
    let program = program("4")?;
    let out = chart(cluster, "four")?;
    let run = |tasks: &str, words: &[&str]| play(cluster, &out, "4", tasks, words);
    let install = |word: &str, further: &str| {
        format!(
            "- kubernetes.core.helm: {{name: demo, namespace: four, create_namespace: true, atomic: true, chart_ref: \"{{{{ out }}}}/chart\", values: {{word: {word}}}{further}}}\n"
        )
    };
    let first = install("a", ", server_side: auto, force_conflicts: true");
    expect(run(&first, &["--check"])?, 0, &["changed=1"])?;
    expect(run(&first, &[])?, 0, &["changed=1"])?;
    expect(run(&first, &[])?, 0, &["changed=0"])?;
    expect(run(&install("b", ", force: true"), &[])?, 0, &["changed=1"])?;
    let info = "- kubernetes.core.helm_info: {name: demo, namespace: four, release_state: [all]}\n  register: one\n- ansible.builtin.assert: {that: [one.status.release_values.word == 'b', one.status.revision == '2', one.status.manifest | length == 3, one.status.hooks | length == 1]}\n";
    expect(run(info, &[])?, 0, &["failed=0"])?;
    expect(
        run(
            "- kubernetes.core.helm: {name: demo, namespace: four, state: absent, wait: true}\n",
            &[],
        )?,
        0,
        &["changed=1"],
    )?;
    // A password goes to the program by its standard input.
    pack(&program, &out)?;
    let server = Server::start(&out, true)?;
    let add = |password: &str| {
        format!(
            "- kubernetes.core.helm_repository: {{name: own, url: \"{}\", username: me, password: {password}}}\n  register: added\n- ansible.builtin.debug: {{var: added}}\n",
            server.address
        )
    };
    let (code, text) = run(&add("wrong-word"), &["-vvv"])?;
    if text.contains("wrong-word") {
        return Err(format!("the password is shown:\n{text}"));
    }
    expect((code, text), 2, &["401"])?;
    let (code, text) = run(&add("geheim"), &["-vvv"])?;
    if text.contains("geheim") {
        return Err(format!("the password is shown:\n{text}"));
    }
    expect((code, text), 0, &["--password-stdin", "changed=1"])?;
    let packed = "- kubernetes.core.helm: {name: packed, namespace: four, chart_ref: own/demo}\n";
    expect(run(packed, &[])?, 0, &["changed=1"])?;
    expect(run(packed, &[])?, 0, &["changed=0"])
}

pub(super) fn kustomize(cluster: &Cluster) -> Result<(), String> {
    let out = cluster.out("kustomize")?;
    let write = |name: &str, text: &str| {
        std::fs::write(out.join(name), text).map_err(|fault| fault.to_string())
    };
    write(
        "kustomization.yaml",
        "namePrefix: pre-\nnamespace: kust\nresources: [cm.yaml]\n",
    )?;
    write(
        "cm.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: y}}\n",
    )?;
    cluster.kubectl(&["create", "namespace", "kust"])?;
    let apply = format!(
        "- kubernetes.core.k8s: {{definition: \"{{{{ lookup('kubernetes.core.kustomize', dir='{}', environment='A=b C=d') }}}}\"}}\n",
        out.display()
    );
    expect(cluster.play(&apply, &["--check"])?, 0, &["changed=1"])?;
    expect(cluster.play(&apply, &[])?, 0, &["changed=1"])?;
    expect(cluster.play(&apply, &[])?, 0, &["changed=0"])?;
    cluster.kubectl(&["get", "cm", "pre-a", "-n", "kust"])?;
    for (options, told) in [
        ("dir='/nonesuch'", "kustomize command failed. exit code: 1"),
        (
            "binary_path='/bin/true'",
            "unexpected tool provided as parameter /bin/true, expected one of kustomize, kubectl.",
        ),
        (
            "environment='nothing'",
            "environment should be dict or string in the format key=value",
        ),
    ] {
        let task = format!(
            "- ansible.builtin.debug: {{msg: \"{{{{ lookup('kubernetes.core.kustomize', {options}) }}}}\"}}\n"
        );
        expect(cluster.play(&task, &[])?, 2, &[told])?;
    }
    Ok(())
}
