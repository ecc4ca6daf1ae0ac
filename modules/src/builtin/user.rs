//! `user`: a user account is there, as described, or gone.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{make_dirs, os_error_text};
use rplay_modules::machine::{
    Attrs, Change, Command, Content, FileKind, Group, Machine, Output, User,
};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::time;

use super::programs;

/// Makes, changes and removes user accounts.
#[derive(ModuleArgs)]
struct Args {
    /// The log-in name.
    #[arg(alias = "user")]
    name: String,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The number.
    uid: Option<u32>,
    /// The number may belong to another user, too.
    #[arg(default = "false")]
    non_unique: bool,
    /// The lowest number for a new user.
    uid_min: Option<u32>,
    /// The highest number for a new user.
    uid_max: Option<u32>,
    /// The primary group, by name or number.
    group: Option<String>,
    /// Further groups; an empty text takes all away.
    groups: Option<Vec<String>>,
    /// Keep further groups that are not named.
    #[arg(default = "false")]
    append: bool,
    /// The comment, mostly the full name.
    comment: Option<String>,
    /// The home directory.
    home: Option<PathBuf>,
    /// Make the home directory when it is not there.
    #[arg(alias = "createhome", default = "true")]
    create_home: bool,
    /// Move the content of the old home directory to the new one.
    #[arg(default = "false")]
    move_home: bool,
    /// The folder whose content a new home directory gets.
    skeleton: Option<String>,
    /// The file-mode creation mask for a new home directory.
    umask: Option<String>,
    /// The log-in shell.
    shell: Option<PathBuf>,
    /// The password as a hash.
    #[arg(secret)]
    password: Option<String>,
    /// Whether a password that is there is replaced.
    #[arg(default = "always")]
    update_password: UpdatePassword,
    /// Lock the password, or unlock it.
    password_lock: Option<bool>,
    /// Days after which the password must be changed.
    password_expire_max: Option<i64>,
    /// Days before which the password cannot be changed.
    password_expire_min: Option<i64>,
    /// Days of warning before the password expires.
    password_expire_warn: Option<i64>,
    /// Days after which an account with an expired password is disabled.
    password_expire_account_disable: Option<i64>,
    /// When the account expires, in seconds since 1970; a negative number takes the date away.
    expires: Option<f64>,
    /// A new account is one of the system's.
    #[arg(default = "false")]
    system: bool,
    /// Remove the account even while it is in use, and files of others in its home directory.
    #[arg(default = "false")]
    force: bool,
    /// Remove the home directory with the account.
    #[arg(default = "false")]
    remove: bool,
    /// Make a key for SSH.
    #[arg(default = "false")]
    generate_ssh_key: bool,
    /// The size of the key.
    ssh_key_bits: Option<u32>,
    /// The type of the key.
    #[arg(default = "rsa")]
    ssh_key_type: String,
    /// The file of the key, below the home directory unless it begins with a slash.
    ssh_key_file: Option<PathBuf>,
    /// The comment of the key.
    #[arg(default = "ansible-generated on $HOSTNAME")]
    ssh_key_comment: String,
    /// The password of the key.
    #[arg(
        secret,
        refused = "it would show among the arguments of a program; make the key with `command` and `stdin`"
    )]
    ssh_key_passphrase: Option<String>,
    /// Use the commands for local accounts where a directory service has others.
    #[arg(
        default = "false",
        choices = "false, no, False",
        refused = "commands of libuser are not supported yet"
    )]
    local: Option<String>,
    /// The `SELinux` user.
    #[arg(refused = "SELinux users are not supported yet")]
    seuser: Option<String>,
    /// Whether macOS hides the account.
    #[arg(refused = "it is for macOS")]
    hidden: Option<String>,
    /// The log-in class of BSD systems.
    #[arg(refused = "it is for BSD systems")]
    login_class: Option<String>,
    /// The authorization of Solaris.
    #[arg(refused = "it is for Solaris")]
    authorization: Option<String>,
    /// The profile of Solaris.
    #[arg(refused = "it is for Solaris")]
    profile: Option<String>,
    /// The role of Solaris.
    #[arg(refused = "it is for Solaris")]
    role: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum UpdatePassword {
    Always,
    OnCreate,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The log-in name.
    name: String,
    /// The number.
    uid: u32,
    /// The number of the primary group.
    group: u32,
    /// The further groups.
    groups: String,
    /// The home directory.
    home: String,
    /// The log-in shell.
    shell: String,
    /// The comment.
    comment: String,
    /// The public key for SSH.
    ssh_public_key: String,
    /// The fingerprint of the key.
    ssh_fingerprint: String,
    /// The file of the key.
    ssh_key_file: String,
}

