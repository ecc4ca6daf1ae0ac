//! `lmod`: module files, and the environment that loading them makes.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;
use crate::login::{self, Step};

/// Tells which modules of Lmod (or of Environment Modules) there are, and what loading some makes of
/// the environment, for the keyword `environment` of later tasks. It changes nothing.
///
/// The modules are those of the user's own shell: the files of a log-in and of a command over SSH are read.
#[derive(ModuleArgs)]
struct Args {
    /// Modules to load, in order, `NAME` or `NAME/VERSION`.
    #[arg(alias = "name", alias = "modules")]
    load: Option<Vec<String>>,
    /// Folders of module files that are added first, as with `module use`.
    #[arg(name = "use")]
    folders: Option<Vec<String>>,
    /// Unload all modules that the shell begins with.
    #[arg(default = "false")]
    purge: bool,
    /// Modules to show.
    show: Option<Vec<String>>,
    /// List the modules that there are; false where that takes long.
    #[arg(default = "true")]
    available: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// `lmod`: the same, as a fact.
    ansible_facts: Map,
    /// The variables that differ from those of other tasks, for their keyword `environment`.
    environment: Map,
    /// The modules that are loaded.
    loaded: Vec<String>,
    /// The modules that there are.
    available: Vec<String>,
    /// What each module to show does.
    show: Map,
}

module! { "rplay.general.lmod", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    if args.purge {
        steps.push(("purge", ""));
    }
    let shown = args.show.unwrap_or_default();
    for (what, names) in [("use", &args.folders), ("load", &args.load)] {
        steps.extend(names.iter().flatten().map(|name| (what, name.as_str())));
    }
    steps.extend([("environment", ""), ("list", "")]);
    steps.extend(shown.iter().map(|name| ("show", name.as_str())));
    if args.available {
        steps.push(("avail", ""));
    }
    let output = programs::query(machine, &login::command(&steps, Vec::new()))?;
    if output.code != 0 {
        // What it has put out so far is the environment, which may hold secrets.
        let said = output.stderr_text();
        let failure = Failure::new(login::reason(&said));
        return Err(failure.with("rc", output.code).with("stderr", said));
    }
    let mut texts = login::outputs(&output).into_iter();
    let mut next = || texts.next().unwrap_or_default();
    let mut state = Map::new();
    let mut add = |name: &str, value: Data| state.insert(name.to_owned(), value);
    let own = machine.process().env;
    let environment = next();
    let variables = environment
        .split('\0')
        .filter_map(|line| line.split_once('='));
    let changed = variables.filter(|(name, value)| {
        !matches!(*name, "_" | "SHLVL" | "PWD" | "OLDPWD")
            // Functions of the shell have names that are none.
            && !name.contains('%')
            && own.get(*name).is_none_or(|known| known != value)
    });
    let changed = changed.map(|(name, value)| (name.to_owned(), value.into()));
    add("environment", Data::Map(changed.collect()));
    add("loaded", names(&next()));
    let shown = shown.into_iter().map(|name| (name, next().trim().into()));
    let shown: Map = shown.collect();
    add("show", Data::Map(shown));
    if args.available {
        add("available", names(&next()));
    }
    let mut outcome = Outcome {
        results: state.clone(),
        ..Outcome::default()
    };
    outcome.facts.insert("lmod".to_owned(), Data::Map(state));
    Ok(outcome)
}

/// The modules of a terse list, which has headings, sentences, and names without a version, too.
fn names(text: &str) -> Data {
    // `(default)`, or ` <L>` and the like behind one that is loaded.
    let lines = text.lines().map(|line| match line.split_once(" <") {
        Some((name, _)) => name.trim(),
        None => line.trim(),
    });
    let names =
        lines.filter(|line| !line.is_empty() && !line.contains(' ') && !line.ends_with([':', '/']));
    let names = names.map(|name| name.split(['(', '<']).next().unwrap_or_default());
    Data::List(names.map(Data::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lmod_and_of_environment_modules() {
        let lmod = "/opt/modules:\nsingularity/\nsingularity/4.1.0(default)\ngcc/13\n";
        assert_eq!(names(lmod), Data::from(vec!["singularity/4.1.0", "gcc/13"]));
        assert_eq!(names("No modules loaded\n"), Data::List(Vec::new()));
        let environment_modules = "/opt/modules:\nhammer(@)\ngcc/12\ngcc/13(default:new) <aL>\n";
        assert_eq!(
            names(environment_modules),
            Data::from(vec!["hammer", "gcc/12", "gcc/13"])
        );
        assert_eq!(
            names("Currently Loaded Modulefiles:\ngcc/13\n"),
            Data::from(vec!["gcc/13"])
        );
    }
}
