//! A section for each finding of each command.

use latchkey::{explain::rules, findings::Rule};

pub(crate) fn sections() -> String {
    let mut text = String::new();
    for (command, rules) in rules() {
        text.push_str(&format!("## Findings of `latchkey {command}`\n\n"));
        for Rule { id, severity, title, fix } in rules {
            let (title, fix) = (escaped(title), escaped(fix));
            text.push_str(&format!(
                "### {id}\n\n{}. {title}\n\n**Fix:** {fix}\n\n",
                capital(severity.as_str())
            ));
        }
    }
    text
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('_', "\\_")
}
