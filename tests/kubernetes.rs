//! `kubernetes.core` against a real API server, which `components/cluster.sh` starts once.
//!
//! `kubernetes/NAME.yml` are playbooks whose every result is compared with the one that Ansible came to,
//! `kubernetes/NAME.json`, written by `kubernetes/record.py`. The rest are scenarios.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

mod helm;
mod members;

use self::helm::{helm, helm_ahead, helm_foreseen, helm_four, kustomize};
use self::members::members;
use crate::harness::recorded::Recorded;
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Cluster>] = &[
    ("objects come out as with Ansible", objects),
    ("workloads come out as with Ansible", workloads),
    ("pods and nodes come out as with Ansible", pods),
    (
        "check mode changes nothing and sees what it would make",
        check,
    ),
    ("one request an object that is as it shall be", requests),
    (
        "differences without what the server keeps, secrets masked",
        differences,
    ),
    ("a roll-out tells why it fails, and is undone", rollout),
    ("errors are clear and come in time", errors),
    ("the API goes away while a task waits", gone),
    ("a disruption budget holds a drain up", budget),
    ("the kubeconfig in its forms", kubeconfigs),
    (
        "through a host's SSH connection, with its kubeconfig",
        over_ssh,
    ),
    ("helm comes out as with Ansible", helm),
    ("helm looks ahead, and tells no secrets", helm_ahead),
    ("helm 4, and repositories with a password", helm_four),
    (
        "a repository of charts that the same check would add",
        helm_foreseen,
    ),
    ("what kustomize makes of a folder", kustomize),
    ("pods and services as an inventory", members),
];

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("kubernetes", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    match Cluster::start(root) {
        Ok(cluster) => scenario::run("kubernetes", &chosen, &cluster),
        Err(reason) => vec![("kubernetes".to_owned(), Verdict::Skipped(reason))],
    }
}

/// A running control plane; it ends when dropped, and also when the tests are killed.
pub(crate) struct Cluster {
    root: PathBuf,
    folder: tempfile::TempDir,
    process: Child,
    port: String,
}