module! {
    "ansible.builtin.user", args: Args, returns: Values, run: run,
    rules: Rules { required_if: &[("append", "True", &["groups"], false)], ..Rules::NONE }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let old = machine.user_by_name(&args.name);
    let outcome = match (args.state, old) {
        (State::Absent, None) => Outcome::unchanged(),
        (State::Absent, Some(_)) => remove(machine, &args)?,
        (State::Present, None) => {
            check_groups(machine, &args)?;
            let outcome = create(machine, &args)?;
            outcome
                .with("create_home", args.create_home)
                .with("system", args.system)
        }
        (State::Present, Some(old)) => {
            check_groups(machine, &args)?;
            let outcome = modify(machine, &args, &old)?;
            outcome
                .with("append", args.append)
                .with("move_home", args.move_home)
        }
    };
    let outcome = outcome
        .with("name", args.name.clone())
        .with("state", args.state.word());
    if args.state == State::Absent {
        Ok(outcome)
    } else {
        described(machine, &args, outcome)
    }
}

fn check_groups(machine: &mut dyn Machine, args: &Args) -> Result<(), Failure> {
    for name in args
        .group
        .iter()
        .chain(wanted_groups(args).unwrap_or_default().iter())
    {
        let found = machine.group_by_name(name).is_some()
            || name
                .parse()
                .is_ok_and(|gid| machine.group_by_id(gid).is_some());
        if !found {
            return Err(Failure::new(format!("Group {name} does not exist")));
        }
    }
    Ok(())
}

fn wanted_groups(args: &Args) -> Option<Vec<String>> {
    let groups = args.groups.as_ref()?;
    Some(
        groups
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
    )
}

/// Facts that every result for a present user has.
fn described(
    machine: &mut dyn Machine,
    args: &Args,
    mut outcome: Outcome,
) -> Result<Outcome, Failure> {
    if let Some(password) = &args.password {
        if !password.starts_with(['$', '*', '!'])
            || password.len() < 13 && !password.starts_with(['*', '!'])
        {
            outcome.warnings.push(
                "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly."
                    .to_owned(),
            );
        }
        outcome = outcome.with("password", "NOT_LOGGING_PASSWORD");
    }
    let Some(user) = machine.user_by_name(&args.name) else {
        return Ok(outcome);
    };
    let groups = wanted_groups(args).unwrap_or_default();
    let all = if args.append && outcome.results.contains_key("append") {
        memberships(machine, &args.name)
    } else {
        groups
    };
    outcome = outcome.with("groups", all.join(","));
    if args.create_home && !matches!(machine.stat(Path::new(&user.home), true), Ok(Some(_))) {
        make_home(machine, args, &user)?;
        outcome.changed = true;
    }
    if args.generate_ssh_key {
        outcome = ssh_key(machine, args, &user, outcome)?;
    }
    Ok(outcome
        .with("uid", user.uid)
        .with("group", user.gid)
        .with("comment", user.gecos)
        .with("home", user.home)
        .with("shell", user.shell))
}

/// The groups besides the primary one.
fn memberships(machine: &mut dyn Machine, name: &str) -> Vec<String> {
    let groups = machine.groups();
    groups
        .into_iter()
        .filter(|group| group.members.iter().any(|member| member == name))
        .map(|group| group.name)
        .collect()
}

/// Runs a program; a failure carries what it said.
fn change(
    machine: &mut dyn Machine,
    args: &Args,
    argv: Vec<String>,
) -> Result<Option<Output>, Failure> {
    change_with(machine, args, &Command::new(argv).c_locale())
}

/// Sets the password. A program reads it: the arguments of a program are seen by everybody.
fn set_password(machine: &mut dyn Machine, args: &Args, hash: &str) -> Result<(), Failure> {
    let stdin = Some(format!("{}:{hash}\n", args.name).into_bytes());
    let command = Command {
        stdin,
        ..Command::new(["chpasswd", "-e"]).c_locale()
    };
    change_with(machine, args, &command).map(|_| ())
}

