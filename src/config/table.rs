//! All settings: where each is written, its kind, its default, what it means.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name by which the program and `config dump` call it.
    pub name: &'static str,
    /// Section and key in `ansible.cfg`; the first that is there wins.
    pub ini: &'static [(&'static str, &'static str)],
    /// Environment variables; the first that is set wins, and over the file.
    pub env: &'static [&'static str],
    /// What values it has.
    pub kind: Kind,
    /// The default as it would be written.
    pub default: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
    /// Set for what is read but has no meaning here: why.
    pub accepted: Option<&'static str>,
    /// Set where only one value works: it, and why.
    pub only: Option<(&'static str, &'static str)>,
}

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Texts separated by commas.
    List,
    /// A path.
    Path,
    /// Paths separated by colons.
    PathList,
    /// Inventory sources separated by commas.
    Sources,
}

const fn setting(
    name: &'static str,
    ini: &'static [(&'static str, &'static str)],
    env: &'static [&'static str],
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Setting {
    Setting {
        name,
        ini,
        env,
        kind,
        default,
        doc,
        accepted: None,
        only: None,
    }
}

impl Setting {
    const fn accepted(self, why: &'static str) -> Self {
        Self {
            accepted: Some(why),
            ..self
        }
    }

    const fn only(self, value: &'static str, why: &'static str) -> Self {
        Self {
            only: Some((value, why)),
            ..self
        }
    }
}

/// Sections whose keys belong to other programs or to parts that have no meaning here.
pub(super) const FOREIGN_SECTIONS: [&str; 6] = [
    "galaxy",
    "colors",
    "jinja2",
    "persistent_connection",
    "netconf_connection",
    "paramiko_connection",
];

/// Keys that Ansible no longer reads, or never did, with the name of what is meant.
pub(super) const RENAMED: [(&str, &str); 4] = [
    ("callback_enabled", "callbacks_enabled"),
    ("callback_whitelist", "callbacks_enabled"),
    ("collections_paths", "collections_path"),
    ("result_format", "callback_result_format"),
];

