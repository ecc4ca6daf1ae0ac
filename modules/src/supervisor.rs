//! The configuration of supervisord: where it is, what it includes, and which server it describes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::args::ModuleArgs;
use rplay_modules::machine::glob::glob;
use rplay_modules::machine::{Access, Machine};
use rplay_modules::outcome::Failure;

use crate::xmlrpc::Server;

/// Where supervisord is.
#[derive(ModuleArgs)]
pub(crate) struct Reach {
    /// The configuration of supervisord, which tells its address and log-in.
    config: Option<PathBuf>,
    /// Its address, `unix:///PATH` or `http://HOST:PORT`.
    server_url: Option<String>,
    /// The user of a log-in.
    username: Option<String>,
    /// The password of a log-in.
    #[arg(secret)]
    password: Option<String>,
    /// The program `supervisorctl`: configurations beside it are looked for first.
    supervisorctl_path: Option<PathBuf>,
}

impl Reach {
    /// Reads the configuration; it is empty where only the server is named.
    ///
    /// # Errors
    /// The file cannot be read, or there is no such program.
    pub(crate) fn configuration(
        &self,
        machine: &mut dyn Machine,
    ) -> Result<Configuration, Failure> {
        if let Some(program) = &self.supervisorctl_path
            && !machine.access(program, Access::Execute)
        {
            return Err(Failure::new(format!(
                "Provided path to supervisorctl does not exist or isn't executable: {}",
                program.display()
            )));
        }
        let mut found = Configuration {
            path: match (&self.config, &self.server_url) {
                (Some(path), _) => Some(path.clone()),
                (None, Some(_)) => None,
                (None, None) => self.usual(machine),
            },
            files: vec![],
            sections: vec![],
            env: machine.process().env,
        };
        let Some(path) = found.path.clone() else {
            return Ok(found);
        };
        match machine.read(&path) {
            Ok(bytes) => found.add(&String::from_utf8_lossy(&bytes)),
            // Check mode goes on where an earlier task may bring it.
            Err(_) if machine.predicts() => {}
            Err(error) => {
                let path = path.display();
                return Err(Failure {
                    explanation: Some(format!("cannot read {path}: {error}")),
                    ..Failure::new(format!("could not find config file {path}"))
                });
            }
        }
        let patterns = found.setting("include", "files").unwrap_or_default();
        for pattern in patterns.split_whitespace() {
            for file in glob(machine, &found.here().join(pattern)) {
                if let Ok(bytes) = machine.read(&file) {
                    found.add(&String::from_utf8_lossy(&bytes));
                    found.files.push(file);
                }
            }
        }
        Ok(found)
    }

    /// The address of the server.
    pub(crate) fn address(&self, configuration: &Configuration) -> String {
        let own = self.server_url.clone();
        let own = own.or_else(|| configuration.setting("supervisorctl", "serverurl"));
        own.unwrap_or_else(|| "http://localhost:9001".to_owned())
    }

    /// The server that the arguments and the configuration name.
    ///
    /// # Errors
    /// Its address is none.
    pub(crate) fn server(
        &self,
        configuration: &Configuration,
        patience: Duration,
    ) -> Result<Server, Failure> {
        let setting = |own: &Option<String>, name: &str| {
            let own = own.clone();
            own.or_else(|| configuration.setting("supervisorctl", name))
        };
        let user = setting(&self.username, "username");
        let password = setting(&self.password, "password").unwrap_or_default();
        let login = user.as_deref().map(|user| (user, password.as_str()));
        Server::at(&self.address(configuration), login, patience).map_err(Failure::new)
    }

    /// The configuration where supervisorctl looks for it.
    fn usual(&self, machine: &mut dyn Machine) -> Option<PathBuf> {
        let beside = self.supervisorctl_path.as_deref().and_then(Path::parent);
        let beside = beside.and_then(Path::parent).map(Path::to_path_buf);
        let beside = beside.into_iter().flat_map(|folder| {
            ["etc/supervisord.conf", "supervisord.conf"].map(|name| folder.join(name))
        });
        let fixed = ["/etc/supervisord.conf", "/etc/supervisor/supervisord.conf"];
        beside
            .chain(fixed.map(PathBuf::from))
            .find(|path| machine.access(path, Access::Read))
    }
}

/// What a configuration says, with all that it includes.
pub(crate) struct Configuration {
    /// Its file.
    pub(crate) path: Option<PathBuf>,
    /// The files that it includes.
    pub(crate) files: Vec<PathBuf>,
    /// The sections with their values as they are written; of a name the last one counts.
    pub(crate) sections: Vec<(String, BTreeMap<String, String>)>,
    env: BTreeMap<String, String>,
}

