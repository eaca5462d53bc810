//! Finds the policies in what AWS's command line prints: a policy alone, or the answer of
//! `get-role-policy`, `get-policy-version`, `get-role`, `get-account-authorization-details`,
//! `secretsmanager get-resource-policy` or `kms get-key-policy`.

use super::{
    document::{Policy, PolicyError},
    json::Json,
};

/// Keys whose value is a policy, as an object or as a text.
const POLICY_KEYS: [&str; 5] =
    ["PolicyDocument", "Document", "AssumeRolePolicyDocument", "ResourcePolicy", "Policy"];
/// Keys that name the policies next to them, the most telling first.
const NAME_KEYS: [&str; 4] = ["PolicyName", "RoleName", "Name", "VersionId"];

/// Reads all policies of a text: one document, a list of documents, several texts one after
/// the other is not one of these forms.
///
/// # Errors
/// The place of the first problem; also if there is no policy at all.
pub fn documents(text: &str) -> Result<Vec<Policy>, PolicyError> {
    let json = Json::parse(text)?;
    let mut found = Vec::new();
    collect(&json, "", &mut found)?;
    if found.is_empty() {
        let problem = "contains no policy: expected a document with Statement, or the answer of a command such as aws iam get-role-policy";
        return Err(PolicyError::new("the document", problem));
    }
    Ok(found)
}

fn collect(json: &Json, name: &str, found: &mut Vec<Policy>) -> Result<(), PolicyError> {
    match json {
        Json::List(items) => items.iter().try_for_each(|item| collect(item, name, found)),
        Json::Map(_) if json.get("Statement").is_some() => {
            found.push(Policy::of_json(name.to_owned(), json).map_err(|error| within(name, error))?);
            Ok(())
        }
        Json::Map(entries) => {
            let own = NAME_KEYS.iter().find_map(|key| json.get(key)?.text()).unwrap_or(name);
            for (key, value) in entries {
                match value {
                    Json::Text(text) if POLICY_KEYS.contains(&key.as_str()) => {
                        let place = if own.is_empty() { key.as_str() } else { own };
                        let inner = Json::parse(&decoded(text)).map_err(|error| within(place, error))?;
                        collect(&inner, own, found)?;
                    }
                    Json::List(_) | Json::Map(_) => collect(value, own, found)?,
                    Json::Null | Json::Text(_) => {}
                }
            }
            Ok(())
        }
        Json::Null | Json::Text(_) => Ok(()),
    }
}

fn within(name: &str, error: PolicyError) -> PolicyError {
    if name.is_empty() {
        return error;
    }
    PolicyError { place: format!("{name}: {}", error.place), ..error }
}

/// IAM's API returns documents percent-encoded (RFC 3986).
fn decoded(text: &str) -> String {
    if !text.starts_with('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
