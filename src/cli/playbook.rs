//! `rplay PLAYBOOK...`: reads everything, reports every problem, then runs.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;

use super::vault::VaultOptions;
use super::{CommandError, Exit, extra_vars, stop_at_errors, tell};
use crate::config::Config;
use crate::connect::Secret;
use crate::diag::{Diagnostic, Severity, nearest};
use crate::inventory::{EMPTY, Inventory, NO_HOSTS};
use crate::plan::collections::Collections;
use crate::plan::{Files, Planner, TagFilter};
use crate::report::event::{Event, MessageKind, RunOptions};
use crate::run::{self, Inputs, Options, PlannedPlaybook, Run};
use crate::secrets::Secrets;
use crate::template::value::Value;
use crate::template::{Settings, Templar};
use crate::vars::VarMap;

/// Runs Ansible playbooks.
#[derive(Debug, Parser)]
#[command(
    name = "rplay",
    version,
    infer_long_args = true,
    disable_help_flag = false,
    args_override_self = true
)]
pub(super) struct Arguments {
    /// Playbook(s)
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    /// Inventory: a file, a directory, or a list of hosts with commas
    #[arg(
        short,
        long = "inventory",
        alias = "inventory-file",
        value_name = "INVENTORY"
    )]
    inventory: Vec<String>,
    /// Run on these hosts only
    #[arg(short, long, value_name = "SUBSET")]
    limit: Option<String>,
    /// Set variables: key=value, JSON or YAML, or @file
    #[arg(short, long, value_name = "EXTRA_VARS")]
    extra_vars: Vec<String>,
    /// Change nothing, tell what would change
    #[arg(short = 'C', long)]
    check: bool,
    /// Show the differences
    #[arg(short = 'D', long)]
    diff: bool,
    /// Run plays and tasks with these tags only
    #[arg(short, long, value_name = "TAGS")]
    tags: Vec<String>,
    /// Leave out plays and tasks with these tags
    #[arg(long, value_name = "SKIP_TAGS")]
    skip_tags: Vec<String>,
    /// Number of hosts worked on at a time
    #[arg(short, long, value_name = "FORKS")]
    forks: Option<usize>,
    /// Tell more (-vvv for more still)
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Connect as this user
    #[arg(short, long, value_name = "REMOTE_USER")]
    user: Option<String>,
    /// Connection type
    #[arg(short, long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// Time-out of the connection in seconds
    #[arg(short = 'T', long, value_name = "TIMEOUT")]
    timeout: Option<u64>,
    /// Private key of the connection
    #[arg(long, alias = "key-file", value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Arguments for ssh
    #[arg(long, allow_hyphen_values = true, value_name = "ARGS")]
    ssh_common_args: Option<String>,
    /// Further arguments for ssh
    #[arg(long, allow_hyphen_values = true, value_name = "ARGS")]
    ssh_extra_args: Option<String>,
    /// Ask for the connection's password
    #[arg(short = 'k', long)]
    ask_pass: bool,
    /// File with the connection's password
    #[arg(long, alias = "conn-pass-file", value_name = "FILE")]
    connection_password_file: Option<PathBuf>,
    /// Become another user
    #[arg(short = 'b', long)]
    r#become: bool,
    /// The user to become
    #[arg(long, value_name = "BECOME_USER")]
    become_user: Option<String>,
    /// How to become that user
    #[arg(long, value_name = "BECOME_METHOD")]
    become_method: Option<String>,
    /// Ask for the password to become that user
    #[arg(short = 'K', long)]
    ask_become_pass: bool,
    /// File with the password to become that user
    #[arg(long, alias = "become-pass-file", value_name = "FILE")]
    become_password_file: Option<PathBuf>,
    #[command(flatten)]
    vault: VaultOptions,
    /// Run handlers even if a task fails
    #[arg(long)]
    force_handlers: bool,
    /// Clear the fact cache (facts are kept for one run only)
    #[arg(long)]
    flush_cache: bool,
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
    #[arg(long, value_name = "TASK")]
    start_at_task: Option<String>,
    /// Ask before each task (not supported yet)
    #[arg(long)]
    step: bool,
    /// The way the run is shown
    #[arg(long, value_name = "VIEW")]
    output: Option<String>,
}

