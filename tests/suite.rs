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
    pub(crate) mod http;
    pub(crate) mod mask;
    pub(crate) mod memory;
    pub(crate) mod page;
    pub(crate) mod parity;
    pub(crate) mod proxy;
    pub(crate) mod scenario;
    pub(crate) mod snapshot;
    pub(crate) mod stages;
}
mod crash;
mod facts;
mod fuzz;
mod hosts;
mod kubernetes;
mod live;
mod program;
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

/// What the threads share: pages still to do, and what came out.
struct Work {
    pages: Vec<PathBuf>,
    results: Vec<(String, Verdict)>,
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
    let mut results = run_pages(root, &words, &mode);
    if mode == Mode::Verify {
        let wanted = |name: &str| wanted(name, &words);
        results.extend(crash::all(&wanted));
        results.extend(facts::all(root, &wanted));
        results.extend(fuzz::all(root, &wanted));
        results.extend(program::all(root, &wanted));
        results.extend(ssh::all(root, &wanted));
        results.extend(systems::all(root, &wanted));
        results.extend(hosts::all(root, &wanted));
        results.extend(kubernetes::all(root, &wanted));
        let rules = tidy::all(root).into_iter().chain(harness::added::all());
        results.extend(rules.filter(|(name, _)| wanted(name)));
    }
    if let Mode::Differential(Some(ansible)) = &mode {
        results.extend(live::all(root, ansible, &|name| wanted(name, &words)));
    }
    let counts = match mode {
        Mode::Differential(_) => harness::parity::table() + &live::table(),
        _ => harness::stages::counts(),
    };
    summary(results, &counts, begin)
}

/// Whether a case is asked for by the words of the command line.
fn wanted(name: &str, words: &[String]) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

fn run_pages(root: &Path, words: &[String], mode: &Mode) -> Vec<(String, Verdict)> {
    let work = Mutex::new(Work {
        pages: pages(&root.join("tests/cases")),
        results: Vec::new(),
    });
    let threads = thread::available_parallelism().map_or(2, |count| count.get().max(2));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(path) = work.lock().ok().and_then(|mut work| work.pages.pop()) else {
                        return;
                    };
                    let name = page_name(root, &path);
                    let done = run_page(&path, &name, words, mode);
                    if let Ok(mut work) = work.lock() {
                        work.results.extend(done);
                    }
                }
            });
        }
    });
    let mut results = work
        .into_inner()
        .map(|work| work.results)
        .unwrap_or_default();
    results.sort_by(|(left, _), (right, _)| left.cmp(right));
    results
}

/// The page's path below `tests/cases`, without its ending.
fn page_name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root.join("tests/cases")).unwrap_or(path);
    below.with_extension("").display().to_string()
}

/// All pages, the last in the alphabet first: the threads take them from the end.
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

fn run_page(path: &Path, name: &str, words: &[String], mode: &Mode) -> Vec<(String, Verdict)> {
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
fn summary(results: Vec<(String, Verdict)>, counts: &str, begin: Instant) -> ExitCode {
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
