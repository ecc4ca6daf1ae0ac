//! `docker_network`: networks, and who is connected to them.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_network::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::volume::words;
use super::{Job, escaped, only};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// The parts of a subnet, and what the engine calls them.
const IPAM: [(&str, &str); 4] = [
    ("subnet", "Subnet"),
    ("gateway", "Gateway"),
    ("iprange", "IPRange"),
    ("aux_addresses", "AuxiliaryAddresses"),
];

/// Makes, changes or removes it.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    check(&args)?;
    let mut job = Job::begin(context, &args.engine).await?;
    let name = args.name.clone();
    let found = job.find("networks", &name).await?;
    let mut changes = Changes::default();
    let mut actions = vec![];
    let present = args.state == "present";
    changes.add("exists", present, found.is_some());
    let mut changed = false;
    if present {
        let mut connected = members(found.as_ref());
        let mut anew = args.force && found.is_some();
        if let Some(found) = &found {
            let differs = compare(&args, found);
            anew |= !differs.is_empty();
            changes.merge(differs);
        }
        if anew {
            remove(&mut job, &name, found.as_ref(), &mut actions).await?;
            connected.clear();
        }
        if anew || found.is_none() {
            actions.push(format!(
                "Created network {name} with driver {}",
                args.driver
            ));
            make(&mut job, &args).await?;
            changed = true;
        }
        changed |= connect(&mut job, &args, &connected, &mut changes, &mut actions).await?;
    } else if found.is_some() {
        remove(&mut job, &name, found.as_ref(), &mut actions).await?;
        changed = true;
    }
    let mut result = map! {};
    if job.context.check || !present {
        result.insert("actions".to_owned(), actions.into());
    }
    if present {
        let now = match job.context.check {
            true => found,
            false => job.find("networks", &name).await?,
        };
        let now = now.as_ref().map_or(Data::Null, Data::from_json);
        result.insert("network".to_owned(), now);
    }
    let mut result = TaskResult::changed(changed, result);
    if job.context.diff {
        result.diff.push(changes.diff());
    }
    Ok(result)
}

fn check(args: &Args) -> Result<(), ActionError> {
    for one in args.ipam_config.iter().flatten() {
        only(
            "docker_network",
            "ipam_config",
            one,
            &IPAM.map(|(name, _)| name),
        )?;
        if let Some(subnet) = one.get("subnet").map(Data::text) {
            let parts = subnet.split_once('/');
            let is_one = parts.is_some_and(|(address, bits)| {
                address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok()
            });
            if !is_one {
                return Err(ActionError::new(format!(
                    "\"{subnet}\" is not a valid CIDR"
                )));
            }
        }
    }
    Ok(())
}

/// The names of who is connected.
fn members(found: Option<&Json>) -> Vec<String> {
    let all = found.and_then(|found| found["Containers"].as_object());
    let all = all.into_iter().flatten();
    all.filter_map(|(_, one)| one["Name"].as_str().map(str::to_owned))
        .collect()
}

fn compare(args: &Args, found: &Json) -> Changes {
    let mut changes = Changes::default();
    if found["Driver"] != args.driver.as_str() {
        changes.add("driver", args.driver.clone(), found["Driver"].clone());
    }
    if !args.driver_options.is_empty() {
        let options = found["Options"].as_object().cloned().unwrap_or_default();
        if options.is_empty() {
            changes.add("driver_options", words(&args.driver_options), json!({}));
        } else {
            for (name, value) in &args.driver_options {
                let known = options.get(name).cloned().unwrap_or_default();
                if known != value.text().as_str() {
                    changes.add(format!("driver_options.{name}"), value.text(), known);
                }
            }
        }
    }
    if let Some(driver) = &args.ipam_driver
        && found["IPAM"]["Driver"] != driver.as_str()
    {
        changes.add(
            "ipam_driver",
            driver.clone(),
            found["IPAM"]["Driver"].clone(),
        );
    }
    if let Some(options) = &args.ipam_driver_options {
        let known = match &found["IPAM"]["Options"] {
            Json::Null => json!({}),
            known => known.clone(),
        };
        if known != words(options) {
            changes.add("ipam_driver_options", words(options), known);
        }
    }
    for (at, one) in args.ipam_config.iter().flatten().enumerate() {
        subnet(at, one, found, &mut changes);
    }
    let flags = [
        ("enable_ipv4", args.enable_ipv4, "EnableIPv4"),
        ("enable_ipv6", args.enable_ipv6, "EnableIPv6"),
        ("internal", args.internal, "Internal"),
        ("attachable", args.attachable, "Attachable"),
        ("ingress", args.ingress, "Ingress"),
        ("config_only", args.config_only, "ConfigOnly"),
    ];
    for (name, wanted, member) in flags {
        let known = found[member].as_bool().unwrap_or(false);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != known) {
            changes.add(name, wanted, known);
        }
    }
    if let Some(scope) = &args.scope
        && found["Scope"] != scope.as_str()
    {
        changes.add("scope", scope.clone(), found["Scope"].clone());
    }
    if let Some(from) = &args.config_from
        && found["ConfigFrom"]["Network"] != from.as_str()
    {
        changes.add(
            "config_from",
            from.clone(),
            found["ConfigFrom"]["Network"].clone(),
        );
    }
    for (name, value) in &args.labels {
        let known = found["Labels"][name].clone();
        if known != value.text().as_str() {
            changes.add(format!("labels.{name}"), value.text(), known);
        }
    }
    changes
}

