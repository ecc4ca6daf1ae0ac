//! The debugger: after a task's result on a host, the user may look, change, and run it again.

use std::io::BufRead;
use std::sync::Arc;

use rplay_modules::data::{Data, Map};

use super::Run;
use super::context::to_dict;
use super::play::Batch;
use super::spec::TaskSpec;
use super::worker::{Done, shown_name};
use crate::diag::{Diagnostic, Span};
use crate::load::keyword::Keyword;
use crate::report::event::{MessageKind, Status};
use crate::template::Scope;
use crate::template::value::{Entries, Key, Value};
use crate::vars::{HostScope, Level, VarMap};

/// The code of the problem that ends a run for the user's wish.
pub(crate) const QUIT: &str = "interrupted";

/// Values of the keyword `debugger`, in the order in which Ansible lists them.
const WORDS: [&str; 5] = [
    "on_unreachable",
    "on_skipped",
    "on_failed",
    "always",
    "never",
];

/// What the debugger shows for `help`.
const HELP: &str = "\nDocumented commands (type help <topic>):\n\
    ========================================\n\
    EOF  c  continue  h  help  p  pprint  q  quit  r  redo  u  update_task\n\n";

/// What the user changed since the task began.
#[derive(Default)]
struct Session {
    args: Map,
    /// Variables that the next `update_task` takes over.
    pending: VarMap,
    vars: VarMap,
}

/// What a command asks for.
enum Next {
    Redo,
    Continue,
    Quit,
}

