//! Events, and the views of them. Nothing else writes to standard output or error.

mod default;
mod diff;
mod dump;
pub mod event;
#[cfg(test)]
mod golden;
mod mask;
mod matcher;
mod minimal;
mod oneline;
mod output;
mod progress;
mod record;
mod result;
mod tree;
mod yaml;

use std::io::{IsTerminal, Write};
use std::path::Path;

use crate::config::Config;
use crate::secrets::Secrets;
use event::Event;

pub use record::read;

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
    /// Lines of context in a difference.
    pub diff_context: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            color: false,
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
            diff_context: count("diff_context", 3),
        }
    }
}

/// Ansible leaves the last column free.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(0, |size| usize::from(size.ws_col).saturating_sub(1))
}

/// The views by their names, with what they show.
pub(crate) const VIEWS: &[(&str, &str)] = &[
    ("default", "headings, a line a result, a recap"),
    ("minimal", "a block a result, no headings"),
    ("oneline", "a line a result, no headings"),
    (
        "tree",
        "results as files, beside another view (`-t` of `rplay adhoc`)",
    ),
    ("debug", "like default, what commands wrote unescaped"),
    ("yaml", "like default, results as YAML"),
    ("json", "the whole run as one JSON document"),
    ("ndjson", "every event as a line of JSON"),
];

/// A view by its name.
///
/// # Errors
///
/// No view has the name.
fn view(
    name: &str,
    settings: &Settings,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> Result<Box<dyn View>, String> {
    let short = [
        "ansible.builtin.",
        "ansible.legacy.",
        "ansible.posix.",
        "community.general.",
    ];
    let short = short
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    Ok(match short {
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
        "oneline" => Box::new(oneline::OneLine::new(settings, out, err)),
        "ndjson" => Box::new(record::Lines::new(out)),
        "json" => Box::new(record::Document::new(out)),
        _ => return Err(unknown(name)),
    })
}

fn unknown(name: &str) -> String {
    let near = crate::diag::nearest(name, VIEWS.iter().map(|(name, _)| *name))
        .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!("Could not load '{name}' callback plugin{near}")
}

/// The view of a run on this process's own streams, with a live line where someone looks at it. No
/// secret gets to it. Where there is a folder, the results are written into it as well.
///
/// # Errors
///
/// No view has the name.
pub fn open(
    name: &str,
    config: &Config,
    tree: Option<&Path>,
    terminal: bool,
    secrets: &Secrets,
) -> Result<Box<dyn View>, String> {
    let settings = Settings::new(config, terminal);
    let mut view = view(
        name,
        &settings,
        Box::new(std::io::stdout()),
        Box::new(std::io::stderr()),
    )?;
    if let Some(folder) = tree {
        view = Box::new(tree::Tree::beside(view, folder, &settings));
    }
    let watched = terminal && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    if !watched || std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
        return Ok(Box::new(mask::Masked::new(view, secrets)));
    }
    let view = progress::Progress::around(view, Box::new(std::io::stderr()), columns());
    Ok(Box::new(mask::Masked::new(Box::new(view), secrets)))
}

/// Writes a text to standard output as it is; a reader that went away is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
