//! The estimate for a terminal, and as Markdown.

use std::fmt::Write;

use super::{Scenario, Settings, Usage, dollars};
use crate::table::{Table, grouped};

const DAY_SECONDS: f64 = 86_400.0;
const CALLS: [&str; 8] =
    ["SERVICE", "OPERATION", "REGION", "CALLS A DAY", "$ A DAY", "A SECOND", "QUOTA", "RESTART"];
const OTHERS: [&str; 4] = ["WITH", "CALLS A DAY", "$ A DAY", "$ A MONTH"];
/// The columns of numbers.
const NUMBERS: [usize; 5] = [3, 4, 5, 6, 7];
const OTHER_NUMBERS: [usize; 3] = [1, 2, 3];
/// Days of a month, as AWS's price lists count.
const MONTH: f64 = 30.4;

/// The first scenario in detail, and all of them in a line each.
pub fn table(usage: &Usage, scenarios: &[Scenario], settings: &Settings) -> String {
    let mut text = format!("{}\n\n", premises(usage, settings));
    text.push_str(&print(CALLS, calls(scenarios, settings), &NUMBERS));
    text.push('\n');
    text.push_str(&print(OTHERS, others(scenarios), &OTHER_NUMBERS));
    let _ = write!(text, "\n{}\n", secrets(usage, settings));
    text
}

/// The same as Markdown.
pub fn markdown(usage: &Usage, scenarios: &[Scenario], settings: &Settings) -> String {
    let mut text = format!("{}\n\n", premises(usage, settings));
    text.push_str(&in_markdown(CALLS, calls(scenarios, settings), &NUMBERS));
    text.push('\n');
    text.push_str(&in_markdown(OTHERS, others(scenarios), &OTHER_NUMBERS));
    let _ = write!(text, "\n{}\n", secrets(usage, settings));
    text
}

fn premises(usage: &Usage, settings: &Settings) -> String {
    let plural = |count: usize, one: &str, many: &str| {
        format!("{} {}", grouped(count as f64), if count == 1 { one } else { many })
    };
    let mut text = format!(
        "{}, {} with {} on {}{}",
        plural(usage.classes, "class", "classes"),
        plural(usage.pods(), "mount by a pod", "mounts by pods"),
        plural(usage.principals(), "principal", "principals"),
        plural(usage.cluster_nodes, "node", "nodes"),
        if usage.nodes_assumed { " (assumed: set --nodes)" } else { "" }
    );
    if usage.classes_without_pods > 0 {
        let _ = write!(
            text,
            ". {} by no workload: {} assumed for each (set --pods)",
            plural(usage.classes_without_pods, "class is mounted", "classes are mounted"),
            plural(settings.pods as usize, "pod", "pods")
        );
    }
    text
}

fn secrets(usage: &Usage, settings: &Settings) -> String {
    let (secrets, parameters) = usage.objects();
    format!(
        "Storage is not included: {} secrets cost ${:.2} a month each, ${:.2} together. {} standard parameters are free.",
        grouped(secrets as f64),
        settings.prices.secret_month,
        settings.prices.secret_month * secrets as f64,
        grouped(parameters as f64)
    )
}

fn calls(scenarios: &[Scenario], settings: &Settings) -> Vec<[String; 8]> {
    let Some(now) = scenarios.first() else { return Vec::new() };
    let mut rows = Vec::new();
    for ((operation, region), calls) in &now.totals {
        let quota = settings.prices.quota(*operation, settings.higher_throughput);
        rows.push([
            operation.service().to_owned(),
            operation.as_str().to_owned(),
            region.as_ref().map_or_else(|| "(none named)".to_owned(), ToString::to_string),
            grouped(calls.calls),
            money(dollars::of(*operation, calls, settings)),
            format!("{:.2}", calls.calls / DAY_SECONDS),
            quota.map_or_else(|| "-".to_owned(), grouped),
            grouped(calls.restart),
        ]);
    }
    let restart: f64 = now.totals.values().map(|calls| calls.restart).sum();
    rows.push([
        "all".to_owned(),
        String::new(),
        String::new(),
        grouped(now.calls()),
        money(now.dollars),
        format!("{:.2}", now.calls() / DAY_SECONDS),
        String::new(),
        grouped(restart),
    ]);
    rows
}

fn others(scenarios: &[Scenario]) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let now = if number == 0 { " (now)" } else { "" };
        rows.push([
            format!("{}{now}", scenario.title),
            grouped(scenario.calls()),
            money(scenario.dollars),
            money(scenario.dollars * MONTH),
        ]);
    }
    rows
}

fn print<const N: usize>(titles: [&str; N], rows: Vec<[String; N]>, numbers: &[usize]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let right = |column: usize, cell: &str| match numbers.contains(&column) {
        true => format!("{cell:>0$}", widths[column]),
        false => cell.to_owned(),
    };
    let titles: Vec<String> = titles.iter().enumerate().map(|(column, title)| right(column, title)).collect();
    let mut table: Table<N> = Table::new(std::array::from_fn(|column| titles[column].as_str()));
    for row in rows {
        table.row(std::array::from_fn(|column| right(column, &row[column])));
    }
    table.print(None, &[])
}

fn in_markdown<const N: usize>(titles: [&str; N], rows: Vec<[String; N]>, numbers: &[usize]) -> String {
    let rule = (0..N).map(|column| if numbers.contains(&column) { "--:" } else { "---" });
    let mut text = format!("| {} |\n|{}|\n", titles.join(" | "), rule.collect::<Vec<_>>().join("|"));
    for row in rows {
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Dollars with at least two digits that matter.
fn money(dollars: f64) -> String {
    match dollars {
        0.0 => "0".to_owned(),
        small if small < 0.01 => format!("{small:.4}"),
        other => {
            let (whole, cents) = (other.trunc(), format!("{:.2}", other.fract()));
            match cents.strip_prefix("0.") {
                Some(cents) => format!("{}.{cents}", grouped(whole)),
                // The cents were rounded up to a dollar.
                None => format!("{}.00", grouped(whole + 1.0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_money_is_rounded() {
        assert_eq!([0.0, 999.4, 1000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.0012, 0.36, 1234.999].map(money), ["0", "0.0012", "0.36", "1,235.00"]);
    }
}
