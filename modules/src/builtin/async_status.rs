//! `async_status`: how far a task in the background is.

use std::io::ErrorKind;
use std::path::Path;

use rplay_modules::args::{ModuleArgs, Returns, expand_path};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{jobs, module};

/// Tells the state of a task that was started with `async`, or removes what it left behind.
#[derive(ModuleArgs)]
struct Args {
    /// The task's number, `ansible_job_id` of its result.
    jid: String,
    /// `status` tells the state; `cleanup` removes the task's file without waiting for its end.
    #[arg(default = "status", choices = "status, cleanup")]
    mode: String,
    /// The folder of the files, set by the controller.
    #[arg(name = "_async_dir", default = "~/.ansible_async")]
    folder: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The task's number.
    ansible_job_id: String,
    /// The file that was removed.
    erased: String,
    /// Whether the task is done.
    finished: bool,
    /// Whether the task has begun.
    started: bool,
    /// The task's file.
    results_file: String,
    /// What the program that started the task wrote.
    stdout: String,
    /// The errors of the program that started the task.
    stderr: String,
}

module! { "ansible.builtin.async_status", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let folder = expand_path(machine, &args.folder);
    let file = Path::new(&folder).join(&args.jid);
    let shown = file.display().to_string();
    let cleanup = args.mode == "cleanup";
    let content = match machine.read(&file) {
        Ok(content) => content,
        Err(error) => {
            let msg = match error.kind() {
                ErrorKind::NotFound => "could not find job".to_owned(),
                _ => format!("Could not read {shown}: {}", os_error_text(&error)),
            };
            let name = if cleanup { "erased" } else { "results_file" };
            return Err(Failure::new(msg)
                .with("ansible_job_id", args.jid)
                .with(name, shown)
                .with("started", true)
                .with("finished", true)
                .with("stdout", "")
                .with("stderr", ""));
        }
    };
    if !cleanup {
        return jobs::read(&args.jid, &file, &String::from_utf8_lossy(&content));
    }
    machine
        .remove(&file, false)
        .map_err(|error| format!("Could not remove {shown}: {}", os_error_text(&error)))?;
    Ok(Outcome::unchanged()
        .with("ansible_job_id", args.jid)
        .with("erased", shown)
        .with("started", false)
        .with("finished", false)
        .with("stdout", "")
        .with("stderr", ""))
}
