//! The root of a container: what Apptainer expects in a tree, and the tree as squashfs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use backhand::compression::{CompressionOptions, Compressor, Gzip};
use backhand::{FilesystemCompressor, FilesystemWriter, NodeHeader};

use super::document::mapping;
use super::image::{Config, Execution};
use super::tree::{Kind, Meta, Node};
use super::{Error, Result};
use crate::data::Data;
use crate::machine::Scratch;
use crate::map;

/// The documents about a container that go into its tree and beside it.
pub(crate) struct Documents {
    /// The definition that would build it again.
    pub(crate) definition: String,
    /// Labels of the image, and those that Apptainer adds.
    pub(crate) labels: BTreeMap<String, String>,
    runscript: String,
    environment: String,
}

/// Sources every script of the environment; older versions run these actions, newer ones bring
/// their own.
const ENVIRONMENT: &str = "#!/bin/sh\nfor script in /.singularity.d/env/*.sh; do\n    \
                           if [ -f \"$script\" ]; then . \"$script\"; fi\ndone\n";
const BASE: &str = "#!/bin/sh\n\
                    PATH=\"${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}\"\n\
                    LD_LIBRARY_PATH=\"${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs\"\n\
                    PS1=\"${PS1:-Singularity> }\"\n\
                    export PATH LD_LIBRARY_PATH PS1\n";

impl Documents {
    /// The documents of an image; `from` is its reference without the scheme.
    pub(crate) fn new(scheme: &str, from: &str, architecture: &str, config: &Config) -> Self {
        let execution = &config.execution;
        let mut labels = execution.labels.clone().unwrap_or_default();
        let prefix = "org.label-schema";
        labels.insert(format!("{prefix}.schema-version"), "1.0".to_owned());
        labels.insert(format!("{prefix}.build-arch"), architecture.to_owned());
        labels.insert(
            format!("{prefix}.usage.singularity.deffile.bootstrap"),
            scheme.to_owned(),
        );
        labels.insert(
            format!("{prefix}.usage.singularity.deffile.from"),
            from.to_owned(),
        );
        if let Some(created) = &config.created {
            // The image's date instead of today's: the same image gives the same file.
            labels.insert(format!("{prefix}.build-date"), created.clone());
        }
        Self {
            definition: format!("bootstrap: {scheme}\nfrom: {from}\n\n"),
            labels,
            runscript: runscript(execution),
            environment: environment(execution),
        }
    }

    /// What `apptainer inspect` shows.
    pub(crate) fn inspect_metadata(&self) -> String {
        let script = "/.singularity.d/env/10-docker2singularity.sh";
        let attributes = map! {
            "environment" => map! { script => self.environment.as_str() },
            "labels" => mapping(&self.labels),
            "runscript" => self.runscript.as_str(),
            "deffile" => self.definition.as_str(),
        };
        let document = map! {
            "data" => map! { "attributes" => attributes },
            "type" => "container",
        };
        Data::Map(document).json_text()
    }

    /// Adds what Apptainer expects.
    pub(crate) fn add_to(&self, root: &mut Node) {
        let directory = || Kind::Directory(BTreeMap::new());
        for (path, mode) in [
            ("dev", 0o755),
            ("etc", 0o755),
            ("home", 0o755),
            ("proc", 0o755),
            ("root", 0o700),
            ("sys", 0o755),
            ("tmp", 0o1777),
            ("var/tmp", 0o1777),
        ] {
            root.add_missing(path, directory(), mode);
        }
        // Mount points for what the host puts in.
        root.add_missing("etc/hosts", Kind::Text(Vec::new()), 0o644);
        root.add_missing("etc/resolv.conf", Kind::Text(Vec::new()), 0o644);

        root.add(".singularity.d", directory(), 0o755);
        for path in ["actions", "env", "libs"] {
            root.add(&format!(".singularity.d/{path}"), directory(), 0o755);
        }
        let action = |rest: &str| format!("{ENVIRONMENT}{rest}\n");
        let labels = Data::Map(mapping(&self.labels)).json_text();
        for (path, text, mode) in [
            ("actions/exec", action("exec \"$@\""), 0o755),
            (
                "actions/run",
                action("exec /.singularity.d/runscript \"$@\""),
                0o755,
            ),
            ("actions/shell", action("exec /bin/sh \"$@\""), 0o755),
            (
                "actions/start",
                action("exec /.singularity.d/startscript \"$@\""),
                0o755,
            ),
            (
                "actions/test",
                action("exec /.singularity.d/test \"$@\""),
                0o755,
            ),
            (
                "env/10-docker2singularity.sh",
                self.environment.clone(),
                0o755,
            ),
            ("env/90-environment.sh", "#!/bin/sh\n".to_owned(), 0o755),
            ("env/99-base.sh", BASE.to_owned(), 0o755),
            ("labels.json", labels, 0o644),
            ("runscript", self.runscript.clone(), 0o755),
            ("startscript", "#!/bin/sh\n".to_owned(), 0o755),
            ("test", "#!/bin/sh\n".to_owned(), 0o755),
            ("Singularity", self.definition.clone(), 0o644),
        ] {
            root.add(
                &format!(".singularity.d/{path}"),
                Kind::Text(text.into_bytes()),
                mode,
            );
        }
        let mut link = |path: &str, target: &str| {
            root.add(path, Kind::Link(target.as_bytes().to_vec()), 0o777)
        };
        for name in ["exec", "run", "shell", "test"] {
            link(
                &format!(".{name}"),
                &format!(".singularity.d/actions/{name}"),
            );
        }
        link("environment", ".singularity.d/env/90-environment.sh");
        link("singularity", ".singularity.d/runscript");
    }
}

