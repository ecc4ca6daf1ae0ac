//! Pulling an image and writing its SIF file: rplay itself beside `apptainer pull`, on one host, from one registry.
//!
//! `cargo bench --bench images [-- OPTIONS]`, as root; `tests/run` has made the tree of the host before
//! (`tests/components/root.sh`).
//!
//! * `--runs N`: how often each runs, in turn (5).
//! * `--save`: writes `benches/images/results/DATE.md`, and each run to `DATE.ndjson`.
//!
//! `$RPLAY_BINARY` is another rplay. The image has two layers of the host's own files. Each run of a first
//! pull begins without the file and without a cache; that of a second one has both.

#![expect(
    clippy::print_stderr,
    reason = "a bench tells its errors on standard error"
)]

#[path = "../compare/group.rs"]
#[expect(dead_code, reason = "nothing is left running that must be ended")]
mod group;
mod rounds;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs, thread};

use group::Group;
use rounds::{Options, median, text, today};

/// Makes the image, as an archive of Docker, and starts a registry with it.
const PREPARE: &str = r#"
mkdir -p /srv/make
cd /srv/make
tar cf one.tar -C / bin lib lib64 sbin usr/lib/x86_64-linux-gnu usr/lib64
tar cf two.tar -C / usr/bin etc/ssl
ids=
for layer in one two; do ids="$ids,\"sha256:$(sha256sum $layer.tar | cut -d' ' -f1)\""; done
echo '{"architecture":"amd64","os":"linux","config":{"Cmd":["/usr/bin/true"]},
    "rootfs":{"type":"layers","diff_ids":['"${ids#,}"']}}' >config.json
echo '[{"Config":"config.json","RepoTags":["bench:1"],"Layers":["one.tar","two.tar"]}]' >manifest.json
tar cf image.tar config.json one.tar two.tar manifest.json
cat >/srv/registry.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /srv/registry}}
http: {addr: "127.0.0.1:5000"}
log: {level: error}
END
setsid docker-registry serve /srv/registry.yml </dev/null >/var/log/registry.log 2>&1 &
until skopeo copy --quiet --insecure-policy --dest-tls-verify=false docker-archive:image.tar docker://127.0.0.1:5000/bench:1; do
    sleep 0.2
done
rm -r /srv/make
du -sb /srv/registry | cut -f1
"#;

