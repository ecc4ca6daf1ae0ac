//! What users read of a task that failed, and the result it leaves.

use rplay_modules::data::{Data, Map};

use super::failure::{Cause, ends, explain, joined};
use super::worker::{ItemResult, Worker, mark};
use crate::action::{ActionError, TaskResult};
use crate::diag::{Diagnostic, Span, nearest};
use crate::load::actions;
use crate::load::keyword::Keyword;
use crate::plan::Frame;
use crate::report::event::MessageKind;
use crate::template::value::Value;
use crate::template::{Scope, TemplateError, WHILE};

impl Worker<'_> {
    /// Tells why a module or action failed, with the place of its task.
    pub(super) fn explain_failure(&self, one: &mut ItemResult) {
        if one.by_condition {
            let text =
                "Task failed: Action failed: A 'failed_when' expression evaluated to 'True'.";
            let cause = Cause::new(text, Some(&self.action_span()));
            return self.tell(&[cause]);
        }
        let msg = match one.result.get("msg") {
            None | Some(Data::Null) => None,
            Some(msg) => Some(Value::from_data(msg).to_string()).filter(|msg| !msg.is_empty()),
        };
        let Some(msg) = msg else {
            let text = match rplay_modules::registry::find(&self.job.spec.action) {
                Some(_) => "Task failed: Module failed: Unknown error.",
                None => "Task failed: Action failed: Unknown error.",
            };
            one.result.insert("msg".to_owned(), Data::from(text));
            let mut cause = Cause::new(text, Some(&self.action_span()));
            // What `include_vars` says stands elsewhere in its result.
            let why = one.result.get("message").and_then(Data::as_str);
            let hidden = self.flag(Keyword::NoLog, &self.job.scope);
            cause.help = why.filter(|_| !hidden).map(str::to_owned);
            return self.tell(&[cause]);
        };
        let action = self.job.spec.action.as_str();
        // `raw` is an action of its own there: nothing but the command reaches the host.
        let is_module = action == "template"
            || action != "raw" && rplay_modules::registry::find(action).is_some();
        let who = if one.explanation.is_some() || (is_module && !one.by_action) {
            "Module"
        } else {
            "Action"
        };
        // The message of a module is as much its result as the rest.
        let msg = match self.flag(Keyword::NoLog, &self.job.scope) {
            true => "(censored due to no_log)",
            false => one.explanation.as_deref().unwrap_or(&msg),
        };
        let head = format!("Task failed: {who} failed");
        if let Some(Data::Map(failed)) = one.result.get("failed_modules") {
            let head = Cause::new(head, Some(&self.action_span()));
            let mut parts = Cause::new(msg, None);
            parts.help = Some(sub_events(failed));
            return self.tell(&[head, parts]);
        }
        let cause = Cause::new(format!("{head}: {msg}"), Some(&self.action_span()));
        self.tell(&[cause]);
    }

    /// Tells why the task failed, but for what `no_log` hides.
    pub(super) fn tell(&self, causes: &[Cause]) {
        let text = if self.flag(Keyword::NoLog, &self.job.scope) {
            let mut shown = causes.to_vec();
            for cause in &mut shown {
                cause.message = censored(&cause.message);
                cause.span = cause.span.take().map(|span| self.visible(span));
                cause.help = None;
            }
            explain(&shown)
        } else {
            explain(causes)
        };
        self.say(MessageKind::TaskError, text);
    }

    /// Where Ansible points for a task: its beginning.
    pub(super) fn action_span(&self) -> Span {
        self.visible(self.job.spec.task.ast.span.clone())
    }

    /// Where the action's name stands.
    fn call_span(&self) -> Span {
        self.visible(self.job.spec.task.ast.call.span.clone())
    }

    fn visible(&self, span: Span) -> Span {
        if !self.flag(Keyword::NoLog, &self.job.scope) {
            return span;
        }
        // The task's own text may hold what `no_log` hides.
        let path = span.path().to_path_buf();
        let blank = crate::diag::Source::vaulted(path, span.source.text.as_str());
        Span {
            source: blank,
            ..span
        }
    }

    pub(super) fn condition_failed(
        &self,
        one: &mut ItemResult,
        error: TemplateError,
        keyword: &str,
        span: Option<&Span>,
    ) {
        one.failed = true;
        one.told = true;
        one.result.insert(
            format!("{keyword}_result"),
            Data::from(error.diagnostic.message.as_str()),
        );
        let failed = self.error_after(
            "Task failed: Action failed",
            condition_error(keyword, error, span),
        );
        // What the module itself says stays.
        let says = |msg: &Data| msg.as_str().is_some_and(|msg| !msg.is_empty());
        let own = one.result.get("msg").cloned().filter(says);
        one.result.extend(failed.result);
        one.result.extend(own.map(|msg| ("msg".to_owned(), msg)));
        mark(one);
    }

    /// A failed result with its explanation.
    pub(super) fn error(&self, error: ActionError) -> ItemResult {
        self.error_after("Task failed", error)
    }

    /// A failed result with its explanation, which begins with `what`.
    fn error_after(&self, what: &str, mut error: ActionError) -> ItemResult {
        if let Some(error) = error.template() {
            suggest(&mut error.diagnostic, &self.job.scope);
        }
        let by_connection = matches!(error, ActionError::NoPlugin(_));
        let mut one = match self.causes(what, error) {
            Ok(causes) => self.template_failed(&causes),
            Err(error) => self.failed(error),
        };
        if by_connection {
            one.delegated_to = self.delegate(&self.job.scope).ok().flatten();
        }
        one.result
            .insert("failed".to_owned(), Data::Bool(one.failed));
        one
    }

    /// What an error is told as that is a chain of causes; another error is given back.
    fn causes(&self, what: &str, error: ActionError) -> Result<Vec<Cause>, ActionError> {
        let here = |what: &str| Cause::new(what, Some(&self.action_span()));
        Ok(match error {
            ActionError::Bare(message) | ActionError::NoPlugin(message) => {
                vec![here(&format!("Task failed: {message}"))]
            }
            ActionError::Keyword {
                name,
                place,
                message,
            } => vec![
                here("Task failed"),
                Cause::new(format!("Error processing keyword '{name}'"), place.as_ref()),
                Cause::new(message, place.as_ref()),
            ],
            ActionError::Argument { name, place, error } => {
                let what = format!("Error while resolving value for '{name}'");
                let mut causes = self.finalization();
                causes.extend(links(what, place, Cause::of(&error.diagnostic)));
                causes
            }
            ActionError::Expression {
                what: doing,
                place,
                error,
            } => {
                let mut causes = vec![here(what)];
                causes.extend(links(doing.to_owned(), place, Cause::of(&error.diagnostic)));
                causes
            }
            ActionError::Condition {
                keyword,
                place,
                error,
            } => self.condition_causes(what, &keyword, place, &error),
            ActionError::NoMapping { kind, place } => {
                let wrong = format!("Task args must resolve to a 'dict' not '{kind}'.");
                let mut causes = self.finalization();
                causes.push(Cause::new(wrong, place.as_ref()));
                causes
            }
            ActionError::Template(error) => {
                let mut causes = vec![here(what)];
                causes.extend(ends(&error.diagnostic));
                causes
            }
            other => return Err(other),
        })
    }

    /// A failed result by an error that is no chain of causes.
    fn failed(&self, error: ActionError) -> ItemResult {
        let mut one = ItemResult::default();
        let say = |message: &str| {
            let cause = Cause::new(format!("Task failed: {message}"), Some(&self.action_span()));
            self.tell(&[cause]);
        };
        match error {
            ActionError::Unreachable(msg) => {
                one.unreachable = true;
                one.delegated_to = self.delegate(&self.job.scope).ok().flatten();
                one.ignored = self.flag(Keyword::IgnoreUnreachable, &self.job.scope);
                one.result = rplay_modules::map! { "changed" => false, "msg" => format!("Task failed: {msg}"), "unreachable" => true };
                say(&msg);
            }
            ActionError::Failed(failure) => {
                let result = TaskResult::from(Err(*failure));
                let adopted = self.adopt(result, vec![], None, None, &self.job.scope);
                one = adopted.unwrap_or_default();
            }
            ActionError::Arguments(problem) => {
                one.failed = true;
                one.result = self.wrong_arguments(&problem);
            }
            ActionError::Denied(message) => {
                one.failed = true;
                say(&message);
                one.result = rplay_modules::map! { "changed" => false, "msg" => message };
            }
            ActionError::TimedOut(seconds) => {
                one.failed = true;
                let text = format!("Timed out after {seconds} second(s).");
                say(&text);
                let timedout = rplay_modules::map! {
                    "frame" => "Configure `DISPLAY_TRACEBACK` to see a traceback on timeout errors.",
                    "period" => seconds
                };
                one.result = rplay_modules::map! {
                    "changed" => false, "msg" => format!("Task failed: {text}"), "timedout" => timedout
                };
            }
            ActionError::Refused {
                what,
                message,
                help,
            } => {
                one.failed = true;
                one.result = self.refused(what, &message, help);
            }
            // `causes` has the others.
            _ => one.failed = true,
        }
        one
    }

    /// The chain of a condition that failed, which begins with `what`.
    fn condition_causes(
        &self,
        what: &str,
        keyword: &str,
        place: Option<Span>,
        error: &TemplateError,
    ) -> Vec<Cause> {
        let mut causes = vec![Cause::new(what, Some(&self.action_span()))];
        let article = if keyword == "until" { "An" } else { "A" };
        let failed = format!("{article} '{keyword}' expression failed");
        let mut cause = Cause::of(&error.diagnostic);
        if let Some((_, inner)) = cause.message.split_once(&format!("{WHILE}: ")) {
            cause.message = inner.to_owned();
        }
        match error.diagnostic.code {
            // The value is wrong, not its evaluation: two links even at one place.
            crate::template::BROKEN_CONDITIONAL => {
                causes.push(Cause::new(failed, place.as_ref()));
                causes.push(cause);
            }
            crate::template::EXPRESSION_SYNTAX => causes.extend(links(failed, place, cause)),
            crate::template::ENDLESS => causes.push(Cause {
                message: format!("{failed}: {}", cause.message),
                ..cause
            }),
            crate::template::SEALED => causes.extend(links(failed, place, cause)),
            _ if error.undefined => {
                causes.extend(links(format!("{failed}: {WHILE}"), place, cause));
            }
            _ => {
                // Where it comes up is the only place, also in a variable that the condition uses.
                let within = |place: &Span| {
                    let inside = cause.span.as_ref();
                    inside.is_none_or(|inside| place.contains(inside))
                };
                causes.extend(links(failed, place.filter(within), cause));
            }
        }
        causes
    }

    /// The first links of the chain when arguments cannot be rendered.
    fn finalization(&self) -> Vec<Cause> {
        let failed = format!(
            "Finalization of task args for '{}' failed",
            actions::full_name(&self.job.spec.action)
        );
        let name = &self.job.spec.task.ast.call.span;
        if name.source.is_described() && !self.flag(Keyword::NoLog, &self.job.scope) {
            // The command line gives task and module apart.
            return vec![
                Cause::new("Task failed", Some(&self.action_span())),
                Cause::new(failed, Some(name)),
            ];
        }
        let (task, call) = (self.action_span(), self.call_span());
        // A task that begins with its action is one place.
        let first = (task.line_column() != call.line_column()).then_some(&task);
        vec![
            Cause::new("Task failed", first),
            Cause::new(failed, Some(&call)),
        ]
    }

    /// Tells every wrong argument at once.
    fn wrong_arguments(&self, problem: &Diagnostic) -> Map {
        let who = match problem.code {
            crate::action::NOT_AN_OPTION => "",
            _ => "Module failed: ",
        };
        let text = format!("Task failed: {who}{}", problem.message);
        let mut cause = Cause::new(text, Some(&self.action_span()));
        let hints = problem.hints.iter().map(|hint| format!("help: {hint}"));
        let others = problem.causes.iter().map(|cause| format!("also: {cause}"));
        let help: Vec<String> = hints.chain(others).collect();
        cause.help = (!help.is_empty()).then(|| help.join("\n"));
        self.tell(&[cause]);
        rplay_modules::map! { "changed" => false, "msg" => problem.message.as_str() }
    }

    /// Tells why nothing was done, and what the user may try.
    fn refused(&self, what: &str, message: &str, help: Option<String>) -> Map {
        let (head, msg) = match what {
            "" => ("Task failed".to_owned(), message.to_owned()),
            // Some results say this much of what the message begins with.
            "Task failed" => (what.to_owned(), format!("{what}: {message}")),
            what => (format!("Task failed: {what}"), format!("{what}: {message}")),
        };
        let mut reason = Cause::new(message, None);
        reason.help = help;
        let head = Cause::new(head, Some(&self.action_span()));
        self.tell(&[head, reason]);
        rplay_modules::map! { "changed" => false, "msg" => msg }
    }

    /// A failure before anything ran.
    pub(super) fn template_failed(&self, causes: &[Cause]) -> ItemResult {
        let text = joined(causes);
        self.tell(causes);
        let ignored = self.flag(Keyword::IgnoreErrors, &self.job.scope);
        ItemResult {
            failed: true,
            ignored,
            result: rplay_modules::map! { "changed" => false, "msg" => text },
            ..ItemResult::default()
        }
    }
}

