//! One object made, changed or removed, as `k8s` and its relatives do it.

use std::collections::HashMap;

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;
use serde_json::{Value as Json, json};

use super::Job;
use super::api::{Fault, Refusal};
use super::diff;
use super::discovery::{Resource, text};
use super::merge::{LAST_APPLIED, Lists, applied, patch};
use super::reasons::why;
use super::selector;
use super::wait::{self, Patience};
use crate::action::address::{escaped, with_query};

/// Objects as check mode has them by now, by their paths.
pub(super) type Assumed = HashMap<String, Option<Json>>;

/// What an object shall become.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum State {
    #[default]
    Present,
    Absent,
    Patched,
}

/// How it is brought about.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) state: State,
    pub(super) apply: bool,
    /// Field manager, and whether conflicts are ignored.
    pub(super) server_side: Option<(String, bool)>,
    pub(super) force: bool,
    pub(super) merge_type: Option<Vec<String>>,
    pub(super) delete_options: Option<Json>,
    pub(super) delete_all: bool,
    pub(super) selectors: Vec<String>,
    pub(super) hidden: Vec<String>,
    pub(super) patience: Option<Patience>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) changed: bool,
    pub(super) method: Option<&'static str>,
    pub(super) result: Json,
    pub(super) duration: Option<i64>,
    pub(super) diff: Option<Diff>,
    pub(super) warnings: Vec<String>,
    pub(super) msg: Option<String>,
}

impl Done {
    /// As it stands in results.
    pub(super) fn map(&self) -> Map {
        let mut map = Map::new();
        if let Some(method) = self.method {
            map.insert("method".to_owned(), method.into());
        }
        map.insert("result".to_owned(), Data::from_json(&self.result));
        if let Some(seconds) = self.duration {
            map.insert("duration".to_owned(), seconds.into());
        }
        if let Some(msg) = &self.msg {
            map.insert("msg".to_owned(), msg.as_str().into());
        }
        map
    }
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const SERVER_SIDE: &str = "application/apply-patch+yaml";

/// An object that is being worked on.
struct One<'a> {
    resource: Resource,
    definition: &'a Json,
    namespace: Option<String>,
    /// Its path, where it has a name.
    path: Option<String>,
}

impl One<'_> {
    fn title(&self) -> String {
        wait::title(self.definition, "")
    }
}

/// Does with one object what is wished.
pub(super) async fn perform(
    job: &mut Job<'_, '_>,
    mut definition: Json,
    wish: &Wish,
) -> Result<Done, Fault> {
    let resource = job
        .find(&text(&definition["apiVersion"]), &text(&definition["kind"]))
        .await?;
    definition["apiVersion"] = resource.version.clone().into();
    definition["kind"] = resource.kind.clone().into();
    let namespace = definition["metadata"]["namespace"]
        .as_str()
        .map(str::to_owned);
    let name = definition["metadata"]["name"].as_str().map(str::to_owned);
    let path = name
        .as_deref()
        .map(|name| resource.path(namespace.as_deref(), Some(name)));
    let one = One {
        resource,
        definition: &definition,
        namespace,
        path,
    };
    if one.resource.namespaced && one.namespace.is_none() && !wish.delete_all {
        let verb = match wish.state {
            State::Absent => "delete",
            _ => "create",
        };
        let (version, kind) = (&one.resource.version, &one.resource.kind);
        return Err(Fault::new(format!(
            "Failed to {verb} object: Namespace is required for {version}.{kind}"
        )));
    }
    if wish.state == State::Absent {
        return remove(job, &one, wish).await;
    }
    if !wish.selectors.is_empty() && !selector::fits(&definition, &wish.selectors) {
        let text = |key: &str| {
            definition["metadata"][key]
                .as_str()
                .unwrap_or("None")
                .to_owned()
        };
        return Ok(Done {
            result: json!({}),
            msg: Some(format!(
                "resource 'kind={},name={},namespace={}' filtered by label_selectors.",
                one.resource.kind,
                text("name"),
                text("namespace")
            )),
            ..Done::default()
        });
    }
    let existing = match &one.path {
        Some(path) => job.look(path).await?,
        None => None,
    };
    let existing_none = existing.is_none();
    let mut done = change(job, &one, existing.as_ref(), wish).await?;
    if done.method.is_none() {
        return Ok(done);
    }
    if let Some(patience) = wish.patience.as_ref().filter(|_| !job.context.check) {
        waited(job, &one, &mut done, patience).await?;
    }
    job.assume(&one, &done);
    if done.method != Some("create") || existing.is_some() {
        let before = existing.unwrap_or_else(|| json!({}));
        let status = definition.get("status").is_some();
        done.changed = !diff::same(&before, &done.result, status);
        if done.changed && job.context.diff {
            done.diff = diff::diff(&before, &done.result, &wish.hidden);
        }
    }
    if existing_none && job.context.diff {
        // What is new is shown as it was written: the server's defaults say nothing.
        done.diff = diff::diff(&json!({}), &definition, &wish.hidden);
    }
    diff::hide(&mut done.result, &wish.hidden);
    Ok(done)
}

