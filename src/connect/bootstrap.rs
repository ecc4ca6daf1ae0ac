//! Brings the agent to a host and starts it. `docs/bootstrap.md` tells every step with its reason.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::Duration;

use rplay_modules::machine::digest::hex;
use rplay_modules::wire::{Hello, PROTOCOL, Reply};

use super::agent_image::Image;
use super::r#become::Watch;
use super::plain::WORK;
use super::program::Program;
use super::{LinkError, Target};

/// The script, one command a line. It has no single quote, backslash, exclamation mark or comment,
/// and is sent as one line: it is quoted for a login shell that may be csh or fish.
const SCRIPT: &str = include_str!("bootstrap.sh");

/// A fresh random word. Nobody can have prepared output with it.
pub(super) fn token() -> Result<String, LinkError> {
    let mut bytes = [0; 12];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| LinkError::Protocol(format!("cannot read `/dev/urandom`: {error}")))?;
    Ok(format!("rplay{}", hex(&bytes)))
}

/// The script with everything filled in.
pub(super) fn script(token: &str, images: &[Image], target: &Target) -> Result<String, LinkError> {
    let mut cases = String::new();
    for image in images {
        let aliases = match &*image.machine {
            "aarch64" => "\"Linux aarch64\"|\"Linux arm64\"".to_owned(),
            "i686" => "\"Linux i686\"|\"Linux i586\"".to_owned(),
            machine => format!("\"Linux {machine}\""),
        };
        let _ = write!(
            cases,
            "{aliases}) h={}; b={}; z={};; ",
            image.sha256,
            image.blake2,
            image.bytes.len()
        );
    }
    let mut folders = Vec::new();
    if let Some(folder) = &target.remote_tmp {
        folders.push(remote_folder(folder)?);
    }
    folders.push("${XDG_CACHE_HOME:-$HOME/.cache}/rplay".to_owned());
    // One of them may be mounted so that nothing in it can be run.
    folders.extend(["/tmp", "/var/tmp", "/dev/shm"].map(|folder| format!("{folder}/.rplay-$u")));
    // The script asks for the user's number only when it comes to these.
    let quoted: Vec<_> = folders
        .iter()
        .map(|folder| format!("\"{}\"", folder.strip_suffix("$u").unwrap_or(folder)))
        .collect();
    let script = SCRIPT.lines().collect::<Vec<_>>().join(" ");
    Ok(script
        .replace("@TOKEN@", token)
        .replace("@STAY@", &target.stay().as_secs().to_string())
        .replace("@IMAGES@", &cases)
        .replace("@FOLDERS@", &quoted.join(" "))
        .replace("@TRIED@", &folders.join(", ")))
}

/// `remote_tmp` in double quotes of the script: variables and a leading `~` mean what they mean in
/// a shell, and nothing else has a meaning.
fn remote_folder(folder: &str) -> Result<String, LinkError> {
    let plain = |c: char| c.is_alphanumeric() || "_./~${}-+@:,= ".contains(c);
    if let Some(bad) = folder.chars().find(|c| !plain(*c)) {
        return Err(LinkError::Protocol(format!(
            "remote_tmp `{folder}`: the character `{bad}` is not supported"
        )));
    }
    let folder = match folder.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("$HOME{rest}"),
        Some(_) => {
            return Err(LinkError::Protocol(format!(
                "remote_tmp `{folder}`: `~user` is not supported"
            )));
        }
        None => folder.to_owned(),
    };
    Ok(format!("{}/rplay", folder.trim_end_matches('/')))
}

