//! What the actions take that the controller does itself: the same table checks arguments and documents them.

use rplay_modules::args::{Arg, Kind};

/// An action.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its full name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// Its arguments.
    pub(crate) args: &'static [Arg],
    /// The module that takes the rest of them, without these.
    pub(crate) rest: Option<(&'static str, &'static [&'static str])>,
}

/// The action of a name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    let name = super::canonical(name);
    ACTIONS
        .iter()
        .find(|row| super::canonical(row.name) == name)
}

const TEXTS: Kind = Kind::List(&Kind::Str);

const fn arg(name: &'static str, kind: Kind, doc: &'static str) -> Arg {
    Arg {
        name,
        aliases: &[],
        kind,
        required: false,
        default: None,
        choices: &[],
        secret: false,
        refused: None,
        doc,
    }
}

const fn needed(name: &'static str, kind: Kind, doc: &'static str) -> Arg {
    Arg {
        required: true,
        ..arg(name, kind, doc)
    }
}

const fn or(default: &'static str, arg: Arg) -> Arg {
    Arg {
        default: Some(default),
        ..arg
    }
}

const fn also(aliases: &'static [&'static str], arg: Arg) -> Arg {
    Arg { aliases, ..arg }
}

const fn of(choices: &'static [&'static str], arg: Arg) -> Arg {
    Arg { choices, ..arg }
}

const fn row(name: &'static str, doc: &'static str, args: &'static [Arg]) -> Row {
    Row {
        name,
        doc,
        args,
        rest: None,
    }
}

const FROM: [Arg; 4] = [
    or("main", arg("tasks_from", Kind::Str, "The file of tasks.")),
    or(
        "main",
        arg("vars_from", Kind::Str, "The file of variables."),
    ),
    or(
        "main",
        arg("defaults_from", Kind::Str, "The file of defaults."),
    ),
    or(
        "main",
        arg("handlers_from", Kind::Str, "The file of handlers."),
    ),
];

const ROLE: Arg = needed("name", Kind::Str, "The role.");
const AGAIN: Arg = or(
    "true",
    arg(
        "allow_duplicates",
        Kind::Bool,
        "Whether it runs although it ran with the same parameters.",
    ),
);
const VALIDATED: Arg = or(
    "true",
    arg(
        "rolespec_validate",
        Kind::Bool,
        "Whether its parameters are checked against its specification.",
    ),
);

