//! A graph as a picture: boxes in boxes from top to bottom, and the edges across on the right.

use super::{Graph, Kind, Tie};
use crate::report::junit::attribute;

/// How wide the outermost boxes are.
const WIDTH: usize = 640;
/// The height of a task.
const ROW: usize = 30;
/// The height of the heading of a box.
const HEAD: usize = 32;
/// Between boxes, and between a box and what is in it.
const GAP: usize = 7;
/// Between two edges that run side by side.
const LANE: usize = 11;
/// About the width of a letter of a label, and of a note, in tenths.
const LETTER: usize = 76;
const SMALL: usize = 68;

/// Colours that follow those of the reader's system.
const STYLE: &str = "\
.rg{font:13px system-ui,'Segoe UI','DejaVu Sans',sans-serif;color-scheme:light dark;\
--rg-ink:#1b1f27;--rg-muted:#5b6472;--rg-line:#d5d9e1;--rg-box:#fff;--rg-0:#f6f7f9;--rg-1:#eef1f6;--rg-2:#f8f9fb;--rg-edge:#2f5bd7;\
--rg-o:#2b8a5f;--rg-c:#b26a00;--rg-f:#cf2a3a;--rg-u:#7a3ec8;--rg-q:#1a73b8;--rg-s:#8a929f}\
@media(prefers-color-scheme:dark){.rg{--rg-ink:#e6e9ef;--rg-muted:#9aa4b3;--rg-line:#323a47;--rg-box:#1e2530;--rg-0:#12161d;--rg-1:#171d26;\
--rg-2:#1b222c;--rg-edge:#86a6ff;--rg-o:#4cc38a;--rg-c:#f0a93b;--rg-f:#ff6b76;--rg-u:#b694ff;--rg-q:#58b1f0;--rg-s:#727c8b}}\
.rg rect{stroke:var(--rg-line)}.rg text{fill:var(--rg-ink)}.rg .h{font-weight:600}.rg .n{fill:var(--rg-muted);font-size:12px}\
.rg .t rect,.rg .k rect{fill:var(--rg-box)}.rg .k rect:not(.b){rx:15px}.rg .d0{fill:var(--rg-0)}.rg .d1{fill:var(--rg-1)}.rg .d2{fill:var(--rg-2)}\
.rg .b{stroke:none}.rg .e{fill:none;stroke:var(--rg-edge);stroke-width:1.4;opacity:.75}.rg .notifies{stroke-dasharray:5 3}\
.rg .unknown{stroke-dasharray:1.5 3}.rg marker path{fill:var(--rg-edge)}";

/// The text.
pub(super) fn text(graph: &Graph) -> String {
    let mut page = Page {
        graph,
        boxes: vec![None; graph.nodes.len()],
        out: String::new(),
    };
    let mut y = GAP;
    for root in &graph.roots {
        y = page.node(*root, GAP, y, 0) + GAP;
    }
    let (edges, right) = page.edges();
    let width = right + 2 * GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"rg\" width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\" role=\"img\" \
         aria-label=\"Plays, roles and tasks\"><style>{STYLE}</style><defs><marker id=\"rg-end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n{}{edges}</svg>\n",
        page.out
    )
}

struct Page<'a> {
    graph: &'a Graph,
    /// Where a node has been drawn: its right side and its middle.
    boxes: Vec<Option<(usize, usize)>>,
    out: String,
}

