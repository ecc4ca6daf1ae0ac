//! `pip`: Python packages, of the system or of a virtual environment, through `pip`.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{cannot_run, temporary_folder};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::split_words;

use super::programs;

/// Installs, updates and removes Python packages.
#[derive(ModuleArgs)]
struct Args {
    /// The packages: names with or without versions, files, addresses of repositories.
    name: Option<Vec<String>>,
    /// The version of the only package: a number, or `>=1.5`.
    version: Option<String>,
    /// A file that lists the packages.
    requirements: Option<String>,
    /// A virtual environment, which is made when it is not there.
    virtualenv: Option<PathBuf>,
    /// The environment sees the packages of the system, too.
    #[arg(default = "false")]
    virtualenv_site_packages: bool,
    /// What makes the environment, as `python3 -m venv`.
    #[arg(default = "virtualenv")]
    virtualenv_command: String,
    /// The interpreter that `virtualenv` puts into it.
    virtualenv_python: Option<String>,
    /// The wanted state.
    #[arg(default = "present")]
    state: State,
    /// Further words for `pip`.
    extra_args: Option<String>,
    /// Packages stay where their sources are.
    #[arg(default = "false")]
    editable: bool,
    /// The folder to work in.
    chdir: Option<PathBuf>,
    /// The `pip` that is used: a path, or a name as `pip3.11`.
    executable: Option<PathBuf>,
    /// The umask for what is installed, as `"0022"`.
    umask: Option<String>,
    /// Change packages that the system's own manager looks after.
    #[arg(default = "false")]
    break_system_packages: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Absent,
    Latest,
    #[arg(name = "forcereinstall")]
    ForceReinstall,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was run.
    cmd: Vec<String>,
    /// The packages.
    name: Vec<String>,
    /// The file that lists them.
    requirements: String,
    /// The version that was asked for.
    version: String,
    /// The environment.
    virtualenv: String,
}

