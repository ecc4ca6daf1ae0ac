//! `rplay console`, Ansible's `ansible-console`: a task a line, on hosts that one walks among.

use std::sync::Arc;

use clap::Parser;
use rplay_modules::data::Data;

use super::adhoc;
use super::options::{BaseDir, TaskOptions};
use super::programs::{Call, parse};
use super::session::{self, Session};
use super::told;
use super::{CommandError, Exit, finish, interrupt, tell};
use crate::config::Config;
use crate::diag::{Diagnostic, nearest};
use crate::inventory::{Inventory, NO_HOSTS};
use crate::load::actions;
use crate::load::adhoc::AdHoc;
use crate::plan::{Planner, TagFilter};
use crate::report::event::{self, Event};
use crate::report::{Kept, View};
use crate::run::{Options, PlannedPlaybook, Run, prompt};
use crate::secrets::Secrets;
use crate::template::value::Value;
use crate::vars::VarMap;

/// The name of the plays, which tasks see as `ansible_play_name`.
const PLAY: &str = "Ansible Shell";

/// Runs the tasks that one types.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// Host pattern
    #[arg(default_value = "all")]
    pattern: String,
    #[command(flatten)]
    options: TaskOptions,
    /// List the hosts, run nothing
    #[arg(long)]
    list_hosts: bool,
    /// Ask before each task
    #[arg(long)]
    step: bool,
    /// Time limit of each task in seconds
    #[arg(long, value_name = "SECONDS")]
    task_timeout: Option<i64>,
    #[command(flatten)]
    base: BaseDir,
}

/// A word that is no module: its name, what follows it, what it does.
const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "cd",
        "PATTERN",
        "work on the hosts of a pattern; without one on all",
    ),
    (
        "list",
        "[groups]",
        "list the hosts that tasks run on, or the groups of the inventory",
    ),
    ("become", "yes|no", "whether tasks become another user"),
    ("become_user", "USER", "the user that tasks become"),
    (
        "become_method",
        "METHOD",
        "how tasks become that user: sudo, su, doas",
    ),
    ("remote_user", "USER", "the user of connections"),
    ("forks", "NUMBER", "how many hosts are worked on at a time"),
    ("verbosity", "NUMBER", "how much is told"),
    (
        "check",
        "yes|no",
        "whether tasks only tell what they would change",
    ),
    ("diff", "yes|no", "whether differences are shown"),
    ("timeout", "SECONDS", "the time limit of tasks; 0 for none"),
    (
        "collections",
        "NAMES",
        "refused: modules are part of rplay, name them in full",
    ),
    ("!COMMAND", "", "the same as `shell COMMAND`"),
    (
        "help",
        "[NAME]",
        "this list, or what a command or module does",
    ),
    ("exit", "", "leave; so does the end of the input"),
];

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
    let timeout = arguments
        .task_timeout
        .or_else(|| config.int("task_timeout"));
    let mut session = session::prepare(
        &arguments.options,
        config,
        &arguments.pattern,
        TagFilter::default(),
        &mut problems,
        hidden,
    )?;
    session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    session.inputs.options.step = arguments.step;
    let options = &session.inputs.options;
    let inventory = session.inputs.inventory.clone();
    let selected = inventory.select(&arguments.pattern, options.limit.as_deref());
    tell(&selected.problems, hidden);
    if arguments.list_hosts {
        crate::report::print(&adhoc::host_list(&selected.value));
        return Ok(Exit::Ok);
    }
    if selected.value.is_empty() && !inventory.hosts.is_empty() {
        let problem = Diagnostic::error("no-hosts", NO_HOSTS);
        return Err(CommandError::new(Exit::Error, problem));
    }
    let console = Console {
        pattern: arguments.pattern.clone(),
        timeout: timeout.unwrap_or_default(),
        options: options.clone(),
        inventory,
        base: &arguments.base,
        user: default_user(&session.inputs.config),
        planner: session.planner.clone(),
        extra: Arc::new(session.inputs.extra.clone()),
        magic: Arc::new(session.inputs.magic.clone()),
        hidden,
    };
    let view = session::view("minimal", None, &session.inputs, vec![], Kept::default())?;
    let runtime = session::runtime()?;
    interrupt::leave_interrupts();
    let exit = runtime.block_on(async {
        tokio::select! {
            () = console.read_lines(session, view) => return Exit::Ok,
            _ = tokio::signal::ctrl_c() => {}
        }
        // Hosts are told to stop what they run.
        crate::connect::all_left().await;
        Exit::Interrupted
    });
    runtime.shutdown_background();
    crate::report::print("\nAnsible-console was exited.\n");
    Ok(exit)
}

