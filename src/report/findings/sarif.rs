//! Problems in SARIF 2.1.0.

use serde_json::{Value, json};

use super::Finding;
use crate::action::address::escaped_but;
use crate::diag::Severity;

/// Where the form is described.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The text.
pub(super) fn text(found: &[Finding]) -> String {
    let mut rules: Vec<&str> = found.iter().map(|one| one.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = found.iter().map(|one| result(one, &rules)).collect();
    let rules: Vec<Value> = rules.iter().map(|rule| json!({"id": rule})).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "rplay", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

fn result(one: &Finding, rules: &[&str]) -> Value {
    let level = match one.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Deprecation => "note",
    };
    let mut result = json!({
        "ruleId": one.rule,
        "ruleIndex": rules.binary_search(&one.rule).unwrap_or_default(),
        "level": level,
        "message": {"text": one.whole()},
    });
    if let Some(path) = &one.path {
        let (start, end) = (one.start, one.end);
        result["locations"] = json!([{"physicalLocation": {
            "artifactLocation": {"uri": uri(path)},
            "region": {"startLine": start.0, "startColumn": start.1, "endLine": end.0, "endColumn": end.1},
        }}]);
    }
    result
}

/// A path as a reference: relative, or with its scheme.
fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", escaped_but(path, b"/"))
}
