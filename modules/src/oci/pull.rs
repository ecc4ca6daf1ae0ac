//! From a reference to a SIF file: finds the image, tells whether the file at hand is already it,
//! and makes a new one.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use super::image::{self, Image, Platform, Store};
use super::layout::Layout;
use super::reference::{Name, Place, Source};
use super::registry::{Access, Registry};
use super::rootfs::{self, Documents};
use super::sif::{self, Found, Kind, Object, Record};
use super::{Digest, Error, Result, http, tree, unpack};
use crate::data::Data;
use crate::json;
use crate::machine::{Attrs, Content, FileKind, Machine, Scratch};

/// What the user wants, taken apart.
pub(crate) struct Wanted {
    /// The image as it was written.
    pub(crate) text: String,
    /// Where it comes from.
    pub(crate) source: Source,
    /// What it is to run on.
    pub(crate) platform: Platform,
    /// The digest that it must have.
    pub(crate) digest: Option<Digest>,
    /// How to reach a registry.
    pub(crate) access: Access,
    /// Registries that are asked first, `[http://]HOST[/PREFIX]`.
    pub(crate) mirrors: Vec<String>,
    /// The address of the library, where it is not the usual one.
    pub(crate) library: Option<String>,
}

/// The library that `library://` means.
const LIBRARY: &str = "https://library.sylabs.io";

/// What lies at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Present {
    /// What kind of file it is.
    pub(crate) found: Found,
    /// Its size.
    pub(crate) size: u64,
}

impl Present {
    /// Where the file comes from, as far as it says.
    pub(crate) fn record(&self) -> Option<&Record> {
        match &self.found {
            Found::Sif(record) => record.as_ref(),
            _ => None,
        }
    }

    fn intact(&self) -> bool {
        matches!(self.found, Found::Sif(_))
    }
}

/// An image that was found.
pub(crate) enum Located {
    /// Layers, to be unpacked.
    Layers(Box<Store>, Box<Image>),
    /// A SIF file, with its digest and size.
    File(Fetch, Digest, u64),
}

/// Where a SIF file's bytes come from.
pub(crate) enum Fetch {
    /// A file on the machine.
    Path(PathBuf),
    /// An address.
    Url(http::Url),
    /// A blob of a registry.
    Blob(Box<Registry>, image::Descriptor),
}

/// What was decided.
pub(crate) enum Decision {
    /// The file at hand is the image, of which this is known.
    Keep(Record),
    /// It has to be made from this.
    Make(Located),
}

/// Looks at the destination.
pub(crate) fn look(machine: &mut dyn Machine, path: &Path) -> Result<Option<Present>> {
    let failed = |error: io::Error| Error::io(path.display(), &error);
    let Some(stat) = machine.stat(path, true).map_err(failed)? else {
        return Ok(None);
    };
    if stat.kind != FileKind::File {
        return Ok(Some(Present {
            found: Found::Other,
            size: 0,
        }));
    }
    let mut file = machine.open(path).map_err(failed)?;
    let size = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
    let found = sif::inspect(&mut file, size).map_err(failed)?;
    Ok(Some(Present { found, size }))
}

/// Whether the file at hand is the image without asking anybody: it says where it comes from, and
/// that is what is wanted.
pub(crate) fn known(wanted: &Wanted, present: &Present, latest: bool) -> bool {
    if matches!(wanted.source, Source::Definition(_)) {
        return false;
    }
    let Some(record) = present.record() else {
        // A file of another tool says nothing; only its presence counts.
        let says_nothing = !matches!(wanted.source, Source::File(_) | Source::Oras(_));
        return present.intact() && says_nothing && !latest && wanted.digest.is_none();
    };
    if record.platform != wanted.platform.to_string() {
        return false;
    }
    match &wanted.digest {
        Some(digest) => is(record, digest),
        None => !latest && record.image == wanted.text,
    }
}

fn is(record: &Record, digest: &Digest) -> bool {
    record.digest == digest.as_str() || record.index.as_deref() == Some(digest.as_str())
}