/// What is read before anything runs.
pub(super) struct Loaded {
    pub(super) inputs: Inputs,
    planner: Planner,
    pub(super) playbooks: Vec<PlannedPlaybook>,
}

/// Runs the command.
pub(super) fn run(arguments: Arguments, hidden: &Secrets) -> Result<Exit, CommandError> {
    if arguments.step {
        let problem = Diagnostic::error("unsupported-option", "`--step` is not supported yet");
        return Err(CommandError::new(Exit::Options, problem));
    }
    let loaded = load(&arguments, hidden)?;
    let listed = arguments.list_hosts || arguments.list_tasks || arguments.list_tags;
    if arguments.syntax_check || listed {
        super::listing::print(&loaded, &arguments);
        return Ok(Exit::Ok);
    }
    execute(loaded, &arguments)
}

fn load(arguments: &Arguments, hidden: &Secrets) -> Result<Loaded, CommandError> {
    let mut problems = vec![];
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let config = Config::load(&cwd, &|name| std::env::var(name).ok()).collect(&mut problems);
    let collections = Collections::new(config.path_list("collections_path"));
    let playbooks: Vec<PathBuf> = arguments
        .playbooks
        .iter()
        .map(|path| named_playbook(path, &collections, &cwd))
        .collect();
    for path in &playbooks {
        check_playbook(path)?;
    }
    let secrets = arguments.vault.secrets(&config, hidden)?;
    let files = Arc::new(Files::new(secrets));
    stop_at_errors(&mut problems, Exit::Options, hidden)?;
    let extra = extra_vars::read(&arguments.extra_vars, &files)?;
    let inventory = inventory(arguments, &config, &files, &mut problems)?;
    let settings = Settings {
        allow_broken_conditionals: config.bool("allow_broken_conditionals"),
    };
    if inventory.hosts.is_empty() && arguments.inventory.is_empty() {
        problems.push(Diagnostic::warning("no-hosts", EMPTY));
    }
    let templar = Arc::new(Templar::new(settings).with_secrets(files.secrets.clone()));
    let options = options(arguments, &config)?;
    for password in [&options.password, &options.become_password] {
        password
            .iter()
            .for_each(|password| hidden.add(password.expose()));
    }
    let planner = Planner {
        files: Arc::clone(&files),
        templar: Arc::clone(&templar),
        tags: options.tags.clone(),
        roles_path: config.path_list("roles_path"),
        collections,
        listing: arguments.list_tasks || arguments.list_tags,
    };
    let magic = magic(&options, &config, &inventory);
    let (shared_extra, shared_magic) = (Arc::new(extra.clone()), Arc::new(magic.clone()));
    let playbooks: Vec<PlannedPlaybook> = playbooks
        .iter()
        .map(|path| {
            run::plan_playbook(path, &planner, &shared_extra, &shared_magic).collect(&mut problems)
        })
        .collect();
    let inputs = Inputs {
        options,
        config,
        inventory,
        files,
        templar,
        extra,
        magic,
    };
    let loaded = Loaded {
        inputs,
        planner,
        playbooks,
    };
    if problems
        .iter()
        .all(|problem| problem.code != MISSING_INVENTORY)
    {
        loaded.inputs.config.judge(&mut problems);
        let exit = parse_exit(&problems);
        stop_at_errors(&mut problems, exit, hidden)?;
        return Ok(loaded);
    }
    // Everything that is wrong is told at once: also what the inventory that was meant would show.
    let Loaded {
        inputs,
        planner,
        playbooks,
    } = loaded;
    let dir = folder(&playbooks);
    let found = Run::new(inputs, planner, dir, &mut |_| {}).preflight(&playbooks);
    problems.extend(found.into_values());
    stop_at_errors(&mut problems, Exit::Error, hidden)?;
    Err(CommandError {
        exit: Exit::Error,
        problems: vec![],
    })
}

/// A role or playbook that is nowhere has Ansible's code for other errors.
fn parse_exit(problems: &[Diagnostic]) -> Exit {
    let mut errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    match errors.next().map(|problem| problem.code) {
        Some("missing-role" | "missing-playbook" | "inventory-unparsed") => Exit::Error,
        _ => Exit::Parse,
    }
}

