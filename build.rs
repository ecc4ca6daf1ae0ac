//! Builds the agent for the machine that `rplay` is built on, and leaves it for `include_bytes!`.
//!
//! Cargo has no stable way to depend on another package's binary, so this calls Cargo a second
//! time, with a target folder of its own: the outer Cargo holds the lock of the usual one.
//!
//! The agent must run on machines whose C library is older or another one, so it is linked
//! statically. The target is the host's own (glibc) and not musl, because it is installed with
//! every toolchain: an ordinary `cargo build` needs no further step. What a static glibc cannot do,
//! look up users through NSS, the agent leaves to `getent`. What every target would carry for nothing
//! is left out: see [`flags`] and `profile.agent`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, fs};

use blake2::Blake2b512;
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!(
                "cargo::error={}",
                message.trim_end().replace('\n', "\ncargo::error=")
            );
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    for path in ["modules", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=RPLAY_AGENT_DIR");
    println!("cargo::rerun-if-env-changed={SHIPPED}");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let mut agents = supplied()?;
    let machine = machine_name(&variable("TARGET")?);
    if variable("CARGO_CFG_TARGET_OS")? == "linux"
        && agents.iter().all(|(name, _)| *name != machine)
    {
        let agent = build(&out)?;
        if shipped()? {
            // For the rule about its size in `tests/tidy.rs`.
            println!("cargo::rustc-env={SHIPPED}={}", agent.display());
        }
        agents.push((machine, agent));
    }
    let mut code = String::from("static IMAGES: &[Image] = &[\n");
    for (machine, path) in agents {
        let bytes =
            fs::read(&path).map_err(|error| format!("the agent `{}`: {error}", path.display()))?;
        let copy = out.join(format!("rplay-agent-{machine}"));
        fs::write(&copy, &bytes)
            .map_err(|error| format!("cannot write `{}`: {error}", copy.display()))?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let blake2 = hex(&Blake2b512::digest(&bytes)[..32]);
        code += &format!(
            "    Image {{ machine: Cow::Borrowed({machine:?}), sha256: Cow::Borrowed({sha256:?}), \
             blake2: Cow::Borrowed({blake2:?}), bytes: Cow::Borrowed(include_bytes!({copy:?})) }},\n"
        );
    }
    code += "];\n";
    fs::write(out.join("agent_image.rs"), code)
        .map_err(|error| format!("cannot write agent_image.rs: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The agents that the user built for other platforms: `$RPLAY_AGENT_DIR/rplay-agent-MACHINE`,
/// where MACHINE is what `uname -m` prints there.
fn supplied() -> Result<Vec<(String, PathBuf)>, String> {
    let Some(folder) = env::var_os("RPLAY_AGENT_DIR").filter(|folder| !folder.is_empty()) else {
        return Ok(Vec::new());
    };
    println!("cargo::rerun-if-changed={}", Path::new(&folder).display());
    let list = fs::read_dir(&folder)
        .map_err(|error| format!("RPLAY_AGENT_DIR `{}`: {error}", folder.display()))?;
    let mut agents: Vec<_> = list
        .flatten()
        .filter_map(|entry| {
            let machine = entry
                .file_name()
                .to_str()?
                .strip_prefix("rplay-agent-")?
                .to_owned();
            Some((machine, entry.path()))
        })
        .collect();
    agents.sort();
    Ok(agents)
}

/// Set when tests shall use the agent that users get; `tests/run` does.
const SHIPPED: &str = "RPLAY_SHIPPED_AGENT";

/// Whether the agent is built small. While one develops, building it quickly matters more.
fn shipped() -> Result<bool, String> {
    Ok(
        variable("PROFILE")? != "debug"
            || env::var_os(SHIPPED).is_some_and(|word| !word.is_empty()),
    )
}

/// Leaves the tables for unwinding out of the program, those of the libraries too: a panic ends the
/// agent (`panic = "abort"`), and without symbols nobody can read a backtrace. GNU's linker wants to
/// see the ends of the table, which are empty, where the start code refers to them.
const LINKER_SCRIPT: &str = "SECTIONS { \
    /DISCARD/ : { \
        *(EXCLUDE_FILE(*crtbegin*.o *crtend*.o) .eh_frame) \
        *(.gcc_except_table .gcc_except_table.*) \
    } \
} INSERT AFTER .text;\n";

/// What makes a shipped agent 2 % smaller with the linker and the compiler that Rust comes with, and may
/// be unknown to others: equal functions and equal ends of texts are there once, and a panic, which
/// nobody would look up on a target, does not tell its place. The second is no stable option.
const SAVINGS: &[&str] = &["-Clink-arg=-Wl,--icf=all,-O2", "-Zlocation-detail=none"];

/// The compiler's flags for the agent, in the form of `CARGO_ENCODED_RUSTFLAGS`.
/// `relocation-model=static` leaves out the relocations of a position-independent program.
fn flags(folder: &Path, savings: bool) -> Result<String, String> {
    let script = folder.join("agent.ld");
    fs::write(&script, LINKER_SCRIPT)
        .map_err(|error| format!("cannot write `{}`: {error}", script.display()))?;
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Crelocation-model=static".to_owned(),
        // For `modules/src/bin/agent/unneeded.rs`.
        "-Clink-arg=-Wl,--allow-multiple-definition".to_owned(),
    ];
    if shipped()? {
        for folder in sources()? {
            flags.push(format!("--remap-path-prefix={folder}/="));
        }
        flags.push(format!("-Clink-arg=-Wl,-T,{}", script.display()));
        flags.push("-Clink-arg=-Wl,--no-eh-frame-hdr".to_owned());
        // What several functions have in common becomes one more function: 3 % of the program.
        flags.push("-Cllvm-args=-enable-machine-outliner=always".to_owned());
        // The rounds of SHA-2 as loops, where the processor has no instructions for it.
        flags.push("--cfg=sha2_backend_soft=\"compact\"".to_owned());
        flags.extend(
            SAVINGS
                .iter()
                .filter(|_| savings)
                .map(|one| (*one).to_owned()),
        );
    }
    Ok(flags.join("\x1f"))
}

/// The folders below which source files lie. Panics name the file they are in, hundreds of times, and
/// where somebody built the agent is nobody's business on a target.
fn sources() -> Result<Vec<String>, String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let mut folders: Vec<_> = registries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect();
    folders.sort();
    folders.push(variable("CARGO_MANIFEST_DIR")?);
    Ok(folders)
}

/// Builds the agent; the path of the program.
fn build(out: &Path) -> Result<PathBuf, String> {
    let target = variable("TARGET")?;
    // `OUT_DIR` is PROFILE/build/rplay-HASH/out. Next to `build` the folder is used again by all
    // builds that share a target folder, and it is another one for every profile.
    let profile_folder = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR has an unexpected form")?;
    let folder = profile_folder.join("agent");
    let source = variable("CARGO_MANIFEST_DIR")?;
    forget_other_checkout(&folder, &source, &target)?;
    let mut output = build_with(&folder, &source, &target, true)?;
    if !output.status.success() && shipped()? {
        output = build_with(&folder, &source, &target, false)?;
    }
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        let log: Vec<_> = log
            .lines()
            .rev()
            .take(40)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        return Err(format!(
            "cannot build the agent for {target}:\n{}\nhint: it is linked statically and needs the C library's static \
             archive (`libc6-dev`, `glibc-static`); or set RPLAY_AGENT_DIR to a folder with `rplay-agent-{}`",
            log.join("\n"),
            machine_name(&target),
        ));
    }
    Ok(folder.join(&target).join("agent").join("rplay-agent"))
}

