//! One image of one platform: its manifest, its configuration and its layers, wherever it lies.

use std::collections::BTreeMap;
use std::io::Read;

use super::document::{Parsed, list, names, number, text, texts};
use super::layout::Layout;
use super::reference::Place;
use super::registry::{RawManifest, Registry};
use super::{Digest, Error, Result};
use crate::data::Data;
use crate::json;
use crate::machine::Machine;

/// The manifests that are understood, most wanted first.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// The annotation under which a layout keeps the names of its images.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The media type of the configuration of a SIF file in a registry.
const SIF_CONFIG: &str = "application/vnd.sylabs.sif.config.v1";
/// The media type of a SIF file in a registry.
const SIF_LAYER: &str = "application/vnd.sylabs.sif.layer.v1";
/// How deep lists of lists of manifests may go.
const MAX_NESTING: usize = 4;

/// A pointer to a blob.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor {
    /// What the blob is.
    pub(crate) media_type: String,
    /// Its digest.
    pub(crate) digest: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    platform: Option<Platform>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    fn read(data: &Data) -> Parsed<Self> {
        Ok(Self {
            media_type: text(data, "mediaType")?.unwrap_or_default(),
            digest: text(data, "digest")?.ok_or("`digest` is missing")?,
            size: number(data, "size")?.ok_or("`size` is missing")?,
            platform: data.get("platform").map(Platform::read).transpose()?,
            annotations: names(data, "annotations")?,
        })
    }

    /// A blob that only its digest and size are known of.
    pub(super) fn bare(digest: &str, size: u64) -> Self {
        Self {
            media_type: String::new(),
            digest: digest.to_owned(),
            size,
            platform: None,
            annotations: None,
        }
    }
}

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Platform {
    /// The processor, in Go's words.
    pub(crate) architecture: String,
    /// The operating system.
    pub(crate) os: String,
    /// The processor's variant (`v7`).
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// Reads `amd64`, `x86_64`, `linux/arm64`, `arm/v7`; nothing: the machine's own.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let text = text.unwrap_or(if cfg!(target_arch = "aarch64") {
            "aarch64"
        } else {
            "x86_64"
        });
        let rest = text.strip_prefix("linux/").unwrap_or(text);
        let (name, variant) = match rest.split_once('/') {
            Some((name, variant)) => (name, Some(variant.to_owned())),
            None => (rest, None),
        };
        let architecture = match name {
            "amd64" | "x86_64" => "amd64",
            "arm64" | "aarch64" => "arm64",
            "386" | "i386" | "i686" | "x86" => "386",
            "ppc64le" | "powerpc64le" => "ppc64le",
            "arm" | "s390x" | "riscv64" => name,
            _ => {
                return Err(Error::new(format!(
                    "`{text}` is not a known architecture; expected amd64, arm64, 386, arm, ppc64le, s390x or riscv64"
                )));
            }
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant,
        })
    }

    fn read(data: &Data) -> Parsed<Self> {
        Ok(Self {
            architecture: text(data, "architecture")?.unwrap_or_default(),
            os: text(data, "os")?.unwrap_or_default(),
            variant: text(data, "variant")?,
        })
    }

    fn matches(&self, offered: &Platform) -> bool {
        let free = |wanted: &str, offered: &str| offered.is_empty() || wanted == offered;
        free(&self.architecture, &offered.architecture)
            && free(&self.os, &offered.os)
            && (self.variant.is_none() || self.variant == offered.variant)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(out, "/{variant}"))
    }
}

#[derive(Debug)]
struct Manifest {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    schema_version: u64,
}

impl Manifest {
    fn read(data: &Data) -> Parsed<Self> {
        let descriptors = |key| {
            let items = list(data, key)?;
            let read = items.map(|items| items.iter().map(Descriptor::read).collect());
            read.transpose()
        };
        let config = data.get("config").map(Descriptor::read);
        Ok(Self {
            media_type: text(data, "mediaType")?,
            manifests: descriptors("manifests")?,
            config: config.transpose()?,
            layers: descriptors("layers")?.unwrap_or_default(),
            schema_version: number(data, "schemaVersion")?.unwrap_or_default(),
        })
    }
}

/// How an image is run, as its maker said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// What it runs on.
    platform: Platform,
    /// When it was made.
    pub(crate) created: Option<String>,
    /// What to run; empty where the image says nothing.
    pub(crate) execution: Execution,
    /// The digests of the uncompressed layers.
    diff_ids: Vec<String>,
}

