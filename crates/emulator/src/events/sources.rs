//! The events of Secrets Manager, Parameter Store and CloudTrail.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::Event;
use crate::{
    clock::iso_timestamp,
    principal::Principal,
    world::{Key, World},
};

impl World {
    /// Copies a changed secret to its replicas, and sends `Secret Label Updated` for every
    /// label that has moved
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/event-detail-secret-label-updated-secretsmanager.html>).
    pub(crate) fn secret_changed(&mut self, key: &Key, now: SystemTime) {
        self.replicate(key);
        let of_replicas = self.events.of_replicas;
        let Some(secret) = self.secrets.get_mut(key) else { return };
        let moved = std::mem::take(&mut secret.moved);
        let (account, home, name) = key;
        let copies = secret.replicas.iter().filter(|(_, replica)| of_replicas && replica.failure.is_none());
        let mut regions = vec![home.clone()];
        regions.extend(copies.map(|(region, _)| region.clone()));
        let arn = secret.arn.clone();
        for (label, version_id) in moved {
            for region in &regions {
                self.send_event(Event {
                    account,
                    region,
                    source: "aws.secretsmanager",
                    detail_type: "Secret Label Updated",
                    resources: vec![arn.replacen(&format!(":{home}:"), &format!(":{region}:"), 1)],
                    detail: json!({ "name": name, "labelUpdated": label, "versionId": version_id }),
                    at: now,
                });
            }
        }
    }

    /// Sends `Parameter Store Change` for an existing parameter
    /// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html>).
    pub(crate) fn parameter_changed(&mut self, key: &Key, operation: &str, now: SystemTime) {
        let Some(parameter) = self.parameters.get(key) else { return };
        let kind = parameter.find(None).map(|(_, version)| version.kind).unwrap_or_default();
        let mut detail = json!({ "operation": operation, "name": key.2, "type": kind.name() });
        if let Some(description) = &parameter.description {
            detail["description"] = json!(description);
        }
        let resources = vec![parameter.arn.clone()];
        self.send_event(Event {
            account: &key.0,
            region: &key.1,
            source: "aws.ssm",
            detail_type: "Parameter Store Change",
            resources,
            detail,
            at: now,
        });
    }

    /// Sends `AWS API Call via CloudTrail` for a call of Secrets Manager, if a trail exists
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-eventbridge.html>).
    pub(crate) fn api_call(
        &mut self,
        principal: &Principal,
        key: &Key,
        operation: &str,
        request: &Value,
        response: &Value,
        now: SystemTime,
    ) {
        if !self.events.trail {
            return;
        }
        let (account, region, _) = key;
        let kind = if principal.role_arn().is_some() { "AssumedRole" } else { "IAMUser" };
        let detail = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": kind,
                "arn": principal.arn(region),
                "accountId": principal.account(),
            },
            "eventTime": iso_timestamp(now),
            "eventSource": "secretsmanager.amazonaws.com",
            "eventName": operation,
            "awsRegion": region,
            "sourceIPAddress": "127.0.0.1",
            "requestParameters": request,
            "responseElements": response,
            "requestID": self.ids.uuid(),
            "eventID": self.ids.uuid(),
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": account,
            "eventCategory": "Management",
        });
        self.send_event(Event {
            account,
            region,
            source: "aws.secretsmanager",
            detail_type: "AWS API Call via CloudTrail",
            resources: Vec::new(),
            detail,
            at: now,
        });
    }
}
