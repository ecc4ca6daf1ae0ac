//! The lookups of `kubernetes.core`: objects of a cluster, and what `kustomize` makes of a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use rplay_modules::data::Data;

use super::super::fault::Fault;
use super::super::interp::Interp;
use super::super::value::Value;
use super::Call;

/// Objects, or what is known of the cluster.
pub(super) fn k8s(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let mut options = rplay_modules::data::Map::new();
    for (name, value) in &call.options {
        options.insert(name.clone(), value.to_data().map_err(Fault::new)?);
    }
    let hidden = interp.templar.secrets.hidden.clone();
    let found = crate::action::kubernetes::looked_up(&options, &hidden).map_err(Fault::new)?;
    Ok(found.iter().map(Value::from_data).collect())
}

/// What `kustomize build`, or `kubectl kustomize`, prints of a folder.
pub(super) fn kustomize(call: &Call) -> Result<Vec<Value>, Fault> {
    let given = |name: &str| {
        let found = call.options.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    };
    let words = |value: &Value| match value {
        Value::List(all) => all.to_vec().iter().map(Value::text).collect(),
        one => vec![one.text()],
    };
    let places: Vec<String> = given("opt_dirs").map(words).unwrap_or_default();
    let program = match given("binary_path") {
        Some(path) => path.text(),
        None => ["kustomize", "kubectl"]
            .iter()
            .find_map(|name| found(name, &places))
            .ok_or_else(|| {
                Fault::new("Failed to find required executable 'kubectl' and 'kustomize' in paths")
            })?,
    };
    let folder = given("dir").map_or_else(|| ".".to_owned(), Value::text);
    let mut command = Command::new(&program);
    match () {
        () if program.ends_with("kustomize") => command.arg("build"),
        () if program.ends_with("kubectl") => command.arg("kustomize"),
        () => {
            return Err(Fault::new(format!(
                "unexpected tool provided as parameter {program}, expected one of kustomize, kubectl."
            )));
        }
    };
    command.arg(folder);
    if given("enable_helm").is_some_and(|value| value.is_true()) {
        command.arg("--enable-helm");
    }
    command.envs(environment(given("environment"))?);
    let output = command
        .output()
        .map_err(|error| Fault::new(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(vec![Value::str(String::from_utf8_lossy(&output.stdout))]);
    }
    let code = output.status.code().unwrap_or(-1);
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Fault::new(match said.is_empty() {
        true => format!("kustomize command failed with unknown error. exit code: {code}"),
        false => format!("kustomize command failed. exit code: {code}, error: {said}"),
    }))
}

/// The path of a program, in these folders or on the search path.
fn found(name: &str, places: &[String]) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let known = std::env::var_os("PATH").unwrap_or_default();
    let further = ["/sbin", "/usr/sbin", "/usr/local/sbin"];
    let places = places.iter().map(PathBuf::from);
    let places = places.chain(std::env::split_paths(&known));
    let mut files = places
        .chain(further.map(PathBuf::from))
        .map(|folder| folder.join(name));
    let runs = |path: &Path| {
        let about = path.metadata();
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    files
        .find(|path| runs(path))
        .map(|path| path.display().to_string())
}

/// Variables for the program: a mapping, or `NAME=value` with spaces between them.
fn environment(given: Option<&Value>) -> Result<Vec<(String, String)>, Fault> {
    let data = given.map(Value::to_data).transpose().map_err(Fault::new)?;
    match data {
        None | Some(Data::Null) => Ok(vec![]),
        Some(Data::Map(map)) => Ok(map
            .iter()
            .map(|(name, value)| (name.clone(), value.text()))
            .collect()),
        Some(text) => {
            let text = text.text();
            let pairs = text.split(' ').filter(|_| !text.is_empty());
            pairs
                .map(|pair| match pair.split_once('=') {
                    Some((name, value)) if !value.contains('=') => {
                        Ok((name.to_owned(), value.to_owned()))
                    }
                    _ => Err(Fault::new(
                        "environment should be dict or string in the format key=value, multiple pairs separated by space",
                    )),
                })
                .collect()
        }
    }
}