/// Makes or changes it.
async fn change(
    job: &mut Job<'_, '_>,
    one: &One<'_>,
    existing: Option<&Json>,
    wish: &Wish,
) -> Result<Done, Fault> {
    let done = |method: &'static str, result: Json| Done {
        changed: true,
        method: Some(method),
        result,
        ..Done::default()
    };
    if let (true, Some((manager, force))) = (wish.apply, &wish.server_side) {
        return Ok(done(
            "apply",
            on_server(job, one, existing, manager, *force).await?,
        ));
    }
    let Some(existing) = existing else {
        if wish.state == State::Patched {
            let name = one.definition["metadata"]["name"]
                .as_str()
                .unwrap_or("None");
            let text = format!(
                "resource 'kind={},name={name}' was not found but will not be created as 'state' parameter has been set to 'patched'",
                one.resource.kind
            );
            return Ok(Done {
                result: json!({}),
                warnings: vec![text],
                ..Done::default()
            });
        }
        let (method, body) = match wish.apply {
            true => ("apply", annotated(one.definition)),
            false => ("create", one.definition.clone()),
        };
        let what = format!("Failed to {method} object");
        let made = create(job, one, &body)
            .await
            .map_err(|refusal| refusal.about(&what))?;
        return Ok(done(method, made));
    };
    if wish.apply {
        return Ok(done("apply", apply(job, one, existing).await?));
    }
    if wish.force {
        return Ok(done("replace", replace(job, one, existing).await?));
    }
    Ok(done("update", update(job, one, existing, wish).await?))
}

/// Waits; a failure tells why it took too long.
async fn waited(
    job: &mut Job<'_, '_>,
    one: &One<'_>,
    done: &mut Done,
    patience: &Patience,
) -> Result<(), Fault> {
    let name = text(&done.result["metadata"]["name"]);
    let name = if name.is_empty() {
        text(&one.definition["metadata"]["name"])
    } else {
        name
    };
    let path = one.resource.path(one.namespace.as_deref(), Some(&name));
    let first = match patience.goal {
        wait::Goal::Gone => None,
        _ => Some(&done.result),
    };
    let api = job.cluster().api.clone();
    let waited = wait::until(&api, &path, first, patience, &*job.context.display).await;
    let waited =
        waited.map_err(|refusal| refusal.about(&format!("{}: waiting failed", one.title())))?;
    done.duration = Some(waited.seconds);
    if !matches!(patience.goal, wait::Goal::Gone) && !waited.object.is_null() {
        done.result = waited.object.clone();
    }
    if waited.reached {
        return Ok(());
    }
    let kind = &one.resource.kind;
    let mut fault = Fault::new(format!(
        "\"{kind}\" \"{name}\": Timed out waiting on resource"
    ));
    fault.more = done.map();
    fault.more.insert("changed".to_owned(), done.changed.into());
    let why = why(&api, &waited).await;
    Err(explained(fault, why))
}