impl Cluster {
    pub(crate) fn start(root: &Path) -> Result<Self, String> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let server = assets.map(|folder| folder.join("kube-apiserver"));
        if !server.is_some_and(|server| server.exists()) {
            return Err("needs kube-apiserver and kube-controller-manager in the folder that KUBEBUILDER_ASSETS names".to_owned());
        }
        for program in ["etcd", "kubectl", "python3", "openssl"] {
            let known = std::env::var_os("PATH").unwrap_or_default();
            if !std::env::split_paths(&known).any(|folder| folder.join(program).exists()) {
                return Err(format!("needs {program}"));
            }
        }
        let folder = tempfile::Builder::new().prefix("rplay-kube-").tempdir();
        let folder = folder.map_err(|fault| fault.to_string())?;
        let mut script = Command::new(root.join("tests/components/cluster.sh"));
        script.arg(folder.path().join("run"));
        let (process, port) = scenario::component(&mut script)?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            process,
            port,
        })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Result<String, String> {
        std::fs::read_to_string(self.file(name)).map_err(|fault| format!("{name}: {fault}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.file(name), text).map_err(|fault| format!("{name}: {fault}"))
    }

    /// rplay in a folder, with the administrator's kubeconfig.
    pub(crate) fn rplay(&self, folder: &Path, words: &[&str]) -> Command {
        let mut command = scenario::command(folder, self.folder.path(), words);
        command.env("KUBECONFIG", self.file("run/kubeconfig"));
        command
    }

    /// Runs a play whose tasks are these.
    fn play(&self, tasks: &str, words: &[&str]) -> Result<(i32, String), String> {
        let lines = tasks.lines().map(|line| format!("    {line}\n"));
        let lines: String = lines.collect();
        self.write(
            "play.yml",
            &format!("- hosts: localhost\n  gather_facts: false\n  tasks:\n{lines}"),
        )?;
        let mut all = vec!["play.yml"];
        all.extend(words);
        finish(&mut self.rplay(self.folder.path(), &all))
    }

    /// A folder for what a scenario writes.
    fn out(&self, name: &str) -> Result<PathBuf, String> {
        let out = self.file(&format!("out-{name}"));
        std::fs::create_dir_all(&out).map_err(|fault| fault.to_string())?;
        Ok(out)
    }

    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        command
            .args(words)
            .env("KUBECONFIG", self.file("run/kubeconfig"));
        let (code, text) = finish(&mut command)?;
        match code {
            0 => Ok(text),
            _ => Err(format!("kubectl {words:?}: {text}")),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What is another in every run; `kubernetes/record.py` has the same list.
const DROP: &[&str] = &[
    "action",
    "clusterIP",
    "clusterIPs",
    "controller-uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deprecations",
    "diff",
    "duration",
    "exception",
    "generation",
    "host",
    "invocation",
    "lastTransitionTime",
    "lastUpdateTime",
    "managedFields",
    "reasons",
    "resourceVersion",
    "selfLink",
    "time",
    "uid",
    "volumeMounts",
    "volumes",
];

fn plain(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .filter(|(key, value)| {
                    let changes = key.as_str() == "status" && value.is_object();
                    !DROP.contains(&key.as_str()) && !key.starts_with("_ansible") && !changes
                })
                .collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key.clone(), plain(value)));
            Json::Object(entries.collect())
        }
        Json::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// Compares every result of a playbook with the recorded one.
fn compare(cluster: &Cluster, name: &str) -> Result<(), String> {
    let folder = cluster.root.join("tests/kubernetes");
    let out = cluster.out(name)?;
    let (playbook, variable) = (format!("{name}.yml"), format!("out={}", out.display()));
    let mut command = cluster.rplay(&folder, &[&playbook, "-e", &variable]);
    Recorded {
        file: &folder.join(format!("{name}.json")),
        replaced: &[
            (out.display().to_string(), "@out@"),
            (folder.display().to_string(), "@here@"),
        ],
        plain,
        variable: "RPLAY_KUBERNETES_EXPECT",
    }
    .compare(&mut command)
}

fn objects(cluster: &Cluster) -> Result<(), String> {
    compare(cluster, "objects")
}

fn workloads(cluster: &Cluster) -> Result<(), String> {
    compare(cluster, "workloads")
}

fn pods(cluster: &Cluster) -> Result<(), String> {
    // What the cluster is told to know was recorded with the kind that those made.
    if cluster.kubectl(&["get", "things", "-A"]).is_err() {
        objects(cluster)?;
    }
    compare(cluster, "pods")?;
    let copied = cluster.file("run/pods/pods/bare/d/sub/b");
    match std::fs::read_to_string(copied) {
        Ok(text) if text == "y\n" => Ok(()),
        other => Err(format!("the folder was not copied: {other:?}")),
    }
}

const LOOK: &str = r#"
- kubernetes.core.k8s: {kind: Namespace, name: ahead}
- kubernetes.core.k8s:
    definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ahead}, data: {x: "1"}}
- kubernetes.core.k8s_info: {kind: ConfigMap, namespace: ahead, name: a}
  register: seen
- ansible.builtin.assert: {that: "seen.resources[0].data.x == '1'"}
- kubernetes.core.k8s:
    definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ahead}, data: {x: "2"}}
"#;

fn check(cluster: &Cluster) -> Result<(), String> {
    let versions = || {
        cluster.kubectl(&[
            "get",
            "ns,cm,secrets",
            "-A",
            "-o",
            "custom-columns=N:.metadata.namespace,M:.metadata.name,V:.metadata.resourceVersion",
        ])
    };
    let before = versions()?;
    expect(
        cluster.play(LOOK, &["--check", "--diff"])?,
        0,
        &["changed=3", "failed=0"],
    )?;
    if before != versions()? {
        return Err("check mode changed the cluster".to_owned());
    }
    expect(cluster.play(LOOK, &[])?, 0, &["changed=3", "failed=0"])?;
    let last = LOOK
        .rsplit_once("- kubernetes.core.k8s:")
        .map_or("", |(_, last)| last);
    let last = format!("- kubernetes.core.k8s:{last}");
    expect(cluster.play(&last, &["--check"])?, 0, &["changed=0"])?;
    expect(cluster.play(&last, &[])?, 0, &["changed=0"])?;
    // Looking ahead at a removal removes nothing.
    let remove = "- kubernetes.core.k8s: {kind: ConfigMap, namespace: ahead, name: a, state: absent}\n- kubernetes.core.k8s: {kind: ConfigMap, namespace: ahead, state: absent, delete_all: true}\n";
    expect(cluster.play(remove, &["--check"])?, 0, &["changed=2"])?;
    cluster
        .kubectl(&["get", "cm", "a", "-n", "ahead"])
        .map(|_| ())
}

