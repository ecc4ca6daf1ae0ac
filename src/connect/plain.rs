//! Commands where no agent can run: the modules `command` and `shell` themselves run here, and what they
//! look at and start goes through the host's plain shell, a turn each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rplay_modules::machine::overlay::Overlay;
use rplay_modules::machine::{
    Access, Attrs, Change, Command, Content, FileKind, Group, Machine, Output, Process, Ran, Stat,
    Stream, User,
};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{registry, wire};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::r#become::quote;
use super::{Become, Link, LinkError, RawOutput, bootstrap};

/// The modules that work so, besides `raw`, which never needs an agent.
const MODULES: &[&str] = &["ansible.builtin.command", "ansible.builtin.shell"];

/// What errors say of a host without an agent.
pub(super) const WORK: &str = "of all modules only `command`, `raw` and `shell` work there";

/// Whether a call can be made without an agent.
pub(super) fn works(request: &wire::Run) -> bool {
    request.job.is_none() && MODULES.contains(&request.module.as_str())
}

/// Runs a module over the host's shell.
pub(super) async fn call(
    link: &mut Link,
    r#become: Option<&Become>,
    request: wire::Run,
) -> Result<Result<Outcome, Failure>, LinkError> {
    let Some(module) = registry::find(&request.module) else {
        return Ok(Err(Failure::new("no such module")));
    };
    let (questions, mut asked) = mpsc::channel(1);
    let mut machine = Shell {
        questions,
        token: bootstrap::token()?,
        env: request.env,
        process: None,
    };
    let (check, args) = (request.check, request.args);
    let work = tokio::task::spawn_blocking(move || match check {
        true => (module.run)(&mut Overlay::new(machine), &args),
        false => (module.run)(&mut machine, &args),
    });
    while let Some(Question {
        script,
        input,
        answer,
    }) = asked.recv().await
    {
        let output = link.feed(r#become, &script, input).await?;
        // Who asked waits for it.
        let _ = answer.send(output);
    }
    let done = work.await;
    done.map_err(|error| LinkError::Protocol(error.to_string()))
}

/// A script that is to be run, with what the program in it reads.
struct Question {
    script: String,
    input: Option<Vec<u8>>,
    answer: oneshot::Sender<RawOutput>,
}

/// The command line for a script that comes first on standard input: it may hold secrets, and everybody
/// sees arguments. The line has nothing that any login shell reads otherwise.
pub(super) fn line(script: &str) -> String {
    format!("exec sh -c 'eval \"$(head -c {})\"'", script.len())
}

/// What a program of [`line`] reads.
pub(super) fn input(script: &str, more: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([script.as_bytes(), more.unwrap_or_default()].concat())
}

/// A host's shell as a machine that looks and runs programs, and changes nothing else.
struct Shell {
    questions: mpsc::Sender<Question>,
    /// What begins a line of the script's own.
    token: String,
    env: Vec<(String, String)>,
    process: Option<Process>,
}

impl Shell {
    fn ask(&self, script: String, input: Option<Vec<u8>>) -> io::Result<Output> {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            script,
            input,
            answer,
        };
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        self.questions.blocking_send(question).map_err(|_| gone())?;
        let output = answered.blocking_recv().map_err(|_| gone())?;
        Ok(Output {
            code: output.signal.map_or(output.code, |signal| -signal),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    /// What a script prints that succeeds.
    fn look(&self, script: String) -> io::Result<Vec<u8>> {
        let output = self.ask(script, None)?;
        match output.code {
            0 => Ok(output.stdout),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// The script for a program. A program that cannot be started is told by a line with the token: the
    /// shell's own exit codes may be the program's.
    fn script(&self, command: &Command) -> io::Result<String> {
        let mut script = String::new();
        let own = self.env.iter().map(|(name, value)| (name, Some(value)));
        let further = command.env.iter();
        let further = further.map(|(name, value)| (name, value.as_ref()));
        for (name, value) in own.chain(further) {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                let text = format!("the plain shell has no variables of the name `{name}`");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            let _ = match value {
                Some(value) => writeln!(script, "export {name}={}", quote(value)),
                None => writeln!(script, "unset {name}"),
            };
        }
        let token = &self.token;
        let _ = writeln!(
            script,
            "rplay_fail() {{ echo \"{token} $1\" >&2; exit 1; }}"
        );
        if let Some(mask) = command.umask {
            let _ = writeln!(script, "umask {mask:04o}");
        }
        if let Some(folder) = &command.cwd {
            let _ = writeln!(script, "cd {} 2>/dev/null || rplay_fail 2", path(folder));
        }
        let words: Vec<_> = command.argv.iter().map(|word| quote(word)).collect();
        let _ = writeln!(script, "set -- {}", words.join(" "));
        script += FIND;
        script += match command.stdin {
            None => "exec \"$@\" </dev/null",
            // On a terminal nobody sees where the input ends.
            Some(_) => "exec \"$@\"",
        };
        if let Some(input) = &command.stdin {
            script = script.replace(
                "\nexec \"$@\"",
                &format!(
                    "\nif [ -t 0 ]; then head -c {} | \"$@\"; exit; fi\nexec \"$@\"",
                    input.len()
                ),
            );
        }
        Ok(script)
    }
}

/// Looks for the program as the system does.
const FIND: &str = "rplay_why=2
case $1 in
*/*) [ -e \"$1\" ] || rplay_fail 2; [ -f \"$1\" ] && [ -x \"$1\" ] || rplay_fail 13;;
*) rplay_ifs=$IFS; IFS=:
for rplay_dir in $PATH; do
rplay_file=${rplay_dir:-.}/$1
[ -f \"$rplay_file\" ] || continue
if [ -x \"$rplay_file\" ]; then rplay_why=; break; fi
rplay_why=13
done
IFS=$rplay_ifs
[ -z \"$rplay_why\" ] || rplay_fail \"$rplay_why\";;
esac
";

/// A path as a word that is no option.
fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.starts_with('-') {
        true => quote(&format!("./{text}")),
        false => quote(&text),
    }
}

impl Machine for Shell {
    fn stat(&mut self, at: &Path, follow: bool) -> io::Result<Option<Stat>> {
        let at = path(at);
        let script = format!(
            "if [ -L {at} ]; then echo link; fi; if [ -d {at} ]; then echo folder; elif [ -e {at} ]; then echo file; fi"
        );
        let told = String::from_utf8_lossy(&self.look(script)?).into_owned();
        let mut words: Vec<&str> = told.lines().collect();
        if follow {
            words.retain(|word| *word != "link");
        }
        let kind = match words.first() {
            Some(&"link") => FileKind::Link,
            Some(&"folder") => FileKind::Directory,
            Some(_) => FileKind::File,
            None => return Ok(None),
        };
        let none = (0, 0);
        Ok(Some(Stat {
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            dev: 0,
            ino: 0,
            nlink: 1,
            atime: none,
            mtime: none,
            ctime: none,
            blocks: 0,
            block_size: 0,
            rdev: 0,
        }))
    }

    fn read(&mut self, at: &Path) -> io::Result<Vec<u8>> {
        self.look(format!("exec cat {}", path(at)))
    }

    fn list(&mut self, at: &Path) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStringExt;
        let script = format!(
            "cd {} || exit; for f in * .*; do if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf '%s\\0' \"$f\"; fi; done; exit 0",
            path(at)
        );
        let told = self.look(script)?;
        let names = told.split(|byte| *byte == 0);
        let own = |name: &&[u8]| !matches!(*name, b"" | b"." | b"..");
        let mut names: Vec<_> = names.filter(own).map(<[u8]>::to_vec).collect();
        names.sort();
        Ok(names.into_iter().map(OsString::from_vec).collect())
    }

    fn process(&mut self) -> Process {
        if let Some(process) = &self.process {
            return process.clone();
        }
        let script =
            "id -u; id -g; pwd; printf '%s\\n' \"$HOME\"; exec cat /proc/self/environ".to_owned();
        let told = self.look(script).unwrap_or_default();
        let mut parts = told.splitn(5, |byte| *byte == b'\n');
        let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (uid, gid, cwd, home, env) = (text(), text(), text(), text(), text());
        let pairs = env.split('\0').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut env: BTreeMap<_, _> = pairs.collect();
        env.extend(self.env.iter().cloned());
        let home = env.get("HOME").cloned().unwrap_or(home);
        let process = Process {
            uid: uid.parse().unwrap_or(u32::MAX),
            gid: gid.parse().unwrap_or(u32::MAX),
            groups: vec![],
            home: home.into(),
            cwd: cwd.into(),
            umask: 0o022,
            env,
        };
        self.process.insert(process).clone()
    }

    fn user_by_name(&mut self, name: &str) -> Option<User> {
        let fits = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return None;
        }
        let name = quote(name);
        let script = format!(
            "getent passwd {name} 2>/dev/null || while IFS= read -r l; do case $l in {name}:*) printf '%s\\n' \"$l\";; esac; done </etc/passwd"
        );
        let told = String::from_utf8_lossy(&self.look(script).ok()?).into_owned();
        let fields: Vec<&str> = told.lines().next()?.split(':').collect();
        let [name, password, uid, gid, gecos, home, shell] = fields[..] else {
            return None;
        };
        Some(User {
            name: name.to_owned(),
            password: password.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            gecos: gecos.to_owned(),
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
    }

    fn query(&mut self, command: &Command) -> io::Result<Output> {
        let script = self.script(command)?;
        let output = self.ask(script, command.stdin.clone())?;
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.lines().last().unwrap_or_default();
        let reason = told.strip_prefix(&self.token).map(str::trim);
        match reason.and_then(|reason| reason.parse().ok()) {
            Some(code) if output.code == 1 => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(output),
        }
    }

    fn run(&mut self, command: &Command) -> io::Result<Ran> {
        self.query(command).map(Ran::Done)
    }

    /// The clock here: to ask for the host's would cost a turn each time.
    fn now(&mut self) -> f64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0.0, |now| now.as_secs_f64())
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn assume(&mut self, _: Change) {}
    fn assumed(&mut self, _: &str) -> Option<String> {
        None
    }
    fn read_link(&mut self, _: &Path) -> io::Result<PathBuf> {
        beyond()
    }
    fn access(&mut self, _: &Path, _: Access) -> bool {
        false
    }
    fn user_by_id(&mut self, _: u32) -> Option<User> {
        None
    }
    fn group_by_name(&mut self, _: &str) -> Option<Group> {
        None
    }
    fn group_by_id(&mut self, _: u32) -> Option<Group> {
        None
    }
    fn users(&mut self) -> Vec<User> {
        vec![]
    }
    fn groups(&mut self) -> Vec<Group> {
        vec![]
    }
    fn connect(&mut self, _: &str, _: u16, _: Duration) -> io::Result<Box<dyn Stream>> {
        beyond()
    }
    fn connect_unix(&mut self, _: &Path, _: Duration) -> io::Result<Box<dyn Stream>> {
        beyond()
    }
    fn write(&mut self, _: &Path, _: Content<'_>, _: &Attrs) -> io::Result<()> {
        beyond()
    }
    fn make_dir(&mut self, _: &Path, _: Option<u32>) -> io::Result<()> {
        beyond()
    }
    fn symlink(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        beyond()
    }
    fn hard_link(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        beyond()
    }
    fn remove(&mut self, _: &Path, _: bool) -> io::Result<()> {
        beyond()
    }
    fn rename(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        beyond()
    }
    fn chmod(&mut self, _: &Path, _: u32, _: bool) -> io::Result<()> {
        beyond()
    }
    fn chown(&mut self, _: &Path, _: Option<u32>, _: Option<u32>, _: bool) -> io::Result<()> {
        beyond()
    }
    fn set_times(
        &mut self,
        _: &Path,
        _: Option<(i64, u32)>,
        _: Option<(i64, u32)>,
    ) -> io::Result<()> {
        beyond()
    }
}

/// What no module asks for that runs here.
fn beyond<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}
