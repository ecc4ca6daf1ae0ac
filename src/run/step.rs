//! `--step`: the user says which tasks run.

use super::play::Batch;
use super::{Run, prompt};
use crate::diag::Diagnostic;
use crate::plan::PlanTask;
use crate::report::event::MessageKind;

impl Run<'_> {
    /// Asks whether a task is to run; `place` says where, if not on all hosts.
    pub(super) async fn take_step(
        &mut self,
        state: &mut Batch<'_>,
        task: &PlanTask,
        place: &str,
    ) -> bool {
        let kind = if task.handler { "HANDLER" } else { "TASK" };
        let name = task.full_name();
        let question = format!("Perform task: {kind}: {name}{place} (N)o/(y)es/(c)ontinue: ");
        self.message(MessageKind::Question, question.as_str());
        // On a thread of its own, so that an interrupt ends the run while nobody answers.
        let reply = tokio::task::spawn_blocking(prompt::reply).await;
        let Some(reply) = reply.ok().flatten() else {
            self.message(MessageKind::Display, "");
            let text = "--step: standard input has ended, nobody answers";
            self.abort(Diagnostic::error("step", text));
            return false;
        };
        self.message(MessageKind::Heading, question);
        match reply.to_lowercase().as_str() {
            "y" | "yes" => true,
            "c" | "continue" => {
                state.step = false;
                true
            }
            _ => false,
        }
    }
}
