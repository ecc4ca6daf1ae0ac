//! What every program that runs tasks begins with: settings, passwords, inventory, options; and the run
//! with its view.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::options::{InventoryOptions, RunOptions, TaskOptions};
use super::told;
use super::{CommandError, Exit, extra_vars, interrupt, passwords, tell, version};
use crate::config::{Config, Origin};
use crate::diag::{self, Diagnostic, Severity, nearest};
use crate::inventory::{EMPTY, Inventory, LOCALHOST, NO_HOSTS, NO_PLUGINS, PYTHON, UNPARSED};
use crate::plan::collections::Collections;
use crate::plan::library::Library;
use crate::plan::{Files, Planner, TagFilter};
use crate::report::event::{self, Event, MessageKind};
use crate::report::{Kept, View};
use crate::run::{History, Inputs, Options, PlannedPlaybook, Run, SshArgs};
use crate::secrets::Secrets;
use crate::template::value::Value;
use crate::template::{Settings, Templar};
use crate::vars::VarMap;

/// What a run starts from, before there are plays.
pub(super) struct Session {
    pub(super) inputs: Inputs,
    pub(super) planner: Planner,
}

const MISSING_INVENTORY: &str = "missing-inventory";

/// Whether an inventory source is nowhere; the run may not begin then.
pub(super) fn inventory_is_missing(problems: &[Diagnostic]) -> bool {
    let missing = |problem: &Diagnostic| problem.code == MISSING_INVENTORY;
    problems.iter().any(missing)
}

/// The settings for a run in this folder.
pub(super) fn config(problems: &mut Vec<Diagnostic>) -> Config {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let config = Config::load(&cwd, &|name| std::env::var(name).ok()).collect(problems);
    super::open_log(&config, problems);
    config
}

/// The settings for a program that runs nothing; what is wrong with them is told at once.
pub(super) fn settings(hidden: &Secrets) -> Result<Config, CommandError> {
    let mut problems = vec![];
    let config = config(&mut problems);
    stop_at_errors(&mut problems, Exit::Options, hidden)?;
    Ok(config)
}

/// Reads everything but plays; `pattern` is what the command line says of hosts.
pub(super) fn prepare(
    wanted: &TaskOptions,
    config: Config,
    pattern: &str,
    tags: TagFilter,
    problems: &mut Vec<Diagnostic>,
    hidden: &Secrets,
) -> Result<Session, CommandError> {
    let mut secrets = wanted.vault.secrets(&config, hidden)?;
    secrets.files_read = wanted.files_read.clone();
    hidden.name(config.list("secret_vars"));
    let files = Arc::new(Files::new(secrets));
    stop_at_errors(problems, Exit::Options, hidden)?;
    let mut odd = vec![];
    let extra = extra_vars::read(&wanted.extra.extra_vars, &files, &config, &mut odd)?;
    let inventory = inventory(&wanted.inventory, &config, &files, problems)?;
    problems.extend(odd);
    let warn = !LOCALHOST.contains(&pattern) && config.bool("localhost_warning");
    // A source that cannot be read is told instead, and nothing is run.
    let unread = |one: &Diagnostic| one.severity == Severity::Error || one.code == UNPARSED;
    let read = wanted.inventory.inventory.is_empty() || !problems.iter().any(unread);
    if warn && inventory.hosts.is_empty() && read {
        problems.push(Diagnostic::warning("no-hosts", EMPTY));
    }
    let settings = Settings {
        allow_broken_conditionals: config.bool("allow_broken_conditionals"),
        plain_constants: !config.bool("allow_embedded_templates"),
        facts_chosen: config.origin("inject_facts_as_vars") != Origin::Default,
        config: Some(Arc::new(config.clone())),
    };
    let templar = Arc::new(Templar::new(settings).with_secrets(files.secrets.clone()));
    let options = options(wanted, &config, tags, hidden)?;
    let planner = Planner {
        files: Arc::clone(&files),
        templar: Arc::clone(&templar),
        tags: options.tags.clone(),
        roles_path: config.path_list("roles_path"),
        collections: Collections::new(config.path_list("collections_path")),
        library: Arc::new(library(&wanted.how, &config)),
        private_roles: config.bool("private_role_vars"),
    };
    let magic = magic(&options, &config, &inventory);
    let inputs = Inputs {
        options,
        config,
        inventory,
        files,
        templar,
        extra,
        magic,
        history: History::default(),
        ask: passwords::answer,
        salt: passwords::salt,
    };
    Ok(Session { inputs, planner })
}

