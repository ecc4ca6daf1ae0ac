//! `rplay PLAYBOOK...`: reads everything, reports every problem, then runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;

use super::options::TaskOptions;
use super::programs::{Call, parse};
use super::resume::Former;
use super::runs::{self, Called};
use super::session::{self, Session};
use super::told;
use super::{CommandError, Exit, finish};
use crate::config::Config;
use crate::diag::{Diagnostic, Severity, Source};
use crate::inventory::UNPARSED;
use crate::load::inputs::FilesRead;
use crate::load::play;
use crate::plan::collections::Collections;
use crate::plan::{Planner, TagFilter};
use crate::report::{self, Kept, View};
use crate::run::{self, Inputs, PlannedPlaybook, Run};
use crate::secrets::Secrets;

/// Runs Ansible playbooks.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// Playbook(s)
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) options: TaskOptions,
    /// Run plays and tasks with these tags only
    #[arg(short, long, value_name = "TAGS")]
    tags: Vec<String>,
    /// Leave out plays and tasks with these tags
    #[arg(long, value_name = "SKIP_TAGS")]
    skip_tags: Vec<String>,
    /// Run handlers even if a task fails
    #[arg(long)]
    force_handlers: bool,
    /// Read and check everything, run nothing
    #[arg(long)]
    syntax_check: bool,
    /// List the hosts, run nothing
    #[arg(long)]
    pub(super) list_hosts: bool,
    /// List the tasks, run nothing
    #[arg(long)]
    pub(super) list_tasks: bool,
    /// List the tags, run nothing
    #[arg(long)]
    pub(super) list_tags: bool,
    /// Begin with the task of this name
    #[arg(long, value_name = "START_AT_TASK")]
    start_at_task: Option<String>,
    /// Ask before each task
    #[arg(long)]
    pub(super) step: bool,
    /// The way the run is shown
    #[arg(long, value_name = "VIEW")]
    output: Option<String>,
    /// Write a report beside it, any number of them: KIND or KIND=FILE
    #[arg(long, value_name = "REPORT", long_help = report::report_help())]
    report: Vec<String>,
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(arguments, &call.words(), None, &hidden), &hidden),
        Err(exit) => exit,
    }
}

impl Arguments {
    /// Reports are asked for.
    pub(super) fn has_reports(&self) -> bool {
        !self.report.is_empty()
    }

    /// Nothing is run.
    pub(super) fn only_lists(&self) -> bool {
        self.syntax_check || self.list_hosts || self.list_tasks || self.list_tags
    }
}

/// What is read before anything runs.
pub(super) struct Loaded {
    pub(super) inputs: Inputs,
    pub(super) planner: Planner,
    pub(super) playbooks: Vec<PlannedPlaybook>,
}

/// Runs the command, which was called with these words, or goes on with a former run.
pub(super) fn run(
    arguments: Arguments,
    words: &[String],
    former: Option<Former>,
    hidden: &Secrets,
) -> Result<Exit, CommandError> {
    let of_run = |one: &&String| !report::is_of_problems(one);
    if let Some(one) = arguments
        .report
        .iter()
        .find(of_run)
        .filter(|_| arguments.only_lists())
    {
        let text = format!("nothing is run, and the report '{one}' is of a run");
        let problem =
            Diagnostic::error("report", text).hint("`sarif` and `codequality` are of what is read");
        return Err(CommandError::new(Exit::Options, problem));
    }
    let mut loaded = load(&arguments, hidden)?;
    if let Some(former) = &former {
        loaded.inputs.history = former.history(&loaded)?;
    }
    if arguments.only_lists() {
        super::listing::print(&loaded, &arguments)?;
        return Ok(Exit::Ok);
    }
    let name = view_name(&arguments, &loaded.inputs);
    let reports = reports(&arguments, &loaded.inputs)?;
    let (program, recorded) = match &former {
        None => ("playbook", None),
        Some(former) => (former.program(), Some(&former.recorded)),
    };
    let called = Called {
        program,
        words,
        playbooks: &runs::paths(&loaded.playbooks),
        resumes: recorded,
        undoes: None,
    };
    let record = runs::begin(&called, &loaded.inputs);
    let kept = Kept {
        record,
        tagged: None,
    };
    let view = session::view(&name, None, &loaded.inputs, reports, kept)?;
    let told = told(&arguments, &loaded.inputs);
    let Loaded {
        inputs,
        planner,
        playbooks,
    } = loaded;
    session::execute(inputs, planner, &playbooks, view, told)
}

