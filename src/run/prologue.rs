//! What a batch does before its first task: questions and facts.

use std::sync::Arc;

use indexmap::IndexMap;

use super::play::Batch;
use super::{PlannedPlay, Run, worker};
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::load::prompt::{Prompt, prompts};
use crate::plan::{Frame, PlanTask};
use crate::report::event::MessageKind;
use crate::template::crypt::{self, Wanted};
use crate::template::value::{Value, has_delimiters};
use crate::vars::VarMap;

impl Run<'_> {
    /// `--start-at-task`: moves the hosts there. Returns whether there is anything to do.
    pub(super) fn start_at(&mut self, state: &mut Batch<'_>) -> bool {
        let Some(wanted) = self.start_at.clone() else {
            return true;
        };
        let first = self.gathering(state);
        // Facts are the first task; they are gathered wherever else the play starts, too.
        let mut found = first.is_some_and(|(task, _)| is_called(&task, &wanted));
        if !found {
            for cursor in state.cursors.values_mut() {
                found |= cursor.seek(|task| is_called(task, &wanted));
            }
        }
        if found {
            self.start_at = None;
        }
        found
    }

    /// `vars_prompt`: asks for the play's variables; without a terminal their defaults count.
    pub(super) async fn prompt(&mut self, play: &PlannedPlay) {
        let Some(node) = play.plan.play.keywords.get(&Keyword::VarsPrompt) else {
            return;
        };
        let mut answers = VarMap::new();
        let scope = self.early_scope(play);
        for question in prompts(node, &mut vec![]) {
            if self.world.extra.contains_key(&question.name) {
                continue;
            }
            let default = question.default.as_ref().map(Value::from_node);
            let default = default.filter(|default| !matches!(default, Value::None));
            let default = default.map(|raw| worker::shown_name(&self.shared, &raw, &scope));
            // On a thread of its own, so that an interrupt ends the run while nobody answers.
            let asked = (question.clone(), default.clone());
            let answer = self.ask;
            let ask = move || answer(&asked.0, asked.1.as_deref());
            let answer = tokio::task::spawn_blocking(ask).await.ok().flatten();
            // A default stands in the playbook for everyone to read.
            let typed = answer.as_deref();
            let typed =
                typed.filter(|typed| question.private && Some(*typed) != default.as_deref());
            let is_typed = typed.is_some();
            if let Some(typed) = typed {
                self.shared.planner.files.secrets.hidden.add(typed);
            }
            let answer = answer.unwrap_or_else(|| {
                self.not_interactive();
                default.unwrap_or_else(|| Value::None.to_string())
            });
            let answer = match hashed(&question, answer, self.salt) {
                Ok(answer) => answer,
                Err(problem) => return self.abort(problem.at(&node.span)),
            };
            if is_typed && question.encrypt.is_some() {
                self.shared.planner.files.secrets.hidden.add(&answer);
            }
            // Who answers runs the playbook, and may say it in templates.
            let value = match question.is_unsafe || question.encrypt.is_some() {
                true => Value::str(answer),
                false => Value::template(answer, Some(question.place.clone())),
            };
            answers.declare(question.name, &question.place, value);
        }
        self.prompted = Arc::new(answers);
    }

    fn not_interactive(&mut self) {
        if !self.warned_not_interactive {
            self.warned_not_interactive = true;
            let text = "Not prompting as we are not in interactive mode";
            self.message(MessageKind::Warning, text);
        }
    }

    /// The implicit `Gathering Facts`, before the first task of all hosts.
    pub(super) async fn gather(&mut self, state: &mut Batch<'_>) {
        if let Some((task, hosts)) = self.gathering(state) {
            self.run_on(state, &task, &hosts, true).await;
        }
    }

    /// The task that gathers facts, and the hosts that need it.
    pub(super) fn gathering(&self, state: &Batch<'_>) -> Option<(Arc<PlanTask>, Vec<String>)> {
        let scope = self.early_scope(state.play);
        let wanted = self.play_flag(state.play, Keyword::GatherFacts, &scope);
        let policy = self
            .shared
            .config
            .text("gathering")
            .unwrap_or_else(|| "implicit".to_owned());
        let wanted = wanted.unwrap_or(policy != "explicit");
        let tags = ["always".to_owned(), "all".to_owned()];
        if !wanted || !self.shared.options.tags.selects(&tags) {
            return None;
        }
        let known = |run: &Self, host: &str| {
            run.world
                .memory
                .get(host)
                .is_some_and(|memory| memory.gathered())
        };
        let smart = policy == "smart"
            && self
                .play_flag(state.play, Keyword::GatherFacts, &scope)
                .is_none();
        let hosts: Vec<String> = state
            .batch
            .iter()
            .filter(|host| !(self.is_out(host) || smart && known(self, host)))
            .cloned()
            .collect();
        let task = || gathering_task(&state.play.plan.frame, state.play);
        (!hosts.is_empty()).then(|| (task(), hosts))
    }
}

