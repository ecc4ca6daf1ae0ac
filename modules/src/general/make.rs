//! `make`: targets of a makefile.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::{Command, FileKind, Machine, Ran};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Makes targets of a makefile with GNU make, unless it says that they are up to date.
#[derive(ModuleArgs)]
struct Args {
    /// The target; without one the first of the makefile.
    target: Option<String>,
    /// Several targets.
    targets: Option<Vec<String>>,
    /// Variables, or words without a value.
    params: Option<Map>,
    /// The folder where it is made.
    chdir: PathBuf,
    /// The makefile, when it is not one that make finds.
    file: Option<PathBuf>,
    /// The program; without it `gmake` or `make`.
    make: Option<PathBuf>,
    /// How many commands run at the same time.
    jobs: Option<i64>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The command.
    command: String,
    /// The folder.
    chdir: String,
    /// The makefile.
    file: String,
    /// How many commands run at the same time.
    jobs: i64,
    /// The variables.
    params: Map,
    /// The target.
    target: String,
    /// The targets.
    targets: Vec<String>,
    /// What make says.
    stdout: String,
    /// What make complains of.
    stderr: String,
}

module! {
    "community.general.make", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.make"],
    rules: Rules { mutually_exclusive: &[&["target", "targets"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let folder = machine.stat(&args.chdir, true).ok().flatten();
    if !folder.is_some_and(|stat| stat.kind == FileKind::Directory) {
        let folder = args.chdir.display();
        return Err(Failure::new(format!("chdir: {folder} is no folder")));
    }
    let argv = words(machine, &args)?;
    let mut asked = command(&args, &argv);
    asked.argv.push("-q".to_owned());
    let cannot = |error: std::io::Error| cannot_run(&asked.argv, &error);
    let mut output = machine.query(&asked).map_err(cannot)?;
    let changed = output.code != 0;
    if changed {
        let made = command(&args, &argv);
        let ran = machine
            .run(&made)
            .map_err(|error| cannot_run(&made.argv, &error))?;
        if let Ran::Done(done) = ran {
            if done.code != 0 {
                return Err(programs::refused(&made, &done));
            }
            output = done;
        }
    }
    let text = |value: Option<String>| value.map_or(Data::Null, Data::from);
    let path = |path: &Option<PathBuf>| {
        text(
            path.as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
        )
    };
    let trimmed = |text: String| text.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Outcome::new(changed)
        .with("chdir", args.chdir.to_string_lossy().into_owned())
        .with("command", programs::quoted(&argv))
        .with("file", path(&args.file))
        .with("jobs", args.jobs.map_or(Data::Null, Data::from))
        .with("params", args.params.clone().map_or(Data::Null, Data::Map))
        .with("target", text(args.target.clone()))
        .with(
            "targets",
            args.targets.clone().map_or(Data::Null, Data::from),
        )
        .with("stdout", trimmed(output.stdout_text()))
        .with("stderr", trimmed(output.stderr_text())))
}

fn command(args: &Args, argv: &[String]) -> Command {
    Command {
        cwd: Some(args.chdir.clone()),
        ..Command::new(argv.iter().cloned())
    }
    .c_locale()
}

fn words(machine: &mut dyn Machine, args: &Args) -> Result<Vec<String>, Failure> {
    let mut argv = vec![match &args.make {
        Some(program) => program.to_string_lossy().into_owned(),
        None => match programs::required(machine, "gmake") {
            Ok(program) => program,
            Err(_) => programs::required(machine, "make")?,
        },
    }];
    if let Some(jobs) = args.jobs {
        argv.extend(["-j".to_owned(), jobs.to_string()]);
    }
    if let Some(file) = &args.file {
        argv.extend(["-f".to_owned(), file.to_string_lossy().into_owned()]);
    }
    argv.extend(args.target.clone());
    argv.extend(args.targets.iter().flatten().cloned());
    for (name, value) in args.params.iter().flatten() {
        argv.push(match value {
            Data::Null => name.to_string(),
            value => format!("{name}={}", value.text()),
        });
    }
    Ok(argv)
}
