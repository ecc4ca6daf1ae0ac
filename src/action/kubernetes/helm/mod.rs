//! `helm` and its relatives: the host's program does the work. Values reach it by its standard input, a kubeconfig
//! that is no file by one that is gone again, so neither stands in its arguments.

mod info;
mod release;
mod repository;
mod template;

pub(super) use info::run as info;
pub(super) use release::run as release;
pub(super) use repository::run as repository;
pub(super) use template::run as template;

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::shared::{Helm as Args, Values};
use rplay_modules::map;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::text::{quote, split_words};
use serde_json::{Value as Json, json};

use super::connect::{hide_in, variable, yes};
use super::diff;
use crate::action::programs::{self, Program, Ran};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// A version of the program.
type Version = (u32, u32, u32);

/// Where the program looks for it, and which it is; one call for both.
const LOOK: &str = r#"p=${1:-$(PATH=$PATH:/sbin:/usr/sbin:/usr/local/sbin command -v helm)}
[ -n "$p" ] || { echo "$PATH" >&2; exit 127; }
printf '%s\n' "$p"
exec "$p" version"#;

/// The program as a task uses it.
struct Helm {
    path: String,
    version: Version,
    env: Vec<(String, String)>,
    /// A kubeconfig that is no file.
    kubeconfig: Option<String>,
    /// The repositories of charts that count, where an earlier task of this check would have made them others.
    repositories: Option<Vec<Json>>,
}

