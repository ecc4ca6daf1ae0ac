//! The lookup `config`: what settings have come to.

use super::super::fault::Fault;
use super::super::interp::Interp;
use super::super::value::Value;
use super::Call;
use crate::config::{CONSTANTS, Config, Kind, SETTINGS, Setting};
use crate::diag::Diagnostic;

/// `config`: the values of settings by the names of `ansible-config`, or of a plugin's option.
pub(super) fn run(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let missing = call
        .option("on_missing")
        .map_or_else(|| "error".to_owned(), Value::text);
    let plugin = match (call.option("plugin_type"), call.option("plugin_name")) {
        (None, None) => None,
        (Some(kind), Some(name)) => Some((kind.text(), name.text())),
        _ => {
            return Err(Fault::new(
                "Both plugin_type and plugin_name are required, cannot use one without the other.",
            ));
        }
    };
    let config = interp.templar.settings().config.clone();
    let config = config.ok_or_else(|| Fault::new("no settings are known here"))?;
    let mut out = Vec::with_capacity(call.terms.len());
    for term in &call.terms {
        let Value::Str(name) = term else {
            return Err(Fault::new(format!(
                "Invalid setting identifier, {} is not a <class 'str'>, its a <class '{}'>.",
                term.text(),
                term.type_name()
            )));
        };
        let name = name.as_str();
        if name == "CONFIG_FILE" {
            let file = config.file.as_ref();
            let file = file.map(|file| Value::from(file.to_string_lossy().into_owned()));
            out.push(file.unwrap_or(Value::None));
            continue;
        }
        let found = match &plugin {
            None => global(name),
            Some(_) => of_plugin(name),
        };
        let Some(setting) = found else {
            let whose = plugin.as_ref().map_or_else(String::new, |(kind, name)| {
                format!(" for '{name}' {kind} plugin")
            });
            let text = format!("No config definition exists for '{name}'{whose}.");
            match missing.as_str() {
                "error" => return Err(Fault::new(text)),
                "warn" => {
                    let text = format!("Skipping {name}: {text}");
                    interp.note(Diagnostic::warning("unknown-setting", text));
                }
                _ => {}
            }
            continue;
        };
        let value = value(&config, setting);
        out.push(match call.truth("show_origin", false) {
            true => Value::tuple(vec![
                value,
                Value::from(config.origin(setting.name).to_string()),
            ]),
            false => value,
        });
    }
    Ok(out)
}

fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

fn global(name: &str) -> Option<&'static Setting> {
    match CONSTANTS.iter().find(|(constant, _)| *constant == name) {
        Some((_, ours)) => setting(ours),
        // Most are called as there, in small letters.
        None if name.bytes().all(|byte| !byte.is_ascii_lowercase()) => {
            setting(&name.to_lowercase())
        }
        None => None,
    }
}

/// Options of plugins are settings, too, without a name among Ansible's constants.
fn of_plugin(name: &str) -> Option<&'static Setting> {
    setting(match name {
        "port" => "remote_port",
        name => name,
    })
}

fn value(config: &Config, setting: &Setting) -> Value {
    let name = setting.name;
    let texts = |texts: Vec<String>| Value::list(texts.into_iter().map(Value::from).collect());
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let found = match setting.kind {
        _ if config.text(name).is_none() => None,
        Kind::Bool => Some(Value::Bool(config.bool(name))),
        Kind::Int => config.int(name).map(|number| Value::Int(number.into())),
        Kind::List => Some(texts(config.list(name))),
        Kind::PathList | Kind::Sources => Some(texts(
            config.path_list(name).into_iter().map(path).collect(),
        )),
        Kind::Path => config.path(name).map(|found| Value::from(path(found))),
        Kind::Text | Kind::Choice(_) => config.text(name).map(Value::from),
    };
    found.unwrap_or(Value::None)
}
