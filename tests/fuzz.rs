//! The corpora of `fuzz/` and inputs of many shapes through every target: nothing may panic or take long.

#[path = "../fuzz/src/shapes.rs"]
mod shapes;
#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::stages::Verdict;
use targets::{TARGETS, Target};

/// The stack of threads in a run.
const STACK: usize = 2 << 20;

/// How long an input may take on a busy machine in a build without optimisation.
const LIMIT: Duration = Duration::from_secs(20);

/// How long the inputs are that are made up.
const SIZE: usize = 10_000;

/// An input: what it is called, and what it is.
type Input = (String, Vec<u8>);

/// Runs every wanted target.
pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let mut results = vec![];
    for target in TARGETS {
        let name = format!("fuzz::the corpus of {}", target.name);
        if wanted(&name) {
            let folder = root.join("fuzz/corpus").join(target.name);
            let verdict = corpus(&folder).and_then(|inputs| run(target, inputs));
            results.push((name, told(verdict)));
        }
        let name = format!("fuzz::shapes for {}", target.name);
        if wanted(&name) {
            let verdict = run(target, shapes::shapes(target.name, SIZE));
            results.push((name, told(verdict)));
        }
    }
    // Nothing was written when no target ran.
    let _ = fs::remove_dir_all(targets::folder());
    results
}

fn told(result: Result<(), String>) -> Verdict {
    result.map_or_else(Verdict::Failed, |()| Verdict::Passed)
}

fn corpus(folder: &Path) -> Result<Vec<Input>, String> {
    let fault = |fault: std::io::Error| format!("{}: {fault}", folder.display());
    let mut inputs = vec![];
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        inputs.push((path.display().to_string(), fs::read(&path).map_err(fault)?));
    }
    Ok(inputs)
}

/// A thread whose stack overflows ends the tests; its name says which input it was.
fn run(target: &Target, inputs: Vec<Input>) -> Result<(), String> {
    let mut failed = vec![];
    for (name, data) in inputs {
        let begin = Instant::now();
        let run = target.run;
        let thread = thread::Builder::new()
            .name(format!("{} with {name}", target.name))
            .stack_size(STACK)
            .spawn(move || run(&data))
            .map_err(|fault| fault.to_string())?;
        if thread.join().is_err() {
            failed.push(format!("{name}: panics"));
        }
        let took = begin.elapsed();
        if took > LIMIT {
            failed.push(format!("{name}: took {took:?}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}