/// The exit code of a run that could not go on.
fn fault_exit(problem: &Diagnostic) -> Exit {
    match problem.code {
        "order" => Exit::Options,
        crate::run::debugger::QUIT => Exit::Interrupted,
        // What could not be read, whenever it was read.
        "vars-not-a-mapping" | "yaml-syntax" | "yaml-value" | "missing-file" => Exit::Parse,
        _ => Exit::Error,
    }
}

/// The folder of the first playbook.
fn folder(playbooks: &[PlannedPlaybook]) -> PathBuf {
    let first = playbooks
        .first()
        .and_then(|playbook| playbook.plays.first());
    first.map_or_else(|| PathBuf::from("."), |play| play.dir.clone())
}

const MISSING_INVENTORY: &str = "missing-inventory";

/// A playbook that is named with its collection, as its file; any other one as it is.
fn named_playbook(path: &Path, collections: &Collections, cwd: &Path) -> PathBuf {
    let named = path.to_str().filter(|_| !path.exists());
    let found = named.and_then(|name| collections.playbook(name, cwd));
    found.unwrap_or_else(|| path.to_owned())
}

fn check_playbook(path: &Path) -> Result<(), CommandError> {
    let shown = path.display();
    if !path.exists() {
        let mut problem = Diagnostic::error(
            "missing-playbook",
            format!("the playbook: {shown} could not be found"),
        );
        if let Some(near) = similar_file(path) {
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

/// A file beside the one that is not there, with nearly its name.
fn similar_file(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Where a folder is missing, a file of that name may be meant: `staging.yml` for `staging/hosts`.
    if !folder.exists() {
        let files = ["yml", "yaml", "ini", "toml", "json"];
        let mut files = files
            .iter()
            .map(|extension| folder.with_extension(extension));
        let found = files
            .find(|file| file.is_file())
            .map(|file| file.display().to_string());
        return found.or_else(|| similar_file(folder));
    }
    let names: Vec<String> = folder
        .read_dir()
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let near = nearest(&name, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}

fn inventory(
    arguments: &Arguments,
    config: &Config,
    files: &Files,
    problems: &mut Vec<Diagnostic>,
) -> Result<Inventory, CommandError> {
    let mut sources = if arguments.inventory.is_empty() {
        config.inventory_sources()
    } else {
        vec![]
    };
    for source in &arguments.inventory {
        // Ansible goes on with an empty inventory, and then deploys to nobody or to the wrong hosts.
        if !source.contains(',') && !Path::new(source).exists() {
            let mut problem = Diagnostic::error(
                MISSING_INVENTORY,
                format!("the inventory: {source} could not be found"),
            );
            if let Some(near) = similar_file(Path::new(source)) {
                problem = problem.hint(format!("did you mean `{near}`?"));
                sources.push(near);
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
    if let Some(limit) = &arguments.limit
        && !missing
    {
        let hosts = inventory.select("all", Some(limit));
        if hosts.value.is_empty() && !matches!(limit.as_str(), "localhost" | "127.0.0.1") {
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

fn options(arguments: &Arguments, config: &Config) -> Result<Options, CommandError> {
    let words = |lists: &[String]| -> Vec<String> {
        lists
            .iter()
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect()
    };
    let ask = |wanted: bool,
               file: Option<&PathBuf>,
               question: &str|
     -> Result<Option<Secret>, CommandError> {
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let message = format!(
                    "cannot read the password file `{}`: {error}",
                    path.display()
                );
                CommandError::new(Exit::Error, Diagnostic::error("password-file", message))
            })?;
            return Ok(Some(Secret::from(text.trim_end_matches(['\n', '\r']))));
        }
        Ok(wanted
            .then(|| run::prompt::ask(question, false))
            .flatten()
            .map(Secret::from))
    };
    let password = ask(
        arguments.ask_pass,
        arguments.connection_password_file.as_ref(),
        "SSH password: ",
    )?;
    let become_password = ask(
        arguments.ask_become_pass,
        arguments.become_password_file.as_ref(),
        "BECOME password: ",
    )?;
    let (mut only, skip) = (words(&arguments.tags), words(&arguments.skip_tags));
    if arguments.list_tags && only.is_empty() {
        // All tags are told, also that of tasks which only run when it is asked for.
        only = ["all", "never"].map(str::to_owned).to_vec();
    }
    let forks = config
        .int("forks")
        .and_then(|forks| usize::try_from(forks).ok())
        .unwrap_or(5);
    let ssh_args = [
        config.text("ssh_args"),
        arguments.ssh_common_args.clone(),
        arguments.ssh_extra_args.clone(),
    ];
    Ok(Options {
        check: arguments.check,
        diff: arguments.diff || config.bool("diff_always"),
        verbosity: arguments.verbose,
        forks: arguments.forks.unwrap_or(forks),
        limit: arguments.limit.clone(),
        remote_user: arguments.user.clone(),
        private_key: arguments.private_key.clone(),
        connection: arguments.connection.clone(),
        timeout: arguments.timeout,
        r#become: arguments.r#become,
        become_user: arguments.become_user.clone(),
        become_method: arguments.become_method.clone(),
        become_password,
        password,
        ssh_args: ssh_args.into_iter().flatten().collect(),
        force_handlers: arguments.force_handlers,
        start_at: arguments.start_at_task.clone(),
        tags: TagFilter { only, skip },
    })
}

/// Names that every task of the run sees.
fn magic(options: &Options, config: &Config, inventory: &Inventory) -> VarMap {
    let list = |names: &[String]| {
        Value::list(names.iter().map(|name| Value::str(name.as_str())).collect())
    };
    let version = crate::template::value::Entries::from_iter(
        [
            ("full", Value::str("2.21.5")),
            ("major", Value::Int(2)),
            ("minor", Value::Int(21)),
            ("revision", Value::Int(5)),
            ("string", Value::str("2.21.5")),
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
        ("ansible_run_tags".to_owned(), list(&run_tags)),
        ("ansible_skip_tags".to_owned(), list(&options.tags.skip)),
        ("ansible_inventory_sources".to_owned(), Value::list(sources)),
        (
            "ansible_playbook_python".to_owned(),
            Value::str("/usr/bin/python3"),
        ),
        ("omit".to_owned(), Value::omit()),
        (
            "ansible_managed".to_owned(),
            Value::str(
                config
                    .text("ansible_managed")
                    .unwrap_or_else(|| "Ansible managed".to_owned()),
            ),
        ),
    ]);
    if let Some(limit) = &options.limit {
        magic.insert("ansible_limit".to_owned(), Value::str(limit.as_str()));
    }
    let file = config.file.as_ref().map(|path| path.display().to_string());
    magic.insert(
        "ansible_config_file".to_owned(),
        Value::str(file.unwrap_or_default()),
    );
    magic
}

fn execute(loaded: Loaded, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Loaded {
        inputs,
        planner,
        playbooks,
    } = loaded;
    let unexpected = |error: &dyn std::fmt::Display| {
        CommandError::new(
            Exit::Unexpected,
            Diagnostic::error("internal", error.to_string()),
        )
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| unexpected(&error))?;
    let name = arguments
        .output
        .clone()
        .or_else(|| inputs.config.text("stdout_callback"))
        .unwrap_or_else(|| "default".to_owned());
    let terminal = std::io::stdout().is_terminal();
    let hidden = &inputs.files.secrets.hidden;
    let mut view =
        crate::report::open(&name, &inputs.config, terminal, hidden).map_err(|message| {
            CommandError::new(Exit::Options, Diagnostic::error("unknown-view", message))
        })?;
    let options = RunOptions {
        check: inputs.options.check,
        diff: inputs.options.diff,
        verbosity: inputs.options.verbosity,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let verbose = options.verbosity > 0;
    view.event(&Event::RunStarted { options });
    if verbose {
        let text = match &inputs.config.file {
            Some(path) => format!("Using {} as config file", path.display()),
            None => "No config file found; using defaults".to_owned(),
        };
        view.event(&Event::Message {
            kind: MessageKind::Verbose,
            text,
        });
    }
    let dir = folder(&playbooks);
    let mut sink = |event: Event| view.event(&event);
    let code = runtime.block_on(async {
        let mut run = Run::new(inputs, planner, dir, &mut sink);
        run.check(&playbooks, arguments.flush_cache);
        let work = async {
            for playbook in &playbooks {
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
        tokio::select! {
            code = work => code,
            _ = tokio::signal::ctrl_c() => Err(CommandError::new(
                Exit::Interrupted,
                Diagnostic::error("interrupted", "User interrupted execution"),
            )),
        }
    });
    runtime.shutdown_background();
    code
}
