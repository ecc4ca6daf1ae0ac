//! `helm_template`: what a chart makes of its values, as text or into a folder. As text it is read only, so check mode
//! does it as well; of a folder it is known which files would be others.

use rplay_modules::kubernetes::helm_template::Args;
use rplay_modules::kubernetes::shared::Helm as Reach;
use rplay_modules::map;
use rplay_modules::text::quote;

use super::{Given, Helm, bare, repository, told, values, words};
use crate::action::programs::{self, Program, Ran};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Renders.
pub(in super::super) async fn run(
    context: &mut Context<'_>,
    args: Args,
) -> Result<TaskResult, ActionError> {
    let reach = Reach {
        binary_path: args.binary_path.clone(),
        ..Reach::default()
    };
    let namespace = args.release_namespace.as_deref();
    let mut helm = Helm::open(context, &reach, namespace).await?;
    if args.plain_http {
        helm.needs("plain_http", (3, 13, 0))?;
    }
    if args.update_repo_cache && !context.check {
        helm.run(context, &words(["repo", "update"]), None).await?;
    }
    let given = values(context, &helm, &args.values).await?;
    let chart = programs::expand(context, &args.chart_ref).await?;
    if args.chart_repo_url.is_none() {
        helm.repositories = repository::foreseen(context, &chart).await?;
    }
    let folder = match &args.output_dir {
        Some(folder) => Some(programs::expand(context, folder).await?),
        None => None,
    };
    let command = call(&args, &chart, &given, folder.as_deref());
    let Some(folder) = folder else {
        let ran = helm.run(context, &command, given.stdin.as_deref()).await?;
        return Ok(result(&helm, &command, false, &ran));
    };
    let trial = call(&args, &chart, &given, Some("@@folder@@"));
    let changed = would_change(context, &helm, &command, &trial, &given, &folder).await?;
    if context.check || !changed {
        return Ok(result(&helm, &command, changed, &Ran::default()));
    }
    let ran = helm.run(context, &command, given.stdin.as_deref()).await?;
    Ok(result(&helm, &command, true, &ran))
}

fn result(helm: &Helm, command: &[String], changed: bool, ran: &Ran) -> TaskResult {
    let results = map! {
        "command" => helm.line(command),
        "rc" => 0,
        "stdout" => bare(&ran.stdout),
        "stderr" => ran.stderr.clone(),
    };
    told(changed, results, vec![], vec![])
}

fn call(args: &Args, chart: &str, given: &Given, folder: Option<&str>) -> Vec<String> {
    let mut command = words(["template"]);
    command.extend(args.release_name.clone());
    command.push(chart.to_owned());
    let option = |name: &str, value: Option<&str>| value.map(|value| format!("--{name}={value}"));
    let flag = |given: bool, word: &str| given.then(|| word.to_owned());
    let options = [
        flag(args.dependency_update, "--dependency-update"),
        option("repo", args.chart_repo_url.as_deref()),
        option("version", args.chart_version.as_deref()),
        flag(args.disable_hook, "--no-hooks"),
        option("output-dir", folder),
        flag(args.insecure_registry, "--insecure-skip-tls-verify"),
        flag(args.plain_http, "--plain-http"),
    ];
    command.extend(options.into_iter().flatten());
    for one in &args.show_only {
        command.extend(words(["-s", one]));
    }
    for file in &given.files {
        command.push(format!("-f={file}"));
    }
    if let Some(namespace) = &args.release_namespace {
        command.extend(words(["-n", namespace]));
    }
    if args.include_crds {
        command.push("--include-crds".to_owned());
    }
    command.extend(given.set.iter().cloned());
    command
}

/// Whether files of a folder would be others: they are rendered into one that is gone afterwards.
async fn would_change(
    context: &mut Context<'_>,
    helm: &Helm,
    command: &[String],
    trial: &[String],
    given: &Given,
    folder: &str,
) -> Result<bool, ActionError> {
    let line = helm
        .line(trial)
        .replace("'--output-dir=@@folder@@'", "--output-dir=\"$d/out\"");
    let line = line.replace("--output-dir=@@folder@@", "--output-dir=\"$d/out\"");
    let line = programs::reading(
        &format!("{line} >&2"),
        given.stdin.as_deref().unwrap_or_default(),
    );
    let commands = format!(
        "{line}mkdir -p \"$d/out\"\ncd \"$d/out\"\nfind . -type f | while IFS= read -r f; do cmp -s \"$f\" {}/\"$f\" || echo other; done\n",
        quote(folder)
    );
    let script = helm.with_files(&commands);
    let mut program = Program::new(&["sh", "-s"]);
    program.stdin = Some(&script);
    program.env.clone_from(&helm.env);
    let ran = program.run(context).await?;
    match ran.code {
        0 => Ok(!ran.stdout.is_empty()),
        _ => Err(helm.failed(command, &ran)),
    }
}