/// Runs Cargo for the agent, with [`SAVINGS`] or without.
fn build_with(folder: &Path, source: &str, target: &str, savings: bool) -> Result<Output, String> {
    let mut command = cargo(folder, source)?;
    command
        // The outer Cargo has just fetched everything and checked the lock file. `--target`, even
        // if it is the host, keeps the flags below away from build scripts and macros.
        .args([
            "build",
            "--locked",
            "--offline",
            "-p",
            "rplay-modules",
            "--bin",
            "rplay-agent",
            "--no-default-features",
        ])
        .args(["--profile", "agent", "--target", target])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(folder, savings)?);
    if shipped()? && savings {
        // Lets a stable compiler take the option that is none of its own.
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    if !shipped()? {
        command
            .env("CARGO_PROFILE_AGENT_LTO", "off")
            .env("CARGO_PROFILE_AGENT_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_AGENT_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_AGENT_INCREMENTAL", "true");
    }
    command
        .output()
        .map_err(|error| format!("cannot start Cargo to build the agent: {error}"))
}

/// Cargo tells what is fresh by time alone, and names packages by their place in the workspace: in a
/// folder that two checkouts share, it would take one's agent for the other's.
fn forget_other_checkout(folder: &Path, source: &str, target: &str) -> Result<(), String> {
    let marker = folder.join("built-from");
    if fs::read_to_string(&marker).is_ok_and(|last| last != source) {
        let packages = ["-p", "rplay-modules", "-p", "rplay-macros"];
        // Without `--target` the macros, which run here, would stay.
        for target in [&["--target", target][..], &[]] {
            let cleaned = cargo(folder, source)?
                .args(["clean", "--offline", "--profile", "agent"])
                .args(packages)
                .args(target)
                .output();
            let output = cleaned.map_err(|error| format!("cannot start Cargo: {error}"))?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
    }
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&marker, source))
        .map_err(|error| format!("cannot write `{}`: {error}", marker.display()))
}

/// A Cargo that works in a folder of its own.
fn cargo(folder: &Path, source: &str) -> Result<Command, String> {
    let mut command = Command::new(variable("CARGO")?);
    clean_environment(&mut command);
    command
        .current_dir(source)
        .env("CARGO_TARGET_DIR", folder)
        .env("CARGO_BUILD_BUILD_DIR", folder);
    Ok(command)
}

/// Removes what the outer Cargo says about this package and its build (its flags, its wrapper
/// `clippy-driver`, its target folder), and keeps where registries are and how to reach them.
fn clean_environment(command: &mut Command) {
    let kept = [
        "CARGO_HOME",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    let outer = [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOCFLAGS",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "MAKEFLAGS",
        "MFLAGS",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo =
            text.starts_with("CARGO_") && !kept.iter().any(|prefix| text.starts_with(prefix));
        if of_cargo || text == "CARGO" || text.starts_with("DEP_") || outer.contains(&&*text) {
            command.env_remove(&name);
        }
    }
}

/// What `uname -m` prints on a machine of the target.
fn machine_name(target: &str) -> String {
    let first = target.split('-').next().unwrap_or_default();
    match first {
        "i586" => "i686".to_owned(),
        "armv7" => "armv7l".to_owned(),
        "riscv64gc" => "riscv64".to_owned(),
        "powerpc64le" => "ppc64le".to_owned(),
        name => name.to_owned(),
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; run this through Cargo"))
}
