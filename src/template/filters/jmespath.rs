//! The filter `json_query`: JMESPath over values.

use std::sync::Arc;

use ::jmespath::ast::Ast;
use ::jmespath::{DEFAULT_RUNTIME, Expression, JmespathError, Rcvar, ToJmespath, Variable};
use serde_json::Number;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::{Entries, Key, Value};

super::filters! {
    "json_query": "what a JMESPath expression finds in it" => |_, a| query(a);
}

fn query(args: &Args) -> Outcome {
    let Some(expr) = args.get(1, "expr") else {
        return Err(Fault::new(
            "json_query() missing 1 required positional argument: 'expr'",
        ));
    };
    let Value::Str(text) = expr else {
        return Err(Fault::new(format!(
            "Error in jmespath.search in json_query filter plugin:\n'{}' object is not iterable",
            expr.type_name()
        )));
    };
    let failed = |problem: &dyn std::fmt::Display| {
        Fault::new(format!(
            "JMESPathError in json_query filter plugin:\n{problem}"
        ))
    };
    let text = text.as_str().trim();
    if text.is_empty() {
        return Err(failed(&"Invalid JMESPath expression: cannot be empty."));
    }
    let mut ast = ::jmespath::parse(text).map_err(|error| failed(&error))?;
    numbers(&mut ast);
    let mut orders = Vec::new();
    hashes(&ast, &mut orders);
    dictionaries(args.operand(), &mut orders);
    let orders = Orders {
        known: orders,
        whole: ["sum(", "abs(", "ceil(", "floor("]
            .iter()
            .any(|name| text.contains(name))
            && !text.contains("avg("),
    };
    let expression = Expression::new(text, ast, &DEFAULT_RUNTIME);
    let data = Ready(variable(args.operand())?);
    let found = expression.search(data).map_err(|error| failed(&error))?;
    Ok(value(&found, &orders))
}

/// Data that is what the library wants. Its own way through serde breaks numbers, because this
/// program reads JSON with numbers of any length.
struct Ready(Rcvar);

impl ToJmespath for Ready {
    fn to_jmespath(self) -> Result<Rcvar, JmespathError> {
        Ok(self.0)
    }
}

fn variable(value: &Value) -> Result<Rcvar, Fault> {
    Ok(Arc::new(match value {
        Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
        Value::None => Variable::Null,
        Value::Bool(value) => Variable::Bool(*value),
        Value::Int(number) => match i64::try_from(*number) {
            Ok(number) => Variable::Number(number.into()),
            Err(_) => Variable::String(number.to_string()),
        },
        Value::Float(number) => Number::from_f64(*number).map_or(Variable::Null, Variable::Number),
        Value::Str(text) => Variable::String(text.as_str().to_owned()),
        Value::List(list) => array(&list.to_vec())?,
        Value::Tuple(items) => array(items)?,
        Value::Dict(dict) => {
            let entries = dict.read().clone();
            let pairs = entries
                .iter()
                .map(|(key, item)| Ok((key.0.text(), variable(item)?)));
            Variable::Object(pairs.collect::<Result<_, Fault>>()?)
        }
        Value::Object(object) => match (object.to_dict(), object.iterate()) {
            (Some(dict), _) => return variable(&dict),
            (None, Some(items)) => array(&items)?,
            _ => Variable::String(value.text()),
        },
        Value::Bytes(_) => Variable::String(value.text()),
    }))
}

fn array(items: &[Value]) -> Result<Variable, Fault> {
    Ok(Variable::Array(
        items.iter().map(variable).collect::<Result<_, _>>()?,
    ))
}

/// Mends the numbers of literals, which arrive as serde_json's inner form of them.
fn numbers(ast: &mut Ast) {
    match ast {
        Ast::Literal { value, .. } => *value = mended(value),
        Ast::MultiHash { elements, .. } => elements
            .iter_mut()
            .for_each(|pair| numbers(&mut pair.value)),
        Ast::MultiList { elements, .. } => elements.iter_mut().for_each(numbers),
        Ast::Function { args, .. } => args.iter_mut().for_each(numbers),
        Ast::Expref { ast, .. } => numbers(ast),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => {
            numbers(node)
        }
        Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => {
            numbers(lhs);
            numbers(rhs);
        }
        Ast::Condition {
            predicate, then, ..
        } => {
            numbers(predicate);
            numbers(then);
        }
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => {}
    }
}

