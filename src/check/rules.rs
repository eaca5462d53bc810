//! Everything that a check finds.

use crate::{
    findings::{Rule, Severity},
    manifests::ProblemKind,
    model::mistakes::Kind,
};

macro_rules! rules {
    ($($name:ident $severity:ident $id:literal: $title:literal, $fix:literal;)*) => {
        $(pub(super) const $name: Rule =
            Rule { id: $id, severity: Severity::$severity, title: $title, fix: $fix };)*
        /// Every finding of this command.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    INVALID_VALUE Error "invalid-value":
        "A parameter or a key of objects has a value that a mount refuses.",
        "Write the value as the message says.";
    MISSING_KEY Error "missing-key":
        "A parameter or a key that a mount needs is missing.",
        "Add the key.";
    CONTRADICTING_KEYS Error "contradicting-keys":
        "Two keys exclude each other, so a mount cannot tell which one counts.",
        "Keep one of them.";
    INVALID_YAML Error "invalid-yaml":
        "A manifest with a class, or its objects, is not YAML.",
        "Correct the line. Within objects, indent every entry like the first one, with spaces.";
    UNRENDERED_TEMPLATE Error "unrendered-template":
        "A template was not rendered: AWS would be asked for a name with braces.",
        "Check what the cluster gets: helm template … | latchkey check -.";
    COLLIDING_FILES Error "colliding-files":
        "Two objects need the same file, or one needs a folder where the other has a file.",
        "Give one of them an objectAlias.";
    UNSAFE_FILE_NAME Error "unsafe-file-name":
        "A file name leaves the volume, or cannot exist.",
        "Choose another objectAlias.";
    ARN_OF_ANOTHER_REGION Error "arn-of-another-region":
        "An ARN belongs to another Region than the one that is asked.",
        "Set region to the Region of the ARN, or name the object without its ARN.";
    NOT_ALLOWED Error "not-allowed":
        "The class names a role or a Region that the operator does not allow.",
        "Ask the operator, or check with the operator's own flags: --allow-role-arn, --allowed-roles, --allowed-regions.";
    OVER_LIMIT Error "over-limit":
        "The class exceeds a limit of the provider.",
        "Split the class into several classes.";
    UNKNOWN_IDENTITY_KEY Error "unknown-identity-key":
        "A key is unknown and looks as if it chose an identity. Ignoring it would read secrets as somebody else, so a mount refuses it.",
        "Correct the key, or remove it.";
    UNKNOWN_KEY Warning "unknown-key":
        "A key is unknown, and a mount ignores it.",
        "Correct the key, or remove it.";
    ENTRIES_NOT_READ Warning "entries-not-read":
        "The list of objects ends early; what follows is never mounted.",
        "Indent every entry like the first one, and remove any --- between them.";
    IGNORED_SETTING Warning "ignored-setting":
        "A setting has no effect.",
        "Correct it, or remove it.";
    WRONG_KIND Error "wrong-kind":
        "The object is meant to be a SecretProviderClass, but its kind says otherwise.",
        "Write kind: SecretProviderClass.";
    WRONG_API_VERSION Error "wrong-api-version":
        "No driver serves this apiVersion.",
        "Write apiVersion: secrets-store.csi.x-k8s.io/v1.";
    DEPRECATED_API_VERSION Warning "deprecated-api-version":
        "The apiVersion v1alpha1 is deprecated.",
        "Write apiVersion: secrets-store.csi.x-k8s.io/v1.";
    WRONG_PROVIDER Error "wrong-provider":
        "The driver would not find the provider: its name must be that of the provider's socket.",
        "Write provider: aws.";
    NOT_A_STRING Error "not-a-string":
        "The API server rejects a parameter that is not a string.",
        "Write a number or a boolean in quotes, and objects as a block after a |.";
    UNKNOWN_FIELD Warning "unknown-field":
        "The API server drops a field that the kind does not have, or rejects the object.",
        "Correct the field, or move it to where it belongs.";
    INCOMPLETE_SECRET_OBJECT Error "incomplete-secret-object":
        "An entry of secretObjects lacks a field, so the driver creates no Secret from it.",
        "Add the field. Each entry needs secretName, type, and data with objectName and key.";
    UNMOUNTED_SECRET_OBJECT Error "unmounted-secret-object":
        "An entry of secretObjects names a file that the class does not mount, so the driver creates no Secret from it.",
        "Name a file as it is mounted: the objectAlias, or the objectName with _ for each /.";
    AWS_IGNORES_KEY Note "aws-ignores-key":
        "AWS's own provider ignores this key.",
        "Nothing, unless the class must also work with AWS's own provider.";
    CLASS_NOT_MOUNTED Note "class-not-mounted":
        "None of the given pods mounts the class.",
        "Remove the class if it is no longer used.";
    CLASS_PATCH Note "class-patch":
        "A part of a class, as kustomize applies it, cannot be checked.",
        "Check the result: kustomize build … | latchkey check -.";
    MISSING_CLASS Error "missing-class":
        "A volume names a SecretProviderClass that is not in the pod's namespace, so the pod cannot start.",
        "Correct the name, or create the class in the namespace of the pod.";
    CLASS_NOT_GIVEN Note "class-not-given":
        "A volume names a SecretProviderClass that is not among the manifests.",
        "Give the manifest of the class too, so that both are checked together.";
    VOLUME_WITHOUT_CLASS Error "volume-without-class":
        "A volume of the driver names no SecretProviderClass, so the pod cannot start.",
        "Set secretProviderClass in the volume's volumeAttributes.";
    VOLUME_NOT_READ_ONLY Error "volume-not-read-only":
        "The driver mounts only volumes with readOnly: true.",
        "Set readOnly: true below csi.";
    INVALID_OVERRIDE Error "invalid-override":
        "The volumeAttributes of a volume override parameters of the class, and a mount refuses the result.",
        "Correct the attribute, or remove it.";
    SUB_PATH Warning "sub-path":
        "A container mounts a part of the volume with subPath, and never sees a rotated value.",
        "Mount the whole volume into a folder, and read the file there.";
    UNREADABLE_MODE Error "unreadable-mode":
        "A container that does not run as root cannot read a file.",
        "Files belong to root, and the driver does not apply fsGroup. Use filePermission \"0444\" or the default.";
    DEFAULT_SERVICE_ACCOUNT Warning "default-service-account":
        "A pod reads secrets as the service account default, which every pod of the namespace has that names none.",
        "Create a service account for the pod, and set serviceAccountName.";
    NO_ROLE Error "no-role":
        "The class demands IRSA, and the service account names no role.",
        "Annotate the ServiceAccount with eks.amazonaws.com/role-arn.";
    NO_ASSOCIATION Warning "no-association":
        "The service account has no role: no annotation, and no association among those given.",
        "Annotate the ServiceAccount with eks.amazonaws.com/role-arn, or create an EKS Pod Identity association.";
    ROLE_NOT_SEEN Note "role-not-seen":
        "The service account has no annotation with a role, so it needs an EKS Pod Identity association, which is not among what was read.",
        "Check the association: aws eks list-pod-identity-associations.";
    UNUSED_ROLE Warning "unused-role":
        "usePodIdentity is \"true\", so the role in the service account's annotation is not used.",
        "Remove usePodIdentity or the annotation.";
    SYNCED_SECRET_NOT_CREATED Warning "synced-secret-not-created":
        "A container takes a variable from a synced Secret, but no given pod mounts the class that creates it.",
        "Mount the class in the same pod: the driver creates the Secret only then.";
    SYNCED_SECRET_WITHOUT_KEY Error "synced-secret-without-key":
        "A container takes a variable from a key that the synced Secret does not have.",
        "Use a key of the entry in secretObjects, or add one there.";
    SYNCED_SECRET_NAME Warning "synced-secret-name":
        "A container takes a variable from a Secret whose name is nearly that of a synced one.",
        "Correct the name.";
    MALFORMED_OBJECT Warning "malformed-object":
        "An object does not have the form of its kind.",
        "Check it with kubectl apply --dry-run=server.";
    SKIPPED_DOCUMENT Note "skipped-document":
        "A document without a class is not YAML. It was not checked.",
        "Give only rendered manifests.";
    NOTHING_TO_CHECK Note "nothing-to-check":
        "There is nothing to check.",
        "Give manifests with SecretProviderClasses or pods, or another namespace.";
}

/// The rule of a mistake that a mount refuses, or of one of its warnings.
pub(super) fn of_mistake_kind(kind: &Kind) -> &'static Rule {
    match kind {
        Kind::Invalid => &INVALID_VALUE,
        Kind::Missing => &MISSING_KEY,
        Kind::NotYaml => &INVALID_YAML,
        Kind::Contradicting => &CONTRADICTING_KEYS,
        Kind::Colliding => &COLLIDING_FILES,
        Kind::FileName => &UNSAFE_FILE_NAME,
        Kind::OtherRegion => &ARN_OF_ANOTHER_REGION,
        Kind::Unrendered => &UNRENDERED_TEMPLATE,
        Kind::Forbidden => &NOT_ALLOWED,
        Kind::TooLarge => &OVER_LIMIT,
        Kind::UnknownIdentity => &UNKNOWN_IDENTITY_KEY,
        Kind::Unknown(_) => &UNKNOWN_KEY,
        Kind::Unread => &ENTRIES_NOT_READ,
        Kind::Ignored => &IGNORED_SETTING,
    }
}

/// The rule of a problem with the class as an object of Kubernetes.
pub(super) fn of_problem_kind(kind: ProblemKind) -> &'static Rule {
    match kind {
        ProblemKind::Kind => &WRONG_KIND,
        ProblemKind::ApiVersion => &WRONG_API_VERSION,
        ProblemKind::Provider => &WRONG_PROVIDER,
        ProblemKind::NoParameters => &MISSING_KEY,
        ProblemKind::NotAString => &NOT_A_STRING,
        ProblemKind::UnknownField => &UNKNOWN_FIELD,
        ProblemKind::Deprecated => &DEPRECATED_API_VERSION,
        ProblemKind::Incomplete => &INCOMPLETE_SECRET_OBJECT,
        ProblemKind::NotMounted => &UNMOUNTED_SECRET_OBJECT,
    }
}
