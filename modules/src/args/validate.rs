//! Validation of a call over a module's table: names, conversions, choices and conditions.

use std::cmp::Reverse;

use indexmap::IndexMap;

use super::coerce::{default_value, to_list};
use super::{Arg, Kind, Mode, Module, Rules, coerce};
use crate::data::{Data, Map};

/// The key under which a free-form string arrives (`command: ls -l`).
const FREE_FORM: &str = "_raw_params";

/// Arguments that are ready for the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// Names resolved, values converted, defaults filled in; in the order of the table.
    pub args: Map,
    /// What the user should know although the call is good.
    pub warnings: Vec<String>,
    /// Values of secret arguments, to be masked wherever they appear.
    pub secrets: Vec<String>,
}

/// One thing that is wrong with a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgProblem {
    /// What is wrong, in Ansible's words.
    pub message: String,
    /// The arguments that it is about, as the user wrote them. One that is missing is named, too.
    pub arguments: Vec<String>,
    /// What to try.
    pub hints: Vec<String>,
}

/// Checks and converts the arguments of a call.
///
/// # Errors
/// Every problem; the first one is the one that Ansible would report.
pub fn prepare(module: &Module, given: &Map) -> Result<Prepared, Vec<ArgProblem>> {
    prepare_as(module, module.short_name(), given)
}

/// [`prepare`] for a module that the user `called` by another name, which messages quote.
///
/// # Errors
/// Every problem; the first one is the one that Ansible would report.
pub fn prepare_as(module: &Module, called: &str, given: &Map) -> Result<Prepared, Vec<ArgProblem>> {
    let mut call = Call {
        module,
        called,
        given: IndexMap::new(),
        prepared: Prepared::default(),
        problems: Vec::new(),
    };
    let unknown = call.resolve_names(given);
    call.refuse();
    call.check_exclusive(&module.rules);
    call.check_required();
    call.convert();
    call.check_choices();
    call.fill_defaults();
    call.check_conditions(&module.rules);
    call.report_unknown(&unknown);
    call.collect_secrets();
    if call.problems.is_empty() {
        Ok(call.prepared)
    } else {
        Err(call.problems)
    }
}

/// Longer words are no slips of names, and comparing them would take long.
const WORD: usize = 200;

/// The candidate that a mistyped word most probably means.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD {
        return None;
    }
    let limit = (length / 3).max(1);
    let scored = candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate));
    scored
        .filter(|(distance, _)| *distance <= limit)
        // Of equals the one that has all its letters (they are left out more often than taken for
        // others), then the one that begins alike: slips are commoner at a word's end.
        .min_by_key(|(distance, found)| {
            (*distance, !within(word, found), Reverse(alike(word, found)))
        })
        .map(|(_, found)| found)
}

/// Whether all letters of a word are in another one, in their order.
fn within(word: &str, other: &str) -> bool {
    let mut letters = other.chars();
    word.chars().all(|letter| letters.any(|one| one == letter))
}

/// How many letters two words share at their start.
fn alike(left: &str, right: &str) -> usize {
    left.chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .count()
}

/// How many letters are added, left out, replaced or swapped between two words.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let same = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// A call in the course of being checked.
struct Call<'a> {
    module: &'a Module,
    called: &'a str,
    /// The table's name to the name as written and the value.
    given: IndexMap<&'static str, (String, Data)>,
    prepared: Prepared,
    problems: Vec<ArgProblem>,
}