/// What each of several modules failed with.
fn sub_events(failed: &Map) -> String {
    let mut text = String::new();
    for (index, result) in failed.values().enumerate() {
        let msg = match result {
            Data::Map(result) => result.get("msg").and_then(Data::as_str),
            _ => None,
        };
        text.push_str(&format!(
            "+--[ Sub-Event {} of {} ]---\n| \n",
            index + 1,
            failed.len()
        ));
        for line in msg.unwrap_or_default().lines() {
            text.push_str(&format!("| {line}\n"));
        }
        text.push_str("| \n");
    }
    text.push_str("+--[ End Sub-Event ]---");
    text
}

/// A message without what it may tell of values: names of what failed stay, and of variables.
fn censored(message: &str) -> String {
    const PLAIN: &[&str] = &[
        "Task failed",
        "Action failed",
        "Module failed",
        "Finalization of task args for ",
        "Error while resolving value for ",
        "Error processing keyword ",
        WHILE,
        "A '",
        "An '",
        "Unexpected AnsibleActionFail error",
    ];
    if message.ends_with("is undefined") {
        return message.to_owned();
    }
    let parts: Vec<&str> = message.split(": ").collect();
    let is_plain = |part: &&&str| PLAIN.iter().any(|plain| part.starts_with(plain));
    let kept: Vec<&str> = parts.iter().take_while(is_plain).copied().collect();
    if kept.len() == parts.len() {
        return message.to_owned();
    }
    let hidden = "(censored due to no_log)";
    kept.iter()
        .chain([&hidden])
        .copied()
        .collect::<Vec<_>>()
        .join(": ")
}

