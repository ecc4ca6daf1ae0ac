//! One task: which of its keys are keywords, which one is the module, and what the module gets.

use std::sync::Arc;

use indexmap::IndexMap;

use super::ast::{Call, CallArg, Keywords, Loop, Task};
use super::keyword::{Keyword, Places};
use super::node::{Node, NodeKind};
use super::play::Reader;
use super::{actions, kv};
use crate::diag::{Diagnostic, Span, nearest};

/// The keys of a task by what they are.
#[derive(Default)]
struct Parts {
    /// `action` or `local_action`, with its key.
    action: Option<(Keyword, Node, Node)>,
    /// Keys that are no keywords: modules.
    modules: Vec<(Node, Node)>,
    args: Option<Node>,
    looping: Option<Loop>,
    keywords: Vec<(Keyword, Node, Node)>,
}

/// The task of a mapping; nothing when it has no module that can be called.
pub(super) fn read(
    reader: &mut Reader,
    span: Span,
    entries: Vec<(Node, Node)>,
    written: Places,
) -> Option<Task> {
    let parts = sort(reader, entries);
    let known = reader.problems.len();
    let (action, modules) = (parts.action, parts.modules);
    let call = call(reader, &span, action, modules, parts.args, written);
    at_task(&mut reader.problems[known..], &span);
    let call = call?;
    reader.check_reuse(&call, &span);
    let place = if actions::is_include(&call.name) {
        Places::INCLUDE
    } else {
        written
    };
    let mut keywords = Keywords::new();
    for (keyword, key, value) in parts.keywords {
        // A handler may include tasks under a topic.
        let listens = keyword == Keyword::Listen && written == Places::HANDLER;
        if keyword.allowed(place) || listens {
            reader.keyword(&mut keywords, keyword, value, place);
        } else {
            reader.unknown(&key, place, place.title());
        }
    }
    if let Some(looping) = &parts.looping
        && matches!(actions::short(&call.name), "import_tasks" | "import_role")
    {
        let name = actions::short(&call.name);
        let other = name.replace("import", "include");
        let text = format!(
            "You cannot use loops on '{name}' statements. You should use '{other}' instead."
        );
        reader.error("loop-on-import", text, &looping.span);
    }
    Some(Task {
        span,
        call,
        looping: parts.looping,
        keywords,
    })
}

fn sort(reader: &mut Reader, entries: Vec<(Node, Node)>) -> Parts {
    let mut parts = Parts::default();
    for (key, value) in entries {
        let Some(name) = key.as_str().map(str::to_owned) else {
            reader.error(
                "task-key",
                format!("a task's keys must be strings, got {}", key.kind_name()),
                &key.span,
            );
            continue;
        };
        match Keyword::from_name(&name) {
            Some(keyword @ (Keyword::Action | Keyword::LocalAction)) => match &parts.action {
                None => parts.action = Some((keyword, key, value)),
                Some(_) => reader.error(
                    "conflicting-actions",
                    "action and local_action are mutually exclusive",
                    &key.span,
                ),
            },
            Some(Keyword::Args) => parts.args = Some(value),
            Some(Keyword::Loop) => set_loop(reader, &mut parts, None, &key, value),
            Some(keyword) if keyword.allowed(Places::TASK) || keyword == Keyword::Listen => {
                parts.keywords.push((keyword, key, value));
            }
            _ => match name.strip_prefix("with_") {
                Some(lookup) if actions::LOOKUPS.contains(&lookup) || lookup.contains('.') => {
                    set_loop(reader, &mut parts, Some(lookup.to_owned()), &key, value);
                }
                Some(_) => reader.unknown(&key, Places::TASK, "Task"),
                None => parts.modules.push((key, value)),
            },
        }
    }
    parts
}

fn set_loop(
    reader: &mut Reader,
    parts: &mut Parts,
    lookup: Option<String>,
    key: &Node,
    items: Node,
) {
    let name = lookup.as_deref().unwrap_or("loop");
    if parts.looping.is_some() {
        reader.error(
            "duplicate-loop",
            format!("duplicate loop in task: {name}"),
            &key.span,
        );
    } else if items.is_null() && lookup.is_some() {
        reader.error(
            "empty-loop",
            format!("you must specify a value when using with_{name}"),
            &key.span,
        );
    } else if !items.is_null() {
        parts.looping = Some(Loop {
            lookup,
            span: key.span.clone(),
            items,
        });
    }
}