/// The table.
pub static SETTINGS: &[Setting] = &[
    // Inventory and selection
    setting(
        "inventory",
        &[("defaults", "inventory")],
        &["ANSIBLE_INVENTORY"],
        Kind::Sources,
        Some("/etc/ansible/hosts"),
        "Inventory sources, separated by commas.",
    ),
    setting(
        "any_unparsed_is_failed",
        &[("inventory", "any_unparsed_is_failed")],
        &["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"],
        Kind::Bool,
        Some("False"),
        "Whether one inventory source that cannot be understood ends the run.",
    ),
    setting(
        "unparsed_is_failed",
        &[("inventory", "unparsed_is_failed")],
        &["ANSIBLE_INVENTORY_UNPARSED_FAILED"],
        Kind::Bool,
        Some("False"),
        "Whether the run ends when no inventory source can be understood.",
    ),
    setting(
        "inventory_unparsed_warning",
        &[("inventory", "inventory_unparsed_warning")],
        &["ANSIBLE_INVENTORY_UNPARSED_WARNING"],
        Kind::Bool,
        Some("True"),
        "Whether to warn when there is no inventory at all.",
    ),
    setting(
        "localhost_warning",
        &[("defaults", "localhost_warning")],
        &["ANSIBLE_LOCALHOST_WARNING"],
        Kind::Bool,
        Some("True"),
        "Whether to warn when only the implicit localhost is there.",
    ),
    setting(
        "inventory_ignore_extensions",
        &[
            ("defaults", "inventory_ignore_extensions"),
            ("inventory", "ignore_extensions"),
        ],
        &["ANSIBLE_INVENTORY_IGNORE"],
        Kind::List,
        Some(".pyc,.pyo,.swp,.bak,~,.rpm,.md,.txt,.rst,.orig,.cfg,.retry"),
        "Endings of files to leave out of an inventory directory.",
    ),
    setting(
        "inventory_ignore_patterns",
        &[
            ("defaults", "inventory_ignore_patterns"),
            ("inventory", "ignore_patterns"),
        ],
        &["ANSIBLE_INVENTORY_IGNORE_REGEX"],
        Kind::List,
        Some(""),
        "Regular expressions of file names to leave out of an inventory directory.",
    ),
    setting(
        "enable_plugins",
        &[("inventory", "enable_plugins")],
        &["ANSIBLE_INVENTORY_ENABLED"],
        Kind::List,
        Some("host_list,script,auto,yaml,ini,toml"),
        "Inventory plugins, in the order in which they look at a source.",
    ),
    setting(
        "force_valid_group_names",
        &[("defaults", "force_valid_group_names")],
        &["ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS"],
        Kind::Choice(&["never", "ignore", "always", "silently"]),
        Some("never"),
        "What to do with characters in names of groups that names of variables cannot have.",
    ),
    setting(
        "host_pattern_mismatch",
        &[("inventory", "host_pattern_mismatch")],
        &["ANSIBLE_HOST_PATTERN_MISMATCH"],
        Kind::Choice(&["warning", "error", "ignore"]),
        Some("warning"),
        "What to do when a host pattern matches nothing.",
    ),
    setting(
        "run_tags",
        &[("tags", "run")],
        &["ANSIBLE_RUN_TAGS"],
        Kind::List,
        Some(""),
        "Tags to run when the command line has none.",
    ),
    setting(
        "skip_tags",
        &[("tags", "skip")],
        &["ANSIBLE_SKIP_TAGS"],
        Kind::List,
        Some(""),
        "Tags to skip when the command line has none.",
    ),
    setting(
        "playbook_vars_root",
        &[("defaults", "playbook_vars_root")],
        &["ANSIBLE_PLAYBOOK_VARS_ROOT"],
        Kind::Choice(&["top", "bottom", "all"]),
        Some("top"),
        "Which playbook directory `group_vars` and `host_vars` are read from.",
    )
    .only("top", "`group_vars` and `host_vars` are read beside the first playbook"),
    setting(
        "precedence",
        &[("defaults", "precedence")],
        &["ANSIBLE_PRECEDENCE"],
        Kind::List,
        Some(
            "all_inventory,groups_inventory,all_plugins_inventory,all_plugins_play,groups_plugins_inventory,groups_plugins_play",
        ),
        "Order in which variables of groups are merged.",
    )
    .only("all_inventory,groups_inventory,all_plugins_inventory,all_plugins_play,groups_plugins_inventory,groups_plugins_play", "the order of variables is fixed"),
    setting(
        "vars_plugins_enabled",
        &[("defaults", "vars_plugins_enabled")],
        &["ANSIBLE_VARS_ENABLED"],
        Kind::List,
        Some("host_group_vars"),
        "Enabled vars plug-ins.",
    )
    .accepted("`group_vars` and `host_vars` are always read"),
    setting(
        "run_vars_plugins",
        &[("defaults", "run_vars_plugins")],
        &["ANSIBLE_RUN_VARS_PLUGINS"],
        Kind::Text,
        Some("demand"),
        "When vars plug-ins run.",
    )
    .accepted("files of variables are read once"),
    // Playbooks, roles, collections
    setting(
        "roles_path",
        &[("defaults", "roles_path")],
        &["ANSIBLE_ROLES_PATH"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/roles:/usr/share/ansible/roles:/etc/ansible/roles"),
        "Directories to search for roles.",
    ),
    setting(
        "collections_path",
        &[("defaults", "collections_path")],
        &["ANSIBLE_COLLECTIONS_PATH"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/collections:/usr/share/ansible/collections"),
        "Directories to search for collections.",
    ),
    setting(
        "playbook_dir",
        &[("defaults", "playbook_dir")],
        &["ANSIBLE_PLAYBOOK_DIR"],
        Kind::Path,
        None,
        "The directory that stands for the playbook where there is none.",
    ),
    setting(
        "strategy",
        &[("defaults", "strategy")],
        &["ANSIBLE_STRATEGY"],
        Kind::Text,
        Some("linear"),
        "The strategy of plays that name none.",
    ),
    setting(
        "forks",
        &[("defaults", "forks")],
        &["ANSIBLE_FORKS"],
        Kind::Int,
        Some("5"),
        "Hosts worked on at a time.",
    ),
    setting(
        "gathering",
        &[("defaults", "gathering")],
        &["ANSIBLE_GATHERING"],
        Kind::Choice(&["implicit", "explicit", "smart"]),
        Some("implicit"),
        "Whether plays gather facts that do not say so.",
    ),
    setting(
        "any_errors_fatal",
        &[("defaults", "any_errors_fatal")],
        &["ANSIBLE_ANY_ERRORS_FATAL"],
        Kind::Bool,
        Some("False"),
        "Whether a failure on one host ends the play for all.",
    ),
    setting(
        "force_handlers",
        &[("defaults", "force_handlers")],
        &["ANSIBLE_FORCE_HANDLERS"],
        Kind::Bool,
        Some("False"),
        "Whether handlers run on hosts with a failed task.",
    ),
    setting(
        "error_on_missing_handler",
        &[("defaults", "error_on_missing_handler")],
        &["ANSIBLE_ERROR_ON_MISSING_HANDLER"],
        Kind::Bool,
        Some("True"),
        "Whether to fail when a notified handler does not exist.",
    ),
    setting(
        "error_on_undefined_vars",
        &[("defaults", "error_on_undefined_vars")],
        &["ANSIBLE_ERROR_ON_UNDEFINED_VARS"],
        Kind::Bool,
        Some("True"),
        "Whether an undefined variable is an error.",
    )
    .accepted("it always is, as in current Ansible"),
    setting(
        "hash_behaviour",
        &[("defaults", "hash_behaviour")],
        &["ANSIBLE_HASH_BEHAVIOUR"],
        Kind::Choice(&["replace", "merge"]),
        Some("replace"),
        "Whether mappings of the same name replace one another or are merged.",
    ),
    setting(
        "private_role_vars",
        &[("defaults", "private_role_vars")],
        &["ANSIBLE_PRIVATE_ROLE_VARS"],
        Kind::Bool,
        Some("False"),
        "Whether variables of a role are hidden from what follows it.",
    )
    .only("False", "`include_role` with `public: false` keeps variables to a role"),
    setting(
        "jinja2_extensions",
        &[("defaults", "jinja2_extensions")],
        &["ANSIBLE_JINJA2_EXTENSIONS"],
        Kind::List,
        Some(""),
        "Extensions of Jinja.",
    )
    .accepted("`do` and `loopcontrols` are always there"),
    setting(
        "jinja2_native",
        &[("defaults", "jinja2_native")],
        &["ANSIBLE_JINJA2_NATIVE"],
        Kind::Bool,
        Some("True"),
        "Whether templates keep types.",
    )
    .accepted("types are always kept, as in current Ansible"),
    setting(
        "allow_broken_conditionals",
        &[("defaults", "allow_broken_conditionals")],
        &["ANSIBLE_ALLOW_BROKEN_CONDITIONALS"],
        Kind::Bool,
        Some("False"),
        "Whether the result of a condition may be something other than a boolean.",
    ),
    setting(
        "allow_embedded_templates",
        &[("defaults", "allow_embedded_templates")],
        &["ANSIBLE_ALLOW_EMBEDDED_TEMPLATES"],
        Kind::Bool,
        Some("True"),
        "Whether templates inside of constants of templates are rendered.",
    )
    .only("True", "templates in constants are always rendered, as Ansible does without this setting"),
    setting(
        "inject_facts_as_vars",
        &[("defaults", "inject_facts_as_vars")],
        &["ANSIBLE_INJECT_FACT_VARS"],
        Kind::Bool,
        Some("True"),
        "Whether facts are variables of their own, `ansible_*`.",
    ),
    setting(
        "duplicate_dict_key",
        &[("defaults", "duplicate_dict_key")],
        &["ANSIBLE_DUPLICATE_YAML_DICT_KEY"],
        Kind::Choice(&["warn", "error", "ignore"]),
        Some("warn"),
        "What to do with a key that a mapping has twice.",
    ),
    setting(
        "ansible_managed",
        &[("defaults", "ansible_managed")],
        &[],
        Kind::Text,
        Some("Ansible managed"),
        "The text of the variable `ansible_managed`.",
    ),
    setting(
        "module_name",
        &[("defaults", "module_name")],
        &[],
        Kind::Text,
        Some("command"),
        "The module of ad-hoc commands that name none.",
    ),
    setting(
        "module_args",
        &[("defaults", "module_args")],
        &["ANSIBLE_MODULE_ARGS"],
        Kind::Text,
        None,
        "The arguments of ad-hoc commands that have none.",
    ),
    setting(
        "task_timeout",
        &[("defaults", "task_timeout")],
        &["ANSIBLE_TASK_TIMEOUT"],
        Kind::Int,
        Some("0"),
        "Longest time of a task in seconds; 0: no limit.",
    ),
    setting(
        "enable_task_debugger",
        &[("defaults", "enable_task_debugger")],
        &["ANSIBLE_ENABLE_TASK_DEBUGGER"],
        Kind::Bool,
        Some("False"),
        "Whether the debugger is started when a task fails.",
    ),
    setting(
        "task_debugger_ignore_errors",
        &[("defaults", "task_debugger_ignore_errors")],
        &["ANSIBLE_TASK_DEBUGGER_IGNORE_ERRORS"],
        Kind::Bool,
        Some("True"),
        "Whether the debugger leaves failures out that are ignored.",
    ),
    setting(
        "poll_interval",
        &[("defaults", "poll_interval")],
        &["ANSIBLE_POLL_INTERVAL"],
        Kind::Int,
        Some("15"),
        "Seconds between two looks at a task in the background.",
    ),
    setting(
        "async_dir",
        &[("defaults", "async_dir")],
        &["ANSIBLE_ASYNC_DIR"],
        Kind::Text,
        Some("~/.ansible_async"),
        "Where targets keep the state of tasks in the background.",
    ),
    setting(
        "no_log",
        &[("defaults", "no_log")],
        &["ANSIBLE_NO_LOG"],
        Kind::Bool,
        Some("False"),
        "Whether to hide arguments and results of all tasks.",
    ),
    setting(
        "yaml_valid_extensions",
        &[("defaults", "yaml_valid_extensions")],
        &["ANSIBLE_YAML_FILENAME_EXT"],
        Kind::List,
        Some(".yml,.yaml,.json"),
        "Endings of files of variables.",
    )
    .accepted("the endings are fixed"),
    setting(
        "invalid_task_attribute_failed",
        &[("defaults", "invalid_task_attribute_failed")],
        &["ANSIBLE_INVALID_TASK_ATTRIBUTE_FAILED"],
        Kind::Bool,
        Some("True"),
        "Whether an unknown keyword of a task is an error.",
    )
    .only("True", "a misspelt keyword is always an error"),
    setting(
        "action_warnings",
        &[("defaults", "action_warnings")],
        &["ANSIBLE_ACTION_WARNINGS"],
        Kind::Bool,
        Some("True"),
        "Whether warnings of modules are shown.",
    )
    .only("True", "warnings of modules are always shown"),
    // Facts
    setting(
        "fact_caching",
        &[("defaults", "fact_caching")],
        &["ANSIBLE_CACHE_PLUGIN"],
        Kind::Text,
        Some("memory"),
        "Where facts are kept between runs: `memory` or `jsonfile`.",
    ),
    setting(
        "fact_caching_connection",
        &[("defaults", "fact_caching_connection")],
        &["ANSIBLE_CACHE_PLUGIN_CONNECTION"],
        Kind::Path,
        None,
        "The directory of kept facts.",
    ),
    setting(
        "fact_caching_prefix",
        &[("defaults", "fact_caching_prefix")],
        &["ANSIBLE_CACHE_PLUGIN_PREFIX"],
        Kind::Text,
        Some("ansible_facts"),
        "The beginning of the names of files of kept facts.",
    ),
    setting(
        "fact_caching_timeout",
        &[("defaults", "fact_caching_timeout")],
        &["ANSIBLE_CACHE_PLUGIN_TIMEOUT"],
        Kind::Int,
        Some("86400"),
        "Seconds for which facts are kept; 0: for ever.",
    ),
    setting(
        "facts_modules",
        &[("defaults", "facts_modules")],
        &["ANSIBLE_FACTS_MODULES"],
        Kind::List,
        Some("smart"),
        "Modules that gather facts.",
    )
    .accepted("facts are gathered natively"),
    setting(
        "interpreter_python",
        &[("defaults", "interpreter_python")],
        &["ANSIBLE_PYTHON_INTERPRETER"],
        Kind::Text,
        Some("auto"),
        "Python on the targets.",
    )
    .accepted("no Python is needed on targets"),
    // Connection
    setting(
        "transport",
        &[("defaults", "transport")],
        &["ANSIBLE_TRANSPORT"],
        Kind::Text,
        Some("ssh"),
        "The connection of hosts that name none.",
    ),
    setting(
        "remote_user",
        &[("defaults", "remote_user")],
        &["ANSIBLE_REMOTE_USER"],
        Kind::Text,
        None,
        "The user to log in as.",
    ),
    setting(
        "remote_port",
        &[("defaults", "remote_port")],
        &["ANSIBLE_REMOTE_PORT"],
        Kind::Int,
        None,
        "The port of SSH.",
    ),
    setting(
        "private_key_file",
        &[("defaults", "private_key_file")],
        &["ANSIBLE_PRIVATE_KEY_FILE"],
        Kind::Path,
        None,
        "The private key to log in with.",
    ),
    setting(
        "host_key_checking",
        &[
            ("defaults", "host_key_checking"),
            ("ssh_connection", "host_key_checking"),
        ],
        &["ANSIBLE_HOST_KEY_CHECKING", "ANSIBLE_SSH_HOST_KEY_CHECKING"],
        Kind::Bool,
        Some("True"),
        "Whether the host key of a target must be known.",
    ),
    setting(
        "timeout",
        &[("defaults", "timeout"), ("ssh_connection", "timeout")],
        &["ANSIBLE_TIMEOUT", "ANSIBLE_SSH_TIMEOUT"],
        Kind::Int,
        Some("10"),
        "Seconds that connecting may take.",
    ),
    setting(
        "retries",
        &[("ssh_connection", "retries"), ("connection", "retries")],
        &["ANSIBLE_SSH_RETRIES"],
        Kind::Int,
        Some("0"),
        "How often to try again to connect.",
    ),
    setting(
        "ssh_args",
        &[("ssh_connection", "ssh_args")],
        &["ANSIBLE_SSH_ARGS"],
        Kind::Text,
        Some("-C -o ControlMaster=auto -o ControlPersist=60s"),
        "Options of SSH.",
    ),
    setting(
        "ssh_common_args",
        &[("ssh_connection", "ssh_common_args")],
        &["ANSIBLE_SSH_COMMON_ARGS"],
        Kind::Text,
        Some(""),
        "Further options of SSH.",
    ),
    setting(
        "ssh_extra_args",
        &[("ssh_connection", "ssh_extra_args")],
        &["ANSIBLE_SSH_EXTRA_ARGS"],
        Kind::Text,
        Some(""),
        "Further options of SSH, for the shell only.",
    ),
    setting(
        "ssh_executable",
        &[("ssh_connection", "ssh_executable")],
        &["ANSIBLE_SSH_EXECUTABLE"],
        Kind::Text,
        Some("ssh"),
        "The program of the connection that uses OpenSSH.",
    )
    .accepted("the connection speaks SSH itself and runs no program"),
    setting(
        "ask_pass",
        &[("defaults", "ask_pass")],
        &["ANSIBLE_ASK_PASS"],
        Kind::Bool,
        Some("False"),
        "Whether to ask for the password of the connection.",
    ),
    setting(
        "connection_password_file",
        &[("defaults", "connection_password_file")],
        &["ANSIBLE_CONNECTION_PASSWORD_FILE"],
        Kind::Path,
        None,
        "The file with the password of the connection.",
    ),
    setting(
        "remote_tmp",
        &[("defaults", "remote_tmp")],
        &["ANSIBLE_REMOTE_TEMP", "ANSIBLE_REMOTE_TMP"],
        Kind::Text,
        Some("~/.ansible/tmp"),
        "Where temporary files of targets are.",
    ),
    setting(
        "local_tmp",
        &[("defaults", "local_tmp")],
        &["ANSIBLE_LOCAL_TEMP"],
        Kind::Path,
        Some("{{ANSIBLE_HOME}}/tmp"),
        "Where temporary files of the controller are.",
    ),
    setting(
        "executable",
        &[("defaults", "executable")],
        &["ANSIBLE_EXECUTABLE"],
        Kind::Text,
        Some("/bin/sh"),
        "The shell on targets.",
    ),
    setting(
        "pipelining",
        &[
            ("defaults", "pipelining"),
            ("connection", "pipelining"),
            ("ssh_connection", "pipelining"),
        ],
        &["ANSIBLE_PIPELINING", "ANSIBLE_SSH_PIPELINING"],
        Kind::Bool,
        Some("False"),
        "Whether modules go through the input of one command.",
    )
    .accepted("modules always run in a resident agent"),
    setting(
        "control_path",
        &[("ssh_connection", "control_path")],
        &["ANSIBLE_SSH_CONTROL_PATH"],
        Kind::Text,
        None,
        "The socket of a shared connection.",
    )
    .accepted("a host has one connection for the whole run"),
    setting(
        "control_path_dir",
        &[("ssh_connection", "control_path_dir")],
        &["ANSIBLE_SSH_CONTROL_PATH_DIR"],
        Kind::Text,
        Some("~/.ansible/cp"),
        "The directory of sockets of shared connections.",
    )
    .accepted("a host has one connection for the whole run"),
    setting(
        "scp_if_ssh",
        &[("ssh_connection", "scp_if_ssh")],
        &["ANSIBLE_SCP_IF_SSH"],
        Kind::Text,
        Some("smart"),
        "Whether files go by scp.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "transfer_method",
        &[("ssh_connection", "transfer_method")],
        &["ANSIBLE_SSH_TRANSFER_METHOD"],
        Kind::Text,
        Some("smart"),
        "How files are transferred.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "scp_executable",
        &[("ssh_connection", "scp_executable")],
        &["ANSIBLE_SCP_EXECUTABLE"],
        Kind::Text,
        Some("scp"),
        "The program scp.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "scp_extra_args",
        &[("ssh_connection", "scp_extra_args")],
        &["ANSIBLE_SCP_EXTRA_ARGS"],
        Kind::Text,
        Some(""),
        "Options of scp.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "sftp_executable",
        &[("ssh_connection", "sftp_executable")],
        &["ANSIBLE_SFTP_EXECUTABLE"],
        Kind::Text,
        Some("sftp"),
        "The program sftp.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "sftp_extra_args",
        &[("ssh_connection", "sftp_extra_args")],
        &["ANSIBLE_SFTP_EXTRA_ARGS"],
        Kind::Text,
        Some(""),
        "Options of sftp.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "sftp_batch_mode",
        &[("ssh_connection", "sftp_batch_mode")],
        &["ANSIBLE_SFTP_BATCH_MODE"],
        Kind::Bool,
        Some("True"),
        "Whether sftp runs in batch mode.",
    )
    .accepted("files go over the agent's own channel"),
    setting(
        "usetty",
        &[("ssh_connection", "usetty")],
        &["ANSIBLE_SSH_USETTY"],
        Kind::Bool,
        Some("True"),
        "Whether to ask for a terminal.",
    )
    .accepted("the agent needs no terminal"),
    setting(
        "keep_remote_files",
        &[("defaults", "keep_remote_files")],
        &["ANSIBLE_KEEP_REMOTE_FILES"],
        Kind::Bool,
        Some("False"),
        "Whether temporary files stay on targets.",
    )
    .accepted("modules leave no files"),
    setting(
        "allow_world_readable_tmpfiles",
        &[("defaults", "allow_world_readable_tmpfiles")],
        &["ANSIBLE_SHELL_ALLOW_WORLD_READABLE_TEMP"],
        Kind::Bool,
        Some("False"),
        "Whether all may read temporary files.",
    )
    .accepted("no temporary files are shared between users"),
    setting(
        "system_tmpdirs",
        &[("defaults", "system_tmpdirs")],
        &["ANSIBLE_SYSTEM_TMPDIRS"],
        Kind::List,
        Some("/var/tmp,/tmp"),
        "Directories for temporary files.",
    )
    .accepted("no temporary files are shared between users"),
    setting(
        "module_compression",
        &[("defaults", "module_compression")],
        &[],
        Kind::Text,
        Some("ZIP_DEFLATED"),
        "How modules are packed.",
    )
    .accepted("modules are part of the agent"),
    setting(
        "use_persistent_connections",
        &[("defaults", "use_persistent_connections")],
        &["ANSIBLE_USE_PERSISTENT_CONNECTIONS"],
        Kind::Bool,
        Some("False"),
        "Whether connections of network devices stay.",
    )
    .accepted("network devices are not supported"),
    // Privilege escalation
    setting(
        "become",
        &[("privilege_escalation", "become")],
        &["ANSIBLE_BECOME"],
        Kind::Bool,
        Some("False"),
        "Whether tasks run as another user that do not say so.",
    ),
    setting(
        "become_user",
        &[("privilege_escalation", "become_user")],
        &["ANSIBLE_BECOME_USER", "ANSIBLE_SUDO_USER"],
        Kind::Text,
        Some("root"),
        "The other user.",
    ),
    setting(
        "become_method",
        &[("privilege_escalation", "become_method")],
        &["ANSIBLE_BECOME_METHOD"],
        Kind::Text,
        Some("sudo"),
        "How to become the other user.",
    ),
    setting(
        "become_exe",
        &[
            ("privilege_escalation", "become_exe"),
            ("sudo_become_plugin", "executable"),
        ],
        &["ANSIBLE_BECOME_EXE", "ANSIBLE_SUDO_EXE"],
        Kind::Text,
        None,
        "The program that changes the user.",
    ),
    setting(
        "become_flags",
        &[
            ("privilege_escalation", "become_flags"),
            ("sudo_become_plugin", "flags"),
        ],
        &["ANSIBLE_BECOME_FLAGS", "ANSIBLE_SUDO_FLAGS"],
        Kind::Text,
        Some(""),
        "Options of that program.",
    ),
    setting(
        "become_ask_pass",
        &[("privilege_escalation", "become_ask_pass")],
        &["ANSIBLE_BECOME_ASK_PASS"],
        Kind::Bool,
        Some("False"),
        "Whether to ask for the password of the change of user.",
    ),
    setting(
        "become_password_file",
        &[("defaults", "become_password_file")],
        &["ANSIBLE_BECOME_PASSWORD_FILE"],
        Kind::Path,
        None,
        "The file with the password of the change of user.",
    ),
    setting(
        "become_allow_same_user",
        &[("privilege_escalation", "become_allow_same_user")],
        &["ANSIBLE_BECOME_ALLOW_SAME_USER"],
        Kind::Bool,
        Some("False"),
        "Whether to change the user even to the same one.",
    )
    .only("False", "a task that is to become the user it is already runs as that user"),
    setting(
        "agnostic_become_prompt",
        &[("privilege_escalation", "agnostic_become_prompt")],
        &["ANSIBLE_AGNOSTIC_BECOME_PROMPT"],
        Kind::Bool,
        Some("True"),
        "Whether the question for the password names no method.",
    )
    .accepted("the question never names a method"),
    // Vault
    setting(
        "vault_password_file",
        &[("defaults", "vault_password_file")],
        &["ANSIBLE_VAULT_PASSWORD_FILE"],
        Kind::Path,
        None,
        "The file with the vault password, or a program that prints it.",
    ),
    setting(
        "vault_identity_list",
        &[("defaults", "vault_identity_list")],
        &["ANSIBLE_VAULT_IDENTITY_LIST"],
        Kind::List,
        Some(""),
        "Vault identities: `name@file`.",
    ),
    setting(
        "vault_identity",
        &[("defaults", "vault_identity")],
        &["ANSIBLE_VAULT_IDENTITY"],
        Kind::Text,
        Some("default"),
        "The identity of a password that has none.",
    ),
    setting(
        "vault_encrypt_identity",
        &[("defaults", "vault_encrypt_identity")],
        &["ANSIBLE_VAULT_ENCRYPT_IDENTITY"],
        Kind::Text,
        None,
        "The identity to encrypt with.",
    ),
    setting(
        "vault_id_match",
        &[("defaults", "vault_id_match")],
        &["ANSIBLE_VAULT_ID_MATCH"],
        Kind::Bool,
        Some("False"),
        "Whether only the password of the named identity is tried.",
    ),
    setting(
        "ask_vault_pass",
        &[("defaults", "ask_vault_pass")],
        &["ANSIBLE_ASK_VAULT_PASS"],
        Kind::Bool,
        Some("False"),
        "Whether to ask for the vault password.",
    ),
    // Output
    setting(
        "stdout_callback",
        &[("defaults", "stdout_callback")],
        &["ANSIBLE_STDOUT_CALLBACK"],
        Kind::Text,
        Some("default"),
        "The view of the run: `default`, `minimal`, `debug`, `yaml`, `json`, `junit` ...",
    ),
    setting(
        "callback_result_format",
        &[("defaults", "callback_result_format")],
        &["ANSIBLE_CALLBACK_RESULT_FORMAT"],
        Kind::Choice(&["json", "yaml"]),
        Some("json"),
        "How results are shown.",
    ),
    setting(
        "callback_format_pretty",
        &[("defaults", "callback_format_pretty")],
        &["ANSIBLE_CALLBACK_FORMAT_PRETTY"],
        Kind::Bool,
        None,
        "Whether results are shown on several lines.",
    ),
    setting(
        "callback_result_indentation",
        &[("defaults", "callback_result_indentation")],
        &["ANSIBLE_CALLBACK_RESULT_INDENTATION"],
        Kind::Int,
        Some("4"),
        "Columns by which results are indented.",
    ),
    setting(
        "callbacks_enabled",
        &[("defaults", "callbacks_enabled")],
        &["ANSIBLE_CALLBACKS_ENABLED"],
        Kind::List,
        Some(""),
        "Further views: `profile_tasks`, `timer` ...",
    ),
    setting(
        "bin_ansible_callbacks",
        &[("defaults", "bin_ansible_callbacks")],
        &["ANSIBLE_LOAD_CALLBACK_PLUGINS"],
        Kind::Bool,
        Some("False"),
        "Whether ad-hoc commands use callbacks.",
    ),
    setting(
        "display_skipped_hosts",
        &[("defaults", "display_skipped_hosts")],
        &["ANSIBLE_DISPLAY_SKIPPED_HOSTS"],
        Kind::Bool,
        Some("True"),
        "Whether skipped tasks are shown.",
    ),
    setting(
        "display_ok_hosts",
        &[("defaults", "display_ok_hosts")],
        &["ANSIBLE_DISPLAY_OK_HOSTS"],
        Kind::Bool,
        Some("True"),
        "Whether tasks without a change are shown.",
    ),
    setting(
        "display_failed_stderr",
        &[("defaults", "display_failed_stderr")],
        &["ANSIBLE_DISPLAY_FAILED_STDERR"],
        Kind::Bool,
        Some("False"),
        "Whether failures go to standard error.",
    ),
    setting(
        "display_included_hosts",
        &[("defaults", "display_included_hosts")],
        &["ANSIBLE_DISPLAY_INCLUDED_HOSTS"],
        Kind::Bool,
        Some("True"),
        "Whether included files are announced.",
    ),
    setting(
        "display_args_to_stdout",
        &[("defaults", "display_args_to_stdout")],
        &["ANSIBLE_DISPLAY_ARGS_TO_STDOUT"],
        Kind::Bool,
        Some("False"),
        "Whether the heading of a task shows its arguments.",
    ),
    setting(
        "show_custom_stats",
        &[("defaults", "show_custom_stats")],
        &["ANSIBLE_SHOW_CUSTOM_STATS"],
        Kind::Bool,
        Some("False"),
        "Whether the recap shows `set_stats`.",
    ),
    setting(
        "show_per_host_start",
        &[("defaults", "show_per_host_start")],
        &["ANSIBLE_SHOW_PER_HOST_START"],
        Kind::Bool,
        Some("False"),
        "Whether the start of a task is shown for each host.",
    ),
    setting(
        "show_task_path_on_failure",
        &[("defaults", "show_task_path_on_failure")],
        &["ANSIBLE_SHOW_TASK_PATH_ON_FAILURE"],
        Kind::Bool,
        Some("False"),
        "Whether a failure shows the place of its task.",
    ),
    setting(
        "check_mode_markers",
        &[("defaults", "check_mode_markers")],
        &["ANSIBLE_CHECK_MODE_MARKERS"],
        Kind::Bool,
        Some("False"),
        "Whether headings say that the run is in check mode.",
    ),
    setting(
        "verbosity",
        &[("defaults", "verbosity")],
        &["ANSIBLE_VERBOSITY"],
        Kind::Int,
        Some("0"),
        "How much is told, as by `-v`.",
    ),
    setting(
        "force_color",
        &[("defaults", "force_color")],
        &["ANSIBLE_FORCE_COLOR"],
        Kind::Bool,
        Some("False"),
        "Whether to use colours even without a terminal.",
    ),
    setting(
        "nocolor",
        &[("defaults", "nocolor")],
        &["ANSIBLE_NOCOLOR", "NO_COLOR"],
        Kind::Bool,
        Some("False"),
        "Whether to use no colours.",
    ),
    setting(
        "log_path",
        &[("defaults", "log_path")],
        &["ANSIBLE_LOG_PATH"],
        Kind::Path,
        None,
        "A file that gets the output too.",
    ),
    setting(
        "deprecation_warnings",
        &[("defaults", "deprecation_warnings")],
        &["ANSIBLE_DEPRECATION_WARNINGS"],
        Kind::Bool,
        Some("True"),
        "Whether to warn of what will go away.",
    ),
    setting(
        "system_warnings",
        &[("defaults", "system_warnings")],
        &["ANSIBLE_SYSTEM_WARNINGS"],
        Kind::Bool,
        Some("True"),
        "Whether to warn of the state of the controller.",
    )
    .accepted("there are no warnings of the state of the controller"),
    setting(
        "diff_always",
        &[("diff", "always")],
        &["ANSIBLE_DIFF_ALWAYS"],
        Kind::Bool,
        Some("False"),
        "Whether differences are always shown, as by `--diff`.",
    ),
    setting(
        "diff_context",
        &[("diff", "context")],
        &["ANSIBLE_DIFF_CONTEXT"],
        Kind::Int,
        Some("3"),
        "Lines around a difference.",
    ),
    setting(
        "max_diff_size",
        &[("defaults", "max_diff_size")],
        &["ANSIBLE_MAX_DIFF_SIZE"],
        Kind::Int,
        Some("104448"),
        "Bytes up to which the difference of a file is shown.",
    )
    .only("104448", "the limit is part of the agent"),
    setting(
        "home",
        &[("defaults", "home")],
        &["ANSIBLE_HOME"],
        Kind::Path,
        Some("~/.ansible"),
        "The directory of everything that belongs to a user.",
    ),
    setting(
        "editor",
        &[("defaults", "editor")],
        &["ANSIBLE_EDITOR", "EDITOR"],
        Kind::Text,
        Some("vi"),
        "The program in which vaults are edited.",
    ),
    // Accepted for the sake of existing files
    setting(
        "library",
        &[("defaults", "library")],
        &["ANSIBLE_LIBRARY"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/modules:/usr/share/ansible/plugins/modules"),
        "Directories of modules.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "retry_files_enabled",
        &[("defaults", "retry_files_enabled")],
        &["ANSIBLE_RETRY_FILES_ENABLED"],
        Kind::Bool,
        Some("False"),
        "Whether failed hosts are written to a file.",
    )
    .accepted("a recorded run knows its failed hosts"),
    setting(
        "retry_files_save_path",
        &[("defaults", "retry_files_save_path")],
        &["ANSIBLE_RETRY_FILES_SAVE_PATH"],
        Kind::Path,
        None,
        "The directory for such files.",
    )
    .accepted("a recorded run knows its failed hosts"),
    setting(
        "nocows",
        &[("defaults", "nocows")],
        &["ANSIBLE_NOCOWS"],
        Kind::Bool,
        Some("False"),
        "Whether to leave out the cow.",
    )
    .accepted("there is no cow"),
    setting(
        "cow_selection",
        &[("defaults", "cow_selection")],
        &["ANSIBLE_COW_SELECTION"],
        Kind::Text,
        Some("default"),
        "Which cow.",
    )
    .accepted("there is no cow"),
    setting(
        "stderr_callback",
        &[("defaults", "stderr_callback")],
        &["ANSIBLE_STDERR_CALLBACK"],
        Kind::Text,
        None,
        "A view for standard error.",
    )
    .accepted("there is one view"),
    setting(
        "command_warnings",
        &[("defaults", "command_warnings")],
        &["ANSIBLE_COMMAND_WARNINGS"],
        Kind::Bool,
        Some("False"),
        "Whether to warn of commands with a module.",
    )
    .accepted("it is gone from Ansible"),
    setting(
        "squash_actions",
        &[("defaults", "squash_actions")],
        &["ANSIBLE_SQUASH_ACTIONS"],
        Kind::List,
        Some(""),
        "Modules whose loops are one call.",
    )
    .accepted("it is gone from Ansible"),
    setting(
        "python_module_rlimit_nofile",
        &[("defaults", "python_module_rlimit_nofile")],
        &["ANSIBLE_PYTHON_MODULE_RLIMIT_NOFILE"],
        Kind::Int,
        Some("0"),
        "Open files of modules in Python.",
    )
    .accepted("there is no Python"),
    setting(
        "internal_poll_interval",
        &[("defaults", "internal_poll_interval")],
        &[],
        Kind::Text,
        Some("0.001"),
        "How often workers are looked at.",
    )
    .accepted("events wake the run"),
    setting(
        "no_target_syslog",
        &[("defaults", "no_target_syslog")],
        &["ANSIBLE_NO_TARGET_SYSLOG"],
        Kind::Bool,
        Some("False"),
        "Whether modules write nothing to the log of the target.",
    )
    .accepted("modules write nothing there"),
    setting(
        "syslog_facility",
        &[("defaults", "syslog_facility")],
        &["ANSIBLE_SYSLOG_FACILITY"],
        Kind::Text,
        Some("LOG_USER"),
        "Where in the log of the target.",
    )
    .accepted("modules write nothing there"),
    setting(
        "devel_warning",
        &[("defaults", "devel_warning")],
        &["ANSIBLE_DEVEL_WARNING"],
        Kind::Bool,
        Some("True"),
        "Whether to warn of unreleased versions.",
    )
    .accepted("versions say what they are"),
    setting(
        "sudo_user",
        &[("defaults", "sudo_user")],
        &[],
        Kind::Text,
        None,
        "The old name of `become_user`.",
    )
    .accepted("it is gone from Ansible"),
    setting(
        "ask_sudo_pass",
        &[("defaults", "ask_sudo_pass")],
        &[],
        Kind::Bool,
        None,
        "The old name of `become_ask_pass`.",
    )
    .accepted("it is gone from Ansible"),
    setting(
        "collections_on_ansible_version_mismatch",
        &[("defaults", "collections_on_ansible_version_mismatch")],
        &["ANSIBLE_COLLECTIONS_ON_ANSIBLE_VERSION_MISMATCH"],
        Kind::Text,
        Some("warning"),
        "What to do with collections for other versions.",
    )
    .accepted("collections give roles and files here"),
    setting(
        "collections_scan_sys_path",
        &[("defaults", "collections_scan_sys_path")],
        &["ANSIBLE_COLLECTIONS_SCAN_SYS_PATH"],
        Kind::Bool,
        Some("True"),
        "Whether to look for collections in Python's path.",
    )
    .accepted("there is no Python"),
    setting(
        "special_context_filesystems",
        &[("selinux", "special_context_filesystems")],
        &["ANSIBLE_SELINUX_SPECIAL_FS"],
        Kind::List,
        Some("fuse,nfs,vboxsf,ramfs,9p,vfat"),
        "File systems without contexts of SELinux.",
    )
    .accepted("contexts are set only where they are asked for"),
    setting(
        "action_plugins",
        &[("defaults", "action_plugins")],
        &["ANSIBLE_ACTION_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/action:/usr/share/ansible/plugins/action"),
        "Directories of action plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "become_plugins",
        &[("defaults", "become_plugins")],
        &["ANSIBLE_BECOME_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/become:/usr/share/ansible/plugins/become"),
        "Directories of become plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "cache_plugins",
        &[("defaults", "cache_plugins")],
        &["ANSIBLE_CACHE_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/cache:/usr/share/ansible/plugins/cache"),
        "Directories of cache plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "callback_plugins",
        &[("defaults", "callback_plugins")],
        &["ANSIBLE_CALLBACK_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/callback:/usr/share/ansible/plugins/callback"),
        "Directories of callback plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "connection_plugins",
        &[("defaults", "connection_plugins")],
        &["ANSIBLE_CONNECTION_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/connection:/usr/share/ansible/plugins/connection"),
        "Directories of connection plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "filter_plugins",
        &[("defaults", "filter_plugins")],
        &["ANSIBLE_FILTER_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/filter:/usr/share/ansible/plugins/filter"),
        "Directories of filter plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "inventory_plugins",
        &[("defaults", "inventory_plugins")],
        &["ANSIBLE_INVENTORY_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/inventory:/usr/share/ansible/plugins/inventory"),
        "Directories of inventory plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "lookup_plugins",
        &[("defaults", "lookup_plugins")],
        &["ANSIBLE_LOOKUP_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/lookup:/usr/share/ansible/plugins/lookup"),
        "Directories of lookup plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "strategy_plugins",
        &[("defaults", "strategy_plugins")],
        &["ANSIBLE_STRATEGY_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/strategy:/usr/share/ansible/plugins/strategy"),
        "Directories of strategy plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "test_plugins",
        &[("defaults", "test_plugins")],
        &["ANSIBLE_TEST_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/test:/usr/share/ansible/plugins/test"),
        "Directories of test plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "vars_plugins",
        &[("defaults", "vars_plugins")],
        &["ANSIBLE_VARS_PLUGINS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/vars:/usr/share/ansible/plugins/vars"),
        "Directories of vars plug-ins.",
    )
    .accepted("plug-ins in Python are not run"),
    setting(
        "module_utils",
        &[("defaults", "module_utils")],
        &["ANSIBLE_MODULE_UTILS"],
        Kind::PathList,
        Some("{{ANSIBLE_HOME}}/plugins/module_utils:/usr/share/ansible/plugins/module_utils"),
        "Directories of parts of modules.",
    )
    .accepted("plug-ins in Python are not run"),
];
