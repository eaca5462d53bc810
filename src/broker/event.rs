//! From a message of a queue to a change. A message is foreign input: whoever may send to
//! the queue decides what is in it.
//!
//! Events of Secrets Manager and Parameter Store, and their envelope:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-eventbridge.html>,
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    metrics::Dropped,
    model::{
        arn::Arn,
        reference::Service,
        source::{PENDING_LABEL, PREVIOUS_LABEL},
    },
    notices::{Area, Change},
};

/// Maximum size of a message: EventBridge's limit of an event.
const MAX_BODY_BYTES: usize = 256 << 10;
/// Maximum size of an ARN: that of a parameter, whose name alone may have 1,011
/// characters.
const MAX_ARN_BYTES: usize = 1200;
/// Maximum sizes that Secrets Manager's API allows.
const MAX_LABEL_BYTES: usize = 256;
const MAX_VERSION_BYTES: usize = 64;
/// Maximum size of a time.
const MAX_TIME_BYTES: usize = 40;

/// AWS sends no event for these labels. One of them is nobody's news: it moves with
/// AWSCURRENT, or has no value yet.
const LABELS_WITHOUT_NEWS: [&str; 2] = [PENDING_LABEL, PREVIOUS_LABEL];

/// Calls in CloudTrail that decide who may read a secret, or whether it can be read.
const CALLS: [&str; 7] = [
    "DeleteSecret",
    "RestoreSecret",
    "UpdateSecret",
    "PutResourcePolicy",
    "DeleteResourcePolicy",
    "ReplicateSecretToRegions",
    "RemoveRegionsFromReplication",
];

/// A secret or a parameter that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) service: Service,
    pub(super) arn: String,
    /// The staging label that has moved.
    pub(super) label: Option<String>,
    pub(super) version_id: Option<String>,
    /// When it happened, as AWS wrote it.
    pub(super) at: Option<String>,
}

impl News {
    /// The change that nodes are told. The ring gives it its number.
    pub(super) fn change(self) -> Change {
        let Self { arn, label, version_id, at, .. } = self;
        Change { number: 0, arn, label, version_id, at }
    }
}

/// What EventBridge puts around every event.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    detail_type: String,
    source: String,
    account: String,
    region: String,
    time: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelUpdated {
    label_updated: String,
    version_id: Option<String>,
}

#[derive(Deserialize)]
struct ParameterChange {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiCall {
    event_name: String,
    /// Only of a call that failed.
    error_code: Option<String>,
    response_elements: Option<ResponseElements>,
}

/// CloudTrail writes the same answer in two ways.
#[derive(Deserialize)]
struct ResponseElements {
    arn: Option<String>,
    #[serde(rename = "aRN")]
    a_rn: Option<String>,
}

/// Reads the body of a message.
///
/// # Errors
/// Why the message tells nothing that nodes should hear.
pub(super) fn read(body: &str, covers: impl Fn(&Area) -> bool) -> Result<News, Dropped> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Dropped::Oversized);
    }
    let envelope: Envelope<'_> = serde_json::from_str(body).map_err(|_| Dropped::Malformed)?;
    let kind = (envelope.source.as_str(), envelope.detail_type.as_str());
    let news = match kind {
        ("aws.secretsmanager", "Secret Label Updated") => label_updated(&envelope)?,
        ("aws.ssm", "Parameter Store Change") => parameter_change(&envelope)?,
        ("aws.secretsmanager", "AWS API Call via CloudTrail") => api_call(&envelope)?,
        _ => return Err(Dropped::Foreign),
    };
    if !fits(&news, &envelope) {
        return Err(Dropped::Forged);
    }
    if !covers(&Area { account: envelope.account, region: envelope.region }) {
        return Err(Dropped::NotCovered);
    }
    Ok(news)
}

fn label_updated(envelope: &Envelope<'_>) -> Result<News, Dropped> {
    let LabelUpdated { label_updated: label, version_id } = envelope.detail()?;
    if LABELS_WITHOUT_NEWS.contains(&label.as_str()) {
        return Err(Dropped::Ignored);
    }
    let news = envelope.news(Service::SecretsManager, envelope.resource()?);
    let label = Some(label).filter(|label| is_plain(label, MAX_LABEL_BYTES));
    let version_id = version_id.filter(|version| is_plain(version, MAX_VERSION_BYTES));
    Ok(News { label, version_id, ..news })
}

fn parameter_change(envelope: &Envelope<'_>) -> Result<News, Dropped> {
    let ParameterChange { name } = envelope.detail()?;
    let arn = envelope.resource()?;
    // The name's first slash is the one that an ARN has anyway.
    let named = arn.rsplit_once(":parameter/").map(|(_, named)| named);
    if named != Some(name.strip_prefix('/').unwrap_or(&name)) {
        return Err(Dropped::Forged);
    }
    Ok(envelope.news(Service::ParameterStore, arn))
}

