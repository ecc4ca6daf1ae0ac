//! Lookups over variables and the controller's surroundings: `vars`, `varnames`, `env`, `config`, `inventory_hostnames`.

use rplay_modules::regex::Flags;

use super::super::fault::Fault;
use super::super::filters::regex;
use super::super::interp::Interp;
use super::super::value::Value;
use super::Call;

type Results = Result<Vec<Value>, Fault>;

/// `env`: environment variables of the controller.
pub(super) fn env(_interp: &Interp<'_>, call: &Call) -> Results {
    let default = call.option("default").cloned();
    let default = default.unwrap_or_else(|| Value::str(""));
    let value = |term: &Value| {
        // Only the first word is a name.
        let mut words = super::text_term(term)?.split_whitespace();
        let name = words.next().ok_or("list index out of range")?;
        Ok(match (std::env::var(name), &default) {
            (Ok(value), _) => Value::from(value),
            (Err(_), Value::Undefined(_)) => {
                Value::undefined(format!("The environment variable '{name}' is not set."))
            }
            (Err(_), default) => default.clone(),
        })
    };
    call.terms.iter().map(value).collect()
}

/// `vars`: variables by name.
pub(super) fn vars(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Str(name) = term else {
            return Err(Fault::new(format!(
                "Variable name must be 'str' not '{}'.",
                term.type_name()
            )));
        };
        let name = name.as_str();
        match (interp.variable(name)?, call.option("default")) {
            (None, Some(default)) => out.push(default.clone()),
            (Some(value), _) => {
                interp.resolve(&value)?;
                out.push(value);
            }
            (None, None) => out.push(Value::undefined(format!(
                "No variable named '{name}' was found."
            ))),
        }
    }
    Ok(out)
}

/// `varnames`: names of variables that patterns match.
pub(super) fn varnames(interp: &Interp<'_>, call: &Call) -> Results {
    let names = interp.scope.names();
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Str(text) = term else {
            return Err(Fault::new(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a <class '{}'>",
                term.text(),
                term.type_name()
            )));
        };
        let pattern = regex::compile(text.as_str(), Flags::default()).map_err(|fault| {
            let problem = fault
                .message()
                .trim_start_matches("Error rendering template: ")
                .to_owned();
            Fault::new(format!(
                "Unable to use \"{}\" as a search parameter: {problem}",
                text.as_str()
            ))
        })?;
        out.extend(
            names
                .iter()
                .filter(|name| pattern.found(name) == Ok(true))
                .map(|name| Value::str(name.as_str())),
        );
    }
    Ok(out)
}

/// `inventory_hostnames`: hosts of groups, by a pattern of names.
pub(super) fn hostnames(interp: &Interp<'_>, call: &Call) -> Results {
    let Some(groups) = interp.variable("groups")? else {
        return Err(Fault::new("'groups'"));
    };
    let members = |name: &str| -> Result<Vec<Value>, Fault> {
        match interp.item(&groups, &Value::str(name))? {
            Some(hosts) => interp.iterate(&hosts),
            None => {
                let all = interp
                    .item(&groups, &Value::str("all"))?
                    .map_or(Ok(vec![]), |all| interp.iterate(&all))?;
                Ok(all
                    .into_iter()
                    .filter(|host| super::matches(name, &host.text()))
                    .collect())
            }
        }
    };
    let mut out: Vec<Value> = Vec::new();
    for term in &call.terms {
        for part in term.text().split([',', ':']) {
            let part = part.trim();
            if let Some(part) = part.strip_prefix('!') {
                let gone = members(part)?;
                out.retain(|host| !gone.contains(host));
            } else if let Some(part) = part.strip_prefix('&') {
                let kept = members(part)?;
                out.retain(|host| kept.contains(host));
            } else {
                for host in members(if part == "*" { "all" } else { part })? {
                    if !out.contains(&host) {
                        out.push(host);
                    }
                }
            }
        }
    }
    Ok(out)
}