/// Where the file of a task is included or imported, if it is.
pub(super) fn included(frame: &Frame) -> String {
    /// Those of files that include themselves say little.
    const SHOWN: usize = 8;
    let lines: Vec<String> = frame
        .origins()
        .take(SHOWN)
        .map(|place| format!("included at {place}\n"))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{}", lines.concat())
}

/// Adds the variable that a misspelt name may mean.
pub(super) fn suggest(problem: &mut Diagnostic, scope: &dyn Scope) {
    /// Of shorter names every other one is near.
    const LONG_ENOUGH: usize = 4;
    let said = problem.message.rsplit(": ").next();
    let name = said.and_then(|text| text.strip_suffix("' is undefined")?.strip_prefix('\''));
    if without_facts(problem, name, scope) {
        let hint = "no facts of this host are known: `gather_facts: true` in the play gathers them, and so does the module `setup`";
        problem.hints = vec![hint.to_owned()];
        return;
    }
    let Some(name) = name.filter(|name| name.len() >= LONG_ENOUGH) else {
        return;
    };
    let names = scope.names();
    let own = names.iter().map(String::as_str);
    let near = nearest(name, own.filter(|known| !known.starts_with("ansible_")));
    if let Some(near) = near.filter(|near| near.len() >= LONG_ENOUGH && *near != name) {
        let hint = format!("did you mean `{near}`?");
        problem.hints.insert(0, hint);
    }
}

