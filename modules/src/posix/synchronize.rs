//! `synchronize`: folders kept alike by `rsync`, on one machine or between two of them.
//!
//! The controller's part says which machine runs this, and which of the two paths has a host.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::{Command, Machine, Output, Ran};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::{lines, quote, split_words};

use crate::builtin::programs;

/// What `rsync` writes before each thing that is different.
const MARK: &str = "<<CHANGED>>";

/// Makes a folder or file the same as another one with `rsync`: from the controller to the host,
/// or back; with `delegate_to` from that host. `rsync` is needed on both sides, and reaches the
/// host with `ssh`.
#[derive(ModuleArgs)]
struct Args {
    /// What is copied. With a slash at its end it means what is in the folder.
    src: PathBuf,
    /// Where it goes.
    dest: PathBuf,
    /// To the host, or from it.
    #[arg(default = "push")]
    mode: Mode,
    /// The port of `ssh`; without one that of the connection.
    dest_port: Option<u16>,
    /// Copy folders with all they have: links, modes, times, owners. The seven below can be
    /// taken out of it, or given alone.
    #[arg(default = "true")]
    archive: bool,
    /// Copy folders with what is in them.
    recursive: Option<bool>,
    /// Copy links as links.
    links: Option<bool>,
    /// Keep modes.
    perms: Option<bool>,
    /// Keep times of modification.
    times: Option<bool>,
    /// Keep owners.
    owner: Option<bool>,
    /// Keep groups.
    group: Option<bool>,
    /// Copy what links point to.
    #[arg(default = "false")]
    copy_links: bool,
    /// Copy folders without what is in them.
    #[arg(default = "false")]
    dirs: bool,
    /// Compare contents, not times and sizes.
    #[arg(default = "false")]
    checksum: bool,
    /// Compress on the way.
    #[arg(default = "true")]
    compress: bool,
    /// Create nothing: only what is there is brought up to date.
    #[arg(default = "false")]
    existing_only: bool,
    /// Remove what the source does not have, at the end.
    #[arg(default = "false")]
    delete: bool,
    /// Keep files that came only in part.
    #[arg(default = "false")]
    partial: bool,
    /// Put all new files in place together, at the end.
    #[arg(default = "true")]
    delay_updates: bool,
    /// Folders whose files are linked to, where they are the same.
    link_dest: Option<Vec<PathBuf>>,
    /// Further options of `rsync`.
    rsync_opts: Option<Vec<String>>,
    /// The `rsync` of the host.
    rsync_path: Option<String>,
    /// How many seconds may pass without anything coming; 0: any time.
    #[arg(default = "0")]
    rsync_timeout: i64,
    /// The key for `ssh`.
    private_key: Option<PathBuf>,
    /// Log in as the connection's user.
    #[arg(default = "true")]
    #[expect(
        dead_code,
        reason = "the controller's part puts the user before the path"
    )]
    set_remote_user: bool,
    /// Hand the connection's `ssh_args` to `ssh`.
    #[arg(default = "false")]
    use_ssh_args: bool,
    /// Let `ssh` share connections.
    #[arg(default = "false")]
    ssh_connection_multiplexing: bool,
    /// Let `ssh` check the host's key.
    #[arg(default = "false")]
    verify_host: bool,
    /// The `rsync` of the machine that runs it.
    #[arg(name = "_local_rsync_path", default = "rsync")]
    local_rsync_path: String,
    /// The password for `ssh`.
    #[arg(name = "_local_rsync_password", secret)]
    local_rsync_password: Option<String>,
    /// What `use_ssh_args` hands over.
    #[arg(name = "_ssh_args")]
    ssh_args: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pull,
    Push,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The command.
    cmd: String,
    /// What was different, a line each, as `rsync` itemizes it.
    msg: String,
    /// The same as a list.
    stdout_lines: Vec<String>,
    /// The exit code.
    rc: i32,
}

module! {
    "ansible.posix.synchronize", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.synchronize"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let rsync = match args.local_rsync_path.contains('/') {
        true => args.local_rsync_path.clone(),
        false => programs::required(machine, &args.local_rsync_path)?,
    };
    // `rsync://` and names of its modules are no folders of this machine.
    let paths = [&args.src, &args.dest].map(|path| path.to_string_lossy().into_owned());
    let links = links(machine, &args)?;
    let ssh = match paths.iter().any(|path| is_remote(path)) {
        true => Some(rsh(machine, &args)?),
        false => None,
    };
    let line = |dry: bool| line(&args, &rsync, ssh.as_deref(), &links, &paths, dry);
    let real = line(false);
    let performed = command(machine, &args, &real)?;
    let (cmd, output) = match machine.run(&performed) {
        Ok(Ran::Done(output)) => (real, output),
        Ok(Ran::Predicted) => {
            let dry = line(true);
            let command = command(machine, &args, &dry)?;
            let output = machine.query(&command);
            (
                dry,
                output.map_err(|error| cannot_run(&command.argv, &error))?,
            )
        }
        Err(error) => return Err(cannot_run(&performed.argv, &error)),
    };
    if output.code != 0 {
        return Err(Failure::new(output.stderr_text())
            .with("rc", output.code)
            .with("cmd", cmd));
    }
    Ok(told(&output, !links.is_empty()).with("cmd", cmd))
}