fn api_call(envelope: &Envelope<'_>) -> Result<News, Dropped> {
    let ApiCall { event_name, error_code, response_elements } = envelope.detail()?;
    if error_code.is_some() || !CALLS.contains(&event_name.as_str()) {
        return Err(Dropped::Ignored);
    }
    let answer = response_elements.ok_or(Dropped::Malformed)?;
    let arn = answer.arn.or(answer.a_rn).ok_or(Dropped::Malformed)?;
    Ok(envelope.news(Service::SecretsManager, arn))
}

impl<'a> Envelope<'a> {
    fn detail<T: Deserialize<'a>>(&self) -> Result<T, Dropped> {
        serde_json::from_str(self.detail.get()).map_err(|_| Dropped::Malformed)
    }

    fn resource(&self) -> Result<String, Dropped> {
        self.resources.first().cloned().ok_or(Dropped::Malformed)
    }

    fn news(&self, service: Service, arn: String) -> News {
        let time = self.time.clone().filter(|time| is_plain(time, MAX_TIME_BYTES));
        News { service, arn, label: None, version_id: None, at: time }
    }
}

/// Whether the ARN is of the event's own service, account and Region.
fn fits(news: &News, envelope: &Envelope<'_>) -> bool {
    let (service, prefix) = match news.service {
        Service::SecretsManager => ("secretsmanager", "secret:"),
        Service::ParameterStore => ("ssm", "parameter/"),
    };
    is_plain(&news.arn, MAX_ARN_BYTES)
        && Arn::parse(&news.arn).is_some_and(|arn| {
            arn.service == service
                && arn.account == envelope.account
                && arn.region == envelope.region
                && arn.resource.strip_prefix(prefix).is_some_and(|name| !name.is_empty())
        })
}

