//! Mounts of a container, as users write them and as the engine has them.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_container::Args;
use serde_json::{Value as Json, json};

use super::options::bad;
use super::sizes::bytes;
use super::{only, volume};
use crate::action::ActionError;

/// Refuses what the engine is too old for: it would leave it out without a word.
pub(super) fn known(args: &Args, version: &str) -> Result<(), ActionError> {
    const SINCE: [(&str, u32); 6] = [
        ("create_mountpoint", 42),
        ("non_recursive", 40),
        ("read_only_force_recursive", 44),
        ("read_only_non_recursive", 44),
        ("subpath", 45),
        ("tmpfs_options", 46),
    ];
    const KINDS: [(&str, u32); 2] = [("cluster", 42), ("image", 47)];
    let minor = version
        .strip_prefix("1.")
        .and_then(|text| text.parse().ok());
    let minor: u32 = minor.unwrap_or(u32::MAX);
    let late = |since: u32, name: &str| {
        bad(format!(
            "Docker API version is {version}. Minimum version required is 1.{since} to set mounts.{name} option."
        ))
    };
    for mount in args.mounts.iter().flatten() {
        let is_set = |name: &str| mount.get(name).is_some_and(|value| *value != Data::Null);
        if let Some((name, since)) = SINCE
            .iter()
            .find(|(name, since)| minor < *since && is_set(name))
        {
            return Err(late(*since, name));
        }
        let kind = mount.get("type").map(Data::text).unwrap_or_default();
        if let Some((_, since)) = KINDS
            .iter()
            .find(|(name, since)| minor < *since && *name == kind)
        {
            return Err(late(*since, &format!("type={kind}")));
        }
    }
    Ok(())
}

/// A mount as the engine takes it.
pub(super) fn read(given: &Map) -> Result<Json, ActionError> {
    let known = [
        "consistency",
        "create_mountpoint",
        "labels",
        "no_copy",
        "non_recursive",
        "propagation",
        "read_only",
        "read_only_force_recursive",
        "read_only_non_recursive",
        "source",
        "subpath",
        "target",
        "tmpfs_mode",
        "tmpfs_options",
        "tmpfs_size",
        "type",
        "volume_driver",
        "volume_options",
    ];
    only("docker_container", "mounts", given, &known)?;
    let part = |name: &str| given.get(name).filter(|value| **value != Data::Null);
    let text = |name: &str| part(name).map(Data::text);
    let Some(target) = text("target") else {
        return Err(bad(
            "missing required arguments: target found in mounts".to_owned()
        ));
    };
    let kind = text("type").unwrap_or_else(|| "volume".to_owned());
    fits(given, &target, &kind)?;
    let mut out = json!({ "Target": target, "Type": kind });
    if let Some(source) = text("source") {
        out["Source"] = source.into();
    }
    let flag = |name: &str| {
        part(name).map(|value| {
            Json::Bool(matches!(
                value.text().to_lowercase().as_str(),
                "true" | "yes" | "1" | "on"
            ))
        })
    };
    if let Some(read_only) = flag("read_only") {
        out["ReadOnly"] = read_only;
    }
    if let Some(word) = text("consistency") {
        out["Consistency"] = word.into();
    }
    let mut inner = |group: &str, member: &str, value: Option<Json>| {
        if let Some(value) = value {
            out[group][member] = value;
        }
    };
    inner(
        "BindOptions",
        "Propagation",
        text("propagation").map(Json::from),
    );
    inner("BindOptions", "NonRecursive", flag("non_recursive"));
    inner("BindOptions", "CreateMountpoint", flag("create_mountpoint"));
    for (name, member) in [
        ("read_only_force_recursive", "ReadOnlyForceRecursive"),
        ("read_only_non_recursive", "ReadOnlyNonRecursive"),
    ] {
        inner("BindOptions", member, flag(name));
    }
    inner("VolumeOptions", "NoCopy", flag("no_copy"));
    let of = match kind.as_str() {
        "image" => "ImageOptions",
        _ => "VolumeOptions",
    };
    inner(of, "Subpath", text("subpath").map(Json::from));
    inner(
        "VolumeOptions",
        "Labels",
        part("labels").and_then(Data::as_map).map(volume::words),
    );
    let driver = text("volume_driver").map(|name| {
        let options = part("volume_options").and_then(Data::as_map);
        json!({ "Name": name, "Options": options.map(volume::words).unwrap_or_default() })
    });
    inner("VolumeOptions", "DriverConfig", driver);
    if let Some(memory) = memory(given, &target)? {
        out["TmpfsOptions"] = memory;
    }
    Ok(out)
}

