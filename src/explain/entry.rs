//! One name, and what it means.

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Parameter,
    ObjectKey,
    Flag,
    Option,
    Variable,
    ChartValue,
    Reason,
    Code,
    Event,
    Finding,
    Metric,
    Alert,
    AuditField,
}

/// One name, and what the book says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// The full name, then shorter and other ones.
    pub names: Vec<String>,
    /// The command that an option or a finding belongs to.
    pub command: Option<String>,
    /// Plain text.
    pub meaning: String,
    /// Further columns: title and plain text.
    pub facts: Vec<(String, String)>,
    /// The page and its section, relative to `docs/src`.
    pub page: String,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Parameter,
        Self::ObjectKey,
        Self::Flag,
        Self::Option,
        Self::Variable,
        Self::ChartValue,
        Self::Reason,
        Self::Code,
        Self::Event,
        Self::Finding,
        Self::Metric,
        Self::Alert,
        Self::AuditField,
    ];

    /// What one of them is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Parameter => "parameter of a SecretProviderClass",
            Self::ObjectKey => "key of an object in a SecretProviderClass",
            Self::Flag => "flag of latchkey serve",
            Self::Option => "option of a command",
            Self::Variable => "environment variable",
            Self::ChartValue => "value of the chart",
            Self::Reason => "reason of a failure",
            Self::Code => "gRPC code of a failed mount",
            Self::Event => "event on a pod",
            Self::Finding => "finding",
            Self::Metric => "metric",
            Self::Alert => "alert",
            Self::AuditField => "field of the audit log",
        }
    }

    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::ObjectKey => "object_key",
            Self::Flag => "flag",
            Self::Option => "option",
            Self::Variable => "variable",
            Self::ChartValue => "chart_value",
            Self::Reason => "reason",
            Self::Code => "code",
            Self::Event => "event",
            Self::Finding => "finding",
            Self::Metric => "metric",
            Self::Alert => "alert",
            Self::AuditField => "audit_field",
        }
    }
}

impl Entry {
    /// Its full name.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// What it is, such as `option of latchkey cost`.
    pub fn title(&self) -> String {
        match (&self.command, self.kind) {
            (Some(command), Kind::Option) => format!("option of latchkey {command}"),
            (Some(command), kind) => format!("{} of latchkey {command}", kind.title()),
            (None, kind) => kind.title().to_owned(),
        }
    }
}
