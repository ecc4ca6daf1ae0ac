//! What files were before a call of a module changed them, on its way to the record.

use rplay_modules::machine::{FileKind, Image, Inode, Kept};
use serde::{Deserialize, Serialize};

/// What files were before a call of a module changed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptFiles {
    /// The host that has them.
    pub on: String,
    /// How it was reached.
    pub way: KeptWay,
    /// The paths, in the order in which they were changed.
    pub files: Vec<KeptFile>,
    /// Programs were run, whose changes nobody knows.
    pub programs: bool,
    /// More was changed than is kept.
    pub more: bool,
    /// What the files are now may be shown in differences.
    pub shows: bool,
}

/// As whom, and over which connection, a task worked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeptWay {
    /// The name of the connection.
    pub connection: String,
    /// Who logged in, where that is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The port, where that is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The way to become another user, and that user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#become: Option<(String, String)>,
}

/// A path before and after a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptFile {
    /// The path.
    pub path: String,
    /// What it was; none: it was not there.
    pub before: Option<Inode>,
    /// What the call left.
    pub after: Option<Inode>,
    /// The content before, on its way to the record.
    #[serde(skip)]
    pub content: Option<Vec<u8>>,
    /// The SHA-256 of the content before, under which the record has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Why the record does not have what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Lacks>,
}

/// Why a record does not have what a file was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacks {
    /// Something of it is secret.
    Secret,
    /// It is too large, or could not be read.
    TooLarge,
    /// The records may not take more space, or could not be written.
    NoSpace,
    /// Its name is no text.
    Name,
    /// It is neither a file nor a folder nor a link.
    Special,
}

impl KeptFiles {
    /// What a call kept on a host that it reached in this way; nothing where it changed nothing.
    pub(crate) fn of(kept: Kept, on: &str, way: KeptWay, shows: bool) -> Option<Self> {
        let nothing = kept.images.is_empty() && !kept.programs && !kept.more;
        (!nothing).then(|| Self {
            on: on.to_owned(),
            way,
            files: kept.images.into_iter().map(kept_file).collect(),
            programs: kept.programs,
            more: kept.more,
            shows,
        })
    }
}

/// A path of a call, as records have it.
fn kept_file(image: Image) -> KeptFile {
    let changes = |inode: &Inode| !inode.is.is_empty();
    let lacks = match &image.before {
        _ if image.path.to_str().is_none() => Some(Lacks::Name),
        Some(before) => match before.kind {
            FileKind::File if image.content.is_none() && changes(before) => Some(Lacks::TooLarge),
            // It could not be read.
            FileKind::File
                if image.content.is_none() && image.after.as_ref().is_none_or(changes) =>
            {
                Some(Lacks::TooLarge)
            }
            FileKind::File | FileKind::Directory | FileKind::Link => None,
            _ => Some(Lacks::Special),
        },
        None => None,
    };
    KeptFile {
        path: image.path.to_string_lossy().into_owned(),
        before: image.before,
        after: image.after,
        content: image.content,
        image: None,
        lacks,
    }
}
