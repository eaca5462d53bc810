//! Detects unknown keys that look as if they chose an identity. AWS's own provider
//! ignores every unknown key. Ignoring one of these would read secrets with a
//! different role than the author of the class intended.

use super::spelling::distance;

/// The parameters that choose an identity.
const KNOWN: [&str; 4] = ["roleArn", "assumeRoleArn", "assumeRoleExternalId", "usePodIdentity"];
/// Parts that mean an identity anywhere in a key.
const STEMS: [&str; 14] = [
    "rolearn",
    "rolename",
    "rolesession",
    "iamrole",
    "assume",
    "externalid",
    "identity",
    "irsa",
    "credential",
    "principal",
    "impersonat",
    "serviceaccount",
    "sessionname",
    "accesskey",
];
/// Words that mean an identity only as a whole, because innocent keys contain them.
const WORDS: [&str; 4] = ["role", "roles", "iam", "profile"];
/// Maximum length of a key that is compared letter by letter.
const MAX_COMPARED: usize = 40;

/// The error for an unknown key that looks as if it chose an identity; `None` for
/// other keys.
pub(super) fn refusal(key: &str) -> Option<String> {
    let plain = plain(key);
    let near = nearest(&plain);
    if near.is_none()
        && !STEMS.iter().any(|stem| plain.contains(stem))
        && !WORDS.iter().any(|word| is_a_word_of(word, key, &plain))
    {
        return None;
    }
    let remedy = match near {
        Some(known) => format!("did you mean {known}?"),
        None => format!("the parameters of a class that choose an identity are {}", KNOWN.join(", ")),
    };
    Some(format!(
        "this key is unknown, and it looks as if it chose an identity. If it were ignored, secrets would be read with another identity: {remedy}"
    ))
}

/// The letters and digits in lower case.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether `word` is a separate word in `key`, between capitals or separators. "role"
/// also counts at either end of a key without capitals or separators.
fn is_a_word_of(word: &str, key: &str, plain: &str) -> bool {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in key.chars() {
        if !c.is_ascii_alphanumeric() || c.is_ascii_uppercase() && was_lower {
            words.push(String::new());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(last) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            last.push(c.to_ascii_lowercase());
        }
    }
    let at_an_end = word.starts_with("role") && (plain.starts_with(word) || plain.ends_with(word));
    at_an_end || words.iter().any(|found| found == word)
}

/// The parameter that `plain` is a typo or a part of.
fn nearest(plain: &str) -> Option<&'static str> {
    if plain.len() > MAX_COMPARED {
        return None;
    }
    let typos = |known: &str| distance(plain, &known.to_ascii_lowercase());
    let by_typo = KNOWN.into_iter().map(|known| (typos(known), known)).min()?;
    if by_typo.0 <= by_typo.1.len() / 3 {
        return Some(by_typo.1);
    }
    let part_of = |known: &&str| {
        let known = known.to_ascii_lowercase();
        plain.len() >= "role".len() && (known.contains(plain) || plain.contains(&known))
    };
    // "assumeRole" is a part of two parameters. The shorter one is more likely.
    KNOWN.into_iter().filter(part_of).min_by_key(|known| known.len().abs_diff(plain.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_suggest_the_intended_parameter() {
        for (key, known) in [
            ("rolearn", "roleArn"),
            ("RoleARN", "roleArn"),
            ("role_arn", "roleArn"),
            ("role-arn", "roleArn"),
            ("roelArn", "roleArn"),
            ("roleAnr", "roleArn"),
            ("rolArn", "roleArn"),
            ("role", "roleArn"),
            ("Role", "roleArn"),
            ("awsRoleArn", "roleArn"),
            ("iamRoleArn", "roleArn"),
            ("eks.amazonaws.com/role-arn", "roleArn"),
            ("AssumeRoleArn", "assumeRoleArn"),
            ("assume_role_arn", "assumeRoleArn"),
            ("asumeRoleArn", "assumeRoleArn"),
            ("assumeRole", "assumeRoleArn"),
            ("assumeRoleARNs", "assumeRoleArn"),
            ("assumedRoleArn", "assumeRoleArn"),
            ("externalId", "assumeRoleExternalId"),
            ("external_id", "assumeRoleExternalId"),
            ("assumeRoleExternalID", "assumeRoleExternalId"),
            ("usepodidentity", "usePodIdentity"),
            ("usePodIdentty", "usePodIdentity"),
            ("podIdentity", "usePodIdentity"),
            ("usePodIdentities", "usePodIdentity"),
        ] {
            let refusal = refusal(key).unwrap_or_else(|| panic!("{key}"));
            assert!(refusal.ends_with(&format!("did you mean {known}?")), "{key}: {refusal}");
        }
    }

    #[test]
    fn an_unknown_key_about_an_identity_is_refused() {
        for key in [
            "roleSessionName",
            "iamRole",
            "targetRole",
            "targetrole",
            "roleName",
            "useIRSA",
            "assumeRoleDurationSeconds",
            "serviceAccountName",
            "awsProfile",
            "accessKeyId",
            "credentials",
            "principal",
            &format!("role{}", "x".repeat(10_000)),
        ] {
            assert!(refusal(key).is_some(), "{key}");
        }
    }

    #[test]
    fn other_unknown_keys_are_not_about_an_identity() {
        for key in [
            "",
            "x",
            "Region",
            "regoin",
            "failoverregion",
            "objectAlas",
            "controller",
            "hosts",
            "diameter",
            "providerName",
            "vaultAddress",
            "tenantId",
            "keyvaultName",
            "rotationPollInterval",
            "secretObjects",
            "ärolle",
        ] {
            assert_eq!(refusal(key), None, "{key}");
        }
    }
}