impl Page<'_> {
    /// Draws a node and what is in it; where it ends.
    fn node(&mut self, at: usize, x: usize, y: usize, depth: usize) -> usize {
        let graph = self.graph;
        let one = &graph.nodes[at];
        let width = WIDTH.saturating_sub(2 * depth * GAP).max(240);
        if !one.kind.holds() {
            self.task(at, x, y, width);
            return y + ROW;
        }
        // Its height is known when all in it is drawn, and it has to be behind them.
        let start = self.out.len();
        let mut below = y + HEAD;
        for child in &one.children {
            below = self.node(*child, x + GAP, below, depth + 1) + GAP;
        }
        let end = below.max(y + HEAD + 2);
        let mut own = format!(
            "<g><title>{}</title><rect class=\"d{}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" rx=\"9\"/>",
            attribute(&[one.label.as_str(), one.note.as_str()].join("  ")),
            depth.min(1) + (depth > 0 && depth.is_multiple_of(2)) as usize,
            end - y
        );
        let word = match one.kind {
            Kind::Play => "Play ",
            Kind::Role => "Role ",
            Kind::Playbook => "Playbook ",
            _ => "",
        };
        own.push_str(&words(
            x,
            y + 21,
            width,
            "h",
            &format!("{word}{}", one.label),
            &one.note,
        ));
        own.push_str("</g>\n");
        self.out.insert_str(start, &own);
        self.boxes[at] = Some((x + width, y + HEAD / 2));
        end
    }

    fn task(&mut self, at: usize, x: usize, y: usize, width: usize) {
        let one = &self.graph.nodes[at];
        let class = match one.kind {
            Kind::Handler => "k",
            _ => "t",
        };
        let number = one
            .task
            .map_or_else(String::new, |(task, _)| format!(" data-task=\"{task}\""));
        self.out.push_str(&format!(
            "<g class=\"{class}\"{number}><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{ROW}\" rx=\"7\"/>",
            attribute(&[one.label.as_str(), one.note.as_str()].join("  "))
        ));
        if let Some((_, state)) = one.task {
            self.out.push_str(&format!(
                "<rect class=\"b\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\" rx=\"2\" style=\"fill:var(--rg-{state})\"/>",
                x + 6,
                y + 7,
                ROW - 14
            ));
        }
        let text = words(x + 6, y + 20, width - 6, "l", &one.label, &one.note);
        self.out.push_str(&text);
        self.out.push_str("</g>\n");
        self.boxes[at] = Some((x + width, y + ROW / 2));
    }

    /// The edges, each in a lane in which no other one is beside it; and where the last lane is.
    fn edges(&self) -> (String, usize) {
        let mut out = String::new();
        let mut lanes: Vec<Vec<(usize, usize)>> = vec![];
        let known = self
            .graph
            .edges
            .iter()
            .filter_map(|(from, to, tie)| Some((self.boxes[*from]?, self.boxes[*to]?, *tie)));
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|((_, from), (_, to), _)| from.abs_diff(*to));
        let first = GAP + WIDTH;
        for ((x, y), (to_x, to_y), tie) in known {
            let (top, bottom) = (y.min(to_y), y.max(to_y));
            let free = |lane: &Vec<(usize, usize)>| {
                lane.iter()
                    .all(|(start, end)| bottom < *start || top > *end)
            };
            let lane = lanes.iter().position(free).unwrap_or(lanes.len());
            if lane == lanes.len() {
                lanes.push(vec![]);
            }
            lanes[lane].push((top, bottom));
            let side = first + (lane + 1) * LANE;
            let bend = if to_y > y {
                (y + 6, to_y - 6)
            } else {
                (y.saturating_sub(6), to_y + 6)
            };
            let class = match tie {
                Tie::Notifies => "notifies",
                Tie::Unknown => "unknown",
            };
            out.push_str(&format!(
                "<path class=\"e {class}\" marker-end=\"url(#rg-end)\" d=\"M{x} {y}H{}Q{side} {y} {side} {}V{}Q{side} {to_y} {} {to_y}H{}\"><title>{}</title></path>\n",
                side - 6,
                bend.0,
                bend.1,
                side - 6,
                to_x + 1,
                tie.word()
            ));
        }
        (out, first + lanes.len() * LANE)
    }
}

/// A label on the left and a note on the right; the note gives way.
fn words(x: usize, y: usize, width: usize, class: &str, label: &str, note: &str) -> String {
    let room = (width - 30) * 10;
    let label = cut(label, room / LETTER);
    let left = room.saturating_sub(label.chars().count() * LETTER + 200) / SMALL;
    let mut out = format!(
        "<text class=\"{class}\" x=\"{}\" y=\"{y}\">{}</text>",
        x + 12,
        attribute(&label)
    );
    if !note.is_empty() && left > 8 {
        out.push_str(&format!(
            "<text class=\"n\" text-anchor=\"end\" x=\"{}\" y=\"{y}\">{}</text>",
            x + width - 12,
            attribute(&cut(note, left))
        ));
    }
    out
}

/// A text of at most so many letters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}
