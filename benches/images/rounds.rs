//! What benches have in common that let programs take turns: options, the figure in the middle, saved results.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What the command line asks for.
pub(crate) struct Options {
    /// How often each program runs.
    pub(crate) runs: usize,
    /// Whether the results are kept.
    save: bool,
    /// The program that is measured.
    pub(crate) rplay: PathBuf,
}

impl Options {
    /// Reads the command line; `runs` counts where it says nothing.
    pub(crate) fn read(runs: usize) -> Result<Self, String> {
        let rplay = env::var_os("RPLAY_BINARY")
            .map_or_else(|| env!("CARGO_BIN_EXE_rplay").into(), PathBuf::from);
        let mut options = Self {
            runs,
            save: false,
            rplay,
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                // What Cargo adds.
                "--bench" => {}
                "--save" => options.save = true,
                "--runs" => {
                    let number = words.next().and_then(|text| text.parse().ok());
                    options.runs = number.ok_or("--runs needs a number")?;
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }

    /// Shows the page, and keeps it and the raw figures in the results of a bench where that is asked for.
    #[expect(clippy::print_stdout, reason = "a bench reports on standard output")]
    pub(crate) fn tell(&self, bench: &str, page: &str, raw: &str) -> Result<(), String> {
        println!("{page}");
        if !self.save {
            return Ok(());
        }
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        let folder = benches.join(bench).join("results");
        fs::create_dir_all(&folder).map_err(text)?;
        for (ending, content) in [("md", page), ("ndjson", raw)] {
            let name = format!("{}.{ending}", today());
            fs::write(folder.join(name), content).map_err(text)?;
        }
        Ok(())
    }
}

/// The day, as results are named by it.
pub(crate) fn today() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d").to_string()
}

/// The figure in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// An error as a text.
pub(crate) fn text<E: ToString>(fault: E) -> String {
    fault.to_string()
}
