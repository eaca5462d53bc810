//! What an IAM policy must allow for a read: the action, and the resource's ARN.

use super::{
    arn::Region,
    message::shortened,
    reference::{Reference, Service},
};

/// Maximum length of a name or ARN in a resource. The name of a secret has at most 512
/// characters, the name of a parameter at most 1,011:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html>
const MAX_ID_BYTES: usize = 1100;

/// The action that reads from the service.
pub const fn action(service: Service) -> &'static str {
    match service {
        Service::SecretsManager => "secretsmanager:GetSecretValue",
        Service::ParameterStore => "ssm:GetParameters",
    }
}

/// The ARN of `reference` in `region`, as a policy names it. `account` is `*` when
/// it is unknown.
pub fn resource(reference: &Reference, region: &Region, account: Option<&str>) -> String {
    let id = shortened(&reference.id, MAX_ID_BYTES);
    if reference.is_arn() {
        return id.to_owned();
    }
    let (partition, account) = (region.partition(), account.unwrap_or("*"));
    match reference.service {
        // AWS adds six random characters to a secret's name.
        Service::SecretsManager => {
            format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{id}-??????")
        }
        Service::ParameterStore => {
            let id = id.trim_start_matches('/');
            format!("arn:{partition}:ssm:{region}:{account}:parameter/{id}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::Selector;

    fn resource_of(service: Service, id: &str, account: Option<&str>) -> String {
        let reference = Reference { service, id: id.to_owned(), selector: Selector::default() };
        resource(&reference, &Region::parse("cn-north-1").unwrap(), account)
    }

    #[test]
    fn a_secrets_resource_allows_for_the_six_characters_that_aws_adds() {
        let secret = |account| resource_of(Service::SecretsManager, "shop/db", account);
        assert_eq!(
            secret(Some("111122223333")),
            "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:shop/db-??????"
        );
        assert_eq!(secret(None), "arn:aws-cn:secretsmanager:cn-north-1:*:secret:shop/db-??????");
    }

    #[test]
    fn a_parameters_resource_has_one_slash_before_its_name() {
        for name in ["/shop/db", "shop/db"] {
            assert_eq!(
                resource_of(Service::ParameterStore, name, Some("111122223333")),
                "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/shop/db",
                "{name}"
            );
        }
    }

    #[test]
    fn an_arn_is_its_own_resource() {
        let arn = "arn:aws:ssm:us-east-1:111122223333:parameter/x";
        assert_eq!(resource_of(Service::ParameterStore, arn, None), arn);
    }
}
