//! Writes the record of a run. A thread turns events into lines, so that the run waits for neither.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use rplay_modules::data::Data;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value};

use super::{EVENTS, FORMAT, Head, IMAGES, Place, VERSION, append, images, write_head};
use crate::diag::Severity;
use crate::load::inputs::{FilesRead, digest};
use crate::report::event::{Event, KeptFile, Lacks};
use crate::report::record;
use crate::secrets::Secrets;

/// What is gathered before it is written, where events come quickly.
const BATCH: usize = 64 << 10;

/// What the record gets.
enum Line {
    Event {
        event: Box<Event>,
        /// It lost something by being masked.
        masked: bool,
        /// Milliseconds since the run began.
        at: u64,
    },
    Input {
        path: String,
        digest: String,
    },
}

/// The record of a run that is under way; it is complete when this is dropped.
pub(crate) struct Writer {
    head: Head,
    folder: PathBuf,
    /// The arguments as they were given.
    words: Vec<String>,
    secrets: Secrets,
    files_read: FilesRead,
    /// How many of those the record has.
    files: usize,
    begin: Instant,
    lines: Option<Sender<Line>>,
    thread: Option<JoinHandle<()>>,
    /// Why nothing more could be written.
    fault: Arc<OnceLock<String>>,
    /// Why what a file was could not be written.
    no_image: Arc<OnceLock<String>>,
    told: bool,
}

impl Writer {
    /// Begins a record: `head` says what was called, with these arguments.
    ///
    /// # Errors
    /// The record cannot be written there.
    pub(crate) fn begin(
        place: &Place,
        head: Head,
        words: Vec<String>,
        files_read: FilesRead,
        secrets: &Secrets,
    ) -> io::Result<Self> {
        let (id, folder) = place.create()?;
        let file = append(&folder.join(EVENTS))?;
        // Some file systems know no locks; then the run looks as if it had been killed.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let head = Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            id,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            ..head
        };
        let (lines, received) = channel();
        let fault = Arc::new(OnceLock::new());
        let failed = Arc::clone(&fault);
        let no_image = Arc::new(OnceLock::new());
        let mut kept = Images {
            folder: folder.join(IMAGES),
            left: place.most_bytes,
            fault: Arc::clone(&no_image),
        };
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || {
                if let Err(error) = write_all(&received, file, &mut kept) {
                    // It is set here only.
                    let _ = failed.set(error.to_string());
                    // What comes now is for nobody.
                    received.iter().for_each(drop);
                }
            })?;
        let mut writer = Self {
            head,
            folder,
            words,
            secrets: secrets.clone(),
            files_read,
            files: 0,
            begin: Instant::now(),
            lines: Some(lines),
            thread: Some(thread),
            fault,
            no_image,
            told: false,
        };
        writer.write_head()?;
        place.rotate();
        Ok(writer)
    }

    /// Takes over the files that the run was made of which this one goes on with.
    pub(crate) fn inputs(&self, inputs: &BTreeMap<String, String>) {
        for (path, digest) in inputs {
            let (path, digest) = (path.clone(), digest.clone());
            if let Some(lines) = &self.lines {
                // The thread listens until this is gone.
                let _ = lines.send(Line::Input { path, digest });
            }
        }
    }

    /// Removes what files were where a secret is in it that only became known later.
    fn forget_secrets(&self) {
        if !self.head.images || self.secrets.matcher().is_none() {
            return;
        }
        for image in images(&self.folder) {
            let content = std::fs::read(&image).map(Data::Bytes);
            if content.is_ok_and(|content| self.secrets.is_in(&content)) {
                // Only the owner reads it.
                let _ = std::fs::remove_file(image);
            }
        }
    }

    /// A path as it may be written.
    fn hidden(&self, path: &Path) -> String {
        self.secrets.text(&path.display().to_string()).into_owned()
    }

    /// The arguments may hold what only now is known to be a secret.
    fn write_head(&mut self) -> io::Result<()> {
        let hide = |text: &String| self.secrets.text(text).into_owned();
        self.head.playbooks = self.head.playbooks.iter().map(hide).collect();
        self.head.arguments = self.words.iter().map(hide).collect();
        self.head.whole = self.head.arguments == self.words;
        write_head(&self.folder, &self.head)
    }

    /// Takes an event that has been masked; `masked` tells whether it lost something by that.
    pub(crate) fn event(&mut self, event: &Event, masked: bool) {
        if let Event::RunEnded { recap, exit_code } = event {
            self.head.recap = recap.iter().cloned().collect();
            self.head.exit_code = Some(*exit_code);
        }
        if let Some(fault) = self.fault.get() {
            if !self.told {
                self.told = true;
                not_written(fault);
            }
            return;
        }
        let new = self.files_read.after(self.files);
        self.files += new.len();
        let at = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Line::Event {
            event: Box::new(event.clone()),
            masked,
            at,
        };
        let inputs = new.into_iter().map(|(path, digest)| Line::Input {
            path: self.hidden(&std::path::absolute(&path).unwrap_or(path)),
            digest,
        });
        if let Some(lines) = &self.lines {
            for line in inputs.chain([event]) {
                // The thread listens until this is gone.
                let _ = lines.send(line);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.lines.take());
        // The thread does not panic.
        let _ = self.thread.take().map(JoinHandle::join);
        self.forget_secrets();
        self.head.ended = Some(jiff::Timestamp::now().to_string());
        self.head.incomplete = self.fault.get().cloned();
        if let Some(fault) = self.no_image.get() {
            let text = format!(
                "[WARNING]: not all that files were is in the record of this run, and `rplay rollback` cannot bring that back: {fault}\n"
            );
            crate::report::problem(Severity::Warning, &text);
        }
        let written = self.write_head().map_err(|fault| fault.to_string());
        let fault = self.fault.get().cloned().map_or(written, Err);
        if let Err(fault) = fault
            && !self.told
        {
            not_written(&fault);
        }
    }
}