/// The part of a configuration that says what to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Execution {
    /// `NAME=value`, in order.
    pub(crate) env: Option<Vec<String>>,
    /// The program and its first arguments.
    pub(crate) entrypoint: Option<Vec<String>>,
    /// Arguments, or the program where there is no entry point.
    pub(crate) cmd: Option<Vec<String>>,
    /// Labels.
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl Execution {
    pub(super) fn read(data: &Data) -> Parsed<Self> {
        Ok(Self {
            env: texts(data, "Env")?,
            entrypoint: texts(data, "Entrypoint")?,
            cmd: texts(data, "Cmd")?,
            labels: names(data, "Labels")?,
        })
    }
}

impl Config {
    fn read(data: &Data) -> Parsed<Self> {
        let execution = data.get("config").map(Execution::read);
        let ids = data.get("rootfs").map(|root| texts(root, "diff_ids"));
        Ok(Self {
            platform: Platform::read(data)?,
            created: text(data, "created")?,
            execution: execution.transpose()?.unwrap_or_default(),
            diff_ids: ids.transpose()?.flatten().unwrap_or_default(),
        })
    }

    /// When it was made, in seconds since 1970; 0 where it does not say.
    pub(crate) fn created_seconds(&self) -> i64 {
        let parsed = self.created.as_deref().and_then(crate::time::timestamp);
        parsed.map_or(0, |time| time.max(0))
    }
}

/// An image that is ready to be unpacked.
pub(crate) struct Image {
    /// The digest of the manifest; for an archive of `docker save` that of the configuration.
    pub(crate) digest: Digest,
    /// The digest of the list that led to the manifest.
    pub(crate) index: Option<Digest>,
    /// What it runs on.
    pub(crate) platform: Platform,
    /// How it is run.
    pub(crate) config: Config,
    /// The configuration as it lies in the image.
    pub(crate) config_bytes: Vec<u8>,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<Layer>,
}

impl Image {
    /// Bytes of all layers as they are stored.
    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.blob.size).sum()
    }
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Where its bytes are; without a digest in an archive of `docker save`.
    pub(crate) blob: Descriptor,
    /// The name of the member in an archive of `docker save`.
    pub(crate) member: Option<String>,
    /// The digest of the uncompressed bytes.
    pub(crate) diff_id: Option<Digest>,
}

/// Where manifests and blobs are.
pub(crate) enum Store {
    /// In a registry.
    Registry(Box<Registry>),
    /// On the machine.
    Layout(Layout),
}

impl Store {
    /// The bytes of a layer, unchecked, as they are stored.
    pub(crate) fn open(
        &mut self,
        machine: &mut dyn Machine,
        layer: &Layer,
    ) -> Result<Box<dyn Read>> {
        match (self, &layer.member) {
            (Store::Registry(registry), _) => registry.blob(machine, &layer.blob),
            (Store::Layout(layout), Some(member)) => Ok(layout.open(machine, member)?.0),
            (Store::Layout(layout), None) => {
                Ok(layout.open(machine, &blob_path(&layer.blob.digest)?)?.0)
            }
        }
    }

    fn manifest(&mut self, machine: &mut dyn Machine, wanted: &Descriptor) -> Result<RawManifest> {
        match self {
            Store::Registry(registry) => registry.manifest(machine, &wanted.digest),
            Store::Layout(_) => {
                let bytes = self.document(machine, wanted)?;
                Ok(RawManifest {
                    digest: Digest::of(&bytes),
                    media_type: wanted.media_type.clone(),
                    bytes,
                })
            }
        }
    }

    /// A small blob, checked.
    fn document(&mut self, machine: &mut dyn Machine, blob: &Descriptor) -> Result<Vec<u8>> {
        let bytes = match self {
            Store::Layout(layout) => layout.document(machine, &blob_path(&blob.digest)?)?,
            Store::Registry(registry) => {
                let mut bytes = Vec::new();
                let reader = registry.blob(machine, blob)?;
                reader
                    .take(super::http::MAX_DOCUMENT)
                    .read_to_end(&mut bytes)
                    .map_err(|error| Error::io(format!("the blob {}", blob.digest), &error))?;
                bytes
            }
        };
        let expected = Digest::parse(&blob.digest)?;
        let found = Digest::of(&bytes);
        if found != expected {
            return Err(Error::new(format!(
                "the blob {expected} is damaged: its digest is {found}"
            )));
        }
        Ok(bytes)
    }
}

fn blob_path(digest: &str) -> Result<String> {
    Ok(format!("blobs/sha256/{}", Digest::parse(digest)?.hex()))
}

