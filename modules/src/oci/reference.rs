//! Image references: what a user writes for an image, taken apart.

use std::path::PathBuf;

use super::{Digest, Error, Result};

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `docker://`: an OCI or Docker image in a registry.
    Registry(Name),
    /// `oras://`: a SIF file kept as an artifact in a registry.
    Oras(Name),
    /// `oci:`: an OCI image layout, a folder.
    Layout(Place),
    /// `oci-archive:`: an OCI image layout in a tar file.
    OciArchive(Place),
    /// `docker-archive:`: what `docker save` writes.
    DockerArchive(Place),
    /// `https://`, `http://`: a SIF file.
    Url(String),
    /// `library://`: a SIF file of a library, `ENTITY/COLLECTION/CONTAINER:TAG`, with the address
    /// of the library where one was given.
    Library(Option<String>, String),
    /// A SIF file on the machine.
    File(PathBuf),
    /// A definition file on the machine, which only the program can build.
    Definition(PathBuf),
    /// Something that only the program knows: its scheme.
    Foreign(String),
}

/// The name of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The registry's host, with its port where one was given.
    pub(crate) registry: String,
    /// The repository, `library/alpine`.
    pub(crate) repository: String,
    /// The tag; `latest` where neither tag nor digest was given.
    pub(crate) tag: Option<String>,
    /// The digest, which wins over the tag.
    pub(crate) digest: Option<Digest>,
}

impl Name {
    /// What to ask the registry for.
    pub(crate) fn wanted(&self) -> &str {
        self.digest
            .as_ref()
            .map(Digest::as_str)
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }

    /// The form for messages and definitions, without a scheme.
    pub(crate) fn display(&self) -> String {
        let separator = if self.digest.is_some() { '@' } else { ':' };
        format!(
            "{}/{}{separator}{}",
            self.registry,
            self.repository,
            self.wanted()
        )
    }
}

/// An image in a folder or archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder or file.
    pub(crate) path: PathBuf,
    /// The image's name in it, where one was given.
    pub(crate) tag: Option<String>,
}

/// Schemes that only the `singularity` or `apptainer` program can follow.
const FOREIGN: [&str; 5] = [
    "shub",
    "docker-daemon",
    "podman",
    "dir",
    "containers-storage",
];

/// Takes apart what the user wrote.
pub(crate) fn parse(text: &str) -> Result<Source> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::new(
            "the image is empty; expected for example `docker://alpine:3.20`",
        ));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(file(text));
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match scheme {
        "docker" => Ok(Source::Registry(name(text, path)?)),
        "oras" => Ok(Source::Oras(name(text, path)?)),
        "oci" => Ok(Source::Layout(place(text, path)?)),
        "oci-archive" => Ok(Source::OciArchive(place(text, path)?)),
        "docker-archive" => Ok(Source::DockerArchive(place(text, path)?)),
        "http" | "https" => Ok(Source::Url(text.to_owned())),
        "library" => library(text, path),
        "file" => Ok(file(path)),
        _ if FOREIGN.contains(&scheme) => Ok(Source::Foreign(scheme.to_owned())),
        _ if rest.starts_with("//") => Err(Error::new(format!(
            "`{text}` has the unknown scheme `{scheme}`; expected docker, oras, library, oci, oci-archive, \
             docker-archive, https or a file"
        ))),
        _ => Ok(file(text)),
    }
}

fn file(path: &str) -> Source {
    match path.ends_with(".def") {
        true => Source::Definition(path.into()),
        false => Source::File(path.into()),
    }
}

