//! Fifty objects that are as they shall be: `k8s` of rplay beside that of Ansible, on one cluster of its own.
//!
//! `cargo bench --bench kubernetes [-- OPTIONS]`, as root, with `KUBEBUILDER_ASSETS` as for the tests, and with
//! `ansible-playbook` that has the collection `kubernetes.core` in the path, or its path in `$ANSIBLE_BIN`.
//!
//! * `--runs N`: how often each runs, in turn (3).
//! * `--save`: writes `benches/kubernetes/results/DATE.md`, and each run to `DATE.ndjson`.
//!
//! `$RPLAY_BINARY` is another rplay. Requests are counted in the server's audit log, by the client's name.

#![expect(
    clippy::print_stderr,
    reason = "a bench tells its errors on standard error"
)]

#[path = "../compare/group.rs"]
#[expect(dead_code, reason = "nothing is left running that must be ended")]
mod group;
#[path = "../images/rounds.rs"]
mod rounds;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs};

use group::Group;
use rounds::{Options, median, text, today};

/// The objects, one by one and all in one task.
const PLAYS: [(&str, &str); 2] = [
    (
        "a task for each",
        "    - kubernetes.core.k8s: {apply: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: 'one-{{ item }}', namespace: default}, data: {word: 'w{{ item }}'}}}\n      loop: '{{ range(50) | list }}'\n",
    ),
    (
        "one task for all",
        "    - kubernetes.core.k8s: {apply: true, definition: \"{{ lookup('template', 'all.yml.j2') | from_yaml_all | list }}\"}\n",
    ),
];

