//! The kinds that an API server has, asked once a run and only as far as they are needed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::api::{Api, Fault, Refusal};
use crate::action::address::escaped;

/// A kind of objects.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    /// `v1`, `apps/v1`.
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
}

/// What is known of a server.
#[derive(Default)]
pub(super) struct Discovery {
    /// Kinds by version.
    versions: HashMap<String, Arc<Vec<Resource>>>,
    /// All versions, a group's preferred one first; and which are preferred.
    all: Option<Arc<Vec<(String, bool)>>>,
}

impl Resource {
    /// The path of all of them, or of one.
    pub(super) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let root = match self.version.contains('/') {
            true => format!("/apis/{}", self.version),
            false => format!("/api/{}", self.version),
        };
        let within = match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("/namespaces/{}", escaped(namespace)),
            None => String::new(),
        };
        let name = name.map_or(String::new(), |name| format!("/{}", escaped(name)));
        format!("{root}{within}/{}{name}", self.plural)
    }

    fn answers_to(&self, word: &str) -> bool {
        self.kind == word
            || self.plural == word
            || self.singular == word
            || self.short.iter().any(|short| short == word)
    }
}

impl Discovery {
    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The kinds of a version.
    pub(super) async fn version(
        &mut self,
        api: &Api,
        version: &str,
    ) -> Result<Arc<Vec<Resource>>, Refusal> {
        if let Some(known) = self.versions.get(version) {
            return Ok(Arc::clone(known));
        }
        let path = match version.contains('/') {
            true => format!("/apis/{version}"),
            false => format!("/api/{version}"),
        };
        let list = match api.get(&path).await {
            Ok(list) => list,
            Err(Refusal::Answer(404, _)) => Json::Null,
            Err(refusal) => return Err(refusal),
        };
        let resources = list["resources"].as_array().into_iter().flatten();
        let resources: Vec<Resource> = resources
            .filter(|one| !text(&one["name"]).contains('/'))
            .map(|one| Resource {
                version: version.to_owned(),
                kind: text(&one["kind"]),
                plural: text(&one["name"]),
                singular: match text(&one["singularName"]) {
                    empty if empty.is_empty() => text(&one["kind"]).to_lowercase(),
                    name => name,
                },
                short: texts(&one["shortNames"]),
                categories: texts(&one["categories"]),
                namespaced: one["namespaced"] == true,
            })
            .collect();
        let resources = Arc::new(resources);
        let known = Arc::clone(&resources);
        // A kind that was not there may be there after the next task (a CustomResourceDefinition).
        if !resources.is_empty() {
            self.versions.insert(version.to_owned(), known);
        }
        Ok(resources)
    }

    /// All versions of all groups; whether each is its group's preferred one.
    pub(super) async fn versions(
        &mut self,
        api: &Api,
    ) -> Result<Arc<Vec<(String, bool)>>, Refusal> {
        if let Some(all) = &self.all {
            return Ok(Arc::clone(all));
        }
        let core = api.get("/api").await?;
        let groups = api.get("/apis").await?;
        let mut all: Vec<(String, bool)> = texts(&core["versions"])
            .into_iter()
            .map(|version| (version, true))
            .collect();
        for group in groups["groups"].as_array().into_iter().flatten() {
            let preferred = text(&group["preferredVersion"]["groupVersion"]);
            all.push((preferred.clone(), true));
            for version in group["versions"].as_array().into_iter().flatten() {
                let version = text(&version["groupVersion"]);
                if version != preferred {
                    all.push((version, false));
                }
            }
        }
        let all = Arc::new(all);
        self.all = Some(Arc::clone(&all));
        Ok(all)
    }

    /// The kind that a version and a word mean.
    pub(super) async fn find(
        &mut self,
        api: &Api,
        version: &str,
        word: &str,
    ) -> Result<Resource, Fault> {
        let failed = |refusal: Refusal| refusal.about("Failed to find the kinds of the cluster");
        for attempt in 0..2 {
            let kinds = self.version(api, version).await.map_err(failed)?;
            let found = kinds.iter().find(|one| one.kind == word);
            let found = found.or_else(|| kinds.iter().find(|one| one.answers_to(word)));
            if let Some(found) = found {
                return Ok(found.clone());
            }
            // What this run knows may be older than the kind.
            if attempt == 0 && self.versions.remove(version).is_none() {
                break;
            }
        }
        Err(Fault::new(format!(
            "Failed to find exact match for {version}.{word} by [kind, name, singularName, shortNames]"
        )))
    }
}

pub(super) fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().map(text).collect()
}