/// A quote that stays open is told at the task, as nobody knows what it has swallowed.
fn at_task(problems: &mut [Diagnostic], span: &Span) {
    for problem in problems {
        if problem.code == "unbalanced" {
            problem.labels.clear();
            *problem = problem.clone().at(span);
        }
    }
}

/// What a task calls.
fn call(
    reader: &mut Reader,
    span: &Span,
    action: Option<(Keyword, Node, Node)>,
    modules: Vec<(Node, Node)>,
    args: Option<Node>,
    place: Places,
) -> Option<Call> {
    if action.iter().count() + modules.len() > 1 {
        conflict(reader, span, action.as_ref(), &modules, place);
        return None;
    }
    let mut call = if let Some((keyword, key, value)) = action {
        from_action(reader, keyword, &key, value)?
    } else if let Some((key, value)) = modules.into_iter().next() {
        let name = key.as_str().unwrap_or_default().to_owned();
        let mut call = empty(name, key.span.clone());
        if !is_known(&call) {
            return Some(call);
        }
        arguments(reader, &mut call, value)?;
        call
    } else {
        let hint = "a task names one module as a key, such as `ansible.builtin.copy:`";
        let text = "no module/action detected in task.";
        reader
            .problems
            .push(Diagnostic::error("no-action", text).at(span).hint(hint));
        return None;
    };
    if let Some(args) = args {
        if matches!(args.kind, NodeKind::Map(_)) {
            deprecate_merging(reader, &call);
        }
        more_arguments(reader, &mut call, args)?;
    }
    take_raw_params(&mut call);
    let needs_file = matches!(actions::short(&call.name), "include_tasks" | "import_tasks");
    if needs_file
        && call.free_form.is_none()
        && call.args_template.is_none()
        && !call.args.contains_key("file")
    {
        reader.error(
            "include-without-file",
            format!("No file specified for {}", actions::short(&call.name)),
            &call.span,
        );
        return None;
    }
    Some(call)
}

fn empty(name: String, span: Span) -> Call {
    Call {
        name,
        span,
        args: IndexMap::new(),
        free_form: None,
        args_template: None,
        local: false,
    }
}

fn conflict(
    reader: &mut Reader,
    span: &Span,
    action: Option<&(Keyword, Node, Node)>,
    modules: &[(Node, Node)],
    place: Places,
) {
    let mut names: Vec<(String, Span)> = vec![];
    if let Some((_, key, value)) = action {
        let text = value
            .as_str()
            .and_then(|text| text.split_whitespace().next());
        let module = value.get("module").and_then(Node::as_str);
        let name = text
            .or(module)
            .unwrap_or_else(|| key.as_str().unwrap_or_default());
        names.push((name.to_owned(), key.span.clone()));
    }
    names.extend(modules.iter().map(|(key, _)| {
        (
            key.as_str().unwrap_or_default().to_owned(),
            key.span.clone(),
        )
    }));
    let text = format!(
        "conflicting action statements: {}, {}",
        names[0].0, names[1].0
    );
    // The stranger among them is the likely mistake.
    let stranger = names.iter().find(|(name, _)| !actions::is_callable(name));
    let (name, place_of) = stranger.unwrap_or(&names[1]);
    let mut problem = Diagnostic::error("conflicting-actions", text)
        .at(place_of)
        .label(span, "in this task");
    let meant = nearest(name, Keyword::names(place)).filter(|_| stranger.is_some());
    if let Some(meant) = meant {
        problem = problem.hint(format!(
            "`{name}` is neither a keyword nor a module; did you mean `{meant}`?"
        ));
    } else if stranger.is_some() {
        problem = problem.hint(format!("`{name}` is neither a keyword nor a module; arguments of a module stand one level deeper"));
    }
    reader.problems.push(problem);
}

