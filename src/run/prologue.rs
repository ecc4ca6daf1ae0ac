//! What a batch does before its first task: variable files and facts.

use std::sync::Arc;

use indexmap::IndexMap;

use super::play::{Batch, problem_text};
use super::{PlannedPlay, Run};
use crate::diag::{Diagnostic, Severity};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{Frame, PlanTask};
use crate::report::event::MessageKind;
use crate::template::value::Value;
use crate::vars::{HostScope, VarMap};

impl Run<'_> {
    /// `vars_files`: each a file, or a list of which the first that exists counts.
    pub(super) fn vars_files(&mut self, state: &mut Batch<'_>, scope: &HostScope) -> bool {
        let Some(node) = state.play.plan.play.keywords.get(&Keyword::VarsFiles) else {
            return true;
        };
        let entries = match &node.kind {
            NodeKind::Seq(items) => items.clone(),
            NodeKind::Null => vec![],
            _ => vec![node.clone()],
        };
        for entry in &entries {
            match self.vars_file(state.play, entry, scope) {
                Ok(vars) => state.play_files.push(Arc::new(vars)),
                Err(problem) => {
                    let text = problem_text(&problem);
                    self.message(MessageKind::Error, text);
                    for host in state.batch.clone() {
                        self.host_failed(&host);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn vars_file(
        &mut self,
        play: &PlannedPlay,
        entry: &Node,
        scope: &HostScope,
    ) -> Result<VarMap, Box<Diagnostic>> {
        let alternatives = match &entry.kind {
            NodeKind::Seq(items) => items.clone(),
            _ => vec![entry.clone()],
        };
        let mut tried = vec![];
        for node in &alternatives {
            let name = self
                .shared
                .templar
                .expand(&Value::from_node(node), scope)
                .map_err(|error| error.diagnostic)?;
            let name = name.to_string();
            let places = [play.dir.join("vars").join(&name), play.dir.join(&name)];
            if let Some(path) = places.iter().find(|path| path.is_file()) {
                let checked = self.shared.planner.files.vars(path).map_err(Box::new)?;
                if let Some(problem) = checked
                    .problems
                    .iter()
                    .find(|problem| problem.severity == Severity::Error)
                {
                    return Err(Box::new(problem.clone()));
                }
                return Ok(checked.value);
            }
            tried.push(name);
        }
        let message = match tried.as_slice() {
            [one] => format!("vars file {one} was not found"),
            many => format!("vars files were not found: {}", many.join(", ")),
        };
        self.message(MessageKind::Warning, message);
        Ok(VarMap::new())
    }

    /// The implicit `Gathering Facts`.
    pub(super) async fn gather(&mut self, state: &mut Batch<'_>) {
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
            return;
        }
        let known = |run: &Self, host: &str| {
            run.world
                .memory
                .get(host)
                .is_some_and(|memory| !memory.facts.is_empty())
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
        if hosts.is_empty() {
            return;
        }
        let task = gathering_task(&state.play.plan.frame, state.play);
        self.run_on(state, &task, &hosts, true).await;
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
                    value: node.clone(),
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
