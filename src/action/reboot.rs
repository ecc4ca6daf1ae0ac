//! `reboot`: the target starts again, and the run goes on when it is back.

use std::time::{Duration, Instant};

use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::text::{quote, split_words};
use tokio::time::{sleep, timeout};

use super::{ActionError, TaskResult};
use crate::connect::RawOutput;
use crate::run::context::{Context, timestamp};

/// The longest wait between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// Has the target start again, and waits until it is back.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let begin = Instant::now();
    if context.link()?.is_local() {
        let text = "Running reboot with local connection would reboot the control node.";
        return Ok(failed(text, begin, false));
    }
    if context.check {
        return Ok(done(begin));
    }
    context.only_known()?;
    let plan = Plan::of(context)?;
    let before = match plan.boot_time(context).await? {
        Ok(text) => text,
        Err(msg) => {
            let mut result = TaskResult::failed(msg);
            result.result.insert("reboot".to_owned(), Data::from(false));
            return Ok(result);
        }
    };
    let command = plan.command(context).await?;
    let start = timestamp();
    // A machine that is gone before it has answered is what was asked for.
    if let Ok(output) = raw(context, &command, plan.limit).await
        && output.code != 0
    {
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let (stdout, stderr) = (stdout.trim(), stderr.trim());
        let msg = format!("Reboot command failed. Error was: '{stdout}, {stderr}'");
        let mut result = failed(&msg, begin, false);
        result.result.insert("start".to_owned(), Data::from(start));
        return Ok(result);
    }
    context.reset_link();
    sleep(plan.delay).await;
    if !plan.came_back(context, &before).await {
        let seconds = plan.limit.as_secs();
        let msg = format!("Timed out waiting for last boot time check (timeout={seconds})");
        return Ok(failed(&msg, begin, true));
    }
    if !plan.answers(context).await {
        let seconds = plan.limit.as_secs();
        let msg = format!("Timed out waiting for post-reboot test command (timeout={seconds})");
        return Ok(failed(&msg, begin, true));
    }
    Ok(done(begin))
}

fn elapsed(begin: Instant) -> i64 {
    i64::try_from(begin.elapsed().as_secs()).unwrap_or(i64::MAX)
}

fn done(begin: Instant) -> TaskResult {
    TaskResult::changed(
        true,
        map! { "rebooted" => true, "elapsed" => elapsed(begin) },
    )
}

