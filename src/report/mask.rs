//! The one way to a view: events pass here and leave their secrets behind.

use std::sync::Arc;

use rplay_modules::data::Data;
use rplay_modules::outcome::{Diff, DiffSide};

use super::View;
use super::event::{Event, KeptFiles, Lacks};
use super::matcher::hunks;
use super::runs::Writer;
use crate::secrets::{Matcher, STARS, Secrets, Tags, untagged};

/// What stands for a secret that was replaced by another one.
const FORMER: &str = "******** (former)";

/// A view that gets events without secrets.
pub(crate) struct Masked {
    view: Box<dyn View>,
    secrets: Secrets,
    kept: Kept,
}

/// What gets the events beside the views.
#[derive(Default)]
pub(crate) struct Kept {
    /// The record.
    pub(crate) record: Option<Writer>,
    /// A view in which secrets have tags.
    pub(crate) tagged: Option<(Box<dyn View>, Arc<Tags>)>,
}

impl Masked {
    pub(crate) fn new(view: Box<dyn View>, secrets: &Secrets, kept: Kept) -> Self {
        Self {
            view,
            secrets: secrets.clone(),
            kept,
        }
    }
}

impl View for Masked {
    fn event(&mut self, event: &Event) {
        let Some(matcher) = self.secrets.matcher() else {
            if let Some(record) = &mut self.kept.record {
                record.event(event, false);
            }
            if let Some((view, _)) = &mut self.kept.tagged {
                view.event(event);
            }
            if !event.is_for_records() {
                self.view.event(event);
            }
            return;
        };
        let mut shown = event.clone();
        mask(&mut shown, &matcher);
        if let Some(record) = &mut self.kept.record {
            record.event(&shown, shown != *event);
        }
        if let Some((view, tags)) = &mut self.kept.tagged {
            let mut tagged = event.clone();
            mask(&mut tagged, &matcher.tagged(tags));
            view.event(&tagged);
        }
        if !shown.is_for_records() {
            self.view.event(&shown);
        }
    }
}

fn mask(event: &mut Event, matcher: &Matcher) {
    match event {
        Event::ItemDone {
            label,
            result,
            diff,
            delegated_to,
            unknown,
            ..
        } => {
            matcher.data(label);
            if let Some(cause) = unknown {
                matcher.text(&mut cause.task);
            }
            delegated_to.iter_mut().for_each(|name| matcher.text(name));
            matcher.map(result);
            diffs(diff, matcher);
        }
        Event::TaskDone {
            result,
            diff,
            delegated_to,
            unknown,
            ..
        } => {
            if let Some(cause) = unknown {
                matcher.text(&mut cause.task);
            }
            delegated_to.iter_mut().for_each(|name| matcher.text(name));
            matcher.map(result);
            diffs(diff, matcher);
        }
        Event::Retrying { result, .. } => matcher.map(result),
        Event::TaskStarted { task } => {
            for text in [&mut task.name, &mut task.action, &mut task.path] {
                matcher.text(text);
            }
            task.args.iter_mut().for_each(|args| matcher.map(args));
        }
        Event::Included { name, label, .. } => {
            matcher.text(name);
            label.iter_mut().for_each(|label| matcher.data(label));
        }
        // A task's number on its host is made up of digits.
        Event::Background { .. } => {}
        Event::Notified { handler, .. } => matcher.text(handler),
        Event::PlayStarted { name, path, .. } => {
            matcher.text(name);
            matcher.text(path);
        }
        Event::RunStarted { options } => {
            options
                .arguments
                .iter_mut()
                .for_each(|line| matcher.text(line));
        }
        Event::Message { text, .. } => matcher.text(text),
        Event::CustomStats { stats } => matcher.map(stats),
        Event::Again { what } => mask(what, matcher),
        Event::Kept { files, .. } => kept(files, matcher),
        Event::PlaybookStarted { path } => matcher.text(path),
        // Names of hosts, which the inventory gives in the open, and numbers.
        Event::NoHostsMatched
        | Event::Reached { .. }
        | Event::NoHostsRemaining
        | Event::HostStarted { .. }
        | Event::RunEnded { .. } => {}
    }
}

/// What has a secret in it is not kept: it cannot be masked and still be put back.
fn kept(files: &mut KeptFiles, matcher: &Matcher) {
    let is_secret = |text: &str| matcher.is_in(&Data::from(text));
    for file in &mut files.files {
        let content = file
            .content
            .as_ref()
            .map(|bytes| Data::Bytes(bytes.clone()));
        let mut secret =
            content.is_some_and(|content| matcher.is_in(&content) || is_secret(&content.text()));
        let is =
            [&file.before, &file.after].map(|inode| inode.as_ref().map_or("", |inode| &inode.is));
        secret |= is.into_iter().chain([file.path.as_str()]).any(is_secret);
        if secret {
            matcher.text(&mut file.path);
            for inode in [&mut file.before, &mut file.after].into_iter().flatten() {
                matcher.text(&mut inode.is);
            }
            file.content = None;
            file.lacks = Some(Lacks::Secret);
        }
    }
}