impl Configuration {
    /// Adds what a file says, as supervisord reads it.
    fn add(&mut self, text: &str) {
        let mut last: Option<String> = None;
        let mut at = None;
        for line in text.lines() {
            let end = line.char_indices().find(|(at, sign)| {
                let before = line[..*at].chars().next_back();
                matches!(sign, ';' | '#') && before.is_none_or(char::is_whitespace)
            });
            let line = line[..end.map_or(line.len(), |(at, _)| at)].trim_end();
            if line.is_empty() {
                continue;
            }
            let title = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(title) = title {
                let known = self.sections.iter().position(|(name, _)| name == title);
                at = Some(known.unwrap_or_else(|| {
                    self.sections.push((title.to_owned(), BTreeMap::new()));
                    self.sections.len() - 1
                }));
                last = None;
                continue;
            }
            let Some((_, values)) = at.and_then(|at: usize| self.sections.get_mut(at)) else {
                continue;
            };
            if line.starts_with([' ', '\t']) {
                // A value goes on where a line is indented.
                if let Some(value) = last.as_ref().and_then(|name| values.get_mut(name)) {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(['=', ':']) {
                let name = name.trim().to_ascii_lowercase();
                values.insert(name.clone(), value.trim().to_owned());
                last = Some(name);
            }
        }
    }

    /// The folder that relative names are in.
    fn here(&self) -> &Path {
        let folder = self.path.as_deref().and_then(Path::parent);
        folder.unwrap_or(Path::new("/"))
    }

    /// A value as it is written.
    pub(crate) fn value(&self, section: &str, name: &str) -> Option<&str> {
        let found = self.sections.iter().find(|(known, _)| known == section);
        found?.1.get(name).map(String::as_str)
    }

    /// A value with what it refers to.
    pub(crate) fn setting(&self, section: &str, name: &str) -> Option<String> {
        self.value(section, name).map(|value| self.expanded(value))
    }

    /// The groups in their order, each with its programs.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let titles = |kind: &'static str| {
            let all = self.sections.iter();
            all.filter_map(move |(title, values)| Some((title.strip_prefix(kind)?, values)))
        };
        let mut groups: Vec<(String, Vec<String>)> = vec![];
        for (group, values) in titles("group:") {
            let programs = values.get("programs").map_or("", String::as_str);
            let programs = programs.split(',').map(|one| one.trim().to_owned());
            groups.push((group.to_owned(), programs.collect()));
        }
        for (program, _) in titles("program:") {
            let is_known = |(_, programs): &(String, Vec<String>)| {
                programs.iter().any(|known| known == program)
            };
            if !groups.iter().any(is_known) {
                groups.push((program.to_owned(), vec![program.to_owned()]));
            }
        }
        groups
    }

    /// A value with `%(here)s` and `%(ENV_NAME)s` replaced.
    pub(crate) fn expanded(&self, value: &str) -> String {
        let mut out = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("%(") {
            out.push_str(before);
            let Some((name, behind)) = after.split_once(")s") else {
                out.push_str("%(");
                rest = after;
                continue;
            };
            match name.strip_prefix("ENV_") {
                Some(name) => out.push_str(self.env.get(name).map_or("", String::as_str)),
                None if name == "here" => out.push_str(&self.here().display().to_string()),
                None => out.push_str(&format!("%({name})s")),
            }
            rest = behind;
        }
        (out + rest).replace("%%", "%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_supervisord_reads_them() {
        let mut read = Configuration {
            path: Some("/srv/supervisord.conf".into()),
            files: vec![],
            sections: vec![],
            env: BTreeMap::from([("SECRET".to_owned(), "s".to_owned())]),
        };
        read.add("[unix_http_server]\npassword = other\n[supervisorctl]\n; serverurl=no\nserverurl = unix://%(here)s/s.sock ; where\npassword=%(ENV_SECRET)s%%\n[program:one]\ncommand=a\n  b # c\n[group:x]\nserverurl=no\nprograms=one, two\n");
        read.add("[program:two]\nAutostart=false\n[program:three]\n");
        let at = |name| read.setting("supervisorctl", name);
        assert_eq!(at("serverurl").as_deref(), Some("unix:///srv/s.sock"));
        assert_eq!(at("username"), None);
        assert_eq!(at("password").as_deref(), Some("s%"));
        assert_eq!(read.value("program:one", "command"), Some("a\nb"));
        assert_eq!(read.value("program:two", "autostart"), Some("false"));
        let groups: Vec<_> = read.groups().into_iter().map(|(name, _)| name).collect();
        assert_eq!(groups, ["x", "three"]);
    }
}