/// The view that the run is shown in.
pub(super) fn view_name(arguments: &Arguments, inputs: &Inputs) -> String {
    let name = arguments.output.clone();
    name.or_else(|| inputs.config.text("stdout_callback"))
        .unwrap_or_else(|| "default".to_owned())
}

/// The reports that are asked for. Those that cannot be written are told before anything runs.
pub(super) fn reports(
    arguments: &Arguments,
    inputs: &Inputs,
) -> Result<Vec<Box<dyn View>>, CommandError> {
    let wanted = arguments.report.iter();
    wanted
        .filter(|one| !report::is_of_problems(one))
        .map(|one| report::open_report(one, &inputs.config))
        .collect::<Result<_, _>>()
        .map_err(|problem| CommandError::new(Exit::Options, problem))
}

/// The options as `-vvvv` tells them.
pub(super) fn told(arguments: &Arguments, inputs: &Inputs) -> Vec<String> {
    let names = arguments.playbooks.iter();
    let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
    told::options(&names.join(" "), &arguments.options, inputs)
}

/// Reads everything, and tells every problem.
pub(super) fn load(arguments: &Arguments, hidden: &Secrets) -> Result<Loaded, CommandError> {
    load_for(arguments, true, hidden)
}

/// The same for what needs no hosts: nothing is told where no inventory is given.
pub(super) fn load_for_nobody(
    arguments: &Arguments,
    hidden: &Secrets,
) -> Result<Loaded, CommandError> {
    load_for(arguments, false, hidden)
}

fn load_for(arguments: &Arguments, hosts: bool, hidden: &Secrets) -> Result<Loaded, CommandError> {
    report::open_problem_reports(&arguments.report, &arguments.playbooks)
        .map_err(|problem| CommandError::new(Exit::Options, problem))?;
    let mut problems = vec![];
    let config = session::config(&mut problems);
    let collections = Collections::new(config.path_list("collections_path"));
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let paths = arguments.playbooks.iter();
    let paths: Vec<PathBuf> = paths
        .map(|path| named_playbook(path, &collections, &cwd))
        .collect();
    for path in &paths {
        check_playbook(path)?;
    }
    let tags = tags(arguments, &config);
    let mut wanted = arguments.options.clone();
    if config.bool("records") && !wanted.files_read.is_kept() {
        wanted.files_read = FilesRead::stamped();
    }
    let pattern = if hosts { "all" } else { "localhost" };
    let mut session = session::prepare(&wanted, config, pattern, tags, &mut problems, hidden)?;
    if !hosts && wanted.inventory.inventory.is_empty() {
        problems.retain(|one| one.code != UNPARSED);
    }
    let options = &mut session.inputs.options;
    options.force_handlers = arguments.force_handlers;
    options.start_at.clone_from(&arguments.start_at_task);
    options.step = arguments.step;

    session.inputs.options.keep = runs::kept(&session.inputs.config);
    let Session { inputs, planner } = session;
    let extra = Arc::new(inputs.extra.clone());
    let magic = Arc::new(inputs.magic.clone());
    let playbooks: Vec<PlannedPlaybook> = paths
        .iter()
        .map(|path| run::plan_playbook(path, &planner, &extra, &magic).collect(&mut problems))
        .collect();
    if !session::inventory_is_missing(&problems) {
        inputs.config.judge(&mut problems);
        let exit = parse_exit(&problems);
        session::stop_at_errors(&mut problems, exit, hidden)?;
        return Ok(Loaded {
            inputs,
            planner,
            playbooks,
        });
    }
    // Everything that is wrong is told at once: also what the inventory that was meant would show.
    let dir = session::folder(&playbooks);
    let found = Run::new(inputs, planner, dir, &mut |_| {}).preflight(&playbooks);
    problems.extend(found.into_values());
    session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    Err(CommandError {
        exit: Exit::Error,
        problems: vec![],
    })
}

