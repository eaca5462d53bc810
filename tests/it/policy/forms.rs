//! The other forms, as their own tools read them.

use std::process::Command;

use super::ministack::program;

fn policy(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("policy")
        .args(arguments)
        .output()
        .unwrap()
}

/// Every example, for one service account, with all that can be in a plan.
fn all(form: &str) -> String {
    let output = policy(&[
        "examples/",
        "--service-account=shop/cart",
        "--account=111122223333",
        "--region=us-east-1",
        "--oidc-provider=https://oidc.eks.us-east-1.amazonaws.com/id/0123ABCD",
        "--kms-key=arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000",
        "-o",
        form,
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn terraform_finds_nothing_to_format() {
    if !Command::new("terraform").arg("version").output().is_ok_and(|output| output.status.success()) {
        return println!("terraform is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.tf");
    std::fs::write(&file, all("terraform")).unwrap();
    let output = Command::new("terraform").args(["fmt", "-check", "-diff"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn cfn_lint_finds_nothing_wrong() {
    let Some(cfn_lint) = program("cfn-lint") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, all("cloudformation")).unwrap();
    let output = Command::new(cfn_lint).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