/// Tells why the record is incomplete.
fn not_written(fault: &str) {
    let text = format!("[WARNING]: the record of this run is incomplete: {fault}\n");
    crate::report::problem(Severity::Warning, &text);
}

/// Writes what comes until nothing more does.
fn write_all(lines: &Receiver<Line>, mut file: File, kept: &mut Images) -> io::Result<()> {
    let mut text = String::new();
    while let Ok(line) = lines.recv() {
        add(&mut text, line, kept);
        while text.len() < BATCH
            && let Ok(line) = lines.try_recv()
        {
            add(&mut text, line, kept);
        }
        file.write_all(text.as_bytes())?;
        text.clear();
    }
    Ok(())
}

/// Where contents of files go.
struct Images {
    folder: PathBuf,
    /// How many bytes more.
    left: u64,
    /// Why one could not be written.
    fault: Arc<OnceLock<String>>,
}

impl Images {
    /// Puts a content into a file of its own, named by its digest.
    fn keep(&mut self, file: &mut KeptFile) {
        let Some(content) = file.content.take() else {
            return;
        };
        let name = digest(&content);
        let path = self.folder.join(&name);
        let size = content.len() as u64;
        let kept = path.exists()
            || size <= self.left && {
                self.left -= size;
                let mut folder = DirBuilder::new();
                // It is there from the second one on.
                let _ = folder.mode(0o700).create(&self.folder);
                let written = append(&path).and_then(|mut file| file.write_all(&content));
                if let Err(fault) = &written {
                    // Half a content must not be taken for one. The first fault is told.
                    let _ = std::fs::remove_file(&path);
                    let _ = self.fault.set(fault.to_string());
                }
                written.is_ok()
            };
        match kept {
            true => file.image = Some(name),
            false => file.lacks = Some(Lacks::NoSpace),
        }
    }
}

fn add(text: &mut String, mut line: Line, kept: &mut Images) {
    if let Line::Event { event, .. } = &mut line
        && let Event::Kept { files, .. } = &mut **event
    {
        files.files.iter_mut().for_each(|file| kept.keep(file));
    }
    let fields = match line {
        Line::Event { event, masked, at } => record::fields(&event).map(|mut fields| {
            fields.insert("at".to_owned(), at.into());
            if masked {
                fields.insert("masked".to_owned(), true.into());
            }
            fields
        }),
        Line::Input { path, digest } => {
            let fields = [("input", path), ("sha256", digest)];
            let fields = fields.map(|(name, value)| (name.to_owned(), Value::String(value)));
            Some(Map::from_iter(fields))
        }
    };
    if let Some(fields) = fields {
        text.push_str(&Value::Object(fields).to_string());
        text.push('\n');
    }
}
