//! One statement of a policy.

use super::{
    condition::Condition,
    context::Context,
    document::PolicyError,
    json::Json,
    operator::lower,
    pattern::{Pattern, Syntax, any_matches, none_matches},
    principals::{Closeness, Principals, Request},
    truth::Truth,
};
use crate::model::message::quoted;

const KEYS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub struct Statement {
    /// `Statement[0]`, with its `Sid` if it has one.
    pub(super) name: String,
    pub(super) effect: Effect,
    pub(super) principals: Option<Principals>,
    actions: Listed,
    resources: Option<Listed>,
    conditions: Vec<Condition>,
}

/// What a statement lists: what it is about, or what it is not about.
#[derive(Clone, Debug)]
struct Listed {
    excluded: bool,
    texts: Vec<String>,
    patterns: Vec<Pattern>,
}

impl Statement {
    /// # Errors
    /// The place of the first element that IAM does not accept.
    pub(super) fn parse(node: &Json, place: &str, variables: bool) -> Result<Self, PolicyError> {
        let Json::Map(entries) = node else {
            return Err(PolicyError::new(place, "must be an object"));
        };
        if let Some((key, _)) = entries.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            let problem = format!("{} is not an element of a statement", quoted(key));
            return Err(PolicyError::new(place, problem));
        }
        let sid = node.get("Sid").and_then(Json::text).filter(|sid| !sid.is_empty());
        let effect = match node.get("Effect").and_then(Json::text) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(_) | None => return Err(PolicyError::new(place, "Effect must be Allow or Deny")),
        };
        let either = |key: &str, not: &str| -> Result<Option<(&Json, String, bool)>, PolicyError> {
            match (node.get(key), node.get(not)) {
                (Some(_), Some(_)) => {
                    Err(PolicyError::new(place, format!("has {key} and {not}; IAM accepts only one")))
                }
                (Some(node), None) => Ok(Some((node, format!("{place}.{key}"), false))),
                (None, Some(node)) => Ok(Some((node, format!("{place}.{not}"), true))),
                (None, None) => Ok(None),
            }
        };
        let principals = either("Principal", "NotPrincipal")?
            .map(|(node, place, excluded)| Principals::parse(node, &place, excluded))
            .transpose()?;
        let listed = |of: Option<(&Json, String, bool)>, variables| {
            of.map(|(node, place, excluded)| Listed::parse(node, &place, excluded, variables)).transpose()
        };
        let actions = listed(either("Action", "NotAction")?, false)?
            .ok_or_else(|| PolicyError::new(place, "has no Action and no NotAction"))?;
        let resources = listed(either("Resource", "NotResource")?, variables)?;
        if resources.is_none() && principals.is_none() {
            return Err(PolicyError::new(place, "has no Resource, and no Principal either"));
        }
        let conditions = match node.get("Condition") {
            Some(node) => Condition::parse_all(node, &format!("{place}.Condition"), variables)?,
            None => Vec::new(),
        };
        let name = sid.map_or_else(|| place.to_owned(), |sid| format!("{place} ({})", quoted(sid)));
        Ok(Self { name, effect, principals, actions, resources, conditions })
    }

    /// `Statement[0]`, with its `Sid` if it has one.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The actions that it lists; `None` for `NotAction`.
    pub fn actions(&self) -> Option<&[String]> {
        (!self.actions.excluded).then_some(&self.actions.texts)
    }

    /// The resources that it lists; `None` for `NotResource`, and for a trust policy.
    pub fn resources(&self) -> Option<&[String]> {
        self.resources.as_ref().filter(|listed| !listed.excluded).map(|listed| listed.texts.as_slice())
    }

    /// Whether it has `Resource` or `NotResource`.
    pub(super) fn has_resources(&self) -> bool {
        self.resources.is_some()
    }

    /// Whom it names; empty without a `Principal`.
    pub fn principals(&self) -> Vec<&str> {
        self.principals.iter().flat_map(Principals::texts).collect()
    }

    /// Its conditions: the operator as it is written, the key, and the values.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
        self.conditions.iter().map(|condition| {
            let values = condition.values.iter().map(|value| value.text.as_str()).collect();
            (condition.name.as_str(), condition.key.as_str(), values)
        })
    }

    /// Whether it is about the request, apart from who asks.
    pub(super) fn covers(&self, request: &Request) -> Truth {
        let context = &request.context;
        let action = self.actions.include(&request.action, context, lower);
        let resource = self
            .resources
            .as_ref()
            .map_or(Truth::Yes, |resources| resources.include(&request.resource, context, |c| c));
        let conditions = self.conditions.iter().map(|condition| condition.holds(context));
        action.and(resource).and(Truth::all(conditions))
    }

    /// Whether it is about the request of this caller, named at least this closely. A
    /// statement without a principal is about whom it is attached to.
    pub(super) fn covers_caller(&self, request: &Request, least: Closeness) -> Truth {
        let named =
            self.principals.as_ref().map_or(Truth::Yes, |named| named.include(&request.caller, least));
        if named == Truth::No { Truth::No } else { named.and(self.covers(request)) }
    }
}

impl Listed {
    fn parse(node: &Json, place: &str, excluded: bool, variables: bool) -> Result<Self, PolicyError> {
        let texts = node.texts(place)?;
        if texts.is_empty() {
            return Err(PolicyError::new(place, "is empty"));
        }
        let syntax = Syntax { wildcards: true, variables };
        let pattern = |text: &String| {
            Pattern::parse(text, syntax).ok_or_else(|| PolicyError::incomplete_variable(place, text))
        };
        let patterns = texts.iter().map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { excluded, texts, patterns })
    }

    fn include(&self, text: &str, context: &Context, fold: fn(char) -> char) -> Truth {
        let compare = |pattern: &Pattern| {
            if pattern.is_anything() { Ok(true) } else { pattern.matches(text, context, fold) }
        };
        if self.excluded {
            none_matches(&self.patterns, compare)
        } else {
            any_matches(&self.patterns, compare)
        }
    }
}