/// What the lines so far have set.
struct Console<'a> {
    pattern: String,
    timeout: i64,
    options: Options,
    inventory: Inventory,
    base: &'a BaseDir,
    /// The user that the prompt shows where none is set.
    user: String,
    planner: Planner,
    extra: Arc<VarMap>,
    magic: Arc<VarMap>,
    hidden: &'a Secrets,
}

/// What is to be done about a line.
enum Line {
    /// Nothing more.
    Done,
    /// The options have changed; perhaps that is told.
    Changed(Option<String>),
    /// Tell the user.
    Say(String),
    /// Run a task.
    Task(Box<PlannedPlaybook>),
    /// Leave.
    Exit,
}

impl Console<'_> {
    /// Reads lines until the end. Connections and facts live as long as the console does.
    async fn read_lines(mut self, session: Session, mut view: Box<dyn View>) {
        if self.options.verbosity > 1 {
            crate::report::print(&(told::program(&session.inputs.config) + "\n"));
        }
        if self.options.verbosity > 0 {
            crate::report::print(&(told::settings(&session.inputs.config) + "\n"));
        }
        crate::report::print(
            "Welcome to the ansible console. Type help or ? to list commands.\n\n",
        );
        let mut verbosity = None;
        let dir = std::env::current_dir().unwrap_or_default();
        let mut sink = |event: Event| view.event(&event);
        let mut run = Run::new(session.inputs, session.planner, dir, &mut sink);
        loop {
            crate::report::prompt(&self.prompt());
            let reply = tokio::task::spawn_blocking(prompt::reply).await;
            let Some(line) = reply.ok().flatten() else {
                break;
            };
            match self.line(&line) {
                Line::Exit => break,
                Line::Done => {}
                Line::Changed(text) => {
                    run.set_options(self.options.clone());
                    crate::report::print(&text.map_or_else(String::new, |text| text + "\n"));
                }
                Line::Say(text) => crate::report::print(&(text + "\n")),
                Line::Task(playbook) => {
                    if verbosity != Some(self.options.verbosity) {
                        verbosity = Some(self.options.verbosity);
                        run.show_as(self.run_options());
                    }
                    if let Err(problem) = run.playbook(&playbook).await {
                        tell(&[*problem], self.hidden);
                    }
                    run.forget_failures();
                }
            }
        }
        run.close().await;
    }

    fn run_options(&self) -> event::RunOptions {
        event::RunOptions {
            check: self.options.check,
            diff: self.options.diff,
            verbosity: self.options.verbosity,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: vec![],
        }
    }

    fn prompt(&self) -> String {
        let user = self.options.remote_user.as_ref().unwrap_or(&self.user);
        let root = self.options.r#become && self.become_user() == "root";
        let sign = if root { '#' } else { '$' };
        let (pattern, hosts) = (&self.pattern, self.hosts().len());
        format!(
            "{user}@{pattern} ({hosts})[f:{}]{sign} ",
            self.options.forks
        )
    }

    fn become_user(&self) -> &str {
        self.options.become_user.as_deref().unwrap_or("root")
    }

    fn hosts(&self) -> Vec<String> {
        let limit = self.options.limit.as_deref();
        self.inventory.select(&self.pattern, limit).value
    }

    fn line(&mut self, line: &str) -> Line {
        if line.is_empty() || line.starts_with('#') {
            return Line::Done;
        }
        if let Some(command) = line.strip_prefix('!') {
            return self.task("shell", command.trim());
        }
        let (word, rest) = match line.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (line, ""),
        };
        match word {
            "exit" | "EOF" => Line::Exit,
            "?" | "help" => Line::Say(help(rest)),
            "cd" => self.walk(rest),
            "list" if rest == "groups" => {
                let mut names: Vec<&str> =
                    self.inventory.groups.keys().map(String::as_str).collect();
                names.sort_unstable();
                Line::Say(names.join("\n"))
            }
            "list" if !rest.is_empty() => {
                self.wrong("Invalid option passed to \"list\"");
                Line::Say(help("list"))
            }
            "list" => Line::Say(self.hosts().join("\n")),
            "collections" => Line::Say(
                "collections is not supported: modules are part of rplay, name them in full"
                    .to_owned(),
            ),
            _ => match self.set(word, rest) {
                Some(line) => line,
                None if actions::is_callable(word) && !word.contains("{{") => self.task(word, rest),
                None => self.task("shell", line),
            },
        }
    }

    /// Goes to the hosts of a pattern.
    fn walk(&mut self, pattern: &str) -> Line {
        let pattern = match pattern {
            "" => "*",
            "*" | "/" => "all",
            other => other,
        };
        let limit = self.options.limit.as_deref();
        let selected = self.inventory.select(pattern, limit);
        tell(&selected.problems, self.hidden);
        if selected.value.is_empty() {
            return Line::Say("no host matched".to_owned());
        }
        self.pattern = pattern.to_owned();
        Line::Done
    }

    /// Sets an option; nothing where the word is none.
    fn set(&mut self, word: &str, value: &str) -> Option<Line> {
        if value.is_empty() {
            return self.missing(word).map(Line::Say);
        }
        let flag = matches!(
            value.to_lowercase().as_str(),
            "yes" | "y" | "on" | "true" | "t" | "1"
        );
        let number = value.parse::<i64>();
        let options = &mut self.options;
        match word {
            "become" => {
                options.r#become = flag;
                let told = format!("become changed to {}", python(flag));
                return Some(Line::Changed(Some(told).filter(|_| options.verbosity > 0)));
            }
            "check" => {
                options.check = flag;
                return Some(Line::Changed(Some(format!(
                    "check mode changed to {}",
                    python(flag)
                ))));
            }
            "diff" => {
                options.diff = flag;
                return Some(Line::Changed(Some(format!(
                    "diff mode changed to {}",
                    python(flag)
                ))));
            }
            "become_user" => options.become_user = Some(value.to_owned()),
            "become_method" => {
                options.become_method = Some(value.to_owned());
                let told = format!("become_method changed to {value}");
                return Some(Line::Changed(Some(told).filter(|_| options.verbosity > 0)));
            }
            "remote_user" => options.remote_user = Some(value.to_owned()),
            "forks" => match number.map(usize::try_from) {
                Ok(Ok(forks)) if forks > 0 => options.forks = forks,
                Ok(_) => {
                    let text = "forks must be greater than or equal to 1";
                    return Some(Line::Say(text.to_owned()));
                }
                Err(_) => return Some(self.no_number("The forks must be a valid integer", value)),
            },
            "verbosity" => match number.map(u8::try_from) {
                Ok(Ok(more)) => {
                    options.verbosity = more;
                    let told = (more > 0).then(|| format!("verbosity level set to {more}"));
                    return Some(Line::Changed(told));
                }
                _ => {
                    let text = "The verbosity must be a valid integer";
                    return Some(self.no_number(text, value));
                }
            },
            "timeout" => match number {
                Ok(seconds) if seconds < 0 => {
                    let text = "The timeout must be greater than or equal to 1, use 0 to disable";
                    return Some(self.wrong(text));
                }
                Ok(seconds) => self.timeout = seconds,
                Err(_) => {
                    let text = "The timeout must be a valid positive integer, or 0 to disable";
                    return Some(self.no_number(text, value));
                }
            },
            _ => return None,
        }
        Some(Line::Changed(None))
    }

    /// Tells that a value is no number, in the words that Ansible has for it.
    fn no_number(&self, text: &str, value: &str) -> Line {
        let value = Value::from_data(&Data::from(value)).repr();
        self.wrong(&format!(
            "{text}: invalid literal for int() with base 10: {value}"
        ))
    }

    /// Tells that a line cannot be done.
    fn wrong(&self, text: &str) -> Line {
        tell(&[Diagnostic::error("console", text)], self.hidden);
        Line::Done
    }

    /// What is said where the value is missing.
    fn missing(&self, word: &str) -> Option<String> {
        let text = match word {
            "become" => "Please specify become value, e.g. `become yes`",
            "become_user" => "Please specify a user, e.g. `become_user jenkins`",
            "become_method" => "Please specify a become_method, e.g. `become_method su`",
            "remote_user" => "Please specify a remote user, e.g. `remote_user root`",
            "forks" => "Usage: forks <number>",
            "verbosity" => "Usage: verbosity <number>",
            "timeout" => "Usage: timeout <seconds>",
            "check" => "Please specify check mode value, e.g. `check yes`",
            "diff" => "Please specify a diff value , e.g. `diff yes`",
            _ => return None,
        };
        let state = match word {
            "check" => format!("\ncheck mode is currently {}.", python(self.options.check)),
            "diff" => format!("\ndiff mode is currently {}", python(self.options.diff)),
            "become_user" => {
                let user = self.options.become_user.as_deref().unwrap_or("None");
                format!("\nCurrent user is {user}")
            }
            "become_method" => {
                let method = self.options.become_method.as_deref().unwrap_or("sudo");
                format!("\nCurrent become_method is {method}")
            }
            _ => String::new(),
        };
        let state = Some(state).filter(|_| self.options.verbosity > 0);
        Some(text.to_owned() + &state.unwrap_or_default())
    }

    fn task(&self, module: &str, args: &str) -> Line {
        let task = AdHoc {
            pattern: &self.pattern,
            name: PLAY,
            module,
            args,
            console: true,
            timeout: self.timeout,
            background: None,
        };
        let planned = adhoc::plan(
            &task,
            self.base,
            &self.planner,
            &self.extra,
            &self.magic,
            self.hidden,
        );
        match planned {
            Ok(playbook) => Line::Task(Box::new(playbook)),
            Err(error) => {
                tell(&error.problems, self.hidden);
                Line::Done
            }
        }
    }
}