/// Whether the arguments can be understood: those of a module that rplay does not have are left alone.
/// Whether there is one by that name is known where playbooks are planned.
fn is_known(call: &Call) -> bool {
    actions::is_callable(&call.name)
}

/// `action: module k=v`, `action: {module: x, k: v}` and the same for `local_action`.
fn from_action(reader: &mut Reader, keyword: Keyword, key: &Node, value: Node) -> Option<Call> {
    let local = keyword == Keyword::LocalAction;
    let kind = value.kind_name();
    let mut call = match value.kind {
        NodeKind::Str(ref text) => {
            let name = text.trim_start();
            let start = text.len() - name.len();
            let length = first_word(name);
            // Ansible points at a template where its text starts.
            let inside = match crate::template::value::has_delimiters(&name[..length]) {
                true => value.span.clone(),
                false => part(&value, start, start + length),
            };
            let mut call = empty(name[..length].to_owned(), inside);
            let rest = Node {
                span: part(&value, start + length, text.len()),
                kind: NodeKind::Str(name[length..].trim_start().to_owned()),
            };
            if is_known(&call) && !name[length..].trim().is_empty() {
                arguments(reader, &mut call, rest)?;
            }
            call
        }
        NodeKind::Map(entries) => {
            let what = "Using a mapping for `action` is deprecated.";
            let problem = Diagnostic::deprecation("action-mapping", what, "2.23");
            let problem = problem.hint("Use a string value for `action`.");
            reader.problems.push(problem.at(&value.span));
            let (module, rest): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|(key, _)| key.as_str() == Some("module"));
            let Some((text, span)) = module
                .into_iter()
                .next()
                .and_then(|(_, name)| Some((name.as_str()?.to_owned(), name.span)))
            else {
                reader.error("no-action", "no module/action detected in task.", &key.span);
                return None;
            };
            let (name, text) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            let mut call = empty(name.to_owned(), span.clone());
            if !is_known(&call) {
                return Some(Call { local, ..call });
            }
            if !text.trim().is_empty() {
                arguments(
                    reader,
                    &mut call,
                    Node {
                        span,
                        kind: NodeKind::Str(text.to_owned()),
                    },
                )?;
            }
            arguments(
                reader,
                &mut call,
                Node {
                    span: value.span,
                    kind: NodeKind::Map(rest),
                },
            )?;
            call
        }
        _ => {
            reader.error(
                "action-type",
                format!("unexpected parameter type in action: {kind}"),
                &value.span,
            );
            return None;
        }
    };
    call.local = local;
    Some(call)
}

/// The length of the first word; a template is one word, whatever is in it.
fn first_word(text: &str) -> usize {
    let from = match (text.starts_with("{{"), text.find("}}")) {
        (true, Some(end)) => end + 2,
        _ => 0,
    };
    let end = text[from..].find(char::is_whitespace);
    end.map_or(text.len(), |end| from + end)
}

/// Takes in the value under a module's name.
fn arguments(reader: &mut Reader, call: &mut Call, value: Node) -> Option<()> {
    let kind = value.kind_name();
    match value.kind {
        NodeKind::Null => {}
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                argument(reader, call, &key, value);
            }
        }
        NodeKind::Str(ref text) if is_template(text) && !actions::takes_text(&call.name) => {
            args_template(reader, call, value)
        }
        NodeKind::Str(ref text) => {
            let text = text.clone();
            words(reader, call, &text, &value)?;
        }
        NodeKind::Unsafe(_) | NodeKind::Vault(_) if actions::takes_text(&call.name) => {
            call.free_form = Some(value)
        }
        _ => {
            reader.error(
                "action-type",
                format!("unexpected parameter type in action: {kind}"),
                &value.span,
            );
            return None;
        }
    }
    Some(())
}

fn argument(reader: &mut Reader, call: &mut Call, key: &Node, value: Node) {
    match key.as_str() {
        Some(name) => {
            call.args.insert(
                name.to_owned(),
                CallArg {
                    key: key.span.clone(),
                    value,
                },
            );
        }
        None => reader.error(
            "argument-name",
            format!(
                "an argument's name must be a string, got {}",
                key.kind_name()
            ),
            &key.span,
        ),
    }
}

