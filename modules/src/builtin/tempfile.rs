//! `tempfile`: a temporary file or directory with a name that nobody had.

use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::{add_path_info, os_error_text, temporary_folder, unique_name};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

/// Makes a temporary file or directory.
#[derive(ModuleArgs)]
struct Args {
    /// Whether it is a file or a directory.
    #[arg(default = "file")]
    state: State,
    /// The folder it is made in; without one the system's own.
    path: Option<PathBuf>,
    /// What its name begins with.
    #[arg(default = "ansible.")]
    prefix: String,
    /// What its name ends with.
    #[arg(default = "")]
    suffix: String,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    File,
    Directory,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The path of what was made.
    path: String,
}

module! { "ansible.builtin.tempfile", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let folder = match args.path {
        Some(path) => path,
        None => temporary_folder(machine),
    };
    let path = unique_name(machine, &folder, &args.prefix, &args.suffix);
    let failed = |error: std::io::Error| {
        Failure::new(format!("{}: '{}'", os_error_text(&error), path.display()))
    };
    match args.state {
        State::Directory => machine.make_dir(&path, Some(0o700)).map_err(failed)?,
        State::File => {
            let attrs = Attrs {
                mode: Some(0o600),
                ..Attrs::default()
            };
            machine
                .write(&path, Content::Bytes(b""), &attrs)
                .map_err(failed)?;
        }
    }
    let mut outcome = Outcome::new(true).with("path", path.display().to_string());
    add_path_info(machine, &path, &mut outcome.results);
    Ok(outcome)
}
