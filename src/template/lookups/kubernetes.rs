//! The lookup `kubernetes.core.k8s`: objects of a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use rplay_modules::data::Data;

use super::super::fault::Fault;
use super::super::interp::Interp;
use super::super::value::Value;
use super::Call;

/// Objects, or what is known of the cluster.
pub(super) fn k8s(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let mut options = rplay_modules::data::Map::new();
    for (name, value) in &call.options {
        options.insert(name.clone(), value.to_data().map_err(Fault::new)?);
    }
    let hidden = interp.templar.secrets.hidden.clone();
    let found = crate::action::kubernetes::looked_up(&options, &hidden).map_err(Fault::new)?;
    Ok(found.iter().map(Value::from_data).collect())
}
