//! Events, and the views of them. Nothing else writes to standard output or error.

mod default;
mod diff;
mod dump;
pub mod event;
pub(crate) mod findings;
#[cfg(test)]
mod golden;
pub(crate) mod graph;
mod json;
mod junit;
mod log;
mod mask;
mod matcher;
mod minimal;
mod oneline;
mod output;
mod palette;
pub mod plan;
mod pretty;
mod profile;
mod progress;
mod record;
mod reports;
mod result;
pub(crate) mod runs;
mod tree;
mod yaml;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Config;
use crate::diag::{Diagnostic, Severity};
use crate::secrets::Secrets;
use event::Event;

pub(crate) use mask::Kept;
pub use record::read;
pub(crate) use reports::{
    help as report_help, is_of_problems, open as open_report, open_problems as open_problem_reports,
};

/// A consumer of a run's events.
pub trait View {
    /// Shows what happened.
    fn event(&mut self, event: &Event);
}

/// The settings of views.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Colours are used.
    pub color: bool,
    /// The colours.
    pub(crate) palette: palette::Palette,
    /// `verbose_to_stderr`.
    pub verbose_to_stderr: bool,
    /// Columns of the terminal; 0 where there is none.
    pub columns: usize,
    /// `display_ok_hosts`.
    pub display_ok: bool,
    /// `display_skipped_hosts`.
    pub display_skipped: bool,
    /// `display_included_hosts`.
    pub display_included: bool,
    /// `show_per_host_start`.
    pub per_host_start: bool,
    /// `display_failed_stderr`.
    pub failed_stderr: bool,
    /// `display_args_to_stdout`.
    pub display_args: bool,
    /// `show_custom_stats`.
    pub show_custom_stats: bool,
    /// `show_task_path_on_failure`.
    pub task_path_on_failure: bool,
    /// `check_mode_markers`.
    pub check_markers: bool,
    /// `deprecation_warnings`.
    pub deprecation_warnings: bool,
    /// `callback_result_format` is `yaml`.
    pub yaml: bool,
    /// What commands wrote is shown unescaped, as the `debug` callback does.
    pub unescaped: bool,
    /// `callback_format_pretty`.
    pub pretty: Option<bool>,
    /// `callback_result_indentation`.
    pub indent: usize,
    /// The column after which results in YAML are folded.
    pub width: usize,
    /// Lines of context in a difference.
    pub diff_context: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            color: false,
            palette: palette::Palette::default(),
            verbose_to_stderr: false,
            columns: 0,
            display_ok: true,
            display_skipped: true,
            display_included: true,
            per_host_start: false,
            failed_stderr: false,
            display_args: false,
            show_custom_stats: false,
            task_path_on_failure: false,
            check_markers: false,
            deprecation_warnings: true,
            yaml: false,
            unescaped: false,
            pretty: None,
            indent: 4,
            width: 80,
            diff_context: 3,
        }
    }
}

impl Settings {
    /// The settings of a run, for a standard output that is a terminal or not.
    #[must_use]
    pub fn new(config: &Config, terminal: bool) -> Self {
        let pretty = config
            .text("callback_format_pretty")
            .map(|_| config.bool("callback_format_pretty"));
        let count = |name: &str, default: usize| {
            config
                .int(name)
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(default)
        };
        Self {
            color: config.bool("force_color") || (terminal && !config.bool("nocolor")),
            palette: palette::Palette::new(config),
            verbose_to_stderr: config.bool("verbose_to_stderr"),
            columns: if terminal { columns() } else { 0 },
            display_ok: config.bool("display_ok_hosts"),
            display_skipped: config.bool("display_skipped_hosts"),
            display_included: config.bool("display_included_hosts"),
            per_host_start: config.bool("show_per_host_start"),
            failed_stderr: config.bool("display_failed_stderr"),
            display_args: config.bool("display_args_to_stdout"),
            show_custom_stats: config.bool("show_custom_stats"),
            task_path_on_failure: config.bool("show_task_path_on_failure"),
            check_markers: config.bool("check_mode_markers"),
            deprecation_warnings: config.bool("deprecation_warnings"),
            yaml: config.text("callback_result_format").as_deref() == Some("yaml"),
            unescaped: false,
            pretty,
            indent: count("callback_result_indentation", 4),
            width: match config.text("callback_result_yaml_line_width").as_deref() {
                Some("no-break") => usize::MAX,
                Some("terminal-width") => {
                    let columns = if terminal { columns() } else { 0 };
                    columns.max(NARROWEST)
                }
                _ => 80,
            },
            diff_context: count("diff_context", 3),
        }
    }
}

