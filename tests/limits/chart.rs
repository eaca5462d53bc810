//! What the chart gives the provider's container, read from its rendered
//! manifest, which CI compares with the chart.

use std::path::Path;

/// The container's limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// The memory limit, in bytes.
    pub(crate) memory: u64,
    /// Variables with a value of their own.
    pub(crate) environment: Vec<(String, String)>,
}

impl Chart {
    /// Reads `deploy/latchkey.yaml`.
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/latchkey.yaml");
        Self::of(&std::fs::read_to_string(path).unwrap())
    }

    fn of(manifest: &str) -> Self {
        let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
        let pairs = lines.windows(2);
        let limit = pairs.clone().find_map(|pair| {
            let memory = pair[1].strip_prefix("memory: ")?;
            (pair[0] == "limits:").then_some(memory)
        });
        let mebibytes = limit.and_then(|memory| memory.strip_suffix("Mi")).expect("a memory limit in Mi");
        let environment = pairs.filter_map(|pair| {
            let value = pair[1].strip_prefix("value: ")?.trim_matches('"');
            Some((pair[0].strip_prefix("- name: ")?.to_owned(), value.to_owned()))
        });
        // The pod's DNS options look the same.
        let environment =
            environment.filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
        let memory = mebibytes.parse::<u64>().unwrap() << 20;
        // Kubernetes fills it in from the limit.
        let filled_in = manifest.contains("name: LATCHKEY_MEMORY_LIMIT");
        let filled_in = filled_in.then(|| ("LATCHKEY_MEMORY_LIMIT".to_owned(), memory.to_string()));
        Self { memory, environment: environment.chain(filled_in).collect() }
    }
}