impl Run<'_> {
    /// Lets the user debug results; returns the results that count in the end.
    pub(super) async fn debugged(
        &mut self,
        state: &Batch<'_>,
        spec: &Arc<TaskSpec>,
        id: usize,
        done: Vec<Done>,
    ) -> Vec<Done> {
        let mut all = Vec::with_capacity(done.len());
        for mut one in done {
            let mut session = Session::default();
            while self.fault.is_none() && !one.again && self.stops(state, spec, &one) {
                match self.session(state, spec, &one, &mut session) {
                    Next::Redo => {
                        let (spec, scope) = self.changed(state, spec, &one.host, &session);
                        let host = vec![(one.host.clone(), scope)];
                        match self.dispatch(&spec, id, host, 1, vec![]).await.pop() {
                            Some(again) => one = again,
                            None => break,
                        }
                    }
                    Next::Quit => {
                        let text = "User interrupted execution";
                        self.message(MessageKind::Display, text);
                        self.abort(Diagnostic::error(QUIT, text));
                    }
                    Next::Continue => break,
                }
            }
            all.push(one);
        }
        all
    }

    /// Whether the run stops for a result.
    fn stops(&mut self, state: &Batch<'_>, spec: &TaskSpec, done: &Done) -> bool {
        let config = &self.shared.config;
        let failed = done.status == Status::Failed
            && !(done.ignored && config.bool("task_debugger_ignore_errors"));
        let unreachable = done.status == Status::Unreachable;
        let word = spec.keyword(Keyword::Debugger);
        let word = word.map(|raw| shown_name(&self.shared, raw, &self.early_scope(state.play)));
        match word.as_deref() {
            Some("always") => true,
            Some("never") => false,
            Some("on_failed") => failed,
            Some("on_unreachable") => unreachable,
            Some("on_skipped") => done.status == Status::Skipped,
            Some(other) => {
                let words = WORDS.join(", ");
                let text = format!(
                    "Error processing keyword 'debugger': '{other}' is not a valid value for debugger. Must be one of {words}"
                );
                let problem = Diagnostic::error("debugger", text);
                self.abort(match spec.keyword_span(Keyword::Debugger) {
                    Some(span) => problem.at(span),
                    None => problem,
                });
                false
            }
            None => (state.debug || config.bool("enable_task_debugger")) && (failed || unreachable),
        }
    }

    /// Commands until one of them goes on.
    fn session(
        &mut self,
        state: &Batch<'_>,
        spec: &Arc<TaskSpec>,
        done: &Done,
        session: &mut Session,
    ) -> Next {
        let mut last = String::new();
        loop {
            let (spec, scope) = self.changed(state, spec, &done.host, session);
            let task = self.info(&spec, 0, &scope);
            let prompt = format!("[{}] TASK: {} (debug)> ", done.host, task.name.trim());
            self.message(MessageKind::Question, prompt);
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            if !matches!(read, Ok(count) if count > 0) {
                return Next::Quit;
            }
            let mut line = line.trim().to_owned();
            if line.is_empty() {
                line.clone_from(&last);
            }
            last.clone_from(&line);
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            match word {
                "" => {}
                "r" | "redo" => return Next::Redo,
                "c" | "continue" => return Next::Continue,
                "q" | "quit" | "EOF" => return Next::Quit,
                "h" | "help" | "?" => self.message(MessageKind::Display, HELP),
                "u" | "update_task" => {
                    session.args.clear();
                    session.vars.extend(std::mem::take(&mut session.pending));
                }
                "p" | "pprint" => {
                    let seen = self.seen(&spec, &scope, done, session);
                    let text = self.print(rest.trim(), task.name.trim(), &seen);
                    self.message(MessageKind::Display, text);
                }
                _ => {
                    let seen = self.seen(&spec, &scope, done, session);
                    if let Err(text) = self.assign(&line, &seen, session) {
                        self.message(MessageKind::Display, text);
                    }
                }
            }
        }
    }

    /// The task and its scope with what the user changed.
    fn changed(
        &self,
        state: &Batch<'_>,
        spec: &Arc<TaskSpec>,
        host: &str,
        session: &Session,
    ) -> (Arc<TaskSpec>, HostScope) {
        let magic = self.batch_magic(state);
        let scope = self.task_scope(state, spec, host, &magic);
        let scope = scope.with(Level::Extra, session.vars.clone());
        let mut changed = (**spec).clone();
        let place = spec.span().clone();
        for (name, value) in &session.args {
            let value = Value::from_data(value);
            if name == "_raw_params" {
                changed.free_form = Some(value);
            } else {
                changed.args.insert(name.clone(), (place.clone(), value));
            }
        }
        (Arc::new(changed), scope)
    }

    /// The names that expressions may use: `task`, `task_vars`, `host`, `result`.
    fn seen(
        &self,
        spec: &TaskSpec,
        scope: &HostScope,
        done: &Done,
        session: &Session,
    ) -> HostScope {
        let templar = &self.shared.templar;
        let named = spec.args.iter();
        let named = named.map(|(name, (_, raw))| (name.as_str(), raw));
        let text = spec.free_form.iter().map(|raw| ("_raw_params", raw));
        let written: Vec<(&str, &Value)> = named.chain(text).collect();
        let rendered = written.iter().map(|(name, raw)| {
            let value = templar.expand(raw, scope).ok()?;
            (!value.is_undefined()).then(|| (Key::from(*name), value))
        });
        // Where one of them cannot be rendered they are shown as they were written.
        let args: Entries = rendered.collect::<Option<_>>().unwrap_or_else(|| {
            let plain = |raw: &Value| {
                raw.to_data()
                    .map_or(Value::None, |raw| Value::from_data(&raw))
            };
            let written = written.iter();
            written
                .map(|(name, raw)| (Key::from(*name), plain(raw)))
                .collect()
        });
        let name = spec.keyword(Keyword::Name);
        let name = name.map_or_else(String::new, |raw| shown_name(&self.shared, raw, scope));
        let task = Value::dict(Entries::from([
            (Key::from("name"), Value::str(name)),
            (
                Key::from("action"),
                Value::str(spec.task.ast.call.name.as_str()),
            ),
            (Key::from("args"), Value::dict(args)),
        ]));
        let result = to_dict(&done.result);
        let held = Value::dict(Entries::from([(Key::from("_result"), result.clone())]));
        let result = match result {
            Value::Dict(entries) => {
                let mut entries = entries.read().clone();
                if let Value::Dict(held) = held {
                    entries.extend(held.read().clone());
                }
                Value::dict(entries)
            }
            other => other,
        };
        // The variables of the task are what templates call `vars`.
        let vars = Scope::get(scope, "vars").unwrap_or(Value::None);
        let seen = VarMap::from([
            ("task".to_owned(), task),
            ("host".to_owned(), Value::str(done.host.as_str())),
            ("result".to_owned(), result),
            ("task_vars".to_owned(), vars),
        ]);
        let pending = scope.with(Level::Extra, session.pending.clone());
        pending.with(Level::Extra, seen)
    }

    fn print(&self, expression: &str, name: &str, seen: &HostScope) -> String {
        match expression {
            "task" => format!("TASK: {name}"),
            _ => match self.evaluate(expression, seen) {
                // A host shows its bare name.
                Ok(data) if expression == "host" => data.text(),
                Ok(data) => pretty(&data, 0),
                Err(text) => text,
            },
        }
    }

    /// The value of an expression; or the line that tells why there is none.
    fn evaluate(&self, expression: &str, seen: &HostScope) -> Result<Data, String> {
        let first = expression
            .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .next()
            .unwrap_or_default();
        let is_name = first.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        let constant = ["True", "False", "None", "true", "false", "none", "not"].contains(&first);
        if is_name && !constant && !["task", "task_vars", "host", "result"].contains(&first) {
            return Err(format!(
                "***NameError:NameError(\"name '{first}' is not defined\")"
            ));
        }
        let templar = &self.shared.templar;
        let found = templar.expression(expression, None::<&Span>, seen);
        let found = found.map_err(|error| format!("***{}", error.diagnostic.message))?;
        if found.is_undefined() {
            return Err(format!(
                "***KeyError:KeyError({})",
                Data::from(expression).repr()
            ));
        }
        found.to_data().map_err(|error| format!("***{error}"))
    }

    /// `task.args['x'] = 1` and `task_vars['x'] = 1`.
    fn assign(&self, line: &str, seen: &HostScope, session: &mut Session) -> Result<(), String> {
        let Some((into, name, expression)) = assignment(line) else {
            return self.evaluate(line, seen).map(|_| ());
        };
        let value = self.evaluate(expression, seen)?;
        match into {
            "task.args" => {
                session.args.insert(name.to_owned(), value);
            }
            _ => {
                session
                    .pending
                    .insert(name.to_owned(), Value::from_data(&value));
            }
        }
        Ok(())
    }
}

