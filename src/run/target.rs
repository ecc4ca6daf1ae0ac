//! Where a task's work is done and as whom: connection and become settings from variables,
//! keywords, options and configuration, in this order.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::carriers::{Program, carrier};
use super::context::{expand_home, to_bool};
use super::play_check::{Kind as Wanted, misfit, unrendered};
use super::shared::{RunShared, World};
use super::spec::TaskSpec;
use crate::action::ActionError;
use crate::action::docker::Kept as Engine;
use crate::action::kubernetes::Cluster;
use crate::connect::{Become, Carrier, Kind, Link, Secret, Target};
use crate::load::keyword::Keyword;
use crate::report::event::KeptWay;
use crate::template::value::{Entries, Key, Value, has_delimiters};
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, Hosts, Level, VarMap};

/// The connections of one worker: several to one host when tasks log in as several users.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<(Target, Link)>,
    /// Clusters that tasks of the host asked, by how they are reached.
    pub(crate) clusters: HashMap<String, Cluster>,
    /// Container engines in the same way.
    pub(crate) engines: HashMap<String, Engine>,
    /// Repositories of charts as check mode made them, by whose they are and their names; nothing where it removed one.
    pub(crate) charts: HashMap<String, Option<serde_json::Value>>,
    calls: u64,
}

impl Links {
    /// A number for the next request.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// The connection to `target`, made on first use. `there` is the scope that describes it.
    pub(crate) fn get(
        &mut self,
        run: &RunShared,
        spec: &TaskSpec,
        there: &HostScope,
        target: &str,
    ) -> Result<&mut Link, ActionError> {
        let described = describe(run, spec, there, target)?;
        Ok(self.open(described))
    }

    /// This machine, whatever the inventory says of `localhost`.
    pub(crate) fn here(&mut self) -> &mut Link {
        let here = Target::new("controller", Kind::Local, "localhost");
        self.open(here)
    }

    fn open(&mut self, described: Target) -> &mut Link {
        let known = self.links.iter().position(|(known, _)| *known == described);
        let at = known.unwrap_or_else(|| {
            self.links.push((described.clone(), Link::new(described)));
            self.links.len() - 1
        });
        &mut self.links[at].1
    }

    /// The connection that there is, with an agent.
    pub(super) fn open_to(&mut self, described: &Target) -> Option<&mut Link> {
        let mut known = self.links.iter_mut();
        let (_, link) = known.find(|(known, link)| known == described && link.has_agent())?;
        Some(link)
    }

    /// Whether there is a connection over which work may travel together.
    pub(super) fn carry_more(&self, run: &RunShared) -> bool {
        if run.config.bool("stream_output") {
            // What is shown while it runs is shown in its turn.
            return false;
        }
        let wanted = run.config.text("send_ahead").unwrap_or_default();
        let where_to = |link: &Link| wanted == "always" || wanted == "far" && !link.is_local();
        let fits = |(_, link): &(Target, Link)| link.has_agent() && where_to(link);
        self.links.iter().any(fits)
    }

    /// What tells the machine of a host apart, where it shares its files with no other one.
    pub(super) fn own_machine(&self, host: &str) -> Option<&str> {
        let mut own = self.links.iter().filter(|(target, _)| target.name == host);
        let (_, first) = own.next()?;
        let machine = first.own_machine()?;
        // Where tasks log in as several users, all of them say the same.
        own.all(|(_, link)| !link.has_agent() || link.own_machine() == Some(machine))
            .then_some(machine)
    }

    /// What is worth telling of the connections, for `-v`.
    pub(crate) fn notes(&mut self) -> Vec<String> {
        let links = self.links.iter_mut();
        links.flat_map(|(_, link)| link.take_notes()).collect()
    }

    /// Which machines were reached since this was asked last, each with the name that it was reached by.
    pub(super) fn identities(&mut self) -> Vec<(String, String)> {
        self.links
            .iter_mut()
            .filter_map(|(_, link)| link.take_identity())
            .collect()
    }

    /// Forgets the connections to a host.
    pub(crate) fn forget(&mut self, target: &str) {
        self.links.retain(|(known, _)| known.name != target);
    }