/// Finds the image, and decides whether the file at hand is it.
pub(crate) fn decide(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    present: Option<(&Path, &Present)>,
) -> Result<Decision> {
    if let Some((_, present)) = present
        && let Source::Registry(name) = &wanted.source
        && let Some(record) = present.record()
        && record.platform == wanted.platform.to_string()
    {
        // A question without a download, which registries do not count as a pull.
        let found = registry(machine, wanted, name)?.digest(machine)?;
        if found.is_some_and(|digest| is(record, &digest)) {
            return Ok(Decision::Keep(record.clone()));
        }
    }
    let located = locate(machine, wanted)?;
    check_digest(wanted, &located)?;
    let same = match (&located, present) {
        (_, None) => false,
        (Located::Layers(_, image), Some((_, present))) => present.record().is_some_and(|record| {
            is(record, &image.digest) && record.platform == wanted.platform.to_string()
        }),
        (Located::File(_, digest, size), Some((path, present))) => match present.record() {
            Some(record) if record.predicted => is(record, digest),
            _ => present.size == *size && digest_of(machine, path)?.0 == *digest,
        },
    };
    Ok(if same {
        Decision::Keep(record(wanted, &located))
    } else {
        Decision::Make(located)
    })
}

/// Finds the image.
pub(crate) fn locate(machine: &mut dyn Machine, wanted: &Wanted) -> Result<Located> {
    let layers = |(store, image): (Store, Image)| Located::Layers(Box::new(store), Box::new(image));
    match &wanted.source {
        Source::Registry(name) => {
            let registry = registry(machine, wanted, name)?;
            let found = image::in_registry(
                machine,
                registry,
                name.wanted(),
                &wanted.platform,
                &name.display(),
            )?;
            Ok(layers(found))
        }
        Source::Layout(place) => {
            let place = at_home(machine, place);
            let layout = Layout::folder(machine, &place.path)?;
            image::in_layout(machine, layout, &place, &wanted.platform).map(layers)
        }
        Source::OciArchive(place) => {
            let place = at_home(machine, place);
            let layout = Layout::archive(machine, &place.path)?;
            image::in_layout(machine, layout, &place, &wanted.platform).map(layers)
        }
        Source::DockerArchive(place) => {
            let place = at_home(machine, place);
            let layout = Layout::archive(machine, &place.path)?;
            image::in_docker_archive(machine, layout, &place, &wanted.platform).map(layers)
        }
        Source::Oras(name) => {
            let mut registry = registry(machine, wanted, name)?;
            let manifest = registry.manifest(machine, name.wanted())?;
            let blob = image::sif_artifact(&manifest.bytes, &name.display())?;
            let (digest, size) = (Digest::parse(&blob.digest)?, blob.size);
            Ok(Located::File(
                Fetch::Blob(Box::new(registry), blob),
                digest,
                size,
            ))
        }
        Source::Url(address) => {
            let url = http::Url::parse(address)?;
            // Only a digest of the whole tells whether it is the file at hand.
            let body = download(machine, &url, wanted)?.body;
            let (digest, size) = unpack::digest(body, address)?;
            Ok(Located::File(Fetch::Url(url), digest, size))
        }
        Source::Library(host, name) => {
            let base = wanted.library.as_deref().or(host.as_deref());
            let base = base.unwrap_or(LIBRARY).trim_end_matches('/');
            let arch = &wanted.platform.architecture;
            let url = |what| http::Url::parse(&format!("{base}/v1/{what}/{name}?arch={arch}"));
            let answer = download(machine, &url("images")?, wanted)?.document();
            let answer = answer.map_err(|error| Error::io(&wanted.text, &error))?;
            let (digest, size) = image::in_library(&answer, &wanted.text)?;
            Ok(Located::File(Fetch::Url(url("imagefile")?), digest, size))
        }
        Source::File(path) => {
            let path = expand_home(machine, path);
            if !matches!(look(machine, &path)?, Some(present) if present.intact()) {
                return Err(Error::new(missing_file(machine, &path, &wanted.text)));
            }
            let (digest, size) = digest_of(machine, &path)?;
            Ok(Located::File(Fetch::Path(path), digest, size))
        }
        Source::Foreign(scheme) => Err(Error::new(format!(
            "`{}` has the scheme `{scheme}`, which only the program knows; set `engine: program`",
            wanted.text
        ))),
        Source::Definition(path) => Err(Error::new(format!(
            "{} is a definition, which only the program builds; set `engine: program`",
            path.display()
        ))),
    }
}