fn requests(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "ns", "many"])?;
    let tasks = r#"
- kubernetes.core.k8s:
    apply: true
    definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: "c{{ item }}", namespace: many}, data: {x: "1"}}
  loop: "{{ range(50) }}"
- kubernetes.core.k8s:
    definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c0, namespace: many}, data: {x: "1"}}
"#;
    expect(cluster.play(tasks, &[])?, 0, &["changed=1", "failed=0"])?;
    let counted = || -> Result<usize, String> {
        let log = cluster.read("run/audit.log")?;
        Ok(log.lines().filter(|line| line.contains("rplay/")).count())
    };
    let before = counted()?;
    expect(cluster.play(tasks, &[])?, 0, &["changed=0", "failed=0"])?;
    let count = counted()? - before;
    // One for the kinds, and one an object.
    match count {
        52 => Ok(()),
        _ => Err(format!("{count} requests instead of 52")),
    }
}

fn differences(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "ns", "diffs"])?;
    let task = |word: &str| {
        format!(
            "- kubernetes.core.k8s:\n    definition: {{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: diffs}}, stringData: {{user: bob, password: {word}}}}}\n"
        )
    };
    expect(
        cluster.play(&task("geheim-1"), &["--diff"])?,
        0,
        &["changed=1"],
    )?;
    let (code, text) = cluster.play(&task("geheim-2"), &["--diff"])?;
    if ["geheim", "managedFields", "resourceVersion", "Z2VoZWlt"]
        .iter()
        .any(|word| text.contains(word))
    {
        return Err(format!("too much is told:\n{text}"));
    }
    expect(
        (code, text),
        0,
        &[
            "-        \"password\": \"*** (before)\"",
            "+        \"password\": \"*** (after)\"",
        ],
    )?;
    let (code, text) = cluster.play(&task("geheim-2"), &["--diff"])?;
    expect((code, text), 0, &["changed=0"])
}

fn deployment(name: &str, image: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: roll, labels: {{of: us}}}}, spec: {{replicas: 1, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: c, image: \"{image}\"}}]}}}}}}}}"
    )
}

fn rollout(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "ns", "roll"])?;
    let mut tasks = String::new();
    for name in ["a", "b"] {
        tasks += &format!(
            "- kubernetes.core.k8s:\n    wait: true\n    wait_sleep: 1\n    definition: {}\n",
            deployment(name, "img:1")
        );
    }
    expect(cluster.play(&tasks, &[])?, 0, &["changed=2"])?;
    let images = |image: &str| {
        format!(
            "- kubernetes.core.k8s_rollout: {{namespace: roll, name: [a, b], images: {{c: \"{image}\"}}, wait_timeout: 4, wait_sleep: 1}}\n"
        )
    };
    let image = |name: &str| {
        cluster.kubectl(&[
            "get",
            "deployment",
            name,
            "-n",
            "roll",
            "-o",
            "jsonpath={.spec.template.spec.containers[0].image}",
        ])
    };
    expect(
        cluster.play(&images("img:2"), &["--check", "--diff"])?,
        0,
        &["changed=1", "+                        \"image\": \"img:2\""],
    )?;
    if image("a")? != "img:1" {
        return Err("check mode rolled out".to_owned());
    }
    expect(cluster.play(&images("img:2"), &[])?, 0, &["changed=1"])?;
    expect(cluster.play(&images("img:2"), &[])?, 0, &["changed=0"])?;
    let begin = Instant::now();
    let failed = cluster.play(&images("img:missing"), &[])?;
    expect(
        failed,
        2,
        &[
            "Deployment roll/a is not ready after 4 s; put back: a",
            "container c (img:missing) waits: ImagePullBackOff",
        ],
    )?;
    if begin.elapsed() > Duration::from_secs(30) || image("a")? != "img:2" || image("b")? != "img:2"
    {
        return Err(format!(
            "not undone, or late: {} {} after {:?}",
            image("a")?,
            image("b")?,
            begin.elapsed()
        ));
    }
    let restart = "- kubernetes.core.k8s_rollout: {namespace: roll, label_selectors: [of=us], restart: true, wait_sleep: 1}\n";
    expect(cluster.play(restart, &[])?, 0, &["changed=1"])?;
    let unknown = "- kubernetes.core.k8s_rollout: {namespace: roll, name: a, images: {web: x}}\n";
    expect(
        cluster.play(unknown, &[])?,
        2,
        &["has no container `web`; its containers are c"],
    )?;
    let back = "- kubernetes.core.k8s_rollback: {api_version: apps/v1, kind: Deployment, name: a, namespace: roll}\n";
    expect(cluster.play(back, &[])?, 0, &["changed=1"])
}

