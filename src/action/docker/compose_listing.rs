//! Containers and images of a project as `docker compose ps` and `docker compose images` list them, made of what the
//! engine tells in one answer. Where an engine or a version of Compose might see it otherwise, Compose itself is asked.

use rplay_modules::text::quote;
use serde_json::{Value as Json, json};

use super::compose_plan::label;
use super::project::{Open, TESTED};
use super::{Job, escaped};
use crate::action::ActionError;
use crate::action::programs::Program;

/// The lists as Compose prints them: its containers, and their images.
pub(super) async fn both(
    job: &mut Job<'_, '_>,
    open: &Open,
    all: &[Json],
) -> Result<(Vec<Json>, Vec<Json>), ActionError> {
    let may = job.heard().is_docker && open.is_same_engine();
    let mut own = match may && TESTED.contains(&open.version) {
        true => containers(job, open, all).await?,
        false => None,
    };
    if own.is_none() {
        let words = ["ps", "--format", "json", "--all", "--no-trunc", "--"];
        own = Some(asked(job, open, &words).await?);
    }
    let mut made_of = match may {
        true => images(job, open, all).await?,
        false => None,
    };
    if made_of.is_none() {
        made_of = Some(asked(job, open, &["images", "--format", "json", "--"]).await?);
    }
    Ok((own.unwrap_or_default(), made_of.unwrap_or_default()))
}

async fn asked(
    job: &mut Job<'_, '_>,
    open: &Open,
    words: &[&str],
) -> Result<Vec<Json>, ActionError> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Ok(objects(&open.compose(job.context, &words).await?.stdout))
}

/// Objects of a list, or one a line.
fn objects(text: &str) -> Vec<Json> {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    stream
        .map_while(Result::ok)
        .flat_map(|one| match one {
            Json::Array(all) => all,
            Json::Null => vec![],
            one => vec![one],
        })
        .collect()
}

/// The containers, where all that Compose tells of them can be told.
async fn containers(
    job: &mut Job<'_, '_>,
    open: &Open,
    all: &[Json],
) -> Result<Option<Vec<Json>>, ActionError> {
    let own = all
        .iter()
        .filter(|one| !label(one, "config-hash").is_empty());
    let mut own: Vec<&Json> = own.collect();
    own.sort_by_cached_key(|one| name(one));
    let made: Option<Vec<i64>> = own.iter().map(|one| one["Created"].as_i64()).collect();
    let (Some(made), Some(clock)) = (made, job.heard().clock) else {
        return Ok(None);
    };
    let Some(times) = times(job, open, &made).await? else {
        return Ok(None);
    };
    let rows = own.iter().zip(made).zip(times);
    let rows = rows.map(|((one, made), time)| row(one, open.version, time, clock - made));
    Ok(rows.collect())
}

