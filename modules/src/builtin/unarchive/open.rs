//! Opens an archive, whatever it is compressed with, and goes through its members.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rplay_modules::machine::attrs::{os_error_text, temporary_folder, unique_name};
use rplay_modules::machine::{Command, FileKind, Machine, Source};
use rplay_modules::outcome::Failure;
use rplay_modules::time::Zone;

use super::{Args, Kind, Member, Owner, zip};
use crate::builtin::programs;
use crate::http;

/// An archive that can be gone through.
pub(super) struct Archive {
    source: Box<dyn Source>,
    format: Format,
    name: String,
    /// What a program has unpacked, to be removed.
    temporary: Option<PathBuf>,
    /// The machine's zone, in which zip archives have their times.
    zone: Zone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    Gzip,
    Bzip,
    Xz,
    Zstd,
    Zip,
}

/// What a caller does with each member: its number, itself, its content.
pub(super) type Visit<'a> = &'a mut dyn FnMut(usize, Member, &mut dyn Read) -> Result<(), Failure>;

impl Archive {
    pub(super) fn open(machine: &mut dyn Machine, args: &Args) -> Result<Self, Failure> {
        let (source, file) = source(machine, args)?;
        Self::of(machine, source, file.as_deref(), &args.src)
    }

    /// An archive that is open; `file` is where programs find it.
    pub(super) fn of(
        machine: &mut dyn Machine,
        mut source: Box<dyn Source>,
        file: Option<&Path>,
        name: &str,
    ) -> Result<Self, Failure> {
        let Some(format) = format(&mut *source).map_err(|error| os_error_text(&error))? else {
            return Err(unknown(name, "it is neither tar nor zip"));
        };
        let mut archive = Self {
            source,
            format,
            name: name.to_owned(),
            temporary: None,
            zone: Zone::of(machine),
        };
        if let Some(program) = archive.program() {
            let temporary = decompress(machine, program, &mut archive, file)?;
            archive.source = machine
                .open(&temporary)
                .map_err(|error| os_error_text(&error))?;
            archive.temporary = Some(temporary);
        }
        Ok(archive)
    }

    /// What has to be run to read it.
    fn program(&self) -> Option<&'static str> {
        match self.format {
            Format::Bzip => Some("bzip2"),
            Format::Xz => Some("xz"),
            Format::Zstd => Some("zstd"),
            Format::Tar | Format::Gzip | Format::Zip => None,
        }
    }

    /// Ansible's word for the kind.
    pub(super) fn handler(&self) -> &'static str {
        match self.format {
            Format::Gzip => "TgzArchive",
            // `tar` finds out by itself what else an archive is compressed with.
            Format::Tar | Format::Bzip | Format::Xz | Format::Zstd => "TarArchive",
            Format::Zip => "ZipArchive",
        }
    }

    pub(super) fn is_zip(&self) -> bool {
        self.format == Format::Zip
    }

    /// Removes what a program has left.
    pub(super) fn close(self, machine: &mut dyn Machine) {
        if let Some(file) = &self.temporary {
            // Also in check mode: the program has really written it.
            let _ = programs::ask(machine, ["rm", "-f", &file.to_string_lossy()]);
        }
    }

    /// Goes through all members.
    pub(super) fn each(&mut self, visit: Visit<'_>) -> Result<(), Failure> {
        let rewound = self.source.seek(SeekFrom::Start(0));
        rewound.map_err(|error| os_error_text(&error))?;
        match self.format {
            Format::Zip => zip::each(&mut *self.source, &self.name, &self.zone, visit),
            Format::Gzip => tar_members(MultiGzDecoder::new(&mut *self.source), &self.name, visit),
            _ => tar_members(&mut *self.source, &self.name, visit),
        }
    }
}

/// The failure of an archive that cannot be read.
pub(super) fn unknown(name: &str, why: &str) -> Failure {
    Failure::new(format!(
        "Failed to find handler for \"{name}\". Make sure the required command to extract the file is installed.\n{why}"
    ))
}

/// The archive as it is, and its file.
fn source(
    machine: &mut dyn Machine,
    args: &Args,
) -> Result<(Box<dyn Source>, Option<PathBuf>), Failure> {
    let fail = |error: std::io::Error| Failure::new(os_error_text(&error));
    if let Some(bytes) = &args.sent {
        return Ok((Box::new(Cursor::new(bytes.clone())), None));
    }
    if args.spooled.is_none() && args.src.contains("://") {
        let bytes = http::get(machine, &args.src, args.validate_certs).map_err(|error| {
            format!("Failure downloading {}, Request failed: {error}", args.src)
        })?;
        return Ok((Box::new(Cursor::new(bytes)), None));
    }
    let path = match &args.spooled {
        Some(path) => path.clone(),
        None => crate::args::expand_path(machine, &args.src).into(),
    };
    let shown = path.display();
    match machine.stat(&path, true) {
        Ok(Some(stat)) if stat.kind == FileKind::Directory => {
            return Err(unknown(&args.src, "it is a directory"));
        }
        Ok(Some(stat)) if stat.size == 0 => {
            let msg = format!("Invalid archive '{shown}', the file is 0 bytes");
            return Err(Failure::new(msg));
        }
        Ok(None) => return Err(Failure::new(format!("Source '{shown}' does not exist"))),
        _ => {}
    }
    let source = machine.open(&path);
    let source = source.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(format!("Source '{shown}' not readable"))
        }
        _ => fail(error),
    })?;
    Ok((source, Some(path)))
}

