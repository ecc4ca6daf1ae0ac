//! The filter `param_list_compare`: what is asked for of a list of names.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::ops;
use super::super::value::{Entries, Key, Value};

super::filters! {
    "param_list_compare": "the names asked for that it has, and those that it has not" => |i, a| compare(i, a);
}

fn compare(interp: &Interp<'_>, args: &Args) -> Outcome {
    let Some(target) = args.get(1, "target") else {
        return Err(Fault::new(
            "Missing either 'base' or 'other value in filter input,refer 'ansible.utils.param_list_compare' filter plugin documentation for details",
        ));
    };
    args.check(2, &["target"])?;
    let base = args.operand();
    if let Value::Dict(_) = base {
        return Err(Fault::new(
            "argspec validation failed for param_list_compare filter plugin with errors: [\"argument 'base' is of type dict and we were unable to convert to list: <class 'dict'> cannot be converted to a list\"]",
        ));
    }
    let target = interp.iterate(target)?;
    let refused = |item: &Value| item.as_str()?.strip_prefix('!').map(Value::str);
    let without: Vec<Value> = target.iter().filter_map(refused).collect();
    let (mut actionable, mut unsupported) = (vec![], vec![]);
    if target.contains(&Value::str("all")) {
        if !matches!(base, Value::List(_) | Value::Tuple(_)) {
            let kind = base.type_name();
            return Err(Fault::new(format!(
                "'{kind}' object has no attribute 'sort'"
            )));
        }
        actionable = super::list::sorted(interp.iterate(base)?, false)?;
        actionable.retain(|item| !without.contains(item));
    } else {
        for item in target.into_iter().filter(|item| refused(item).is_none()) {
            match ops::contains(base, &item)? {
                true if without.contains(&item) => {}
                true => actionable.push(item),
                false => unsupported.push(item),
            }
        }
    }
    Ok(Value::dict(Entries::from([
        (Key::from("actionable"), Value::list(actionable)),
        (Key::from("unsupported"), Value::list(unsupported)),
    ])))
}
