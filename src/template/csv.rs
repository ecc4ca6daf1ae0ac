//! CSV text as Python's `csv` reads it.

/// How CSV text is read.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) delimiter: char,
    /// Whether blanks behind a delimiter are left out.
    pub(crate) skip_blanks: bool,
    /// Whether text behind a closing quote, and a quote that stays open, are errors.
    pub(crate) strict: bool,
}

/// The rows of a text; an empty line is a row without cells.
pub(crate) fn rows(text: &str, style: Style) -> Result<Vec<Vec<String>>, String> {
    let (mut rows, mut row, mut cell) = (vec![], vec![], String::new());
    // `started`: something of this row was read; `closed`: a quote was closed in this cell.
    let (mut quoted, mut started, mut closed) = (false, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' if quoted => (quoted, closed) = (false, true),
            c if quoted => cell.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => {
                if started {
                    row.push(std::mem::take(&mut cell));
                }
                rows.push(std::mem::take(&mut row));
                (started, closed) = (false, false);
            }
            c if c == style.delimiter => {
                row.push(std::mem::take(&mut cell));
                (started, closed) = (true, false);
            }
            _ if closed && style.strict => {
                return Err(format!("'{}' expected after '\"'", style.delimiter));
            }
            '"' if cell.is_empty() && !closed => (quoted, started) = (true, true),
            ' ' if style.skip_blanks && cell.is_empty() && !closed => started = true,
            c => {
                cell.push(c);
                started = true;
            }
        }
    }
    if quoted && style.strict {
        return Err("unexpected end of data".to_owned());
    }
    if started {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}