/// The registry of an image, or the first of its mirrors that has it.
fn registry(machine: &mut dyn Machine, wanted: &Wanted, name: &Name) -> Result<Registry> {
    for mirror in &wanted.mirrors {
        let host = mirror.trim_start_matches("http://");
        let host = host.trim_start_matches("https://").trim_end_matches('/');
        let (host, prefix) = host.split_once('/').unwrap_or((host, ""));
        let repository = format!("{prefix}/{}", name.repository);
        let place = Name {
            registry: host.to_owned(),
            repository: repository.trim_start_matches('/').to_owned(),
            ..name.clone()
        };
        // A log-in for the registry is not for others.
        let access = Access {
            credentials: None,
            plain_http: mirror.starts_with("http://").then_some(true),
            trust: wanted.access.trust.clone(),
            timeout: wanted.access.timeout,
        };
        let mut found = Registry::new(machine, &place, &access)?;
        if found.digest(machine).is_ok() {
            return Ok(found);
        }
    }
    Registry::new(machine, name, &wanted.access)
}

fn missing_file(machine: &mut dyn Machine, path: &Path, text: &str) -> String {
    match machine.stat(path, true) {
        Ok(Some(_)) => format!("{} is not a complete SIF file", path.display()),
        _ if text.starts_with(['/', '.', '~']) || text.ends_with(".sif") => {
            format!("{} does not exist", path.display())
        }
        _ => {
            format!("there is no file `{text}`; an image in a registry is named `docker://{text}`")
        }
    }
}

fn expand_home(machine: &mut dyn Machine, path: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(
        |_| path.to_owned(),
        |rest| machine.process().home.join(rest),
    )
}

fn at_home(machine: &mut dyn Machine, place: &Place) -> Place {
    Place {
        path: expand_home(machine, &place.path),
        tag: place.tag.clone(),
    }
}

fn digest_of(machine: &mut dyn Machine, path: &Path) -> Result<(Digest, u64)> {
    let file = machine
        .open(path)
        .map_err(|error| Error::io(path.display(), &error))?;
    unpack::digest(file, &path.display().to_string())
}

fn check_digest(wanted: &Wanted, located: &Located) -> Result<()> {
    let Some(expected) = &wanted.digest else {
        return Ok(());
    };
    let found = match located {
        Located::Layers(_, image) if image.index.as_ref() == Some(expected) => return Ok(()),
        Located::Layers(_, image) => &image.digest,
        Located::File(_, digest, _) => digest,
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} has the wrong digest: expected {expected}, found {found}",
        wanted.text
    )))
}

fn download(machine: &mut dyn Machine, url: &http::Url, wanted: &Wanted) -> Result<http::Response> {
    if !url.secure
        && !wanted
            .access
            .plain_http
            .unwrap_or(http::Url::is_loopback(&url.host))
    {
        return Err(Error::new(format!(
            "{url} is unprotected; set `plain_http: true` to fetch it all the same"
        )));
    }
    let authorization = wanted
        .access
        .credentials
        .as_ref()
        .map(super::credentials::Credentials::basic);
    let mut client = http::Client::new(wanted.access.trust.clone(), wanted.access.timeout);
    let request = http::Request {
        method: "GET",
        url: url.clone(),
        accept: "*/*",
        authorization: authorization.as_deref(),
    };
    let response = client.send(machine, request)?;
    match response.status {
        200 => Ok(response),
        status => Err(Error::new(format!("{url} answers with status {status}"))),
    }
}

/// What is known about an image; for one of layers it is remembered inside of the file.
pub(crate) fn record(wanted: &Wanted, located: &Located) -> Record {
    let base = Record {
        image: wanted.text.clone(),
        platform: wanted.platform.to_string(),
        ..Record::default()
    };
    match located {
        Located::Layers(_, image) => Record {
            digest: image.digest.as_str().to_owned(),
            index: image
                .index
                .as_ref()
                .map(|digest| digest.as_str().to_owned()),
            size: image.size(),
            labels: image.config.execution.labels.clone().unwrap_or_default(),
            ..base
        },
        Located::File(_, digest, size) => Record {
            digest: digest.as_str().to_owned(),
            size: *size,
            ..base
        },
    }
}

/// Makes the file; in check mode a stand-in that later looks recognise.
pub(crate) fn make(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    located: Located,
    dest: &Path,
    attrs: &Attrs,
) -> Result<()> {
    let made = machine
        .scratch(dest)
        .map_err(|error| Error::io(dest.display(), &error))?;
    let record = record(wanted, &located);
    match (located, made) {
        (_, None) => stand_in(machine, &record, dest, attrs),
        (Located::Layers(store, image), Some(out)) => {
            let parts = Parts {
                store: *store,
                image: &image,
                record: &record,
            };
            build(machine, wanted, parts, out, dest, attrs)
        }
        (Located::File(fetch, digest, _), Some(out)) => {
            copy(machine, wanted, fetch, &digest, out, dest, attrs)
        }
    }
}