const ALL: &str = "{% for item in range(50) %}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: all-{{ item }}, namespace: default}, data: {word: w{{ item }}}}\n{% endfor %}\n";

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
    /// Requests about kinds, and about objects.
    kinds: usize,
    objects: usize,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("kubernetes: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// A control plane of the tests.
struct Cluster {
    process: Child,
    folder: PathBuf,
}

impl Cluster {
    fn start(folder: PathBuf) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(root.join("tests/components/cluster.sh"))
            .arg(folder.join("run"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut port = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut port).map_err(text)?;
        }
        match port.trim().is_empty() {
            true => Err("cluster.sh does not start".to_owned()),
            false => Ok(Self { process, folder }),
        }
    }

    /// The requests of clients so far: about kinds, and about objects.
    fn requests(&self) -> Result<(usize, usize), String> {
        let log = fs::read_to_string(self.folder.join("run/audit.log")).map_err(text)?;
        let own = |line: &&str| {
            ["rplay/", "OpenAPI-Generator"]
                .iter()
                .any(|name| line.contains(name))
        };
        let about = |line: &&str| line.contains("/configmaps");
        let lines: Vec<&str> = log.lines().filter(own).collect();
        let objects = lines.iter().filter(|line| about(line)).count();
        Ok((lines.len() - objects, objects))
    }

    fn run(&self, program: &Path, play: usize, unchanged: bool) -> Result<Cost, String> {
        let before = self.requests()?;
        let group = Group::new("kubernetes")?;
        let mut command = group.command();
        command
            .arg(program)
            .args([
                format!("play-{play}.yml"),
                "-i".to_owned(),
                "localhost,".to_owned(),
            ])
            .args(["-c", "local"])
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("KUBECONFIG", self.folder.join("run/kubeconfig"))
            .env("ANSIBLE_NOCOLOR", "1")
            .stdin(Stdio::null());
        // Modules in Python need the libraries that stand beside Ansible.
        let python = program.with_file_name("python3");
        if python.exists() {
            let variable = format!("ansible_python_interpreter={}", python.display());
            command.args(["-e", &variable]);
        }
        let begin = Instant::now();
        let output = command.output().map_err(text)?;
        let wall_ms = begin.elapsed().as_secs_f64() * 1e3;
        let cpu_ms = group.cpu()?.as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stdout);
        let as_wished = !unchanged || said.contains("changed=0");
        if !output.status.success() || !as_wished {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {said}{told}", program.display()));
        }
        let after = self.requests()?;
        Ok(Cost {
            cpu_ms,
            wall_ms,
            kinds: after.0 - before.0,
            objects: after.1 - before.1,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The program of a variable, or of the path.
fn found(variable: &str, name: &str) -> Result<PathBuf, String> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    let known = env::var_os("PATH").unwrap_or_default();
    let mut all = env::split_paths(&known).map(|folder| folder.join(name));
    let found = all.find(|path| path.exists());
    found.ok_or_else(|| format!("needs {name} in the path, or its path in ${variable}"))
}

fn measure() -> Result<(), String> {
    let options = Options::read(3)?;
    let (runs, rplay) = (options.runs, &options.rplay);
    let ansible = found("ANSIBLE_BIN", "ansible-playbook")?;
    let folder = tempfile::tempdir().map_err(text)?;
    let cluster = Cluster::start(folder.path().to_owned())?;
    for (number, (_, tasks)) in PLAYS.iter().enumerate() {
        let play = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        fs::write(cluster.folder.join(format!("play-{number}.yml")), play).map_err(text)?;
    }
    fs::write(cluster.folder.join("all.yml.j2"), ALL).map_err(text)?;
    let mut rows = vec![];
    let mut raw = String::new();
    for (number, (play, _)) in PLAYS.iter().enumerate() {
        // The objects are made, and each client finds them as they shall be.
        cluster.run(rplay, number, false)?;
        cluster.run(&ansible, number, false)?;
        let mut both = [vec![], vec![]];
        for run in 0..runs {
            for (program, costs) in [("rplay", rplay), ("ansible", &ansible)]
                .into_iter()
                .zip(&mut both)
            {
                let cost = cluster.run(program.1, number, true)?;
                let _ = writeln!(
                    raw,
                    "{{\"play\":\"{play}\",\"program\":\"{}\",\"run\":{run},\"cpu_ms\":{:.0},\"wall_ms\":{:.0},\"requests_kinds\":{},\"requests_objects\":{}}}",
                    program.0, cost.cpu_ms, cost.wall_ms, cost.kinds, cost.objects
                );
                costs.push(cost);
            }
        }
        rows.push((*play, both));
    }
    let page = page(runs, rplay, &ansible, &rows)?;
    options.tell("kubernetes", &page, &raw)
}

/// The first line that a program prints of its version.
fn version(program: &Path) -> Result<String, String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(text)?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

/// The version of `kubernetes.core` that Ansible finds.
fn collection(ansible: &Path) -> Result<String, String> {
    let output = Command::new(ansible.with_file_name("ansible-galaxy"))
        .args(["collection", "list", "kubernetes.core"])
        .output()
        .map_err(text)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.starts_with("kubernetes.core"));
    Ok(line
        .unwrap_or("kubernetes.core, version unknown")
        .trim()
        .to_owned())
}

type Row = (&'static str, [Vec<Cost>; 2]);

fn page(runs: usize, rplay: &Path, ansible: &Path, rows: &[Row]) -> Result<String, String> {
    let day = today();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut page = format!(
        "# Fifty objects that are as they shall be, {day}\n\n\
         Written by `cargo bench --bench kubernetes -- --save`. Medians of {runs} runs, one after the other in turn, on the \
         machine of the API server (Kubernetes 1.20.2, etcd and controllers on its loopback); the raw figures are in the file \
         beside this one. CPU is user and system time of all processes of the client, from its start to its end; requests \
         are those of the server's audit log.\n\n\
         * rplay: {}\n* Ansible: {}, {}\n* load at the end: {}\n\n\
         | | | CPU s | time s | requests about kinds | about objects |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
        version(rplay)?,
        version(ansible)?,
        collection(ansible)?,
        load.trim()
    );
    let mut more = String::new();
    for (play, both) in rows {
        let mut cpu = [0.0; 2];
        for ((program, costs), cpu) in ["rplay", "Ansible"].into_iter().zip(both).zip(&mut cpu) {
            let middle = |part: &dyn Fn(&Cost) -> f64| median(costs.iter().map(part));
            *cpu = middle(&|cost| cost.cpu_ms);
            let _ = writeln!(
                page,
                "| {play} | {program} | {:.3} | {:.2} | {:.0} | {:.0} |",
                *cpu / 1e3,
                middle(&|cost| cost.wall_ms) / 1e3,
                middle(&|cost| cost.kinds as f64),
                middle(&|cost| cost.objects as f64)
            );
        }
        let _ = writeln!(
            more,
            "* {play}: Ansible takes {:.0} times the CPU time.",
            cpu[1] / cpu[0]
        );
    }
    Ok(format!("{page}\n{more}"))
}
