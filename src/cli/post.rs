//! `rplay report post --gitlab|--github FILE`: a report as the one comment of a merge or pull request.
//!
//! The comment begins with a mark that nobody sees, by which it is found again. All that has to be known comes from the
//! variables that a pipeline has; the token is in no argument and in nothing that is told.

use std::path::{Path, PathBuf};

use clap::Parser;
use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::real::RealMachine;
use rplay_modules::registry;

use super::programs::{Call, parse};
use super::{CommandError, Exit, finish};
use crate::action::address::escaped;
use crate::diag::Diagnostic;
use crate::secrets::Secrets;

/// Brings reports to where they are read.
#[derive(Debug, Parser)]
pub(super) struct Reporting {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Parser)]
#[command(infer_long_args = true)]
enum Verb {
    /// Create or update the one comment of a merge request or pull request
    Post(Posting),
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("forge").required(true)))]
struct Posting {
    /// File that `--report markdown` wrote
    file: PathBuf,
    /// On GitLab: CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID, and the token in GITLAB_TOKEN
    #[arg(long, group = "forge")]
    gitlab: bool,
    /// On GitHub: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_EVENT_PATH, and the token in GITHUB_TOKEN
    #[arg(long, group = "forge")]
    github: bool,
    /// Name of the comment, where a request has several of them
    #[arg(long, value_name = "NAME", default_value = "rplay", value_parser = comment_name)]
    name: String,
    /// The variable of the environment that holds the token
    #[arg(long, value_name = "VARIABLE")]
    token_variable: Option<String>,
}

/// A name that can stand in a mark.
fn comment_name(text: &str) -> Result<String, String> {
    let fits =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-' | '/');
    match !text.is_empty() && text.chars().all(fits) && !text.contains("--") {
        true => Ok(text.to_owned()),
        false => Err("letters, digits, `.`, `_`, `/` and single `-` only".to_owned()),
    }
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Reporting>(call) {
        Ok(arguments) => {
            let Verb::Post(posting) = arguments.verb;
            finish(post(&posting, &hidden), &hidden)
        }
        Err(exit) => exit,
    }
}

/// A request of a forge, and how its comments are reached.
struct Forge {
    /// The forge's name, for messages.
    name: &'static str,
    /// What the request is called: `merge request 7`.
    request: String,
    /// Where its comments are listed and created.
    list: String,
    /// What the number of a comment is put behind, to change it.
    one: String,
    /// The method that changes a comment.
    change: &'static str,
    headers: Vec<(&'static str, String)>,
    /// The variable that holds the token.
    token: String,
    /// How long a comment may be.
    limit: usize,
}

/// A page more than any request has: a server that always names a next one is not followed forever.
const PAGES: usize = 1000;

fn post(wanted: &Posting, hidden: &Secrets) -> Result<Exit, CommandError> {
    let forge = match wanted.gitlab {
        true => gitlab(wanted, hidden)?,
        false => github(wanted, hidden)?,
    };
    let text = std::fs::read_to_string(&wanted.file).map_err(|error| {
        let text = format!("the report '{}' cannot be read", wanted.file.display());
        let mut problem = Diagnostic::error("report", text).cause(error.to_string());
        if let Some(near) = crate::diag::similar_file(&wanted.file) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        CommandError::new(Exit::Error, problem)
    })?;
    let mark = format!("<!-- rplay report: {} -->", wanted.name);
    let body = format!("{mark}\n{text}");
    if hidden.text(&body) != body {
        return Err(problem("the report holds the token; it is not posted"));
    }
    if body.chars().count() > forge.limit {
        let text = format!(
            "the report is longer than the {} characters of a comment",
            forge.limit
        );
        let problem =
            Diagnostic::error("report", text).hint("`--report markdown` writes one that is not");
        return Err(CommandError::new(Exit::Error, problem));
    }
    let (word, number) = match found(&forge, &mark)? {
        Some((number, known)) if known.replace("\r\n", "\n").trim_end() == body.trim_end() => {
            ("is as it was", number)
        }
        Some((number, _)) => {
            let answer = ask(
                &forge,
                forge.change,
                &format!("{}/{number}", forge.one),
                Some(&body),
            )?;
            ("was updated", answer.number().unwrap_or(number))
        }
        None => {
            let answer = ask(&forge, "POST", &forge.list, Some(&body))?;
            ("was created", answer.number().unwrap_or_default())
        }
    };
    let told = format!(
        "{}: the comment {number} of {} {word}.\n",
        forge.name, forge.request
    );
    crate::report::print(&hidden.text(&told));
    Ok(Exit::Ok)
}

fn problem(text: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Error, Diagnostic::error("report", text.into()))
}

