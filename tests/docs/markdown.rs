//! Markdown: what a page has, and text that is safe in a table.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Where a page leads, and where in it others can lead.
pub(crate) struct Page {
    /// Targets of its links and images, as they are written.
    pub(crate) links: Vec<String>,
    /// The anchors of its headings, as GitHub and mdBook name them.
    pub(crate) anchors: Vec<String>,
}

impl Page {
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self { links: Vec::new(), anchors: Vec::new() };
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = page.anchor(&heading.take().unwrap_or_default());
                    page.anchors.push(anchor);
                }
                _ => {}
            }
        }
        page
    }

    /// A heading that stands twice gets a number the second time.
    fn anchor(&self, heading: &str) -> String {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let plain: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        names.find(|name| !self.anchors.contains(name)).unwrap_or(plain)
    }
}

/// Code in a table.
pub(crate) fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Text in a table: one line, flags as code, and nothing of it taken for markup but code.
pub(crate) fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = line.split('`').enumerate().map(|(number, part)| match number % 2 {
        0 => part.split(' ').map(word).collect::<Vec<_>>().join(" "),
        _ => code(part),
    });
    parts.collect()
}

fn word(word: &str) -> String {
    let plain = word.trim_end_matches([',', '.', ';', ':', ')', ']']);
    let code_like = plain.starts_with("--") || plain.starts_with('=') || plain.contains(['*', '<', '_']);
    if code_like && !plain.is_empty() {
        return format!("{}{}", code(plain), &word[plain.len()..]);
    }
    word.replace('|', "\\|")
}

#[test]
fn anchors_are_those_of_github_and_mdbook() {
    let page =
        Page::parse("# At 3 a.m.\n\n## Flags of `serve`\n\n## 2. Install Latchkey\n\n## Flags of serve\n");
    assert_eq!(page.anchors, ["at-3-am", "flags-of-serve", "2-install-latchkey", "flags-of-serve-1"]);
}

#[test]
fn a_cell_shows_flags_and_patterns_as_code() {
    assert_eq!(
        cell("Used with --region=x, or eu-*;\nsee `a|b`"),
        "Used with `--region=x`, or `eu-*`; see `a\\|b`"
    );
}
