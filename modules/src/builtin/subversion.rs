//! `subversion`: a working copy or an export of a Subversion repository.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::make_dirs;
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Checks out a Subversion repository, brings it up to date, or exports it.
#[derive(ModuleArgs)]
struct Args {
    /// The repository.
    #[arg(alias = "name", alias = "repository")]
    repo: String,
    /// The folder.
    dest: Option<PathBuf>,
    /// The revision.
    #[arg(default = "HEAD", alias = "rev", alias = "version")]
    revision: String,
    /// Discard changes in the folder; without it they are a failure.
    #[arg(default = "false")]
    force: bool,
    /// Check out over a folder that is no working copy.
    #[arg(default = "false")]
    in_place: bool,
    /// Who logs in.
    username: Option<String>,
    /// The password; `svn` reads it.
    #[arg(secret)]
    password: Option<String>,
    /// The `svn` that is used.
    executable: Option<PathBuf>,
    /// Check out what is not there.
    #[arg(default = "true")]
    checkout: bool,
    /// Bring up to date what is there.
    #[arg(default = "true")]
    update: bool,
    /// Export instead of checking out.
    #[arg(default = "false")]
    export: bool,
    /// Let the folder belong to this repository when it belonged to another one.
    #[arg(default = "true")]
    switch: bool,
    /// Check the certificate of the server.
    #[arg(default = "false")]
    validate_certs: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Revision and address before.
    before: Data,
    /// Revision and address now.
    after: Data,
}

module! { "ansible.builtin.subversion", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = match &args.executable {
        Some(path) => path.to_string_lossy().into_owned(),
        None => programs::required(machine, "svn")?,
    };
    let Some(dest) = &args.dest else {
        if args.checkout || args.update || args.export {
            let text = "the destination directory must be specified unless checkout=no, update=no, and export=no";
            return Err(Failure::new(text));
        }
        let svn = Svn {
            program,
            args: &args,
            dest: String::new(),
        };
        let info = svn.must_ask(machine, &["info", &args.repo])?;
        let revision = line_of(&info, "Revision: ").unwrap_or_default();
        return Ok(Outcome::unchanged().with("after", revision));
    };
    let svn = Svn {
        program,
        args: &args,
        dest: dest.to_string_lossy().into_owned(),
    };
    if args.export || !matches!(machine.stat(dest, true), Ok(Some(_))) {
        if !args.export && !args.checkout {
            return Ok(Outcome::unchanged());
        }
        let verb = if args.export { "export" } else { "checkout" };
        let force = args.export && args.force;
        return svn.fresh(machine, verb, force);
    }
    let before = svn.info(machine)?;
    // A working copy that is only predicted cannot be asked.
    let known = machine.assumed(&svn.key()).filter(|_| before.is_none());
    if before.is_none() && known.is_none() {
        return match args.in_place {
            true => svn.fresh(machine, "checkout", true),
            false => Err(Failure::new(format!(
                "ERROR: {} folder already exists, but its not a subversion repository.",
                svn.dest
            ))),
        };
    }
    if !args.update {
        return Ok(Outcome::unchanged());
    }
    if let Some(revision) = known {
        // The working copy is only predicted: so is its revision.
        let other = revision != args.revision;
        return Ok(Outcome::new(other));
    }
    svn.update(machine, before.unwrap_or_default())
}

struct Svn<'a> {
    program: String,
    args: &'a Args,
    dest: String,
}