/// A failure with its reasons.
pub(super) fn explained(mut fault: Fault, why: Vec<String>) -> Fault {
    if !why.is_empty() {
        let lines = why.iter().map(|line| format!("\n  {line}"));
        fault.explanation = Some(format!("{}:{}", fault.msg, lines.collect::<String>()));
        fault.more.insert("reasons".to_owned(), why.into());
    }
    fault
}

/// The definition with itself as what was applied.
fn annotated(definition: &Json) -> Json {
    let mut body = definition.clone();
    let mut plain = definition.clone();
    if let Some(annotations) = plain["metadata"]
        .get_mut("annotations")
        .and_then(Json::as_object_mut)
    {
        annotations.shift_remove(LAST_APPLIED);
    }
    if !body["metadata"]["annotations"].is_object() {
        body["metadata"]["annotations"] = json!({});
    }
    body["metadata"]["annotations"][LAST_APPLIED] = compact(&plain).into();
    body
}

/// JSON with sorted keys and no blanks.
fn compact(json: &Json) -> String {
    fn sorted(json: &Json) -> Json {
        match json {
            Json::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                let entries = entries.into_iter();
                Json::Object(
                    entries
                        .map(|(key, value)| (key.clone(), sorted(value)))
                        .collect(),
                )
            }
            Json::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(json).to_string()
}

/// The query of a request that changes something.
fn query(job: &Job<'_, '_>, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut parts = more.to_vec();
    if job.context.check {
        parts.push(("dryRun", "All".to_owned()));
    }
    parts
}

async fn create(job: &mut Job<'_, '_>, one: &One<'_>, body: &Json) -> Result<Json, Refusal> {
    if job.is_assumed(one.namespace.as_deref()) {
        return Ok(body.clone());
    }
    let path = one.resource.path(one.namespace.as_deref(), None);
    let path = with_query(&path, &query(job, &[]));
    job.cluster()
        .api
        .call(Method::POST, &path, JSON, Some(body))
        .await
}

/// Sends a patch.
async fn send(
    job: &mut Job<'_, '_>,
    path: &str,
    kind: &str,
    body: &Json,
    more: &[(&'static str, String)],
) -> Result<Json, Refusal> {
    if let Some(Some(known)) = job
        .cluster()
        .assumed
        .get(path)
        .filter(|_| job.context.check)
    {
        return Ok(applied(known, body));
    }
    let path = with_query(path, &query(job, more));
    job.cluster()
        .api
        .call(Method::PATCH, &path, kind, Some(body))
        .await
}

async fn on_server(
    job: &mut Job<'_, '_>,
    one: &One<'_>,
    existing: Option<&Json>,
    manager: &str,
    force: bool,
) -> Result<Json, Fault> {
    let Some(path) = &one.path else {
        return Err(Fault::new("Failed to apply object: it needs a name"));
    };
    if existing.is_none() && job.is_assumed(one.namespace.as_deref()) {
        return Ok(one.definition.clone());
    }
    let mut body = one.definition.clone();
    if let Some(metadata) = body["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
    let more = [
        ("fieldManager", manager.to_owned()),
        ("force", force.to_string()),
    ];
    let sent = send(job, path, SERVER_SIDE, &body, &more).await;
    sent.map_err(|refusal| refusal.about("Failed to apply object"))
}

/// Applies as `kubectl apply` does it on the client's side.
async fn apply(job: &mut Job<'_, '_>, one: &One<'_>, existing: &Json) -> Result<Json, Fault> {
    let last = existing["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Option<Json> = last.and_then(|text| serde_json::from_str(text).ok());
    let desired = annotated(one.definition);
    let lists = lists(&one.resource, &[]);
    let known = last.clone().unwrap_or_default();
    let change = match &last {
        Some(_) => patch(&known, existing, one.definition, lists),
        None => patch(&known, existing, &desired, lists),
    };
    if change.is_empty() {
        return Ok(existing.clone());
    }
    let mut change = Json::Object(change);
    if !change["metadata"]["annotations"].is_object() {
        if !change["metadata"].is_object() {
            change["metadata"] = json!({});
        }
        change["metadata"]["annotations"] = json!({});
    }
    change["metadata"]["annotations"][LAST_APPLIED] =
        desired["metadata"]["annotations"][LAST_APPLIED].clone();
    let path = one.path.clone().unwrap_or_default();
    let sent = send(job, &path, MERGE, &change, &[]).await;
    sent.map_err(|refusal| refusal.about("Failed to apply object"))
}

/// How the server merges lists of this kind.
fn lists(resource: &Resource, merge_type: &[String]) -> Lists {
    let group = resource
        .version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let own = !group.contains('.') || group.ends_with(".k8s.io");
    let strategic = merge_type
        .first()
        .is_none_or(|first| first == "strategic-merge");
    match own && strategic {
        true => Lists::Strategic,
        false => Lists::Whole,
    }
}

async fn update(
    job: &mut Job<'_, '_>,
    one: &One<'_>,
    existing: &Json,
    wish: &Wish,
) -> Result<Json, Fault> {
    let usual = || vec!["strategic-merge".to_owned(), "merge".to_owned()];
    let kinds = wish.merge_type.clone().unwrap_or_else(usual);
    // What is so already is not sent: that saves a request an object.
    let lists = lists(&one.resource, &kinds);
    if patch(&Json::Null, existing, one.definition, lists).is_empty() {
        return Ok(existing.clone());
    }
    let path = one.path.clone().unwrap_or_default();
    let mut last = None;
    for kind in &kinds {
        let content = match kind.as_str() {
            "merge" => MERGE,
            _ => STRATEGIC,
        };
        match send(job, &path, content, one.definition, &[]).await {
            Ok(object) => return Ok(object),
            Err(refusal) if refusal.code() == Some(415) => last = Some(refusal),
            Err(refusal) => return Err(refusal.about("Failed to patch object")),
        }
    }
    Err(match last {
        Some(refusal) => refusal.about("Failed to patch object"),
        None => Fault::new("Failed to patch object: merge_type is empty"),
    })
}

async fn replace(job: &mut Job<'_, '_>, one: &One<'_>, existing: &Json) -> Result<Json, Fault> {
    let path = one.path.clone().unwrap_or_default();
    let mut body = one.definition.clone();
    body["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"].clone();
    if job.context.check && job.cluster().assumed.contains_key(&path) {
        return Ok(body);
    }
    let path = with_query(&path, &query(job, &[]));
    let sent = job
        .cluster()
        .api
        .call(Method::PUT, &path, JSON, Some(&body))
        .await;
    sent.map_err(|refusal| refusal.about("Failed to replace object"))
}

/// Removes it, or all of its kind.
async fn remove(job: &mut Job<'_, '_>, one: &One<'_>, wish: &Wish) -> Result<Done, Fault> {
    let mut done = Done {
        method: Some("delete"),
        result: json!({}),
        ..Done::default()
    };
    let Some(path) = &one.path else {
        let text = "Failed to delete object: it has no name (delete_all removes all of a kind)";
        return Err(Fault::new(text));
    };
    let existing = job.look(path).await?;
    let fits = |object: &Json| wish.selectors.is_empty() || selector::fits(object, &wish.selectors);
    if let Some(existing) = existing.filter(|existing| fits(existing)) {
        done.changed = true;
        done.result = delete(job, path, wish).await?;
        if job.context.diff {
            done.diff = diff::diff(&existing, &json!({}), &wish.hidden);
        }
    }
    if job.context.check {
        job.cluster_mut().assumed.insert(path.clone(), None);
    } else if let Some(patience) = &wish.patience {
        waited(job, one, &mut done, patience).await?;
    }
    Ok(done)
}

async fn delete(job: &mut Job<'_, '_>, path: &str, wish: &Wish) -> Result<Json, Fault> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if job.context.check && job.cluster().assumed.contains_key(path) {
        return Ok(status);
    }
    let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    for (key, value) in wish
        .delete_options
        .iter()
        .filter_map(Json::as_object)
        .flatten()
    {
        body[key] = value.clone();
    }
    // Where there is a body, the server does not look at the query.
    if job.context.check {
        body["dryRun"] = json!(["All"]);
    }
    let path = with_query(path, &query(job, &[]));
    match job
        .cluster()
        .api
        .call(Method::DELETE, &path, JSON, Some(&body))
        .await
    {
        Ok(answer) => Ok(answer),
        // Somebody else was faster.
        Err(Refusal::Answer(404, _)) => Ok(status),
        Err(refusal) => Err(refusal.about("Failed to delete object")),
    }
}

/// Removes all objects of a kind in a namespace.
pub(super) async fn remove_all(
    job: &mut Job<'_, '_>,
    definition: &Json,
    wish: &Wish,
) -> Result<Vec<Done>, Fault> {
    let resource = job
        .find(&text(&definition["apiVersion"]), &text(&definition["kind"]))
        .await?;
    let namespace = definition["metadata"]["namespace"].as_str();
    if resource.namespaced && namespace.is_none() {
        let kind = &resource.kind;
        return Err(Fault::new(format!(
            "Failed to delete object: Namespace is required for {}.{kind}",
            resource.version
        )));
    }
    let mut parts = vec![];
    if !wish.selectors.is_empty() {
        parts.push(("labelSelector", wish.selectors.join(",")));
    }
    let path = with_query(&resource.path(namespace, None), &parts);
    let list = job.cluster().api.get(&path).await;
    let list = list.map_err(|refusal| refusal.about("Failed to retrieve requested object"))?;
    let mut all = vec![];
    for item in list["items"].as_array().into_iter().flatten() {
        let mut one = definition.clone();
        one["metadata"] = json!({
            "name": item["metadata"]["name"].clone(),
            "namespace": item["metadata"]["namespace"].clone(),
        });
        all.push(
            Box::pin(perform(
                job,
                one,
                &Wish {
                    delete_all: false,
                    selectors: vec![],
                    ..wish.clone()
                },
            ))
            .await?,
        );
    }
    Ok(all)
}

impl Job<'_, '_> {
    /// The object of a path, as it is or as check mode has it by now.
    pub(super) async fn look(&mut self, path: &str) -> Result<Option<Json>, Fault> {
        if let Some(known) = self
            .cluster()
            .assumed
            .get(path)
            .filter(|_| self.context.check)
        {
            return Ok(known.clone());
        }
        match self.cluster().api.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(Refusal::Answer(404, _)) => Ok(None),
            Err(refusal) => Err(refusal.about("Failed to retrieve requested object")),
        }
    }

    /// Whether a namespace is there only in check mode.
    fn is_assumed(&self, namespace: Option<&str>) -> bool {
        let known = namespace.and_then(|name| {
            let path = format!("/api/v1/namespaces/{}", escaped(name));
            self.cluster().assumed.get(&path)
        });
        self.context.check
            && matches!(known, Some(Some(object)) if object["metadata"]["resourceVersion"].is_null())
    }

    /// Keeps what check mode made of an object.
    fn assume(&mut self, one: &One<'_>, done: &Done) {
        if let (true, Some(path)) = (self.context.check, &one.path) {
            self.cluster_mut()
                .assumed
                .insert(path.clone(), Some(done.result.clone()));
        }
    }

    /// A kind, also one that check mode has made.
    pub(super) async fn find(&mut self, version: &str, word: &str) -> Result<Resource, Fault> {
        let cluster = self.cluster_mut();
        let found = cluster.discovery.find(&cluster.api, version, word).await;
        let Err(fault) = found else { return found };
        let made = cluster
            .assumed
            .values()
            .flatten()
            .find_map(|object| custom(object, version, word));
        made.ok_or(fault)
    }
}

/// The kind that a `CustomResourceDefinition` defines.
fn custom(object: &Json, version: &str, word: &str) -> Option<Resource> {
    let spec = &object["spec"];
    let (group, number) = version.split_once('/')?;
    let versions = spec["versions"].as_array()?;
    let names = &spec["names"];
    let fits = object["kind"] == "CustomResourceDefinition"
        && spec["group"] == group
        && versions.iter().any(|one| one["name"] == number)
        && (names["kind"] == word || names["plural"] == word);
    fits.then(|| Resource {
        version: version.to_owned(),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short: vec![],
        categories: vec![],
        namespaced: spec["scope"] == "Namespaced",
    })
}
