//! The lookup `url`: what web servers answer to the controller.

use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::real::RealMachine;
use rplay_modules::registry;
use rplay_modules::text::unpercent;

use super::super::fault::Fault;
use super::super::filters::core::to_bool;
use super::super::interp::Interp;
use super::super::methods::lines;
use super::super::value::Value;
use super::Call;

/// Options, and the arguments of the module `uri` that they are.
const OPTIONS: &[(&str, &str)] = &[
    ("ca_path", "ca_path"),
    ("follow_redirects", "follow_redirects"),
    ("force", "force"),
    ("force_basic_auth", "force_basic_auth"),
    ("headers", "headers"),
    ("http_agent", "http_agent"),
    ("password", "url_password"),
    ("timeout", "timeout"),
    ("unix_socket", "unix_socket"),
    ("unredirected_headers", "unredirected_headers"),
    ("use_gssapi", "use_gssapi"),
    ("use_netrc", "use_netrc"),
    ("use_proxy", "use_proxy"),
    ("username", "url_username"),
    ("validate_certs", "validate_certs"),
];

/// `url`: the lines of answers, or answers as they are.
pub(super) fn url(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let split = match call.option("split_lines") {
        Some(value) => is_yes(value),
        None => true,
    };
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Str(address) = term else {
            return Err(Fault::new(match term.is_true() {
                true => format!("'{}' object has no attribute 'decode'", term.type_name()),
                false => "a bytes-like object is required, not 'str'".to_owned(),
            }));
        };
        let content = fetched(interp, call, address.as_str())?;
        if split {
            out.extend(lines(&content, false).into_iter().map(Value::from));
        } else {
            out.push(Value::from(content));
        }
    }
    Ok(out)
}

fn fetched(interp: &Interp<'_>, call: &Call, address: &str) -> Result<String, Fault> {
    if !address.contains(':') {
        return Err(Fault::new(format!(
            "unknown url type: {}",
            Value::str(address).repr()
        )));
    }
    if let Some((_, path)) = scheme(address).filter(|(name, _)| name == "file") {
        return local(path).map_err(|why| {
            Fault::new(format!(
                "Failed lookup url for {address}: <urlopen error {why}>"
            ))
        });
    }
    if let Some(problem) = misspelt(address) {
        return Err(Fault::new(problem));
    }
    let authorities = call.option("ca_path").filter(|path| path.is_true());
    if authorities.is_some_and(|path| !std::path::Path::new(&path.text()).exists()) {
        return Err(Fault::new("[Errno 2] No such file or directory"));
    }
    if let Some(Value::Dict(headers)) = call.option("headers") {
        let text = |value: &Value| matches!(value, Value::Str(_) | Value::Int(_) | Value::Bool(_));
        let headers = headers.read();
        if let Some(other) = headers.values().find(|value| !text(value)) {
            return Err(Fault::new(format!(
                "expected string or bytes-like object, got '{}'",
                other.type_name()
            )));
        }
    }
    let refused = |name: &str| Fault::new(format!("rplay does not have the option `{name}`"));
    let mut given = Map::new();
    given.insert("url".into(), Data::Str(address.to_owned()));
    given.insert("return_content".into(), Data::Bool(true));
    let fine = (200..300).map(Data::Int).collect();
    given.insert("status_code".into(), Data::List(fine));
    given.insert("timeout".into(), Data::Int(10));
    given.insert("follow_redirects".into(), Data::Str("urllib2".into()));
    if call.option("ciphers").is_some_and(Value::is_true) {
        return Err(refused("ciphers"));
    }
    for (option, argument) in OPTIONS {
        let variable = format!(
            "ansible_lookup_url_{}",
            option.replace("http_agent", "agent")
        );
        let value = match call.option(option) {
            Some(value) => Some(value.clone()),
            None => interp.variable(&variable)?,
        };
        if let Some(value) = value.filter(|value| !matches!(value, Value::None)) {
            given.insert((*argument).into(), argument_of(option, &value)?);
        }
    }
    let Some(module) = registry::find("ansible.builtin.uri") else {
        return Err(refused("url"));
    };
    let prepared = prepare(module, &given).map_err(|problems| {
        let first = problems.into_iter().next().unwrap_or_default();
        Fault::new(first.message)
    })?;
    let outcome = (module.run)(&mut RealMachine::new(), &prepared.args);
    match outcome {
        Ok(outcome) => Ok(match outcome.results.get("content") {
            Some(Data::Str(content)) => content.clone(),
            _ => String::new(),
        }),
        Err(failure) => Err(Fault::new(told(address, &failure.msg)).of_system()),
    }
}