fn mended(value: &Rcvar) -> Rcvar {
    match &**value {
        Variable::Array(items) => Arc::new(Variable::Array(items.iter().map(mended).collect())),
        Variable::Object(map) => {
            match map.get("$serde_json::private::Number").map(|text| &**text) {
                Some(Variable::String(text)) => {
                    let number: Option<Number> = serde_json::from_str(text).ok();
                    Arc::new(number.map_or(Variable::Null, Variable::Number))
                }
                _ => Arc::new(Variable::Object(
                    map.iter()
                        .map(|(key, item)| (key.clone(), mended(item)))
                        .collect(),
                )),
            }
        }
        _ => Arc::clone(value),
    }
}

/// The library keeps objects sorted by key; the order in which Python has them is that of the
/// expression (`{b: x, a: y}`) or of the data.
struct Orders {
    known: Vec<Vec<String>>,
    /// Whether sums of whole numbers, which the library makes fractions, are whole.
    whole: bool,
}

fn hashes(ast: &Ast, out: &mut Vec<Vec<String>>) {
    match ast {
        Ast::MultiHash { elements, .. } => {
            out.push(elements.iter().map(|pair| pair.key.clone()).collect());
            elements.iter().for_each(|pair| hashes(&pair.value, out));
        }
        Ast::MultiList { elements, .. } => elements.iter().for_each(|ast| hashes(ast, out)),
        Ast::Function { args, .. } => args.iter().for_each(|ast| hashes(ast, out)),
        Ast::Expref { ast, .. } => hashes(ast, out),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => {
            hashes(node, out);
        }
        Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => {
            hashes(lhs, out);
            hashes(rhs, out);
        }
        Ast::Condition {
            predicate, then, ..
        } => {
            hashes(predicate, out);
            hashes(then, out);
        }
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => {}
    }
}

fn dictionaries(value: &Value, out: &mut Vec<Vec<String>>) {
    match value {
        Value::Dict(dict) => {
            let entries = dict.read().clone();
            let order: Vec<String> = entries.keys().map(|key| key.0.text()).collect();
            if !out.contains(&order) {
                out.push(order);
            }
            entries.values().for_each(|value| dictionaries(value, out));
        }
        Value::List(list) => list
            .to_vec()
            .iter()
            .for_each(|item| dictionaries(item, out)),
        Value::Tuple(items) => items.iter().for_each(|item| dictionaries(item, out)),
        _ => {}
    }
}

fn value(found: &Rcvar, orders: &Orders) -> Value {
    match &**found {
        Variable::Null | Variable::Expref(_) => Value::None,
        Variable::Bool(value) => Value::Bool(*value),
        Variable::String(text) => Value::str(text.as_str()),
        Variable::Number(number) => match number.to_string().parse() {
            Ok(whole) => Value::Int(whole),
            Err(_) => match number.as_f64().unwrap_or(f64::NAN) {
                #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
                float if orders.whole && float.fract() == 0.0 && float.abs() < 1e18 => {
                    Value::Int(float as i128)
                }
                float => Value::Float(float),
            },
        },
        Variable::Array(items) => {
            Value::list(items.iter().map(|item| value(item, orders)).collect())
        }
        Variable::Object(map) => {
            let order = orders.known.iter().find(|order| {
                order.len() == map.len() && order.iter().all(|key| map.contains_key(key))
            });
            let mut entries = Entries::with_capacity(map.len());
            for key in order.into_iter().flatten() {
                if let Some(item) = map.get(key) {
                    entries.insert(Key::from(key.as_str()), value(item, orders));
                }
            }
            for (key, item) in map {
                entries
                    .entry(Key::from(key.as_str()))
                    .or_insert_with(|| value(item, orders));
            }
            Value::dict(entries)
        }
    }
}