/// Where modules of ones own are looked for.
fn library(how: &RunOptions, config: &Config) -> Library {
    let given = how.module_path.iter();
    let given = given.flat_map(|paths| std::env::split_paths(paths));
    Library::new(given.chain(config.path_list("library")).collect())
}

/// The hosts of the sources, which must be there, and of the limit, which must leave some.
pub(super) fn inventory(
    wanted: &InventoryOptions,
    config: &Config,
    files: &Files,
    problems: &mut Vec<Diagnostic>,
) -> Result<Inventory, CommandError> {
    let mut sources = if wanted.inventory.is_empty() {
        config.inventory_sources()
    } else {
        vec![]
    };
    for source in &wanted.inventory {
        // Ansible goes on with an empty inventory, and then deploys to nobody or to the wrong hosts.
        if !source.contains(',') && !Path::new(source).exists() {
            let mut problem = Diagnostic::error(
                MISSING_INVENTORY,
                format!("the inventory: {source} could not be found"),
            );
            if let Some(near) = diag::similar_file(Path::new(source)) {
                problem = problem.hint(format!("did you mean `{near}`?"));
                // What was not named is never run, nor a folder looked through.
                if is_text(Path::new(&near)) {
                    sources.push(near);
                }
            }
            problem = problem.hint("a list of hosts ends with a comma: `-i host,`");
            problems.push(problem);
        } else {
            sources.push(source.clone());
        }
    }
    let missing = problems
        .iter()
        .any(|problem| problem.code == MISSING_INVENTORY);
    let inventory = Inventory::load(&sources, config, &files.secrets).collect(problems);
    if problems.iter().any(|problem| problem.code == NO_PLUGINS) {
        stop_at_errors(problems, Exit::Error, &files.secrets.hidden)?;
    }
    if let Some(limit) = &wanted.limit
        && !missing
    {
        let hosts = inventory.select("all", Some(limit));
        let wrong = |problem: &&Diagnostic| problem.severity == Severity::Error;
        if let Some(problem) = hosts.problems.iter().find(wrong) {
            return Err(CommandError::new(Exit::Error, problem.clone()));
        }
        if hosts.value.is_empty()
            && !inventory.hosts.is_empty()
            && !matches!(limit.as_str(), "localhost" | "127.0.0.1")
        {
            tell(
                &hosts
                    .problems
                    .iter()
                    .filter(|problem| problem.severity == Severity::Warning)
                    .cloned()
                    .collect::<Vec<_>>(),
                &files.secrets.hidden,
            );
            let mut problem = Diagnostic::error("no-hosts", NO_HOSTS);
            let names: Vec<String> = inventory
                .groups
                .keys()
                .chain(inventory.hosts.keys())
                .cloned()
                .collect();
            if let Some(near) = nearest(limit, names.iter().map(String::as_str)) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            return Err(CommandError::new(Exit::Error, problem));
        }
    }
    Ok(inventory)
}

/// Whether this is a file that nothing would run.
fn is_text(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 == 0)
}

