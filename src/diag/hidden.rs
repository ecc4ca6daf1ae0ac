//! Lines that an excerpt leaves out: those of tasks and plays with `no_log`.

use super::Source;

/// How far around a line its task is looked for.
const REACH: usize = 1000;

/// Whether a line belongs to a list item, such as a task or a play, that says `no_log`.
///
/// An excerpt has lines of the tasks before the one it is about, of which nothing but their text is known.
pub(super) fn by_no_log(source: &Source, number: usize) -> bool {
    if !source.text.contains("no_log") {
        return false;
    }
    let mut inside = usize::MAX;
    for start in (number.saturating_sub(REACH).max(1)..=number).rev() {
        let line = source.line(start);
        let Some(rest) = line.trim_start().strip_prefix('-') else {
            // A line less indented than an item closes it: what stands above is around both.
            if start == number {
                inside = indent(line);
            }
            continue;
        };
        let dash = indent(line);
        if dash >= inside && start != number {
            continue;
        }
        inside = dash;
        let key = dash + 1 + indent(rest);
        let after = (start + 1..start + REACH).map(|number| source.line(number));
        let own = after.take_while(|line| line.trim().is_empty() || indent(line) > dash);
        let mut own = own.filter(|line| indent(line) == key).map(str::trim_start);
        if hides(rest.trim_start()) || own.any(hides) {
            return true;
        }
        if dash == 0 {
            break;
        }
    }
    false
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether a line sets `no_log` to anything but what is certainly false.
fn hides(line: &str) -> bool {
    let value = line.strip_prefix("no_log:").map(str::trim);
    value.is_some_and(|value| !matches!(value, "false" | "False" | "no" | "No" | "off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_hidden_tasks_are_found() {
        let text = "\
- hosts: all
  tasks:
    - name: one
      debug: msg=pw
      no_log: true
    - debug: msg=x
    - block:
        - debug:
            msg: pw
      no_log: yes
    - debug: msg=x
      no_log: false
";
        let source = Source::new("p.yml", text);
        let hidden: Vec<usize> = (1..=12).filter(|line| by_no_log(&source, *line)).collect();
        assert_eq!(hidden, [3, 4, 5, 7, 8, 9, 10]);
    }
}