    /// Gives up the connections; what is asked next connects again.
    pub(super) fn rest(&mut self) {
        for (_, link) in &mut self.links {
            link.disconnect();
        }
    }

    /// Closes every connection.
    pub(crate) async fn close(self) {
        for (_, link) in self.links {
            link.close().await;
        }
    }
}

/// Reads settings in their order of precedence.
pub(super) struct Settings<'a> {
    run: &'a RunShared,
    spec: &'a TaskSpec,
    scope: &'a HostScope,
}

impl Settings<'_> {
    /// The first variable of these that is set.
    pub(super) fn var(&self, names: &[&str]) -> Result<Option<Value>, TemplateError> {
        for name in names {
            let Some(raw) = self.scope.get(name) else {
                continue;
            };
            let value = self.run.templar.expand(&raw, self.scope)?;
            if !matches!(value, Value::None) && !value.is_omit() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    pub(super) fn var_text(&self, names: &[&str]) -> Result<Option<String>, TemplateError> {
        Ok(self.var(names)?.map(|value| value.to_string()))
    }

    /// The name of the connection to a host.
    fn connection(&self, name: &str) -> Result<String, TemplateError> {
        Ok(match self.var_text(CONNECTION)? {
            Some(connection) => connection,
            None if is_implicit(name, self.scope) => "local".to_owned(),
            None => self
                .keyword_text(Keyword::Connection)?
                .or_else(|| self.run.options.connection.clone())
                .or_else(|| self.run.config.text("transport"))
                .unwrap_or_else(|| "ssh".to_owned()),
        })
    }

    fn keyword(&self, keyword: Keyword) -> Result<Option<Value>, TemplateError> {
        let Some(raw) = self.spec.keyword(keyword) else {
            return Ok(None);
        };
        let value = self.run.templar.expand(raw, self.scope)?;
        Ok((!matches!(value, Value::None) && !value.is_omit()).then_some(value))
    }

    fn keyword_text(&self, keyword: Keyword) -> Result<Option<String>, TemplateError> {
        Ok(self.keyword(keyword)?.map(|value| value.to_string()))
    }

    pub(super) fn secret(&self, names: &[&str]) -> Result<Option<Secret>, TemplateError> {
        let text = self.var_text(names)?;
        if let Some(text) = &text {
            self.run.hidden().add(text);
        }
        Ok(text.map(Secret::from))
    }
}

// The names of a setting's variables; the first of them that is set has it.
const USER: &[&str] = &["ansible_ssh_user", "ansible_user"];
const HOST: &[&str] = &["ansible_ssh_host", "ansible_host"];
const PORT: &[&str] = &["ansible_ssh_port", "ansible_port"];
const PASSWORD: &[&str] = &[
    "ansible_ssh_password",
    "ansible_ssh_pass",
    "ansible_password",
];
const KEY: &[&str] = &["ansible_ssh_private_key_file", "ansible_private_key_file"];
/// Ansible's own, which only counts there where the key itself is a variable.
const PASSPHRASE: &[&str] = &[
    "ansible_ssh_private_key_passphrase",
    "ansible_private_key_passphrase",
];
const KEY_CHECKING: &[&str] = &["ansible_ssh_host_key_checking", "ansible_host_key_checking"];
const TIMEOUT: &[&str] = &["ansible_ssh_timeout", "ansible_timeout"];
const PIPELINING: &[&str] = &["ansible_ssh_pipelining", "ansible_pipelining"];
const CONNECTION: &[&str] = &["ansible_connection"];
const SHELL: &[&str] = &["ansible_shell_type"];
const EXECUTABLE: &[&str] = &["ansible_shell_executable"];
const BECOME: &[&str] = &["ansible_become"];
const BECOME_METHOD: &[&str] = &["ansible_become_method"];

/// Variables of one setting of become; another one with the method's own name is before them.
const BECOME_USER: &[&str] = &["ansible_become_user"];
const BECOME_PASS: &[&str] = &["ansible_become_pass", "ansible_become_password"];
const BECOME_EXE: &[&str] = &["ansible_become_exe"];
const BECOME_FLAGS: &[&str] = &["ansible_become_flags"];

/// A setting that variables make: how errors name it, the variables, and what they must be.
type Setting = (&'static str, &'static [&'static str], Wanted);

/// The settings that must be right for every task, also for one that does all its work here.
const SETTINGS: &[Setting] = &[
    ("connection", CONNECTION, Wanted::Any),
    ("remote_addr", HOST, Wanted::Any),
    ("remote_user", USER, Wanted::Any),
    ("port", PORT, Wanted::Int),
    ("password", PASSWORD, Wanted::Any),
    ("private_key_file", KEY, Wanted::Any),
    ("timeout", TIMEOUT, Wanted::Int),
    ("pipelining", PIPELINING, Wanted::Bool),
    ("shell", SHELL, Wanted::Any),
    ("executable", EXECUTABLE, Wanted::Any),
    ("become", BECOME, Wanted::Bool),
    ("become_method", BECOME_METHOD, Wanted::Any),
    ("become_user", BECOME_USER, Wanted::Any),
    ("become_pass", BECOME_PASS, Wanted::Any),
    ("become_exe", BECOME_EXE, Wanted::Any),
    ("become_flags", BECOME_FLAGS, Wanted::Any),
];

/// Names of shells that Ansible knows; what it says of others says rplay too.
const SHELLS: [&str; 5] = ["sh", "csh", "fish", "cmd", "powershell"];

/// Connections that Ansible knows and that no task of rplay can use.
const FOREIGN: [&str; 2] = ["psrp", "winrm"];

/// The scope of the host that a task is delegated to; it describes the connection.
pub(super) fn scope_of(world: &World, delegate: &str) -> HostScope {
    let known = world.scope(delegate);
    known.unwrap_or_else(|| world.base(delegate))
}

/// Checks the variables that say how a host is reached, whether or not the task will.
///
/// # Errors
///
/// One of them cannot be rendered or is of the wrong kind.
pub(super) fn check(run: &RunShared, there: &HostScope) -> Result<(), ActionError> {
    for (name, variables, wanted) in SETTINGS {
        for variable in *variables {
            let Some(raw) = there.get(variable) else {
                continue;
            };
            // Nearly all are plain texts, and this is done for every task.
            let value = match &raw {
                Value::Str(text) if !has_delimiters(text.as_str()) => Ok(raw.clone()),
                _ => run.templar.expand(&raw, there),
            };
            let value = value.map_err(|error| unrendered(name, error))?;
            if let Some(message) = misfit(&value, *wanted) {
                let place = raw.origin();
                return Err(ActionError::Keyword {
                    name,
                    place,
                    message,
                });
            }
        }
    }
    Ok(())
}

/// Checks that the plugins for a connection exist, whether or not the task connects.
///
/// # Errors
///
/// One does not.
pub(super) fn check_plugins(
    run: &RunShared,
    spec: &TaskSpec,
    there: &HostScope,
    target: &str,
) -> Result<(), ActionError> {
    // Files and roles are read here, whatever the connection is.
    if matches!(spec.action.as_str(), "include_tasks" | "include_role") {
        return Ok(());
    }
    let settings = Settings {
        run,
        spec,
        scope: there,
    };
    if let Some(shell) = settings.var_text(SHELL)?
        && !SHELLS.contains(&crate::action::canonical(&shell))
    {
        let text = format!("Could not find the shell plugin required ({shell}).");
        return Err(ActionError::NoPlugin(text));
    }
    let connection = settings.connection(target)?;
    // Those of collections may be there where Ansible runs: the first task that connects tells.
    let is_foreign = connection.contains('.') || FOREIGN.contains(&connection.as_str());
    match kind(&connection) {
        Err(error) if !is_foreign => Err(error),
        _ => Ok(()),
    }
}

/// How a host is reached, as keywords say it.
pub(super) fn way_of(
    run: &RunShared,
    spec: &TaskSpec,
    scope: &HostScope,
    name: &str,
) -> Result<KeptWay, ActionError> {
    let settings = Settings { run, spec, scope };
    let connection = settings.connection(name)?;
    let target = describe(run, spec, scope, name)?;
    Ok(KeptWay {
        connection,
        user: target.user,
        port: target.port,
        r#become: None,
    })
}

/// The connection of a name.
fn kind(connection: &str) -> Result<Kind, ActionError> {
    Ok(match crate::action::canonical(connection) {
        "local" => Kind::Local,
        "ssh" | "smart" | "paramiko" | "paramiko_ssh" => Kind::Ssh,
        "openssh" => Kind::OpenSsh,
        other if Program::of(other).is_some() => Kind::Carrier,
        other => {
            return Err(ActionError::NoPlugin(format!(
                "the connection plugin '{other}' was not found"
            )));
        }
    })
}

pub(super) fn describe(
    run: &RunShared,
    spec: &TaskSpec,
    scope: &HostScope,
    name: &str,
) -> Result<Target, ActionError> {
    let settings = Settings { run, spec, scope };
    let options = &run.options;
    let connection = settings.connection(name)?;
    let kind = kind(&connection)?;
    let program = Program::of(crate::action::canonical(&connection));
    let port = match settings.var(PORT)? {
        Some(port) => Some(port),
        None => settings.keyword(Keyword::Port)?,
    };
    let port = port.or_else(|| {
        run.config
            .int("remote_port")
            .map(|port| Value::Int(port.into()))
    });
    let port = port
        .as_ref()
        .and_then(super::context::to_int)
        .and_then(|port| u16::try_from(port).ok());
    let user = match settings.var_text(program.map_or(USER, Program::user))? {
        Some(user) => Some(user),
        None if program.is_some_and(|program| program.user().is_empty()) => None,
        None => settings
            .keyword_text(Keyword::RemoteUser)?
            .or_else(|| options.remote_user.clone())
            .or_else(|| run.config.text("remote_user")),
    };
    let host = settings.var_text(program.map_or(HOST, Program::address))?;
    let host = host.unwrap_or_else(|| name.to_owned());
    let carrier = match program {
        Some(program) => carrier(&settings, program, &host, user.as_deref())?,
        None => Carrier::default(),
    };
    let key = settings.var_text(KEY)?;
    let key = key
        .map(|path| expand_home(&path))
        .or_else(|| options.private_key.clone());
    let key = key.or_else(|| {
        run.config
            .text("private_key_file")
            .map(|path| expand_home(&path))
    });
    let checking = settings.var(KEY_CHECKING)?;
    let checking = checking
        .as_ref()
        .and_then(to_bool)
        .unwrap_or_else(|| run.config.bool("host_key_checking"));
    let timeout = settings.var(TIMEOUT)?;
    let timeout = timeout.as_ref().and_then(super::context::to_float);
    #[expect(clippy::cast_precision_loss, reason = "a time-out in seconds is small")]
    let timeout = timeout.unwrap_or_else(|| {
        options.timeout.map_or_else(
            || run.config.int("timeout").unwrap_or(10) as f64,
            |seconds| seconds as f64,
        )
    });
    let mut ssh_args = vec![];
    for (name, option) in [
        ("ansible_ssh_args", &options.ssh_args.all),
        ("ansible_ssh_common_args", &options.ssh_args.common),
        ("ansible_ssh_extra_args", &options.ssh_args.extra),
    ] {
        // A variable takes the place of the option, as it does for every setting of a connection.
        let line = settings.var_text(&[name])?.or_else(|| option.clone());
        let words = line.map(|line| rplay_modules::text::split_words(&line));
        ssh_args.extend(
            words
                .transpose()
                .map_err(ActionError::new)?
                .unwrap_or_default(),
        );
    }
    Ok(Target {
        name: name.to_owned(),
        connection: kind,
        host,
        port,
        user,
        password: settings
            .secret(PASSWORD)?
            .or_else(|| options.password.clone()),
        private_key_file: key,
        host_key_checking: checking,
        connect_timeout: Duration::from_secs_f64(timeout.clamp(0.1, 86_400.0)),
        reconnect: Duration::from_secs(
            run.config
                .int("reconnect_seconds")
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map_or(0, |seconds| seconds.min(86_400)),
        ),
        private_key_passphrase: settings.secret(PASSPHRASE)?,
        keys: options.keys.clone(),
        known_hosts: vec![],
        remote_tmp: settings
            .var_text(&["ansible_remote_tmp"])?
            .or_else(|| run.config.chosen("remote_tmp")),
        ssh_args,
        ssh_executable: settings
            .var_text(&["ansible_ssh_executable"])?
            .or_else(|| run.config.chosen("ssh_executable")),
        carrier,
    })
}

/// The connection's settings as variables, for hosts that do not set them: `-u NAME` and
/// `remote_user: NAME` define `ansible_user`.
pub(super) fn connection_vars(
    run: &RunShared,
    spec: &TaskSpec,
    scope: &HostScope,
    host: &str,
) -> VarMap {
    let settings = Settings { run, spec, scope };
    let options = &run.options;
    let keyword = |keyword| settings.keyword_text(keyword).ok().flatten();
    let mut vars = VarMap::new();
    let mut set = |names: &[&str], value: Option<Value>| {
        // A variable under one of its names counts for the others, too.
        let given = names.iter().find_map(|name| scope.get(name));
        if let Some(value) = given.or(value) {
            vars.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
        }
    };
    let user = keyword(Keyword::RemoteUser)
        .or_else(|| options.remote_user.clone())
        .or_else(|| run.config.text("remote_user"));
    set(USER, user.map(Value::str));
    set(PORT, None);
    let implicit = is_implicit(host, scope);
    let address = if implicit { "127.0.0.1" } else { host };
    set(HOST, Some(Value::str(address)));
    let connection = if implicit {
        "local".to_owned()
    } else {
        keyword(Keyword::Connection)
            .or_else(|| options.connection.clone())
            .or_else(|| run.config.text("transport"))
            .unwrap_or_else(|| "ssh".to_owned())
    };
    set(CONNECTION, Some(Value::str(connection)));
    let key = options.private_key.as_ref();
    let key = key.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    set(KEY, key.map(|path| Value::str(path.display().to_string())));
    let timeout = options.timeout.map(i128::from);
    let timeout = timeout.or_else(|| run.config.int("timeout").map(i128::from));
    set(TIMEOUT, Some(Value::Int(timeout.unwrap_or(10))));
    let pipelining = Value::Bool(run.config.bool("pipelining"));
    set(PIPELINING, Some(pipelining));
    set(EXECUTABLE, run.config.text("executable").map(Value::str));
    vars
}

/// What a task that is delegated sees of the other host's connection, unless its own host has
/// variables of these names.
pub(super) fn delegate_vars(other: &HostScope, target: &str, scope: &HostScope) -> VarMap {
    let mut vars = VarMap::new();
    let address = Value::str(target);
    let own = scope.get("inventory_hostname").unwrap_or(Value::None);
    let names = ["ansible_host", "ansible_port", "ansible_user"];
    let unsaid = [address.clone(), Value::None, Value::None];
    let unsaid = names.map(str::to_owned).into_iter().zip(unsaid);
    let own = VarMap::from([("inventory_hostname".to_owned(), own)]);
    let seen = scope.on(other);
    let seen = seen.with(Level::Host, unsaid.collect());
    let seen = seen.with(Level::Magic, own);
    let by_name = Entries::from([(Key::from(target), seen.whole(2))]);
    vars.insert("ansible_delegated_vars".to_owned(), Value::dict(by_name));
    for (names, otherwise) in [(USER, None), (PORT, None), (HOST, Some(address))] {
        let given = names.iter().find_map(|name| other.get(name));
        if let Some(value) = given.or(otherwise) {
            vars.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
        }
    }
    vars
}

/// `ansible_connection` of a task that is delegated to `target`: an option of the command line has
/// no part in it, though the connection is made by it.
pub(super) fn delegate_connection(
    run: &RunShared,
    spec: &TaskSpec,
    other: &HostScope,
    target: &str,
) -> Value {
    if let Some(own) = other.get("ansible_connection") {
        return own;
    }
    if is_implicit(target, other) {
        return Value::str("local");
    }
    let settings = Settings {
        run,
        spec,
        scope: other,
    };
    let written = settings.keyword_text(Keyword::Connection).ok().flatten();
    let written = written.or_else(|| run.config.text("transport"));
    Value::str(written.unwrap_or_else(|| "ssh".to_owned()))
}

/// Whether this is the localhost that exists without an inventory.
fn is_implicit(host: &str, scope: &HostScope) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1") && !has_inventory_entry(scope)
}

/// Whether the host stands in the inventory; then it has its settings there.
fn has_inventory_entry(scope: &HostScope) -> bool {
    scope
        .get("inventory_file")
        .is_some_and(|file| !matches!(file, Value::None))
}

/// As whom the work is done at a host that the scope `there` describes; `None`: as the user of
/// the connection.
pub(super) fn become_of(
    run: &RunShared,
    spec: &TaskSpec,
    scope: &HostScope,
    (there, target): (&HostScope, &str),
) -> Result<Option<Become>, TemplateError> {
    let settings = Settings { run, spec, scope };
    let options = &run.options;
    let wanted = match settings.var(BECOME)? {
        Some(value) => Some(value),
        None => settings.keyword(Keyword::Become)?,
    };
    let wanted = wanted.map_or(options.r#become || run.config.bool("become"), |value| {
        to_bool(&value).unwrap_or(false)
    });
    if !wanted {
        return Ok(None);
    }
    let text = |names: &[&str], keyword: Keyword| match settings.var_text(names)? {
        Some(text) => Ok(Some(text)),
        None => settings.keyword_text(keyword),
    };
    let method = text(BECOME_METHOD, Keyword::BecomeMethod)?
        .or_else(|| options.become_method.clone())
        .or_else(|| run.config.text("become_method"));
    let method = method.unwrap_or_else(|| "sudo".to_owned());
    let method = crate::action::canonical(&method).to_owned();
    let own = |what: &str| format!("ansible_{method}_{what}");
    let setting = |names: &[&str], what: &str, keyword| match settings.var_text(&[&own(what)])? {
        Some(text) => Ok(Some(text)),
        None => text(names, keyword),
    };
    let user = setting(BECOME_USER, "user", Keyword::BecomeUser)?
        .or_else(|| options.become_user.clone())
        .or_else(|| run.config.text("become_user"));
    let user = user.unwrap_or_else(|| "root".to_owned());
    let is_known = matches!(
        method.rsplit('.').next(),
        Some("sudo" | "su" | "doas" | "sudosu")
    );
    if is_known && !run.config.bool("become_allow_same_user") {
        // A connection that cannot be is told when it is made.
        let target = describe(run, spec, there, target);
        if target.is_ok_and(|target| is_already(&target, &user)) {
            return Ok(None);
        }
    }
    let password = match settings.secret(&[&own("pass")])? {
        Some(password) => Some(password),
        None => settings.secret(BECOME_PASS)?,
    };
    Ok(Some(Become {
        user,
        password: password.or_else(|| options.become_password.clone()),
        exe: setting(BECOME_EXE, "exe", Keyword::BecomeExe)?
            .or_else(|| run.config.chosen("become_exe")),
        flags: setting(BECOME_FLAGS, "flags", Keyword::BecomeFlags)?
            .or_else(|| run.config.chosen("become_flags")),
        method,
    }))
}

/// Whether whoever reaches the target is the user who is to be become.
fn is_already(target: &Target, user: &str) -> bool {
    if target.connection != Kind::Local {
        return target.user.as_deref() == Some(user);
    }
    // `-u` changes nothing on this machine: only the user of this program counts.
    OWN_NAMES.iter().any(|own| own == user)
}

/// The names of the user of this program; each task that becomes somebody here asks.
static OWN_NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let own = rustix::process::geteuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(own.as_str())).then(|| name.to_owned())
    };
    known.lines().filter_map(name).collect()
});