fn errors(cluster: &Cluster) -> Result<(), String> {
    let begin = Instant::now();
    let info = |more: &str| {
        format!("- kubernetes.core.k8s_info: {{kind: ConfigMap, namespace: kube-system, {more}}}\n")
    };
    let port = &cluster.port;
    let ca = cluster.file("run/ca.crt").display().to_string();
    let weak = cluster.read("run/weak-token")?;
    let weak = weak.trim();
    let server = format!("host: 'https://127.0.0.1:{port}', ca_cert: {ca}");
    for (more, texts) in [
        (
            "host: 'https://127.0.0.1:1', api_key: x".to_owned(),
            vec!["the Kubernetes API at https://127.0.0.1:1 cannot be reached: Connection refused"],
        ),
        (
            format!("{server}, api_key: wrong-token"),
            vec!["Unauthorized"],
        ),
        (
            format!("{server}, api_key: {weak}"),
            vec![
                "configmaps is forbidden: User",
                "in the namespace",
                "kube-system",
            ],
        ),
        (
            format!("host: 'https://127.0.0.1:{port}', api_key: {weak}"),
            vec!["cannot be reached: invalid peer certificate"],
        ),
        (
            format!("host: 'http://127.0.0.1:{port}', api_key: {weak}"),
            vec!["400"],
        ),
        (
            "context: labb".to_owned(),
            vec!["Expected object with name labb in", "did you mean `lab`?"],
        ),
        (
            "kubeconfig: {apiVersion: v1, kind: Config}".to_owned(),
            vec!["Expected key current-context in the given mapping"],
        ),
    ] {
        let (code, text) = cluster.play(&info(&more), &[])?;
        if text.contains(weak) || text.contains("wrong-token") {
            return Err(format!("a token is told:\n{text}"));
        }
        if more.starts_with("host: 'http:") {
            expect((code, text), 2, &[])?;
            continue;
        }
        expect((code, text), 2, &texts)?;
    }
    // What may not be made is not made, one by one and in a list; with the right to it the same task makes it.
    let make = |more: &str| {
        format!(
            "- kubernetes.core.k8s:\n    definition:\n      - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: not-mine, namespace: kube-system}}, data: {{a: b}}}}\n      - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: neither, namespace: kube-system}}}}\n{more}"
        )
    };
    let weakly =
        format!("    host: 'https://127.0.0.1:{port}'\n    ca_cert: {ca}\n    api_key: {weak}\n");
    let (code, text) = cluster.play(&make(&weakly), &[])?;
    if text.contains(weak) {
        return Err(format!("a token is told:\n{text}"));
    }
    expect(
        (code, text),
        2,
        &["configmaps", "not-mine", "forbidden", "kube-system"],
    )?;
    let made = || cluster.kubectl(&["get", "cm", "-n", "kube-system", "-o", "name"]);
    if made()?.contains("not-mine") {
        return Err("it was made all the same".to_owned());
    }
    expect(cluster.play(&make(""), &[])?, 0, &["changed=1"])?;
    expect(cluster.play(&make(""), &[])?, 0, &["changed=0"])?;
    match begin.elapsed() > Duration::from_secs(60) {
        true => Err(format!("after {:?}", begin.elapsed())),
        false => Ok(()),
    }
}