/// The image of a platform in a registry.
pub(crate) fn in_registry(
    machine: &mut dyn Machine,
    mut registry: Registry,
    wanted: &str,
    platform: &Platform,
    what: &str,
) -> Result<(Store, Image)> {
    let manifest = registry.manifest(machine, wanted)?;
    let mut store = Store::Registry(Box::new(registry));
    let image = resolve(machine, &mut store, manifest, platform, what)?;
    Ok((store, image))
}

/// The image of a platform in a layout.
pub(crate) fn in_layout(
    machine: &mut dyn Machine,
    layout: Layout,
    place: &Place,
    platform: &Platform,
) -> Result<(Store, Image)> {
    let bytes = layout.document(machine, "index.json")?;
    let what = layout.display();
    let index = parse(&bytes, Manifest::read, "index.json", &what)?;
    let found = choose_name(
        &index.manifests.unwrap_or_default(),
        place.tag.as_deref(),
        &what,
    )?;
    let mut store = Store::Layout(layout);
    let manifest = store.manifest(machine, &found)?;
    let image = resolve(machine, &mut store, manifest, platform, &what)?;
    Ok((store, image))
}

/// The entry of a layout's index that a tag names.
fn choose_name(entries: &[Descriptor], tag: Option<&str>, what: &str) -> Result<Descriptor> {
    let name = |entry: &Descriptor| {
        entry
            .annotations
            .as_ref()
            .and_then(|all| all.get(REF_NAME))
            .cloned()
    };
    let known = || {
        let names: Vec<String> = entries.iter().filter_map(name).collect();
        if names.is_empty() {
            "it names none".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        }
    };
    match tag {
        None => match entries {
            [only] => Ok(only.clone()),
            [] => Err(Error::new(format!("{what} has no image"))),
            _ => Err(Error::new(format!(
                "{what} has several images; name one after a colon: {}",
                known()
            ))),
        },
        Some(tag) => {
            // A tag names the image fully (`docker.io/library/alpine:3`) or by its last part.
            let exact = entries
                .iter()
                .find(|entry| name(entry).as_deref() == Some(tag));
            let last = || {
                entries.iter().find(|entry| {
                    name(entry).is_some_and(|name| name.ends_with(&format!(":{tag}")))
                })
            };
            exact
                .or_else(last)
                .cloned()
                .ok_or_else(|| Error::new(format!("{what} has no image `{tag}`; {}", known())))
        }
    }
}

fn parse<T>(bytes: &[u8], read: fn(&Data) -> Parsed<T>, part: &str, what: &str) -> Result<T> {
    json::read_bytes(bytes)
        .and_then(|data| read(&data))
        .map_err(|error| Error::new(format!("{part} of {what} cannot be read: {error}")))
}

/// Follows lists of manifests to the one of the platform, and reads its configuration.
fn resolve(
    machine: &mut dyn Machine,
    store: &mut Store,
    first: RawManifest,
    platform: &Platform,
    what: &str,
) -> Result<Image> {
    let mut raw = first;
    let mut index = None;
    for _ in 0..MAX_NESTING {
        let manifest = parse(&raw.bytes, Manifest::read, "the manifest", what)?;
        let media_type = manifest
            .media_type
            .as_deref()
            .unwrap_or(&raw.media_type)
            .to_owned();
        if let Some(entries) = &manifest.manifests {
            index.get_or_insert(raw.digest);
            let chosen = choose_platform(entries, platform, what)?.clone();
            raw = store.manifest(machine, &chosen)?;
            continue;
        }
        let Some(config) = &manifest.config else {
            let kind = if manifest.schema_version == 1 {
                "an old manifest (schema 1)"
            } else {
                "no image manifest"
            };
            return Err(Error::new(format!(
                "{what} has {kind} of the type `{media_type}`, which is not supported"
            )));
        };
        if config.media_type.starts_with(SIF_CONFIG) {
            return Err(Error::new(format!(
                "{what} is a SIF file, not an image of layers; name it with `oras://`"
            )));
        }
        let config_bytes = store.document(machine, config)?;
        return assemble(
            config_bytes,
            manifest.layers,
            raw.digest,
            index,
            platform,
            what,
        );
    }
    Err(Error::new(format!(
        "{what} has lists of manifests nested too deeply"
    )))
}