/// What is measured: a name, what is done before, and the command.
const LOADS: [(&str, &str, &str); 4] = [
    (
        "rplay, first",
        "rm -rf /srv/out; mkdir /srv/out",
        "/srv/rplay adhoc localhost -i localhost, -c local -m singularity -a 'image=docker://127.0.0.1:5000/bench:1 dest=/srv/out/native.sif state=latest'",
    ),
    (
        "apptainer pull, first",
        "rm -rf /srv/cache",
        "apptainer pull -F /srv/out/program.sif docker://127.0.0.1:5000/bench:1",
    ),
    (
        "rplay, again",
        "true",
        "/srv/rplay adhoc localhost -i localhost, -c local -m singularity -a 'image=docker://127.0.0.1:5000/bench:1 dest=/srv/out/native.sif state=latest'",
    ),
    (
        "apptainer pull, again",
        "true",
        "apptainer pull -F /srv/out/program.sif docker://127.0.0.1:5000/bench:1",
    ),
];

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
    /// The most memory of all processes together, in KiB: their own pages, and their part of shared ones.
    memory: u64,
    /// Bytes over the host's loopback, both directions of both ends.
    moved: u64,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("images: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// A host of the tests.
struct Host {
    process: Child,
    first: String,
}

impl Host {
    fn start(folder: &Path) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components/hpc");
        if !tree.join(".built").exists() {
            return Err("needs the tree that tests/components/root.sh builds".to_owned());
        }
        let mut process = Command::new(root.join("tests/components/host.sh"))
            .arg(folder.join("host"))
            .arg(tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(text)?;
        }
        let first = line.split_whitespace().nth(2);
        let first = first.ok_or("host.sh does not start")?.to_owned();
        Ok(Self { process, first })
    }

    /// A command that runs a script inside.
    fn enter(&self, mut command: Command, script: &str) -> Command {
        command
            .args([
                "nsenter",
                "-t",
                &self.first,
                "-a",
                "--",
                "sh",
                "-euc",
                script,
            ])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("APPTAINER_NOHTTPS", "true")
            .env("APPTAINER_CACHEDIR", "/srv/cache")
            .stdin(Stdio::null());
        command
    }

    fn inside(&self, script: &str) -> Result<String, String> {
        let output = self
            .enter(Command::new("env"), script)
            .output()
            .map_err(text)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(format!(
                "`{script}`: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    fn moved(&self) -> Result<u64, String> {
        let bytes = self.inside("cat /sys/class/net/lo/statistics/rx_bytes")?;
        bytes.parse().map_err(text)
    }

    fn run(&self, (name, before, script): (&str, &str, &str)) -> Result<Cost, String> {
        self.inside(before)?;
        let moved = self.moved()?;
        let group = Group::new("images")?;
        let mut command = self.enter(group.command(), script);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let mut child = command.spawn().map_err(text)?;
        let mut memory = 0;
        let status = loop {
            let all = group.processes();
            memory = memory.max(
                all.iter()
                    .map(|process| pages(process.as_raw_nonzero().get()))
                    .sum(),
            );
            if let Some(status) = child.try_wait().map_err(text)? {
                break status;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        };
        let wall_ms = begin.elapsed().as_secs_f64() * 1e3;
        let cpu_ms = group.cpu()?.as_secs_f64() * 1e3;
        if !status.success() {
            return Err(format!("{name} ends with {status}"));
        }
        let moved = self.moved()?.saturating_sub(moved);
        Ok(Cost {
            cpu_ms,
            wall_ms,
            memory,
            moved,
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The memory of a process, in KiB.
fn pages(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn measure() -> Result<(), String> {
    let options = Options::read(5)?;
    let runs = options.runs;
    let folder = tempfile::tempdir().map_err(text)?;
    let host = Host::start(folder.path())?;
    let inside = format!("/proc/{}/root/srv/rplay", host.first);
    fs::copy(&options.rplay, inside).map_err(text)?;
    let stored = host.inside(PREPARE)?;
    let mut costs = vec![Vec::new(); LOADS.len()];
    let mut raw = String::new();
    for run in 0..runs {
        for (load, costs) in LOADS.into_iter().zip(&mut costs) {
            let cost = host.run(load)?;
            let _ = writeln!(
                raw,
                "{{\"load\":\"{}\",\"run\":{run},\"cpu_ms\":{:.0},\"wall_ms\":{:.0},\"memory_kib\":{},\"bytes_moved\":{}}}",
                load.0, cost.cpu_ms, cost.wall_ms, cost.memory, cost.moved
            );
            costs.push(cost);
        }
    }
    let sizes = host.inside("stat -c '%n %s' /srv/out/*.sif")?;
    // That each is what it should be, Apptainer says.
    host.inside("for sif in /srv/out/*.sif; do apptainer run $sif; done")?;
    let facts = [
        ("image in the registry", format!("{stored} bytes")),
        ("files", sizes.replace('\n', ", ")),
        ("apptainer", host.inside("apptainer --version")?),
        ("rplay", host.inside("/srv/rplay --version | head -n 1")?),
        (
            "load at the end",
            fs::read_to_string("/proc/loadavg").unwrap_or_default(),
        ),
    ];
    let page = page(runs, &facts, &costs);
    options.tell("images", &page, &raw)
}

fn page(runs: usize, facts: &[(&str, String)], costs: &[Vec<Cost>]) -> String {
    let day = today();
    let mut page = format!(
        "# Pulling an image beside `apptainer pull`, {day}\n\n\
         Written by `cargo bench --bench images -- --save`. Medians of {runs} runs, one after the other in turn, on one host \
         from a registry on its loopback, over plain HTTP; the raw figures are in the file beside this one. CPU is user and \
         system time of all processes of the client, memory the most that all of them together had at one time, bytes those \
         on the wire in both directions.\n\n"
    );
    for (key, value) in facts {
        let _ = writeln!(page, "* {key}: {}", value.trim());
    }
    page += "\n| | CPU s | time s | MiB | bytes moved |\n| --- | ---: | ---: | ---: | ---: |\n";
    for ((name, ..), costs) in LOADS.iter().zip(costs) {
        let middle = |part: &dyn Fn(&Cost) -> f64| median(costs.iter().map(part));
        let _ = writeln!(
            page,
            "| {name} | {:.2} | {:.2} | {:.1} | {:.0} |",
            middle(&|cost| cost.cpu_ms) / 1e3,
            middle(&|cost| cost.wall_ms) / 1e3,
            middle(&|cost| cost.memory as f64) / 1024.0,
            middle(&|cost| cost.moved as f64)
        );
    }
    page
}