/// `[host/][entity/[collection/]]container[:tag]`, with the defaults of the program.
fn library(text: &str, path: &str) -> Result<Source> {
    let path = path.trim_start_matches('/');
    let (name, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    let parts: Vec<&str> = name.split('/').collect();
    let (host, name) = match parts.as_slice() {
        [container] => (None, format!("library/default/{container}")),
        [collection, container] => (None, format!("library/{collection}/{container}")),
        [_, _, _] => (None, name.to_owned()),
        [host, rest @ ..] => (Some(format!("https://{host}")), rest.join("/")),
        [] => (None, String::new()),
    };
    if !valid_tag(tag) || !name.split('/').all(valid_part) {
        return Err(Error::new(format!(
            "`{text}` is no name in a library; expected `library://ENTITY/COLLECTION/CONTAINER:TAG`"
        )));
    }
    Ok(Source::Library(host, format!("{name}:{tag}")))
}

/// `folder:image`, split at the first colon, as the tools of the OCI have it.
fn place(text: &str, rest: &str) -> Result<Place> {
    let (path, tag) = rest.split_once(':').unwrap_or((rest, ""));
    if path.is_empty() {
        return Err(Error::new(format!("`{text}` names no folder or file")));
    }
    Ok(Place {
        path: path.into(),
        tag: Some(tag.to_owned()).filter(|tag| !tag.is_empty()),
    })
}

/// `[host[:port]/]repository[:tag][@digest]`, with Docker's defaults.
fn name(text: &str, rest: &str) -> Result<Name> {
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
        None => (rest, None),
    };
    // Only a part with a dot, a port or `localhost` is a host: `user/image` is on Docker Hub.
    let (registry, path) = match rest.split_once('/') {
        Some((host, path)) if host.contains(['.', ':', '[']) || host == "localhost" => (host, path),
        _ => ("docker.io", rest),
    };
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag.to_owned())),
        None => (path, None),
    };
    if let Some(tag) = &tag
        && !valid_tag(tag)
    {
        return Err(Error::new(format!(
            "`{text}` has the invalid tag `{tag}`; a tag has letters, digits, `_`, `.`, `-`"
        )));
    }
    if !repository.split('/').all(valid_part) {
        return Err(Error::new(format!(
            "`{text}` has the invalid repository `{repository}`; expected lower-case letters and digits, separated by \
             `.`, `_`, `-` or `/`"
        )));
    }
    let hub = matches!(
        registry,
        "docker.io" | "index.docker.io" | "registry-1.docker.io"
    );
    let repository = if hub && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    let registry = if hub {
        "docker.io".to_owned()
    } else {
        registry.to_owned()
    };
    let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Name {
        registry,
        repository,
        tag,
        digest,
    })
}

fn valid_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && tag.len() <= 128
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn valid_part(part: &str) -> bool {
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> String {
        match parse(text) {
            Ok(Source::Registry(name)) => name.display(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn registry_names_have_dockers_defaults() {
        assert_eq!(
            registry("docker://alpine"),
            "docker.io/library/alpine:latest"
        );
        assert_eq!(
            registry("docker://user/image:1.0"),
            "docker.io/user/image:1.0"
        );
        assert_eq!(registry("docker://localhost/a/b"), "localhost/a/b:latest");
        assert_eq!(
            registry("docker://127.0.0.1:5000/demo:1.0.0"),
            "127.0.0.1:5000/demo:1.0.0"
        );
        assert_eq!(
            registry("docker://index.docker.io/alpine:3"),
            "docker.io/library/alpine:3"
        );
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            registry(&format!("docker://ghcr.io/o/r:1@{digest}")),
            format!("ghcr.io/o/r@{digest}")
        );
    }

    #[test]
    fn places_split_at_the_first_colon() {
        let place = |path: &str, tag: Option<&str>| Place {
            path: path.into(),
            tag: tag.map(str::to_owned),
        };
        assert_eq!(
            parse("oci:/a/b:1.0"),
            Ok(Source::Layout(place("/a/b", Some("1.0"))))
        );
        assert_eq!(parse("oci:///a/b"), Ok(Source::Layout(place("/a/b", None))));
        assert_eq!(
            parse("docker-archive:/a.tar:n:1"),
            Ok(Source::DockerArchive(place("/a.tar", Some("n:1"))))
        );
        assert_eq!(parse("/a/b.sif"), Ok(Source::File("/a/b.sif".into())));
        assert_eq!(parse("shub://a/b"), Ok(Source::Foreign("shub".to_owned())));
        let library = |host: Option<&str>, name: &str| {
            Ok(Source::Library(host.map(str::to_owned), name.to_owned()))
        };
        assert_eq!(
            parse("library://a"),
            library(None, "library/default/a:latest")
        );
        assert_eq!(
            parse("library://x.org/a/b/c:1"),
            library(Some("https://x.org"), "a/b/c:1")
        );
        assert_eq!(parse("a/b.def"), Ok(Source::Definition("a/b.def".into())));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "empty"),
            ("docker://Alpine", "invalid repository `Alpine`"),
            ("docker://alpine:", "invalid tag ``"),
            ("docker://a@sha256:1", "is not a digest"),
            ("dokcer://alpine", "unknown scheme `dokcer`"),
            ("oci::1.0", "names no folder"),
            ("library://A/b/c", "no name in a library"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.0.contains(part), "{text}: {error}");
        }
    }
}
