//! SIF, the container file of Apptainer and Singularity: its descriptors read, and a file written.
//!
//! Layout (version 1, little endian): a header of 128 bytes; at 4096 a table of 48 descriptors of
//! 585 bytes; from 32768 on the objects, file systems aligned to 4096.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::document::{self, mapping, names, text};
use super::{Error, Hash, Result};
use crate::data::{Data, Map};
use crate::machine::Source;
use crate::{json, map};

const LAUNCH: &[u8; 31] = b"#!/usr/bin/env run-singularity\n";
const MAGIC: &[u8; 10] = b"SIF_MAGIC\0";
const HEADER: usize = 128;
const DESCRIPTOR: usize = 585;
const SLOTS: u64 = 48;
const TABLE_AT: u64 = 4096;
const DATA_AT: u64 = 32768;
const ALIGN: u64 = 4096;
/// Bytes of a record that are read from a file that somebody else may have made.
const MAX_RECORD: u64 = 1 << 20;
/// The name of the object that says where the image came from.
const RECORD: &str = "rplay.json";
/// The name of the object with what `apptainer inspect` shows.
pub(crate) const METADATA: &str = "inspect-metadata.json";

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Kind {
    /// A definition file.
    Definition = 0x4001,
    /// A file system.
    Partition = 0x4004,
    /// A JSON document.
    Json = 0x4006,
}

/// What is remembered about an image inside of its file, so that a later run knows it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The image as the user wrote it.
    pub(crate) image: String,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// The digest of the list of manifests that led to it.
    pub(crate) index: Option<String>,
    /// What it runs on.
    pub(crate) platform: String,
    /// Bytes of its layers as they are stored.
    pub(crate) size: u64,
    /// Its labels.
    pub(crate) labels: std::collections::BTreeMap<String, String>,
    /// The file is a stand-in of check mode and has no file system.
    pub(crate) predicted: bool,
}

impl Record {
    /// The labels as a value.
    pub(crate) fn labels(&self) -> Map {
        mapping(&self.labels)
    }

    fn to_json(&self) -> Vec<u8> {
        let fields = map! {
            "image" => self.image.as_str(),
            "digest" => self.digest.as_str(),
            "index" => self.index.clone(),
            "platform" => self.platform.as_str(),
            "size" => self.size,
            "labels" => self.labels(),
            "predicted" => self.predicted,
        };
        Data::Map(fields).json_text().into_bytes()
    }

    /// A record of another version may lack fields.
    fn from_json(bytes: &[u8]) -> Option<Self> {
        let data = json::read_bytes(bytes).ok()?;
        let field = |key| Some(text(&data, key).ok()?.unwrap_or_default());
        Some(Self {
            image: field("image")?,
            digest: field("digest")?,
            index: text(&data, "index").ok()?,
            platform: field("platform")?,
            size: document::number(&data, "size").ok()?.unwrap_or_default(),
            labels: names(&data, "labels").ok()?.unwrap_or_default(),
            predicted: data.get("predicted") == Some(&Data::Bool(true)),
        })
    }
}

/// An object to be written.
pub(crate) struct Object {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What is found at the place of a SIF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Some other file.
    Other,
    /// A SIF file that was cut off, or says so.
    Damaged(String),
    /// A complete SIF file, with the record of its origin where it has one.
    Sif(Option<Record>),
}

/// What a file system's writer gets: where to write, and from which offset on. It answers with
/// the number of bytes.
pub(crate) type Fill<'a, W> = &'a mut dyn FnMut(&mut W, u64) -> Result<u64>;

/// Writes a SIF file; without a file system it is the stand-in of check mode.
pub(crate) fn write<W: Write + Seek>(
    out: &mut W,
    mut objects: Vec<Object>,
    record: &Record,
    created: i64,
    file_system: Option<Fill<'_, W>>,
) -> Result<u64> {
    let json = record.to_json();
    let id = identity(&json);
    objects.push(Object {
        kind: Kind::Json,
        name: RECORD,
        bytes: json,
    });
    let architecture = architecture(&record.platform);
    let failed = |error: io::Error| Error::io("the SIF file", &error);
    let mut end = DATA_AT;
    let mut descriptors = Vec::new();
    for object in &objects {
        out.seek(SeekFrom::Start(end)).map_err(failed)?;
        out.write_all(&object.bytes).map_err(failed)?;
        let size = object.bytes.len() as u64;
        descriptors.push(Slot {
            kind: object.kind,
            name: object.name,
            at: end,
            size,
            padded: size,
            extra: Vec::new(),
        });
        end += size;
    }
    if let Some(fill) = file_system {
        let at = end.next_multiple_of(ALIGN);
        let size = fill(out, at)?;
        // Squashfs, the primary system partition, and what it runs on.
        let mut extra = [1_i32.to_le_bytes(), 2_i32.to_le_bytes()].concat();
        extra.extend(architecture);
        let padded = at + size - end;
        descriptors.push(Slot {
            kind: Kind::Partition,
            name: "rootfs.squashfs",
            at,
            size,
            padded,
            extra,
        });
        end = at + size;
    }
    let mut head = vec![0; DATA_AT as usize];
    let table = TABLE_AT as usize;
    for (number, slot) in descriptors.iter().enumerate() {
        let at = table + number * DESCRIPTOR;
        head[at..at + DESCRIPTOR].copy_from_slice(&slot.encode(number as u32 + 1, created));
    }
    let used = descriptors.len() as u64;
    head[..HEADER].copy_from_slice(&header(architecture, id, created, used, end - DATA_AT));
    out.seek(SeekFrom::Start(0)).map_err(failed)?;
    out.write_all(&head).map_err(failed)?;
    out.flush().map_err(failed)?;
    Ok(end)
}

