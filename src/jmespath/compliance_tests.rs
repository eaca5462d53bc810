//! The complete official compliance suite of JMESPath, from the sources of the
//! `jmespath` crate, which includes it.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value as Json;

use super::{Document, Expression, Fuel};

/// How many cases the suite has. With fewer, a part of it is missing.
const CASES: usize = 700;

/// The folder of the suite.
fn suite() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo's metadata is JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let package =
        packages.iter().find(|package| package["name"] == "jmespath").expect("jmespath is a dependency");
    let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a package has a manifest"));
    manifest.with_file_name("tests").join("compliance")
}

/// Latchkey's result for a case: the JSON that it writes, or an error.
fn answer(expression: &str, given: &Json) -> Result<Json, String> {
    // A string is written without quotes, and null is not written. Within a list both are JSON.
    let expression = Expression::parse(expression).map_err(|error| error.to_string())?;
    let given = given.to_string();
    let fuel = &mut Fuel::new(&|| false);
    let document = Document::parse(given.as_bytes(), fuel).map_err(|error| error.to_string())?;
    let json = expression.search_json(&document, fuel).map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(&json).expect("a result is JSON"))
}

/// Numbers are equal if they are the same float: `6` and `6.0`.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn the_official_suite_passes() {
    let suite = suite();
    let files = fs::read_dir(&suite).unwrap_or_else(|error| panic!("{}: {error}", suite.display()));
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in files {
        let file = file.unwrap().path();
        let groups: Vec<Json> = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for group in groups {
            for case in group["cases"].as_array().unwrap() {
                // Benchmark cases have no expected result, and some are not valid JMESPath.
                if case.get("bench").is_some() {
                    continue;
                }
                cases += 1;
                let expression = case["expression"].as_str().unwrap();
                let answer = answer(expression, &group["given"]);
                let right = match (&answer, case.get("result"), case.get("error")) {
                    (Ok(answer), Some(result), _) => equal(answer, result),
                    (answer, None, Some(_)) => answer.is_err(),
                    _ => false,
                };
                if !right {
                    wrong.push(format!("{}: {expression}\n  {answer:?}\n  {case}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= CASES, "the suite has only {cases} cases");
}
