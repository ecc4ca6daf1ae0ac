//! The pipelines of `playbooks/pipelines`: GitLab's by a runner on this machine (npm's gitlab-ci-local), and of
//! GitHub's the `run` steps in their order, by a shell, as there is no runner without the service.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::forge::{Forge, Kind, TOKEN};
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::{Verdict, rplay};

const SCENARIOS: &[Scenario<Runner>] = &[
    ("GitLab: a merge request gets its plan", merge_request),
    (
        "GitLab: a tag goes to staging and waits for production",
        tag,
    ),
    ("GitHub: the commands of both events", github),
];

/// Two hosts on this machine in the place of the real ones.
const HOSTS: &str = "staging:\n  hosts:\n    s: {ansible_connection: local, env: staging, base_dir: \"{{ inventory_dir }}/../out/staging\"}\nproduction:\n  hosts:\n    p: {ansible_connection: local, env: production, base_dir: \"{{ inventory_dir }}/../out/production\", remote_image: \"oci:{{ playbook_dir }}/files/image:{{ version }}\"}\n";

/// The runner, and where projects are made.
struct Runner {
    program: PathBuf,
    root: PathBuf,
    folder: tempfile::TempDir,
}

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("pipelines", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    let kept = scenario::prepared("gitlab");
    let program = kept.join("node_modules/.bin/gitlab-ci-local");
    if !program.exists() {
        let reason = "needs the runner that tests/components/gitlab.sh gets, which tests/run calls";
        return vec![("pipelines".to_owned(), Verdict::Skipped(reason.to_owned()))];
    }
    match tempfile::Builder::new()
        .prefix("rplay-pipelines-")
        .tempdir()
    {
        Ok(folder) => {
            let root = root.to_path_buf();
            let runner = Runner {
                program,
                root,
                folder,
            };
            scenario::run("pipelines", &chosen, &runner)
        }
        Err(fault) => vec![("pipelines".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

impl Runner {
    /// A project with the playbooks, in a repository of its own, and `rplay` in a folder beside it.
    fn project(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.path().join(name);
        let script = "set -e; mkdir -p \"$1/inventory\" \"$1-bin\"; cp -r \"$0/playbooks\" \"$1/\"; \
            cp \"$1/playbooks/pipelines/gitlab-ci.yml\" \"$1/.gitlab-ci.yml\"; ln -s \"$2\" \"$1-bin/rplay\"; \
            cd \"$1\"; git init -q; git remote add origin https://gitlab.example.org/group/project.git; \
            printf '%s' \"$3\" > inventory/setonix.yml; printf 'out/\\n.cache/\\n' > .gitignore; git add -A; \
            git -c user.name=t -c user.email=t@example.org commit -q -m first";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&self.root).arg(&folder);
        let (code, text) = finish(command.arg(rplay()).arg(HOSTS))?;
        match code {
            0 => Ok(folder),
            _ => Err(text),
        }
    }

    /// Runs a pipeline or some of its jobs with these variables.
    fn run(
        &self,
        project: &Path,
        jobs: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(i32, String), String> {
        let mut command = outside(project);
        command.arg(&self.program).args(jobs);
        for (name, value) in variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        finish(&mut command)
    }
}

/// A command with `rplay` in its path, and nothing of the environment of whoever runs the tests.
fn outside(project: &Path) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command
        .current_dir(project)
        .env_clear()
        .env("HOME", project)
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", format!("{}-bin:{path}", project.display()));
    command
}

fn must(is: bool, what: &str) -> Result<(), String> {
    is.then_some(()).ok_or_else(|| what.to_owned())
}

fn merge_request(runner: &Runner) -> Result<(), String> {
    let project = runner.project("request")?;
    let forge = Forge::start(Kind::GitLab, &["somebody's"])?;
    let address = format!("http://{}/api/v4", forge.address);
    let variables = [
        ("CI_PIPELINE_SOURCE", "merge_request_event"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("CI_PROJECT_ID", "42"),
        ("CI_API_V4_URL", &address),
        ("GITLAB_TOKEN", TOKEN),
    ];
    for _ in 0..2 {
        let ran = runner.run(&project, &[], &variables)?;
        must(!ran.1.contains(TOKEN), "the token is told")?;
        expect(ran, 0, &["PASS", "plan"])?;
        let comments = forge.comments();
        let plan = comments.last().ok_or("no comment")?;
        must(comments.len() == 2, "not one comment")?;
        must(plan.contains("Write the module file"), plan)?;
    }
    let widget = std::fs::read_to_string(project.join("plan.json")).map_err(|e| e.to_string())?;
    must(widget.contains("\"create\":"), &widget)?;
    must(project.join("staging.plan").exists(), "no plan")?;
    must(!project.join("out").exists(), "something was deployed")
}

fn tag(runner: &Runner) -> Result<(), String> {
    let project = runner.project("tag")?;
    let variables = [("CI_COMMIT_TAG", "1.0.0")];
    let module = |stage: &str| project.join(format!("out/{stage}/modules/demo/1.0.0.lua"));
    let ran = runner.run(&project, &[], &variables)?;
    let passed = ["PASS  staging", "PASS  test", "PASS  plan production"];
    expect(ran, 0, &passed)?;
    must(module("staging").exists(), "nothing on staging")?;
    must(!module("production").exists(), "production did not wait")?;
    // Somebody has changed what the plan was made of.
    let vars = project.join("playbooks/setonix/vars.yml");
    let text = std::fs::read_to_string(&vars).map_err(|fault| fault.to_string())?;
    std::fs::write(&vars, format!("{text}\nmore: 1\n")).map_err(|fault| fault.to_string())?;
    let (code, told) = runner.run(&project, &["production"], &variables)?;
    must(code != 0 && told.contains("vars.yml"), &told)?;
    must(
        !module("production").exists(),
        "it was deployed all the same",
    )?;
    std::fs::write(&vars, text).map_err(|fault| fault.to_string())?;
    expect(
        runner.run(&project, &["production"], &variables)?,
        0,
        &["PASS"],
    )?;
    must(module("production").exists(), "nothing on production")
}

/// The commands of the jobs, each with its job.
fn steps(text: &str) -> Vec<(String, String)> {
    let (mut found, mut job, mut open): (Vec<(String, String)>, _, _) = (vec![], "", None);
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        let own = line.trim();
        if depth == 2 && own.ends_with(':') {
            job = own.trim_end_matches(':');
        }
        if let Some(command) = own.strip_prefix("- run: ") {
            open = (command == ">-").then_some(depth);
            let command = command.trim_start_matches(">-").to_owned();
            found.push((job.to_owned(), command));
        } else if open.is_some_and(|open| depth > open)
            && let Some((_, command)) = found.last_mut()
        {
            *command += &format!(" {own}");
        } else {
            open = None;
        }
    }
    found
}

fn github(runner: &Runner) -> Result<(), String> {
    let project = runner.project("github")?;
    let text = include_str!("../playbooks/pipelines/github-actions.yml");
    let forge = Forge::start(Kind::GitHub, &[])?;
    std::fs::write(
        project.join("event.json"),
        "{\"pull_request\": {\"number\": 7}}",
    )
    .map_err(|fault| fault.to_string())?;
    let steps = steps(text);
    must(steps.len() == 6, &format!("{steps:?}"))?;
    for (job, step) in steps {
        let mut command = outside(&project);
        command
            .env("PLAYBOOKS", "playbooks/setonix")
            .env("INVENTORY", "inventory/setonix.yml")
            .env("VERSION", "1.0.0")
            .env("GITHUB_REF_NAME", "1.0.0")
            .env("GITHUB_REPOSITORY", "acme/site")
            .env("GITHUB_EVENT_PATH", project.join("event.json"))
            .env("GITHUB_STEP_SUMMARY", project.join("summary.md"))
            .env("GITHUB_API_URL", format!("http://{}", forge.address))
            .env("GITHUB_TOKEN", TOKEN)
            .args(["sh", "-c", &step]);
        let ran = finish(&mut command)?;
        expect(ran, 0, &[]).map_err(|why| format!("{job}: {step}\n{why}"))?;
        let deployed = project
            .join("out/production/modules/demo/1.0.0.lua")
            .exists();
        must(
            deployed == (job == "production"),
            "production at another time",
        )?;
    }
    must(forge.comments().len() == 1, "not one comment")
}