impl Call<'_> {
    fn problem(&mut self, message: String, arguments: Vec<String>) {
        self.problems.push(ArgProblem {
            message,
            arguments,
            hints: Vec::new(),
        });
    }

    /// Sorts what was written by the table; returns the names that it does not know.
    fn resolve_names(&mut self, written: &Map) -> Vec<String> {
        let mut unknown = Vec::new();
        let known = |name: &str| self.module.args.iter().find(|arg| arg.answers_to(name));
        for (name, value) in written {
            let free_form = || {
                self.module
                    .free_form
                    .filter(|_| name == FREE_FORM)
                    .and_then(known)
            };
            match known(name).or_else(free_form) {
                None => unknown.push(name.clone()),
                // A null takes the place of a default where any value may stand.
                Some(arg)
                    if *value == Data::Null
                        && !(arg.kind == Kind::Raw && arg.default.is_some())
                        || (name == FREE_FORM && value.as_str() == Some("")) => {}
                Some(arg) => {
                    let both = self.given.get(arg.name).map(|(other, _)| other.clone());
                    if let Some(other) = both {
                        let alias = if name == arg.name { &other } else { name };
                        let warning =
                            format!("Both option {} and its alias {alias} are set.", arg.name);
                        self.prepared.warnings.push(warning);
                        if name == arg.name {
                            continue;
                        }
                    }
                    self.given.insert(arg.name, (name.clone(), value.clone()));
                }
            }
        }
        unknown
    }

    fn written(&self, name: &str) -> String {
        self.given
            .get(name)
            .map_or(name, |(written, _)| written.as_str())
            .to_owned()
    }

    fn refuse(&mut self) {
        let refused = |(name, (written, _)): (&&str, &(String, Data))| {
            let why = self
                .module
                .args
                .iter()
                .find(|arg| arg.name == *name)?
                .refused?;
            Some((
                format!(
                    "argument '{written}' of {} is not supported: {why}",
                    self.called
                ),
                written.clone(),
            ))
        };
        let refused: Vec<_> = self.given.iter().filter_map(refused).collect();
        for (message, written) in refused {
            self.problem(message, vec![written]);
        }
    }

    fn check_exclusive(&mut self, rules: &Rules) {
        for group in rules.mutually_exclusive {
            let given: Vec<String> = group
                .iter()
                .filter(|name| self.given.contains_key(**name))
                .map(|name| self.written(name))
                .collect();
            if given.len() > 1 {
                self.problem(
                    format!("parameters are mutually exclusive: {}", group.join("|")),
                    given,
                );
            }
        }
    }

    fn check_required(&mut self) {
        let missing: Vec<String> = self
            .module
            .args
            .iter()
            .filter(|arg| arg.required && !self.given.contains_key(arg.name))
            .map(|arg| arg.name.to_owned())
            .collect();
        if !missing.is_empty() {
            self.problem(
                format!("missing required arguments: {}", missing.join(", ")),
                missing,
            );
        }
    }

    fn convert(&mut self) {
        for arg in self.module.args {
            let Some((written, value)) = self.given.get(arg.name) else {
                continue;
            };
            match convert(arg, value) {
                Ok(value) => {
                    self.prepared.args.insert(arg.name.to_owned(), value);
                }
                Err(mut problem) => {
                    problem.arguments.push(written.clone());
                    self.problems.push(problem);
                }
            }
        }
    }

    fn check_choices(&mut self) {
        for arg in self
            .module
            .args
            .iter()
            .filter(|arg| !arg.choices.is_empty())
        {
            let Some(value) = self.prepared.args.get_mut(arg.name) else {
                continue;
            };
            if let Err(mut problem) = choose(arg, value) {
                problem.arguments.push(self.written(arg.name));
                self.problems.push(problem);
            }
        }
    }

    fn fill_defaults(&mut self) {
        let mut args = Map::new();
        for arg in self.module.args {
            let given = self.prepared.args.swap_remove(arg.name);
            let value = given.or_else(|| {
                let missing = !self.given.contains_key(arg.name);
                arg.default
                    .filter(|_| missing)
                    .and_then(|text| default_value(arg.kind, text).ok())
            });
            if let Some(value) = value {
                args.insert(arg.name.to_owned(), value);
            }
        }
        self.prepared.args = args;
    }

    fn check_conditions(&mut self, rules: &Rules) {
        for group in rules.required_together {
            let given: Vec<String> = group
                .iter()
                .filter(|name| self.given.contains_key(**name))
                .map(|name| self.written(name))
                .collect();
            if !given.is_empty() && given.len() < group.len() {
                self.problem(
                    format!("parameters are required together: {}", group.join(", ")),
                    given,
                );
            }
        }
        for group in rules.required_one_of {
            if !group.iter().any(|name| self.has(name)) {
                let names = group.iter().map(|name| (*name).to_owned()).collect();
                self.problem(
                    format!("one of the following is required: {}", group.join(", ")),
                    names,
                );
            }
        }
        for (name, value, needed, any) in rules.required_if {
            let is = self
                .prepared
                .args
                .get(*name)
                .is_some_and(|data| data.text().eq_ignore_ascii_case(value));
            let missing: Vec<&str> = needed
                .iter()
                .copied()
                .filter(|name| !self.has(name))
                .collect();
            let met = if *any {
                missing.len() < needed.len()
            } else {
                missing.is_empty()
            };
            if is && !met {
                let which = if *any { "any" } else { "all" };
                let message = format!(
                    "{name} is {value} but {which} of the following are missing: {}",
                    missing.join(", ")
                );
                self.problem(message, vec![self.written(name)]);
            }
        }
        for (name, needed) in rules.required_by {
            let missing: Vec<&str> = needed
                .iter()
                .copied()
                .filter(|name| !self.has(name))
                .collect();
            if self.given.contains_key(name) && !missing.is_empty() {
                let message = format!(
                    "missing parameter(s) required by '{name}': {}",
                    missing.join(", ")
                );
                self.problem(message, vec![self.written(name)]);
            }
        }
    }

    /// Whether an argument has a value, given or by default. A value that could not be converted
    /// counts: its problem is reported already.
    fn has(&self, name: &str) -> bool {
        self.given.contains_key(name) || self.prepared.args.contains_key(name)
    }

    fn report_unknown(&mut self, unknown: &[String]) {
        let unknown: Vec<&String> = unknown
            .iter()
            .filter(|name| {
                let free_form = *name == FREE_FORM;
                if free_form {
                    let message =
                        format!("Action '{}' does not support raw params.", self.module.name);
                    // The reason why others are missing.
                    let problem = ArgProblem {
                        message,
                        ..ArgProblem::default()
                    };
                    self.problems.insert(0, problem);
                }
                !free_form
            })
            .collect();
        if unknown.is_empty() {
            return;
        }
        let mut sorted: Vec<&str> = unknown.iter().map(|name| name.as_str()).collect();
        crate::order::sort(&mut sorted);
        let visible = || self.module.args.iter().filter(|arg| !arg.internal());
        let mut names: Vec<&str> = visible().map(|arg| arg.name).collect();
        let mut aliases: Vec<&str> = visible()
            .flat_map(|arg| arg.aliases.iter().copied())
            .collect();
        crate::order::sort(&mut names);
        crate::order::sort(&mut aliases);
        let also = if aliases.is_empty() {
            String::new()
        } else {
            format!(" ({})", aliases.join(", "))
        };
        let message = format!(
            "Unsupported parameters for ({}) module: {}. Supported parameters include: {}{also}.",
            self.called,
            sorted.join(", "),
            names.join(", "),
        );
        let hint = |name: &&str| {
            let found = closest(name, names.iter().chain(&aliases).copied())?;
            Some(if sorted.len() == 1 {
                format!("did you mean `{found}`?")
            } else {
                format!("did you mean `{found}` instead of `{name}`?")
            })
        };
        let hints = sorted.iter().filter_map(hint).collect();
        self.problems.push(ArgProblem {
            message,
            arguments: unknown.into_iter().cloned().collect(),
            hints,
        });
    }

    fn collect_secrets(&mut self) {
        for arg in self.module.args.iter().filter(|arg| arg.secret) {
            if let Some(value) = self.prepared.args.get(arg.name) {
                collect_texts(value, &mut self.prepared.secrets);
            }
        }
    }
}