fn options(
    wanted: &TaskOptions,
    config: &Config,
    tags: TagFilter,
    hidden: &Secrets,
) -> Result<Options, CommandError> {
    let TaskOptions {
        verbosity,
        inventory,
        how,
        connection,
        r#become,
        ..
    } = wanted;
    let passwords = passwords::read(connection, r#become, config, hidden)?;
    let number = |name: &str| {
        config
            .int(name)
            .and_then(|number| usize::try_from(number).ok())
    };
    let more = number("verbosity").and_then(|more| u8::try_from(more).ok());
    let given = |option: &Option<String>, name: &str| option.clone().or_else(|| config.text(name));
    Ok(Options {
        check: how.check,
        diff: how.diff || config.bool("diff_always"),
        verbosity: verbosity.verbose.saturating_add(more.unwrap_or_default()),
        forks: how.forks.or_else(|| number("forks")).unwrap_or(5).max(1),
        limit: inventory.limit.clone(),
        remote_user: connection.user.clone(),
        private_key: connection.private_key.clone(),
        keys: passwords::keys(hidden),
        connection: connection.connection.clone(),
        timeout: connection.timeout,
        r#become: r#become.r#become,
        become_user: r#become.become_user.clone(),
        become_method: r#become.become_method.clone(),
        become_password: passwords.r#become,
        password: passwords.connection,
        ssh_args: SshArgs {
            // What is there without being written asks for compression, which a fast line pays for.
            all: config.chosen("ssh_args"),
            common: given(&connection.ssh_common_args, "ssh_common_args"),
            extra: given(&connection.ssh_extra_args, "ssh_extra_args"),
        },
        force_handlers: false,
        start_at: None,
        step: false,
        look_ahead: true,
        keep: None,
        flush_cache: inventory.flush_cache,
        tags,
    })
}

/// Names that every task of the run sees.
fn magic(options: &Options, config: &Config, inventory: &Inventory) -> VarMap {
    let tuple = |names: &[String]| {
        Value::Tuple(names.iter().map(|name| Value::str(name.as_str())).collect())
    };
    let version = crate::template::value::Entries::from_iter(
        [
            ("string", Value::str(version::ANSIBLE)),
            ("full", Value::str(version::ANSIBLE)),
            ("major", Value::Int(2)),
            ("minor", Value::Int(21)),
            ("revision", Value::Int(5)),
        ]
        .map(|(name, value)| (name.into(), value)),
    );
    let sources = inventory
        .sources
        .iter()
        .map(|path| Value::str(path.display().to_string()))
        .collect();
    let run_tags = if options.tags.only.is_empty() {
        vec!["all".to_owned()]
    } else {
        options.tags.only.clone()
    };
    let mut magic = VarMap::from([
        ("ansible_version".to_owned(), Value::dict(version)),
        ("ansible_check_mode".to_owned(), Value::Bool(options.check)),
        ("ansible_diff_mode".to_owned(), Value::Bool(options.diff)),
        (
            "ansible_verbosity".to_owned(),
            Value::Int(options.verbosity.into()),
        ),
        (
            "ansible_forks".to_owned(),
            Value::Int(options.forks as i128),
        ),
        ("ansible_run_tags".to_owned(), tuple(&run_tags)),
        ("ansible_skip_tags".to_owned(), tuple(&options.tags.skip)),
        (
            "ansible_inventory_sources".to_owned(),
            Value::Tuple(sources),
        ),
        ("ansible_playbook_python".to_owned(), Value::str(PYTHON)),
    ]);
    if let Some(limit) = &options.limit {
        magic.insert("ansible_limit".to_owned(), Value::str(limit.as_str()));
    }
    let file = config.file.as_ref().map(|path| path.display().to_string());
    magic.insert(
        "ansible_config_file".to_owned(),
        file.map_or(Value::None, Value::from),
    );
    magic
}

/// The version of ansible-core in which views and options end that are no longer wanted.
pub(super) const LEAVING: &str = "2.23";

/// The view of a run by its name, the folder into which results are written, and further
/// views that get the same events; and what keeps them.
pub(super) fn view(
    name: &str,
    tree: Option<&Path>,
    inputs: &Inputs,
    beside: Vec<Box<dyn View>>,
    kept: Kept,
) -> Result<Box<dyn View>, CommandError> {
    let hidden = &inputs.files.secrets.hidden;
    view_of(name, tree, &inputs.config, hidden, (beside, kept))
}

/// The same without a run.
pub(super) fn view_of(
    name: &str,
    tree: Option<&Path>,
    config: &Config,
    hidden: &Secrets,
    (beside, kept): (Vec<Box<dyn View>>, Kept),
) -> Result<Box<dyn View>, CommandError> {
    let terminal = std::io::stdout().is_terminal();
    let enabled = config.list("callbacks_enabled");
    let leaving = |view: &&str| match *view {
        "tree" => {
            tree.is_some()
                || enabled
                    .iter()
                    .any(|other| crate::report::short(other) == "tree")
        }
        view => crate::report::short(name) == view,
    };
    let told = ["oneline", "tree"].into_iter().filter(leaving).map(|view| {
        let what = format!(
            "{view} has been deprecated. Use another callback plugin, or vendor and/or move the {view} callback to a collection."
        );
        Diagnostic::deprecation("view", &what, LEAVING)
    });
    tell(&told.collect::<Vec<_>>(), hidden);
    crate::report::open(name, config, tree, terminal, hidden, beside, kept)
        .map_err(|problem| CommandError::new(Exit::Error, problem))
}

/// What runs the tasks of a run.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // What a main thread has: futures within futures are on it. Only what is used takes memory.
        .thread_stack_size(8 << 20)
        .enable_all()
        .build();
    runtime.map_err(internal)
}

