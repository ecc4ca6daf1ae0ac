//! `singularity_exec`: a program inside of a container; and what its whole family shares.

use rplay_modules::args::{ModuleArgs, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::command::{CommandArgs, Values, execute};
use crate::oci::program::Program;

/// Runs a program inside of a container with `apptainer` or `singularity`. The words go to the
/// program as they are, through no shell.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    call: CallArgs,
}

module! {
    "rplay.general.singularity_exec", args: Args, returns: Values, run: run,
    aliases: ["rplay.general.apptainer_exec"],
    rules: Rules { required_one_of: &[&["cmd", "argv"]], ..RUN_RULES },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    call(machine, args.call, "exec")
}

/// Arguments of a command in a container.
#[derive(ModuleArgs)]
pub(super) struct CallArgs {
    /// The image: a SIF file, a folder, or whatever else the program runs.
    #[arg(kind = "path", alias = "src")]
    image: String,
    #[arg(flatten)]
    container: ContainerArgs,
    #[arg(flatten)]
    command: CommandArgs,
}

/// One way at most to say what is run: a container may know itself.
pub(super) const RUN_RULES: Rules = Rules {
    mutually_exclusive: &[&["cmd", "argv"]],
    ..Rules::NONE
};

/// Runs a command in a container.
pub(super) fn call(
    machine: &mut dyn Machine,
    args: CallArgs,
    verb: &str,
) -> Result<Outcome, Failure> {
    let words = args.command.words()?;
    let call = args.container.words(&[verb], &args.image, words.clone());
    let command = args.container.command(machine, call)?;
    let ran = execute(machine, &args.command, words.into(), command);
    ran.map_err(|failure| match args.container.module {
        Some(_) => explained(failure),
        None => failure,
    })
}

/// Names what kept the container program from being run, in a shell that loads modules.
fn explained(mut failure: Failure) -> Failure {
    let never_ran = [125, 127].map(Data::from);
    if let (Some(rc), Some(Data::Str(said))) =
        (failure.results.get("rc"), failure.results.get("stderr"))
        && never_ran.contains(rc)
        && let reason = crate::login::reason(said)
        && !reason.is_empty()
    {
        failure.msg = reason;
    }
    failure
}

/// Arguments of a container, whatever becomes of it.
#[derive(ModuleArgs)]
pub(super) struct ContainerArgs {
    /// The container program; `apptainer` or `singularity` in `PATH` unless given.
    executable: Option<String>,
    /// Lmod modules that are loaded before the container program is run.
    #[arg(alias = "modules")]
    module: Option<Vec<String>>,
    /// Folders and files of the machine in the container, `FROM[:TO[:ro]]`.
    bind: Option<Vec<String>>,
    /// Variables of the container. They stand in no process's arguments.
    env: Option<Map>,
    /// The working directory in the container.
    pwd: Option<String>,
    /// Variables of the machine do not get in.
    #[arg(default = "false")]
    cleanenv: bool,
    /// Neither folders, nor variables, nor processes of the machine get in.
    #[arg(default = "false")]
    containall: bool,
    /// The home directory does not get in.
    #[arg(default = "false")]
    no_home: bool,
    /// Graphics processors of NVIDIA.
    #[arg(default = "false")]
    nv: bool,
    /// Graphics processors of AMD.
    #[arg(default = "false")]
    rocm: bool,
    /// What is written to the container's own folders is kept in memory, and lost.
    #[arg(default = "false")]
    writable_tmpfs: bool,
    /// Further options of the container program, as they are.
    options: Option<Vec<String>>,
}

impl ContainerArgs {
    /// The words of a call: `exec OPTIONS IMAGE REST`.
    pub(super) fn words(&self, verb: &[&str], image: &str, rest: Vec<String>) -> Vec<String> {
        let mut words: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        for (flag, wanted) in [
            ("--cleanenv", self.cleanenv),
            ("--containall", self.containall),
            ("--no-home", self.no_home),
            ("--nv", self.nv),
            ("--rocm", self.rocm),
            ("--writable-tmpfs", self.writable_tmpfs),
        ] {
            words.extend(wanted.then(|| flag.to_owned()));
        }
        let binds = self.bind.iter().flatten().map(|bind| ("--bind", bind));
        for (option, value) in binds.chain(self.pwd.iter().map(|folder| ("--pwd", folder))) {
            words.extend([option.to_owned(), value.clone()]);
        }
        words.extend(self.options.iter().flatten().cloned());
        words.push(image.to_owned());
        words.extend(rest);
        words
    }

    /// A call of the program.
    pub(super) fn command(
        &self,
        machine: &mut dyn Machine,
        words: Vec<String>,
    ) -> Result<Command, Failure> {
        let program = Program {
            executable: self.executable.clone(),
            modules: self.module.clone().unwrap_or_default(),
            arch: None,
        };
        let mut command = program.command(machine, words)?;
        for (name, value) in self.env.iter().flatten() {
            let value = value.text();
            // Each of the two programs reads its own name first.
            for prefix in ["APPTAINERENV", "SINGULARITYENV"] {
                let name = format!("{prefix}_{name}");
                command.env.push((name, Some(value.clone())));
            }
        }
        Ok(command)
    }
}
