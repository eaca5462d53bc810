//! Prints the answers to single questions.

use std::fmt::Write;

use serde_json::{Value, json};

use super::role_name;
use crate::{
    access::{
        Blast, Graph, Readers,
        verdict::{Verdict, count, some},
    },
    table::{Table, escaped},
};

/// What a compromised pod reaches, for a terminal.
pub fn blast_table(graph: &Graph, blast: &Blast, columns: Option<usize>) -> String {
    let can = |of: fn(&super::super::questions::ReachedSecret) -> &Verdict| {
        blast.secrets.iter().filter(|secret| *of(secret) == Verdict::Allowed).count()
    };
    let (read, write) = (can(|secret| &secret.powers.read), can(|secret| &secret.powers.write));
    let mut text = format!(
        "A pod of service account {} can act as {}, read {} and change {}.\n",
        escaped(&blast.account),
        count(blast.roles.len(), "role"),
        count(read, "secret"),
        write,
    );
    if !blast.unknown.is_empty() {
        let _ = writeln!(
            text,
            "It also asks for {}; what its role allows is not known.",
            escaped(&some(&blast.unknown))
        );
    }
    if !blast.roles.is_empty() {
        let mut table = Table::new(["ROLE", "BY", "CERTAIN"]);
        for role in &blast.roles {
            table.row([role.arn.clone(), role_name(&role.by).to_owned(), role.verdict.cell()]);
        }
        let _ = write!(text, "\n{}", table.print(columns, &[0, 1, 2]));
    }
    if !blast.secrets.is_empty() {
        let mut table = Table::new(["SECRET", "READ", "WRITE", "DECRYPT", "ROLES"]);
        for reached in &blast.secrets {
            let decrypt =
                reached.powers.decrypt.as_ref().map_or_else(|| "not needed".to_owned(), Verdict::cell);
            table.row([
                graph.secrets[reached.secret].id.to_string(),
                reached.powers.read.cell(),
                reached.powers.write.cell(),
                decrypt,
                some(reached.roles.iter().map(|role| role_name(role))),
            ]);
        }
        let _ = write!(text, "\n{}", table.print(columns, &[0, 1, 2, 3, 4]));
    }
    text
}

/// What a compromised pod reaches, as JSON.
pub fn blast_json(graph: &Graph, blast: &Blast) -> String {
    let roles = blast
        .roles
        .iter()
        .map(|role| json!({"arn": role.arn, "by": role.by, "assume": answer(&role.verdict)}));
    let secrets = blast.secrets.iter().map(|reached| {
        let mut entry = secret(graph, reached.secret);
        entry["read"] = answer(&reached.powers.read);
        entry["write"] = answer(&reached.powers.write);
        entry["decrypt"] = reached.powers.decrypt.as_ref().map_or(Value::Null, answer);
        entry["roles"] = json!(reached.roles);
        entry
    });
    pretty(&json!({
        "version": 1,
        "account": blast.account,
        "assumptions": graph.assumptions,
        "roles": roles.collect::<Vec<_>>(),
        "secrets": secrets.collect::<Vec<_>>(),
        "asked_with_unknown_role": blast.unknown,
    }))
}

/// Who can read the secrets of one name, for a terminal.
pub fn readers_table(graph: &Graph, all: &[Readers], columns: Option<usize>) -> String {
    let mut text = String::new();
    for readers in all {
        let secret = &graph.secrets[readers.secret];
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{}: {} ask for it or can read it, and {} besides theirs.",
            escaped(&secret.id.to_string()),
            count(readers.accounts.len(), "service account"),
            count(readers.other_roles.len(), "role"),
        );
        if !readers.accounts.is_empty() {
            let mut table = Table::new(["SERVICE ACCOUNT", "CLASSES", "ROLES", "CAN READ"]);
            for reading in &readers.accounts {
                let classes =
                    if reading.classes.is_empty() { "none asks".to_owned() } else { some(&reading.classes) };
                let roles: Vec<&str> = reading.roles.iter().map(|role| role_name(role)).collect();
                let roles = if roles.is_empty() { "not known".to_owned() } else { roles.join(" → ") };
                table.row([reading.account.clone(), classes, roles, reading.read.clone()]);
            }
            let _ = write!(text, "\n{}", table.print(columns, &[0, 1, 2, 3]));
        }
        if !readers.other_roles.is_empty() {
            let mut table = Table::new(["OTHER ROLE", "CAN READ", "ASSUMED BY"]);
            for other in &readers.other_roles {
                let by = if other.assumed_by.is_empty() {
                    "none of these".to_owned()
                } else {
                    some(&other.assumed_by)
                };
                table.row([other.arn.clone(), other.read.cell(), by]);
            }
            let _ = write!(text, "\n{}", table.print(columns, &[0, 1, 2]));
        }
    }
    text
}

/// Who can read the secrets of one name, as JSON.
pub fn readers_json(graph: &Graph, all: &[Readers]) -> String {
    let secrets = all.iter().map(|readers| {
        let mut entry = secret(graph, readers.secret);
        let accounts = readers.accounts.iter().map(|reading| {
            json!({
                "account": reading.account,
                "classes": reading.classes,
                "roles": reading.roles,
                "read": reading.read,
            })
        });
        entry["accounts"] = accounts.collect();
        let others = readers.other_roles.iter().map(
            |other| json!({"arn": other.arn, "read": answer(&other.read), "assumed_by": other.assumed_by}),
        );
        entry["other_roles"] = others.collect();
        entry
    });
    pretty(&json!({"version": 1, "assumptions": graph.assumptions, "secrets": secrets.collect::<Vec<_>>()}))
}

fn secret(graph: &Graph, index: usize) -> Value {
    let id = &graph.secrets[index].id;
    json!({"kind": id.kind(), "name": id.name, "region": id.region, "account": id.account})
}

fn answer(verdict: &Verdict) -> Value {
    json!(super::json::Answer::from(verdict))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
