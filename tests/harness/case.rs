//! A case's folder, and one run of a program in it.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::argv::Watch;
use super::mask::mask;
use super::page::{Case, Part};
use super::scenario::AHEAD;
use super::snapshot::tree;

/// A fresh folder with the files of a case; deleted when dropped.
pub(crate) struct Folder {
    root: tempfile::TempDir,
    /// More environment, as the case has it.
    environment: Vec<(String, String)>,
    /// What each call reads.
    input: String,
    /// A folder of the machine of which the program gets a copy.
    private: Option<PathBuf>,
}

/// The words of one call.
pub(crate) type Words = Vec<String>;

/// Names of rplay's that are programs of their own for Ansible.
const PROGRAMS: &[(&str, &str)] = &[
    ("adhoc", "ansible"),
    ("config", "ansible-config"),
    ("console", "ansible-console"),
    ("doc", "ansible-doc"),
    ("inventory", "ansible-inventory"),
    ("vault", "ansible-vault"),
];

/// Blocks that are not files.
const KINDS: &[&str] = &[
    "stdout", "stderr", "added", "tree", "run", "secrets", "plan", "env", "stdin",
];

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code of each call; -1 after a signal.
    pub(crate) codes: Vec<i32>,
    /// Masked standard output.
    pub(crate) stdout: String,
    /// Masked standard error.
    pub(crate) stderr: String,
    /// Both streams as they were, to look for secrets.
    pub(crate) raw: String,
    /// A process that had a secret among its arguments.
    pub(crate) shown: Option<String>,
}

impl Folder {
    /// Writes the files of a case: each block whose info string has a second word, its path.
    pub(crate) fn new(case: &Case) -> Result<Self, String> {
        let root = tempfile::Builder::new()
            .prefix("rplay-case-")
            .tempdir()
            .map_err(|fault| fault.to_string())?;
        let variables = case.block("env").map_or("", |(_, text)| text);
        let input = case.block("stdin").map_or("", |(_, text)| text);
        let folder = Self {
            root,
            environment: variables
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            input: input.to_string(),
            private: case.flag("private").map(PathBuf::from),
        };
        for path in [folder.files(), folder.home()] {
            fs::create_dir_all(path).map_err(|fault| fault.to_string())?;
        }
        for part in &case.parts {
            let Part::Block { info, text } = part else {
                continue;
            };
            let mut words = info.split(' ');
            let kind = words.next().unwrap_or_default();
            if KINDS.contains(&kind) {
                continue;
            }
            let Some(name) = words.next() else { continue };
            let mode =
                words.find_map(|word| u32::from_str_radix(word.strip_prefix("mode=")?, 8).ok());
            folder
                .write(name, text, mode)
                .map_err(|fault| format!("{name}: {fault}"))?;
        }
        Ok(folder)
    }

    /// The folder that the program is started in.
    pub(crate) fn files(&self) -> PathBuf {
        self.root.path().join("case")
    }

    /// The home of the user in the case.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// All that the records of the calls' runs hold.
    pub(crate) fn records(&self) -> Result<Vec<u8>, String> {
        let folder = self.home().join(".local/state/rplay/runs");
        let files = walkdir::WalkDir::new(folder).into_iter().flatten();
        let files = files.filter(|entry| entry.file_type().is_file());
        let texts: Result<Vec<Vec<u8>>, _> = files.map(|entry| fs::read(entry.path())).collect();
        texts
            .map(|texts| texts.concat())
            .map_err(|fault| fault.to_string())
    }