fn python(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

fn help(name: &str) -> String {
    if name.is_empty() {
        let lines = COMMANDS.iter().map(|(word, follows, does)| {
            let usage = format!("{word} {follows}");
            format!("  {usage:<24} {does}")
        });
        let lines: Vec<String> = lines.collect();
        return format!(
            "{}\n  {:<24} {}",
            lines.join("\n"),
            "MODULE ARGUMENTS",
            "run a module; `rplay doc -l` lists them. Everything else goes to the shell"
        );
    }
    if let Some((word, follows, does)) = COMMANDS.iter().find(|(word, ..)| *word == name) {
        return format!("{word} {follows}: {does}");
    }
    match super::doc::module(name) {
        Some(page) => page.trim_end().to_owned(),
        None => {
            let names = COMMANDS.iter().map(|(word, ..)| *word);
            let near = nearest(name, names).map(|near| format!(", did you mean `{near}`?"));
            format!("*** No help on {name}{}", near.unwrap_or_default())
        }
    }
}

/// The user of the settings, else the one who runs this.
fn default_user(config: &Config) -> String {
    let own = ["LOGNAME", "USER", "LNAME", "USERNAME"];
    let own = || own.iter().find_map(|name| std::env::var(name).ok());
    let user = config.text("remote_user").or_else(own);
    user.unwrap_or_else(|| match rustix::process::getuid().is_root() {
        true => "root".to_owned(),
        false => rustix::process::getuid().as_raw().to_string(),
    })
}