/// Reads everything but playbooks, and plans those with these texts, each with the folder in which it is
/// thought to be; `name` is what messages call them.
pub(super) fn load_made(
    arguments: &Arguments,
    name: &str,
    texts: &[(&Path, &str)],
    hidden: &Secrets,
) -> Result<Loaded, CommandError> {
    let mut problems = vec![];
    let config = session::config(&mut problems);
    let tags = TagFilter::default();
    let options = &arguments.options;
    let mut session = session::prepare(options, config, "all", tags, &mut problems, hidden)?;
    session.inputs.options.keep = runs::kept(&session.inputs.config);
    if session::inventory_is_missing(&problems) {
        session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    }
    let Session { inputs, planner } = session;
    let extra = Arc::new(inputs.extra.clone());
    let magic = Arc::new(inputs.magic.clone());
    let mut playbooks = vec![];
    for (folder, text) in texts {
        let source = Source::described(name.to_owned(), (*text).to_owned());
        let read = play::playbook(&source).collect(&mut problems);
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let planned = run::plan_plays(&read, &folder, &planner, &extra, &magic);
        playbooks.push(planned.collect(&mut problems));
    }
    session::stop_at_errors(&mut problems, Exit::Parse, hidden)?;
    Ok(Loaded {
        inputs,
        planner,
        playbooks,
    })
}

/// Which tasks: the settings and the options together.
fn tags(arguments: &Arguments, config: &Config) -> TagFilter {
    let words = |lists: &[String], setting: &str| -> Vec<String> {
        // The command line adds to the settings.
        let mut given = config.list(setting);
        let words = lists.iter().flat_map(|list| list.split(','));
        given.extend(words.map(|tag| tag.trim().to_owned()));
        given.retain(|tag| !tag.is_empty());
        given
    };
    let mut only = words(&arguments.tags, "run_tags");
    let skip = words(&arguments.skip_tags, "skip_tags");
    if arguments.list_tags && only.is_empty() {
        // All tags are told, also that of tasks which only run when it is asked for.
        only = ["all", "never"].map(str::to_owned).to_vec();
    }
    TagFilter { only, skip }
}

/// A role or playbook that is nowhere, a variable that cannot be called so and a loop over nothing
/// have Ansible's code for other errors.
fn parse_exit(problems: &[Diagnostic]) -> Exit {
    let mut errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    match errors.next().map(|problem| problem.code) {
        Some(
            "vault" | "missing-role" | "missing-role-file" | "missing-playbook" | "variable-name"
            | "empty-loop",
        ) => Exit::Error,
        _ => Exit::Parse,
    }
}

/// A playbook that is named with its collection, as its file; any other one as it is.
fn named_playbook(path: &Path, collections: &Collections, cwd: &Path) -> PathBuf {
    let named = path.to_str().filter(|_| !path.exists());
    let found = named.and_then(|name| collections.playbook(name, cwd));
    found.unwrap_or_else(|| path.to_owned())
}

pub(super) fn check_playbook(path: &Path) -> Result<(), CommandError> {
    let shown = path.display();
    if !path.exists() {
        let mut problem = Diagnostic::error(
            "missing-playbook",
            format!("the playbook: {shown} could not be found"),
        );
        if let Some(near) = crate::diag::similar_file(path) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        return Err(CommandError::new(Exit::Error, problem));
    }
    if path.is_dir() {
        let message = format!("the playbook: {shown} does not appear to be a file");
        return Err(CommandError::new(
            Exit::Error,
            Diagnostic::error("missing-playbook", message),
        ));
    }
    Ok(())
}