module! {
    "ansible.builtin.pip", args: Args, returns: Values, run: run,
    rules: Rules {
        mutually_exclusive: &[&["name", "requirements"], &["executable", "virtualenv"]],
        required_one_of: &[&["name", "requirements"]],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let umask = match &args.umask {
        Some(text) => Some(read_umask(text)?),
        None => None,
    };
    let extra = match &args.extra_args {
        Some(text) => split_words(text).map_err(Failure::unexpected)?,
        None => Vec::new(),
    };
    if args.version.is_some() && args.state == State::Latest {
        return Err(Failure::new("version is incompatible with state=latest"));
    }
    let given = args.name.clone().unwrap_or_default();
    let names = wanted(&args, &given)?;
    let place = place(machine, &args);
    let env = args.virtualenv.as_ref().map(|env| place.join(env));
    let mut made = None;
    if let Some(env) = &env
        && !is_there(machine, &env.join("bin/activate"))
    {
        let call = environment(machine, &args, env)?;
        made = Some(act(
            machine,
            &Command {
                umask,
                ..call.at(&place)
            },
        )?);
    }
    if names.is_empty() && args.requirements.is_none() {
        return Ok(Outcome::new(made.is_some()));
    }
    let mut work = Work {
        key: env
            .as_ref()
            .map_or_else(|| "pip".to_owned(), |env| format!("pip {}", env.display())),
        // An environment that check mode only foretells has no pip, nor anything else in it.
        pip: match &made {
            Some(None) => Vec::new(),
            _ => pip(machine, &args, env.as_deref())?,
        },
        args: &args,
        names,
        extra,
        place,
        umask,
    };
    let (changed, output) = work.go(machine)?;
    let Some((command, output)) = output else {
        return Ok(Outcome::new(changed || made.is_some()));
    };
    let before = made.clone().flatten().unwrap_or_default();
    let virtualenv = args
        .virtualenv
        .as_ref()
        .map(|env| env.display().to_string());
    Ok(Outcome::new(changed || made.is_some())
        .with("cmd", command)
        .with(
            "name",
            args.name
                .as_ref()
                .map_or(Data::Null, |names| names.clone().into()),
        )
        .with("version", args.version.clone())
        .with("state", args.state.word())
        .with("requirements", args.requirements.clone())
        .with("virtualenv", virtualenv)
        .with("stdout", before.stdout_text() + &output.stdout_text())
        .with("stderr", before.stderr_text() + &output.stderr_text()))
}

fn read_umask(text: &str) -> Result<u32, Failure> {
    u32::from_str_radix(text, 8).map_err(|_| {
        let shown = Data::from(text).repr();
        Failure::new("umask must be an octal integer").with(
            "details",
            format!("invalid literal for int() with base 8: {shown}"),
        )
    })
}

fn is_there(machine: &mut dyn Machine, path: &Path) -> bool {
    matches!(machine.stat(path, true), Ok(Some(_)))
}

/// The folder that the programs run in; where a name might be one of a file, one that has none.
fn place(machine: &mut dyn Machine, args: &Args) -> PathBuf {
    let folder = match &args.chdir {
        Some(folder) => folder.clone(),
        None => temporary_folder(machine),
    };
    // A folder that is not there is not gone into, as with other modules.
    match is_there(machine, &folder) {
        true => folder,
        false => PathBuf::from("/"),
    }
}

/// A package in the words of pip.
struct Package {
    /// The name as pip compares it; none for a file or an address.
    name: Option<String>,
    /// What pip is told.
    text: String,
    /// The versions that fit; empty for any.
    versions: String,
}

impl Package {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let (required, marker) = match text.split_once(';') {
            Some((required, marker)) => (required.trim(), Some(marker.trim())),
            None => (text, None),
        };
        let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let end = required.find(|c| !letter(c)).unwrap_or(required.len());
        let (name, rest) = required.split_at(end);
        let (extras, rest) = match rest.trim_start().strip_prefix('[') {
            Some(rest) => rest.split_once(']').unwrap_or((rest, "")),
            None => ("", rest),
        };
        let mut versions: Vec<String> = rest
            .split(',')
            .map(|part| part.split_whitespace().collect())
            .filter(|part: &String| !part.is_empty())
            .collect();
        let plain = versions
            .iter()
            .all(|part| part.starts_with(['<', '>', '=', '!', '~']));
        if name.is_empty() || !plain || name.starts_with('.') {
            return Self {
                name: None,
                text: text.to_owned(),
                versions: String::new(),
            };
        }
        crate::order::sort(&mut versions);
        let versions = versions.join(",");
        let mut text = name.to_owned();
        if !extras.is_empty() {
            let extras: String = extras.split_whitespace().collect();
            text = format!("{text}[{extras}]");
        }
        text += &versions;
        if let Some(marker) = marker {
            text = format!("{text}; {}", marker.replace('\'', "\""));
        }
        Self {
            name: Some(canonical(name)),
            text,
            versions,
        }
    }
}

/// A name as pip compares it.
fn canonical(name: &str) -> String {
    let mut text = String::new();
    for letter in name.to_ascii_lowercase().chars() {
        match letter {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            other => text.push(other),
        }
    }
    text
}

/// The packages, put together again where a comma is one of a version or of extras.
fn wanted(args: &Args, given: &[String]) -> Result<Vec<Package>, Failure> {
    let mut texts: Vec<String> = Vec::new();
    for part in given {
        match texts.last_mut() {
            Some(last)
                if part.trim_start().starts_with(['<', '>', '=', '!', '~'])
                    || last.rfind('[') > last.rfind(']') =>
            {
                *last = format!("{last},{part}");
            }
            _ => texts.push(part.clone()),
        }
    }
    let mut packages: Vec<Package> = texts.iter().map(|text| Package::parse(text)).collect();
    if let Some(version) = &args.version {
        let [package] = packages.as_mut_slice() else {
            if packages.is_empty() {
                return Ok(packages);
            }
            return Err(Failure::new(
                "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.",
            ));
        };
        if !package.versions.is_empty() {
            return Err(Failure::new(
                "The 'version' argument conflicts with any version specifier provided along with a package name. Please keep the version specifier, but remove the 'version' argument.",
            ));
        }
        if package.name.is_some() {
            let operator = if version.starts_with(['<', '>', '=', '!', '~']) {
                ""
            } else {
                "=="
            };
            *package = Package::parse(&format!("{}{operator}{version}", package.text));
        }
    }
    Ok(packages)
}