/// Whether a fact is missing because none was gathered.
fn without_facts(problem: &Diagnostic, name: Option<&str>, scope: &dyn Scope) -> bool {
    let of_facts = |label: &crate::diag::Label| {
        let span = &label.span;
        !span.source.secret
            && span
                .source
                .line(span.line_column().0)
                .contains("ansible_facts")
    };
    let wanted = match name {
        Some(name) => name.starts_with("ansible_"),
        None => {
            problem.message.contains("has no attribute")
                && problem.labels.first().is_some_and(of_facts)
        }
    };
    let unknown = |facts: &Value| matches!(facts, Value::Dict(facts) if facts.read().is_empty());
    wanted
        && scope
            .get("ansible_facts")
            .is_none_or(|facts| unknown(&facts))
}

/// The error of a condition, at the condition.
pub(super) fn condition_error(
    keyword: &str,
    error: TemplateError,
    place: Option<&Span>,
) -> ActionError {
    ActionError::Condition {
        keyword: keyword.to_owned(),
        place: place.cloned(),
        error,
    }
}

/// What failed at a place of the playbook, and why: one link when the cause is there, too, two when
/// it is in another variable.
fn links(what: String, place: Option<Span>, cause: Cause) -> Vec<Cause> {
    let what = match &cause.doing {
        Some(doing) => format!("{what}: {doing}"),
        None => what,
    };
    match (&place, &cause.span) {
        (Some(value), Some(inside)) if !value.contains(inside) => {
            vec![Cause::new(what, Some(value)), cause]
        }
        _ => vec![Cause {
            message: format!("{what}: {}", cause.message),
            span: nearest_place(place, cause.span),
            help: cause.help,
            apart: false,
            doing: None,
            why: cause.why,
        }],
    }
}

/// The place that Ansible names is where the value starts; within a long text the line is worth more.
fn nearest_place(value: Option<Span>, inside: Option<Span>) -> Option<Span> {
    match (value, inside) {
        (Some(value), Some(inside)) => {
            let same_line = value.line_column().0 == inside.line_column().0;
            Some(if same_line { value } else { inside })
        }
        (value, inside) => value.or(inside),
    }
}
