//! Playbooks whose every result was recorded from Ansible: a list of tasks and results in a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use super::scenario::outcome;

/// What a recorded playbook is compared by.
pub(crate) struct Recorded<'a> {
    /// The list of tasks and their results.
    pub(crate) file: &'a Path,
    /// Texts that are others in every run, and what stands for them in the file.
    pub(crate) replaced: &'a [(String, &'a str)],
    /// A result without what is another in every run.
    pub(crate) plain: fn(&Json) -> Json,
    /// The variable of the environment that has results written which differ on purpose.
    pub(crate) variable: &'a str,
}

impl Recorded<'_> {
    /// Runs the command, which is rplay with the playbook, and compares every result.
    pub(crate) fn compare(&self, command: &mut Command) -> Result<(), String> {
        command.env("ANSIBLE_STDOUT_CALLBACK", "ansible.posix.json");
        let output = command.output().map_err(|fault| fault.to_string())?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        for (own, general) in self.replaced {
            text = text.replace(own, general);
        }
        let ran: Json = serde_json::from_str(&text)
            .map_err(|fault| format!("{fault}\n{}", outcome(&output).1))?;
        let tasks = ran["plays"][0]["tasks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let got: Vec<(String, Json)> = tasks
            .iter()
            .map(|task| {
                let name = task["task"]["name"].as_str().unwrap_or_default();
                (name.to_owned(), (self.plain)(&task["hosts"]["localhost"]))
            })
            .collect();
        let recorded = std::fs::read_to_string(self.file).map_err(|fault| fault.to_string())?;
        let mut recorded: Vec<Json> =
            serde_json::from_str(&recorded).map_err(|fault| fault.to_string())?;
        if std::env::var_os(self.variable).is_some_and(|word| !word.is_empty()) {
            for (one, (task, result)) in recorded.iter_mut().zip(&got) {
                if task.starts_with("differs: ") {
                    one["result"] = result.clone();
                }
            }
            let text = serde_json::to_string_pretty(&recorded);
            let text = text.map_err(|fault| fault.to_string())? + "\n";
            std::fs::write(self.file, text).map_err(|fault| fault.to_string())?;
        }
        let mut wrong = String::new();
        for (one, (task, result)) in recorded.iter().zip(&got) {
            let known = (self.plain)(&one["result"]);
            if one["task"] != task.as_str() || known != *result {
                wrong += &format!("{task}\n  recorded {known}\n  got      {result}\n");
            }
        }
        if got.len() != recorded.len() {
            wrong += &format!("{} tasks instead of {}\n", got.len(), recorded.len());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong),
        }
    }
}