struct Slot {
    kind: Kind,
    name: &'static str,
    at: u64,
    size: u64,
    padded: u64,
    extra: Vec<u8>,
}

impl Slot {
    fn encode(&self, id: u32, created: i64) -> [u8; DESCRIPTOR] {
        let mut bytes = Vec::with_capacity(DESCRIPTOR);
        bytes.extend((self.kind as i32).to_le_bytes());
        bytes.push(1);
        bytes.extend(id.to_le_bytes());
        // Every object belongs to the first group; none is linked to another.
        bytes.extend(0xf000_0001_u32.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        for number in [self.at, self.size, self.padded] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [created, created, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        let mut slot = [0; DESCRIPTOR];
        slot[..bytes.len()].copy_from_slice(&bytes);
        let name = bytes.len();
        slot[name..name + self.name.len()].copy_from_slice(self.name.as_bytes());
        let extra = name + 128;
        slot[extra..extra + self.extra.len()].copy_from_slice(&self.extra);
        slot
    }
}

fn header(architecture: [u8; 3], id: [u8; 16], created: i64, used: u64, data: u64) -> [u8; HEADER] {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(LAUNCH);
    bytes.push(0);
    bytes.extend(MAGIC);
    bytes.extend(b"01\0");
    bytes.extend(architecture);
    bytes.extend(id);
    bytes.extend(created.to_le_bytes());
    bytes.extend(created.to_le_bytes());
    for number in [
        SLOTS - used,
        SLOTS,
        TABLE_AT,
        SLOTS * DESCRIPTOR as u64,
        DATA_AT,
        data,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    let mut head = [0; HEADER];
    head.copy_from_slice(&bytes);
    head
}

/// The code of SIF for an architecture.
fn architecture(platform: &str) -> [u8; 3] {
    let name = platform.split('/').nth(1).unwrap_or_default();
    let code = match name {
        "386" => b"01",
        "amd64" => b"02",
        "arm" => b"03",
        "arm64" => b"04",
        "ppc64" => b"05",
        "ppc64le" => b"06",
        "s390x" => b"11",
        "riscv64" => b"12",
        _ => b"00",
    };
    [code[0], code[1], 0]
}

/// A UUID that follows from the image, so that equal images give equal files.
fn identity(record: &[u8]) -> [u8; 16] {
    let mut hash = Hash::default();
    hash.update(record);
    let digest = hash.finish();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .unwrap_or(0);
    }
    id[6] = (id[6] & 0x0f) | 0x50;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}

/// Looks at a file: is it a SIF file, is it complete, and where does it come from?
pub(crate) fn inspect(file: &mut dyn Source, length: u64) -> io::Result<Found> {
    Ok(read(file, length)?.0)
}

/// [`inspect`], and the document of what `apptainer inspect` shows.
pub(crate) fn read(file: &mut dyn Source, length: u64) -> io::Result<(Found, Option<Vec<u8>>)> {
    let mut head = [0; HEADER];
    file.rewind()?;
    if length < HEADER as u64 {
        return Ok((Found::Other, None));
    }
    file.read_exact(&mut head)?;
    if &head[32..42] != MAGIC {
        return Ok((Found::Other, None));
    }
    let damaged = |why: String| Ok((Found::Damaged(why), None));
    let slots = number(&head, 88);
    let table = number(&head, 96);
    if slots > 4096 || table.saturating_add(slots * DESCRIPTOR as u64) > length {
        return damaged("its table of objects is cut off".to_owned());
    }
    file.seek(SeekFrom::Start(table))?;
    let mut bytes = vec![0; slots as usize * DESCRIPTOR];
    file.read_exact(&mut bytes)?;
    let (mut record, mut shown) = (None, None);
    let mut file_system = false;
    for slot in bytes.chunks(DESCRIPTOR).filter(|slot| slot[4] != 0) {
        let (at, size) = (number(slot, 17), number(slot, 25));
        if at.saturating_add(size) > length {
            return damaged(format!("it ends at {length} bytes, inside of an object"));
        }
        let kind = i32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]);
        file_system |= kind == Kind::Partition as i32;
        let name = slot[73..201]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let ours = name == RECORD.as_bytes();
        if kind == Kind::Json as i32 && size <= MAX_RECORD && (ours || name == METADATA.as_bytes())
        {
            file.seek(SeekFrom::Start(at))?;
            let mut json = vec![0; size as usize];
            file.read_exact(&mut json)?;
            match ours {
                true => record = Record::from_json(&json),
                false => shown = Some(json),
            }
        }
    }
    if !file_system && !record.as_ref().is_some_and(|record| record.predicted) {
        return damaged("it has no file system".to_owned());
    }
    Ok((Found::Sif(record), shown))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Adds the record to a file that a program has made; a file without a free place stays as it is.
pub(crate) fn add_record(
    file: &mut (impl Read + Write + Seek),
    length: u64,
    record: &Record,
) -> Result<u64> {
    let failed = |error: io::Error| Error::io("the SIF file", &error);
    let json = record.to_json();
    file.rewind().map_err(failed)?;
    let mut head = [0; HEADER];
    file.read_exact(&mut head).map_err(failed)?;
    let (free, slots, table) = (number(&head, 80), number(&head, 88), number(&head, 96));
    if free == 0 || slots > 4096 {
        return Ok(length);
    }
    file.seek(SeekFrom::Start(table)).map_err(failed)?;
    let mut bytes = vec![0; slots as usize * DESCRIPTOR];
    file.read_exact(&mut bytes).map_err(failed)?;
    let Some(place) = bytes.chunks(DESCRIPTOR).position(|slot| slot[4] == 0) else {
        return Ok(length);
    };
    let ids = bytes
        .chunks(DESCRIPTOR)
        .map(|slot| u32::from_le_bytes([slot[5], slot[6], slot[7], slot[8]]));
    let id = ids.max().unwrap_or(0) + 1;
    let size = json.len() as u64;
    let slot = Slot {
        kind: Kind::Json,
        name: RECORD,
        at: length,
        size,
        padded: size,
        extra: Vec::new(),
    };
    let created = i64::from_le_bytes(number(&head, 64).to_le_bytes());
    file.seek(SeekFrom::Start(length)).map_err(failed)?;
    file.write_all(&json).map_err(failed)?;
    file.seek(SeekFrom::Start(table + (place * DESCRIPTOR) as u64))
        .map_err(failed)?;
    file.write_all(&slot.encode(id, created)).map_err(failed)?;
    head[80..88].copy_from_slice(&(free - 1).to_le_bytes());
    let data = length + size - number(&head, 112);
    head[120..128].copy_from_slice(&data.to_le_bytes());
    file.rewind().map_err(failed)?;
    file.write_all(&head).map_err(failed)?;
    Ok(length + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Record) {
        let record = Record {
            image: "oci:/x:1".to_owned(),
            digest: "sha256:1".to_owned(),
            platform: "linux/arm64".to_owned(),
            ..Record::default()
        };
        let mut out = io::Cursor::new(Vec::new());
        let objects = vec![Object {
            kind: Kind::Definition,
            name: "Singularity",
            bytes: b"bootstrap: x".to_vec(),
        }];
        let mut fill = |out: &mut io::Cursor<Vec<u8>>, at: u64| {
            assert_eq!(at % ALIGN, 0);
            out.set_position(at);
            out.write_all(&[7; 5000]).unwrap();
            Ok(5000)
        };
        write(&mut out, objects, &record, 42, Some(&mut fill)).unwrap();
        (out.into_inner(), record)
    }

    fn look(bytes: &[u8]) -> Found {
        inspect(&mut io::Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (bytes, record) = sample();
        assert_eq!(look(&bytes), Found::Sif(Some(record)));
        assert_eq!(&bytes[45..48], b"04\0");
        assert_eq!(bytes, sample().0);
    }

    #[test]
    fn cut_off_and_other_files_are_told_apart() {
        let (bytes, _) = sample();
        assert!(matches!(look(&bytes[..bytes.len() - 1]), Found::Damaged(_)));
        assert!(matches!(look(&bytes[..5000]), Found::Damaged(_)));
        assert_eq!(look(b"#!/bin/sh\n"), Found::Other);
        assert_eq!(look(&[0; 4096]), Found::Other);
    }

    #[test]
    fn a_stand_in_has_a_record_but_no_file_system() {
        let mut out = io::Cursor::new(Vec::new());
        let record = Record {
            predicted: true,
            ..Record::default()
        };
        write(&mut out, Vec::new(), &record, 0, None).unwrap();
        assert_eq!(look(out.get_ref()), Found::Sif(Some(record)));
    }

    #[test]
    fn a_record_is_added_to_a_file_without_one() {
        let (mut bytes, record) = sample();
        // Hide the record by renaming it.
        let at = bytes
            .windows(RECORD.len())
            .position(|part| part == RECORD.as_bytes())
            .unwrap();
        bytes[at] = b'x';
        assert_eq!(look(&bytes), Found::Sif(None));
        let mut file = io::Cursor::new(bytes);
        let length = file.get_ref().len() as u64;
        let end = add_record(&mut file, length, &record).unwrap();
        assert_eq!(end, file.get_ref().len() as u64);
        assert_eq!(look(file.get_ref()), Found::Sif(Some(record)));
    }
}