/// Seconds since 1970 as Go writes them in the host's zone; nothing where the host does not tell.
async fn times(
    job: &mut Job<'_, '_>,
    open: &Open,
    seconds: &[i64],
) -> Result<Option<Vec<String>>, ActionError> {
    let Some(zone) = &open.zone else {
        return Ok(None);
    };
    if zone == "+0000 UTC" {
        let time = |second: &i64| {
            let time = jiff::Timestamp::from_second(*second).ok()?;
            Some(time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
        };
        return Ok(seconds.iter().map(time).collect());
    }
    // Which hour it was there then, with summer times, the host's own table knows.
    let mut script = String::new();
    for second in seconds {
        let date = quote(&format!("@{second}"));
        script += &format!("date -d {date} '+%Y-%m-%d %H:%M:%S %z %Z'\n");
    }
    let mut program = Program::new(&["sh", "-s"]);
    program.stdin = Some(&script);
    let ran = program.run(job.context).await?;
    let times: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
    Ok(Some(times).filter(|times| ran.code == 0 && times.len() == seconds.len()))
}

/// A name of the engine without links to it.
fn name(one: &Json) -> String {
    let all = one["Names"].as_array().into_iter().flatten();
    let mut all = all.filter_map(Json::as_str);
    let found = all.find_map(|name| name.strip_prefix('/').filter(|name| !name.contains('/')));
    found.unwrap_or_default().to_owned()
}

/// One container, as Compose prints it.
fn row(one: &Json, version: (u32, u32), time: String, age: i64) -> Option<Json> {
    let text = |key: &str| one[key].as_str().unwrap_or_default();
    let (state, status) = (text("State"), text("Status"));
    let code: i64 = match state {
        "exited" => {
            let rest = status.strip_prefix("Exited (")?;
            rest.split_once(')')?.0.parse().ok()?
        }
        // The list has no code of those.
        "dead" => return None,
        _ => 0,
    };
    let list = |key: &str| one[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let labels = one["Labels"].as_object();
    let labels = labels.into_iter().flatten().filter_map(|(name, value)| {
        let value = value.as_str()?;
        Some(format!("{name}={value}"))
    });
    let mounts = list("Mounts").iter().map(|mount| {
        let name = mount["Name"].as_str().filter(|name| !name.is_empty());
        name.or(mount["Source"].as_str()).unwrap_or_default()
    });
    let local = list("Mounts")
        .iter()
        .filter(|mount| mount["Driver"] == "local");
    let networks = one["NetworkSettings"]["Networks"].as_object();
    let networks = networks
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str());
    let names = list("Names").iter().filter_map(Json::as_str);
    let names = names.map(|name| name.strip_prefix('/').unwrap_or(name));
    let ports = ports(list("Ports"));
    let publishers = ports.iter().map(|port| {
        json!({ "URL": port.address, "TargetPort": port.inner, "PublishedPort": port.outer, "Protocol": port.kind })
    });
    let publishers: Vec<Json> = publishers.collect();
    Some(json!({
        "Command": quoted(text("Command"))?,
        "CreatedAt": time,
        "ExitCode": code,
        "Health": if state == "running" { health(status) } else { "" },
        "ID": text("Id"),
        "Image": text("Image"),
        "Labels": labels.collect::<Vec<_>>().join(","),
        "LocalVolumes": local.count().to_string(),
        "Mounts": mounts.collect::<Vec<_>>().join(","),
        "Name": name(one),
        "Names": names.collect::<Vec<_>>().join(","),
        "Networks": networks.collect::<Vec<_>>().join(","),
        "Ports": displayed(ports, version)?,
        "Project": label(one, "project"),
        "Publishers": publishers,
        "RunningFor": format!("{} ago", human(age)),
        "Service": label(one, "service"),
        "Size": "0B",
        "State": state,
        "Status": status,
    }))
}

/// What the status of a container that runs says of its checks; nothing where it has none.
pub(super) fn health(status: &str) -> &str {
    let inner = status
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('));
    let Some((_, inner)) = inner else { return "" };
    match inner.strip_prefix("health: ").unwrap_or(inner) {
        "Paused" => "",
        health => health,
    }
}

/// A time as people say it, in Docker's words.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => return "Less than a second".to_owned(),
        1 => return "1 second".to_owned(),
        2..60 => return format!("{seconds} seconds"),
        60..120 => return "About a minute".to_owned(),
        120..3600 => return format!("{minutes} minutes"),
        _ => {}
    }
    match hours {
        ..2 => "About an hour".to_owned(),
        2..48 => format!("{hours} hours"),
        48..336 => format!("{} days", hours / 24),
        336..1440 => format!("{} weeks", hours / 24 / 7),
        1440..17520 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A text as Go quotes it; nothing where that takes a table of what can be printed.
fn quoted(text: &str) -> Option<String> {
    let mut quoted = String::from('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            '\x07' => quoted += "\\a",
            '\x08' => quoted += "\\b",
            '\x0c' => quoted += "\\f",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\x0b' => quoted += "\\v",
            '\0'..' ' | '\x7f' => quoted += &format!("\\x{:02x}", u32::from(sign)),
            ' '..'\x7f' => quoted.push(sign),
            _ if sign.is_alphanumeric() => quoted.push(sign),
            _ => return None,
        }
    }
    quoted.push('"');
    Some(quoted)
}

/// A port of a container.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    inner: u64,
    address: String,
    outer: u64,
    kind: String,
}

