//! Hands the engine's inputs to the target that `RPLAY_FUZZ` names.
#![no_main]

mod shapes;
mod targets;

use std::sync::LazyLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use targets::{TARGETS, Target};

/// How much time of the processor an input may take. Builds for fuzzing are a few times slower than
/// others, and what is slower than a second for a user is a finding.
const LIMIT: Duration = Duration::from_secs(3);

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("RPLAY_FUZZ").unwrap_or_default();
    let named = TARGETS.iter().find(|target| target.name == name);
    named.unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("RPLAY_FUZZ has to be one of {}", names.join(", "))
    })
});

/// The time that this thread has had of the processor: how busy the machine is makes no difference.
fn spent() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn timed(data: &[u8]) -> Duration {
    let begin = spent();
    (TARGET.run)(data);
    spent().saturating_sub(begin)
}

/// Instead of fuzzing, runs the inputs of `shapes.rs`, as long as `RPLAY_FUZZ_SIZE` says.
fn sizes() {
    let size = std::env::var("RPLAY_FUZZ_SIZE").ok();
    let Some(size) = size.and_then(|size| size.parse().ok()) else {
        return;
    };
    for (name, data) in shapes::shapes(TARGET.name, size) {
        eprint!("{} bytes, {name}: ", data.len());
        eprintln!("{:?}", timed(&data));
    }
    std::process::exit(0);
}

libfuzzer_sys::fuzz_target!(init: sizes(), |data: &[u8]| {
    let took = timed(data);
    assert!(took < LIMIT, "the input took {took:?}");
});