fn diffs(diffs: &mut [Diff], matcher: &Matcher) {
    for diff in diffs {
        if let (DiffSide::Text(before), DiffSide::Text(after)) = (&mut diff.before, &diff.after) {
            former(before, after, matcher);
        }
        for side in [&mut diff.before, &mut diff.after] {
            match side {
                DiffSide::Text(text) => matcher.text(text),
                DiffSide::Attributes(map) => matcher.map(map),
                DiffSide::Empty | DiffSide::Binary | DiffSide::TooLarge(_) => {}
            }
        }
        for text in [
            &mut diff.before_header,
            &mut diff.after_header,
            &mut diff.prepared,
        ] {
            text.iter_mut().for_each(|text| matcher.text(text));
        }
    }
}

/// Masks in the text before what stands there in the place of a secret of the text after: the
/// former password, which nobody has told us. The marks differ, so that the difference shows.
fn former(before: &mut String, after: &str, matcher: &Matcher) {
    if matcher.masked(after).is_none() {
        return;
    }
    let lines =
        |text: &str| -> Vec<String> { text.split_inclusive('\n').map(str::to_owned).collect() };
    let (old, new) = (lines(before), lines(after));
    let mut shown = old.clone();
    let changes = hunks(&old, &new, 0).into_iter().flatten();
    for change in changes.filter(|change| !change.equal) {
        let candidates = &new[change.b.0..change.b.1];
        for (offset, line) in shown[change.a.0..change.a.1].iter_mut().enumerate() {
            // Where lines were added or removed as well, the pairs are a guess: the line that
            // begins alike is the likelier one.
            let alike = candidates
                .iter()
                .find_map(|new| counterpart(line, new, matcher));
            let alike = alike.or_else(|| {
                let beside = matcher.masked(candidates.get(offset)?)?;
                (untagged(beside.trim_end()) == STARS).then(|| format!("{FORMER}\n"))
            });
            *line = alike.unwrap_or_else(|| std::mem::take(line));
        }
    }
    *before = shown.concat();
}

/// The old line with stars where the new one has a secret, if they are alike up to there.
fn counterpart(old: &str, new: &str, matcher: &Matcher) -> Option<String> {
    let masked = matcher.masked(new)?;
    let (head, _) = masked.split_once(STARS)?;
    let end = if old.ends_with('\n') { "\n" } else { "" };
    (!head.trim().is_empty() && old.starts_with(head)).then(|| format!("{head}{FORMER}{end}"))
}

#[cfg(test)]
mod tests {
    use rplay_modules::data::Map;
    use rplay_modules::map;

    use super::super::event::Status;
    use super::*;

    fn masked(secrets: &[&str], result: Map, diff: Vec<Diff>) -> (Map, Vec<Diff>) {
        let known = Secrets::default();
        secrets.iter().for_each(|secret| known.add(secret));
        let mut event = Event::TaskDone {
            task: 1,
            host: "h".to_owned(),
            delegated_to: None,
            status: Status::Changed,
            ignored: false,
            looped: false,
            result,
            diff,
            unknown: None,
        };
        mask(&mut event, &known.matcher().unwrap());
        match event {
            Event::TaskDone { result, diff, .. } => (result, diff),
            _ => panic!("the kind of an event changed"),
        }
    }

    #[test]
    fn secrets_are_masked_everywhere_in_an_event() {
        let result = map! { "cmd" => vec!["login", "-p", "s3cret-long"], "s3cret" => "abc" };
        let diff = vec![Diff::text("p=s3cret\n", "p=\n", "", "")];
        let (result, diff) = masked(&["s3cret", "s3cret-long", "abc"], result, diff);
        assert_eq!(
            result,
            map! { "cmd" => vec!["login", "-p", "********"], "********" => "********" }
        );
        assert_eq!(diff[0].before, DiffSide::Text("p=********\n".to_owned()));
    }

    #[test]
    fn the_former_password_is_masked_too() {
        let before = "user=app\npassword=older-one\nport=1\n";
        let after = "user=app\npassword=s3cret-long\nport=2\n";
        let (_, diff) = masked(
            &["s3cret-long"],
            Map::new(),
            vec![Diff::text(before, after, "", "")],
        );
        let expected = "user=app\npassword=******** (former)\nport=1\n";
        assert_eq!(diff[0].before, DiffSide::Text(expected.to_owned()));
    }
}