fn ports(all: &[Json]) -> Vec<Port> {
    let number = |value: &Json| value.as_u64().unwrap_or_default();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let ports = all.iter().map(|one| Port {
        inner: number(&one["PrivatePort"]),
        address: text(&one["IP"]),
        outer: number(&one["PublicPort"]),
        kind: text(&one["Type"]),
    });
    let mut ports: Vec<Port> = ports.collect();
    ports.sort_by_key(|port| port.inner);
    ports
}

/// Ports as the `docker` program shows them: those that follow each other together.
fn displayed(mut ports: Vec<Port>, version: (u32, u32)) -> Option<String> {
    ports.sort();
    let host = |address: &str| match (address.contains(':'), version) {
        (false, _) | (true, (2, 26)) => Some(address.to_owned()),
        (true, (2, 40)) => Some(format!("[{address}]")),
        // It changed in between.
        (true, _) => None,
    };
    // The address where inside and outside are the same, the kind, and the first and last port.
    let mut groups: Vec<(String, String, u64, u64)> = vec![];
    let (mut shown, mut mapped) = (vec![], vec![]);
    let group = |(address, kind, first, last): &(String, String, u64, u64)| {
        let range = match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        match address.is_empty() {
            true => format!("{range}/{kind}"),
            false => format!("{address}:{range}->{range}/{kind}"),
        }
    };
    for port in ports {
        let address = host(&port.address)?;
        if !address.is_empty() && port.outer != port.inner {
            mapped.push(format!(
                "{address}:{}->{}/{}",
                port.outer, port.inner, port.kind
            ));
            continue;
        }
        let known = groups
            .iter_mut()
            .find(|one| one.0 == address && one.1 == port.kind);
        match known {
            Some(known) if known.3 + 1 == port.inner => known.3 = port.inner,
            Some(known) => {
                shown.push(group(known));
                (known.2, known.3) = (port.inner, port.inner);
            }
            None => groups.push((address, port.kind, port.inner, port.inner)),
        }
    }
    shown.extend(groups.iter().map(group));
    shown.extend(mapped);
    Some(shown.join(", "))
}

