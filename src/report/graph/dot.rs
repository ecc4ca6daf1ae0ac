//! A graph in the language of Graphviz: what holds others is a cluster, tasks follow each other.

use super::{Graph, Kind, Tie};

/// The text.
pub(super) fn text(graph: &Graph) -> String {
    let mut out = String::from(
        "digraph rplay {\n  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];\n  \
         graph [fontname=\"sans-serif\", style=rounded];\n  edge [color=\"#8a929f\"];\n",
    );
    for root in &graph.roots {
        node(graph, *root, 1, &mut out);
    }
    for (from, to, tie) in &graph.edges {
        let style = match tie {
            Tie::Notifies => "dashed",
            Tie::Unknown => "dotted",
        };
        out.push_str(&format!(
            "  n{from} -> n{to} [style={style}, constraint=false, label={}];\n",
            quoted(tie.word())
        ));
    }
    out.push_str("}\n");
    out
}

fn node(graph: &Graph, at: usize, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let one = &graph.nodes[at];
    let label = match one.note.as_str() {
        "" => one.label.clone(),
        note => format!("{}\n{note}", one.label),
    };
    if !one.kind.holds() {
        let shape = match one.kind {
            Kind::Handler => ", shape=cds",
            _ => "",
        };
        out.push_str(&format!(
            "{indent}n{at} [label={}{shape}];\n",
            quoted(&label)
        ));
        return;
    }
    out.push_str(&format!("{indent}subgraph cluster_{at} {{\n"));
    out.push_str(&format!("{indent}  label={};\n", quoted(&label)));
    for child in &one.children {
        node(graph, *child, depth + 1, out);
    }
    // Graphviz draws nothing for a cluster without a node.
    if one.children.is_empty() {
        out.push_str(&format!("{indent}  e{at} [label=\"\", style=invis];\n"));
    }
    for pair in one.children.windows(2) {
        if let (Some(last), Some(first)) = (end(graph, pair[0], true), end(graph, pair[1], false)) {
            out.push_str(&format!("{indent}  n{last} -> n{first};\n"));
        }
    }
    out.push_str(&format!("{indent}}}\n"));
}

/// The first or the last task in a node.
fn end(graph: &Graph, at: usize, last: bool) -> Option<usize> {
    let one = &graph.nodes[at];
    if !one.kind.holds() {
        return Some(at);
    }
    let find = |child: &usize| end(graph, *child, last);
    match last {
        true => one.children.iter().rev().find_map(find),
        false => one.children.iter().find_map(find),
    }
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}
