//! Writes tar and zip archives and compressed files, and keeps what tells their members apart.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, CrcReader, GzBuilder};
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::machine::{Command, FileKind, Machine, Scratch, Stat};
use rplay_modules::outcome::Failure;
use rplay_modules::time::{Civil, Zone};

use super::{Format, Plan};
use crate::builtin::programs;
use crate::builtin::unarchive::fingerprint;

/// What tells the members of an archive apart from those of another.
pub(super) type Prints = BTreeSet<String>;

/// What was packed.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) paths: Vec<PathBuf>,
    pub(super) prints: Prints,
}

/// Where an archive is written to: a file, or in check mode memory, as long as it is small.
pub(super) struct Sink {
    scratch: Option<Box<dyn Scratch>>,
    kept: Vec<u8>,
    written: u64,
}

/// What check mode keeps of an archive.
const KEPT: usize = 1 << 20;

impl Sink {
    pub(super) fn new(scratch: Option<Box<dyn Scratch>>) -> Self {
        Self {
            scratch,
            kept: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn into_parts(self) -> (Option<Box<dyn Scratch>>, Vec<u8>) {
        (self.scratch, self.kept)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.scratch {
            Some(scratch) => scratch.write(bytes)?,
            None if self.kept.len() + bytes.len() <= KEPT => self.kept.write(bytes)?,
            None => bytes.len(),
        };
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.scratch {
            Some(scratch) => scratch.flush(),
            None => Ok(()),
        }
    }
}

/// One path and what it is.
struct Found {
    path: PathBuf,
    stat: Stat,
}

/// All paths of the plan, folders before what is in them, as Ansible goes through them.
fn members(machine: &mut dyn Machine, plan: &Plan) -> io::Result<Vec<Found>> {
    let (mut all, mut folders) = (Vec::new(), Vec::new());
    for target in &plan.targets {
        match machine.stat(target, true)? {
            Some(stat) if stat.kind == FileKind::Directory => folders.push(target.clone()),
            _ => add(machine, plan, target.clone(), &mut all)?,
        }
        while let Some(folder) = folders.pop() {
            let (mut below, mut files) = (Vec::new(), Vec::new());
            for name in machine.list(&folder)? {
                let path = folder.join(name);
                match machine.stat(&path, true) {
                    Ok(Some(stat)) if stat.kind == FileKind::Directory => below.push(path),
                    _ => files.push(path),
                }
            }
            for path in below.iter().chain(&files) {
                add(machine, plan, path.clone(), &mut all)?;
            }
            for path in below.into_iter().rev() {
                let stat = machine.stat(&path, false)?;
                if stat.is_some_and(|stat| stat.kind == FileKind::Directory) {
                    folders.push(path);
                }
            }
        }
    }
    Ok(all)
}

fn add(
    machine: &mut dyn Machine,
    plan: &Plan,
    path: PathBuf,
    all: &mut Vec<Found>,
) -> io::Result<()> {
    if plan.leaves_out(&path) {
        return Ok(());
    }
    // Zip has no links: what they lead to is packed.
    match machine.stat(&path, plan.format == Format::Zip)? {
        Some(stat) => {
            all.push(Found { path, stat });
            Ok(())
        }
        None => Err(io::Error::from_raw_os_error(2)),
    }
}

/// Writes an archive.
pub(super) fn archive(
    machine: &mut dyn Machine,
    plan: &Plan,
    sink: &mut Sink,
) -> Result<Packed, Failure> {
    let wrong = |path: &Path, error: &io::Error| {
        let (dest, path) = (plan.dest.display(), path.display());
        let error = os_error_text(error);
        Failure::new(format!(
            "Errors when writing archive at {dest}: {path}: {error}: '{path}'"
        ))
    };
    let found = members(machine, plan).map_err(|error| wrong(&plan.targets[0], &error))?;
    let mut writer = Writer::new(plan.format, sink);
    let mut packed = Packed::default();
    for member in found {
        if member.stat.kind == FileKind::Socket {
            continue;
        }
        let print = writer
            .add(machine, &plan.name(&member.path), &member)
            .map_err(|error| wrong(&member.path, &error))?;
        packed.prints.insert(print);
        // As Ansible tells it: of folders in a zip archive nothing.
        if plan.format != Format::Zip || member.stat.kind != FileKind::Directory {
            packed.paths.push(member.path);
        }
    }
    writer.finish().map_err(|error| wrong(&plan.dest, &error))?;
    Ok(packed)
}

/// Compresses the single file of the plan.
pub(super) fn single(
    machine: &mut dyn Machine,
    plan: &Plan,
    sink: &mut Sink,
) -> io::Result<Packed> {
    let path = &plan.targets[0];
    let mut content = CrcReader::new(machine.open(path)?);
    if plan.format == Format::Gz {
        let name = path.file_name().unwrap_or_default();
        let builder = GzBuilder::new().filename(std::os::unix::ffi::OsStrExt::as_bytes(name));
        let mut encoder = builder.write(sink, Compression::best());
        io::copy(&mut content, &mut encoder)?;
        encoder.finish()?;
    } else {
        io::copy(&mut content, sink)?;
    }
    Ok(Packed {
        paths: vec![path.clone()],
        prints: Prints::from([format!("{:08x}", content.crc().sum())]),
    })
}

/// The sum of what a compressed file holds.
pub(super) fn content_of(machine: &mut dyn Machine, format: Format, dest: &Path) -> Option<Prints> {
    let sum = |content: &mut dyn Read| {
        let mut content = CrcReader::new(content);
        io::copy(&mut content, &mut io::sink()).ok()?;
        Some(Prints::from([format!("{:08x}", content.crc().sum())]))
    };
    match format.program() {
        Some(program) => {
            let dest = dest.to_string_lossy().into_owned();
            let argv = [program, "-dc", &dest];
            let output = programs::query(machine, &Command::new(argv)).ok()?;
            (output.code == 0).then(|| sum(&mut output.stdout.as_slice()))?
        }
        None if format == Format::Gz => sum(&mut MultiGzDecoder::new(machine.open(dest).ok()?)),
        None => sum(&mut machine.open(dest).ok()?),
    }
}

/// An archive that is being written.
enum Writer<'a> {
    Tar(tar::Builder<&'a mut Sink>),
    Gz(tar::Builder<GzEncoder<&'a mut Sink>>),
    Zip(Zip<'a>),
}

impl<'a> Writer<'a> {
    fn new(format: Format, sink: &'a mut Sink) -> Self {
        match format {
            Format::Gz => {
                let encoder = GzEncoder::new(sink, Compression::best());
                Self::Gz(tar::Builder::new(encoder))
            }
            Format::Zip => Self::Zip(Zip {
                sink,
                directory: Vec::new(),
                count: 0,
            }),
            _ => Self::Tar(tar::Builder::new(sink)),
        }
    }

    /// Adds a member, and returns what tells it apart.
    fn add(&mut self, machine: &mut dyn Machine, name: &str, found: &Found) -> io::Result<String> {
        match self {
            Self::Tar(builder) => add_to_tar(machine, builder, name, found),
            Self::Gz(builder) => add_to_tar(machine, builder, name, found),
            Self::Zip(zip) => zip.add(machine, name, found),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Tar(mut builder) => builder.finish(),
            Self::Gz(builder) => builder.into_inner()?.finish().map(|_| ()),
            Self::Zip(zip) => zip.finish(),
        }
    }
}

fn add_to_tar<W: Write>(
    machine: &mut dyn Machine,
    builder: &mut tar::Builder<W>,
    name: &str,
    found: &Found,
) -> io::Result<String> {
    let Found { path, stat } = found;
    let mut header = tar::Header::new_gnu();
    header.set_mode(stat.mode);
    header.set_uid(stat.uid.into());
    header.set_gid(stat.gid.into());
    header.set_mtime(u64::try_from(stat.mtime.0).unwrap_or(0));
    // A name that does not fit stays away: the number says it.
    if let Some(user) = machine.user_by_id(stat.uid) {
        let _ = header.set_username(&user.name);
    }
    if let Some(group) = machine.group_by_id(stat.gid) {
        let _ = header.set_groupname(&group.name);
    }
    header.set_size(0);
    let (mut sum, mut target, mut full) = (0, None, name.to_owned());
    match stat.kind {
        FileKind::File => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(stat.size);
            // A file that grows meanwhile must not run over its place, nor one that shrinks leave a hole.
            let source = machine.open(path)?.take(stat.size);
            let mut content = CrcReader::new(source.chain(io::repeat(0)).take(stat.size));
            builder.append_data(&mut header, name, &mut content)?;
            sum = content.crc().sum();
        }
        FileKind::Link => {
            let to = machine.read_link(path)?;
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, &to)?;
            target = Some(to);
        }
        FileKind::Directory => {
            full.push('/');
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, &full, io::empty())?;
        }
        kind => {
            let device = match kind {
                FileKind::Char => tar::EntryType::Char,
                FileKind::Block => tar::EntryType::Block,
                _ => tar::EntryType::Fifo,
            };
            header.set_entry_type(device);
            let (major, minor) = (rustix::fs::major(stat.rdev), rustix::fs::minor(stat.rdev));
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
            builder.append_data(&mut header, name, io::empty())?;
        }
    }
    let shown = Some((stat.mode & 0o7777, stat.mtime.0));
    Ok(fingerprint(&full, shown, target.as_deref(), sum))
}

/// A zip archive. Sizes and sums follow each member, so that nothing is read twice.
struct Zip<'a> {
    sink: &'a mut Sink,
    directory: Vec<u8>,
    count: u16,
}