impl Svn<'_> {
    fn key(&self) -> String {
        format!("svn:{}", self.dest)
    }

    fn command(&self, words: &[&str]) -> Command {
        let args = self.args;
        let mut argv = vec![
            self.program.as_str(),
            "--non-interactive",
            "--no-auth-cache",
        ];
        argv.extend((!args.validate_certs).then_some("--trust-server-cert"));
        if let Some(user) = &args.username {
            argv.extend(["--username", user]);
        }
        argv.extend(args.password.as_ref().map(|_| "--password-from-stdin"));
        argv.extend(words);
        Command {
            stdin: args.password.clone().map(String::into_bytes),
            ..Command::new(argv).c_locale()
        }
    }

    fn must_ask(&self, machine: &mut dyn Machine, words: &[&str]) -> Result<String, Failure> {
        let command = self.command(words);
        let output = programs::query(machine, &command)?;
        match output.code {
            0 => Ok(output.stdout_text()),
            _ => Err(programs::refused(&command, &output)),
        }
    }

    /// Revision and address of the working copy; nothing where there is none.
    fn info(&self, machine: &mut dyn Machine) -> Result<Option<Vec<String>>, Failure> {
        let output = programs::query(machine, &self.command(&["info", &self.dest]))?;
        let text = output.stdout_text();
        let lines = ["Revision: ", "URL: "].map(|name| line_of(&text, name).unwrap_or_default());
        Ok((output.code == 0).then(|| lines.to_vec()))
    }

    /// Fetches it where it was not.
    fn fresh(
        &self,
        machine: &mut dyn Machine,
        verb: &str,
        force: bool,
    ) -> Result<Outcome, Failure> {
        let args = self.args;
        let mut words = vec![verb];
        words.extend(force.then_some("--force"));
        words.extend(["-r", &args.revision, &args.repo, &self.dest]);
        let command = self.command(&words);
        match programs::change(machine, &command)? {
            Some(output) if output.code != 0 => return Err(programs::refused(&command, &output)),
            Some(_) => {}
            None => {
                make_dirs(machine, self.dest.as_ref())?;
                if verb == "checkout" {
                    machine.assume(Change::Fact(self.key(), Some(args.revision.clone())));
                }
                return Ok(Outcome::new(true));
            }
        }
        if verb == "export" {
            return Ok(Outcome::new(true));
        }
        let after = self.info(machine)?.unwrap_or_default();
        Ok(Outcome::new(true)
            .with("before", Data::Null)
            .with("after", after))
    }

    fn update(&self, machine: &mut dyn Machine, before: Vec<String>) -> Result<Outcome, Failure> {
        let args = self.args;
        let status = ["status", "--quiet", "--ignore-externals", &self.dest];
        let status = self.must_ask(machine, &status)?;
        // Files of others (`?`) and of externals (`X`) are no changes.
        let is_own = |line: &&str| !line.is_empty() && !line.starts_with(['?', 'X']);
        let modified = status.lines().any(|line| is_own(&line));
        if modified && !args.force {
            let text = "ERROR: modified files exist in the repository.";
            return Err(Failure::new(text));
        }
        let mut words = vec![];
        if args.switch {
            words.push(vec![
                "switch",
                "--revision",
                &args.revision,
                &args.repo,
                &self.dest,
            ]);
        }
        if modified {
            words.push(vec!["revert", "-R", &self.dest]);
        }
        words.push(vec!["update", "-r", &args.revision, &self.dest]);
        for words in words {
            let command = self.command(&words);
            match programs::change(machine, &command)? {
                Some(output) if output.code != 0 => {
                    return Err(programs::refused(&command, &output));
                }
                Some(_) => {}
                None => return self.predicted(machine, &before, modified),
            }
        }
        let after = self.info(machine)?.unwrap_or_default();
        let changed = modified || after != before;
        Ok(Outcome::new(changed)
            .with("before", before)
            .with("after", after))
    }

    /// What an update would bring.
    fn predicted(
        &self,
        machine: &mut dyn Machine,
        before: &[String],
        modified: bool,
    ) -> Result<Outcome, Failure> {
        let args = self.args;
        let place = if args.switch { &args.repo } else { &self.dest };
        let info = self.must_ask(machine, &["info", "-r", &args.revision, place])?;
        let after = line_of(&info, "Revision: ").unwrap_or_default();
        let url = line_of(&info, "URL: ").unwrap_or_default();
        let own = before.first().cloned().unwrap_or_default();
        let moved = args.switch && before.get(1).is_some_and(|old| *old != url);
        let changed = modified || moved || own != after;
        Ok(Outcome::new(changed)
            .with("before", own)
            .with("after", after))
    }
}

/// The line that begins with a name.
fn line_of(text: &str, name: &str) -> Option<String> {
    text.lines()
        .find(|line| line.starts_with(name))
        .map(str::to_owned)
}
