//! Why a task failed, as a chain of causes with their places.

use crate::diag::{Diagnostic, Span, advice, excerpt};
use crate::template::{CAUSED, SEALED, SYSTEM};

/// One link of the chain.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) message: String,
    pub(super) span: Option<Span>,
    pub(super) help: Option<String>,
    /// A link of its own even without a place.
    pub(super) apart: bool,
    /// What the user of a value was doing, where the cause is the value itself.
    pub(super) doing: Option<String>,
    /// The reason that the system gave: a link of its own behind this one.
    pub(super) why: Option<String>,
}

impl Cause {
    pub(super) fn new(message: impl Into<String>, span: Option<&Span>) -> Self {
        Self {
            message: message.into(),
            span: span.cloned(),
            help: None,
            apart: false,
            doing: None,
            why: None,
        }
    }

    /// A problem as the last link of a chain.
    pub(super) fn of(problem: &Diagnostic) -> Self {
        let span = problem.labels.first().map(|label| &label.span);
        let hints = problem.hints.iter();
        let mut help: Vec<String> = hints.map(|hint| advice(hint)).collect();
        help.extend(problem.causes.iter().cloned());
        let (doing, message) = match problem.message.split_once(": ") {
            Some((doing, why)) if problem.code == SEALED => (Some(doing.to_owned()), why),
            _ => (None, problem.message.as_str()),
        };
        let (message, why) = match message.split_once(SYSTEM) {
            Some((message, why)) if problem.code == CAUSED => {
                (message.trim_end_matches(": "), Some(why))
            }
            _ => (message, None),
        };
        Self {
            message: message.to_owned(),
            span: span.cloned(),
            help: (!help.is_empty()).then(|| help.join("\n")),
            apart: false,
            doing,
            why: why.map(|why| format!("{SYSTEM}{why}")),
        }
    }
}

/// A problem as the end of a chain: two links where a value cannot be used that is defined elsewhere.
pub(super) fn ends(problem: &Diagnostic) -> Vec<Cause> {
    let cause = Cause::of(problem);
    let used = problem.labels.get(1).map(|label| &label.span);
    let doing = cause.doing.as_deref();
    let mut causes: Vec<Cause> = doing
        .map(|doing| Cause::new(doing, used))
        .into_iter()
        .collect();
    causes.push(cause);
    causes
}

/// The messages of a chain in one line; the last one keeps its full stop.
pub(super) fn joined(causes: &[Cause]) -> String {
    let mut parts: Vec<&str> = causes
        .iter()
        .map(|cause| cause.message.trim_end_matches('.'))
        .collect();
    if let (Some(part), Some(cause)) = (parts.last_mut(), causes.last()) {
        *part = &cause.message;
        parts.extend(cause.why.as_deref());
    }
    parts.join(": ")
}

/// The chain as text: first everything in one line, then each link with its place.
pub(super) fn explain(causes: &[Cause]) -> String {
    let mut text = joined(causes);
    text.push('\n');
    // Links without a place are told by the first line.
    let mut links: Vec<String> = vec![];
    let mut carried = String::new();
    for (index, cause) in causes.iter().enumerate() {
        let is_last = index + 1 == causes.len();
        let head = if carried.is_empty() {
            cause.message.clone()
        } else {
            format!("{carried}: {}", cause.message)
        };
        let Some(span) = &cause.span else {
            if is_last {
                let help = cause.help.as_ref();
                links.push(match help {
                    None => format!("{head}\n"),
                    // Ansible's own advice goes on where the message is but a line.
                    Some(help)
                        if !head.contains('\n')
                            && !["help: ", "+--["].iter().any(|own| help.starts_with(own)) =>
                    {
                        format!("{head} {help}\n")
                    }
                    Some(help) => format!("{head}\n\n{help}\n"),
                });
            } else if cause.apart {
                links.push(format!("{head}.\n"));
            } else {
                carried = head;
            }
            continue;
        };
        carried.clear();
        let mut link = String::new();
        if causes.len() > 1 {
            let end = if is_last || head.ends_with('.') {
                ""
            } else {
                "."
            };
            link.push_str(&format!("{head}{end}\n"));
        }
        link.push_str(&excerpt(span));
        if let Some(help) = &cause.help {
            link.push_str(&format!("\n{help}\n"));
        }
        links.push(link);
    }
    let why = causes.iter().filter_map(|cause| cause.why.as_ref());
    links.extend(why.map(|why| format!("{why}\n")));
    if links.is_empty() {
        return text;
    }
    if causes.len() > 1 {
        text.push('\n');
    }
    text.push_str(&links.join("\n<<< caused by >>>\n\n"));
    text
}
