//! The counts that GitLab's widget of plans reads: `{"create":1,"update":2,"delete":0}`.

use crate::report::event::Status;
use crate::report::plan::{Difference, Outcome, Plan};

/// The document.
pub(super) fn text(run: &Plan) -> String {
    let (mut create, mut update, mut delete) = (0, 0, 0);
    for (_, _, outcome) in run.outcomes() {
        // What check mode does not know is no change that is planned.
        if outcome.status != Status::Changed || outcome.unknown.is_some() {
            continue;
        }
        match kind(outcome) {
            Change::Create => create += 1,
            Change::Update => update += 1,
            Change::Delete => delete += 1,
        }
    }
    format!("{{\"create\":{create},\"update\":{update},\"delete\":{delete}}}\n")
}

enum Change {
    Create,
    Update,
    Delete,
}

/// What a change is, by its difference: something that comes from nothing, or goes to it.
fn kind(outcome: &Outcome) -> Change {
    let any = |is: fn(&Difference) -> bool| outcome.diff.iter().any(is);
    if any(|diff| absent(&diff.after) && !absent(&diff.before)) {
        Change::Delete
    } else if any(|diff| absent(&diff.before) || comes(diff)) {
        Change::Create
    } else {
        Change::Update
    }
}

/// The attributes of something that is not there.
fn absent(side: &str) -> bool {
    side.contains("\"state\": \"absent\"")
}

/// A content where there was no file.
fn comes(diff: &Difference) -> bool {
    let nameless = diff.before_header.as_deref().unwrap_or_default().is_empty();
    diff.before.is_empty() && nameless && !diff.after.is_empty()
}