fn budget(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "ns", "budget"])?;
    let set = r#"
- kubernetes.core.k8s:
    wait: true
    wait_sleep: 1
    definition:
      - {apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: keep-one, namespace: budget}, spec: {minAvailable: 1, selector: {matchLabels: {app: held}}}}
      - {apiVersion: apps/v1, kind: Deployment, metadata: {name: held, namespace: budget}, spec: {replicas: 1, selector: {matchLabels: {app: held}}, template: {metadata: {labels: {app: held}}, spec: {containers: [{name: c, image: i}]}}}}
"#;
    expect(cluster.play(set, &[])?, 0, &["changed=1"])?;
    let known = |path: &str| cluster.kubectl(&["get", "pdb,pods", "-n", "budget", "-o", path]);
    crate::harness::scenario::eventually(
        "the budget knows its pod",
        Duration::from_secs(30),
        || Ok(known("jsonpath={.items[*].status.currentHealthy}")?.contains('1')),
    )?;
    let drain = |limit: u32| {
        format!(
            "- kubernetes.core.k8s_drain: {{name: fake-0, pod_selectors: [app=held], delete_options: {{wait_timeout: {limit}, wait_sleep: 1}}}}\n"
        )
    };
    let uncordon = "- kubernetes.core.k8s_drain: {name: fake-0, state: uncordon}\n";
    let begin = Instant::now();
    let told = cluster.play(&drain(4), &[])?;
    let took = begin.elapsed();
    expect(
        told,
        2,
        &[
            "Failed to delete pod budget/held-",
            "disruption budget",
            "The disruption budget keep-one needs 1 healthy pods and has 1 currently",
        ],
    )?;
    if took < Duration::from_secs(4) || took > Duration::from_secs(60) {
        return Err(format!("it waited {took:?}"));
    }
    let pods = cluster.kubectl(&["get", "pods", "-n", "budget", "-o", "name"])?;
    if pods.lines().count() != 1 {
        return Err(format!("not one pod: {pods}"));
    }
    expect(cluster.play(uncordon, &[])?, 0, &["changed=1"])?;
    // Another pod gets ready meanwhile, so the first may go.
    std::thread::scope(|scope| {
        let draining = scope.spawn(|| cluster.play(&drain(60), &[]));
        std::thread::sleep(Duration::from_secs(3));
        let still = !draining.is_finished();
        // Where the node takes no pods, there is none to take over; so the budget goes.
        cluster.kubectl(&["delete", "pdb", "keep-one", "-n", "budget"])?;
        let drained = draining
            .join()
            .map_err(|_| "the drain ended unexpectedly")?;
        expect(drained?, 0, &["changed=1"])?;
        match still {
            true => Ok(()),
            false => Err("it did not wait for the budget".to_owned()),
        }
    })?;
    expect(cluster.play(uncordon, &[])?, 0, &["changed=1"])
}

/// Forwards connections to the server until it is told to end.
fn forward(to: &str) -> Result<(u16, Arc<AtomicBool>), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|fault| fault.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|fault| fault.to_string())?
        .port();
    let ended = Arc::new(AtomicBool::new(false));
    let (to, flag) = (to.to_owned(), Arc::clone(&ended));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if flag.load(Ordering::Relaxed) {
                return;
            }
            let Ok(server) = TcpStream::connect(&to) else {
                return;
            };
            for (from, into) in [(&stream, &server), (&server, &stream)] {
                let (Ok(mut from), Ok(mut into)) = (from.try_clone(), into.try_clone()) else {
                    return;
                };
                let flag = Arc::clone(&flag);
                let _ = from.set_read_timeout(Some(Duration::from_millis(100)));
                std::thread::spawn(move || {
                    let mut bytes = [0; 16_384];
                    while !flag.load(Ordering::Relaxed) {
                        match from.read(&mut bytes) {
                            Ok(0) => break,
                            Ok(count) if into.write_all(&bytes[..count]).is_ok() => {}
                            Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => {}
                            _ => break,
                        }
                    }
                    let _ = into.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    Ok((port, ended))
}

fn gone(cluster: &Cluster) -> Result<(), String> {
    cluster.kubectl(&["create", "ns", "gone"])?;
    let (port, ended) = forward(&format!("127.0.0.1:{}", cluster.port))?;
    let slow = deployment("slow", "img:missing").replace("namespace: roll", "namespace: gone");
    let task = format!(
        "- kubernetes.core.k8s:\n    host: 'https://127.0.0.1:{port}'\n    wait: true\n    wait_sleep: 1\n    wait_timeout: 6\n    definition: {slow}\n"
    );
    let begin = Instant::now();
    let watch = Arc::clone(&ended);
    let cut = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        watch.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", port));
    });
    let result = cluster.play(&task, &[]);
    let _ = cut.join();
    expect(
        result?,
        2,
        &["Timed out waiting on resource", "slow", "cannot be reached"],
    )?;
    match begin.elapsed() > Duration::from_secs(30) {
        true => Err(format!("after {:?}", begin.elapsed())),
        false => Ok(()),
    }
}