fn choose_platform<'a>(
    entries: &'a [Descriptor],
    wanted: &Platform,
    what: &str,
) -> Result<&'a Descriptor> {
    let offered: Vec<(&Descriptor, &Platform)> = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.platform.as_ref()?)))
        // Attestations are listed like images, of an unknown platform.
        .filter(|(_, platform)| platform.os != "unknown")
        .collect();
    if let Some((found, _)) = offered
        .iter()
        .find(|(_, platform)| wanted.matches(platform))
    {
        return Ok(found);
    }
    if let ([], [only]) = (offered.as_slice(), entries) {
        return Ok(only);
    }
    let names: Vec<String> = offered
        .iter()
        .map(|(_, platform)| platform.to_string())
        .collect();
    Err(Error::new(format!(
        "{what} has no image for {wanted}; it has {}",
        names.join(", ")
    )))
}

fn assemble(
    config_bytes: Vec<u8>,
    layers: Vec<Descriptor>,
    digest: Digest,
    index: Option<Digest>,
    wanted: &Platform,
    what: &str,
) -> Result<Image> {
    let config = parse(&config_bytes, Config::read, "the configuration", what)?;
    let offered = &config.platform;
    let loose = Platform {
        variant: None,
        ..wanted.clone()
    };
    if !loose.matches(offered) {
        return Err(Error::new(format!(
            "{what} is for {offered}, not for {wanted}; `arch: {}` takes it all the same",
            offered.architecture
        )));
    }
    let mut ids = config.diff_ids.iter();
    let mut list = Vec::new();
    for blob in layers {
        supported(&blob, what)?;
        let diff_id = ids.next().map(|id| Digest::parse(id)).transpose()?;
        list.push(Layer {
            blob,
            member: None,
            diff_id,
        });
    }
    let platform = Platform {
        architecture: wanted.architecture.clone(),
        ..loose
    };
    Ok(Image {
        digest,
        index,
        platform,
        config,
        config_bytes,
        layers: list,
    })
}

fn supported(blob: &Descriptor, what: &str) -> Result<()> {
    Digest::parse(&blob.digest)?;
    let kind = blob.media_type.as_str();
    let refuse = |why: &str| {
        Err(Error::new(format!(
            "{what} has the layer {} of the type `{kind}`: {why}; `engine: program` may know how to unpack it",
            blob.digest
        )))
    };
    if kind.ends_with("+zstd") {
        return refuse("zstd is not supported");
    }
    if kind.ends_with("+encrypted") {
        return refuse("it is encrypted");
    }
    if kind.contains(".foreign.") && !kind.contains("rootfs") {
        return refuse("it is no layer");
    }
    if kind.is_empty() || kind.contains(".layer.") || kind.contains("rootfs") {
        return Ok(());
    }
    refuse("it is no layer")
}

/// An image in an archive of `docker save`.
struct Archived {
    config: String,
    tags: Vec<String>,
    layers: Vec<String>,
}

fn archived(data: &Data) -> Parsed<Vec<Archived>> {
    let entries = data.as_list().ok_or("it is not a list")?.iter();
    let read = |entry| {
        Ok(Archived {
            config: text(entry, "Config")?.ok_or("`Config` is missing")?,
            tags: texts(entry, "RepoTags")?.unwrap_or_default(),
            layers: texts(entry, "Layers")?.ok_or("`Layers` is missing")?,
        })
    };
    entries.map(read).collect()
}

/// The image in an archive of `docker save`.
pub(crate) fn in_docker_archive(
    machine: &mut dyn Machine,
    layout: Layout,
    place: &Place,
    platform: &Platform,
) -> Result<(Store, Image)> {
    let bytes = layout.document(machine, "manifest.json")?;
    let what = layout.display();
    let entries = parse(&bytes, archived, "manifest.json", &what)?;
    let named = |entry: &&Archived, tag: &str| {
        entry.tags.iter().any(|name| {
            name == tag || name.ends_with(&format!("/{tag}")) || name.ends_with(&format!(":{tag}"))
        })
    };
    let found = match &place.tag {
        Some(tag) => entries.iter().find(|entry| named(entry, tag)),
        None if entries.len() > 1 => None,
        None => entries.first(),
    };
    let Some(entry) = found else {
        let known: Vec<String> = entries.into_iter().flat_map(|entry| entry.tags).collect();
        return Err(Error::new(format!(
            "{what} has no such image; name one after a colon: {}",
            known.join(", ")
        )));
    };
    let config_bytes = layout.document(machine, &entry.config)?;
    let digest = Digest::of(&config_bytes);
    let mut image = assemble(config_bytes, Vec::new(), digest, None, platform, &what)?;
    let mut ids = image.config.diff_ids.iter();
    for member in &entry.layers {
        let (_, size) = layout.open(machine, member)?;
        let blob = Descriptor::bare("", size);
        let diff_id = ids.next().map(|id| Digest::parse(id)).transpose()?;
        image.layers.push(Layer {
            blob,
            member: Some(member.clone()),
            diff_id,
        });
    }
    Ok((Store::Layout(layout), image))
}

