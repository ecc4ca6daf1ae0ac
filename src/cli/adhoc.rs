//! `rplay adhoc PATTERN -m MODULE -a ARGS`, Ansible's `ansible`: one task on some hosts.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use super::options::{BaseDir, TaskOptions};
use super::programs::{Call, parse};
use super::session::{self, Session};
use super::told;
use super::{CommandError, Exit, finish, tell};
use crate::config::Config;
use crate::diag::Diagnostic;
use crate::load::actions;
use crate::load::adhoc::{self, AdHoc};
use crate::plan::{Planner, TagFilter};
use crate::report::Kept;
use crate::run::{self, PlannedPlaybook};
use crate::secrets::Secrets;
use crate::vars::VarMap;

/// The name of the play, which tasks see as `ansible_play_name`.
const PLAY: &str = "Ansible Ad-Hoc";

/// Runs one task on hosts.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// Host pattern
    pattern: String,
    /// The module
    #[arg(short, long, value_name = "MODULE_NAME")]
    module_name: Option<String>,
    /// Its arguments: k=v words, JSON, or a command
    #[arg(short, long, value_name = "MODULE_ARGS", allow_hyphen_values = true)]
    args: Option<String>,
    #[command(flatten)]
    options: TaskOptions,
    /// Run in the background, for so many seconds at most
    #[arg(
        short = 'B',
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    background: Option<i64>,
    /// Look every so many seconds whether the task in the background is done; 0: do not wait
    #[arg(
        short = 'P',
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    poll: Option<i64>,
    /// A line a result
    #[arg(short, long)]
    one_line: bool,
    /// Write the results into this folder, a file a host
    #[arg(short, long, value_name = "FOLDER")]
    tree: Option<PathBuf>,
    /// List the hosts, run nothing
    #[arg(long)]
    list_hosts: bool,
    /// Time limit of the task in seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    task_timeout: Option<i64>,
    /// The way the run is shown
    #[arg(long, value_name = "VIEW")]
    output: Option<String>,
    #[command(flatten)]
    base: BaseDir,
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(&arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn run(arguments: &Arguments, hidden: &Secrets) -> Result<Exit, CommandError> {
    let mut problems = vec![];
    let config = session::config(&mut problems);
    let module = arguments.module_name.clone();
    let module = module.or_else(|| config.text("module_name"));
    let module = module.unwrap_or_else(|| "command".to_owned());
    let args = arguments.args.clone();
    let args = args
        .or_else(|| config.text("module_args"))
        .unwrap_or_default();
    let timeout = arguments
        .task_timeout
        .or_else(|| config.int("task_timeout"));
    let poll = arguments.poll.or_else(|| config.int("poll_interval"));
    let view = view_name(arguments, &config);
    let tags = TagFilter::default();
    let mut session = session::prepare(
        &arguments.options,
        config,
        &arguments.pattern,
        tags,
        &mut problems,
        hidden,
    )?;
    if session::inventory_is_missing(&problems) {
        session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    }
    session::stop_at_errors(&mut problems, Exit::Parse, hidden)?;
    let limit = session.inputs.options.limit.as_deref();
    let inventory = &session.inputs.inventory;
    let selected = inventory.select(&arguments.pattern, limit);
    let empty = selected.value.is_empty();
    if empty || arguments.list_hosts {
        // Else the run tells the same.
        tell(&selected.problems, hidden);
    }
    if empty && !inventory.hosts.is_empty() {
        let text = "No hosts matched, nothing to do";
        tell(&[Diagnostic::warning("no-hosts-matched", text)], hidden);
    }
    if arguments.list_hosts {
        crate::report::print(&host_list(&selected.value));
        return Ok(Exit::Ok);
    }
    refuse(&arguments.pattern, &module, &args)?;
    if empty {
        return Ok(Exit::Ok);
    }
    let task = AdHoc {
        pattern: &arguments.pattern,
        name: PLAY,
        module: &module,
        args: &args,
        console: false,
        timeout: timeout.unwrap_or_default(),
        background: arguments
            .background
            .map(|limit| (limit, poll.unwrap_or(15))),
    };
    let (extra, magic) = (&session.inputs.extra, &session.inputs.magic);
    let (extra, magic) = (Arc::new(extra.clone()), Arc::new(magic.clone()));
    let base = &arguments.base;
    let playbook = plan(&task, base, &session.planner, &extra, &magic, hidden)?;
    session.inputs.options.look_ahead = false;
    let Session { inputs, planner } = session;
    tell(&leaving(arguments), hidden);
    let view = session::view(
        &view,
        arguments.tree.as_deref(),
        &inputs,
        vec![],
        Kept::default(),
    )?;
    let told = told::options(&arguments.pattern, &arguments.options, &inputs);
    session::execute(inputs, planner, &[playbook], view, told)
}

/// The playbook of a task, planned.
pub(super) fn plan(
    task: &AdHoc<'_>,
    base: &BaseDir,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
    hidden: &Secrets,
) -> Result<PlannedPlaybook, CommandError> {
    let mut problems = vec![];
    let playbook = adhoc::playbook(task).collect(&mut problems);
    session::stop_at_errors(&mut problems, Exit::Parse, hidden)?;
    let dir = base
        .playbook_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    let planned = run::plan_plays(&playbook, &dir, planner, extra, magic);
    let planned = planned.collect(&mut problems);
    let unknown = problems
        .iter()
        .any(|problem| problem.code == actions::UNKNOWN);
    let exit = if unknown { Exit::Parse } else { Exit::Error };
    session::stop_at_errors(&mut problems, exit, hidden)?;
    Ok(planned)
}

/// The hosts as `--list-hosts` shows them.
pub(super) fn host_list(hosts: &[String]) -> String {
    let mut text = format!("  hosts ({}):\n", hosts.len());
    for host in hosts {
        text.push_str(&format!("    {host}\n"));
    }
    text
}

/// What makes no sense as a single task.
fn refuse(pattern: &str, module: &str, args: &str) -> Result<(), CommandError> {
    let message = if adhoc::needs_args(module) && args.trim().is_empty() {
        let hint = match pattern.ends_with(".yml") {
            true => " (did you mean to run ansible-playbook?)",
            false => "",
        };
        format!("No argument passed to {module} module{hint}")
    } else if actions::short(module) == "import_playbook" {
        format!("'{module}' is not a valid action for ad-hoc commands")
    } else {
        return Ok(());
    };
    let problem = Diagnostic::error("adhoc", message);
    Err(CommandError::new(Exit::Options, problem))
}

/// The options that Ansible gives up.
fn leaving(arguments: &Arguments) -> Vec<Diagnostic> {
    let given = [
        (arguments.one_line, "-o", "oneline"),
        (arguments.tree.is_some(), "-t", "tree"),
    ];
    let told = given.into_iter().filter(|(given, ..)| *given);
    told.map(|(_, option, view)| {
        let what = format!("The '{option}' argument is deprecated.");
        let mut problem = Diagnostic::deprecation("option", &what, session::LEAVING);
        problem.message +=
            &format!(" Use callback configuration to enable the {view} callback instead.");
        problem
    })
    .collect()
}

/// The setting `stdout_callback` counts only where `bin_ansible_callbacks` says so, as in Ansible.
fn view_name(arguments: &Arguments, config: &Config) -> String {
    if let Some(name) = &arguments.output {
        return name.clone();
    }
    if arguments.one_line {
        return "oneline".to_owned();
    }
    let name = config
        .text("stdout_callback")
        .filter(|name| name != "default");
    name.filter(|_| config.bool("bin_ansible_callbacks"))
        .unwrap_or_else(|| "minimal".to_owned())
}