/// What is asked for of memory that is mounted.
fn memory(given: &Map, target: &str) -> Result<Option<Json>, ActionError> {
    let part = |name: &str| given.get(name).filter(|value| **value != Data::Null);
    let text = |name: &str| part(name).map(Data::text);
    let mut out = json!({});
    if let Some(size) = text("tmpfs_size") {
        let size = bytes(&size).ok_or_else(|| {
            bad(format!(
                "Failed to convert tmpfs_size of mount \"{target}\" to bytes: {size}"
            ))
        })?;
        out["SizeBytes"] = size.into();
    }
    if let Some(mode) = text("tmpfs_mode") {
        let mode = i64::from_str_radix(mode.trim_start_matches("0o"), 8).map_err(|_| {
            bad(format!(
                "tmp_fs mode of mount \"{target}\" is not an octal string!"
            ))
        })?;
        out["Mode"] = mode.into();
    }
    if let Some(options) = part("tmpfs_options") {
        let list = match options {
            Data::List(all) => all,
            one => std::slice::from_ref(one),
        };
        let mut pairs = vec![];
        for (at, one) in list.iter().enumerate() {
            let wrong = |what: &str, why: &str| {
                let place = format!("tmpfs_options[{}] of mount \"{target}\"", at + 1);
                bad(format!("{what}{place} must be {why}!"))
            };
            let one = one.as_map().filter(|one| one.len() == 1);
            let one = one.ok_or_else(|| wrong("", "a one-element dictionary"))?;
            for (name, value) in one {
                pairs.push(match value {
                    Data::Null => json!([name]),
                    Data::Str(value) => json!([name, value]),
                    other => {
                        let what = format!("value {} in ", other.text());
                        return Err(wrong(&what, "a string or null/none"));
                    }
                });
            }
        }
        out["Options"] = pairs.into();
    }
    Ok((out != json!({})).then_some(out))
}

/// Refuses what does not belong to this type of mount.
fn fits(given: &Map, target: &str, kind: &str) -> Result<(), ActionError> {
    const KINDS: [&str; 6] = ["bind", "volume", "tmpfs", "npipe", "cluster", "image"];
    const ONLY: [(&str, &[&str]); 13] = [
        ("create_mountpoint", &["bind"]),
        ("labels", &["volume"]),
        ("no_copy", &["volume"]),
        ("non_recursive", &["bind"]),
        ("propagation", &["bind"]),
        ("read_only_force_recursive", &["bind"]),
        ("read_only_non_recursive", &["bind"]),
        ("subpath", &["volume", "image"]),
        ("tmpfs_mode", &["tmpfs"]),
        ("tmpfs_options", &["tmpfs"]),
        ("tmpfs_size", &["tmpfs"]),
        ("volume_driver", &["volume"]),
        ("volume_options", &["volume"]),
    ];
    let is_set = |name: &str| given.get(name).is_some_and(|value| *value != Data::Null);
    if !KINDS.contains(&kind) {
        let known = KINDS.join(", ");
        return Err(bad(format!(
            "value of type must be one of: {known}, got: {kind} found in mounts"
        )));
    }
    if !is_set("source") && !["tmpfs", "volume", "image", "cluster"].contains(&kind) {
        return Err(bad(format!(
            "source must be specified for mount \"{target}\" of type \"{kind}\""
        )));
    }
    let wrong = ONLY
        .iter()
        .find(|(name, kinds)| is_set(name) && !kinds.contains(&kind));
    match wrong {
        None => Ok(()),
        Some((name, kinds)) => {
            let several = if kinds.len() > 1 { "s" } else { "" };
            let needed = kinds.join("\", \"");
            Err(bad(format!(
                "{name} cannot be specified for mount \"{target}\" of type \"{kind}\" (needs type{several} \"{needed}\")"
            )))
        }
    }
}

/// A mount without what the engine fills in.
pub(super) fn shown(mount: &Json) -> Json {
    let mut out = json!({});
    let mut part = |name: &str, value: &Json| {
        let usual = [Json::Null, json!({}), json!([]), json!(false), json!("")];
        let is_nothing = usual.contains(value);
        if !is_nothing {
            out[name] = value.clone();
        }
    };
    part("target", &mount["Target"]);
    part("type", &mount["Type"]);
    part("source", &mount["Source"]);
    part("read_only", &mount["ReadOnly"]);
    part("consistency", &mount["Consistency"]);
    part("propagation", &mount["BindOptions"]["Propagation"]);
    part("non_recursive", &mount["BindOptions"]["NonRecursive"]);
    part(
        "create_mountpoint",
        &mount["BindOptions"]["CreateMountpoint"],
    );
    part("no_copy", &mount["VolumeOptions"]["NoCopy"]);
    part("labels", &mount["VolumeOptions"]["Labels"]);
    part("subpath", &mount["VolumeOptions"]["Subpath"]);
    part("subpath", &mount["ImageOptions"]["Subpath"]);
    part(
        "volume_driver",
        &mount["VolumeOptions"]["DriverConfig"]["Name"],
    );
    part(
        "volume_options",
        &mount["VolumeOptions"]["DriverConfig"]["Options"],
    );
    part("tmpfs_size", &mount["TmpfsOptions"]["SizeBytes"]);
    part("tmpfs_mode", &mount["TmpfsOptions"]["Mode"]);
    part("tmpfs_options", &mount["TmpfsOptions"]["Options"]);
    for (name, member) in [
        ("read_only_force_recursive", "ReadOnlyForceRecursive"),
        ("read_only_non_recursive", "ReadOnlyNonRecursive"),
    ] {
        part(name, &mount["BindOptions"][member]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_memory_that_is_mounted() {
        let given = rplay_modules::map! {
            "type" => "tmpfs",
            "target" => "/x",
            "tmpfs_options" => Data::List(vec![
                Data::Map(rplay_modules::map! { "uid" => "1" }),
                Data::Map(rplay_modules::map! { "nosuid" => Data::Null }),
            ]),
        };
        let made = read(&given).map(|made| made["TmpfsOptions"]["Options"].clone());
        assert_eq!(made.ok(), Some(json!([["uid", "1"], ["nosuid"]])));
        let wrong = rplay_modules::map! { "target" => "/x", "tmpfs_options" => "uid=1" };
        assert!(read(&wrong).is_err());
    }
}
