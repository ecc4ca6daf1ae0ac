//! `selinux`: whether SELinux is on, and its policy.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::{os_error, real_path};
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::semanage;
use crate::builtin::programs;

/// Sets whether SELinux is on and which policy it has: in its file for the next start, and now where that can be.
#[derive(ModuleArgs)]
struct Args {
    /// The policy; needed unless `state` is `disabled`.
    policy: Option<String>,
    /// Whether the policy is enforced, or told of only, or SELinux is off.
    state: State,
    /// Keep the kernel's own switch in step. Only refused: it needs `grubby`.
    #[arg(default = "false")]
    update_kernel_param: bool,
    /// The file.
    #[arg(alias = "conf", alias = "file", default = "/etc/selinux/config")]
    configfile: String,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Enforcing,
    Permissive,
    Disabled,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file.
    configfile: String,
    /// What was done.
    msg: String,
    /// The policy.
    policy: String,
    /// Whether a restart is needed for it.
    reboot_required: bool,
    /// Whether SELinux is on.
    state: String,
}

module! {
    "ansible.posix.selinux", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.selinux"],
}

/// Where the policies and the file of the running system are.
const FOLDER: &str = "/etc/selinux";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let file = PathBuf::from(&args.configfile);
    if !matches!(machine.stat(&file, true), Ok(Some(_))) {
        let text =
            "Please install SELinux-policy package, if this package is not installed previously.";
        let path = &args.configfile;
        return Err(Failure::new(format!("Unable to find file {path}")).with("details", text));
    }
    let (state, disabled) = (args.state.word(), args.state == State::Disabled);
    let old = text(machine, &file)?;
    let old_state = setting(&old, "SELINUX").unwrap_or_default();
    let old_policy = setting(&old, "SELINUXTYPE").unwrap_or_default();
    let policy = match &args.policy {
        Some(policy) => policy.clone(),
        None if disabled => old_policy.to_owned(),
        None => {
            let text = "Policy is required if state is not 'disabled'";
            return Err(Failure::new(text));
        }
    };
    if args.update_kernel_param {
        return Err(kernel_param(machine));
    }
    let mut done = Vec::new();
    let running = text(machine, &Path::new(FOLDER).join("config")).unwrap_or_default();
    let running = setting(&running, "SELINUXTYPE")
        .unwrap_or_default()
        .to_owned();
    if running != policy {
        done.push(format!(
            "Running SELinux policy changed from '{running}' to '{policy}'"
        ));
    }
    let mut new = old.clone();
    if old_policy != policy {
        if !matches!(
            machine.stat(&Path::new(FOLDER).join(&policy), true),
            Ok(Some(_))
        ) {
            let text = format!("Policy {policy} does not exist in {FOLDER}/");
            return Err(Failure::new(text));
        }
        done.push(format!(
            "SELinux policy configuration in '{}' changed from '{old_policy}' to '{policy}'",
            args.configfile
        ));
        new = with(&new, "SELINUXTYPE", &policy);
    }
    let mut warnings = Vec::new();
    let restart = now(machine, state, &mut done, &mut warnings)?;
    if old_state != state {
        done.push(format!(
            "Config SELinux state changed from '{old_state}' to '{state}'"
        ));
        new = with(&new, "SELINUX", state);
    }
    if new != old {
        let real = real_path(machine, &file);
        machine
            .write(&real, Content::Bytes(new.as_bytes()), &Attrs::default())
            .map_err(|error| os_error(&error, &file))?;
    }
    Ok(Outcome {
        warnings,
        ..Outcome::new(!done.is_empty())
            .with("configfile", args.configfile)
            .with("msg", done.join(", "))
            .with("policy", policy)
            .with("reboot_required", restart)
            .with("state", state)
    })
}

/// Turns what can be turned without a restart; returns whether one is needed.
fn now(
    machine: &mut dyn Machine,
    state: &str,
    done: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<bool, Failure> {
    const KEY: &str = "selinux:state";
    if !semanage::enabled(machine) {
        if state != "disabled" {
            warnings.push(format!(
                "Reboot is required to set SELinux state to '{state}'"
            ));
        }
        return Ok(state != "disabled");
    }
    let current = match machine.assumed(KEY) {
        Some(known) => known,
        None if text(machine, Path::new(semanage::ENFORCE))?.trim() == "1" => {
            "enforcing".to_owned()
        }
        None => "permissive".to_owned(),
    };
    let wanted = if state == "disabled" {
        "permissive"
    } else {
        state
    };
    if current != wanted {
        let word = if wanted == "enforcing" { "1" } else { "0" };
        programs::must(machine, &Command::new(["setenforce", word]).c_locale())?;
        machine.assume(Change::Fact(KEY.to_owned(), Some(wanted.to_owned())));
        let text = match state {
            "disabled" => format!(
                "SELinux state temporarily changed from '{current}' to 'permissive'. State change will take effect next reboot."
            ),
            _ => format!("Running SELinux state changed from '{current}' to '{wanted}'"),
        };
        if state == "disabled" {
            warnings.push(text.clone());
        }
        done.push(text);
    }
    Ok(state == "disabled")
}

fn kernel_param(machine: &mut dyn Machine) -> Failure {
    if programs::required(machine, "grubby").is_ok() {
        return Failure::new("`update_kernel_param` is not supported yet");
    }
    let text = "In order to update the kernel command lineenabled/disabled setting, the grubby packageneeds to be present on the system.";
    Failure::new("'grubby' command not found on host").with("details", text)
}

fn text(machine: &mut dyn Machine, path: &Path) -> Result<String, Failure> {
    let bytes = machine.read(path).map_err(|error| os_error(&error, path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The value in a line `NAME=value`.
fn setting<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        Some(rest.strip_prefix('=')?.trim())
    });
    values.next()
}

/// The text with another value in the lines of this name.
fn with(text: &str, name: &str, value: &str) -> String {
    let start = format!("{name}=");
    let lines = text.lines().map(|line| match line.starts_with(&start) {
        true => format!("{start}{value}\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}