impl Helm {
    /// Finds the program, and the cluster that it shall speak to.
    async fn open(
        context: &mut Context<'_>,
        args: &Args,
        namespace: Option<&str>,
    ) -> Result<Self, ActionError> {
        let mut argv = vec!["sh", "-c", LOOK, "sh"];
        let given = match &args.binary_path {
            Some(path) => Some(programs::expand(context, path).await?),
            None => None,
        };
        argv.extend(given.as_deref());
        let ran = Program::new(&argv).run(context).await?;
        let (path, said) = ran.stdout.split_once('\n').unwrap_or_default();
        if path.is_empty() {
            let places = ran.stderr.trim();
            let text = format!("Failed to find required executable \"helm\" in paths: {places}");
            return Err(ActionError::new(text));
        }
        let Some(version) = version(said) else {
            let mut text = "Unable to determine Helm version".to_owned();
            let why = [ran.stderr.trim(), said.trim(), &ran.msg];
            if let Some(why) = why.iter().find(|why| !why.is_empty()) {
                text += &format!(": {why}");
            }
            return Err(ActionError::new(text));
        };
        let mut helm = Self {
            path: path.to_owned(),
            version,
            env: vec![],
            kubeconfig: None,
            repositories: None,
        };
        if version < (3, 0, 0) {
            let own = shown(version);
            let text = format!("Helm version must be >= 3.0.0, current version is {own}");
            return Err(ActionError::new(text));
        }
        helm.reach(context, args).await?;
        if let Some(namespace) = namespace {
            helm.set("HELM_NAMESPACE", namespace);
        }
        Ok(helm)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Says which cluster is meant, and who asks.
    async fn reach(&mut self, context: &mut Context<'_>, args: &Args) -> Result<(), ActionError> {
        let outside = context.environment.clone();
        let or =
            |own: &Option<String>, name: &str| own.clone().or_else(|| variable(&outside, name));
        if let Some(name) = or(&args.context, "CONTEXT") {
            self.set("HELM_KUBECONTEXT", &name);
        }
        if let Some(token) = or(&args.api_key, "API_KEY") {
            context.run.hidden().add(&token);
            self.set("HELM_KUBETOKEN", &token);
        }
        if let Some(host) = or(&args.host, "HOST") {
            self.set("HELM_KUBEAPISERVER", &host);
        }
        if let Some(path) = or(&args.ca_cert, "SSL_CA_CERT") {
            self.needs("ca_cert", (3, 5, 0))?;
            let path = programs::expand(context, &path).await?;
            self.set("HELM_KUBECAFILE", &path);
        }
        let check = variable(&outside, "VERIFY_SSL").map(|word| yes(&word));
        if args.validate_certs.or(check) == Some(false) {
            self.needs("validate_certs", (3, 10, 0))?;
            self.set("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "true");
        }
        let own = args.kubeconfig.clone();
        match own.or_else(|| variable(&outside, "KUBECONFIG").map(Data::from)) {
            None => {}
            Some(Data::Map(map)) => {
                let json = Data::Map(map).to_json();
                for user in json["users"].as_array().into_iter().flatten() {
                    hide_in(context.run.hidden(), &user["user"]);
                }
                self.kubeconfig = Some(json.to_string());
            }
            Some(path) => {
                let path = path.text();
                let there = !context.here && !context.link()?.is_local();
                let path = match context.find_file("files", &path).filter(|_| !there) {
                    Some(found) => found.display().to_string(),
                    None => programs::expand(context, &path).await?,
                };
                self.set("KUBECONFIG", &path);
            }
        }
        Ok(())
    }

    /// Refuses what an older program cannot do.
    fn needs(&self, what: &str, least: Version) -> Result<(), ActionError> {
        match self.version >= least {
            true => Ok(()),
            false => Err(ActionError::new(format!(
                "{what} requires helm >= {}, current version is {}",
                shown(least),
                shown(self.version)
            ))),
        }
    }

    fn is_four(&self) -> bool {
        self.version >= (4, 0, 0)
    }

    /// A call as results show it.
    fn line(&self, words: &[String]) -> String {
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        format!("{} {}", self.path, words.join(" "))
    }

    fn has_files(&self) -> bool {
        self.kubeconfig.is_some() || self.repositories.is_some()
    }

    /// A script of commands for which files are there that are gone again afterwards, and a folder `$d`.
    fn with_files(&self, commands: &str) -> String {
        let mut files = vec![];
        let mut script = String::new();
        if let Some(kubeconfig) = &self.kubeconfig {
            script += "export KUBECONFIG=\"$d/0\"\n";
            files.push(kubeconfig.clone());
        }
        if let Some(repositories) = &self.repositories {
            script += &format!(
                "export HELM_REPOSITORY_CONFIG=\"$d/{}\" HELM_REPOSITORY_CACHE=\"$d/charts\"\n",
                files.len()
            );
            let time = "0001-01-01T00:00:00Z";
            let file = json!({ "apiVersion": "", "generated": time, "repositories": repositories });
            files.push(file.to_string());
            // Without any the program itself says that there is none of the name. Not every version says by its exit
            // code that one could not be reached.
            if !repositories.is_empty() {
                let program = quote(&self.path);
                script += &format!("{program} repo update >\"$d/said\" 2>&1 || :\n");
                script += "ls \"$d\"/charts/*-index.yaml >\"$d/list\" 2>&1 || { cat \"$d/said\" >&2; exit 1; }\n";
            }
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        programs::with_files(&files, &(script + commands))
    }

    /// Calls the program, whatever comes of it.
    async fn call(
        &self,
        context: &mut Context<'_>,
        words: &[String],
        stdin: Option<&str>,
    ) -> Result<Ran, ActionError> {
        let script;
        let mut program = match self.has_files() {
            false => {
                let mut program = Program::new(&[&self.path]);
                program.argv.extend(words.iter().cloned());
                program.stdin = stdin;
                program
            }
            true => {
                let line = programs::reading(&self.line(words), stdin.unwrap_or_default());
                script = self.with_files(&line);
                let mut program = Program::new(&["sh", "-s"]);
                program.stdin = Some(&script);
                program
            }
        };
        program.env.clone_from(&self.env);
        program.run(context).await
    }

    /// Calls the program; where it fails, so does the task.
    async fn run(
        &self,
        context: &mut Context<'_>,
        words: &[String],
        stdin: Option<&str>,
    ) -> Result<Ran, ActionError> {
        let ran = self.call(context, words, stdin).await?;
        match ran.code {
            0 => Ok(ran),
            _ => Err(self.failed(words, &ran)),
        }
    }

    fn failed(&self, words: &[String], ran: &Ran) -> ActionError {
        let mut text = format!(
            "Failure when executing Helm command. Exited {}.\nstdout: {}\nstderr: {}",
            ran.code, ran.stdout, ran.stderr
        );
        if ran.stdout.is_empty() && ran.stderr.is_empty() {
            text += &ran.msg;
        }
        let mut failure = Failure::new(text);
        failure.results = map! {
            "command" => self.line(words),
            "stdout" => ran.stdout.clone(),
            "stderr" => ran.stderr.clone(),
        };
        ActionError::Failed(Box::new(failure))
    }

    /// What the program prints as JSON.
    async fn ask(&self, context: &mut Context<'_>, words: &[String]) -> Result<Json, ActionError> {
        let ran = self.run(context, words, None).await?;
        self.read(words, &ran)
    }

    fn read(&self, words: &[String], ran: &Ran) -> Result<Json, ActionError> {
        let text = bare(&ran.stdout);
        serde_json::from_str(text).map_err(|error| {
            let line = self.line(words);
            ActionError::new(format!("Cannot read what `{line}` prints: {error}"))
        })
    }
}

/// The version in what `helm version` prints.
fn version(said: &str) -> Option<Version> {
    let (_, rest) = said
        .split_once("Version:\"v")
        .or_else(|| said.split_once("SemVer:\"v"))?;
    let rest = rest.split(['"', '-', '+']).next()?;
    let mut parts = rest.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn shown((major, minor, patch): Version) -> String {
    format!("{major}.{minor}.{patch}")
}

/// What the program prints, without what newer ones tell of registries before it.
fn bare(text: &str) -> &str {
    let mut rest = text;
    while let Some((line, behind)) = rest.split_once('\n') {
        let told = ["Pulled: ", "Pushed: ", "Digest: "];
        match told.iter().any(|word| line.starts_with(word)) {
            true => rest = behind,
            false if line.ends_with(" contains an underscore.") => {
                // An explanation of some lines follows, between empty ones.
                let Some((_, after)) = behind.trim_start().split_once("from a registry.\n") else {
                    break;
                };
                rest = after.trim_start_matches('\n');
            }
            false => break,
        }
    }
    rest
}

/// Words of a call.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Values as the program takes them: options, and what it reads.
struct Given {
    files: Vec<String>,
    set: Vec<String>,
    stdin: Option<String>,
}

/// Finds the values. Files that an earlier task of this check would have written are read for the program.
async fn values(
    context: &mut Context<'_>,
    helm: &Helm,
    args: &Values,
) -> Result<Given, ActionError> {
    let mut all = vec![];
    for file in &args.values_files {
        let path = programs::expand(context, file).await?;
        let fresh = match context.check {
            true => {
                let seen = programs::read(context, &path).await?;
                let real = programs::on_disk(context, &path).await?;
                seen.filter(|seen| real.as_ref() != Some(seen))
            }
            false => None,
        };
        all.push((path, fresh));
    }
    let stdin;
    let mut files = vec![];
    let own =
        (!args.release_values.is_empty()).then(|| Data::Map(args.release_values.clone()).to_json());
    // The program reads one of them only: those that are not on the disk, and all behind them, are merged here.
    match all.iter().position(|(_, fresh)| fresh.is_some()) {
        None => {
            files.extend(all.into_iter().map(|(path, _)| path));
            stdin = own.map(|own| own.to_string());
        }
        Some(first) => {
            let mut merged = json!({});
            for (at, (path, fresh)) in all.into_iter().enumerate() {
                if at < first {
                    files.push(path);
                    continue;
                }
                let content = match fresh {
                    Some(content) => Some(content),
                    None => programs::on_disk(context, &path).await?,
                };
                let content = content.unwrap_or_default();
                merge(&mut merged, &document(&String::from_utf8_lossy(&content))?);
            }
            merge(&mut merged, &own.unwrap_or(Json::Null));
            stdin = Some(merged.to_string());
        }
    }
    if stdin.is_some() {
        files.push("-".to_owned());
    }
    let mut set = vec![];
    for one in args.set_values.iter().flatten() {
        set.extend(single(helm, one)?);
    }
    Ok(Given { files, set, stdin })
}

/// A value of `set_values` as the program takes it.
fn single(helm: &Helm, one: &Map) -> Result<Vec<String>, ActionError> {
    let known = ["value", "value_type"];
    if let Some(name) = one.keys().find(|name| !known.contains(&name.as_str())) {
        let text = format!("set_values has `value` and `value_type`, not `{name}`");
        return Err(ActionError::new(text));
    }
    let Some(value) = one.get("value").map(Data::text) else {
        return Err(ActionError::new("set_values: an entry has no `value`"));
    };
    let kind = one.get("value_type").map(Data::text);
    match kind.as_deref().unwrap_or("raw") {
        // Quotes are taken away, as they would be in a shell.
        "raw" => {
            let mut all = words(["--set"]);
            let parts = split_words(&value);
            all.extend(parts.map_err(|why| {
                ActionError::new(format!("set_values: `{value}` cannot be read: {why}"))
            })?);
            Ok(all)
        }
        kind @ ("string" | "json" | "file") => {
            if kind == "json" {
                helm.needs("set_values with value_type 'json'", (3, 10, 0))?;
            }
            Ok(vec![format!("--set-{kind}"), value])
        }
        other => {
            let text = format!(
                "set_values: value_type must be one of: raw, string, json, file, got: {other}"
            );
            Err(ActionError::new(text))
        }
    }
}

/// Puts values over others, as the program does it: mappings are merged, and nothing takes a value away.
fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (_, Json::Null) => {}
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(name) {
                    Some(known) if known.is_object() && value.is_object() => merge(known, value),
                    _ => drop(into.insert(name.clone(), value.clone())),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The first document of YAML text.
fn document(text: &str) -> Result<Json, ActionError> {
    let all = documents(text)?;
    Ok(all.into_iter().next().unwrap_or_default())
}

/// The documents of YAML text, those that are empty left out.
fn documents(text: &str) -> Result<Vec<Json>, ActionError> {
    let all = crate::template::yaml_documents(text)
        .map_err(|error| ActionError::new(format!("Error parsing YAML content: {error}")))?;
    let all = all.iter().map(Data::to_json);
    Ok(all.filter(|one| !one.is_null()).collect())
}

/// What is different between the objects of two manifests, a difference an object.
fn differences(before: &[Json], after: &[Json]) -> Vec<Diff> {
    let key = |object: &Json| {
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        (
            word(&object["kind"]),
            word(&metadata["namespace"]),
            word(&metadata["name"]),
        )
    };
    let find = |all: &[Json], wanted: &Json| {
        let found = all.iter().find(|one| key(one) == key(wanted));
        found.cloned().unwrap_or_default()
    };
    let gone = before.iter().filter(|one| find(after, one).is_null());
    let mut all = vec![];
    for one in after.iter().chain(gone) {
        let Some(mut diff) = diff::diff(&find(before, one), &find(after, one), &[]) else {
            continue;
        };
        let (kind, namespace, name) = key(one);
        let name = match namespace.as_str() {
            "" => name,
            namespace => format!("{namespace}/{name}"),
        };
        let title = format!("{kind} {name}");
        diff.before_header = Some(title.clone());
        diff.after_header = Some(title);
        all.push(diff);
    }
    all
}

/// A result as a module's.
fn told(changed: bool, results: Map, diff: Vec<Diff>, warnings: Vec<String>) -> TaskResult {
    TaskResult::from(Ok(Outcome {
        changed,
        results,
        diff,
        warnings,
        ..Outcome::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let three = "version.BuildInfo{Version:\"v3.17.3\", GitCommit:\"e4d\"}";
        assert_eq!(version(three), Some((3, 17, 3)));
        let early = "version.BuildInfo{Version:\"v4.0.0-rc.1\", GitCommit:\"\"}";
        assert_eq!(version(early), Some((4, 0, 0)));
        let two = "Client: &version.Version{SemVer:\"v2.17.0\", GitCommit:\"a\"}";
        assert_eq!(version(two), Some((2, 17, 0)));
        assert_eq!(version("no such thing"), None);
    }

    #[test]
    fn registries_say_something_first() {
        assert_eq!(bare("Pulled: a/b:1\nDigest: sha256:0\n{}\n"), "{}\n");
        assert_eq!(bare("name: a\nPulled: x\n"), "name: a\nPulled: x\n");
        let told = "Pulled: a/b:1_2\na/b:1_2 contains an underscore.\n\nOCI artifacts\nback to\na plus (+) when pulling from a registry.\n\nname: a\n";
        assert_eq!(bare(told), "name: a\n");
    }

    #[test]
    fn values_over_values() {
        let mut all = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut all, &json!({"a": {"b": null}, "d": [2]}));
        assert_eq!(all, json!({"a": {"b": null, "c": 2}, "d": [2]}));
        merge(&mut all, &Json::Null);
        assert_eq!(all["d"], json!([2]));
    }

    #[test]
    fn objects_by_name() {
        let object = |kind: &str, name: &str, word: &str| json!({"kind": kind, "metadata": {"name": name}, "data": {"w": word}});
        let before = [
            object("ConfigMap", "a", "1"),
            object("Secret", "s", "old"),
            object("ConfigMap", "gone", "x"),
        ];
        let after = [
            object("Secret", "s", "new"),
            object("ConfigMap", "a", "1"),
            object("ConfigMap", "fresh", "y"),
        ];
        let all = differences(&before, &after);
        let titles: Vec<_> = all
            .iter()
            .filter_map(|diff| diff.after_header.clone())
            .collect();
        assert_eq!(titles, ["Secret s", "ConfigMap fresh", "ConfigMap gone"]);
        assert!(!format!("{all:?}").contains("old"));
    }
}