fn collect_texts(value: &Data, texts: &mut Vec<String>) {
    match value {
        Data::List(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Data::Map(map) => map.values().for_each(|item| collect_texts(item, texts)),
        Data::Null | Data::Bool(_) => {}
        other => {
            let text = other.text();
            if !text.is_empty() {
                texts.push(text);
            }
        }
    }
}

/// One value as its argument wants it.
fn convert(arg: &Arg, value: &Data) -> Result<Data, ArgProblem> {
    let problem = |message: String| ArgProblem {
        message,
        ..ArgProblem::default()
    };
    let wrong = |why: String| {
        let (name, from, to) = (arg.name, value.type_name(), arg.kind.name());
        problem(format!(
            "argument '{name}' is of type {from} and we were unable to convert to {to}: {why}"
        ))
    };
    match arg.kind {
        Kind::Mode => Mode::from_value(value)
            .map(|_| value.clone())
            .map_err(|details| ArgProblem {
                hints: vec![details],
                ..problem("mode must be in octal or symbolic form".to_owned())
            }),
        Kind::List(item) => {
            let items = to_list(value).map_err(wrong)?;
            let item = |value: &Data| {
                coerce(*item, value).map_err(|why| {
                    let (name, from, to) = (arg.name, value.type_name(), item.name());
                    problem(format!(
                        "Elements value for option '{name}' is of type {from} and we were unable to convert to {to}: {why}"
                    ))
                })
            };
            items
                .iter()
                .map(item)
                .collect::<Result<_, _>>()
                .map(Data::List)
        }
        kind => coerce(kind, value).map_err(wrong),
    }
}

/// Checks a value against the argument's choices. A boolean that YAML made of `yes` or `no` becomes
/// the one choice that means it.
fn choose(arg: &Arg, value: &mut Data) -> Result<(), ArgProblem> {
    let allowed = |value: &Data| arg.choices.contains(&value.text().as_str());
    let choices = arg.choices.join(", ");
    let hint = |word: &str| match closest(word, arg.choices.iter().copied()) {
        Some(found) => vec![format!("did you mean `{found}`?")],
        None => Vec::new(),
    };
    if let Data::List(items) = value {
        let wrong: Vec<String> = items
            .iter()
            .filter(|item| !allowed(item))
            .map(Data::text)
            .collect();
        let Some(first) = wrong.first() else {
            return Ok(());
        };
        let message = format!(
            "value of {} must be one or more of: {choices}. Got no match for: {}",
            arg.name,
            wrong.join(", ")
        );
        return Err(ArgProblem {
            message,
            arguments: Vec::new(),
            hints: hint(first),
        });
    }
    if allowed(value) {
        return Ok(());
    }
    let text = value.text();
    let meaning: &[&str] = match text.as_str() {
        "True" => &["y", "yes", "on", "1", "true", "t"],
        "False" => &["n", "no", "off", "0", "false", "f"],
        _ => &[],
    };
    let mut same = arg.choices.iter().filter(|choice| meaning.contains(choice));
    if let (Some(choice), None) = (same.next(), same.next()) {
        *value = Data::from(*choice);
        return Ok(());
    }
    let message = format!(
        "value of {} must be one of: {choices}, got: {text}",
        arg.name
    );
    Err(ArgProblem {
        message,
        arguments: Vec::new(),
        hints: hint(&text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{ArgEnum, Args as _, ModuleArgs, Returns};
    use crate::machine::Machine;
    use crate::map;
    use crate::module;
    use crate::outcome::{Failure, Outcome};

    /// What a module gets that only tests see.
    #[derive(ModuleArgs)]
    #[expect(dead_code, reason = "only the table is looked at")]
    struct Args {
        /// Where.
        #[arg(alias = "dest")]
        path: String,
        /// What.
        #[arg(default = "present")]
        state: State,
        /// A reserved word.
        r#type: Option<Vec<i64>>,
        /// Hidden.
        #[arg(secret)]
        password: Option<String>,
        /// Not here.
        #[arg(refused = "there is no use for it")]
        odd: Option<bool>,
        #[arg(flatten)]
        more: More,
    }

    /// A group of arguments.
    #[derive(ModuleArgs)]
    #[expect(dead_code, reason = "only the table is looked at")]
    struct More {
        /// Who.
        owner: Option<String>,
        /// How.
        mode: Option<Mode>,
    }

    #[derive(ArgEnum, Debug, PartialEq)]
    enum State {
        #[arg(alias = "installed")]
        Present,
        Absent,
        #[arg(name = "no")]
        Nothing,
    }

    /// Nothing.
    #[derive(Returns)]
    struct Values {}

    fn run(_: &mut dyn Machine, _: Args) -> Result<Outcome, Failure> {
        Ok(Outcome::unchanged())
    }

    module! { "a.b.test", args: Args, returns: Values, run: run, rules: Rules {
        required_if: &[("state", "absent", &["owner"], false)],
        mutually_exclusive: &[&["owner", "mode"]],
        ..Rules::NONE
    } }

    fn messages(given: Map) -> Vec<String> {
        prepare(&MODULE, &given)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    #[test]
    fn a_good_call() {
        let prepared = prepare(
            &MODULE,
            &map! { "dest" => 5, "type" => "1,2", "state" => false, "password" => "x" },
        )
        .unwrap();
        let wanted =
            map! { "path" => "5", "state" => "no", "type" => vec![1, 2], "password" => "x" };
        assert_eq!(prepared.args, wanted);
        assert_eq!(prepared.secrets, ["x"]);
        let args = Args::from_map(&prepared.args).unwrap();
        assert_eq!(
            (args.state, args.r#type),
            (State::Nothing, Some(vec![1, 2]))
        );
    }

    #[test]
    fn defaults_aliases_and_null() {
        let prepared = prepare(
            &MODULE,
            &map! { "path" => "a", "dest" => "b", "owner" => Data::Null },
        )
        .unwrap();
        assert_eq!(prepared.args, map! { "path" => "b", "state" => "present" });
        assert_eq!(
            prepared.warnings,
            ["Both option path and its alias dest are set."]
        );
    }

    #[test]
    fn every_problem_is_told() {
        let found = messages(
            map! { "state" => "presnt", "type" => "1,x", "odd" => true, "ownr" => 1, "mode" => "z" },
        );
        assert_eq!(
            found,
            [
                "argument 'odd' of test is not supported: there is no use for it",
                "missing required arguments: path",
                "Elements value for option 'type' is of type str and we were unable to convert to int: \"'x'\" cannot be converted to an int",
                "mode must be in octal or symbolic form",
                "value of state must be one of: present, installed, absent, no, got: presnt",
                "Unsupported parameters for (test) module: ownr. Supported parameters include: mode, odd, owner, password, path, state, type (dest).",
            ]
        );
        let problems = prepare(&MODULE, &map! { "ownr" => 1, "path" => "x" }).unwrap_err();
        assert_eq!(problems[0].hints, ["did you mean `owner`?"]);
        assert_eq!(problems[0].arguments, ["ownr"]);
    }

    #[test]
    fn conditions() {
        let found = messages(map! { "path" => "x", "state" => "absent" });
        assert_eq!(
            found,
            ["state is absent but all of the following are missing: owner"]
        );
        let found = messages(map! { "path" => "x", "owner" => "me", "mode" => 1 });
        assert_eq!(found, ["parameters are mutually exclusive: owner|mode"]);
        assert_eq!(
            messages(map! { "path" => "x", "_raw_params" => "x" }),
            ["Action 'a.b.test' does not support raw params."]
        );
    }
}
