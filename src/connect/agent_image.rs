//! The agents that this program carries, one for each kind of machine.

use std::borrow::Cow;
use std::path::Path;

use blake2::Blake2b512;
use rplay_modules::machine::digest::hex;
use sha2::{Digest, Sha256};

/// An agent: a static program for one kind of machine.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// What `uname -m` prints where it runs.
    pub(super) machine: Cow<'static, str>,
    /// The hash of its bytes, in hexadecimal. It names the cached file.
    pub(super) sha256: Cow<'static, str>,
    /// Another hash of them, which hosts come to sooner: the beginning of what `b2sum` prints.
    pub(super) blake2: Cow<'static, str>,
    /// The program.
    pub(super) bytes: Cow<'static, [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/agent_image.rs"));

/// All agents: those in `$RPLAY_AGENT_DIR` (`rplay-agent-MACHINE`), then those built in.
pub(super) fn all() -> Vec<Image> {
    let mut images = std::env::var_os("RPLAY_AGENT_DIR")
        .map_or_else(Vec::new, |folder| supplied(Path::new(&folder)));
    for image in IMAGES {
        if images.iter().all(|other| other.machine != image.machine) {
            images.push(image.clone());
        }
    }
    images
}

/// The agent for the machine that this program runs on.
pub(super) fn local() -> Option<Image> {
    let machine = match std::env::consts::ARCH {
        "x86" => "i686",
        "arm" => "armv7l",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        machine => machine,
    };
    all().into_iter().find(|image| image.machine == machine)
}

/// Files that cannot be read are left out: the host that needs one says which machine it is.
fn supplied(folder: &Path) -> Vec<Image> {
    let Ok(list) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    list.flatten()
        .filter_map(|entry| {
            let machine = entry
                .file_name()
                .to_str()?
                .strip_prefix("rplay-agent-")?
                .to_owned();
            let bytes = std::fs::read(entry.path()).ok()?;
            let sha256 = hex(&Sha256::digest(&bytes));
            let blake2 = hex(&Blake2b512::digest(&bytes)[..32]);
            Some(Image {
                machine: machine.into(),
                sha256: sha256.into(),
                blake2: blake2.into(),
                bytes: bytes.into(),
            })
        })
        .collect()
}
