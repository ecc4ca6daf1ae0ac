//! File-system attributes (`chattr`) and SELinux contexts, both through the system's own programs.

use std::path::Path;

use super::{FileArgs, Sides, os_error};
use crate::data::Data;
use crate::machine::{Change, Command, Machine, Ran};
use crate::outcome::Failure;

impl FileArgs {
    /// Makes the file-system attributes what they should be.
    pub(super) fn ensure_attributes(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let Some(wanted) = self
            .attributes
            .as_deref()
            .filter(|wanted| !wanted.is_empty())
        else {
            return Ok(false);
        };
        let (operator, letters) = match wanted.chars().next() {
            Some(operator @ ('+' | '-' | '=')) => (operator, &wanted[1..]),
            _ => ('=', wanted),
        };
        let now = read_attributes(machine, path)?;
        let has = |letter: char| now.contains(letter);
        let reached = match operator {
            '+' => letters.chars().all(has),
            '-' => !letters.chars().any(has),
            _ => letters.chars().all(has) && now.chars().all(|letter| letters.contains(letter)),
        };
        if reached {
            return Ok(false);
        }
        sides.add("attributes", now.as_str(), format!("{operator}{letters}"));
        let file = path.to_string_lossy();
        let command = Command::new(["chattr", &format!("{operator}{letters}"), &file]).c_locale();
        match machine
            .run(&command)
            .map_err(|error| format!("chattr failed: {}", os_error(&error, path)))?
        {
            Ran::Done(output) if output.code != 0 => {
                Err(format!("chattr failed: {}", output.stderr_text().trim()).into())
            }
            Ran::Done(_) => Ok(true),
            Ran::Predicted => {
                let rest = |letter: &char| {
                    operator == '+' || (operator == '-' && !letters.contains(*letter))
                };
                let mut after: String = now.chars().filter(rest).collect();
                if operator != '-' {
                    after.push_str(letters);
                }
                machine.assume(Change::Fact(fact(path), Some(after)));
                Ok(true)
            }
        }
    }

    /// Makes the SELinux context what it should be. Without SELinux there is none to make.
    pub(super) fn ensure_context(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let wanted = [&self.seuser, &self.serole, &self.setype, &self.selevel];
        if wanted.iter().all(|part| part.is_none()) {
            return Ok(false);
        }
        let Some(now) = selinux_context(machine, path) else {
            return Ok(false);
        };
        let parts: Vec<&str> = now.splitn(4, ':').collect();
        let policy = if wanted.into_iter().flatten().any(|part| part == "_default") {
            policy_context(machine, path)?
        } else {
            String::new()
        };
        let policy: Vec<&str> = policy.splitn(4, ':').collect();
        let chosen = wanted
            .iter()
            .enumerate()
            .map(|(index, part)| match part.as_deref() {
                None => parts.get(index).copied().unwrap_or_default(),
                Some("_default") => policy.get(index).copied().unwrap_or_default(),
                Some(part) => part,
            });
        let chosen: Vec<&str> = chosen.collect();
        let after = chosen.join(":").trim_end_matches(':').to_owned();
        if after == now {
            return Ok(false);
        }
        let list = |context: &str| Data::List(context.splitn(4, ':').map(Data::from).collect());
        sides.add("secontext", list(&now), list(&after));
        let command =
            Command::new(["chcon", "-h", "--", &after, &path.to_string_lossy()]).c_locale();
        match machine
            .run(&command)
            .map_err(|error| format!("set selinux context failed: {}", os_error(&error, path)))?
        {
            Ran::Done(output) if output.code != 0 => Err(format!(
                "set selinux context failed: {}",
                output.stderr_text().trim()
            )
            .into()),
            _ => Ok(true),
        }
    }
}

fn fact(path: &Path) -> String {
    format!("attributes:{}", path.display())
}

fn read_attributes(machine: &mut dyn Machine, path: &Path) -> Result<String, Failure> {
    if let Some(assumed) = machine.assumed(&fact(path)) {
        return Ok(assumed);
    }
    let command = Command::new(["lsattr", "-d", &path.to_string_lossy()]).c_locale();
    let output = machine.query(&command).map_err(|error| {
        format!(
            "file-system attributes cannot be set here: the program lsattr: {}",
            os_error(&error, path)
        )
    })?;
    // A file that is only predicted, or a file system without attributes: there are none.
    let text = output.stdout_text();
    Ok(text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .replace('-', ""))
}

/// The SELinux context of a path; nothing where SELinux is off.
pub fn selinux_context(machine: &mut dyn Machine, path: &Path) -> Option<String> {
    machine
        .stat(Path::new("/sys/fs/selinux/enforce"), true)
        .ok()??;
    let command = Command::new(["stat", "-c", "%C", "--", &path.to_string_lossy()]).c_locale();
    let output = machine
        .query(&command)
        .ok()
        .filter(|output| output.code == 0)?;
    Some(output.stdout_text().trim().to_owned()).filter(|context| context.contains(':'))
}

fn policy_context(machine: &mut dyn Machine, path: &Path) -> Result<String, Failure> {
    let command = Command::new(["matchpathcon", "-n", &path.to_string_lossy()]).c_locale();
    match machine.query(&command) {
        Ok(output) if output.code == 0 => Ok(output.stdout_text().trim().to_owned()),
        Ok(output) => Err(format!(
            "the policy's context is not known: {}",
            output.stderr_text().trim()
        )
        .into()),
        Err(error) => {
            Err(format!("the policy's context is not known: matchpathcon: {error}").into())
        }
    }
}
