//! The integration tests: every case of `tests/cases/**/*.md`, and the invariants of the tree.
//!
//! `cargo test --test suite [-- WORDS]` runs the cases whose names contain one of the words.
//! See CONTRIBUTING.md for the format of a page and for the ways to record expectations.

#![expect(
    clippy::print_stdout,
    reason = "a test harness reports on standard output"
)]

mod harness {
    pub(crate) mod added;
    pub(crate) mod argv;
    pub(crate) mod case;
    pub(crate) mod faulty;
    pub(crate) mod forge;
    pub(crate) mod http;
    pub(crate) mod mask;
    pub(crate) mod memory;
    pub(crate) mod page;
    pub(crate) mod parity;
    pub(crate) mod picture;
    pub(crate) mod proxy;
    pub(crate) mod recorded;
    pub(crate) mod scenario;
    pub(crate) mod snapshot;
    pub(crate) mod stages;
    pub(crate) mod stand_in;
    pub(crate) mod turns;
}
mod arguments;
mod browser;
mod crash;
mod docker;
mod facts;
mod faults;
mod fuzz;
mod hosts;
mod inside;
mod kubernetes;
mod live;
mod pipelines;
mod plan;
mod planted;
mod podman;
mod program;
mod records;
mod review;
mod rollback;
mod ssh;
mod systems;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use harness::page::Page;
use harness::stages::{Mode, Verdict};

/// What each test came to, by its name.
type Results = Vec<(String, Verdict)>;

/// Scenarios that need something of their own: given the checkout and which names are asked for.
type Scenarios = fn(&Path, &dyn Fn(&str) -> bool) -> Results;

/// One piece of work, which one thread does alone.
enum Job {
    Scenarios(&'static str, Scenarios),
    Page(PathBuf),
}

/// The scenarios, those that take longest first.
const SCENARIOS: [(&str, Scenarios); 21] = [
    ("ssh", ssh::all),
    ("faults", faults::all),
    ("program", program::all),
    ("systems", systems::all),
    ("kubernetes", kubernetes::all),
    ("docker", docker::all),
    ("hosts", hosts::all),
    ("inside", inside::all),
    ("podman", podman::all),
    ("plan", |_, wanted| plan::all(wanted)),
    ("planted", |_, wanted| planted::all(wanted)),
    ("records", |_, wanted| records::all(wanted)),
    ("rollback", |_, wanted| rollback::all(wanted)),
    ("browser", browser::all),
    ("review", |_, wanted| review::all(wanted)),
    ("pipelines", pipelines::all),
    ("crash", |_, wanted| crash::all(wanted)),
    ("facts", facts::all),
    ("arguments", arguments::all),
    ("fuzz", fuzz::all),
    ("tidy", rules),
];

/// What the threads share: jobs still to do, what came out, and how long each took in seconds.
#[derive(Default)]
struct Work {
    jobs: Vec<Job>,
    results: Results,
    times: Vec<(f64, String)>,
}

fn main() -> ExitCode {
    if let Some(code) = harness::memory::agent() {
        return code;
    }
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let begin = Instant::now();
    let mode = Mode::from_environment();
    let (mut results, times) = run_jobs(root, &words, &mode);
    if let Mode::Differential(Some(ansible)) = &mode {
        results.extend(live::all(root, ansible, &|name| wanted(name, &words)));
    }
    let counts = match mode {
        Mode::Differential(_) => harness::parity::table() + &live::table(),
        _ => format!("{}\n{}", harness::stages::counts(), slowest(times)),
    };
    summary(results, &counts, begin)
}

/// Whether a case is asked for by the words of the command line.
fn wanted(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

/// The rules of the tree and of the harness itself.
fn rules(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Results {
    let rules = tidy::all(root).into_iter().chain(harness::added::all());
    rules.filter(|(name, _)| wanted(name)).collect()
}

/// Runs scenarios and pages on all processors; answers with the results in order, and the times.
fn run_jobs(root: &Path, words: &[String], mode: &Mode) -> (Results, Vec<(f64, String)>) {
    // The threads take from the end.
    let mut jobs: Vec<Job> = pages(&root.join("tests/cases"))
        .into_iter()
        .map(Job::Page)
        .collect();
    if *mode == Mode::Verify {
        let scenarios = SCENARIOS.into_iter().rev();
        jobs.extend(scenarios.map(|(name, run)| Job::Scenarios(name, run)));
    }
    let work = Mutex::new(Work {
        jobs,
        ..Work::default()
    });
    // Half of the time is waiting, for servers and for what must not come too early.
    let threads = thread::available_parallelism().map_or(2, |count| count.get() + 1);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(job) = work.lock().ok().and_then(|mut work| work.jobs.pop()) else {
                        return;
                    };
                    let begin = Instant::now();
                    let (name, done) = match job {
                        Job::Scenarios(name, run) => {
                            (name.to_owned(), run(root, &|name| wanted(name, words)))
                        }
                        Job::Page(path) => {
                            let name = page_name(root, &path);
                            let done = run_page(&path, &name, words, mode);
                            (name, done)
                        }
                    };
                    if let Ok(mut work) = work.lock() {
                        work.results.extend(done);
                        work.times.push((begin.elapsed().as_secs_f64(), name));
                    }
                }
            });
        }
    });
    let mut work = work.into_inner().unwrap_or_default();
    work.results
        .sort_by(|(left, _), (right, _)| left.cmp(right));
    (work.results, work.times)
}

/// Where the time went.
fn slowest(mut times: Vec<(f64, String)>) -> String {
    times.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let lines = times.iter().take(15);
    let lines: Vec<String> = lines
        .map(|(seconds, name)| format!("{name} {seconds:.0} s"))
        .collect();
    format!("slowest: {}", lines.join(", "))
}

/// The page's path below `tests/cases`, without its ending.
fn page_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root.join("tests/cases")).unwrap_or(path);
    below.with_extension("").display().to_string()
}

/// All pages, the last in the alphabet first.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    found.sort();
    found.reverse();
    found
}

fn run_page(path: &Path, name: &str, words: &[String], mode: &Mode) -> Results {
    let mut page = match Page::read(path) {
        Ok(page) => page,
        Err(reason) => return vec![(name.to_string(), Verdict::Failed(reason))],
    };
    let mut results = Vec::new();
    for index in 0..page.cases.len() {
        let full = format!("{name}::{}", page.cases[index].title);
        if !wanted(&full, words) {
            continue;
        }
        let verdict = harness::stages::run(&mut page, index, name, mode);
        results.push((full, verdict));
    }
    if !matches!(mode, Mode::Verify | Mode::Differential(_))
        && let Err(reason) = page.write()
    {
        results.push((name.to_string(), Verdict::Failed(reason)));
    }
    results
}

/// Prints each result and the totals.
fn summary(results: Results, counts: &str, begin: Instant) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for (name, verdict) in results {
        match verdict {
            Verdict::Passed => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Verdict::Skipped(reason) => {
                println!("test {name} ... skipped, {reason}");
                skipped += 1;
            }
            Verdict::Failed(reason) => {
                println!("test {name} ... FAILED");
                failed.push((name, reason));
            }
        }
    }
    for (name, reason) in &failed {
        println!("\n---- {name} ----\n{reason}");
    }
    println!("\n{counts}");
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed, {} failed, {skipped} skipped; finished in {:.1}s\n",
        failed.len(),
        begin.elapsed().as_secs_f64()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