/// Whether the text can stand in a log line and in the object as it is.
fn is_plain(text: &str, max_bytes: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf";
    const PARAMETER: &str = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/limit";

    fn covers(area: &Area) -> bool {
        area.account == "111122223333" && area.region == "eu-west-1"
    }

    fn event(source: &str, kind: &str, resources: &[&str], detail: &Value) -> Value {
        json!({
            "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": kind,
            "source": source, "account": "111122223333", "time": "2026-11-27T14:00:00Z",
            "region": "eu-west-1", "resources": resources, "detail": detail,
        })
    }

    fn label_moved() -> Value {
        let detail = json!({ "name": "shop/db", "labelUpdated": "AWSCURRENT", "versionId": "v2", "versionIdBefore": "v1" });
        event("aws.secretsmanager", "Secret Label Updated", &[SECRET], &detail)
    }

    fn parameter_changed() -> Value {
        let detail = json!({ "operation": "Update", "name": "/shop/limit", "type": "String" });
        event("aws.ssm", "Parameter Store Change", &[PARAMETER], &detail)
    }

    fn called(detail: &Value) -> Value {
        event("aws.secretsmanager", "AWS API Call via CloudTrail", &[], detail)
    }

    fn read_of(event: &Value) -> Result<News, Dropped> {
        read(&event.to_string(), covers)
    }

    /// The event with one field replaced.
    fn with(mut event: Value, at: &str, value: Value) -> Value {
        *event.pointer_mut(at).unwrap() = value;
        event
    }

    #[test]
    fn events_of_both_services_are_read() {
        let moved = read_of(&label_moved()).unwrap();
        let expected = News {
            service: Service::SecretsManager,
            arn: SECRET.to_owned(),
            label: Some("AWSCURRENT".to_owned()),
            version_id: Some("v2".to_owned()),
            at: Some("2026-11-27T14:00:00Z".to_owned()),
        };
        assert_eq!(moved, expected);
        let changed = read_of(&parameter_changed()).unwrap();
        let expected = News {
            service: Service::ParameterStore,
            arn: PARAMETER.to_owned(),
            label: None,
            version_id: None,
            at: expected.at,
        };
        assert_eq!(changed, expected);
        // A name without a slash at its start has the same ARN.
        let bare = with(parameter_changed(), "/detail/name", json!("shop/limit"));
        assert_eq!(read_of(&bare), Ok(expected));
    }

    #[test]
    fn calls_that_decide_about_access_are_read_from_cloudtrail() {
        for field in ["arn", "aRN"] {
            let call =
                called(&json!({ "eventName": "PutResourcePolicy", "responseElements": { field: SECRET } }));
            assert_eq!(read_of(&call).unwrap().arn, SECRET, "{field}");
        }
        let failed =
            json!({ "eventName": "DeleteSecret", "errorCode": "AccessDenied", "responseElements": null });
        assert_eq!(read_of(&called(&failed)), Err(Dropped::Ignored));
        let other = json!({ "eventName": "GetSecretValue", "responseElements": null });
        assert_eq!(read_of(&called(&other)), Err(Dropped::Ignored));
        let nothing = json!({ "eventName": "DeleteSecret", "responseElements": {} });
        assert_eq!(read_of(&called(&nothing)), Err(Dropped::Malformed));
    }

    #[test]
    fn labels_that_change_nothing_for_a_reader_are_ignored() {
        for label in LABELS_WITHOUT_NEWS {
            let moved = with(label_moved(), "/detail/labelUpdated", json!(label));
            assert_eq!(read_of(&moved), Err(Dropped::Ignored));
        }
    }

    #[test]
    fn an_odd_label_is_left_out_and_the_change_stays() {
        for odd in ["", "two words", "a\nb", &"x".repeat(257)] {
            let moved = read_of(&with(label_moved(), "/detail/labelUpdated", json!(odd))).unwrap();
            assert_eq!((moved.arn.as_str(), moved.label), (SECRET, None), "{odd:?}");
        }
    }

    #[test]
    fn foreign_events_are_refused() {
        for (at, value) in [
            ("/source", "aws.s3"),
            ("/source", "aws.ssm"),
            ("/source", "my.application"),
            ("/detail-type", "Scheduled Event"),
            ("/detail-type", "Parameter Store Policy Action"),
        ] {
            assert_eq!(read_of(&with(label_moved(), at, json!(value))), Err(Dropped::Foreign), "{value}");
        }
    }

    #[test]
    fn another_account_or_region_than_the_covered_ones_is_refused() {
        let elsewhere = SECRET.replace("eu-west-1", "us-east-1");
        let event =
            with(with(label_moved(), "/region", json!("us-east-1")), "/resources/0", json!(elsewhere));
        assert_eq!(read_of(&event), Err(Dropped::NotCovered));
        let other = SECRET.replace("111122223333", "444455556666");
        let event =
            with(with(label_moved(), "/account", json!("444455556666")), "/resources/0", json!(other));
        assert_eq!(read_of(&event), Err(Dropped::NotCovered));
    }

    #[test]
    fn an_arn_that_is_not_of_the_events_own_account_region_and_service_is_forged() {
        for arn in [
            SECRET.replace("eu-west-1", "us-east-1"),
            SECRET.replace("111122223333", "444455556666"),
            SECRET.replace("secretsmanager", "ssm"),
            SECRET.replace("secret:shop/db-AbCdEf", "secret:"),
            SECRET.replace("secret:", "parameter/"),
            PARAMETER.to_owned(),
            "shop/db".to_owned(),
            String::new(),
            format!("{SECRET} x"),
            format!("{SECRET}\n"),
            format!("{SECRET}{}", "x".repeat(MAX_ARN_BYTES)),
        ] {
            let event = with(label_moved(), "/resources/0", json!(arn));
            assert_eq!(read_of(&event), Err(Dropped::Forged), "{arn}");
        }
        let event = with(parameter_changed(), "/detail/name", json!("/shop/other"));
        assert_eq!(read_of(&event), Err(Dropped::Forged));
    }

    #[test]
    fn what_is_no_event_is_malformed() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "x", "null", "[]", "{}", "\u{0}", "{\"Type\": \"Notification\", \"Message\": \"{}\"}", &deep]
        {
            assert_eq!(read(text, covers), Err(Dropped::Malformed), "{:.20}", text);
        }
        for (at, value) in [
            ("/resources", json!([])),
            ("/resources", json!("x")),
            ("/account", json!(111_122_223_333_u64)),
            ("/detail", json!("x")),
            ("/detail", Value::Null),
            ("/detail/labelUpdated", json!(["AWSCURRENT"])),
        ] {
            assert_eq!(read_of(&with(label_moved(), at, value)), Err(Dropped::Malformed), "{at}");
        }
        let large = with(label_moved(), "/detail/name", json!("x".repeat(MAX_BODY_BYTES)));
        assert_eq!(read_of(&large), Err(Dropped::Oversized));
    }

    proptest! {
        #[test]
        fn no_message_panics(text in ".{0,200}") {
            let _ = read(&text, covers);
        }

        #[test]
        fn a_change_is_of_a_covered_area_and_short(cut in 0..600_usize, put in "[ -~]{0,3}") {
            let mut text = label_moved().to_string();
            let at = text.floor_char_boundary(cut.min(text.len()));
            text.replace_range(at..(at + put.len()).min(text.len()), &put);
            if let Ok(news) = read(&text, covers) {
                prop_assert!(news.arn.starts_with("arn:"));
                prop_assert!(news.arn.contains(":secretsmanager:eu-west-1:111122223333:secret:"));
                prop_assert!(news.arn.len() <= MAX_ARN_BYTES);
            }
        }
    }
}