/// The call that makes the environment.
fn environment(machine: &mut dyn Machine, args: &Args, env: &Path) -> Result<Place, Failure> {
    let mut words = split_words(&args.virtualenv_command).map_err(Failure::unexpected)?;
    let first = words.first().cloned().unwrap_or_default();
    if !first.contains('/') {
        let found = programs::required(machine, &first)?;
        words.splice(..1, [found]);
    }
    let is_venv = words.iter().any(|word| word == "venv") || first.ends_with("pyvenv");
    if !is_venv {
        // Its options tell which of them it has; that it runs is known from then on.
        programs::query(
            machine,
            &Command::new([words[0].as_str(), "--help"]).c_locale(),
        )
        .map_err(|_| {
            let argv = [words[0].clone(), "--help".to_owned()];
            cannot_run(&argv, &std::io::Error::from_raw_os_error(2))
        })?;
    }
    if args.virtualenv_site_packages {
        words.push("--system-site-packages".to_owned());
    }
    match &args.virtualenv_python {
        Some(_) if is_venv => {
            return Err(Failure::new(
                "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command",
            ));
        }
        Some(python) => words.push(format!("-p{python}")),
        None => {}
    }
    words.push(env.display().to_string());
    Ok(Place(words))
}

/// A call that has no folder yet.
struct Place(Vec<String>);

impl Place {
    fn at(self, folder: &Path) -> Command {
        let cwd = Some(folder.to_owned());
        Command {
            cwd,
            ..Command::new(self.0).c_locale()
        }
    }
}

/// Runs what must get through; `None`: in check mode it would have run.
fn act(machine: &mut dyn Machine, command: &Command) -> Result<Option<Output>, Failure> {
    match programs::change(machine, command)? {
        Some(output) if output.code != 0 => Err(refused(command, &output)),
        done => Ok(done),
    }
}

fn refused(command: &Command, output: &Output) -> Failure {
    let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
    let mut msg = String::new();
    if !stdout.is_empty() {
        msg = format!("stdout: {stdout}");
    }
    if !stderr.is_empty() {
        msg = format!("{msg}\n:stderr: {stderr}");
    }
    Failure::new(msg).with("cmd", command.argv.clone())
}

/// The words that call pip.
fn pip(machine: &mut dyn Machine, args: &Args, env: Option<&Path>) -> Result<Vec<String>, Failure> {
    const NAMES: [&str; 2] = ["pip3", "pip"];
    if let Some(env) = env {
        let found = NAMES.map(|name| env.join("bin").join(name));
        let found = found.into_iter().find(|path| is_there(machine, path));
        return match found {
            Some(path) => Ok(vec![path.display().to_string()]),
            None => Err(Failure::new(format!(
                "Unable to find pip in the virtualenv, {}, under any of these names: {}. Make sure pip is present in the virtualenv.",
                env.display(),
                NAMES.join(", ")
            ))),
        };
    }
    if let Some(program) = &args.executable {
        if program.is_absolute() {
            return Ok(vec![program.display().to_string()]);
        }
        let name = program.display().to_string();
        return programs::required(machine, &name)
            .map(|path| vec![path])
            .map_err(|_| {
                Failure::new(format!(
                    "Unable to find any of {name} to use.  pip needs to be installed."
                ))
            });
    }
    if let Ok(python) = programs::required(machine, "python3") {
        let words = [python.as_str(), "-m", "pip"];
        let asked = programs::ask(machine, words.into_iter().chain(["--version"]));
        if asked.is_ok_and(|output| output.code == 0) {
            return Ok(words.map(str::to_owned).to_vec());
        }
    }
    let found = NAMES
        .iter()
        .find_map(|name| programs::required(machine, name).ok());
    found.map(|path| vec![path]).ok_or_else(|| {
        Failure::new(format!(
            "Unable to find any of {} to use.  pip needs to be installed.",
            NAMES.join(", ")
        ))
    })
}