/// The error of a system that refuses what every program may have.
fn internal(error: std::io::Error) -> CommandError {
    let problem = Diagnostic::error("internal", error.to_string());
    CommandError::new(Exit::Unexpected, problem)
}

/// Runs planned playbooks.
pub(super) fn execute(
    inputs: Inputs,
    planner: Planner,
    playbooks: &[PlannedPlaybook],
    mut view: Box<dyn View>,
    arguments: Vec<String>,
) -> Result<Exit, CommandError> {
    crate::connect::raise(inputs.inventory.hosts.len());
    let runtime = runtime()?;
    let options = event::RunOptions {
        check: inputs.options.check,
        diff: inputs.options.diff,
        verbosity: inputs.options.verbosity,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arguments,
    };
    view.event(&Event::RunStarted { options });
    let mut say = |level: u8, text: String| {
        let kind = MessageKind::Verbose(level);
        view.event(&Event::Message { kind, text });
    };
    say(2, told::program(&inputs.config));
    say(1, told::settings(&inputs.config));
    let dir = folder(playbooks);
    let mut sink = |event: Event| view.event(&event);
    interrupt::leave_all();
    let code = runtime.block_on(async {
        let mut signals = interrupt::Signals::new().map_err(internal)?;
        let mut run = Run::new(inputs, planner, dir, &mut sink);
        run.check(playbooks);
        let work = async {
            for playbook in playbooks {
                match run.playbook(playbook).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(problem) => {
                        run.close().await;
                        let exit = fault_exit(&problem);
                        // The debugger has told it.
                        if problem.code == crate::run::debugger::QUIT {
                            return Err(CommandError {
                                exit,
                                problems: vec![],
                            });
                        }
                        return Err(CommandError::new(exit, *problem));
                    }
                }
            }
            Ok(Exit::Run(run.end().await))
        };
        let kind = tokio::select! {
            code = work => return code,
            kind = signals.next() => kind,
        };
        // The run is gone with `work`, and hosts are told to stop. Who cannot wait for that asks again.
        tokio::select! {
            () = crate::connect::all_left() => {}
            _ = signals.next() => {}
        }
        Err(interrupt::after(kind))
    });
    runtime.shutdown_background();
    code
}

/// The exit code of a run that could not go on.
pub(super) fn fault_exit(problem: &Diagnostic) -> Exit {
    match problem.code {
        "order" => Exit::Options,
        crate::run::debugger::QUIT => Exit::Interrupted,
        // What could not be read, whenever it was read.
        crate::run::WRONG_KEYWORD
        | "vars-not-a-mapping"
        | "yaml-syntax"
        | "yaml-value"
        | "missing-file"
        | "vault"
        | "not-utf8" => Exit::Parse,
        _ => Exit::Error,
    }
}

/// The folder of the first playbook.
pub(super) fn folder(playbooks: &[PlannedPlaybook]) -> PathBuf {
    let first = playbooks
        .first()
        .and_then(|playbook| playbook.plays.first());
    first.map_or_else(|| PathBuf::from("."), |play| play.dir.clone())
}

/// Tells warnings; stops when there are errors, which are told together.
pub(super) fn stop_at_errors(
    problems: &mut Vec<Diagnostic>,
    exit: Exit,
    hidden: &Secrets,
) -> Result<(), CommandError> {
    let found = std::mem::take(problems);
    let (errors, warnings): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    tell(&warnings, hidden);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(CommandError {
            exit,
            problems: errors,
        })
    }
}