/// The parts of an assignment: the mapping, the key, the value.
fn assignment(line: &str) -> Option<(&str, &str, &str)> {
    let (left, value) = line
        .split_once('=')
        .filter(|(_, value)| !value.starts_with('='))?;
    let (into, key) = left.trim().strip_suffix(']')?.split_once('[')?;
    let key = key.trim();
    let quote = key
        .chars()
        .next()
        .filter(|letter| matches!(letter, '\'' | '"'))?;
    let key = key.strip_prefix(quote)?.strip_suffix(quote)?;
    ["task.args", "task_vars"]
        .contains(&into)
        .then_some((into, key, value.trim()))
}

/// A value as Python's `pprint` lays it out: in one line where it fits.
fn pretty(data: &Data, indent: usize) -> String {
    const WIDTH: usize = 80;
    let line = sorted(data).repr();
    if line.len() + indent < WIDTH {
        return line;
    }
    let gap = format!(",\n{}", " ".repeat(indent + 1));
    match sorted(data) {
        Data::List(items) => {
            let items = items.iter().map(|item| pretty(item, indent + 1));
            format!("[{}]", items.collect::<Vec<_>>().join(&gap))
        }
        Data::Map(map) => {
            let entries = map.iter().map(|(key, value)| {
                let key = Data::from(key.as_str()).repr();
                format!("{key}: {}", pretty(value, indent + key.len() + 3))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(&gap))
        }
        _ => line,
    }
}

/// The value with the keys of its mappings in order.
fn sorted(data: &Data) -> Data {
    match data {
        Data::List(items) => Data::List(items.iter().map(sorted).collect()),
        Data::Map(map) => {
            let mut map: Map = map
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            map.sort_keys();
            Data::Map(map)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::*;

    #[test]
    fn assignments_and_layout() {
        let line = "task.args[\"x\"] = 'a=b'";
        assert_eq!(assignment(line), Some(("task.args", "x", "'a=b'")));
        assert_eq!(assignment("task_vars['v'] == 1"), None);
        let long = "x".repeat(70);
        let data = Data::from(map! { "b" => long.as_str(), "a" => vec![1, 2] });
        assert_eq!(
            pretty(&data, 0),
            format!("{{'a': [1, 2],\n 'b': '{long}'}}")
        );
    }
}