/// What `rsync` did.
fn told(output: &Output, linked: bool) -> Outcome {
    let text = output.stdout_text();
    let marked = |line: &str| {
        // With `--link-dest` it tells of what stays, too; that begins with a dot.
        let what = line.split_once(MARK).map(|(_, what)| what);
        what.is_some_and(|what| !linked || !what.starts_with('.'))
    };
    let changed = text.lines().any(marked);
    let msg = text.replace(MARK, "");
    let mut told = lines(&msg);
    told.retain(|line| !line.is_empty());
    Outcome::new(changed)
        .with("msg", msg)
        .with("rc", output.code)
        .with("stdout_lines", told)
}

/// Whether `ssh` is needed for a path.
fn is_remote(path: &str) -> bool {
    path.contains(':') && !path.starts_with("rsync://")
}

/// The command that `rsync` reaches the host with.
fn rsh(machine: &mut dyn Machine, args: &Args) -> Result<String, Failure> {
    let mut words = vec![programs::required(machine, "ssh")?];
    if !args.ssh_connection_multiplexing {
        words.push("-S none".to_owned());
    }
    if let Some(key) = &args.private_key {
        words.push(format!("-i {}", quote(&key.to_string_lossy())));
    }
    if let Some(port) = args.dest_port {
        words.push(format!("-o Port={port}"));
    }
    if !args.verify_host {
        words.push("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null".to_owned());
    }
    words.extend(args.ssh_args.clone().filter(|_| args.use_ssh_args));
    Ok(words.join(" "))
}

/// The folders of `link_dest`, absolute.
fn links(machine: &mut dyn Machine, args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let cwd = machine.process().cwd;
    let mut links = vec![];
    for link in args.link_dest.iter().flatten() {
        let link = plain(&cwd.join(link));
        // One above the target would be searched together with the target itself.
        let dest = args.dest.to_string_lossy();
        let folder = dest.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !is_remote(&dest) && Path::new(folder).starts_with(&link) && args.mode == Mode::Push {
            return Err(Failure::new(format!(
                "Hardlinking into a subdirectory of the source would cause recursion. {folder} and {dest}"
            )));
        }
        links.push(link);
    }
    Ok(links)
}

/// A path without `.` and `..`, as its letters say.
fn plain(path: &Path) -> PathBuf {
    let mut all = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                all.pop();
            }
            std::path::Component::CurDir => {}
            part => all.push(part),
        }
    }
    all
}

/// The command as one line, as results show it.
fn line(
    args: &Args,
    rsync: &str,
    ssh: Option<&str>,
    links: &[PathBuf],
    paths: &[String; 2],
    dry: bool,
) -> String {
    let mut words = vec![quote(rsync)];
    let mut add = |given: bool, word: &str| words.extend(given.then(|| word.to_owned()));
    add(args.delay_updates, "--delay-updates -F");
    add(args.compress, "--compress");
    add(dry, "--dry-run");
    add(
        args.rsync_timeout != 0,
        &format!("--timeout={}", args.rsync_timeout),
    );
    add(args.delete, "--delete-after");
    add(args.existing_only, "--existing");
    add(args.checksum, "--checksum");
    add(args.copy_links, "--copy-links");
    add(args.archive, "--archive");
    for (name, given) in [
        ("recursive", args.recursive),
        ("links", args.links),
        ("perms", args.perms),
        ("times", args.times),
        ("owner", args.owner),
        ("group", args.group),
    ] {
        match given {
            Some(true) if !args.archive => add(true, &format!("--{name}")),
            Some(false) if args.archive => add(true, &format!("--no-{name}")),
            _ => {}
        }
    }
    add(args.dirs, "--dirs");
    if let Some(ssh) = ssh {
        words.push(format!("--rsh={}", quote(ssh)));
    }
    if let Some(path) = &args.rsync_path {
        words.push(format!("--rsync-path={}", quote(path)));
    }
    // These may hold several words each, and quotes around them.
    words.extend(args.rsync_opts.iter().flatten().cloned());
    words.extend(args.partial.then(|| "--partial".to_owned()));
    if !links.is_empty() {
        words.push("-H -vv".to_owned());
        let link = |link: &PathBuf| format!("--link-dest={}", quote(&link.to_string_lossy()));
        words.extend(links.iter().map(link));
    }
    words.push(format!("--out-format={}", quote(&format!("{MARK}%i %n%L"))));
    words.extend(paths.iter().map(|path| quote(path)));
    words.join(" ")
}

/// The line as a command; a password goes through `sshpass`, which reads it.
fn command(machine: &mut dyn Machine, args: &Args, line: &str) -> Result<Command, Failure> {
    let mut argv = split_words(line)?;
    let mut stdin = None;
    if let Some(password) = &args.local_rsync_password {
        let sshpass = programs::required(machine, "sshpass")?;
        argv.splice(0..0, [sshpass, "-d0".to_owned()]);
        stdin = Some(format!("{password}\n").into_bytes());
    }
    Ok(Command {
        stdin,
        ..Command::new(argv).c_locale()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output() {
        let output = |text: &str| Output {
            stdout: text.as_bytes().to_vec(),
            ..Output::default()
        };
        let made = told(&output("created directory x\n<<CHANGED>>cd+++ ./\n"), false);
        assert!(made.changed);
        assert_eq!(
            made.results["msg"],
            "created directory x\ncd+++ ./\n".into()
        );
        assert!(!told(&output("<<CHANGED>>.f          a\n"), true).changed);
        assert!(told(&output("<<CHANGED>>hf          a\n"), true).changed);
        assert!(!told(&output(""), false).changed);
    }

    #[test]
    fn paths() {
        assert_eq!(plain(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
        assert!(is_remote("h:x") && is_remote("h::x"));
        assert!(!is_remote("rsync://h/x") && !is_remote("/a"));
    }
}
