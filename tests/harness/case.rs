//! A case's folder, and one run of a program in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::argv::Watch;
use super::mask::mask;
use super::page::{Case, Part};
use super::snapshot::tree;

/// A fresh folder with the files of a case; deleted when dropped.
pub(crate) struct Folder {
    root: tempfile::TempDir,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; -1 after a signal.
    pub(crate) code: i32,
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
        let folder = Self { root };
        for path in [folder.files(), folder.home()] {
            fs::create_dir_all(path).map_err(|fault| fault.to_string())?;
        }
        for part in &case.parts {
            let Part::Block { info, text } = part else {
                continue;
            };
            let mut words = info.split(' ');
            let kind = words.next().unwrap_or_default();
            if ["stdout", "stderr", "tree", "run", "secrets", "plan"].contains(&kind) {
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

    /// Runs the program with the case's arguments and further ones.
    pub(crate) fn run(&self, program: &Path, arguments: &[String]) -> Result<Ran, String> {
        self.watched(program, arguments, &[], &[])
    }

    /// Runs the program with more environment, while nobody may have a secret in his arguments.
    pub(crate) fn watched(
        &self,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &Path)],
        secrets: &[&str],
    ) -> Result<Ran, String> {
        // Ansible's modules run with the Python beside it; rplay has no use for the variable.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let watch = Watch::start(secrets);
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.files())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("XDG_CACHE_HOME", self.home().join("cache"))
            .env("XDG_CONFIG_HOME", self.home().join("config"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env(
                "ANSIBLE_PYTHON_INTERPRETER",
                program.with_file_name("python3"),
            )
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .map_err(|fault| format!("{}: {fault}", program.display()))?;
        let (files, home) = (self.files(), self.home());
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: mask(&stdout, &files, &home),
            stderr: mask(&stderr, &files, &home),
            raw: stdout + &stderr,
            shown: watch.end(),
        })
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