fn kubeconfigs(cluster: &Cluster) -> Result<(), String> {
    let text = cluster.read("run/kubeconfig")?;
    let token = cluster.read("run/token")?;
    let token = token.trim();
    let yaml: String = text.lines().map(|line| format!("      {line}\n")).collect();
    let head = "apiVersion: v1\nkind: Config\n";
    let clusters = text
        .lines()
        .find(|line| line.starts_with("clusters:"))
        .unwrap_or_default();
    cluster.write(
        "one",
        &format!("{head}{clusters}\nusers: []\ncontexts: []\n"),
    )?;
    let helper = format!(
        "#!/bin/sh\necho '{{\"apiVersion\": \"client.authentication.k8s.io/v1beta1\", \"kind\": \"ExecCredential\", \"status\": {{\"token\": \"{token}\"}}}}'\n"
    );
    cluster.write("helper", &helper)?;
    let done = Command::new("chmod")
        .args(["700", "helper"])
        .current_dir(cluster.folder.path())
        .status();
    done.map_err(|fault| fault.to_string())?;
    let helper = cluster.file("helper").display().to_string();
    cluster.write("two", &format!("{head}clusters: []\nusers: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1beta1, command: {helper}}}}}}}]\ncontexts: [{{name: c, context: {{cluster: lab, user: u}}}}]\ncurrent-context: c\n"))?;
    let (one, two) = (cluster.file("one"), cluster.file("two"));
    let ca = cluster.file("run/ca.crt");
    let (one, two, ca, port) = (one.display(), two.display(), ca.display(), &cluster.port);
    let tasks = format!(
        "- kubernetes.core.k8s_info:\n    kind: Namespace\n    kubeconfig:\n{yaml}\
- kubernetes.core.k8s_info: {{kind: Namespace, kubeconfig: '{one}:{two}'}}
- kubernetes.core.k8s_info: {{kind: Namespace}}
  environment: {{K8S_AUTH_HOST: 'https://127.0.0.1:{port}', K8S_AUTH_API_KEY: {token}, K8S_AUTH_SSL_CA_CERT: '{ca}'}}
- kubernetes.core.k8s_info: {{kind: Namespace}}
  environment: {{K8S_AUTH_HOST: 'https://127.0.0.1:{port}', K8S_AUTH_API_KEY: {token}, K8S_AUTH_VERIFY_SSL: 'no'}}
- kubernetes.core.k8s_info: {{kind: Namespace, impersonate_user: weak}}
  register: refused
  failed_when: \"'forbidden' not in refused.msg\"
- kubernetes.core.k8s_info: {{kind: Namespace, proxy: 'http://127.0.0.1:1', no_proxy: 'example.org, 127.0.0.0/8'}}
- kubernetes.core.k8s_info: {{kind: Namespace, proxy: 'http://127.0.0.1:1'}}
  register: refused
  failed_when: \"'the proxy 127.0.0.1:1: Connection refused' not in refused.msg\"
"
    );
    let group = "- hosts: localhost\n  gather_facts: false\n  module_defaults:\n    group/k8s: {context: lab}\n    group/kubernetes.core.k8s: {namespace: nowhere}\n  tasks:\n    - kubernetes.core.k8s_info: {kind: ConfigMap}\n      register: seen\n    - assert: {that: 'seen.resources == []'}\n";
    let (code, text) = cluster.play(&tasks, &[])?;
    if text.contains(token) {
        return Err("a token is told".to_owned());
    }
    expect((code, text), 0, &["ok=7", "failed=0"])?;
    cluster.write("group.yml", group)?;
    expect(
        finish(&mut cluster.rplay(cluster.folder.path(), &["group.yml"]))?,
        0,
        &["ok=2", "failed=0"],
    )?;
    in_a_pod(cluster, token)
}