fn failed(msg: &str, begin: Instant, rebooted: bool) -> TaskResult {
    let more: Map = map! { "rebooted" => rebooted, "elapsed" => elapsed(begin) };
    let mut result = TaskResult::failed(msg);
    result.result.extend(more);
    result
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a line in the target's shell.
async fn raw(
    context: &mut Context<'_>,
    line: &str,
    limit: Duration,
) -> Result<RawOutput, ActionError> {
    let r#become = context.r#become.clone();
    let link = context.link()?;
    match timeout(limit, link.raw(r#become.as_ref(), line, None)).await {
        Ok(output) => Ok(output?),
        Err(_) => Err(ActionError::new("timed out")),
    }
}

/// What the task asks for.
struct Plan {
    boot_time: String,
    reboot: Option<String>,
    test: String,
    message: String,
    folders: Vec<String>,
    /// Seconds before the machine goes down.
    before: u64,
    /// The wait before the first look.
    delay: Duration,
    /// How long is waited for the machine to be back, and then for the test.
    limit: Duration,
    /// How long one attempt may take.
    connect: Duration,
}

impl Plan {
    fn of(context: &mut Context<'_>) -> Result<Self, ActionError> {
        let seconds = |name: &str| -> Result<Option<u64>, ActionError> {
            let number = context.int(name)?;
            Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
        };
        let or = |name: &str, default: &str| -> Result<String, ActionError> {
            Ok(context.text(name)?.unwrap_or_else(|| default.to_owned()))
        };
        let folders = match context.value("search_paths")? {
            None => ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"]
                .map(str::to_owned)
                .to_vec(),
            Some(value) => match context.to_data(&value)? {
                Data::List(items) => items.iter().map(Data::text).collect(),
                one => one
                    .text()
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .collect(),
            },
        };
        let before = seconds("pre_reboot_delay")?.or(seconds("pre_reboot_delay_sec")?);
        let delay = seconds("post_reboot_delay")?.or(seconds("post_reboot_delay_sec")?);
        let limit = seconds("reboot_timeout")?.or(seconds("reboot_timeout_sec")?);
        let connect = seconds("connect_timeout")?.or(seconds("connect_timeout_sec")?);
        Ok(Self {
            boot_time: or("boot_time_command", "cat /proc/sys/kernel/random/boot_id")?,
            reboot: context.text("reboot_command")?,
            test: or("test_command", "whoami")?,
            message: or("msg", "Reboot initiated by Ansible")?,
            folders,
            before: before.unwrap_or(0),
            delay: Duration::from_secs(delay.unwrap_or(0)),
            limit: Duration::from_secs(limit.unwrap_or(600)),
            connect: Duration::from_secs(connect.unwrap_or(10).max(1)),
        })
    }

    /// What tells one start of the machine from the next.
    async fn boot_time(
        &self,
        context: &mut Context<'_>,
    ) -> Result<Result<String, String>, ActionError> {
        let output = raw(context, &self.boot_time, self.limit).await?;
        let stdout = text(&output.stdout);
        Ok(match output.code {
            0 => Ok(stdout.trim().to_owned()),
            code => Err(format!(
                "reboot: failed to get host boot time info, rc: {code}, stdout: {stdout}, stderr: {}",
                text(&output.stderr)
            )),
        })
    }

    /// The command with the path of its program.
    async fn command(&self, context: &mut Context<'_>) -> Result<String, ActionError> {
        if let Some(command) = &self.reboot {
            let words = split_words(command).map_err(ActionError::new)?;
            let name = words.first().cloned().unwrap_or_default();
            if name.starts_with('/') {
                return Ok(command.clone());
            }
            let path = self.find(context, &name).await?;
            let path = path.ok_or_else(|| self.unknown(&name))?;
            let rest = command.trim_start().strip_prefix(&name).unwrap_or_default();
            return Ok(format!("{path}{rest}"));
        }
        // The program counts in minutes.
        let minutes = self.before / 60;
        if let Some(path) = self.find(context, "shutdown").await? {
            return Ok(format!("{path} -r {minutes} {}", quote(&self.message)));
        }
        // A system as small as Alpine has no such program.
        match self.find(context, "reboot").await? {
            Some(path) => Ok(path),
            None => Err(self.unknown("shutdown")),
        }
    }

    fn unknown(&self, name: &str) -> ActionError {
        let folders = Data::from(self.folders.clone()).repr();
        ActionError::Denied(format!(
            "Task failed: Unable to find command \"{name}\" in search paths: {folders}"
        ))
    }

    /// The path of a program of the target.
    async fn find(
        &self,
        context: &mut Context<'_>,
        name: &str,
    ) -> Result<Option<String>, ActionError> {
        let folder = |folder: &String| quote(&format!("{folder}/{name}"));
        let paths: Vec<String> = self.folders.iter().map(folder).collect();
        let line = format!(
            "for f in {}; do if [ -x \"$f\" ]; then echo \"$f\"; break; fi; done",
            paths.join(" ")
        );
        let output = raw(context, &line, self.limit).await?;
        let found = text(&output.stdout).trim().to_owned();
        Ok(Some(found).filter(|found| !found.is_empty()))
    }

    /// Waits until the machine has started again.
    async fn came_back(&self, context: &mut Context<'_>, before: &str) -> bool {
        let command = self.boot_time.clone();
        self.until(context, &command, |output| {
            let now = text(&output.stdout);
            output.code == 0 && !now.trim().is_empty() && now.trim() != before
        })
        .await
    }

    /// Waits until the test passes.
    async fn answers(&self, context: &mut Context<'_>) -> bool {
        let command = self.test.clone();
        self.until(context, &command, |output| output.code == 0)
            .await
    }

    /// Runs a line, on a new connection each time, until its output is good or the time is over.
    async fn until(
        &self,
        context: &mut Context<'_>,
        line: &str,
        good: impl Fn(&RawOutput) -> bool,
    ) -> bool {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(250);
        loop {
            let output = raw(context, line, self.connect).await;
            if output.is_ok_and(|output| good(&output)) {
                return true;
            }
            context.reset_link();
            if begin.elapsed() + pause > self.limit {
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }
}