fn format(source: &mut dyn Source) -> std::io::Result<Option<Format>> {
    let mut head = [0; 512];
    let count = super::fill(source, &mut head)?;
    source.seek(SeekFrom::Start(0))?;
    let starts = |mark: &[u8]| head[..count].starts_with(mark);
    Ok(if starts(&[0x1f, 0x8b]) {
        Some(Format::Gzip)
    } else if starts(b"BZh") {
        Some(Format::Bzip)
    } else if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Some(Format::Xz)
    } else if starts(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Format::Zstd)
    } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        Some(Format::Zip)
    } else if count == head.len() && is_tar(&head) {
        Some(Format::Tar)
    } else {
        None
    })
}

/// Whether the first header of a tar archive holds its own sum; an empty archive has none.
fn is_tar(head: &[u8; 512]) -> bool {
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(head);
    let sum = header.cksum().ok();
    header.set_cksum();
    head.iter().all(|byte| *byte == 0) || sum.is_some() && sum == header.cksum().ok()
}

/// Unpacks with a program into a file that goes again.
fn decompress(
    machine: &mut dyn Machine,
    program: &str,
    archive: &mut Archive,
    file: Option<&Path>,
) -> Result<PathBuf, Failure> {
    const SCRIPT: &str = "umask 077; if [ -n \"$3\" ]; then exec \"$1\" -dc <\"$3\" >\"$2\"; else exec \"$1\" -dc >\"$2\"; fi";
    if !programs::installed(machine, program) {
        let why = format!("Unable to find required '{program}' binary in the path.");
        return Err(unknown(&archive.name, &why));
    }
    let folder = temporary_folder(machine);
    let target = unique_name(machine, &folder, ".ansible_tmp", ".tar");
    let mut command = Command::new([
        "/bin/sh",
        "-c",
        SCRIPT,
        "sh",
        program,
        &target.to_string_lossy(),
        &file.unwrap_or(Path::new("")).to_string_lossy(),
    ]);
    let mut output = programs::query(machine, &command)?;
    if output.code != 0 || file.is_none() {
        // A file that is only predicted is no file for the program.
        let mut bytes = Vec::new();
        let read = archive.source.read_to_end(&mut bytes);
        read.map_err(|error| os_error_text(&error))?;
        command.argv.pop();
        command.stdin = Some(bytes);
        output = programs::query(machine, &command)?;
    }
    if output.code != 0 {
        let _ = programs::ask(machine, ["rm", "-f", &target.to_string_lossy()]);
        return Err(unknown(&archive.name, output.stderr_text().trim()));
    }
    Ok(target)
}

fn tar_members(stream: impl Read, name: &str, visit: Visit<'_>) -> Result<(), Failure> {
    let damaged = |error: std::io::Error| unknown(name, &error.to_string());
    let mut archive = tar::Archive::new(stream);
    for (at, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        let target = || {
            let target = entry.link_name_bytes().unwrap_or_default();
            PathBuf::from(String::from_utf8_lossy(&target).into_owned())
        };
        let kind = match entry.header().entry_type() {
            tar::EntryType::XGlobalHeader => continue,
            tar::EntryType::Directory => Kind::Folder,
            tar::EntryType::Symlink => Kind::Link(target()),
            tar::EntryType::Link => Kind::Hard(target()),
            kind if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => Kind::File,
            _ => Kind::Other,
        };
        let header = entry.header();
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let number = |number: std::io::Result<u64>| {
            number.ok().and_then(|number| u32::try_from(number).ok())
        };
        let mut name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if matches!(kind, Kind::Folder) && !name.ends_with('/') {
            name.push('/');
        }
        let member = Member {
            name,
            mode: header.mode().ok().map(|mode| mode & 0o7777),
            owner: Some(Owner {
                uid: number(header.uid()).unwrap_or_default(),
                gid: number(header.gid()).unwrap_or_default(),
                user: text(header.username_bytes()),
                group: text(header.groupname_bytes()),
            }),
            mtime: header
                .mtime()
                .ok()
                .and_then(|time| i64::try_from(time).ok())
                .unwrap_or(0),
            size: entry.size(),
            kind,
        };
        visit(at, member, &mut entry)?;
    }
    Ok(())
}