/// By this line, which here changes nothing, Apptainer knows a script that it may interpret itself:
/// an image without a shell can be run then.
const BY_APPTAINER: &str = "SINGULARITY_OCI_RUN='-- \"$@\"'\neval \"set ${SINGULARITY_OCI_RUN}\"\n";

/// Entry point and arguments as a script: given arguments take the place of the image's own.
fn runscript(execution: &Execution) -> String {
    let entrypoint = execution.entrypoint.clone().unwrap_or_default();
    let cmd = execution.cmd.clone().unwrap_or_default();
    let words = |words: &[String]| {
        words
            .iter()
            .map(|word| format!("{} ", quote(word)))
            .collect::<String>()
    };
    let fallback = if entrypoint.is_empty() && cmd.is_empty() {
        "/bin/sh ".to_owned()
    } else {
        words(&cmd)
    };
    let mut script = "#!/bin/sh\n".to_owned();
    if !fallback.is_empty() {
        script.push_str(&format!(
            "if [ $# -eq 0 ]; then\n    set -- {}\nfi\n",
            fallback.trim_end()
        ));
    }
    if !entrypoint.is_empty() {
        script.push_str(&format!("set -- {}\"$@\"\n", words(&entrypoint)));
    }
    script.push_str(&format!("{BY_APPTAINER}exec \"$@\"\n"));
    script
}

/// The image's variables as a script. The host's values win, but not its `PATH`.
fn environment(execution: &Execution) -> String {
    let mut script = "#!/bin/sh\n".to_owned();
    for entry in execution.env.iter().flatten() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if name.is_empty()
            || !name.chars().all(plain)
            || name.starts_with(|char: char| char.is_ascii_digit())
        {
            continue;
        }
        let value = quote(value);
        script.push_str(&match name {
            "PATH" => format!("export PATH={value}\n"),
            _ => format!("if [ -z \"${{{name}+set}}\" ]; then export {name}={value}; fi\n"),
        });
    }
    script
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Writes a tree as squashfs from `offset` on, and gives its size.
pub(crate) fn write_squashfs(
    root: &Node,
    layers: Vec<Box<dyn Scratch>>,
    out: &mut Box<dyn Scratch>,
    offset: u64,
    time: i64,
) -> Result<u64> {
    let time = u32::try_from(time).unwrap_or(0);
    let layers: Vec<Layer> = layers
        .into_iter()
        .map(|layer| Rc::new(RefCell::new(layer)))
        .collect();
    let mut writer = FilesystemWriter::default();
    writer.set_compressor(compressor().map_err(|error| failed(&error))?);
    // The level is of no use to a reader, and old ones stumble over it.
    writer.set_emit_compression_options(false);
    writer.set_time(time);
    writer.set_root_mode(root.meta.mode);
    writer.set_root_uid(root.meta.uid);
    writer.set_root_gid(root.meta.gid);
    push(&mut writer, root, Path::new("/"), &layers, time)?;
    let (_, size) = writer
        .write_with_offset(&mut *out, offset)
        .map_err(|error| failed(&error))?;
    // A duplicate that was written last has left bytes behind the end.
    out.set_len(offset + size)
        .map_err(|error| Error::io("the SIF file", &error))?;
    Ok(size)
}

/// Gzip, which every reader knows, at the level that costs half of the highest one's time.
fn compressor() -> std::result::Result<FilesystemCompressor, backhand::BackhandError> {
    let options = Gzip {
        compression_level: 6,
        window_size: 15,
        strategies: 0,
    };
    FilesystemCompressor::new(Compressor::Gzip, Some(CompressionOptions::Gzip(options)))
}

