//! `alternatives`: which of several programs a name stands for.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::builtin::programs;

/// Adds, chooses and removes alternatives with `update-alternatives` or `alternatives`.
#[derive(ModuleArgs)]
struct Args {
    /// The name that stands for several programs.
    name: String,
    /// The program.
    path: Option<PathBuf>,
    /// The family of the program, on systems of the Red Hat kind.
    family: Option<String>,
    /// The link that leads to the program.
    link: Option<PathBuf>,
    /// How good the program is: where nothing is chosen, the best one is taken.
    priority: Option<i64>,
    /// The program is there, or chosen, or there while the best one is taken, or gone.
    #[arg(default = "selected")]
    state: State,
    /// Further links that follow this one: each with `name`, `path` and `link`.
    #[arg(alias = "slaves", kind = "list of dict")]
    subcommands: Option<Vec<Map>>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Selected,
    Absent,
    Auto,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    msg: String,
}

module! {
    "community.general.alternatives", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.alternatives"],
    rules: Rules { required_one_of: &[&["path", "family"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = ["update-alternatives", "alternatives"]
        .iter()
        .find_map(|name| programs::required(machine, name).ok());
    let program = match program {
        Some(program) => program,
        None => programs::required(machine, "update-alternatives")?,
    };
    let mut task = Task {
        now: Known::read(machine, &program, &args.name)?,
        program,
        args: &args,
        machine,
        done: Vec::new(),
        after: Map::new(),
    };
    let before = task.before();
    match args.state {
        State::Absent => task.remove()?,
        _ => task.ensure()?,
    }
    let (done, after) = (task.done, task.after);
    let mut outcome = Outcome::new(!done.is_empty()).with("msg", done.join(" "));
    outcome.diff.push(Diff::attributes(before, after));
    Ok(outcome)
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    link: Option<String>,
    /// Whether the best program is taken.
    auto: bool,
    value: Option<String>,
    all: Vec<Alternative>,
}

#[derive(Default)]
struct Alternative {
    path: String,
    priority: Option<i64>,
    family: Option<String>,
    /// Names, links and paths of what follows.
    followers: Vec<[String; 3]>,
}

impl Known {
    fn read(machine: &mut dyn Machine, program: &str, name: &str) -> Result<Self, Failure> {
        if let Some(text) = machine.assumed(&format!("alternatives:{name}")) {
            return Ok(Self::parse(&text, name));
        }
        let output = programs::ask(machine, [program, "--display", name])?;
        Ok(match output.code {
            0 => Self::parse(&output.stdout_text(), name),
            _ => Self::default(),
        })
    }

    /// Reads what either program displays.
    fn parse(text: &str, name: &str) -> Self {
        let own = format!("link {name} is ");
        let mut known = Self::default();
        let mut links: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            let plain = line.trim();
            if plain.contains(" - auto mode") || plain.ends_with("status is auto.") {
                known.auto = true;
            } else if let Some(path) = plain.strip_prefix("link currently points to ") {
                known.value = Some(path.to_owned());
            } else if let Some((name, link)) = plain
                .strip_prefix("slave ")
                .and_then(|rest| rest.split_once(" is "))
            {
                links.push((name.to_owned(), link.to_owned()));
            } else if let Some(link) = plain.strip_prefix(&own) {
                known.link = Some(link.to_owned());
            } else if plain.starts_with('/') && plain.contains("priority ") {
                known.all.push(alternative(plain));
            } else if let Some((name, path)) = plain
                .strip_prefix("slave ")
                .or_else(|| plain.strip_prefix("follower "))
                .and_then(|rest| rest.split_once(": "))
                && let Some(last) = known.all.last_mut()
            {
                let link = links.iter().find(|(known, _)| known == name);
                let link = link.map(|(_, link)| link.clone()).unwrap_or_default();
                last.followers
                    .push([name.to_owned(), link, path.to_owned()]);
            }
        }
        known
    }

    /// The same text again, for what check mode predicts.
    fn text(&self, name: &str) -> String {
        let mut text = format!(
            "{name} - {} mode\n",
            if self.auto { "auto" } else { "manual" }
        );
        if let Some(value) = &self.value {
            text += &format!("  link currently points to {value}\n");
        }
        if let Some(link) = &self.link {
            text += &format!("  link {name} is {link}\n");
        }
        for [name, link, _] in self.all.iter().flat_map(|one| &one.followers) {
            text += &format!("  slave {name} is {link}\n");
        }
        for one in &self.all {
            let family = one.family.iter().map(|family| format!("family {family} "));
            let family: String = family.collect();
            let priority = one.priority.unwrap_or(0);
            text += &format!("{} - {family}priority {priority}\n", one.path);
            for [name, _, path] in &one.followers {
                text += &format!("  slave {name}: {path}\n");
            }
        }
        text
    }

    fn best(&self) -> Option<String> {
        let best = self.all.iter().max_by_key(|one| one.priority);
        best.map(|one| one.path.clone())
    }
}

/// A line such as `/usr/bin/vim - priority 30`.
fn alternative(line: &str) -> Alternative {
    let (path, rest) = line.split_once(" - ").unwrap_or((line, ""));
    let after = |word: &str| {
        let mut words = rest.split_whitespace().skip_while(|found| *found != word);
        words.nth(1).map(str::to_owned)
    };
    Alternative {
        path: path.to_owned(),
        priority: after("priority").and_then(|number| number.parse().ok()),
        family: after("family"),
        followers: Vec::new(),
    }
}

/// What is to be done, and what was.
struct Task<'a> {
    machine: &'a mut dyn Machine,
    program: String,
    args: &'a Args,
    now: Known,
    done: Vec<String>,
    after: Map,
}

impl Task<'_> {
    fn path(&self) -> String {
        let path = self.args.path.as_ref();
        path.map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn current(&self) -> Option<&Alternative> {
        let path = self.path();
        self.now.all.iter().find(|one| one.path == path)
    }

    /// The state before, as Ansible's diff has it.
    fn before(&self) -> Map {
        let Some(one) = self.current() else {
            return match self.now.all.is_empty() {
                true => Map::new(),
                false => map! { "state" => "absent" },
            };
        };
        // In Ansible's words: `selected` is said of those beside the one that is.
        let taken = self.now.value.as_deref() == Some(&one.path);
        let mut map = map! {
            "link" => self.now.link.clone().unwrap_or_default(),
            "path" => one.path.as_str(),
            "priority" => one.priority.map_or(Data::Null, Data::from),
            "state" => if taken || self.now.auto { "present" } else { "selected" },
        };
        if !one.followers.is_empty() {
            map.insert("subcommands".to_owned(), followers(&one.followers));
        }
        map
    }

    /// What the task asks of followers; nothing where it says nothing.
    fn wanted(&self) -> Result<Option<Vec<[String; 3]>>, Failure> {
        let Some(given) = &self.args.subcommands else {
            return Ok(None);
        };
        let each = |map: &Map| {
            let text = |name: &str| match map.get(name) {
                Some(value) if *value != Data::Null => Ok(value.text()),
                _ => Err(Failure::new(format!(
                    "missing required arguments: {name} found in subcommands"
                ))),
            };
            Ok([text("name")?, text("link")?, text("path")?])
        };
        given.iter().map(each).collect::<Result<_, _>>().map(Some)
    }

    fn ensure(&mut self) -> Result<(), Failure> {
        let path = self.path();
        let (wanted, before) = (self.wanted()?, self.now.value.clone());
        if self.args.family.is_none() || self.args.path.is_some() {
            let same = self.current().is_some_and(|one| {
                let priority = self
                    .args
                    .priority
                    .is_none_or(|wanted| one.priority == Some(wanted));
                let sorted = |list: &[[String; 3]]| {
                    let mut list = list.to_vec();
                    crate::order::sort(&mut list);
                    list
                };
                let followers = wanted
                    .as_ref()
                    .is_none_or(|wanted| sorted(wanted) == sorted(&one.followers));
                let family = self.args.family.is_none()
                    || one.family == self.args.family
                    || one.family.is_none();
                priority && followers && family
            });
            if !same {
                self.install(&path, wanted)?;
            }
        }
        match self.args.state {
            State::Selected => {
                let target = self.args.path.as_ref().map(|_| path.clone());
                let target = target
                    .or_else(|| self.args.family.clone())
                    .unwrap_or_default();
                if before.as_deref() != Some(&target) {
                    self.set(&target)?;
                }
            }
            State::Auto if !self.now.auto => {
                self.command(&["--auto", &self.args.name])?;
                self.done
                    .push(format!("Set alternative to auto for '{}'.", self.args.name));
                self.after.insert("state".to_owned(), Data::from("present"));
                self.now.auto = true;
                self.now.value = self.now.best();
                self.assume();
            }
            _ => {}
        }
        Ok(())
    }

    fn install(&mut self, path: &str, wanted: Option<Vec<[String; 3]>>) -> Result<(), Failure> {
        if !matches!(self.machine.stat(Path::new(path), true), Ok(Some(_))) {
            return Err(Failure::new(format!(
                "Specified path {path} does not exist"
            )));
        }
        let given = self
            .args
            .link
            .as_ref()
            .map(|link| link.to_string_lossy().into_owned());
        let Some(link) = given.or_else(|| self.now.link.clone()) else {
            let text =
                "Needed to install the alternative, but unable to do so as we are missing the link";
            return Err(Failure::new(text));
        };
        let old = self.current();
        let priority = self
            .args
            .priority
            .or(old.and_then(|one| one.priority))
            .unwrap_or(50);
        let kept = old.map(|one| one.followers.clone()).unwrap_or_default();
        let all = wanted.unwrap_or(kept);
        let number = priority.to_string();
        let name = self.args.name.clone();
        let mut words = vec!["--install", &link, &name, path, &number];
        if let Some(family) = &self.args.family {
            words.extend(["--family", family]);
        }
        for [name, link, path] in &all {
            words.extend(["--slave", link, name, path]);
        }
        self.command(&words)?;
        self.done
            .push(format!("Install alternative '{path}' for '{name}'."));
        self.after = map! {
            "family" => self.args.family.clone().map_or(Data::Null, Data::from),
            "link" => link.as_str(),
            "path" => path,
            "priority" => priority,
            "state" => "present",
        };
        if !all.is_empty() {
            self.after.insert("subcommands".to_owned(), followers(&all));
        }
        // The first one of all is taken, and so is a better one where none is chosen.
        let first = self.now.all.is_empty();
        self.now.all.retain(|one| one.path != path);
        self.now.all.push(Alternative {
            path: path.to_owned(),
            priority: Some(priority),
            family: self.args.family.clone(),
            followers: all,
        });
        self.now.link = Some(link);
        self.now.auto |= first;
        if self.now.auto {
            self.now.value = self.now.best();
        }
        self.assume();
        Ok(())
    }

    fn set(&mut self, target: &str) -> Result<(), Failure> {
        let name = self.args.name.clone();
        self.command(&["--set", &name, target])?;
        self.done
            .push(format!("Set alternative '{target}' for '{name}'."));
        self.after
            .insert("state".to_owned(), Data::from("selected"));
        self.now.auto = false;
        self.now.value = Some(target.to_owned());
        self.assume();
        Ok(())
    }

    fn remove(&mut self) -> Result<(), Failure> {
        let (path, name) = (self.path(), self.args.name.clone());
        if self.current().is_none() {
            return Ok(());
        }
        self.command(&["--remove", &name, &path])?;
        self.done
            .push(format!("Remove alternative '{path}' from '{name}'."));
        self.after = map! { "state" => "absent" };
        self.now.all.retain(|one| one.path != path);
        if self.now.value.as_deref() == Some(&path) {
            self.now.auto = true;
            self.now.value = self.now.best();
        }
        self.assume();
        Ok(())
    }

    fn command(&mut self, words: &[&str]) -> Result<(), Failure> {
        let mut argv = vec![self.program.clone()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        programs::must(self.machine, &Command::new(argv).c_locale())
    }

    /// What later looks of check mode see.
    fn assume(&mut self) {
        let key = format!("alternatives:{}", self.args.name);
        let text = self.now.text(&self.args.name);
        self.machine.assume(Change::Fact(key, Some(text)));
    }
}

fn followers(all: &[[String; 3]]) -> Data {
    let each = |[name, link, path]: &[String; 3]| {
        Data::Map(
            map! { "name" => name.as_str(), "link" => link.as_str(), "path" => path.as_str() },
        )
    };
    Data::List(all.iter().map(each).collect())
}