/// The scheme of an address in small letters, and what follows it.
fn scheme(address: &str) -> Option<(String, &str)> {
    let (name, rest) = address.split_once(':')?;
    Some((name.to_lowercase(), rest))
}

/// What a file of the controller holds, by what follows `file:`.
fn local(path: &str) -> Result<String, String> {
    let (host, path) = match path.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", path),
    };
    let path = unpercent(path);
    let shown = Value::str(path.as_str()).repr();
    let content = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("[Errno 2] No such file or directory: {shown}"),
        std::io::ErrorKind::IsADirectory => format!("[Errno 21] Is a directory: {shown}"),
        std::io::ErrorKind::PermissionDenied => format!("[Errno 13] Permission denied: {shown}"),
        _ => format!("{error}: {shown}"),
    })?;
    if !matches!(host, "" | "localhost" | "127.0.0.1") {
        return Err("file not on local host".into());
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// What Python says of an address that it sends nothing to.
fn misspelt(address: &str) -> Option<String> {
    if let Some((name, _)) = scheme(address)
        && !matches!(name.as_str(), "http" | "https" | "ftp")
    {
        return Some(format!(
            "Failed lookup url for {address}: <urlopen error unknown url type: {name}>"
        ));
    }
    let rest = address.split_once("://")?.1;
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if host.is_empty() && address.starts_with("http") {
        return Some(format!(
            "Failed lookup url for {address}: <urlopen error no host given>"
        ));
    }
    if let Some((at, letter)) = path.chars().enumerate().find(|(_, c)| !c.is_ascii()) {
        // The request's line is `GET PATH`.
        return Some(format!(
            "'ascii' codec can't encode character '\\x{:02x}' in position {}: ordinal not in range(128)",
            u32::from(letter),
            at + "GET ".len()
        ))
        .filter(|_| u32::from(letter) < 256);
    }
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let numeric = |port: &&str| port.bytes().all(|digit| digit.is_ascii_digit());
    if let Some(port) = port.filter(|port| !numeric(port) && !port.ends_with(']')) {
        return Some(format!("nonnumeric port: {}", Value::str(port).repr()));
    }
    let control = path.chars().find(|c| *c <= ' ' || *c == '\u{7f}')?;
    Some(format!(
        "URL can't contain control characters. {} (found at least {})",
        Value::str(path).repr(),
        Value::str(control.to_string()).repr()
    ))
}

/// The argument of the module for an option: whatever is no word for true is false, and seconds are whole.
fn argument_of(option: &str, value: &Value) -> Result<Data, Fault> {
    const SWITCHES: &[&str] = &[
        "force",
        "force_basic_auth",
        "use_gssapi",
        "use_netrc",
        "use_proxy",
        "validate_certs",
    ];
    if SWITCHES.contains(&option) {
        return Ok(Data::Bool(is_yes(value)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "seconds are few")]
    match (option, value) {
        ("timeout", Value::Float(seconds)) => Ok(Data::Int(seconds.ceil() as i128)),
        _ => Ok(value.to_data()?),
    }
}

/// What is no word for either is false.
fn is_yes(value: &Value) -> bool {
    to_bool(value).unwrap_or(false)
}

/// The error of a request in Ansible's words.
fn told(address: &str, message: &str) -> String {
    if let Some((_, why)) = message.split_once(": HTTP Error ") {
        return format!("Received HTTP error for {address}: HTTP Error {why}");
    }
    let why = message.split_once("Request failed: ");
    let why = why.map_or(message, |(_, why)| why);
    if why.contains("would lead to an infinite loop") {
        return format!(
            "Received HTTP error for {address}: HTTP Error 302: {why}\nThe last 30x error message was:\nFound"
        );
    }
    if why.contains("Resource temporarily unavailable") {
        return "timed out".to_owned();
    }
    if why.contains("the server closed the connection") {
        return "Remote end closed connection without response".to_owned();
    }
    format!("Failed lookup url for {address}: {why}")
}
