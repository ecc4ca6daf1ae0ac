//! `slurp`: the content of a file, as base64 text.

use std::io::ErrorKind;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

/// Reads a file from a host.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(alias = "path")]
    src: PathBuf,
    /// Encode the content as base64; without, it comes back as text.
    #[arg(default = "true")]
    armor: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The content.
    content: String,
    /// How the content is encoded.
    encoding: String,
    /// The file.
    source: String,
}

module! { "ansible.builtin.slurp", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let path = args.src.display().to_string();
    let bytes = machine.read(&args.src).map_err(|error| {
        let failure = Failure::new(match error.kind() {
            ErrorKind::NotFound => format!("File not found: {path}"),
            ErrorKind::PermissionDenied => format!("File is not readable: {path}"),
            ErrorKind::IsADirectory => format!("Source is a directory and must be a file: {path}"),
            _ => format!("Unable to slurp file: {}", os_error_text(&error)),
        });
        failure.because(&format!(
            "{}: {}",
            os_error_text(&error),
            Data::from(path.as_str()).repr()
        ))
    })?;
    let outcome = Outcome::unchanged().with("source", path);
    if args.armor {
        return Ok(outcome
            .with("content", STANDARD.encode(bytes))
            .with("encoding", "base64"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new("the file is not utf-8 text; read it with `armor`"))?;
    Ok(outcome.with("content", text).with("encoding", "utf-8"))
}