/// All of them.
pub(crate) static ACTIONS: &[Row] = &[
    row(
        "ansible.builtin.add_host",
        "Adds a host, with groups and variables, to the inventory of this run. Every other argument is a variable.",
        &[
            also(
                &["host", "hostname"],
                needed("name", Kind::Str, "The host."),
            ),
            also(&["group", "groupname"], arg("groups", TEXTS, "Its groups.")),
        ],
    ),
    row(
        "ansible.builtin.assert",
        "Fails unless all conditions hold.",
        &[
            needed("that", TEXTS, "The conditions."),
            also(
                &["msg"],
                arg(
                    "fail_msg",
                    Kind::Str,
                    "What is told when one does not hold.",
                ),
            ),
            arg("success_msg", Kind::Str, "What is told when all hold."),
            or(
                "false",
                arg("quiet", Kind::Bool, "Whether only failures are told."),
            ),
        ],
    ),
    row(
        "ansible.builtin.async_status",
        "Looks whether a task in the background is done.",
        &[
            needed(
                "jid",
                Kind::Str,
                "The number of the task, `ansible_job_id` of its result.",
            ),
            or(
                "status",
                of(
                    &["cleanup", "status"],
                    arg("mode", Kind::Str, "`cleanup` removes what the task left."),
                ),
            ),
        ],
    ),
    row(
        "ansible.builtin.debug",
        "Shows a message or a variable.",
        &[
            or("Hello world!", arg("msg", Kind::Str, "The message.")),
            arg("var", Kind::Str, "The variable, or an expression."),
            or(
                "0",
                arg("verbosity", Kind::Int, "Shown from this many `-v` on."),
            ),
        ],
    ),
    row(
        "ansible.builtin.fail",
        "Fails.",
        &[or(
            "Failed as requested from task",
            arg("msg", Kind::Str, "What is told."),
        )],
    ),
    row(
        "ansible.builtin.fetch",
        "Copies a file from the target to the controller.",
        &[
            needed("src", Kind::Str, "The file on the target."),
            needed(
                "dest",
                Kind::Str,
                "The folder on the controller; a file with `flat`.",
            ),
            or(
                "false",
                arg(
                    "flat",
                    Kind::Bool,
                    "Whether the host and the path are left out of the name.",
                ),
            ),
            or(
                "true",
                arg(
                    "fail_on_missing",
                    Kind::Bool,
                    "Whether a file that is not there is a failure.",
                ),
            ),
            or(
                "true",
                arg(
                    "validate_checksum",
                    Kind::Bool,
                    "Whether both sides are compared afterwards.",
                ),
            ),
        ],
    ),
    Row {
        rest: Some(("ansible.builtin.setup", &[])),
        ..row(
            "ansible.builtin.gather_facts",
            "Gathers facts of the target, with the modules that the setting `facts_modules` names.",
            &[arg(
                "parallel",
                Kind::Bool,
                "Without effect: the modules run one after the other.",
            )],
        )
    },
    row(
        "ansible.builtin.group_by",
        "Puts hosts into a group whose name is made of their variables.",
        &[
            needed("key", Kind::Str, "The name of the group."),
            or("all", arg("parents", TEXTS, "The groups it belongs to.")),
        ],
    ),
    row(
        "ansible.builtin.import_playbook",
        "Takes the plays of another playbook in, before anything runs.",
        &[arg(
            "free_form",
            Kind::Str,
            "The playbook, as the text of the entry.",
        )],
    ),
    row(
        "ansible.builtin.import_role",
        "Takes the tasks of a role in, before anything runs.",
        &[
            ROLE,
            FROM[0],
            FROM[1],
            FROM[2],
            FROM[3],
            AGAIN,
            VALIDATED,
            or(
                "true",
                arg("public", Kind::Bool, "Whether the play sees its variables."),
            ),
        ],
    ),
    row(
        "ansible.builtin.import_tasks",
        "Takes the tasks of a file in, before anything runs.",
        &[arg("file", Kind::Str, "The file; or the text of the task.")],
    ),
    row(
        "ansible.builtin.include_role",
        "Runs the tasks of a role when it is reached.",
        &[
            ROLE,
            FROM[0],
            FROM[1],
            FROM[2],
            FROM[3],
            AGAIN,
            VALIDATED,
            arg("apply", Kind::Dict, "Keywords for its tasks."),
            or(
                "false",
                arg("public", Kind::Bool, "Whether the play sees its variables."),
            ),
            or(
                "true",
                arg(
                    "rescuable",
                    Kind::Bool,
                    "Whether `rescue` handles an error of the role itself.",
                ),
            ),
        ],
    ),
    row(
        "ansible.builtin.include_tasks",
        "Runs the tasks of a file when it is reached.",
        &[
            arg("file", Kind::Str, "The file; or the text of the task."),
            arg("apply", Kind::Dict, "Keywords for its tasks."),
        ],
    ),
    row(
        "ansible.builtin.include_vars",
        "Reads variables from a file, or from all files of a folder.",
        &[
            arg("file", Kind::Path, "The file; or the text of the task."),
            arg("dir", Kind::Path, "The folder."),
            arg("name", Kind::Str, "A variable that takes them all."),
            or(
                "0",
                arg(
                    "depth",
                    Kind::Int,
                    "How deep folders are looked through; 0: to the end.",
                ),
            ),
            arg(
                "files_matching",
                Kind::Str,
                "A regular expression for names of files.",
            ),
            arg("ignore_files", TEXTS, "Names of files to leave out."),
            or(
                "json,yaml,yml",
                arg(
                    "extensions",
                    TEXTS,
                    "The ends that files of variables have.",
                ),
            ),
            or(
                "false",
                arg(
                    "ignore_unknown_extensions",
                    Kind::Bool,
                    "Whether files with other ends are left out; else they are an error.",
                ),
            ),
            of(
                &["replace", "merge"],
                arg(
                    "hash_behaviour",
                    Kind::Str,
                    "Whether dictionaries replace what was there or are merged with it.",
                ),
            ),
        ],
    ),
    row(
        "ansible.builtin.meta",
        "Steers the run.",
        &[needed(
            "free_form",
            Kind::Str,
            "What is done: `flush_handlers`, `end_play`, `end_host`, `refresh_inventory` ...",
        )],
    ),
    row(
        "ansible.builtin.pause",
        "Waits for some time, or for an answer.",
        &[
            arg("prompt", Kind::Str, "What is asked."),
            arg("seconds", Kind::Str, "How long to wait."),
            arg("minutes", Kind::Str, "How long to wait."),
            or(
                "true",
                arg("echo", Kind::Bool, "Whether what is typed is shown."),
            ),
        ],
    ),
    row(
        "ansible.builtin.raw",
        "Runs a command as it is on a target, where there need be nothing but a shell.",
        &[
            needed(
                "free_form",
                Kind::Str,
                "The command, as the text of the task.",
            ),
            arg("executable", Kind::Str, "The shell."),
        ],
    ),
    row(
        "ansible.builtin.script",
        "Copies a script of the controller to the target and runs it there.",
        &[
            arg(
                "cmd",
                Kind::Str,
                "The script and its arguments; or the text of the task.",
            ),
            arg("chdir", Kind::Str, "Where it runs."),
            arg("creates", Kind::Str, "It does not run if this is there."),
            arg(
                "removes",
                Kind::Str,
                "It does not run unless this is there.",
            ),
            arg("executable", Kind::Str, "What runs it."),
            or(
                "true",
                arg("decrypt", Kind::Bool, "Whether a vaulted script is opened."),
            ),
        ],
    ),
    row(
        "ansible.builtin.set_fact",
        "Sets variables of hosts: each argument is one.",
        &[or(
            "false",
            arg(
                "cacheable",
                Kind::Bool,
                "Whether they are facts that are kept for the next run.",
            ),
        )],
    ),
    row(
        "ansible.builtin.set_stats",
        "Keeps values for the end of the run.",
        &[
            needed("data", Kind::Dict, "The values."),
            or(
                "false",
                arg("per_host", Kind::Bool, "Whether each host has its own."),
            ),
            or(
                "true",
                arg(
                    "aggregate",
                    Kind::Bool,
                    "Whether they are added to what is there.",
                ),
            ),
        ],
    ),
    Row {
        rest: Some((
            "ansible.builtin.copy",
            &[
                "content",
                "decrypt",
                "directory_mode",
                "local_follow",
                "remote_src",
                "checksum",
            ],
        )),
        ..row(
            "ansible.builtin.template",
            "Renders a template of the controller and writes it on the target.",
            &[
                or(
                    "\\n",
                    of(
                        &["\\n", "\\r", "\\r\\n"],
                        arg("newline_sequence", Kind::Str, "How lines end."),
                    ),
                ),
                or(
                    "{%",
                    arg("block_start_string", Kind::Str, "How a statement begins."),
                ),
                or(
                    "%}",
                    arg("block_end_string", Kind::Str, "How a statement ends."),
                ),
                or(
                    "{{",
                    arg(
                        "variable_start_string",
                        Kind::Str,
                        "How an expression begins.",
                    ),
                ),
                or(
                    "}}",
                    arg("variable_end_string", Kind::Str, "How an expression ends."),
                ),
                arg("comment_start_string", Kind::Str, "How a comment begins."),
                arg("comment_end_string", Kind::Str, "How a comment ends."),
                or(
                    "true",
                    arg(
                        "trim_blocks",
                        Kind::Bool,
                        "Whether the first newline after a statement goes.",
                    ),
                ),
                or(
                    "false",
                    arg(
                        "lstrip_blocks",
                        Kind::Bool,
                        "Whether blanks before a statement go.",
                    ),
                ),
                or(
                    "utf-8",
                    arg("output_encoding", Kind::Str, "The encoding of the file."),
                ),
            ],
        )
    },
    row(
        "ansible.builtin.validate_argument_spec",
        "Checks variables against a specification.",
        &[
            needed(
                "argument_spec",
                Kind::Dict,
                "The specification, as in `argument_specs` of a role.",
            ),
            arg(
                "provided_arguments",
                Kind::Dict,
                "Values that count more than variables of the same names.",
            ),
            arg(
                "validate_args_context",
                Kind::Dict,
                "What messages say of the specification.",
            ),
        ],
    ),
    row(
        "ansible.builtin.reboot",
        "Has a host start again, and waits until it is back.",
        &[
            or(
                "cat /proc/sys/kernel/random/boot_id",
                arg(
                    "boot_time_command",
                    Kind::Str,
                    "What prints another text after each start of the host.",
                ),
            ),
            also(
                &["connect_timeout_sec"],
                arg(
                    "connect_timeout",
                    Kind::Int,
                    "How long one attempt may take, in seconds.",
                ),
            ),
            or(
                "Reboot initiated by Ansible",
                arg("msg", Kind::Str, "What users of the host are told."),
            ),
            or(
                "0",
                also(
                    &["post_reboot_delay_sec"],
                    arg(
                        "post_reboot_delay",
                        Kind::Int,
                        "How long to wait before the first attempt, in seconds.",
                    ),
                ),
            ),
            or(
                "0",
                also(
                    &["pre_reboot_delay_sec"],
                    arg(
                        "pre_reboot_delay",
                        Kind::Int,
                        "How long the host waits before it goes down, in seconds; whole minutes count.",
                    ),
                ),
            ),
            arg(
                "reboot_command",
                Kind::Str,
                "The command instead of `shutdown`.",
            ),
            or(
                "600",
                also(
                    &["reboot_timeout_sec"],
                    arg(
                        "reboot_timeout",
                        Kind::Int,
                        "How long to wait for the host, and then for the test, in seconds.",
                    ),
                ),
            ),
            arg(
                "search_paths",
                TEXTS,
                "The folders of the host where the command's program is looked for.",
            ),
            or(
                "whoami",
                arg(
                    "test_command",
                    Kind::Str,
                    "What has to succeed for the host to be back.",
                ),
            ),
        ],
    ),
    row(
        "ansible.builtin.wait_for_connection",
        "Waits until a host can be reached.",
        &[
            or(
                "5",
                arg(
                    "connect_timeout",
                    Kind::Int,
                    "How long one attempt may take, in seconds.",
                ),
            ),
            or(
                "0",
                arg(
                    "delay",
                    Kind::Int,
                    "How long to wait before the first attempt.",
                ),
            ),
            or(
                "1",
                arg("sleep", Kind::Int, "How long to wait between two attempts."),
            ),
            or("600", arg("timeout", Kind::Int, "How long to go on.")),
        ],
    ),
];