/// The answer, hashed where the question says so.
fn hashed(
    question: &Prompt,
    answer: String,
    salt: fn(&Prompt) -> Option<String>,
) -> Result<String, Diagnostic> {
    let Some(way) = &question.encrypt else {
        return Ok(answer);
    };
    let wanted = Wanted {
        salt: question.salt.clone().or_else(|| salt(question)),
        salt_size: question.salt_size,
        ..Wanted::default()
    };
    crypt::hashed(&answer, way, &wanted).map_err(|fault| {
        let message = format!("`encrypt` of {}: {}", question.name, fault.inner());
        Diagnostic::error("vars-prompt", message)
    })
}

/// Whether `--start-at-task` means a task: its name, that of its role before it, or a pattern.
fn is_called(task: &PlanTask, wanted: &str) -> bool {
    let name = task.shown_name();
    let full = task.full_name();
    [name, full.as_str()]
        .into_iter()
        .any(|own| own == wanted || rplay_modules::text::fits(wanted, own))
}

/// A text as a list of it: in a play commas separate nothing, as they do in the module's arguments.
fn whole(node: &Node) -> Node {
    let kind = match &node.kind {
        NodeKind::Str(text) if !has_delimiters(text) && text.contains(',') => {
            NodeKind::Seq(vec![node.clone()])
        }
        kind => kind.clone(),
    };
    Node {
        span: node.span.clone(),
        kind,
    }
}

/// The task behind `gather_facts`.
fn gathering_task(frame: &Arc<Frame>, play: &PlannedPlay) -> Arc<PlanTask> {
    use crate::load::ast::{Call, CallArg, Keywords, Task};
    let span = play.plan.play.span.clone();
    let mut args = IndexMap::new();
    for (keyword, name) in [
        (Keyword::GatherSubset, "gather_subset"),
        (Keyword::GatherTimeout, "gather_timeout"),
        (Keyword::FactPath, "fact_path"),
    ] {
        if let Some(node) = play.plan.play.keywords.get(&keyword) {
            args.insert(
                name.to_owned(),
                CallArg {
                    key: node.span.clone(),
                    value: whole(node),
                },
            );
        }
    }
    let call = Call {
        name: "gather_facts".to_owned(),
        span: span.clone(),
        args,
        free_form: None,
        args_template: None,
        local: false,
    };
    let mut keywords = Keywords::new();
    keywords.insert(
        Keyword::Name,
        Node {
            span: span.clone(),
            kind: NodeKind::Str("Gathering Facts".to_owned()),
        },
    );
    let ast = Task {
        span,
        call,
        looping: None,
        keywords,
    };
    Arc::new(PlanTask {
        ast: Arc::new(ast),
        frame: Arc::clone(frame),
        tags: vec!["always".to_owned()],
        handler: false,
    })
}
