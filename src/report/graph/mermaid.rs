//! A graph in the language of Mermaid: what holds others is a subgraph, tasks follow each other.

use super::{Graph, Kind, Tie};

/// The text.
pub(super) fn text(graph: &Graph) -> String {
    let mut out = String::from("flowchart TB\n");
    for root in &graph.roots {
        node(graph, *root, 1, &mut out);
    }
    for (from, to, tie) in &graph.edges {
        let arrow = match tie {
            Tie::Notifies => "-.->",
            Tie::Unknown => "-..->",
        };
        out.push_str(&format!("  n{from} {arrow}|{}| n{to}\n", tie.word()));
    }
    out
}

fn node(graph: &Graph, at: usize, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let one = &graph.nodes[at];
    let mut label = quoted(&one.label);
    if !one.note.is_empty() {
        label.push_str(&format!("<br/>{}", quoted(&one.note)));
    }
    match one.kind {
        Kind::Task => out.push_str(&format!("{indent}n{at}[\"{label}\"]\n")),
        Kind::Handler => out.push_str(&format!("{indent}n{at}([\"{label}\"])\n")),
        _ => {
            out.push_str(&format!("{indent}subgraph n{at}[\"{label}\"]\n"));
            for child in &one.children {
                node(graph, *child, depth + 1, out);
            }
            for pair in one.children.windows(2) {
                out.push_str(&format!("{indent}  n{} --> n{}\n", pair[0], pair[1]));
            }
            out.push_str(&format!("{indent}end\n"));
        }
    }
}

/// Text within quotation marks, in which Mermaid reads nothing but entities.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '#' | '<' | '>' | '&' | '`' | ';' => {
                out.push_str(&format!("#{};", u32::from(letter)));
            }
            '\n' | '\r' => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}
