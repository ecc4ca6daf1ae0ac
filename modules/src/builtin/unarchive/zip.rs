//! Members of a zip archive, by its central directory.

use std::io::{Read, SeekFrom};

use flate2::read::DeflateDecoder;
use rplay_modules::machine::Source;
use rplay_modules::outcome::Failure;
use rplay_modules::time::{Civil, Zone};

use super::open::{Visit, unknown};
use super::{Kind, Member};

/// The end of the central directory, without its comment.
const END: usize = 22;

/// Goes through all members.
pub(super) fn each(
    source: &mut dyn Source,
    name: &str,
    zone: &Zone,
    visit: Visit<'_>,
) -> Result<(), Failure> {
    let broken = |why: &str| unknown(name, why);
    let read = |error: std::io::Error| unknown(name, &error.to_string());
    let entries = directory(source, zone)
        .map_err(read)?
        .ok_or_else(|| broken("End-of-central-directory signature not found."))?;
    for (at, entry) in entries.into_iter().enumerate() {
        if entry.flags & 1 != 0 {
            return Err(broken("encrypted members are not supported"));
        }
        let mut head = [0; 30];
        source.seek(SeekFrom::Start(entry.offset)).map_err(read)?;
        source.read_exact(&mut head).map_err(read)?;
        let skip = u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        let start = entry.offset + 30 + skip;
        source.seek(SeekFrom::Start(start)).map_err(read)?;
        let stored = source.take(entry.stored);
        let mut content: Box<dyn Read> = match entry.method {
            0 => Box::new(stored),
            8 => Box::new(DeflateDecoder::new(stored)),
            method => {
                return Err(broken(&format!(
                    "compression method {method} is not supported"
                )));
            }
        };
        let kind = match entry.mode.map(|mode| mode & 0o170_000) {
            Some(0o120_000) => {
                let mut target = String::new();
                content.read_to_string(&mut target).map_err(read)?;
                Kind::Link(target.into())
            }
            _ if entry.name.ends_with('/') => Kind::Folder,
            _ => Kind::File,
        };
        let member = Member {
            name: entry.name,
            kind,
            mode: entry
                .mode
                .map(|mode| mode & 0o1777)
                .filter(|mode| *mode != 0),
            owner: None,
            mtime: entry.mtime,
            size: entry.size,
        };
        visit(at, member, &mut content)?;
    }
    Ok(())
}

/// An entry of the central directory.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    mtime: i64,
    stored: u64,
    size: u64,
    offset: u64,
    /// The Unix mode, where a Unix program wrote the archive.
    mode: Option<u32>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let pair = bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok());
    pair.map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The central directory; nothing where there is none.
fn directory(source: &mut dyn Source, zone: &Zone) -> std::io::Result<Option<Vec<Entry>>> {
    let length = source.seek(SeekFrom::End(0))?;
    // A comment of at most 64 KiB may follow, and the larger record of newer archives precedes.
    let start = length.saturating_sub(END as u64 + 65_535 + 76);
    source.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    source.read_to_end(&mut tail)?;
    let mark = |mark: &[u8]| tail.windows(4).rposition(|four| four == mark);
    let Some(at) = mark(b"PK\x05\x06") else {
        return Ok(None);
    };
    let (mut count, mut place) = (
        u64::from(u16_at(&tail, at + 10)),
        u64::from(u32_at(&tail, at + 16)),
    );
    let mut size = u64::from(u32_at(&tail, at + 12));
    if place == u64::from(u32::MAX)
        && let Some(large) = mark(b"PK\x06\x06")
    {
        count = u64_at(&tail, large + 32);
        size = u64_at(&tail, large + 40);
        place = u64_at(&tail, large + 48);
    }
    source.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    source.take(size).read_to_end(&mut bytes)?;
    let (mut entries, mut at) = (Vec::new(), 0);
    while entries.len() as u64 != count && bytes[at..].starts_with(b"PK\x01\x02") {
        let head = &bytes[at..];
        let lengths = [28, 30, 32].map(|place| usize::from(u16_at(head, place)));
        let end = 46 + lengths.iter().sum::<usize>();
        if head.len() < end {
            break;
        }
        entries.push(entry(head, lengths, zone));
        at += end;
    }
    Ok(Some(entries))
}

fn entry(head: &[u8], [name, extra, _]: [usize; 3], zone: &Zone) -> Entry {
    let unix = u16_at(head, 4) >> 8 == 3;
    let mut entry = Entry {
        name: String::from_utf8_lossy(&head[46..46 + name]).into_owned(),
        flags: u16_at(head, 8),
        method: u16_at(head, 10),
        mtime: dos_time(u16_at(head, 14), u16_at(head, 12), zone),
        stored: u32_at(head, 20).into(),
        size: u32_at(head, 24).into(),
        offset: u32_at(head, 42).into(),
        mode: unix.then(|| u32_at(head, 38) >> 16),
    };
    let mut extra = &head[46 + name..46 + name + extra];
    while extra.len() >= 4 {
        let length = usize::from(u16_at(extra, 2)).min(extra.len() - 4);
        let field = &extra[4..4 + length];
        match u16_at(extra, 0) {
            // Seconds since 1970.
            0x5455 if field.len() >= 5 && field[0] & 1 == 1 => {
                entry.mtime = i64::from(u32_at(field, 1).cast_signed());
            }
            // Numbers that do not fit above, in this order, only those that are needed.
            0x0001 => {
                let mut at = 0;
                let most = u64::from(u32::MAX);
                for number in [&mut entry.size, &mut entry.stored, &mut entry.offset] {
                    if *number == most {
                        *number = u64_at(field, at);
                        at += 8;
                    }
                }
            }
            _ => {}
        }
        extra = &extra[4 + length..];
    }
    entry
}

/// A date and time of DOS, which are local ones.
fn dos_time(date: u16, time: u16, zone: &Zone) -> i64 {
    let part = |number: u16, shift: u16, bits: u16| i64::from(number >> shift & ((1 << bits) - 1));
    let civil = Civil {
        year: 1980 + part(date, 9, 7),
        month: part(date, 5, 4).max(1),
        day: part(date, 0, 5).max(1),
        hour: part(time, 11, 5),
        minute: part(time, 5, 6),
        second: part(time, 0, 5) * 2,
    };
    if civil.exists() {
        zone.seconds(civil)
    } else {
        0
    }
}