/// The images of the containers, where Compose's version is one whose list we know.
async fn images(
    job: &mut Job<'_, '_>,
    open: &Open,
    all: &[Json],
) -> Result<Option<Vec<Json>>, ActionError> {
    let is_new = match open.version {
        (2, 26) => false,
        (2, 40) => true,
        _ => return Ok(None),
    };
    let mut own: Vec<&Json> = all.iter().collect();
    own.sort_by_cached_key(|one| name(one));
    let mut known: Vec<(String, Json)> = vec![];
    let mut rows = vec![];
    for one in own {
        // The newer version asks by name; a container of a machine's own kind it looks at more closely.
        let word = match is_new {
            true => one["Image"].as_str(),
            false => one["ImageID"].as_str(),
        };
        let Some(word) = word.filter(|_| one["ImageManifestDescriptor"].is_null()) else {
            return Ok(None);
        };
        if !known.iter().any(|(name, _)| name == word) {
            let path = format!("/images/{}/json", escaped(word));
            match job.get(&path).await {
                Ok(found) => known.push((word.to_owned(), found)),
                Err(refusal) if refusal.is(404) => return Ok(None),
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let Some((_, image)) = known.iter().find(|(name, _)| name == word) else {
            return Ok(None);
        };
        let named = match is_new {
            true => Some(word),
            false => image["RepoTags"][0].as_str(),
        };
        let (repository, tag) = named.map(familiar).unwrap_or_default();
        let mut row = json!({
            "ID": image["Id"],
            "ContainerName": name(one),
            "Repository": repository,
            "Tag": tag,
        });
        if is_new {
            let part = |key: &str| image[key].as_str().filter(|text| !text.is_empty());
            // Windows has a version of its own between.
            let (Some(system), None) = (part("Os"), part("OsVersion")) else {
                return Ok(None);
            };
            let parts = [Some(system), part("Architecture"), part("Variant")];
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            row["Platform"] = parts.join("/").into();
        }
        row["Size"] = image["Size"].clone();
        if is_new {
            let tagged = image["Metadata"]["LastTagTime"].as_str();
            let tagged = tagged.filter(|time| !time.starts_with("0001-01-01T00:00:00"));
            let Some(time) = tagged.or(image["Created"].as_str()) else {
                return Ok(None);
            };
            row["LastTagTime"] = time.into();
        }
        rows.push(row);
    }
    Ok(Some(rows))
}

/// The short name of an image and its tag, `latest` where it has none and no digest either.
fn familiar(image: &str) -> (String, String) {
    let (image, digest) = match image.split_once('@') {
        Some((image, _)) => (image, true),
        None => (image, false),
    };
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    let hub = ["docker.io/", "index.docker.io/"];
    let short = hub
        .iter()
        .find_map(|start| name.strip_prefix(start))
        .unwrap_or(name);
    let bare = short
        .strip_prefix("library/")
        .filter(|bare| !bare.contains('/'));
    let tag = if digest { "" } else { tag };
    (bare.unwrap_or(short).to_owned(), tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let told = |seconds| human(seconds);
        for (seconds, words) in [
            (-3, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (48 * 3600 - 1801, "47 hours"),
            (48 * 3600 - 1800, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(told(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn port_lists() {
        let port = |address: &str, outer, inner, kind: &str| json!({ "IP": address, "PrivatePort": inner, "PublicPort": outer, "Type": kind });
        let show = |all: &[Json], version| displayed(ports(all), version).unwrap_or_default();
        let new = (2, 40);
        assert_eq!(
            show(&[json!({"PrivatePort": 80, "Type": "tcp"})], new),
            "80/tcp"
        );
        let all = [
            port("127.0.0.1", 8002, 8002, "tcp"),
            port("127.0.0.1", 8001, 8001, "tcp"),
            port("127.0.0.1", 9000, 80, "tcp"),
            port("127.0.0.1", 8004, 8004, "tcp"),
        ];
        assert_eq!(
            show(&all, new),
            "127.0.0.1:8001-8002->8001-8002/tcp, 127.0.0.1:8004->8004/tcp, 127.0.0.1:9000->80/tcp"
        );
        let six = [port("::1", 81, 80, "udp")];
        assert_eq!(show(&six, new), "[::1]:81->80/udp");
        assert_eq!(show(&six, (2, 26)), "::1:81->80/udp");
        assert_eq!(displayed(ports(&six), (2, 30)), None);
    }

    #[test]
    fn names_of_images() {
        let known = |image| {
            let (name, tag) = familiar(image);
            format!("{name} {tag}")
        };
        assert_eq!(known("busybox"), "busybox latest");
        assert_eq!(known("docker.io/library/busybox:1"), "busybox 1");
        assert_eq!(known("docker.io/a/b"), "a/b latest");
        assert_eq!(known("host:5000/a"), "host:5000/a latest");
        assert_eq!(known("a:1@sha256:00"), "a ");
    }

    #[test]
    fn checks() {
        assert_eq!(health("Up 2 minutes"), "");
        assert_eq!(health("Up 2 minutes (healthy)"), "healthy");
        assert_eq!(health("Up 2 seconds (health: starting)"), "starting");
        assert_eq!(health("Up 2 minutes (Paused)"), "");
    }
}
