//! Label selectors, for objects that the server does not know yet.

use serde_json::Value as Json;

/// Whether an object has the labels that all selectors ask for.
pub(super) fn fits(object: &Json, selectors: &[String]) -> bool {
    let labels = &object["metadata"]["labels"];
    selectors
        .iter()
        .flat_map(|text| pieces(text))
        .all(|text| fits_one(labels, &text))
}

/// The requirements of one text; commas within brackets are no end.
fn pieces(text: &str) -> Vec<String> {
    let (mut all, mut one, mut depth) = (vec![], String::new(), 0);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                all.push(std::mem::take(&mut one));
                continue;
            }
            _ => {}
        }
        one.push(letter);
    }
    all.push(one);
    all
}

fn fits_one(labels: &Json, text: &str) -> bool {
    let text = text.trim();
    let value = |key: &str| labels[key.trim()].as_str().map(str::to_owned);
    if let Some((key, wanted)) = text.split_once("!=") {
        return value(key).as_deref() != Some(wanted.trim());
    }
    if let Some((key, wanted)) = text.split_once('=') {
        return value(key).as_deref() == Some(wanted.trim_start_matches('=').trim());
    }
    let set = |list: &str| -> Vec<String> {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        list.split(',').map(|word| word.trim().to_owned()).collect()
    };
    if let Some((key, list)) = text.split_once(" notin ") {
        return value(key).is_none_or(|value| !set(list).contains(&value));
    }
    if let Some((key, list)) = text.split_once(" in ") {
        return value(key).is_some_and(|value| set(list).contains(&value));
    }
    match text.strip_prefix('!') {
        Some(key) => value(key).is_none(),
        None => value(text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let object = serde_json::json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let fits = |text: &str| fits(&object, &[text.to_owned()]);
        assert!(
            fits("a=1") && fits("a == 1, b=2") && fits("a in (0, 1)") && fits("a") && fits("!c")
        );
        assert!(!fits("a=2") && !fits("c") && !fits("!a") && !fits("a notin (1)") && !fits("a!=1"));
        assert!(fits("c notin (1),a in (1,2)"));
    }
}
