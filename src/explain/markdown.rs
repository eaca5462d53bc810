//! As much of Markdown as the book's tables and runbooks use.

/// A table, or the text below a heading.
#[derive(Debug)]
pub(super) enum Block<'a> {
    Heading(&'a str),
    /// An HTML comment, without its marks.
    Comment(&'a str),
    /// Rows of cells, the first with the titles.
    Table(Vec<Vec<&'a str>>),
    Line(&'a str),
}

/// The blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        if is_code {
            blocks.push(Block::Line(line));
        } else if let Some(heading) = line.strip_prefix('#') {
            blocks.push(Block::Heading(heading.trim_start_matches('#').trim()));
        } else if let Some(comment) = comment {
            blocks.push(Block::Comment(comment));
        } else if line.starts_with('|') {
            match blocks.last_mut() {
                Some(Block::Table(rows)) => rows.push(cells(line)),
                _ => blocks.push(Block::Table(vec![cells(line)])),
            }
        } else {
            blocks.push(Block::Line(line));
        }
    }
    for block in &mut blocks {
        if let Block::Table(rows) = block {
            rows.retain(|row| {
                !row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)))
            });
        }
    }
    blocks
}

/// The cells of a row. A `|` after a backslash does not end a cell.
fn cells(row: &str) -> Vec<&str> {
    let (mut cells, mut from, mut escaped) = (Vec::new(), 1, false);
    for (at, c) in row.char_indices().skip(1) {
        if c == '|' && !escaped {
            cells.push(row[from..at].trim());
            from = at + 1;
        }
        escaped = c == '\\';
    }
    cells
}

/// The code in a cell, in the order of the text.
pub(super) fn codes(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|code| code.replace("\\|", "|")).collect()
}

/// The text without marks: code, emphasis, and the targets of links.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let link = rest[at..].find("](").and_then(|end| {
            let close = rest[at + end..].find(')')?;
            Some((&rest[at + 1..at + end], at + end + close + 1))
        });
        let Some((words, end)) = link.filter(|(words, _)| !words.contains('[')) else {
            plain.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        plain.push_str(&rest[..at]);
        plain.push_str(words);
        rest = &rest[end..];
    }
    plain.push_str(rest);
    plain.replace("\\|", "|").replace('`', "").replace("**", "").trim().to_owned()
}

/// The anchor of a heading, as GitHub and mdBook name it.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_removed_and_links_keep_their_words() {
        let text = r"**See** [The `Region`](region.md) in `a\|b` [env: `X`]. [below](#example)";
        assert_eq!(plain(text), "See The Region in a|b [env: X]. below");
    }

    #[test]
    fn a_table_has_its_titles_first_and_keeps_escaped_bars() {
        let page = "# T\n| A | B |\n|---|---|\n| `x` | y\\|z |\n";
        let blocks = blocks(page);
        let [Block::Heading("T"), Block::Table(rows)] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!(*rows, [vec!["A", "B"], vec!["`x`", r"y\|z"]]);
    }
}