/// One call of pip.
struct Work<'a> {
    args: &'a Args,
    /// The words that call pip, none for an environment that is not there yet.
    pip: Vec<String>,
    names: Vec<Package>,
    extra: Vec<String>,
    place: PathBuf,
    umask: Option<u32>,
    /// Where check mode keeps what it foretells.
    key: String,
}

/// What was run, and what it said.
type Ran = Option<(Data, Output)>;

impl Work<'_> {
    fn command(&self, words: &[&str], with_names: bool) -> Command {
        let mut argv = self.pip.clone();
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        if with_names {
            argv.extend(self.extra.iter().cloned());
            for package in &self.names {
                argv.extend(self.args.editable.then(|| "-e".to_owned()));
                argv.push(package.text.clone());
            }
            if let Some(file) = &self.args.requirements {
                argv.extend(["-r".to_owned(), file.clone()]);
            }
        }
        let mut command = Place(argv).at(&self.place);
        command.umask = self.umask;
        if self.args.break_system_packages {
            let name = "PIP_BREAK_SYSTEM_PACKAGES".to_owned();
            command.env.push((name, Some("1".to_owned())));
        }
        command
    }

    fn words(&self) -> &'static [&'static str] {
        match self.args.state {
            State::Absent => &["uninstall", "-y"],
            State::Present => &["install"],
            State::Latest => &["install", "-U"],
            State::ForceReinstall => &["install", "-U", "--force-reinstall"],
        }
    }

    /// What is installed, as `name==version` lines.
    fn freeze(&self, machine: &mut dyn Machine) -> Result<(Command, Output), Failure> {
        let command = self.command(&["list", "--format=freeze"], false);
        let output = programs::query(machine, &command)?;
        match output.code {
            0 => Ok((command, output)),
            _ => Err(refused(&command, &output)),
        }
    }

    fn go(&mut self, machine: &mut dyn Machine) -> Result<(bool, Ran), Failure> {
        if self.pip.is_empty() {
            let changed = self.foretell(machine);
            return Ok((changed, None));
        }
        // Sources are installed anew in any case; what differs afterwards is a change.
        let compared = self.args.state != State::Absent
            && (self.args.editable || self.names.iter().any(|one| one.text.contains("+")));
        let before = match compared {
            true => Some(self.freeze(machine)?.1.stdout),
            false => None,
        };
        let command = self.command(self.words(), true);
        let output = match programs::change(machine, &command)? {
            Some(output) => output,
            None => return self.predict(machine),
        };
        let text = output.stdout_text();
        let missing = self.args.state == State::Absent && text.contains("not installed");
        if output.code != 0 && !missing {
            return Err(refused(&command, &output));
        }
        let changed = match (self.args.state, before) {
            (State::Absent, _) => text.contains("Successfully uninstalled"),
            (_, Some(before)) => before != self.freeze(machine)?.1.stdout,
            _ => text.contains("Successfully installed"),
        };
        Ok((changed, Some((command.argv.into(), output))))
    }

    /// What check mode already foretold of a package: nothing, gone, or the versions it was asked for.
    fn known(&self, machine: &mut dyn Machine, package: &Package) -> Option<String> {
        let name = package.name.as_ref()?;
        machine.assumed(&format!("{} {name}", self.key))
    }

    fn assume(&self, machine: &mut dyn Machine) {
        for package in &self.names {
            if let Some(name) = &package.name {
                let value = match self.args.state {
                    State::Absent => String::new(),
                    _ => format!("*{}", package.versions),
                };
                machine.assume(Change::Fact(format!("{} {name}", self.key), Some(value)));
            }
        }
    }

    /// Whether something would change, as far as earlier tasks of a check tell.
    fn foretell(&self, machine: &mut dyn Machine) -> bool {
        let absent = self.args.state == State::Absent;
        let fits = |package: &Package, known: Option<String>| match known.as_deref() {
            None | Some("") => absent,
            Some(versions) => {
                !absent && (package.versions.is_empty() || versions[1..] == package.versions)
            }
        };
        let forced = self.args.state == State::ForceReinstall || self.args.requirements.is_some();
        let done = self.names.iter().all(|package| {
            let known = self.known(machine, package);
            fits(package, known)
        });
        self.assume(machine);
        forced && !absent || !done
    }

    /// Whether something would change: pip itself makes the plan.
    fn predict(&mut self, machine: &mut dyn Machine) -> Result<(bool, Ran), Failure> {
        let names = std::mem::take(&mut self.names);
        let (known, open): (Vec<Package>, Vec<Package>) = names
            .into_iter()
            .partition(|package| self.known(machine, package).is_some());
        self.names = known;
        let foretold = !self.names.is_empty() && self.foretell(machine);
        self.names = open;
        if self.names.is_empty() && self.args.requirements.is_none() {
            return Ok((foretold, None));
        }
        let (changed, ran) = match self.args.state {
            State::Absent => self.predict_absent(machine)?,
            State::ForceReinstall => (true, None),
            _ if self.args.editable => (true, None),
            _ => self.predict_present(machine)?,
        };
        self.assume(machine);
        Ok((changed || foretold, ran))
    }

    fn predict_absent(&self, machine: &mut dyn Machine) -> Result<(bool, Ran), Failure> {
        let (command, output) = self.freeze(machine)?;
        let text = output.stdout_text();
        let installed: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_once("==").map(|(name, _)| canonical(name)))
            .collect();
        let changed = self.args.requirements.is_some()
            || self.names.iter().any(|package| {
                package
                    .name
                    .as_ref()
                    .is_none_or(|name| installed.contains(name))
            });
        Ok((changed, Some((command.argv.join(" ").into(), output))))
    }

    fn predict_present(&self, machine: &mut dyn Machine) -> Result<(bool, Ran), Failure> {
        let mut words = self.words().to_vec();
        words.push("--dry-run");
        let mut command = self.command(&words, true);
        if let Some(file) = &self.args.requirements
            && let Ok(content) = machine.read(&self.place.join(file))
            && !content
                .split(|byte| *byte == b'\n')
                .any(|line| line.starts_with(b"-"))
        {
            // The file may be one that an earlier task of the check would write.
            if let Some(last) = command.argv.last_mut() {
                "/dev/stdin".clone_into(last);
            }
            command.stdin = Some(content);
        }
        let output = programs::query(machine, &command)?;
        match output.code {
            0 => Ok((output.stdout_text().contains("Would install"), None)),
            // An old pip makes no plans.
            _ if output.stderr_text().contains("no such option: --dry-run") => Ok((true, None)),
            _ => Err(refused(&self.command(self.words(), true), &output)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        let parsed = |text: &str| {
            let package = Package::parse(text);
            (package.name.unwrap_or_default(), package.text)
        };
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(parsed(" A_b >= 1, <3 "), pair("a-b", "A_b<3,>=1"));
        assert_eq!(
            parsed("a[x, y]; python_version > '3'"),
            pair("a", "a[x,y]; python_version > \"3\"")
        );
        assert_eq!(parsed("./a-1.whl"), pair("", "./a-1.whl"));
        assert_eq!(parsed("git+https://x/y"), pair("", "git+https://x/y"));
        assert_eq!(parsed("a @ file:/x"), pair("", "a @ file:/x"));
    }
}