    fn write(&self, name: &str, text: &str, mode: Option<u32>) -> std::io::Result<()> {
        let path = self.files().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode.unwrap_or(0o644)))
    }

    /// All files of the case, as text.
    pub(crate) fn everything(&self) -> Result<String, String> {
        tree(&self.files()).map(|text| mask(&text, &self.files(), &self.home()))
    }

    /// The tree below `out`, where cases write; nothing without such a folder.
    pub(crate) fn out(&self) -> Result<Option<String>, String> {
        let out = self.files().join("out");
        if !out.is_dir() {
            return Ok(None);
        }
        Ok(Some(mask(&tree(&out)?, &self.files(), &self.home())))
    }

    /// A text with the folder's own paths masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        mask(text, &self.files(), &self.home())
    }

    /// Makes the case's calls of the program.
    pub(crate) fn run(&self, program: &Path, calls: &[Words]) -> Result<Ran, String> {
        self.watched(program, calls, &[], &[])
    }

    /// Makes the calls with more environment, while nobody may have a secret in his arguments.
    pub(crate) fn watched(
        &self,
        program: &Path,
        calls: &[Words],
        environment: &[(&str, &Path)],
        secrets: &[&str],
    ) -> Result<Ran, String> {
        let watch = Watch::start(secrets);
        let mut ran = Ran {
            codes: vec![],
            stdout: String::new(),
            stderr: String::new(),
            raw: String::new(),
            shown: None,
        };
        for words in calls {
            self.call(program, words, environment, &mut ran)?;
        }
        ran.shown = watch.end();
        Ok(ran)
    }

    /// One call; what it says is added to what was said.
    fn call(
        &self,
        program: &Path,
        words: &Words,
        environment: &[(&str, &Path)],
        ran: &mut Ran,
    ) -> Result<(), String> {
        let (program, words) = resolve(program, words);
        // Ansible's modules run with the Python beside it; rplay has no use for the variable.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut input = tempfile::tempfile().map_err(|fault| fault.to_string())?;
        input
            .write_all(self.input.as_bytes())
            .and_then(|()| input.rewind())
            .map_err(|fault| fault.to_string())?;
        let stdin = match self.input.is_empty() {
            true => Stdio::null(),
            false => Stdio::from(input),
        };
        let (files, home) = (self.files(), self.home());
        let mut command = match &self.private {
            None => Command::new(&program),
            Some(folder) => {
                let mut command = Command::new("unshare");
                let copy = self.root.path().join("private");
                command.args(["-m", "sh", "-c", PRIVATE]).arg(folder);
                command.arg(copy).arg(&program);
                command
            }
        };
        let output = command
            .args(words)
            .current_dir(&files)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env(
                "ANSIBLE_PYTHON_INTERPRETER",
                program.with_file_name("python3"),
            )
            // Cases come out the same whether or not tasks travel together.
            .envs(std::env::var_os(AHEAD).map(|value| (AHEAD, value)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(stdin)
            .output()
            .map_err(|fault| format!("{}: {fault}", program.display()))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ran.codes.push(output.status.code().unwrap_or(-1));
        ran.stdout += &mask(&stdout, &files, &home);
        ran.stderr += &mask(&stderr, &files, &home);
        ran.raw += &stdout;
        ran.raw += &stderr;
        Ok(())
    }
}

/// Puts a copy of the folder `$0` at `$1` in its place, and starts the rest.
const PRIVATE: &str =
    r#"mkdir -p "$1" && cp -a "$0/." "$1" && mount --bind "$1" "$0" && shift && exec "$@""#;

/// The program and its arguments: what is a verb of rplay's is a program of Ansible's.
fn resolve<'a>(program: &Path, words: &'a [String]) -> (PathBuf, &'a [String]) {
    let ansible = program
        .file_name()
        .is_some_and(|name| name == "ansible-playbook");
    let verb = words.first().and_then(|word| {
        let found = PROGRAMS.iter().find(|(verb, _)| verb == word);
        found.map(|(_, name)| *name)
    });
    match verb.filter(|_| ansible) {
        Some(name) => (program.with_file_name(name), &words[1..]),
        None => (program.to_path_buf(), words),
    }
}

impl Ran {
    /// What stands behind `stdout` in a page: exit codes that are not 0, and kinds of messages.
    pub(crate) fn info(&self, messages: bool) -> String {
        let mut words = vec![];
        if self.codes.iter().any(|code| *code != 0) {
            let codes: Vec<_> = self.codes.iter().map(ToString::to_string).collect();
            words.push(format!("exit={}", codes.join(",")));
        }
        let kinds = [
            ("[DEPRECATION WARNING]", "deprecation"),
            ("[ERROR]", "error"),
            // Before Ansible has its settings, errors look like this.
            ("ERROR: ", "error"),
            ("[WARNING]", "warning"),
        ];
        // What Ansible's console says of its own installation.
        let own = "[WARNING]: Collection at '";
        let said = |mark| {
            let mut lines = self.stderr.lines();
            lines.any(|line| line.starts_with(mark) && !line.starts_with(own))
        };
        let said = kinds.iter().filter(|(mark, _)| said(mark));
        let said: Vec<_> = said.map(|(_, kind)| *kind).collect();
        if messages && !said.is_empty() {
            words.push(format!("stderr={}", said.join(",")));
        }
        words.join(" ")
    }
}

/// Splits a line as a shell does, with single and double quotes.
pub(crate) fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.trim().chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
