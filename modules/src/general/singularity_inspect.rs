//! `singularity_inspect`: what a SIF file says of itself, read without a program.

use std::io::SeekFrom;
use std::path::Path;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::oci::sif::{self, Found};

/// Tells what a SIF file says of itself: labels, run script, environment, definition, and where it comes
/// from if `singularity` of rplay has made it. No program is needed. It changes nothing.
#[derive(ModuleArgs)]
struct Args {
    /// The SIF file.
    #[arg(kind = "path", alias = "path", alias = "src")]
    image: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The SIF file.
    path: String,
    /// Its size in bytes.
    size: i64,
    /// Its labels.
    labels: Map,
    /// Its scripts of the environment, by their paths.
    environment: Map,
    /// Its run script.
    runscript: String,
    /// Its start script, of instances.
    startscript: String,
    /// Its definition.
    deffile: String,
    /// The image that it was made from.
    image: String,
    /// The digest of that image's manifest.
    digest: String,
    /// What it runs on, `linux/amd64`.
    platform: String,
}

module! {
    "rplay.general.singularity_inspect", args: Args, returns: Values, run: run,
    aliases: ["rplay.general.apptainer_inspect"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let failed = |error: std::io::Error| Failure::from(crate::oci::Error::io(&args.image, &error));
    let mut file = machine.open(Path::new(&args.image)).map_err(failed)?;
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let (found, shown) = sif::read(&mut *file, size).map_err(failed)?;
    let record = match found {
        Found::Sif(record) => record.unwrap_or_default(),
        Found::Damaged(why) => {
            return Err(Failure::new(format!(
                "{} is a damaged SIF file: {why}",
                args.image
            )));
        }
        Found::Other => return Err(Failure::new(format!("{} is not a SIF file", args.image))),
    };
    let mut outcome = Outcome::unchanged()
        .with("labels", Data::Map(record.labels()))
        .with("path", args.image)
        .with("size", size)
        .with("image", record.image)
        .with("digest", record.digest)
        .with("platform", record.platform);
    let shown = shown.and_then(|shown| crate::json::read_bytes(&shown).ok());
    if let Some(Data::Map(all)) = shown
        .as_ref()
        .and_then(|shown| shown.get("data")?.get("attributes"))
    {
        outcome.results.extend(all.clone());
    }
    Ok(outcome)
}