impl Zip<'_> {
    fn add(&mut self, machine: &mut dyn Machine, name: &str, found: &Found) -> io::Result<String> {
        let folder = found.stat.kind == FileKind::Directory;
        let name = if folder {
            format!("{name}/")
        } else {
            name.to_owned()
        };
        let offset = u32::try_from(self.sink.written).map_err(|_| too_large())?;
        let method: u16 = if folder { 0 } else { 8 };
        // What both headers have in common: version, flags (sizes follow; names are UTF-8), method, time.
        let mut common = Vec::from(20_u16.to_le_bytes());
        common.extend(0x0808_u16.to_le_bytes());
        common.extend(method.to_le_bytes());
        common.extend(dos_time(machine, found.stat.mtime.0));
        let length = u16::try_from(name.len()).map_err(|_| too_large())?;
        self.sink.write_all(b"PK\x03\x04")?;
        self.sink.write_all(&common)?;
        self.sink.write_all(&[0; 12])?;
        self.sink.write_all(&length.to_le_bytes())?;
        self.sink.write_all(&[0; 2])?;
        self.sink.write_all(name.as_bytes())?;
        let start = self.sink.written;
        let (mut sum, mut size) = (0, 0);
        if !folder {
            let mut content = CrcReader::new(machine.open(&found.path)?);
            let mut encoder = DeflateEncoder::new(&mut *self.sink, Compression::default());
            size = io::copy(&mut content, &mut encoder)?;
            encoder.finish()?;
            sum = content.crc().sum();
        }
        let stored = self.sink.written - start;
        let mut sizes = Vec::from(sum.to_le_bytes());
        for number in [stored, size] {
            let number = u32::try_from(number).map_err(|_| too_large())?;
            sizes.extend(number.to_le_bytes());
        }
        self.sink.write_all(b"PK\x07\x08")?;
        self.sink.write_all(&sizes)?;
        let kind: u32 = if folder { 0o040_000 } else { 0o100_000 };
        let attributes = (kind | found.stat.mode) << 16 | if folder { 0x10 } else { 0 };
        self.count = self.count.checked_add(1).ok_or_else(too_large)?;
        let entry = &mut self.directory;
        entry.extend(b"PK\x01\x02");
        // Made by a Unix program.
        entry.extend(0x0314_u16.to_le_bytes());
        entry.extend(&common);
        entry.extend(&sizes);
        entry.extend(length.to_le_bytes());
        entry.extend([0; 8]);
        entry.extend(attributes.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        entry.extend(name.as_bytes());
        Ok(fingerprint(&name, None, None, sum))
    }

    fn finish(self) -> io::Result<()> {
        let start = u32::try_from(self.sink.written).map_err(|_| too_large())?;
        let size = u32::try_from(self.directory.len()).map_err(|_| too_large())?;
        self.sink.write_all(&self.directory)?;
        self.sink.write_all(b"PK\x05\x06\0\0\0\0")?;
        for _ in 0..2 {
            self.sink.write_all(&self.count.to_le_bytes())?;
        }
        self.sink.write_all(&size.to_le_bytes())?;
        self.sink.write_all(&start.to_le_bytes())?;
        self.sink.write_all(&[0; 2])
    }
}

fn too_large() -> io::Error {
    io::Error::other("too large for `zip` (4 GiB, 65535 members): use `tar` or `gz`")
}

/// The time and the date of DOS, which are local ones.
fn dos_time(machine: &mut dyn Machine, seconds: i64) -> [u8; 4] {
    let offset = Zone::of(machine).at(seconds).offset;
    let time = Civil::of(seconds + offset);
    let part = |number: i64| u16::try_from(number).unwrap_or(0);
    let date = part(time.year - 1980) << 9 | part(time.month) << 5 | part(time.day);
    let half = part(time.second) / 2;
    let clock = part(time.hour) << 11 | part(time.minute) << 5 | half;
    let [a, b] = clock.to_le_bytes();
    let [c, d] = date.to_le_bytes();
    [a, b, c, d]
}
