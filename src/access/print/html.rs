//! The report as one HTML page that needs nothing else: no network, no other file.

use super::{Report, json::compact};

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
/// One program, in a block of its own so that it defines nothing else in the page.
const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("../page/graph.js"),
    include_str!("../page/picture.js"),
    include_str!("../page/beside.js"),
    include_str!("../page/controls.js"),
    "}\n"
);

/// The page.
pub fn html(report: &Report<'_>) -> String {
    // In the order of the page: what is inserted is not searched again.
    let parts = [
        ("/*STYLE*/", STYLE.to_owned()),
        ("/*DATA*/", for_script(&compact(report))),
        ("/*SCRIPT*/", SCRIPT.to_owned()),
    ];
    let mut page = String::new();
    let mut rest = PAGE;
    for (mark, text) in parts {
        let Some((before, after)) = rest.split_once(mark) else { continue };
        page.push_str(before);
        page.push_str(&text);
        rest = after;
    }
    page + rest
}

/// JSON that cannot end the script element it is in, nor begin a comment: such characters
/// occur in texts only, where JSON has an escape for them.
fn for_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_script() {
        let json = serde_json::to_string("</script><!-- & \u{2028}").unwrap();
        let escaped = for_script(&json);
        assert!(!escaped.contains(['<', '>', '&', '\u{2028}']), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), "</script><!-- & \u{2028}");
    }

    #[test]
    fn the_page_has_its_three_marks_in_order() {
        let places = ["/*STYLE*/", "/*DATA*/", "/*SCRIPT*/"].map(|mark| PAGE.find(mark).unwrap());
        assert!(places.is_sorted(), "{places:?}");
    }
}