fn failed(error: &backhand::BackhandError) -> Error {
    match error {
        backhand::BackhandError::StdIo(error) => Error::io("the SIF file", error),
        other => Error::new(format!(
            "the container's file system cannot be written: {other:?}"
        )),
    }
}

type Layer = Rc<RefCell<Box<dyn Scratch>>>;
type Writer = FilesystemWriter<'static, 'static, 'static>;

fn push(writer: &mut Writer, node: &Node, path: &Path, layers: &[Layer], time: u32) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let Kind::Directory(children) = &node.kind else {
        return Ok(());
    };
    for (name, child) in children {
        let path = path.join(std::ffi::OsStr::from_bytes(name));
        add(writer, child, &path, layers, time).map_err(|error| failed(&error))?;
        push(writer, child, &path, layers, time)?;
    }
    Ok(())
}

fn add(
    writer: &mut Writer,
    node: &Node,
    path: &PathBuf,
    layers: &[Layer],
    time: u32,
) -> std::result::Result<(), backhand::BackhandError> {
    let Meta {
        mode,
        uid,
        gid,
        mtime,
    } = node.meta;
    let made_here = |mtime: u32| if mtime == 0 { time } else { mtime };
    let header = NodeHeader::new(mode, uid, gid, made_here(mtime));
    match &node.kind {
        Kind::Directory(_) => writer.push_dir(path, header),
        Kind::Text(bytes) => writer.push_file(io::Cursor::new(bytes.clone()), path, header),
        Kind::File {
            layer,
            offset,
            size,
        } => match layers.get(*layer) {
            Some(layer) => writer.push_file(
                Extent {
                    layer: layer.clone(),
                    at: *offset,
                    end: *offset + *size,
                },
                path,
                header,
            ),
            None => Ok(()),
        },
        Kind::Link(target) => {
            use std::os::unix::ffi::OsStrExt;
            writer.push_symlink(std::ffi::OsStr::from_bytes(target), path, header)
        }
        Kind::Char(device) => writer.push_char_device(*device, path, header),
        Kind::Block(device) => writer.push_block_device(*device, path, header),
        Kind::Fifo => writer.push_fifo(path, header),
    }
}

/// A file inside of an unpacked layer; all files of a layer share one open scratch file.
struct Extent {
    layer: Layer,
    at: u64,
    end: u64,
}

impl Read for Extent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer
            .len()
            .min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(0);
        }
        let mut layer = self.layer.borrow_mut();
        layer.seek(SeekFrom::Start(self.at))?;
        let read = layer.read(&mut buffer[..limit])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a layer ends inside of a file",
            ));
        }
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn execution(text: &str) -> Execution {
        Execution::read(&json::read(&text.replace('~', "\"")).unwrap()).unwrap()
    }

    #[test]
    fn scripts_quote_what_the_image_says() {
        let run = |text: &str| {
            let script = runscript(&execution(text));
            let inner = script
                .strip_prefix("#!/bin/sh\n")
                .and_then(|rest| rest.strip_suffix("exec \"$@\"\n"));
            inner
                .and_then(|rest| rest.strip_suffix(BY_APPTAINER))
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            run("{~Entrypoint~:[~/bin/x~,~it's~]}"),
            "set -- '/bin/x' 'it'\\''s' \"$@\"\n"
        );
        assert_eq!(
            run("{~Cmd~:[~a~,~b c~]}"),
            "if [ $# -eq 0 ]; then\n    set -- 'a' 'b c'\nfi\n"
        );
        assert_eq!(run("{}"), "if [ $# -eq 0 ]; then\n    set -- /bin/sh\nfi\n");
        let env = environment(&execution("{~Env~:[~PATH=/bin~,~A=$x y~,~1;rm=2~,~B~]}"));
        let expected = "#!/bin/sh\nexport PATH='/bin'\nif [ -z \"${A+set}\" ]; then export A='$x y'; fi\n\
                        if [ -z \"${B+set}\" ]; then export B=''; fi\n";
        assert_eq!(env, expected);
    }

    #[test]
    fn a_tree_becomes_the_same_squashfs_each_time() {
        let make = || {
            let mut root = Node::directory(0o755);
            Documents::new("docker", "x:1", "amd64", &Config::default()).add_to(&mut root);
            let mut out: Box<dyn Scratch> = Box::new(io::Cursor::new(Vec::new()));
            let size = write_squashfs(&root, Vec::new(), &mut out, 4096, 7).unwrap();
            let mut bytes = Vec::new();
            out.rewind().unwrap();
            out.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, 4096 + size);
            bytes
        };
        let bytes = make();
        assert_eq!(&bytes[4096..4100], b"hsqs");
        assert_eq!(bytes, make());
    }
}