/// Goes through the script's dialogue until the agent has introduced itself.
pub(super) async fn run(
    program: &mut Program,
    token: &str,
    images: &[Image],
    mut watch: Watch<'_>,
    patience: Duration,
) -> Result<Hello, LinkError> {
    loop {
        let line = next_line(program, token, &mut watch, patience).await?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "HAVE" => break,
            "NEED" => {
                let machine = match rest.strip_prefix("Linux ").unwrap_or(rest) {
                    "arm64" => "aarch64",
                    "i586" => "i686",
                    machine => machine,
                };
                let image = images
                    .iter()
                    .find(|image| image.machine == machine)
                    .ok_or_else(|| no_agent(rest))?;
                // When it ends early, the next line tells why.
                program.upload(&image.bytes).await;
            }
            "PLATFORM" => return Err(no_agent(rest)),
            "FAIL" => {
                return Err(LinkError::NoFolder(format!(
                    "cannot install the agent, without which only `command`, `raw` and `shell` work: {rest}"
                )));
            }
            _ => {
                return Err(LinkError::Protocol(format!(
                    "unexpected answer to the bootstrap: {line}"
                )));
            }
        }
    }
    match tokio::time::timeout(patience, program.reply()).await {
        Ok(Ok(Some(Reply::Hello(hello)))) if hello.protocol == PROTOCOL => Ok(hello),
        Ok(Ok(Some(_))) => Err(LinkError::Protocol(
            "the agent speaks another version of the protocol".to_owned(),
        )),
        // The shell's codes for what cannot be run, and signals for what the processor or a filter of
        // system calls refuses.
        Ok(Ok(None)) if matches!(program.code, Some(126 | 127 | 132 | 139 | 159)) => {
            let why = ended(program, "the agent cannot run on the host");
            Err(LinkError::NoAgent(format!("{why}; {WORK}")))
        }
        Ok(Ok(None)) => Err(ended(program, "the agent did not start")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(LinkError::Timeout),
    }
}

fn no_agent(machine: &str) -> LinkError {
    let name = machine.split(' ').next_back().unwrap_or_default();
    LinkError::NoAgent(format!(
        "no agent for `{machine}`: {WORK}; build `rplay-agent-{name}` as docs/bootstrap.md says, and set RPLAY_AGENT_DIR to its folder"
    ))
}

/// What follows the token in the next line that has it. Whatever comes before (banners, messages of
/// the day, start-up files that print) is skipped.
async fn next_line(
    program: &mut Program,
    token: &str,
    watch: &mut Watch<'_>,
    patience: Duration,
) -> Result<String, LinkError> {
    loop {
        if let Some(start) = find(&program.out, token.as_bytes())
            && let Some(length) = program.out[start..].iter().position(|byte| *byte == b'\n')
        {
            let line = String::from_utf8_lossy(&program.out[start + token.len()..start + length])
                .trim()
                .to_owned();
            program.out.drain(..=start + length);
            return Ok(line);
        }
        watch.look(program).await?;
        match tokio::time::timeout(patience, program.pump()).await {
            Ok(true) => {}
            Ok(false) => return Err(watch.ended(program)),
            Err(_) => return Err(watch.timed_out()),
        }
    }
}

/// Skips everything up to the token's line: from there on the output is the command's own.
pub(super) async fn await_token(
    program: &mut Program,
    token: &str,
    watch: &mut Watch<'_>,
    patience: Duration,
) -> Result<(), LinkError> {
    next_line(program, token, watch, patience).await?;
    program.err.clear();
    Ok(())
}

/// The error for a program that ended without saying why in the dialogue.
pub(super) fn ended(program: &Program, what: &str) -> LinkError {
    let code = program
        .code
        .map_or_else(String::new, |code| format!(" (exit code {code})"));
    let errors = program.errors();
    let colon = if errors.is_empty() { "" } else { ": " };
    LinkError::Protocol(format!("{what}{code}{colon}{errors}"))
}

pub(super) fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Kind;

    #[test]
    fn script_survives_quoting_in_any_shell() {
        let target = Target {
            remote_tmp: Some("~/x y/$USER".to_owned()),
            ..Target::new("h", Kind::Ssh, "h")
        };
        let script = script("tok", &[], &target).unwrap();
        assert!(
            !script.contains(['\'', '\\', '!', '\n', '@', '#']),
            "{script}"
        );
        assert!(script.contains("\"$HOME/x y/$USER/rplay\""));
    }

    #[test]
    fn remote_tmp_runs_no_commands() {
        assert!(remote_folder("/tmp/$(id)").is_err());
        assert!(remote_folder("/tmp/`id`").is_err());
        assert!(remote_folder("~root/x").is_err());
    }
}