fn change_with(
    machine: &mut dyn Machine,
    args: &Args,
    command: &Command,
) -> Result<Option<Output>, Failure> {
    match programs::change(machine, command)? {
        Some(output) if output.code != 0 => Err(Failure::new(output.stderr_text())
            .with("name", args.name.clone())
            .with("rc", output.code)),
        other => Ok(other),
    }
}

fn said(outcome: Outcome, output: Option<Output>) -> Outcome {
    let Some(output) = output else { return outcome };
    let mut outcome = outcome;
    if !output.stdout.is_empty() {
        outcome = outcome.with("stdout", output.stdout_text());
    }
    if !output.stderr.is_empty() {
        outcome = outcome.with("stderr", output.stderr_text());
    }
    outcome
}

fn remove(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let mut argv = vec!["userdel".to_owned()];
    argv.extend(args.force.then(|| "-f".to_owned()));
    argv.extend(args.remove.then(|| "-r".to_owned()));
    argv.push(args.name.clone());
    let output = change(machine, args, argv)?;
    if args.remove
        && machine.predicts()
        && let Some(user) = machine.user_by_name(&args.name)
    {
        // The program tells of a home that cannot be removed, and goes on.
        let _ = machine.remove(Path::new(&user.home), true);
    }
    machine.assume(Change::UserGone(args.name.clone()));
    Ok(said(Outcome::new(true), output)
        .with("force", args.force)
        .with("remove", args.remove))
}

fn create(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let mut argv = vec!["useradd".to_owned()];
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    if let Some(uid) = args.uid {
        push(&["-u", &uid.to_string()]);
        if args.non_unique {
            push(&["-o"]);
        }
    }
    match &args.group {
        Some(group) => push(&["-g", group]),
        // A group of the user's own name that is there already would be an error otherwise.
        None if machine.group_by_name(&args.name).is_some() => push(&["-N"]),
        None => {}
    }
    if let Some(groups) = wanted_groups(args).filter(|groups| !groups.is_empty()) {
        push(&["-G", &groups.join(",")]);
    }
    if let Some(comment) = &args.comment {
        push(&["-c", comment]);
    }
    if let Some(home) = &args.home {
        // useradd makes no folders above the home directory.
        if args.create_home
            && let Some(parent) = home.parent()
        {
            make_dirs(machine, parent)?;
        }
        push(&["-d", &home.to_string_lossy()]);
    }
    if let Some(shell) = &args.shell {
        push(&["-s", &shell.to_string_lossy()]);
    }
    if let Some(expires) = args.expires {
        push(&["-e", &day(expires)]);
    }
    if args.create_home {
        push(&["-m"]);
        if let Some(skeleton) = &args.skeleton {
            push(&["-k", skeleton]);
        }
        if let Some(umask) = &args.umask {
            push(&["-K", &format!("UMASK={umask}")]);
        }
    } else {
        push(&["-M"]);
    }
    for (key, value) in [("UID_MIN", args.uid_min), ("UID_MAX", args.uid_max)] {
        if let Some(value) = value {
            push(&["-K", &format!("{key}={value}")]);
        }
    }
    if args.system {
        push(&["-r"]);
    }
    push(&[&args.name]);
    let output = change(machine, args, argv)?;
    if let Some(password) = hash(args) {
        set_password(machine, args, &password)?;
    }
    assume_created(machine, args);
    let line = new_line(machine, args);
    assume_shadow(machine, &args.name, line);
    ageing(machine, args)?;
    Ok(said(Outcome::new(true), output))
}

/// The password as it is written: locked ones begin with an exclamation mark.
fn hash(args: &Args) -> Option<String> {
    let password = args.password.clone()?;
    Some(if args.password_lock == Some(true) {
        format!("!{password}")
    } else {
        password
    })
}

fn assume_created(machine: &mut dyn Machine, args: &Args) {
    if machine.user_by_name(&args.name).is_some() {
        return;
    }
    let taken: Vec<u32> = machine
        .users()
        .iter()
        .map(|user| user.uid)
        .filter(|uid| (1000..60000).contains(uid))
        .collect();
    let uid = args
        .uid
        .unwrap_or_else(|| taken.iter().max().map_or(1000, |uid| uid + 1));
    let gid = args.group.as_deref().unwrap_or(&args.name);
    let gid = gid
        .parse()
        .ok()
        .or_else(|| machine.group_by_name(gid).map(|group| group.gid));
    let gid = gid.unwrap_or_else(|| {
        machine.assume(Change::Group(Group {
            name: args.name.clone(),
            gid: uid,
            members: Vec::new(),
        }));
        uid
    });
    let home = args.home.as_ref().map_or_else(
        || format!("/home/{}", args.name),
        |home| home.display().to_string(),
    );
    machine.assume(Change::User(User {
        name: args.name.clone(),
        password: "x".to_owned(),
        uid,
        gid,
        gecos: args.comment.clone().unwrap_or_default(),
        home,
        shell: args
            .shell
            .as_ref()
            .map_or_else(|| "/bin/sh".to_owned(), |shell| shell.display().to_string()),
    }));
    assume_groups(machine, args);
}