/// Ansible leaves the last column free.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(0, |size| usize::from(size.ws_col).saturating_sub(1))
}

/// The columns of what is no terminal, or a narrow one.
const NARROWEST: usize = 79;

/// The views by their names, with what they show.
pub(crate) const VIEWS: &[(&str, &str)] = &[
    ("default", "headings, a line a result, a recap"),
    ("minimal", "a block a result, no headings"),
    ("oneline", "a line a result, no headings"),
    (
        "tree",
        "results as files, beside another view (`-t` of `rplay adhoc`)",
    ),
    (
        "pretty",
        "what changed or failed, hosts that agree together, the rest hidden",
    ),
    ("debug", "like default, what commands wrote unescaped"),
    ("yaml", "like default, results as YAML"),
    ("json", "the whole run as one JSON document"),
    ("jsonl", "the run as lines of JSON"),
    ("ndjson", "every event as a line of JSON"),
    (
        "junit",
        "a file for the test reports of a CI, beside another view",
    ),
    ("profile_roles", "how long roles took, beside another view"),
    ("profile_tasks", "how long tasks took, beside another view"),
    ("timer", "how long the run took, beside another view"),
];

/// The views that a run may have beside that.
const FURTHER: &[&str] = &["junit", "profile_roles", "profile_tasks", "timer"];

