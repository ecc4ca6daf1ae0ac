//! `raw`: hands a command line to a shell and returns what it says, nothing more.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::{Command, Machine, Ran};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{map, module};

use super::command::add_lines;

/// Hands a command line to a shell on the targets, for what should work everywhere.
#[derive(ModuleArgs)]
struct Args {
    /// The command line, set by the controller.
    #[arg(name = "_raw_params", required)]
    raw: String,
    /// The shell, by its absolute path.
    executable: Option<String>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The exit code.
    rc: i64,
    /// Standard output.
    stdout: String,
    /// Standard output, line by line.
    stdout_lines: Vec<String>,
    /// Standard error.
    stderr: String,
    /// Standard error, line by line.
    stderr_lines: Vec<String>,
}

module! { "ansible.builtin.raw", args: Args, returns: Values, run: run, free_form: "_raw_params" }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let shell = args.executable.as_deref().unwrap_or("/bin/sh");
    let command = Command::new([shell, "-c", &args.raw]);
    let ran = machine
        .run(&command)
        .map_err(|error| cannot_run(&command.argv, &error))?;
    let Ran::Done(output) = ran else {
        return Ok(Outcome {
            skipped: true,
            ..Outcome::default()
        });
    };
    let mut results = map! { "rc" => output.code, "stdout" => output.stdout_text(), "stderr" => output.stderr_text() };
    add_lines(&mut results);
    if output.code != 0 {
        let msg = "non-zero return code".to_owned();
        return Err(Failure {
            msg,
            results,
            changed: true,
            ..Failure::default()
        });
    }
    Ok(Outcome {
        changed: true,
        results,
        ..Outcome::default()
    })
}
