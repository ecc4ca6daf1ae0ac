//! Tests of `community.general`.

use super::super::args::Args;
use super::super::fault::Fault;
use super::super::filters::dict::python_type;
use super::super::value::Value;

super::tests! {
    "fqdn_valid": "it is a host's name as the internet takes it" => |_, a| host_name(a);
}

fn host_name(args: &Args) -> Result<bool, Fault> {
    args.check(3, &["min_labels", "allow_underscores"])?;
    let wrong = |what: &str, kind: &str, value: &Value| {
        Err(Fault::new(format!(
            "The {what} parameter must be {kind}, got {} of type {}",
            value.repr(),
            python_type(value)
        )))
    };
    let Value::Str(name) = args.operand() else {
        return wrong("name", "a string", args.operand());
    };
    let least = match args.get(1, "min_labels") {
        None => 1,
        Some(Value::Int(least)) => *least,
        Some(other) => return wrong("min_labels", "an integer", other),
    };
    let underscores = match args.get(2, "allow_underscores") {
        None => false,
        Some(Value::Bool(truth)) => *truth,
        Some(other) => return wrong("allow_underscores", "a boolean", other),
    };
    let name = name.as_str();
    if name.is_empty() {
        return Err(Fault::new("fqdn must be str"));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-' || underscores && c == b'_')
    };
    let count = i128::try_from(name.split('.').count()).unwrap_or(i128::MAX);
    Ok(name.len() <= 253 && count >= least && name.split('.').all(label))
}
