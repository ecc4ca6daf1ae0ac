//! A shell as the user's log-in has it, for the function `module` of Lmod and its like.

use rplay_modules::machine::{Command, Output};

/// Reads what a log-in and a command over SSH read, without a word on standard output, takes the
/// steps, and becomes the program behind them. A step with an output ends it with two NUL bytes. Without the program, the
/// code is 125 where a step failed, and 127 where there is no container engine.
const SCRIPT: &str = r#"p() { [ ! -r "$1" ] || . "$1"; }
{
    p /etc/profile
    for f in ~/.bash_profile ~/.bash_login ~/.profile; do [ ! -r "$f" ] || { p "$f"; break; }; done
    p /etc/bash.bashrc
    p ~/.bashrc
} >/dev/null
type module >/dev/null 2>&1 || { echo 'there is no `module` in the shell of this user' >&2; exit 125; }
while [ "$1" != -- ]; do
    case $1 in
    environment) env -0; printf '\0' ;;
    avail | list) module -t "$1" 2>&1; printf '\0\0' ;;
    show) t=$(module show "$2" 2>&1) || { echo "$t" >&2; exit 125; }; printf '%s\0\0' "$t" ;;
    *) module "$1" ${2:+"$2"} >&2 || exit 125 ;;
    esac
    shift 2
done
shift
[ $# -gt 0 ] || exit 0
[ -n "$1" ] || {
    shift
    for n in apptainer singularity; do ! command -v $n >/dev/null || exec $n "$@"; done
    echo 'neither apptainer nor singularity is there' >&2
    exit 127
}
exec "$@""#;

/// A step: what `module` does, with what.
pub(crate) type Step<'a> = (&'a str, &'a str);

/// The steps in a log-in shell, and then the program; one without a name is the container engine.
pub(crate) fn command(steps: &[Step<'_>], program: Vec<String>) -> Command {
    let mut argv: Vec<String> = ["/bin/bash", "-c", SCRIPT, "rplay"]
        .map(str::to_owned)
        .into();
    for (what, name) in steps {
        argv.extend([(*what).to_owned(), (*name).to_owned()]);
    }
    argv.push("--".to_owned());
    argv.extend(program);
    Command::new(argv)
}

/// What the steps put out, one text after the other.
pub(crate) fn outputs(output: &Output) -> Vec<String> {
    let text = output.stdout_text();
    text.split("\0\0").map(str::to_owned).collect()
}

/// What a program says is wrong: its marked line, or else its first paragraph.
pub(crate) fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim);
    let marks = ["FATAL", "ERROR", "Module ERROR"];
    let marked = lines().find(|line| marks.iter().any(|mark| line.starts_with(mark)));
    let chatter =
        |line: &&str| line.is_empty() || line.starts_with("INFO") || line.starts_with("WARNING");
    let paragraph = || {
        let said = lines().skip_while(chatter);
        said.take_while(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    marked.map_or_else(paragraph, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_says_so() {
        assert_eq!(
            reason("INFO:  x\nFATAL:  While pulling\n\nusage\n"),
            "FATAL:  While pulling"
        );
        assert_eq!(
            reason("WARNING: x\nThese modules are unknown:\n\"none\"\n\nmore\n"),
            "These modules are unknown: \"none\""
        );
        assert_eq!(
            reason("Loading x\n  Module ERROR: no licence\n        while executing\n"),
            "Module ERROR: no licence"
        );
        assert_eq!(reason(""), "");
    }
}
