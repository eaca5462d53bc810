use super::*;

static RULE: Rule = Rule {
    id: "unmounted-secret-object",
    severity: Severity::Error,
    title: "A synced Secret names a file that is not mounted.",
    fix: "Name a mounted file.",
};
static NOTE: Rule =
    Rule { id: "good-to-know", severity: Severity::Note, title: "Something to know.", fix: "" };

fn findings() -> Vec<Finding> {
    let place = Place {
        file: Some(FilePlace { file: "./a,b/c:d.yaml".to_owned(), line: 3, column: 7 }),
        object: Some(ObjectName {
            kind: "SecretProviderClass".to_owned(),
            namespace: "shop".to_owned(),
            name: "db".to_owned(),
        }),
    };
    let hostile = "100 % | `x`\n::error::injected <b>*bold*</b> \u{1b}[31m";
    let whole =
        Place { file: Some(FilePlace { file: "x.yaml".to_owned(), line: 0, column: 0 }), object: None };
    vec![
        Finding::new(&RULE, place, hostile.to_owned()),
        Finding::new(&RULE, whole, "plain".to_owned()).with_fix("Do it.".to_owned()),
        Finding::new(&NOTE, Place::default(), "nowhere".to_owned()),
    ]
}

#[test]
fn github_reads_one_command_for_each_finding() {
    let text = github(&findings());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(
        lines[0],
        "::error file=a%2Cb/c%3Ad.yaml,line=3,col=7,title=latchkey%3A unmounted-secret-object::SecretProviderClass shop/db: 100 %25 | `x`%0A::error::injected <b>*bold*</b> \u{1b}[31m%0AFix: Name a mounted file."
    );
    assert_eq!(
        lines[1],
        "::error file=x.yaml,title=latchkey%3A unmounted-secret-object::plain%0AFix: Do it."
    );
    assert_eq!(lines[2], "::notice title=latchkey%3A good-to-know::nowhere");
}

#[test]
fn sarif_names_each_rule_once_and_each_place() {
    let log: serde_json::Value = serde_json::from_str(&sarif(&findings())).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let place = &run["results"][0]["locations"][0];
    assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "a%2Cb/c%3Ad.yaml");
    assert_eq!(place["physicalLocation"]["region"], serde_json::json!({"startLine": 3, "startColumn": 7}));
    assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "SecretProviderClass shop/db");
    assert_eq!(run["results"][2].get("locations"), None);
}

#[test]
fn markdown_is_one_row_for_each_finding() {
    let text = markdown(&findings());
    assert!(text.starts_with("**2 errors, 1 note**\n"), "{text}");
    assert_eq!(text.lines().count(), 2 + 2 + 3, "{text}");
    assert!(!text.contains("<b>") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains(r"100 % \| \`x\`"), "{text}");
}

#[test]
fn less_than_the_chosen_severity_does_not_fail() {
    let findings = findings();
    assert!(fail(&findings));
    assert!(!fail(&findings[2..]));
    assert!(fail_at(&findings[2..], Severity::Note));
    assert!(fail_at(&findings, Severity::Error));
    assert!(!fail_at(&[], Severity::Note));
}
