//! `tempfile`: a temporary file or directory with a name that nobody had.

use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::permissions;

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
        None => permissions::temporary(machine, "").parent().map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
    };
    let path = loop {
        let path = folder.join(format!("{}{}{}", args.prefix, permissions::random_name(machine), args.suffix));
        if !matches!(machine.stat(&path, false), Ok(Some(_))) {
            break path;
        }
    };
    let failed = |error: std::io::Error| match error.raw_os_error() {
        Some(2) => Failure::new(format!("[Errno 2] No such file or directory: '{}'", path.display())),
        _ => Failure::new(format!("{error}: '{}'", path.display())),
    };
    match args.state {
        State::Directory => machine.make_dir(&path, Some(0o700)).map_err(failed)?,
        State::File => {
            let attrs = Attrs { mode: Some(0o600), ..Attrs::default() };
            machine.write(&path, Content::Bytes(b""), &attrs).map_err(failed)?;
        }
    }
    let mut outcome = Outcome::new(true).with("path", path.display().to_string());
    outcome.results.extend(permissions::path_info(machine, &path));
    Ok(outcome)
}
