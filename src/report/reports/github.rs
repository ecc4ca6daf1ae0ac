//! Annotations for GitHub: what failed, at the place of its task.

use super::place;
use crate::report::event::Status;
use crate::report::plan::Plan;

/// A line for each result that failed.
pub(super) fn annotations(run: &Plan) -> String {
    let failed = run
        .outcomes()
        .filter(|(_, _, outcome)| matches!(outcome.status, Status::Failed | Status::Unreachable));
    failed
        .map(|(task, host, outcome)| {
            let (file, line) = place(&task.path);
            let why = outcome.why.as_deref().unwrap_or("no message");
            format!(
                "::error file={},line={line},title={}::{}\n",
                property(&file),
                property(&task.name),
                message(&format!("{host}: {why}"))
            )
        })
        .collect()
}

/// Text of an annotation, in which lines end with `%0A`.
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