/// Where a pod has its service account, no kubeconfig is needed.
fn in_a_pod(cluster: &Cluster, token: &str) -> Result<(), String> {
    cluster.write(
        "pod.yml",
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - kubernetes.core.k8s_info: {kind: Namespace}\n      register: r\n    - debug: msg=\"{{ r.resources | length > 1 }} {{ query('kubernetes.core.k8s', kind='Namespace') | length > 1 }}\"\n",
    )?;
    let script = "mount -t tmpfs none /run && d=/run/secrets/kubernetes.io/serviceaccount && mkdir -p $d && cp run/token run/ca.crt $d/ && printf default >$d/namespace && exec \"$@\"";
    let plain = cluster.rplay(cluster.folder.path(), &["pod.yml"]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(cluster.folder.path());
    for (name, value) in plain.get_envs() {
        match value.filter(|_| name != "KUBECONFIG") {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", &cluster.port);
    let (code, text) = finish(&mut command)?;
    if text.contains(token) {
        return Err("a token is told".to_owned());
    }
    expect((code, text), 0, &["\"msg\": \"True True\"", "failed=0"])
}

fn over_ssh(cluster: &Cluster) -> Result<(), String> {
    let server =
        crate::ssh::Server::start(&cluster.root).map_err(|reason| format!("skip: {reason}"))?;
    // The certificates are files beside it there.
    let folder = server.file("kube");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    for name in ["ca.crt", "admin.crt", "admin.key"] {
        let copied = std::fs::copy(cluster.file("run").join(name), folder.join(name));
        copied.map_err(|fault| fault.to_string())?;
    }
    let config = |port: &str| {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: lab, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: ca.crt}}}}]\nusers: [{{name: admin, user: {{client-certificate: admin.crt, client-key: admin.key}}}}]\ncontexts: [{{name: lab, context: {{cluster: lab, user: admin}}}}]\ncurrent-context: lab\n"
        )
    };
    for (name, port) in [("config", cluster.port.as_str()), ("none", "1")] {
        std::fs::write(folder.join(name), config(port)).map_err(|fault| fault.to_string())?;
    }
    let folder = folder.display();
    let done = Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(folder.to_string())
        .status();
    done.map_err(|fault| fault.to_string())?;
    let play = format!(
        "- hosts: all
  gather_facts: false
  environment: {{KUBECONFIG: {folder}/config}}
  tasks:
    - kubernetes.core.k8s: {{kind: Namespace, name: over-ssh}}
    - kubernetes.core.k8s:
        wait: true
        wait_sleep: 1
        definition: {{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: over-ssh}}, spec: {{containers: [{{name: c, image: i}}]}}}}
    - kubernetes.core.k8s_exec: {{pod: p, namespace: over-ssh, command: echo far away}}
      register: ran
    - assert: {{that: \"ran.stdout == 'far away\\n'\"}}
    - kubernetes.core.k8s_info: {{kind: Pod, namespace: over-ssh, kubeconfig: {folder}/none}}
      register: refused
      failed_when: \"'the host cannot reach 127.0.0.1:1' not in refused.msg\"
"
    );
    cluster.write("far.yml", &play)?;
    cluster.write("far.ini", &format!("{}\n", server.host("far")))?;
    let ssh = format!(
        "-F none -o UserKnownHostsFile={}",
        server.file("known_hosts").display()
    );
    let words = ["far.yml", "-i", "far.ini", "--ssh-common-args", &ssh];
    expect(
        finish(&mut scenario::command(
            cluster.folder.path(),
            cluster.folder.path(),
            &words,
        ))?,
        0,
        &["ok=5", "changed=3", "failed=0"],
    )
}