/// What a SIF file is made of.
struct Parts<'a> {
    store: Store,
    image: &'a Image,
    record: &'a Record,
}

/// Writes what check mode knows about the image: everything but its content.
pub(crate) fn stand_in(
    machine: &mut dyn Machine,
    record: &Record,
    dest: &Path,
    attrs: &Attrs,
) -> Result<()> {
    let mut out = Cursor::new(Vec::new());
    let record = Record {
        predicted: true,
        ..record.clone()
    };
    sif::write(&mut out, Vec::new(), &record, 0, None)?;
    machine
        .write(dest, Content::Bytes(out.get_ref()), attrs)
        .map_err(|error| Error::io(dest.display(), &error))
}

fn build(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    parts: Parts<'_>,
    mut out: Box<dyn Scratch>,
    dest: &Path,
    attrs: &Attrs,
) -> Result<()> {
    let Parts {
        mut store,
        image,
        record,
    } = parts;
    let mut root = tree::Node::directory(0o755);
    let mut layers = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let named = |error| Error::new(format!("{}: {error}", wanted.text));
        let mut unpacked = unpack::layer(machine, &mut store, layer, dest).map_err(named)?;
        tree::apply(&mut root, number, &mut unpacked).map_err(|error| {
            Error::new(format!("layer {} of {}: {error}", number + 1, wanted.text))
        })?;
        layers.push(unpacked);
    }
    let (scheme, from) = match &wanted.source {
        Source::Registry(name) => ("docker", name.display()),
        _ => wanted
            .text
            .split_once(':')
            .map_or(("oci", wanted.text.clone()), |(scheme, rest)| {
                (scheme, rest.to_owned())
            }),
    };
    let documents = Documents::new(scheme, &from, &image.platform.architecture, &image.config);
    documents.add_to(&mut root);
    let created = image.config.created_seconds();
    let mut layers = Some(layers);
    let mut fill = |out: &mut Box<dyn Scratch>, at: u64| {
        rootfs::write_squashfs(&root, layers.take().unwrap_or_default(), out, at, created)
    };
    let objects = vec![
        Object {
            kind: Kind::Definition,
            name: "",
            bytes: documents.definition.clone().into_bytes(),
        },
        Object {
            kind: Kind::Json,
            name: sif::METADATA,
            bytes: documents.inspect_metadata().into_bytes(),
        },
        Object {
            kind: Kind::Json,
            name: "oci-config.json",
            bytes: execution_json(&image.config_bytes),
        },
    ];
    sif::write(&mut out, objects, record, created, Some(&mut fill))?;
    machine
        .publish(out, dest, attrs)
        .map_err(|error| Error::io(dest.display(), &error))
}

/// The part of the configuration that Apptainer keeps beside the file system.
fn execution_json(config: &[u8]) -> Vec<u8> {
    let config = json::read_bytes(config).unwrap_or_default();
    let execution = config.get("config");
    let text = execution.map_or_else(|| "{}".to_owned(), Data::json_text);
    text.into_bytes()
}

fn copy(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    fetch: Fetch,
    expected: &Digest,
    mut out: Box<dyn Scratch>,
    dest: &Path,
    attrs: &Attrs,
) -> Result<()> {
    let what = wanted.text.as_str();
    let reader: Box<dyn io::Read> = match fetch {
        Fetch::Path(path) => Box::new(
            machine
                .open(&path)
                .map_err(|error| Error::io(path.display(), &error))?,
        ),
        Fetch::Url(url) => Box::new(download(machine, &url, wanted)?.body),
        Fetch::Blob(mut registry, blob) => registry.blob(machine, &blob)?,
    };
    let digest = unpack::file(reader, what, dest, &mut out)?;
    if digest != *expected {
        return Err(Error::new(format!(
            "{what} has the wrong digest: expected {expected}, found {digest}"
        )));
    }
    let failed = |error: io::Error| Error::io(dest.display(), &error);
    let size = out.seek(io::SeekFrom::End(0)).map_err(failed)?;
    match sif::inspect(&mut out, size).map_err(failed)? {
        Found::Sif(_) => machine.publish(out, dest, attrs).map_err(failed),
        Found::Damaged(why) => Err(Error::new(format!("{what} is a damaged SIF file: {why}"))),
        Found::Other => Err(Error::new(format!("{what} is not a SIF file"))),
    }
}
