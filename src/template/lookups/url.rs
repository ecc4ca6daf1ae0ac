//! The lookup `url`: what web servers answer to the controller.

use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::real::RealMachine;
use rplay_modules::registry;

use super::super::eval::Interp;
use super::super::fault::Fault;
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
        Some(_) => call.truth("split_lines", true),
        None => true,
    };
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Str(address) = term else {
            return Err(Fault::new(format!(
                "'{}' object has no attribute 'decode'",
                term.type_name()
            )));
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
    let refused = |name: &str| Fault::new(format!("rplay does not have the option `{name}`"));
    let mut given = Map::new();
    given.insert("url".into(), Data::Str(address.to_owned()));
    given.insert("return_content".into(), Data::Bool(true));
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
            given.insert((*argument).into(), value.to_data()?);
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
        Err(failure) => Err(Fault::new(match failure.msg.split_once(": HTTP Error ") {
            Some((_, why)) => format!("Received HTTP error for {address}: HTTP Error {why}"),
            None => {
                let why = failure.msg.split_once("Request failed: ");
                let why = why.map_or(failure.msg.as_str(), |(_, why)| why);
                format!("Failed lookup url for {address}: {why}")
            }
        })),
    }
}