fn assume_groups(machine: &mut dyn Machine, args: &Args) {
    let Some(wanted) = wanted_groups(args) else {
        return;
    };
    for mut group in machine.groups() {
        let member = group.members.contains(&args.name);
        let should = wanted.contains(&group.name) || (args.append && member);
        if member != should {
            group.members.retain(|name| *name != args.name);
            if should {
                group.members.push(args.name.clone());
            }
            machine.assume(Change::Group(group));
        }
    }
}

/// The line of the user in the file of passwords, as it is or as it is foretold.
fn shadow(machine: &mut dyn Machine, name: &str) -> Vec<String> {
    let line = machine.assumed(&shadow_key(name)).unwrap_or_else(|| {
        let text = machine.read(Path::new("/etc/shadow")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let found = lines.find(|line| line.split(':').next() == Some(name));
        found.unwrap_or_default().to_owned()
    });
    line.split(':').map(str::to_owned).collect()
}

fn shadow_key(name: &str) -> String {
    format!("shadow:{name}")
}

/// What check mode keeps of a line that a program would have changed: fields by their places.
fn assume_shadow(machine: &mut dyn Machine, name: &str, fields: Vec<(usize, String)>) {
    let mut line = shadow(machine, name);
    line.resize(line.len().max(9), String::new());
    for (index, text) in fields {
        line[index] = text;
    }
    machine.assume(Change::Fact(shadow_key(name), Some(line.join(":"))));
}

/// The fields that a new account has.
fn new_line(machine: &mut dyn Machine, args: &Args) -> Vec<(usize, String)> {
    let text = machine
        .read(Path::new("/etc/login.defs"))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let setting = |name: &str| {
        // Accounts of the system have no ageing.
        let mut lines = text.lines().filter(|_| !args.system);
        let value = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.unwrap_or_default().to_owned()
    };
    vec![
        (1, hash(args).unwrap_or_else(|| "!".to_owned())),
        (3, setting("PASS_MIN_DAYS")),
        (4, setting("PASS_MAX_DAYS")),
        (5, setting("PASS_WARN_AGE")),
        (6, String::new()),
        (7, args.expires.map(days).unwrap_or_default()),
    ]
}

/// The day of an account's end, as the file has it; none for one that has no end.
fn days(seconds: f64) -> String {
    match seconds < 0.0 {
        true => String::new(),
        false => format!("{}", (seconds / 86400.0).floor()),
    }
}

fn day(seconds: f64) -> String {
    if seconds < 0.0 {
        return String::new();
    }
    time::utc(time::micros(seconds), "%Y-%m-%d")
}

fn modify(machine: &mut dyn Machine, args: &Args, old: &User) -> Result<Outcome, Failure> {
    let mut new = old.clone();
    let mut words: Vec<String> = Vec::new();
    let mut push = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    if let Some(uid) = args.uid.filter(|uid| *uid != old.uid) {
        push(&["-u", &uid.to_string()]);
        if args.non_unique {
            push(&["-o"]);
        }
        new.uid = uid;
    }
    if let Some(group) = &args.group {
        let found = machine
            .group_by_name(group)
            .map(|group| group.gid)
            .or_else(|| group.parse().ok());
        if let Some(gid) = found.filter(|gid| *gid != old.gid) {
            push(&["-g", group]);
            new.gid = gid;
        }
    }
    let current = memberships(machine, &args.name);
    if let Some(wanted) = wanted_groups(args) {
        let primary = machine
            .group_by_id(new.gid)
            .map(|group| group.name)
            .unwrap_or_default();
        let missing = wanted
            .iter()
            .any(|name| !current.contains(name) && *name != primary);
        let extra = current.iter().any(|name| !wanted.contains(name));
        if args.append && missing {
            push(&["-a", "-G", &wanted.join(",")]);
        } else if !args.append && (missing || extra) {
            push(&["-G", &wanted.join(",")]);
        }
    }
    if let Some(comment) = args
        .comment
        .as_ref()
        .filter(|comment| **comment != old.gecos)
    {
        push(&["-c", comment]);
        new.gecos.clone_from(comment);
    }
    if let Some(home) = args
        .home
        .as_ref()
        .map(|home| home.display().to_string())
        .filter(|home| *home != old.home)
    {
        push(&["-d", &home]);
        if args.move_home {
            push(&["-m"]);
        }
        new.home = home;
    }
    if let Some(shell) = args
        .shell
        .as_ref()
        .map(|shell| shell.display().to_string())
        .filter(|shell| *shell != old.shell)
    {
        push(&["-s", &shell]);
        new.shell = shell;
    }
    let (foretold, password) = secrets(machine, args, &mut words);
    let mut outcome = Outcome::unchanged();
    if !words.is_empty() {
        let mut argv = vec!["usermod".to_owned()];
        argv.append(&mut words);
        argv.push(args.name.clone());
        let moved = args.move_home && new.home != old.home;
        let output = change(machine, args, argv)?;
        if moved && machine.predicts() {
            // A home that is not there is not moved.
            let _ = machine.rename(Path::new(&old.home), Path::new(&new.home));
        }
        machine.assume(Change::User(new));
        assume_groups(machine, args);
        outcome = said(Outcome::new(true), output);
    }
    if let Some(password) = password {
        set_password(machine, args, &password)?;
        outcome.changed = true;
    }
    if !foretold.is_empty() {
        assume_shadow(machine, &args.name, foretold);
    }
    outcome.changed |= ageing(machine, args)?;
    Ok(outcome)
}

/// Options for the lock and the account's end; the fields that they change, and the new password.
fn secrets(
    machine: &mut dyn Machine,
    args: &Args,
    words: &mut Vec<String>,
) -> (Vec<(usize, String)>, Option<String>) {
    let line = shadow(machine, &args.name);
    let field = |index: usize| line.get(index).map(String::as_str).unwrap_or_default();
    let mut fields = Vec::new();
    if let Some(expires) = args.expires
        && days(expires) != field(7)
    {
        words.extend(["-e".to_owned(), day(expires)]);
        fields.push((7, days(expires)));
    }
    let locked = field(1).starts_with('!');
    let password = hash(args).filter(|password| {
        let other = password.trim_start_matches('!') != field(1).trim_start_matches('!');
        args.update_password == UpdatePassword::Always && other
    });
    if let Some(password) = &password {
        fields.push((1, password.clone()));
    } else {
        match args.password_lock {
            Some(true) if !locked => {
                words.push("-L".to_owned());
                fields.push((1, format!("!{}", field(1))));
            }
            Some(false) if locked && field(1).len() > 1 => {
                words.push("-U".to_owned());
                fields.push((1, field(1)[1..].to_owned()));
            }
            _ => {}
        }
    }
    (fields, password)
}

/// Days of the password, through `chage`.
fn ageing(machine: &mut dyn Machine, args: &Args) -> Result<bool, Failure> {
    let line = shadow(machine, &args.name);
    let (mut words, mut fields) = (Vec::new(), Vec::new());
    for (index, option, value) in [
        (3, "-m", args.password_expire_min),
        (4, "-M", args.password_expire_max),
        (5, "-W", args.password_expire_warn),
        (6, "-I", args.password_expire_account_disable),
    ] {
        let Some(value) = value else { continue };
        let now = line.get(index).and_then(|text| text.parse::<i64>().ok());
        if now != Some(value) && !(value < 0 && now.is_none()) {
            words.extend([option.to_owned(), value.to_string()]);
            let text = if value < 0 {
                String::new()
            } else {
                value.to_string()
            };
            fields.push((index, text));
        }
    }
    if words.is_empty() {
        return Ok(false);
    }
    let mut argv = vec!["chage".to_owned()];
    argv.append(&mut words);
    argv.push(args.name.clone());
    change(machine, args, argv)?;
    assume_shadow(machine, &args.name, fields);
    Ok(true)
}

fn make_home(machine: &mut dyn Machine, args: &Args, user: &User) -> Result<(), Failure> {
    let home = PathBuf::from(&user.home);
    let fail = |error: std::io::Error| {
        Failure::new(format!(
            "failed to create home directory {}: {error}",
            user.home
        ))
    };
    make_dirs(machine, &home)?;
    let mask = args
        .umask
        .as_deref()
        .and_then(|text| u32::from_str_radix(text, 8).ok())
        .unwrap_or(0o022);
    machine.chmod(&home, 0o777 & !mask, true).map_err(fail)?;
    machine
        .chown(&home, Some(user.uid), Some(user.gid), true)
        .map_err(fail)?;
    let skeleton = PathBuf::from(
        args.skeleton
            .clone()
            .unwrap_or_else(|| "/etc/skel".to_owned()),
    );
    fill(machine, &skeleton, &home, user).map_err(fail)
}

/// Copies a folder's content for a user.
fn fill(machine: &mut dyn Machine, from: &Path, to: &Path, user: &User) -> std::io::Result<()> {
    for name in machine.list(from).unwrap_or_default() {
        let (source, target) = (from.join(&name), to.join(&name));
        let Some(stat) = machine.stat(&source, false)? else {
            continue;
        };
        match stat.kind {
            FileKind::Directory => {
                machine.make_dir(&target, Some(stat.mode))?;
                fill(machine, &source, &target, user)?;
            }
            FileKind::File => {
                let attrs = Attrs {
                    mode: Some(stat.mode),
                    ..Attrs::default()
                };
                machine.write(&target, Content::CopyOf(&source), &attrs)?;
            }
            FileKind::Link => {
                let link = machine.read_link(&source)?;
                machine.symlink(&link, &target)?;
            }
            _ => continue,
        }
        machine.chown(&target, Some(user.uid), Some(user.gid), false)?;
    }
    Ok(())
}

fn ssh_key(
    machine: &mut dyn Machine,
    args: &Args,
    user: &User,
    mut outcome: Outcome,
) -> Result<Outcome, Failure> {
    let file = args
        .ssh_key_file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!(".ssh/id_{}", args.ssh_key_type)));
    let file = Path::new(&user.home).join(file);
    let shown = file.display().to_string();
    let public = PathBuf::from(format!("{shown}.pub"));
    if matches!(machine.stat(&file, true), Ok(Some(_))) && !args.force {
        outcome.warnings.push(format!("Found existing ssh key private file \"{shown}\", no force, so skipping ssh-keygen generation"));
    } else {
        if let Some(folder) = file.parent()
            && !matches!(machine.stat(folder, true), Ok(Some(_)))
        {
            let fail = |error: std::io::Error| {
                Failure::new(format!("Failed to create {}: {error}", folder.display()))
            };
            machine.make_dir(folder, Some(0o700)).map_err(fail)?;
            machine
                .chown(folder, Some(user.uid), Some(user.gid), true)
                .map_err(fail)?;
        }
        if args.force && matches!(machine.stat(&file, false), Ok(Some(_))) {
            machine
                .remove(&file, false)
                .map_err(|error| Failure::new(os_error_text(&error)))?;
        }
        let host = machine
            .read(Path::new("/proc/sys/kernel/hostname"))
            .unwrap_or_default();
        let comment = args
            .ssh_key_comment
            .replace("$HOSTNAME", String::from_utf8_lossy(&host).trim());
        let mut argv: Vec<String> = [
            "ssh-keygen",
            "-q",
            "-t",
            &args.ssh_key_type,
            "-C",
            &comment,
            "-f",
            &shown,
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(bits) = args.ssh_key_bits {
            argv.extend(["-b".to_owned(), bits.to_string()]);
        }
        argv.extend(["-N".to_owned(), String::new()]);
        change(machine, args, argv)?;
        for path in [&file, &public] {
            if matches!(machine.stat(path, true), Ok(Some(_))) {
                machine
                    .chown(path, Some(user.uid), Some(user.gid), true)
                    .map_err(|error| Failure::new(os_error_text(&error)))?;
            }
        }
        outcome.changed = true;
    }
    if let Ok(key) = machine.read(&public) {
        let shown = public.display().to_string();
        let printed =
            programs::ask(machine, ["ssh-keygen", "-l", "-f", shown.as_str()])?.stdout_text();
        outcome = outcome
            .with("ssh_fingerprint", printed.trim())
            .with("ssh_public_key", String::from_utf8_lossy(&key).trim());
    }
    Ok(outcome.with("ssh_key_file", Data::Str(shown)))
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days() {
        assert_eq!(
            (day(1_822_348_800.0).as_str(), day(-1.0).as_str()),
            ("2027-10-01", "")
        );
    }
}
