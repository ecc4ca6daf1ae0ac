//! The views `timer`, `profile_tasks` and `profile_roles`: how long everything took.

use std::io::Write;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use jiff::Zoned;
use jiff::fmt::strtime;

use super::event::{Event, TaskInfo};
use super::output::{Color, Output};
use super::{Settings, View};
use crate::config::Config;

/// Columns of the lines that are filled up.
const WIDTH: usize = 79;

/// How the time of day is written unless a setting says so.
const TIME_OF_DAY: &str = "%A %d %B %Y  %H:%M:%S %z";

/// The length of the run.
pub(crate) struct Timer {
    output: Output,
    begin: Instant,
}

impl Timer {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            output: Output::new(settings, out, err),
            begin: Instant::now(),
        }
    }
}

impl View for Timer {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::RunEnded { .. }) {
            return;
        }
        let seconds = self.begin.elapsed().as_secs();
        self.output.banner("PLAYBOOK RECAP");
        let text = format!(
            "Playbook run took {} days, {} hours, {} minutes, {} seconds\n\r",
            seconds / 86_400,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60
        );
        self.output.line(Color::Plain, &text);
    }
}

/// What `profile_tasks` and `profile_roles` share: a line at each task, sums at the end.
struct Clock {
    output: Output,
    begin: Instant,
    last: Instant,
    format: String,
    summary_only: bool,
}

impl Clock {
    fn new(output: Output, format: String, summary_only: bool) -> Self {
        let now = Instant::now();
        Self {
            output,
            begin: now,
            last: now,
            format,
            summary_only,
        }
    }

    /// A task begins.
    fn tick(&mut self) {
        if !self.summary_only {
            self.line();
        }
    }

    /// The time of day, the time since the last line, the time since the beginning.
    fn line(&mut self) {
        let now = Instant::now();
        // A format that means nothing is shown as it was written.
        let moment = strtime::format(&self.format, &Zoned::now());
        let text = format!(
            "{} ({})       {}",
            moment.unwrap_or_else(|_| self.format.clone()),
            clock(now - self.last),
            clock(now - self.begin)
        );
        self.last = now;
        self.output.line(Color::Plain, &filled(&text, '*'));
    }

    fn recap(&mut self, title: &str) {
        self.output.banner(title);
        self.line();
        self.output.line(Color::Plain, &filled("", '='));
    }

    fn entry(&mut self, name: &str, took: Duration) {
        let seconds = format!(" {:.2}s", took.as_secs_f64());
        let name = format!("{name} ");
        self.output
            .line(Color::Plain, &format!("{name:-<70}{seconds:->9}"));
    }
}

/// `h:mm:ss.mmm`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        time.subsec_millis()
    )
}

fn filled(text: &str, fill: char) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("{text} "),
    };
    let count = WIDTH.saturating_sub(text.chars().count()).max(3);
    let stars: String = std::iter::repeat_n(fill, count).collect();
    format!("{text}{stars} ")
}

/// The tasks that took longest.
pub(crate) struct Tasks {
    clock: Clock,
    order: Order,
    limit: Option<usize>,
    verbosity: u8,
    tasks: Vec<(TaskInfo, Instant, Duration)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Longest,
    Shortest,
    AsRun,
}

impl Tasks {
    pub(crate) fn new(
        config: &Config,
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        let text = |name: &str| config.text(name).unwrap_or_default();
        let format = match text("profile_tasks_datetime_format") {
            format if format == "iso8601" => "%Y-%m-%dT%H:%M:%S.%6f".to_owned(),
            // Python's `%f` always has six digits.
            format => format.replace("%f", "%6f"),
        };
        let order = match text("profile_tasks_sort_order").as_str() {
            "ascending" => Order::Shortest,
            "none" => Order::AsRun,
            _ => Order::Longest,
        };
        Self {
            clock: Clock::new(
                Output::new(settings, out, err),
                format,
                config.bool("profile_tasks_summary_only"),
            ),
            order,
            limit: text("profile_tasks_output_limit").parse().ok(),
            verbosity: 0,
            tasks: vec![],
        }
    }

    fn finish(&mut self) {
        if let Some((_, begin, took)) = self.tasks.last_mut() {
            *took = begin.elapsed();
        }
    }

    fn recap(&mut self) {
        self.finish();
        self.clock.recap("TASKS RECAP");
        let mut tasks: Vec<&(TaskInfo, Instant, Duration)> = self.tasks.iter().collect();
        match self.order {
            Order::Longest => tasks.sort_by_key(|(_, _, took)| std::cmp::Reverse(*took)),
            Order::Shortest => tasks.sort_by_key(|(_, _, took)| *took),
            Order::AsRun => {}
        }
        for (task, _, took) in tasks.into_iter().take(self.limit.unwrap_or(usize::MAX)) {
            self.clock.entry(task.name.trim(), *took);
            if self.verbosity > 1 {
                let path = format!("{} ", task.path);
                self.clock
                    .output
                    .line(Color::Plain, &format!("{path:-<WIDTH$}"));
            }
        }
    }
}

impl View for Tasks {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { options } => self.verbosity = options.verbosity,
            Event::TaskStarted { task } => {
                self.clock.tick();
                self.finish();
                self.tasks
                    .push((task.clone(), Instant::now(), Duration::ZERO));
            }
            Event::RunEnded { .. } => self.recap(),
            _ => {}
        }
    }
}

/// The roles that took longest; tasks outside of roles count by their action.
pub(crate) struct Roles {
    clock: Clock,
    current: Option<(String, Instant)>,
    sums: IndexMap<String, Duration>,
}

impl Roles {
    pub(crate) fn new(
        config: &Config,
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        let summary_only = config.bool("profile_roles_summary_only");
        let output = Output::new(settings, out, err);
        Self {
            clock: Clock::new(output, TIME_OF_DAY.to_owned(), summary_only),
            current: None,
            sums: IndexMap::new(),
        }
    }

    fn finish(&mut self) {
        if let Some((name, begin)) = self.current.take() {
            *self.sums.entry(name).or_default() += begin.elapsed();
        }
    }

    fn recap(&mut self) {
        self.finish();
        self.clock.recap("ROLES RECAP");
        let mut sums: Vec<(String, Duration)> = self.sums.clone().into_iter().collect();
        sums.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        for (name, took) in &sums {
            self.clock.entry(name, *took);
        }
        self.clock.output.line(Color::Plain, &filled("", '~'));
        let total = sums.iter().map(|(_, took)| *took).sum();
        self.clock.entry("total", total);
    }
}

impl View for Roles {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task } => {
                self.clock.tick();
                self.finish();
                let name = task.role.as_ref().unwrap_or(&task.action).clone();
                self.current = Some((name, Instant::now()));
            }
            Event::RunEnded { .. } => self.recap(),
            _ => {}
        }
    }
}
