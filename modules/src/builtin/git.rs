//! `git`: a repository is cloned, up to date, and at a version.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{FileArgs, make_dirs, os_error};
use rplay_modules::machine::{Change, Command, Content, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::text::quote;

use super::programs;

/// Clones repositories and checks out versions, with the `git` of the target.
#[derive(ModuleArgs)]
struct Args {
    /// The address or path of the repository.
    #[arg(alias = "name")]
    repo: String,
    /// The folder for the work tree, or for the repository itself with `bare`.
    dest: Option<PathBuf>,
    /// A branch, a tag, a commit, or `HEAD`.
    #[arg(default = "HEAD")]
    version: String,
    /// The name of the remote.
    #[arg(default = "origin")]
    remote: String,
    /// A further refspec to fetch.
    refspec: Option<String>,
    /// How many commits of history are fetched; all unless given.
    depth: Option<i64>,
    /// Clone when the repository is not there.
    #[arg(default = "true")]
    clone: bool,
    /// Fetch when the repository is there.
    #[arg(default = "true")]
    update: bool,
    /// Throw local changes away.
    #[arg(default = "false")]
    force: bool,
    /// Keep a repository without a work tree.
    #[arg(default = "false")]
    bare: bool,
    /// Fetch the history of the version alone.
    #[arg(default = "false")]
    single_branch: bool,
    /// Fetch submodules as well.
    #[arg(default = "true")]
    recursive: bool,
    /// Submodules follow their branches.
    #[arg(default = "false")]
    track_submodules: bool,
    /// A repository on the target whose objects are used.
    reference: Option<String>,
    /// The folder for the repository, apart from its work tree.
    separate_git_dir: Option<PathBuf>,
    /// A private key for SSH, on the target.
    key_file: Option<PathBuf>,
    /// Options of `ssh`.
    ssh_opts: Option<String>,
    /// Trust every key of a host.
    #[arg(default = "false")]
    accept_hostkey: bool,
    /// Trust the key of a host that is not known yet.
    #[arg(default = "false")]
    accept_newhostkey: bool,
    /// The signature of the version has to be good.
    #[arg(default = "false")]
    verify_commit: bool,
    /// Fingerprints of keys of which one has to have signed the version.
    #[arg(alias = "gpg_whitelist", default = "[]")]
    gpg_allowlist: Vec<String>,
    /// An archive of the version, whose name tells the format.
    archive: Option<PathBuf>,
    /// What stands before each name in the archive.
    archive_prefix: Option<String>,
    /// The `git` that is run.
    executable: Option<PathBuf>,
    /// The file-mode creation mask.
    umask: Option<Data>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The commit that was checked out before.
    before: String,
    /// The commit that is checked out now.
    after: String,
    /// Whether the address of the remote was another one.
    remote_url_changed: bool,
    /// A word about local changes that were thrown away.
    msg: String,
}

module! {
    "ansible.builtin.git", args: Args, returns: Values, run: run,
    rules: Rules {
        mutually_exclusive: &[&["separate_git_dir", "bare"], &["accept_hostkey", "accept_newhostkey"]],
        required_by: &[("archive_prefix", &["archive"])],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if args.dest.is_none() && args.clone {
        let msg = "the destination directory must be specified unless clone=no";
        return Err(Failure::new(msg));
    }
    let mut git = Git::new(machine, &args)?;
    let there = args.dest.is_some() && git.exists();
    let mut results = Map::new();
    let mut changed = false;
    let before = match there {
        true => Some(git.head()?),
        false => None,
    };
    results.insert("before".to_owned(), before.clone().into());
    let after = if there {
        if args.update {
            git.refresh(&mut results, &mut changed)?
        } else {
            before.clone().unwrap_or_default()
        }
    } else if args.clone {
        git.clone()?
    } else {
        git.remote_commit()?
    };
    if let Some(archive) = &args.archive {
        changed |= git.archive(archive, &after)?;
    }
    let moved = before.as_deref() != Some(after.as_str());
    let mut outcome = Outcome::new(changed || moved);
    outcome.warnings = std::mem::take(&mut git.warnings);
    if moved {
        outcome = outcome.with_diff(Diff {
            prepared: Some(git.difference(before.as_deref(), &after)),
            ..Diff::default()
        });
    }
    results.insert("after".to_owned(), after.into());
    outcome.results.extend(results);
    Ok(outcome)
}

/// What a program says that would refuse.
fn refusal(code: i32, said: &str) -> Output {
    let stderr = format!("{said}\n").into_bytes();
    Output {
        code,
        stderr,
        ..Output::default()
    }
}

/// An address whose path is written without detours.
fn plain(address: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in Path::new(address.strip_prefix("file://").unwrap_or(address)).components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

struct Git<'a> {
    machine: &'a mut dyn Machine,
    args: &'a Args,
    program: String,
    repo: String,
    dest: PathBuf,
    umask: Option<u32>,
    warnings: Vec<String>,
}

impl<'a> Git<'a> {
    fn new(machine: &'a mut dyn Machine, args: &'a Args) -> Result<Self, Failure> {
        let program = match &args.executable {
            Some(program) => program.to_string_lossy().into_owned(),
            None => programs::required(machine, "git")?,
        };
        let repo = match args.repo.starts_with('/') {
            true => format!("file://{}", args.repo),
            false => args.repo.clone(),
        };
        let umask = args.umask.as_ref().map(|umask| match umask {
            Data::Str(text) => u32::from_str_radix(text, 8).map_err(|_| {
                let repr = umask.repr();
                Failure::new("umask must be an octal integer").with(
                    "details",
                    format!("invalid literal for int() with base 8: {repr}"),
                )
            }),
            _ => Err(Failure::new(
                "umask must be defined as a quoted octal integer",
            )),
        });
        Ok(Self {
            program,
            repo,
            dest: args.dest.clone().unwrap_or_default(),
            umask: umask.transpose()?,
            warnings: Vec::new(),
            machine,
            args,
        })
    }

    /// What check mode keeps of the commit that is checked out.
    fn key(&self) -> String {
        format!("git:{}", self.dest.display())
    }

    fn exists(&mut self) -> bool {
        if self.machine.assumed(&self.key()).is_some() {
            return true;
        }
        let config = match self.args.bare {
            true => self.dest.join("config"),
            // A file stands for a repository that is elsewhere.
            false => self.dest.join(".git"),
        };
        matches!(self.machine.stat(&config, true), Ok(Some(_)))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new([self.program.as_str()]).c_locale();
        command
            .argv
            .extend(words.iter().map(|word| (*word).to_owned()));
        command.cwd = self.dest.is_absolute().then(|| self.dest.clone());
        command.umask = self.umask;
        let mut env = |name: &str, value: String| command.env.push((name.to_owned(), Some(value)));
        env("GIT_TERMINAL_PROMPT", "0".to_owned());
        let mut ssh = vec!["ssh".to_owned(), "-o BatchMode=yes".to_owned()];
        ssh.extend(self.args.ssh_opts.clone());
        if let Some(file) = &self.args.key_file {
            ssh.push(format!("-i {}", quote(&file.to_string_lossy())));
            ssh.push("-o IdentitiesOnly=yes".to_owned());
        }
        if self.args.accept_hostkey {
            ssh.push("-o StrictHostKeyChecking=no".to_owned());
        }
        if self.args.accept_newhostkey {
            ssh.push("-o StrictHostKeyChecking=accept-new".to_owned());
        }
        env("GIT_SSH_COMMAND", ssh.join(" "));
        command
    }

    fn query(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let mut command = self.command(words);
        // The folder may be there in prediction alone.
        if words.first().is_none_or(|word| *word == "ls-remote") {
            command.cwd = None;
        }
        programs::query(self.machine, &command)
    }

    /// Runs it; `None`: check mode.
    fn change(&mut self, words: &[&str]) -> Result<Option<Output>, Failure> {
        let command = self.command(words);
        programs::change(self.machine, &command)
    }

    /// The commit that is checked out.
    fn head(&mut self) -> Result<String, Failure> {
        if let Some(commit) = self.machine.assumed(&self.key()) {
            return Ok(commit);
        }
        let output = self.query(&["rev-parse", "HEAD"])?;
        Ok(output.stdout_text().trim().to_owned())
    }

    fn failed(&self, msg: impl Into<String>, words: &[&str], output: &Output) -> Failure {
        let mut line = vec![self.program.as_str()];
        line.extend(words);
        let line: Vec<String> = line.into_iter().map(quote).collect();
        programs::failed(msg, output).with("cmd", line.join(" "))
    }

    /// The commit of a branch, a tag, or `HEAD` at the remote; with whether it is a branch.
    fn listed(&mut self) -> Result<Option<(String, bool)>, Failure> {
        let version = self.args.version.clone();
        let (repo, branch) = (self.repo.clone(), format!("refs/heads/{version}"));
        let words = ["ls-remote", &repo, "-h", &branch];
        let mut output = self.query(&words)?;
        if output.code != 0 {
            let error = output.stderr_text();
            return Err(self.failed(error.trim_end(), &words, &output));
        }
        let mut branch = branch;
        if version == "HEAD"
            && self.exists()
            && let Some(current) = self.head_branch()
        {
            branch = format!("refs/heads/{current}");
            output = self.query(&["ls-remote", &repo, "-h", &branch])?;
        }
        let find = |output: &Output, name: &str| {
            let text = output.stdout_text();
            let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
            lines
                .find(|(_, found)| *found == name)
                .map(|(commit, _)| commit.to_owned())
        };
        if let Some(commit) = find(&output, &branch) {
            return Ok(Some((commit, true)));
        }
        let (tag, peeled) = (
            format!("refs/tags/{version}"),
            format!("refs/tags/{version}^{{}}"),
        );
        let output = match version.as_str() {
            "HEAD" => self.query(&["ls-remote", &repo, "HEAD"])?,
            _ => self.query(&["ls-remote", &repo, &tag, &peeled])?,
        };
        let commit = find(&output, &peeled).or_else(|| find(&output, &tag));
        let commit = commit.or_else(|| find(&output, "HEAD").filter(|_| version == "HEAD"));
        Ok(commit.map(|commit| (commit, false)))
    }

    /// The commit that will be checked out; one that the remote does not list is taken as it is.
    fn remote_commit(&mut self) -> Result<String, Failure> {
        let version = self.args.version.clone();
        match self.listed()? {
            Some((commit, _)) => Ok(commit),
            None if version == "HEAD" => Err(Failure::new(format!(
                "Could not determine remote revision for {version}"
            ))),
            None => Ok(version),
        }
    }

    fn clone(&mut self) -> Result<String, Failure> {
        let args = self.args;
        let listed = self.listed()?;
        let (repo, dest) = (self.repo.clone(), self.dest.to_string_lossy().into_owned());
        let depth = args
            .depth
            .filter(|depth| *depth > 0)
            .map(|depth| depth.to_string());
        let mut words = vec!["clone"];
        match args.bare {
            true => words.push("--bare"),
            false => words.extend(["--origin", &args.remote]),
        }
        let named = listed.is_some() && args.version != "HEAD";
        if let Some(depth) = &depth {
            if args.version == "HEAD" || args.refspec.is_some() {
                words.extend(["--depth", depth]);
            } else if named {
                words.extend(["--depth", depth, "--branch", &args.version]);
            } else {
                self.warnings.push("Ignoring depth argument. Shallow clones are only available for HEAD, branches, tags or in combination with refspec.".to_owned());
            }
        }
        if let Some(reference) = &args.reference {
            words.extend(["--reference", reference]);
        }
        if args.single_branch {
            words.push("--single-branch");
            if named && depth.is_none() {
                words.extend(["--branch", &args.version]);
            }
        }
        let apart = args
            .separate_git_dir
            .as_ref()
            .map(|folder| format!("--separate-git-dir={}", folder.display()));
        words.extend(apart.as_deref());
        words.extend([repo.as_str(), dest.as_str()]);
        if let Some(parent) = self.dest.parent() {
            make_dirs(self.machine, parent)?;
        }
        let command = Command {
            cwd: None,
            ..self.command(&words)
        };
        match programs::change(self.machine, &command)? {
            None => {
                if self
                    .machine
                    .list(&self.dest)
                    .is_ok_and(|names| !names.is_empty())
                {
                    let said = "already exists and is not an empty directory.";
                    let said = format!("fatal: destination path '{dest}' {said}");
                    return Err(self.failed(&said, &words, &refusal(128, &said)));
                }
                return self.predict();
            }
            Some(output) if output.code != 0 => {
                let error = output.stderr_text();
                return Err(self.failed(error.trim_end(), &words, &output));
            }
            Some(_) => {}
        }
        if let Some(refspec) = &args.refspec {
            self.fetch_with(&[refspec])?;
        }
        self.verify()?;
        if !args.bare {
            self.switch()?;
            self.submodules()?;
        }
        self.head()
    }

    /// What check mode would have cloned or moved to.
    fn predict(&mut self) -> Result<String, Failure> {
        let commit = self.remote_commit()?;
        self.keep(&commit)?;
        let version = self.args.version.as_str();
        let odd = |letter: char| !letter.is_alphanumeric() && !matches!(letter, '.' | '_' | '-');
        let number = version.len() >= 4 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        // A plain name that the remote does not list, and that is no commit's number.
        if commit == version
            && !self.args.bare
            && self.args.refspec.is_none()
            && !number
            && !version.contains(odd)
        {
            let said =
                format!("error: pathspec '{version}' did not match any file(s) known to git");
            let words = ["checkout", "--force", version];
            return Err(self.failed(
                format!("Failed to checkout {version}"),
                &words,
                &refusal(1, &said),
            ));
        }
        Ok(commit)
    }

    /// Remembers a repository that check mode has not made.
    fn keep(&mut self, commit: &str) -> Result<(), Failure> {
        let folder = match self.args.bare {
            true => self.dest.clone(),
            false => self.dest.join(".git"),
        };
        make_dirs(self.machine, &folder)?;
        let key = self.key();
        self.machine
            .assume(Change::Fact(key, Some(commit.to_owned())));
        Ok(())
    }

    /// Brings a repository that is there up to date.
    fn refresh(&mut self, results: &mut Map, changed: &mut bool) -> Result<String, Failure> {
        let dest = self.dest.display().to_string();
        if self.args.separate_git_dir.is_some() && !self.is_apart() {
            return Err(Failure::new(
                "`separate_git_dir` of a repository that is there already is not supported yet",
            ));
        }
        if self.machine.assumed(&self.key()).is_none() && self.has_changes()? {
            let msg = format!("Local modifications exist in the destination: {dest}");
            if !self.args.force {
                let before = results.get("before").cloned();
                return Err(Failure::new(format!("{msg} (force=no).")).with("before", before));
            }
            let words = ["reset", "--hard", "HEAD"];
            if let Some(output) = self.change(&words)?.filter(|output| output.code != 0) {
                return Err(self.failed("Failed to reset", &words, &output));
            }
            results.insert("msg".to_owned(), msg.into());
            *changed = true;
        }
        let moved = self.set_remote()?;
        results.insert("remote_url_changed".to_owned(), moved.into());
        *changed |= moved;
        let Some(()) = self.fetch()? else {
            return self.predict();
        };
        self.verify()?;
        if !self.args.bare {
            self.switch()?;
            *changed |= self.submodules()?;
        }
        self.head()
    }

    fn is_apart(&mut self) -> bool {
        let file = self
            .machine
            .read(&self.dest.join(".git"))
            .unwrap_or_default();
        let place = String::from_utf8_lossy(&file);
        let place = place.strip_prefix("gitdir:").map(str::trim);
        place.map(Path::new) == self.args.separate_git_dir.as_deref()
    }

    fn has_changes(&mut self) -> Result<bool, Failure> {
        if self.args.bare {
            return Ok(false);
        }
        let output = self.query(&["status", "--porcelain"])?;
        let text = output.stdout_text();
        Ok(text.lines().any(|line| !line.starts_with("??")))
    }

    /// Gives the remote its address; returns whether it had another one.
    fn set_remote(&mut self) -> Result<bool, Failure> {
        let (repo, remote) = (self.repo.clone(), self.args.remote.clone());
        if self.machine.assumed(&self.key()).is_some() {
            return Ok(false);
        }
        let old = self.query(&["ls-remote", "--get-url", &remote]);
        let command = self.command(&["ls-remote", "--get-url", &remote]);
        let old = programs::query(self.machine, &command)
            .or(old)?
            .stdout_text();
        let old = old.trim();
        if plain(old) == plain(&repo) {
            return Ok(false);
        }
        // A remote that is not there answers with its name.
        let words = match old == remote {
            true => ["remote", "add", &remote, &repo],
            false => ["remote", "set-url", &remote, &repo],
        };
        if let Some(output) = self.change(&words)?.filter(|output| output.code != 0) {
            return Err(self.failed("Failed to set a new url", &words, &output));
        }
        Ok(true)
    }

    /// Fetches; `None`: check mode.
    fn fetch(&mut self) -> Result<Option<()>, Failure> {
        let args = self.args;
        let (version, remote) = (&args.version, &args.remote);
        let depth = args
            .depth
            .filter(|depth| *depth > 0)
            .map(|depth| depth.to_string());
        let (mut options, mut refs): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        if let Some(depth) = depth {
            match self.listed()? {
                _ if args.refspec.is_some() => refs.extend(args.refspec.clone()),
                _ if version == "HEAD" => refs.extend(self.head_branch()),
                Some((_, true)) => {
                    refs.push(format!(
                        "+refs/heads/{version}:refs/remotes/{remote}/{version}"
                    ));
                }
                Some((_, false)) => refs.push(format!("+refs/tags/{version}:refs/tags/{version}")),
                None => {}
            }
            if !refs.is_empty() {
                options.extend(["--depth".to_owned(), depth]);
            }
        }
        if refs.is_empty() {
            if args.bare {
                refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
                    .map(str::to_owned)
                    .to_vec();
            } else {
                options.push("--tags".to_owned());
                refs.extend(args.refspec.clone());
            }
        }
        if args.force {
            options.push("--force".to_owned());
        }
        let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
        words.push(remote);
        words.extend(refs.iter().map(String::as_str));
        self.fetched(&words)
    }

    fn fetch_with(&mut self, refs: &[&str]) -> Result<Option<()>, Failure> {
        let mut words = vec![self.args.remote.as_str()];
        words.extend(refs);
        self.fetched(&words)
    }

    fn fetched(&mut self, words: &[&str]) -> Result<Option<()>, Failure> {
        let mut all = vec!["fetch"];
        all.extend(words);
        let done = self.change(&all)?;
        let predicts = done.is_none();
        let output = match done {
            Some(output) => output,
            // Whether the remote answers can be seen before.
            None => {
                let repo = self.repo.clone();
                self.query(&["ls-remote", &repo, "HEAD"])?
            }
        };
        if output.code == 0 {
            return Ok((!predicts).then_some(()));
        }
        let mut cmd = vec![self.program.clone()];
        cmd.extend(all.iter().map(|word| (*word).to_owned()));
        let (out, error) = (output.stdout_text(), output.stderr_text());
        let msg = format!("Failed to download remote objects and refs: {out} {error}");
        Err(Failure::new(msg).with("cmd", cmd))
    }

    /// The branch that `HEAD` means: the one that is checked out, else that of the remote.
    fn head_branch(&mut self) -> Option<String> {
        let output = self
            .query(&["symbolic-ref", "--quiet", "--short", "HEAD"])
            .ok()?;
        let branch = output.stdout_text().trim().to_owned();
        if output.code == 0 && !branch.is_empty() {
            return Some(branch);
        }
        let start = format!("refs/remotes/{}/", self.args.remote);
        let output = self
            .query(&["symbolic-ref", &format!("{start}HEAD")])
            .ok()?;
        let found = output.stdout_text();
        found.trim().strip_prefix(&start).map(str::to_owned)
    }

    /// Checks the version out.
    fn switch(&mut self) -> Result<(), Failure> {
        let remote = self.args.remote.clone();
        let version = self.args.version.clone();
        let branch = match version.as_str() {
            "HEAD" => self.head_branch(),
            _ => {
                let name = format!("refs/remotes/{remote}/{version}");
                let output = self.query(&["rev-parse", "--verify", "--quiet", &name])?;
                (output.code == 0).then(|| version.clone())
            }
        };
        let Some(branch) = branch else {
            return self.checked_out(&["checkout", "--force", &version], &version);
        };
        let local = format!("refs/heads/{branch}");
        let is_local = self
            .query(&["rev-parse", "--verify", "--quiet", &local])?
            .code
            == 0;
        let tracked = format!("{remote}/{branch}");
        if !is_local {
            return self.checked_out(&["checkout", "--track", "-b", &branch, &tracked], &branch);
        }
        self.checked_out(&["checkout", "--force", &branch], &branch)?;
        self.checked_out(&["reset", "--hard", &tracked, "--"], &branch)
    }

    fn checked_out(&mut self, words: &[&str], what: &str) -> Result<(), Failure> {
        match self.change(words)? {
            Some(output) if output.code != 0 => {
                Err(self.failed(format!("Failed to checkout {what}"), words, &output))
            }
            _ => Ok(()),
        }
    }

    /// Brings submodules up to date; returns whether one changed.
    fn submodules(&mut self) -> Result<bool, Failure> {
        let modules = self.dest.join(".gitmodules");
        if !self.args.recursive || !matches!(self.machine.stat(&modules, true), Ok(Some(_))) {
            return Ok(false);
        }
        let status = ["submodule", "status", "--recursive"];
        let before = self.query(&status)?.stdout;
        let mut update = vec!["submodule", "update", "--init", "--recursive"];
        if self.args.track_submodules {
            update.push("--remote");
        }
        if self.args.force {
            update.push("--force");
        }
        for words in [vec!["submodule", "sync"], update] {
            if let Some(output) = self.change(&words)?.filter(|output| output.code != 0) {
                let said = format!("{}{}", output.stdout_text(), output.stderr_text());
                let msg = format!("Failed to init/update submodules: {said}");
                return Err(Failure::new(msg));
            }
        }
        Ok(self.query(&status)?.stdout != before)
    }

    /// The signature of the version is good, by one of the keys where some are named.
    fn verify(&mut self) -> Result<(), Failure> {
        if !self.args.verify_commit {
            return Ok(());
        }
        let version = self.args.version.clone();
        let tag = format!("refs/tags/{version}");
        let is_tag = self.query(&["cat-file", "-t", &tag])?.stdout_text().trim() == "tag";
        let verb = if is_tag {
            "verify-tag"
        } else {
            "verify-commit"
        };
        let raw = !self.args.gpg_allowlist.is_empty();
        let mut words = vec![verb];
        words.extend(raw.then_some("--raw"));
        words.push(&version);
        let output = self.query(&words)?;
        let said = output.stderr_text();
        let signed = said.lines().any(|line| {
            let valid = line.contains("VALIDSIG");
            valid
                && self
                    .args
                    .gpg_allowlist
                    .iter()
                    .any(|key| line.contains(key.as_str()))
        });
        match output.code {
            0 if signed || !raw => Ok(()),
            0 => Err(Failure::new(format!(
                "The gpg_allowlist does not include the public key \"{version}\" for this commit"
            ))),
            _ => Err(self.failed(
                format!("Failed to verify GPG signature of commit/tag \"{version}\""),
                &words,
                &output,
            )),
        }
    }

    /// Writes an archive of a commit; returns whether it was another one.
    fn archive(&mut self, path: &Path, commit: &str) -> Result<bool, Failure> {
        let name = path.to_string_lossy().into_owned();
        let formats = [
            (".tar.gz", "tar.gz"),
            (".tgz", "tgz"),
            (".tar", "tar"),
            (".zip", "zip"),
        ];
        let found = formats.iter().find(|(end, _)| name.ends_with(end));
        let Some((_, format)) = found else {
            let msg = "Unable to get file extension from archive file name";
            return Err(Failure::new(format!("{msg} : {name}")));
        };
        let (format, prefix) = (
            format!("--format={format}"),
            self.args
                .archive_prefix
                .as_ref()
                .map(|prefix| format!("--prefix={prefix}")),
        );
        let mut words = vec!["archive", format.as_str()];
        words.extend(prefix.as_deref());
        words.push(commit);
        let output = self.query(&words)?;
        if output.code != 0 {
            let msg = "Failed to perform archive operation";
            return Err(self.failed(msg, &words, &output));
        }
        let fail = |error: std::io::Error| Failure::new(os_error(&error, path));
        if self
            .machine
            .read(path)
            .is_ok_and(|old| old == output.stdout)
        {
            return Ok(false);
        }
        let attrs = FileArgs::default().for_write(self.machine, None)?;
        let content = Content::Bytes(&output.stdout);
        self.machine.write(path, content, &attrs).map_err(fail)?;
        Ok(true)
    }

    /// What differs between two commits.
    fn difference(&mut self, before: Option<&str>, after: &str) -> String {
        let Some(before) = before else {
            return format!(">> Newly checked out {after}");
        };
        let range = format!("{before}..{after}");
        match self.query(&["diff", &range]) {
            Ok(output) if output.code == 0 && !output.stdout.is_empty() => output.stdout_text(),
            Ok(output) if output.code == 0 => {
                format!(">> No visual differences between {before} and {after}")
            }
            // Check mode fetches nothing.
            _ => format!(">> Newly checked out {after}"),
        }
    }
}
