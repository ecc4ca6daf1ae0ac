//! The view that Ansible calls `tree`: the last result of each host, a file a host.

use std::path::{Path, PathBuf};

use rplay_modules::data::Map;

use super::event::{Event, RunOptions, Status};
use super::{Settings, View, result};

/// Ansible's `tree` callback, beside the view that shows the run.
pub(crate) struct Tree {
    folder: PathBuf,
    shown: Box<dyn View>,
    settings: Settings,
    options: RunOptions,
}

impl Tree {
    pub(crate) fn beside(shown: Box<dyn View>, folder: &Path, settings: &Settings) -> Self {
        Self {
            folder: folder.to_path_buf(),
            shown,
            settings: Settings {
                yaml: false,
                ..settings.clone()
            },
            options: RunOptions::default(),
        }
    }

    fn write(&self, host: &str, result: &Map) -> Result<(), String> {
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).map_err(|error| {
            format!("Unable to access or create the configured directory ({folder}): {error}")
        })?;
        let path = self.folder.join(file_name(host));
        let text = result::dump(
            &result::with_changed(result),
            &self.settings,
            self.options.verbosity,
        );
        crate::files::write(&path, text.as_bytes())
            .map_err(|error| format!("Unable to write to {host}'s file: {error}"))
    }
}

impl View for Tree {
    fn event(&mut self, event: &Event) {
        self.shown.event(event);
        match event {
            Event::RunStarted { options } => self.options = options.clone(),
            Event::TaskDone {
                host,
                status,
                result,
                ..
            } if *status != Status::Skipped => {
                if let Err(text) = self.write(host, result) {
                    self.shown.event(&Event::Message {
                        kind: super::event::MessageKind::Warning,
                        text,
                    });
                }
            }
            _ => {}
        }
    }
}

/// A host's name cannot leave the folder.
fn file_name(host: &str) -> String {
    match host {
        "." | ".." => host.replace('.', "_"),
        _ => host.replace('/', "_"),
    }
}