fn words(reader: &mut Reader, call: &mut Call, text: &str, whole: &Node) -> Option<()> {
    let parsed = match kv::parse_kv(text, actions::is_command(&call.name)) {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = format!("Error loading tasks: {error}");
            reader.error("unbalanced", text, &whole.span);
            return None;
        }
    };
    for (name, word) in parsed.options {
        let span = part(whole, word.start, word.end);
        let value = Node {
            span: span.clone(),
            kind: NodeKind::Str(word.value),
        };
        call.args.insert(name, CallArg { key: span, value });
    }
    let rest = parsed.free_form.map(|text| Node {
        span: whole.span.clone(),
        kind: NodeKind::Str(text),
    });
    match rest {
        // `debug: msg=x {{ more }}`: what is left is a template of arguments.
        Some(rest)
            if !actions::takes_text(&call.name) && rest.as_str().is_some_and(is_template) =>
        {
            args_template(reader, call, rest);
        }
        rest => call.free_form = rest,
    }
    Some(())
}

/// The place of a part of a text, when the text stands in the file as it is; else all of it.
fn part(whole: &Node, start: usize, end: usize) -> Span {
    let source = &whole.span.source;
    let text = source
        .text
        .get(whole.span.start as usize..whole.span.end as usize)
        .unwrap_or_default();
    let quote = u32::from(text.starts_with(['"', '\'']));
    let inner = text.get(quote as usize..).unwrap_or_default();
    match whole.as_str() {
        Some(value) if inner.starts_with(value) => {
            let at = |offset: usize| {
                whole.span.start + quote + u32::try_from(offset).unwrap_or_default()
            };
            Span {
                source: Arc::clone(source),
                start: at(start),
                end: at(end),
            }
        }
        _ => whole.span.clone(),
    }
}

/// Arguments written as `k=v` and as a mapping at once are merged for a while only.
fn deprecate_merging(reader: &mut Reader, call: &Call) {
    let mut legacy = call.args.iter().filter(|(_, arg)| {
        // A name of its own stands before the value, not around it.
        arg.key.start == arg.value.span.start
    });
    let names: Vec<String> = legacy
        .clone()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let Some((_, first)) = legacy.next() else {
        return;
    };
    let what = format!(
        "Merging legacy k=v args ({}) into task args.",
        names.join(", ")
    );
    let problem = Diagnostic::deprecation("merged-args", &what, "2.23");
    let problem = problem.hint("Include all task args in the task `args` mapping.");
    reader.problems.push(problem.at(&first.key));
}

/// Takes in `args`: the task's own arguments win.
fn more_arguments(reader: &mut Reader, call: &mut Call, args: Node) -> Option<()> {
    match args.kind {
        NodeKind::Null => {}
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                if key
                    .as_str()
                    .is_none_or(|name| !call.args.contains_key(name))
                {
                    argument(reader, call, &key, value);
                }
            }
        }
        NodeKind::Str(ref text) if is_template(text) => args_template(reader, call, args),
        _ => {
            let text = "Complex args containing variables cannot use bare variables (without Jinja2 delimiters), and must use the full variable style ('{{var_name}}')";
            reader.error("args", text, &args.span);
            return None;
        }
    }
    Some(())
}

/// A template in place of the arguments: what comes out of it may be anything.
fn args_template(reader: &mut Reader, call: &mut Call, template: Node) {
    let text = "Using a template for task args is unsafe in some situations (see https://docs.ansible.com/ansible/devel/reference_appendices/faq.html#argsplat-unsafe).";
    let problem = Diagnostic::warning("args-template", text);
    reader.problems.push(problem.at(&template.span));
    call.args_template = Some(template);
}

/// `_raw_params` is how scripts write the free-form text as an argument.
fn take_raw_params(call: &mut Call) {
    if call.free_form.is_none()
        && let Some(raw) = call.args.shift_remove("_raw_params")
    {
        call.free_form = Some(raw.value);
    }
}

/// Whether a text is a template from its first to its last character.
fn is_template(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}")
}