/// Digest and size of a SIF file, as a library tells them.
pub(crate) fn in_library(bytes: &[u8], what: &str) -> Result<(Digest, u64)> {
    let answer = json::read_bytes(bytes).ok();
    let data = answer.as_ref().and_then(|answer| answer.get("data"));
    let hash = data.and_then(|data| data.get("hash")?.as_str());
    let size = data.and_then(|data| data.get("size")?.as_int());
    let (Some(hash), Some(size)) = (hash, size.and_then(|size| size.try_into().ok())) else {
        return Err(Error::new(format!(
            "the answer of the library about {what} names no file"
        )));
    };
    Ok((Digest::parse(&hash.replace('.', ":"))?, size))
}

/// The one file of a SIF artifact in a registry.
pub(crate) fn sif_artifact(bytes: &[u8], what: &str) -> Result<Descriptor> {
    let manifest = parse(bytes, Manifest::read, "the manifest", what)?;
    match manifest.layers.as_slice() {
        [only] if only.media_type.starts_with(SIF_LAYER) => {
            Digest::parse(&only.digest)?;
            Ok(only.clone())
        }
        _ => Err(Error::new(format!(
            "{what} is not a SIF file; an image of layers is named with `docker://`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Descriptor> {
        let Data::List(items) = json::read(&text.replace('\'', "\"")).unwrap() else {
            panic!("{text}")
        };
        items
            .iter()
            .map(|item| Descriptor::read(item).unwrap())
            .collect()
    }

    #[test]
    fn platforms_are_read_chosen_and_missed() {
        let platform = |text| Platform::parse(Some(text)).unwrap();
        assert_eq!(platform("x86_64"), platform("linux/amd64"));
        assert!(Platform::parse(Some("pdp11")).is_err());
        let list = entries(
            "[{'digest':'a','size':1,'platform':{'os':'linux','architecture':'amd64'}},
              {'digest':'b','size':1,'platform':{'os':'linux','architecture':'arm','variant':'v6'}},
              {'digest':'c','size':1,'platform':{'os':'linux','architecture':'arm','variant':'v7'}},
              {'digest':'d','size':1,'platform':{'os':'unknown','architecture':'unknown'}}]",
        );
        let chosen =
            |text| choose_platform(&list, &platform(text), "x").map(|found| found.digest.clone());
        assert_eq!(chosen("amd64").unwrap(), "a");
        assert_eq!(chosen("arm").unwrap(), "b");
        assert_eq!(chosen("arm/v7").unwrap(), "c");
        let error = chosen("arm64").unwrap_err();
        assert_eq!(
            error.0,
            "x has no image for linux/arm64; it has linux/amd64, linux/arm/v6, linux/arm/v7"
        );
    }

    #[test]
    fn layouts_name_their_images() {
        let list = entries(
            "[{'digest':'a','size':1,'annotations':{'org.opencontainers.image.ref.name':'1.0'}},
              {'digest':'b','size':1,'annotations':{'org.opencontainers.image.ref.name':'docker.io/x/y:1.1'}}]",
        );
        assert_eq!(choose_name(&list, Some("1.0"), "x").unwrap().digest, "a");
        assert_eq!(choose_name(&list, Some("1.1"), "x").unwrap().digest, "b");
        assert_eq!(choose_name(&list[..1], None, "x").unwrap().digest, "a");
        let error = choose_name(&list, Some("2"), "x").unwrap_err();
        assert_eq!(error.0, "x has no image `2`; it has 1.0, docker.io/x/y:1.1");
        assert!(choose_name(&list, None, "x").is_err());
    }

    #[test]
    fn layers_of_other_kinds_are_refused_by_name() {
        let layer = |kind: &str| Descriptor {
            media_type: kind.to_owned(),
            ..Descriptor::bare(Digest::of(b"").as_str(), 0)
        };
        assert!(supported(&layer("application/vnd.oci.image.layer.v1.tar+gzip"), "x").is_ok());
        assert!(
            supported(
                &layer("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                "x"
            )
            .is_ok()
        );
        let error =
            supported(&layer("application/vnd.oci.image.layer.v1.tar+zstd"), "x").unwrap_err();
        assert!(error.0.contains("zstd is not supported"), "{error}");
        assert!(supported(&layer("text/plain"), "x").is_err());
    }
}
