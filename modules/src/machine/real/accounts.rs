//! Users and groups: the files in `/etc`, and directory services through the program `getent`.
//!
//! A static program cannot load the system's name-service modules, so it asks the one program of
//! the system that can. It is only asked where `/etc/nsswitch.conf` names such a service.

use super::child;
use crate::machine::{Command, Group, User};
use crate::order::Sorted;

/// Looks up accounts; remembers what `getent` said until something is changed.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// By database and key, with a blank between them.
    answers: Sorted<String, String>,
}

impl Accounts {
    /// Forgets what `getent` said: a program ran that may have changed it.
    pub(super) fn forget(&mut self) {
        self.answers = Sorted::default();
    }

    /// The first user that `fits`; `key` is what `getent` is asked for.
    pub(super) fn user(&mut self, key: &str, fits: impl Fn(&User) -> bool) -> Option<User> {
        let local = parse_users(&read("/etc/passwd")).find(|user| fits(user));
        local.or_else(|| parse_users(&self.ask("passwd", key)).find(|user| fits(user)))
    }

    /// The first group that `fits`; `key` is what `getent` is asked for.
    pub(super) fn group(&mut self, key: &str, fits: impl Fn(&Group) -> bool) -> Option<Group> {
        let local = parse_groups(&read("/etc/group")).find(|group| fits(group));
        local.or_else(|| parse_groups(&self.ask("group", key)).find(|group| fits(group)))
    }

    /// All users, those of the files first.
    pub(super) fn users(&mut self) -> Vec<User> {
        let mut users: Vec<User> = parse_users(&read("/etc/passwd")).collect();
        for user in parse_users(&self.ask("passwd", "")) {
            if !users.iter().any(|known| known.name == user.name) {
                users.push(user);
            }
        }
        users
    }

    /// All groups, those of the files first.
    pub(super) fn groups(&mut self) -> Vec<Group> {
        let mut groups: Vec<Group> = parse_groups(&read("/etc/group")).collect();
        for group in parse_groups(&self.ask("group", "")) {
            if !groups.iter().any(|known| known.name == group.name) {
                groups.push(group);
            }
        }
        groups
    }

    /// What `getent` says about a key, or about everything; empty where no service is configured.
    fn ask(&mut self, database: &'static str, key: &str) -> String {
        if !has_service(&read("/etc/nsswitch.conf"), database) {
            return String::new();
        }
        let question = format!("{database} {key}");
        if let Some(known) = self.answers.get(&question) {
            return known.clone();
        }
        let key = Some(key).filter(|key| !key.is_empty());
        // `--` keeps a name with a leading dash from being read as an option.
        let command = Command::new(["getent", database, "--"].into_iter().chain(key));
        let answer = child::execute(&command, &[], None, None)
            .map(|output| output.stdout_text())
            .unwrap_or_default();
        self.answers.insert(question, answer.clone());
        answer
    }
}

fn read(path: &str) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Whether a database of `nsswitch.conf` has sources beyond the files in `/etc`.
fn has_service(config: &str, database: &str) -> bool {
    let line = config.lines().find_map(|line| {
        line.trim()
            .strip_prefix(database)?
            .trim_start()
            .strip_prefix(':')
    });
    line.is_some_and(|line| {
        let sources = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        sources
            .filter(|source| !source.starts_with('['))
            .any(|source| !matches!(source, "files" | "compat"))
    })
}

fn parse_users(text: &str) -> impl Iterator<Item = User> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, password, uid, gid, gecos, home, shell] = fields.as_slice() else {
            return None;
        };
        Some(User {
            name: (*name).to_owned(),
            password: (*password).to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            gecos: (*gecos).to_owned(),
            home: (*home).to_owned(),
            shell: (*shell).to_owned(),
        })
    })
}

fn parse_groups(text: &str) -> impl Iterator<Item = Group> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.as_slice() else {
            return None;
        };
        let members = members
            .split(',')
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect();
        Some(Group {
            name: (*name).to_owned(),
            gid: gid.parse().ok()?,
            members,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_nsswitch() {
        assert!(!has_service("passwd: files\n", "passwd"));
        assert!(!has_service("", "passwd"));
        assert!(has_service(
            "passwd:\tfiles [NOTFOUND=return] sss # x\n",
            "passwd"
        ));
        assert!(!has_service("passwd_compat: nis\npasswd: compat", "passwd"));
    }

    #[test]
    fn lines() {
        let users: Vec<User> = parse_users("root:x:0:0::/root:/bin/sh\n+::::::\n#\n").collect();
        assert_eq!((users.len(), users[0].home.as_str()), (1, "/root"));
        let groups: Vec<Group> = parse_groups("adm:x:4:a,b\nx:x:5:\n").collect();
        assert_eq!(groups[0].members, ["a", "b"]);
        assert!(groups[1].members.is_empty());
    }
}
