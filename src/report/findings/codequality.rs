//! Problems as GitLab's Code Quality reads them: a list of those parts of Code Climate's form that it knows.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Finding;
use crate::diag::Severity;
use crate::load::inputs::digest;

/// The text. A problem that is in no file is told of `elsewhere`, because GitLab shows no other ones.
pub(super) fn text(found: &[Finding], elsewhere: &str) -> String {
    let mut times: HashMap<String, usize> = HashMap::new();
    let issues = found.iter().map(|one| {
        let path = one.path.as_deref().unwrap_or(elsewhere);
        // A line that moves is the same problem; the same line twice is two.
        let about = [one.rule, path, &one.message, &one.context].join("\0");
        let time = times.entry(about.clone()).or_default();
        *time += 1;
        let fingerprint = digest(format!("{about}\0{time}").as_bytes());
        let severity = match one.severity {
            Severity::Error => "major",
            Severity::Warning => "minor",
            Severity::Deprecation => "info",
        };
        json!({
            "description": one.whole(),
            "check_name": one.rule,
            "fingerprint": fingerprint,
            "severity": severity,
            "location": {"path": path, "lines": {"begin": one.start.0}},
        })
    });
    let issues: Value = issues.collect();
    format!("{issues:#}\n")
}
