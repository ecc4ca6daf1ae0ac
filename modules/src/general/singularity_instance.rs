//! `singularity_instance`: containers that run in the background.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::{Change, Machine};
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::{map, module};

use super::singularity_exec::ContainerArgs;
use crate::builtin::programs;

/// Starts and stops instances of a container: services that `apptainer` or `singularity` keeps running
/// for the user. One that runs is left alone unless it is of another image; other options of it
/// count with `restarted`.
#[derive(ModuleArgs)]
struct Args {
    /// The name of the instance.
    name: String,
    /// The image: a SIF file, a folder, or whatever else the program starts.
    #[arg(kind = "path", alias = "src")]
    image: Option<String>,
    /// What becomes of it.
    #[arg(default = "started")]
    state: State,
    /// Arguments of the image's start script.
    args: Option<Vec<String>>,
    #[arg(flatten)]
    container: ContainerArgs,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Started,
    Stopped,
    Restarted,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The instance.
    name: String,
    /// `started` or `stopped`.
    state: String,
    /// The image that runs.
    image: String,
    /// Its first process.
    pid: i64,
}

module! {
    "rplay.general.singularity_instance", args: Args, returns: Values, run: run,
    aliases: ["rplay.general.apptainer_instance"],
    rules: Rules {
        required_if: &[("state", "started", &["image"], false), ("state", "restarted", &["image"], false)],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let key = format!("singularity_instance {}", args.name);
    let known = match machine.assumed(&key) {
        Some(image) => Some(Data::from(image)).filter(|image| *image != Data::from("")),
        None => find(machine, &args)?.map(|found| found.get("img").cloned().unwrap_or_default()),
    };
    let known = known.map(|image| image.as_str().unwrap_or_default().to_owned());
    let image = args.image.clone().unwrap_or_default();
    // The program tells paths only as they were given.
    let other = |known: &String| image.starts_with('/') && *known != image;
    let stop = known
        .as_ref()
        .is_some_and(|known| args.state != State::Started || other(known));
    let start = args.state != State::Stopped && (known.is_none() || stop);
    let name = || args.name.clone();
    if stop {
        let words = ["instance".to_owned(), "stop".to_owned(), name()];
        must(machine, &args, words.into())?;
    }
    if start {
        let mut rest = vec![name()];
        rest.extend(args.args.iter().flatten().cloned());
        let words = args.container.words(&["instance", "start"], &image, rest);
        must(machine, &args, words)?;
    }
    let now = match start {
        true => Some(image),
        false => known.clone().filter(|_| !stop),
    };
    machine.assume(Change::Fact(key, Some(now.clone().unwrap_or_default())));
    let side = |image: &Option<String>| {
        let state = if image.is_some() {
            "started"
        } else {
            "stopped"
        };
        map! { "name" => args.name.as_str(), "state" => state, "image" => image.clone().unwrap_or_default() }
    };
    let mut outcome = Outcome::new(start || stop);
    if outcome.changed {
        outcome = outcome.with_diff(Diff::attributes(side(&known), side(&now)));
    }
    outcome.results.extend(side(&now));
    if now.is_some() && !machine.predicts() {
        let pid = find(machine, &args)?.and_then(|found| found.get("pid").cloned());
        outcome = outcome.with("pid", pid.unwrap_or_default());
    }
    Ok(outcome)
}

/// The instance as the program lists it.
fn find(machine: &mut dyn Machine, args: &Args) -> Result<Option<Data>, Failure> {
    let words = ["instance", "list", "--json"].map(str::to_owned);
    let command = args.container.command(machine, words.into())?;
    let output = programs::query(machine, &command)?;
    if output.code != 0 {
        return Err(refused(args, &output));
    }
    let list = crate::json::read_bytes(&output.stdout).ok();
    let list = list
        .as_ref()
        .and_then(|list| list.get("instances")?.as_list());
    let found = list
        .into_iter()
        .flatten()
        .find(|one| one.get("instance") == Some(&Data::from(args.name.as_str())));
    Ok(found.cloned())
}

fn must(machine: &mut dyn Machine, args: &Args, words: Vec<String>) -> Result<(), Failure> {
    let command = args.container.command(machine, words)?;
    match programs::change(machine, &command)? {
        Some(output) if output.code != 0 => Err(refused(args, &output)),
        _ => Ok(()),
    }
}

fn refused(args: &Args, output: &rplay_modules::machine::Output) -> Failure {
    let said = crate::login::reason(&output.stderr_text());
    programs::failed(format!("instance {}: {said}", args.name), output)
}
