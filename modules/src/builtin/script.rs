//! `script`: runs a script that the controller sent along.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::glob::glob;
use rplay_modules::machine::{Attrs, Command, Content, Machine, Ran};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::split_words;
use rplay_modules::{map, module};

use super::command::add_lines;

/// Runs a local script on the targets. It needs no interpreter but the one the script names.
#[derive(ModuleArgs)]
struct Args {
    /// The script, sent by the controller.
    #[arg(name = "_content")]
    sent: Option<Vec<u8>>,
    /// The script in a file, sent by the controller.
    #[arg(name = "_blob")]
    spooled: Option<PathBuf>,
    /// The script's arguments, set by the controller.
    #[arg(name = "_argv")]
    argv: Vec<String>,
    /// A path or a shell pattern. When it is there, the script is not run.
    creates: Option<PathBuf>,
    /// A path or a shell pattern. When it is not there, the script is not run.
    removes: Option<PathBuf>,
    /// The working directory.
    chdir: Option<PathBuf>,
    /// The program that runs the script.
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

/// `ENOEXEC`
const NO_PROGRAM: i32 = 8;

module! { "ansible.builtin.script", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let skip = |msg: String| {
        Outcome {
            skipped: true,
            ..Outcome::default()
        }
        .with("msg", msg)
    };
    if let Some(path) = &args.creates
        && !glob(machine, path).is_empty()
    {
        return Ok(skip(format!(
            "{} exists, matching creates option",
            path.display()
        )));
    }
    if let Some(path) = &args.removes
        && glob(machine, path).is_empty()
    {
        return Ok(skip(format!(
            "{} does not exist, matching removes option",
            path.display()
        )));
    }
    let place = place(machine);
    let attrs = Attrs {
        mode: Some(0o700),
        ..Attrs::default()
    };
    let failed = |error: std::io::Error| Failure::new(format!("cannot store the script: {error}"));
    let script = match (&args.spooled, &args.sent) {
        (Some(file), _) => Content::Take(file),
        (None, Some(bytes)) => Content::Bytes(bytes),
        (None, None) => return Err(Failure::new("the controller sent no script")),
    };
    machine.write(&place, script, &attrs).map_err(failed)?;
    let ran = execute(machine, &args, &place);
    // What the script did counts, whether or not its copy can be removed.
    let _ = machine.remove(&place, false);
    ran
}

/// A name of its own in the temporary folder.
fn place(machine: &mut dyn Machine) -> PathBuf {
    let process = machine.process();
    let folder = process
        .env
        .get("TMPDIR")
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    folder.join(format!(
        ".rplay-script-{}-{:x}",
        process.uid,
        machine.now().to_bits()
    ))
}

fn execute(
    machine: &mut dyn Machine,
    args: &Args,
    place: &std::path::Path,
) -> Result<Outcome, Failure> {
    let mut argv = args
        .executable
        .as_deref()
        .map(split_words)
        .transpose()?
        .unwrap_or_default();
    argv.push(place.display().to_string());
    argv.extend(args.argv.iter().cloned());
    let mut command = Command {
        argv,
        cwd: args.chdir.clone(),
        ..Command::default()
    };
    let mut ran = machine.run(&command);
    if let Err(error) = &ran
        && error.raw_os_error() == Some(NO_PROGRAM)
        && args.executable.is_none()
    {
        // As a shell does with a text whose first line names no program.
        command.argv.insert(0, "/bin/sh".to_owned());
        ran = machine.run(&command);
    }
    let ran = ran.map_err(|error| cannot_run(&command.argv, &error))?;
    let Ran::Done(output) = ran else {
        let conditional = args.creates.is_some() || args.removes.is_some();
        let mut results = Map::new();
        if !conditional {
            let text = "Check mode is not supported for this task.";
            results.insert("msg".to_owned(), text.into());
        }
        return Ok(Outcome {
            changed: conditional,
            skipped: !conditional,
            not_run: true,
            results,
            ..Outcome::default()
        });
    };
    let mut results: Map = map! { "rc" => output.code, "stdout" => output.stdout_text(), "stderr" => output.stderr_text() };
    add_lines(&mut results);
    if output.code != 0 {
        return Err(Failure {
            changed: true,
            results,
            ..Failure::new("non-zero return code")
        });
    }
    Ok(Outcome {
        changed: true,
        results,
        ..Outcome::default()
    })
}