/// The name without the collection that it comes from.
pub(crate) fn short(name: &str) -> &str {
    let collections = [
        "ansible.builtin.",
        "ansible.legacy.",
        "ansible.posix.",
        "community.general.",
    ];
    collections
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// Hosts that are all named; of more there are the first and the last.
const NAMED: usize = 6;

/// Hosts by name, each as `written` has it; many of them by number.
fn host_range(hosts: &[String], written: impl Fn(&str) -> String) -> String {
    match hosts {
        [] => "no hosts".to_owned(),
        [first, .., last] if hosts.len() > NAMED => {
            let number = hosts.len();
            format!("{number} hosts ({} to {})", written(first), written(last))
        }
        hosts => {
            let names: Vec<String> = hosts.iter().map(|host| written(host)).collect();
            names.join(", ")
        }
    }
}

/// A view by its name; none: no view has it.
fn view(
    name: &str,
    config: &Config,
    settings: &Settings,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> Option<Box<dyn View>> {
    Some(match short(name) {
        "default" => Box::new(default::Default::new(settings, out, err)),
        "debug" => Box::new(default::Default::new(
            &Settings {
                unescaped: true,
                ..settings.clone()
            },
            out,
            err,
        )),
        "yaml" => Box::new(default::Default::new(
            &Settings {
                yaml: true,
                ..settings.clone()
            },
            out,
            err,
        )),
        "minimal" => Box::new(minimal::Minimal::new(settings, out, err)),
        "pretty" => Box::new(pretty::Pretty::new(settings, out, err)),
        "oneline" => Box::new(oneline::OneLine::new(settings, out, err)),
        "ndjson" => Box::new(record::Lines::new(out)),
        "json" => Box::new(json::Json::new(false, config, settings, out, err)),
        "jsonl" => Box::new(json::Json::new(true, config, settings, out, err)),
        "timer" => Box::new(profile::Timer::new(settings, out, err)),
        "profile_tasks" => Box::new(profile::Tasks::new(config, settings, out, err)),
        "profile_roles" => Box::new(profile::Roles::new(config, settings, out, err)),
        "junit" => Box::new(junit::Junit::new(config)),
        _ => return None,
    })
}

/// Why there is no such view, and perhaps the name that was meant.
fn unknown(name: &str) -> Diagnostic {
    let message = format!("Could not load '{name}' callback plugin.");
    let problem = Diagnostic::error("unknown-view", message);
    if short(name) == "tree" {
        return problem.hint("it stands beside another view: put it into `callbacks_enabled`");
    }
    match crate::diag::nearest(short(name), VIEWS.iter().map(|(name, _)| *name)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// Several views of one run, in this order.
struct Several(Vec<Box<dyn View>>);

impl View for Several {
    fn event(&mut self, event: &Event) {
        for view in &mut self.0 {
            view.event(event);
        }
    }
}

/// The views of a run on this process's own streams: the one that is named, those of
/// `callbacks_enabled`, and a live line where someone looks at it. No secret gets to them. Where
/// there is a folder, the results are written into it as well; `beside` gets all events, too.
///
/// # Errors
///
/// No view has the name.
pub(crate) fn open(
    name: &str,
    config: &Config,
    tree: Option<&Path>,
    terminal: bool,
    secrets: &Secrets,
    beside: Vec<Box<dyn View>>,
    kept: Kept,
) -> Result<Box<dyn View>, Diagnostic> {
    let settings = Settings::new(config, terminal);
    let load = |name: &str| {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        view(name, config, &settings, Box::new(out), Box::new(err))
    };
    let mut first = load(name).ok_or_else(|| unknown(name))?;
    let enabled = config.list("callbacks_enabled");
    let enabled_tree = enabled.iter().any(|name| short(name) == "tree");
    let folder = tree.map(Path::to_path_buf);
    let folder = folder.or_else(|| {
        config
            .path("callback_tree_directory")
            .filter(|_| enabled_tree)
    });
    if let Some(folder) = folder {
        first = Box::new(tree::Tree::beside(first, &folder, &settings));
    }
    let mut views = vec![first];
    views.extend(beside);
    let mut told = vec!["tree".to_owned()];
    for further in enabled {
        let loaded = load(&further);
        let name = short(&further).to_owned();
        if told.contains(&name) || (loaded.is_some() && !FURTHER.contains(&name.as_str())) {
            continue;
        }
        match loaded {
            Some(view) => views.push(view),
            None => views[0].event(&Event::Message {
                kind: event::MessageKind::Warning,
                text: format!("Skipping callback plugin '{further}', unable to load"),
            }),
        }
        told.push(name);
    }
    let watched = terminal && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    if !watched || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return Ok(masked(views, secrets, kept));
    }
    let view = progress::Progress::around(several(views), Box::new(std::io::stderr()), columns());
    Ok(masked(vec![Box::new(view)], secrets, kept))
}

/// Views that no secret gets to, and what keeps the events beside them.
pub(crate) fn masked(views: Vec<Box<dyn View>>, secrets: &Secrets, kept: Kept) -> Box<dyn View> {
    Box::new(mask::Masked::new(several(views), secrets, kept))
}

/// Views as one.
fn several(mut views: Vec<Box<dyn View>>) -> Box<dyn View> {
    match views.len() {
        1 => views.remove(0),
        _ => Box::new(Several(views)),
    }
}

/// Sets up what is told of problems outside of a run: the log file, and colours as the settings say.
///
/// # Errors
///
/// The log file cannot be opened.
pub fn open_log(config: &Config) -> std::io::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let colors = Settings::new(config, terminal);
    // It is set once, as there is one run a process.
    drop(COLORS.set(colors.color.then_some(colors.palette)));
    let _ = DEPRECATIONS.set(colors.deprecation_warnings);
    log::open(config)
}

/// The colours of problems outside of a run.
static COLORS: OnceLock<Option<palette::Palette>> = OnceLock::new();

/// Whether deprecations outside of a run are told.
static DEPRECATIONS: OnceLock<bool> = OnceLock::new();

/// The user knows how to be rid of deprecations.
static HINTED: AtomicBool = AtomicBool::new(false);

/// Keeps the terminal for a question that comes in the middle of a run, until it is dropped.
pub(crate) fn hush() -> progress::Hush {
    progress::Hush::begin()
}

/// Asks on standard output, in the colour of prompts.
pub(crate) fn prompt(text: &str) {
    match COLORS.get() {
        Some(Some(palette)) => print(&palette.paint(palette::Color::Prompt, text)),
        _ => print(text),
    }
}

/// Writes a problem to standard error and to the log.
pub(crate) fn problem(severity: Severity, text: &str) {
    if severity == Severity::Deprecation {
        if DEPRECATIONS.get() == Some(&false) {
            return;
        }
        if !HINTED.swap(true, Ordering::Relaxed) {
            let hint = format!("[WARNING]: {}\n", output::DEPRECATIONS_OFF);
            problem(Severity::Warning, &hint);
        }
    }
    let (level, color) = match severity {
        Severity::Error => (log::Level::Error, palette::Color::Error),
        Severity::Warning => (log::Level::Warning, palette::Color::Warn),
        Severity::Deprecation => (log::Level::Warning, palette::Color::Deprecate),
    };
    log::write(level, text);
    let text = match COLORS.get() {
        Some(Some(palette)) => palette.paint(color, text.strip_suffix('\n').unwrap_or(text)) + "\n",
        _ => text.to_owned(),
    };
    // Nobody reads standard error then.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Writes a text to standard output as it is; a reader that went away is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