/// What of a subnet is other; the one that it is compared with has its address.
fn subnet(at: usize, one: &Map, found: &Json, changes: &mut Changes) {
    let all = found["IPAM"]["Config"].as_array();
    let wanted = one.get("subnet").map(Data::text);
    let known = all.into_iter().flatten().find(|known| {
        wanted
            .as_deref()
            .is_some_and(|wanted| known["Subnet"] == wanted)
    });
    for (name, member) in IPAM {
        let Some(value) = one.get(name).filter(|value| **value != Data::Null) else {
            continue;
        };
        let known = known.map_or(Json::Null, |known| known[member].clone());
        if value.to_json() != known {
            changes.add(format!("ipam_config[{at}].{name}"), value.to_json(), known);
        }
    }
}

async fn make(job: &mut Job<'_, '_>, args: &Args) -> Result<(), ActionError> {
    let mut body = json!({
        "Name": args.name,
        "Driver": args.driver,
        "Options": words(&args.driver_options),
        "CheckDuplicate": true,
    });
    if args.config_only == Some(true) {
        body["ConfigOnly"] = true.into();
    }
    if args.ipam_config.is_some()
        || args.ipam_driver.is_some()
        || args.ipam_driver_options.is_some()
    {
        let subnets = args.ipam_config.iter().flatten().map(|one| {
            let parts = IPAM.iter().filter_map(|(name, member)| {
                let value = one.get(*name).filter(|value| **value != Data::Null)?;
                Some(((*member).to_owned(), value.to_json()))
            });
            Json::Object(parts.collect())
        });
        body["IPAM"] = json!({ "Config": subnets.collect::<Vec<_>>() });
        body["IPAM"]["Driver"] = args
            .ipam_driver
            .clone()
            .unwrap_or_else(|| "default".to_owned())
            .into();
        if let Some(options) = &args.ipam_driver_options {
            body["IPAM"]["Options"] = words(options);
        }
    }
    let flags = [
        ("EnableIPv4", args.enable_ipv4),
        ("EnableIPv6", args.enable_ipv6),
        ("Internal", args.internal),
        ("Attachable", args.attachable),
        ("Ingress", args.ingress),
    ];
    for (member, value) in flags {
        if let Some(value) = value {
            body[member] = value.into();
        }
    }
    if let Some(scope) = &args.scope {
        body["Scope"] = scope.clone().into();
    }
    if let Some(from) = &args.config_from {
        body["ConfigFrom"] = json!({ "Network": from });
    }
    if !args.labels.is_empty() {
        body["Labels"] = words(&args.labels);
    }
    if job.context.check {
        job.assume("networks", &args.name, Some(body));
        return Ok(());
    }
    job.post("/networks/create", Some(&body)).await?;
    Ok(())
}

async fn remove(
    job: &mut Job<'_, '_>,
    name: &str,
    found: Option<&Json>,
    actions: &mut Vec<String>,
) -> Result<(), ActionError> {
    for member in members(found) {
        disconnect(job, name, &member, actions).await?;
    }
    actions.push(format!("Removed network {name}"));
    if job.context.check {
        job.assume("networks", name, None);
        return Ok(());
    }
    job.delete(&format!("/networks/{}", escaped(name))).await?;
    Ok(())
}

async fn disconnect(
    job: &mut Job<'_, '_>,
    name: &str,
    member: &str,
    actions: &mut Vec<String>,
) -> Result<(), ActionError> {
    actions.push(format!("Disconnected container {member}"));
    if !job.context.check {
        let body = json!({ "Container": member, "Force": true });
        let path = format!("/networks/{}/disconnect", escaped(name));
        job.post(&path, Some(&body)).await?;
    }
    Ok(())
}

/// Connects those that are named, and disconnects others where that is meant.
async fn connect(
    job: &mut Job<'_, '_>,
    args: &Args,
    connected: &[String],
    changes: &mut Changes,
    actions: &mut Vec<String>,
) -> Result<bool, ActionError> {
    let mut changed = false;
    for wanted in &args.connected {
        if connected.contains(wanted) {
            continue;
        }
        if job.find("containers", wanted).await?.is_none() && !job.context.check {
            return Err(ActionError::new(format!("Cannot find container {wanted}")));
        }
        changed = true;
        changes.add(format!("connected.{wanted}"), true, false);
        actions.push(format!("Connected container {wanted}"));
        if !job.context.check {
            let path = format!("/networks/{}/connect", escaped(&args.name));
            job.post(&path, Some(&json!({ "Container": wanted })))
                .await?;
        }
    }
    // An empty list disconnects nobody, as with Ansible.
    if !args.appends && !args.connected.is_empty() {
        for member in connected
            .iter()
            .filter(|member| !args.connected.contains(member))
        {
            changed = true;
            changes.add(format!("connected.{member}"), false, true);
            disconnect(job, &args.name, member, actions).await?;
        }
    }
    Ok(changed)
}