/// A variable of the pipeline.
fn variable(name: &str, what: &str) -> Result<String, CommandError> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| {
        let text = format!("{name} is not set: {what}");
        CommandError::new(Exit::Options, Diagnostic::error("report", text))
    })
}

/// The token, which is known as a secret from then on, and the variable that holds it.
fn token(
    wanted: &Posting,
    usual: &str,
    hidden: &Secrets,
) -> Result<(String, String), CommandError> {
    let name = wanted.token_variable.as_deref().unwrap_or(usual);
    let token = variable(name, "it holds the token that may write comments")?;
    let token = token.trim().to_owned();
    hidden.add(&token);
    if token
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return Err(problem(format!(
            "{name} holds no token: there are blanks in it"
        )));
    }
    Ok((token, name.to_owned()))
}

fn gitlab(wanted: &Posting, hidden: &Secrets) -> Result<Forge, CommandError> {
    let (token, name) = token(wanted, "GITLAB_TOKEN", hidden)?;
    let api = variable("CI_API_V4_URL", "this is no job of GitLab")?;
    let project = variable("CI_PROJECT_ID", "this is no job of GitLab")?;
    let request = variable(
        "CI_MERGE_REQUEST_IID",
        "this is no pipeline of a merge request",
    )?;
    let list = format!(
        "{}/projects/{}/merge_requests/{}/notes",
        api.trim_end_matches('/'),
        escaped(&project),
        escaped(&request)
    );
    Ok(Forge {
        name: "GitLab",
        request: format!("merge request {request}"),
        one: list.clone(),
        list,
        change: "PUT",
        headers: vec![("PRIVATE-TOKEN", token)],
        token: name,
        limit: 1_000_000,
    })
}

fn github(wanted: &Posting, hidden: &Secrets) -> Result<Forge, CommandError> {
    let (token, name) = token(wanted, "GITHUB_TOKEN", hidden)?;
    let api = std::env::var("GITHUB_API_URL")
        .ok()
        .filter(|api| !api.is_empty());
    let api = api.unwrap_or_else(|| "https://api.github.com".to_owned());
    let repository = variable("GITHUB_REPOSITORY", "this is no job of GitHub")?;
    let event = variable("GITHUB_EVENT_PATH", "this is no job of GitHub")?;
    let number = request_number(Path::new(&event))?;
    let (owner, name_of) = repository.split_once('/').unwrap_or((&repository, ""));
    let issues = format!(
        "{}/repos/{}/{}/issues",
        api.trim_end_matches('/'),
        escaped(owner),
        escaped(name_of)
    );
    Ok(Forge {
        name: "GitHub",
        request: format!("pull request {number}"),
        list: format!("{issues}/{number}/comments"),
        one: format!("{issues}/comments"),
        change: "PATCH",
        headers: vec![
            ("Authorization", format!("Bearer {token}")),
            ("Accept", "application/vnd.github+json".to_owned()),
            ("X-GitHub-Api-Version", "2022-11-28".to_owned()),
        ],
        token: name,
        limit: 65_536,
    })
}

/// The number of the pull request that an event is about.
fn request_number(event: &Path) -> Result<u64, CommandError> {
    let shown = event.display();
    let wrong = |why: &str, cause: String| {
        let problem = Diagnostic::error("report", format!("the event '{shown}' {why}"));
        CommandError::new(Exit::Error, problem.cause(cause))
    };
    let text = std::fs::read_to_string(event);
    let text = text.map_err(|error| wrong("cannot be read", error.to_string()))?;
    let event: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong("is no JSON", error.to_string()))?;
    // A comment of an issue may start a pipeline, too, but there is nothing to review then.
    let of_issue = &event["issue"];
    let number = match &event["pull_request"]["number"] {
        serde_json::Value::Null if of_issue["pull_request"].is_object() => &of_issue["number"],
        number => number,
    };
    number.as_u64().ok_or_else(|| {
        let text = format!("the event '{shown}' is of no pull request");
        CommandError::new(Exit::Options, Diagnostic::error("report", text))
    })
}

