//! The programs in this binary: by the name it is called by, or by the first word.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};

use super::{
    Exit, adhoc, config, console, doc, graph, inventory, lint, plan, playbook, post, resume,
    rollback, runs, shell, usage, vault, version, why,
};

/// A program.
pub(crate) struct Program {
    /// The first word of `rplay WORD`.
    pub(crate) word: &'static str,
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// The name of Ansible's program that does this; empty where there is none.
    pub(crate) ansible: &'static str,
    /// Runs it.
    run: fn(&Call) -> Exit,
    /// Its options.
    pub(crate) command: fn() -> Command,
}

/// How a program was called.
pub(crate) struct Call {
    /// The name that its messages use: `rplay adhoc`, `ansible`.
    pub(crate) name: &'static str,
    /// What follows the name.
    pub(crate) args: Vec<OsString>,
}

impl Call {
    /// The arguments as text.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = self.args.iter();
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }
}

/// Every program; the first one is meant when no other is named.
pub(crate) const PROGRAMS: &[Program] = &[
    Program {
        word: "playbook",
        name: "rplay playbook",
        ansible: "ansible-playbook",
        run: playbook::main,
        command: playbook::Arguments::command,
    },
    Program {
        word: "adhoc",
        name: "rplay adhoc",
        ansible: "ansible",
        run: adhoc::main,
        command: adhoc::Arguments::command,
    },
    Program {
        word: "inventory",
        name: "rplay inventory",
        ansible: "ansible-inventory",
        run: inventory::main,
        command: inventory::Arguments::command,
    },
    Program {
        word: "vault",
        name: "rplay vault",
        ansible: "ansible-vault",
        run: vault::main,
        command: vault::Arguments::command,
    },
    Program {
        word: "doc",
        name: "rplay doc",
        ansible: "ansible-doc",
        run: doc::main,
        command: doc::Arguments::command,
    },
    Program {
        word: "config",
        name: "rplay config",
        ansible: "ansible-config",
        run: config::main,
        command: config::Arguments::command,
    },
    Program {
        word: "console",
        name: "rplay console",
        ansible: "ansible-console",
        run: console::main,
        command: console::Arguments::command,
    },
    Program {
        word: "plan",
        name: "rplay plan",
        ansible: "",
        run: plan::main,
        command: plan::Planning::command,
    },
    Program {
        word: "apply",
        name: "rplay apply",
        ansible: "",
        run: plan::apply,
        command: plan::Apply::command,
    },
    Program {
        word: "show",
        name: "rplay show",
        ansible: "",
        run: plan::show,
        command: plan::Show::command,
    },
    Program {
        word: "diff",
        name: "rplay diff",
        ansible: "",
        run: plan::diff,
        command: plan::Diff::command,
    },
    Program {
        word: "drift",
        name: "rplay drift",
        ansible: "",
        run: plan::drift,
        command: plan::Drift::command,
    },
    Program {
        word: "runs",
        name: "rplay runs",
        ansible: "",
        run: runs::list,
        command: runs::Runs::command,
    },
    Program {
        word: "replay",
        name: "rplay replay",
        ansible: "",
        run: runs::replay,
        command: runs::Replay::command,
    },
    Program {
        word: "rollback",
        name: "rplay rollback",
        ansible: "",
        run: rollback::main,
        command: rollback::Rollback::command,
    },
    Program {
        word: "resume",
        name: "rplay resume",
        ansible: "",
        run: resume::main,
        command: resume::Resume::command,
    },
    Program {
        word: "why",
        name: "rplay why",
        ansible: "",
        run: why::main,
        command: why::Why::command,
    },
    Program {
        word: "lint",
        name: "rplay lint",
        ansible: "",
        run: lint::main,
        command: lint::Linting::command,
    },
    Program {
        word: "graph",
        name: "rplay graph",
        ansible: "",
        run: graph::main,
        command: graph::Drawing::command,
    },
    Program {
        word: "report",
        name: "rplay report",
        ansible: "",
        run: post::main,
        command: post::Reporting::command,
    },
    Program {
        word: "completions",
        name: "rplay completions",
        ansible: "",
        run: shell::completions,
        command: shell::Completions::command,
    },
    Program {
        word: "man",
        name: "rplay man",
        ansible: "",
        run: shell::manual,
        command: shell::Manual::command,
    },
];

/// Runs the program that the arguments mean; they begin with the name of this one.
pub(crate) fn run(args: &[OsString]) -> Exit {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    let name = name.and_then(|name| name.to_str()).unwrap_or("rplay");
    if let Some(program) = PROGRAMS.iter().find(|program| program.ansible == name) {
        let args = args[1..].to_vec();
        return (program.run)(&Call {
            name: program.ansible,
            args,
        });
    }
    let word = args.get(1).and_then(|word| word.to_str());
    if let Some(program) = PROGRAMS.iter().find(|program| word == Some(program.word)) {
        let args = args[2..].to_vec();
        return (program.run)(&Call {
            name: program.name,
            args,
        });
    }
    (PROGRAMS[0].run)(&Call {
        name: "rplay",
        args: args.get(1..).unwrap_or_default().to_vec(),
    })
}

/// The arguments of a call; else what the option parser says has been told.
pub(crate) fn parse<T: CommandFactory + FromArgMatches>(call: &Call) -> Result<T, Exit> {
    let mut command = T::command()
        .name(call.name)
        .bin_name(call.name)
        .version(env!("CARGO_PKG_VERSION"))
        .infer_long_args(true)
        .args_override_self(true);
    let words = std::iter::once(OsString::from(call.name)).chain(call.args.iter().cloned());
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayVersion => version::tell(call.name),
        ErrorKind::DisplayHelp if call.name == "rplay" => {
            // Only then are the options of all programs looked at.
            crate::report::print(&shell::whole().render_help().to_string());
            Exit::Ok
        }
        ErrorKind::UnknownArgument => {
            let told = ambiguous(&command, &error);
            usage(told.as_ref().unwrap_or(&error))
        }
        _ => usage(&error),
    })
}

/// The error of an abbreviation that several options begin with.
fn ambiguous(command: &clap::Command, error: &clap::Error) -> Option<clap::Error> {
    let given = error.get(ContextKind::InvalidArg)?.to_string();
    let start = given.strip_prefix("--").filter(|start| !start.is_empty())?;
    let names = command.get_arguments().flat_map(|option| {
        let others = option.get_all_aliases().unwrap_or_default();
        option.get_long().into_iter().chain(others)
    });
    let meant: Vec<String> = names
        .filter(|name| name.starts_with(start))
        .map(|name| format!("--{name}"))
        .collect();
    let text = format!(
        "ambiguous option: {given} could match {}\n",
        meant.join(", ")
    );
    (meant.len() > 1).then(|| clap::Error::raw(ErrorKind::UnknownArgument, text).with_cmd(command))
}