/// The comment that begins with the mark: its number and its text.
fn found(forge: &Forge, mark: &str) -> Result<Option<(u64, String)>, CommandError> {
    for page in 1..PAGES {
        let url = format!("{}?per_page=100&page={page}", forge.list);
        let answer = ask(forge, "GET", &url, None)?;
        let comments = answer.json.as_array().cloned().unwrap_or_default();
        let begins = |comment: &&serde_json::Value| {
            comment["body"]
                .as_str()
                .is_some_and(|body| body.starts_with(mark))
                && comment["system"] != true
        };
        if let Some(comment) = comments.iter().find(begins) {
            let body = comment["body"].as_str().unwrap_or_default().to_owned();
            return Ok(comment["id"].as_u64().map(|number| (number, body)));
        }
        if !answer.more {
            break;
        }
    }
    Ok(None)
}

/// What a forge answered.
struct Answer {
    json: serde_json::Value,
    /// There is a further page.
    more: bool,
}

impl Answer {
    fn number(&self) -> Option<u64> {
        self.json["id"].as_u64()
    }
}

/// Sends a request with the token. No redirect is followed: the token is for this server alone.
fn ask(forge: &Forge, method: &str, url: &str, body: Option<&str>) -> Result<Answer, CommandError> {
    let text = |text: &str| Data::Str(text.to_owned());
    let headers = forge
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), text(value)));
    let mut given = Map::from_iter([
        ("url".to_owned(), text(url)),
        ("method".to_owned(), text(method)),
        ("headers".to_owned(), Data::Map(headers.collect())),
        ("return_content".to_owned(), Data::Bool(true)),
        (
            "status_code".to_owned(),
            Data::List((100..600).map(Data::Int).collect()),
        ),
        ("follow_redirects".to_owned(), text("none")),
        ("use_netrc".to_owned(), Data::Bool(false)),
        (
            "http_agent".to_owned(),
            text(concat!("rplay/", env!("CARGO_PKG_VERSION"))),
        ),
    ]);
    if let Some(body) = body {
        let body = Map::from_iter([("body".to_owned(), text(body))]);
        given.insert("body".to_owned(), Data::Map(body));
        given.insert("body_format".to_owned(), text("json"));
    }
    let module =
        registry::find("ansible.builtin.uri").ok_or_else(|| problem("there is no HTTP client"))?;
    let prepared = prepare(module, &given).map_err(|problems| {
        let first = problems.into_iter().next().unwrap_or_default();
        problem(first.message)
    })?;
    let outcome = (module.run)(&mut RealMachine::new(), &prepared.args).map_err(|failure| {
        let text = format!("{} cannot be asked", forge.name);
        // What comes before it tells of a status that there is none of.
        let why = failure
            .msg
            .split_once("Request failed: ")
            .map_or(failure.msg.as_str(), |(_, why)| why);
        CommandError::new(
            Exit::Error,
            Diagnostic::error("report", text).cause(why.to_owned()),
        )
    })?;
    let results = &outcome.results;
    let header = |name: &str| results.get(name).map(Data::text).unwrap_or_default();
    let status: u16 = header("status").parse().unwrap_or_default();
    let json = serde_json::from_str(&header("content")).unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(refused(forge, method, status, &json));
    }
    let more = !header("x_next_page").trim().is_empty() || header("link").contains("rel=\"next\"");
    Ok(Answer { json, more })
}

/// What is told of an answer that is no success.
fn refused(forge: &Forge, method: &str, status: u16, json: &serde_json::Value) -> CommandError {
    let what = match method {
        "GET" => "read the comments",
        "POST" => "create a comment",
        _ => "change the comment",
    };
    let text = format!(
        "{} did not {what} of {}: status {status}",
        forge.name, forge.request
    );
    let mut problem = Diagnostic::error("report", text);
    let said = [&json["message"], &json["error"]]
        .into_iter()
        .find(|said| !said.is_null());
    if let Some(said) = said {
        problem = problem.cause(
            said.as_str()
                .map_or_else(|| said.to_string(), str::to_owned),
        );
    }
    let variable = &forge.token;
    problem = match status {
        401 => problem.hint(format!("the token in {variable} is not known, or has expired")),
        403 => problem.hint(format!(
            "the token in {variable} may not write comments (GitLab: scope `api`; GitHub: `permissions: pull-requests: write`)"
        )),
        404 => problem.hint(format!("the request is not there, or the token in {variable} may not see it")),
        300..=399 => problem.hint("a redirect is not followed, because the token is for this server alone"),
        _ => problem,
    };
    CommandError::new(Exit::Error, problem)
}
