//! How the values of flags are written.

use std::{net::SocketAddr, time::Duration};

use super::region;
use crate::{
    aws::check_endpoint,
    broker::{QueueUrl, area},
    cluster::{taint::TaintKey, watched::ObjectName},
    model::{
        arn::Region,
        go_text::{parse_bool, parse_duration},
        region_patterns::RegionPatterns,
        role_patterns::RolePatterns,
    },
    notices::Area,
};

// These values may be empty: an unset chart value or a missing label arrives as
// an empty string.
#[derive(Clone, Debug)]
pub(super) struct OptionalRegion(pub(super) Option<Region>);
#[derive(Clone, Debug)]
pub(super) struct AllowedRegions(pub(super) Option<RegionPatterns>);
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalDuration(pub(super) Option<Duration>);
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalBytes(pub(super) Option<usize>);
#[derive(Clone, Copy, Debug)]
pub(super) struct AnyDuration(pub(super) Duration);
#[derive(Clone, Debug)]
pub(super) struct AllowedRoles(pub(super) Option<RolePatterns>);
#[derive(Clone, Debug)]
pub(super) struct OptionalTaint(pub(super) Option<TaintKey>);
#[derive(Clone, Debug)]
pub(super) struct OptionalObject(pub(super) Option<ObjectName>);
#[derive(Clone, Debug)]
pub(super) struct OptionalQueue(pub(super) Option<QueueUrl>);
#[derive(Clone, Debug)]
pub(super) struct OptionalArea(pub(super) Option<Area>);
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpAddress(pub(super) Option<SocketAddr>);

pub(super) fn optional_region(text: &str) -> Result<OptionalRegion, String> {
    if text.is_empty() {
        Ok(OptionalRegion(None))
    } else {
        region(text).map(|region| OptionalRegion(Some(region)))
    }
}

pub(super) fn optional_bytes(text: &str) -> Result<OptionalBytes, String> {
    if text.is_empty() {
        return Ok(OptionalBytes(None));
    }
    let bytes = text.parse().map_err(|_| "expected a number of bytes".to_owned());
    bytes.map(|bytes| OptionalBytes(Some(bytes)))
}

pub(super) fn optional_taint(text: &str) -> Result<OptionalTaint, String> {
    if text.is_empty() {
        return Ok(OptionalTaint(None));
    }
    TaintKey::parse(text).map(|key| OptionalTaint(Some(key)))
}

pub(super) fn optional_object(text: &str) -> Result<OptionalObject, String> {
    if text.is_empty() {
        return Ok(OptionalObject(None));
    }
    ObjectName::parse(text).map(|object| OptionalObject(Some(object)))
}

pub(super) fn optional_queue(text: &str) -> Result<OptionalQueue, String> {
    if text.is_empty() {
        return Ok(OptionalQueue(None));
    }
    QueueUrl::parse(text).map(|url| OptionalQueue(Some(url)))
}

pub(super) fn optional_area(text: &str) -> Result<OptionalArea, String> {
    if text.is_empty() {
        return Ok(OptionalArea(None));
    }
    area(text).map(|area| OptionalArea(Some(area)))
}

pub(super) fn allowed_regions(text: &str) -> Result<AllowedRegions, String> {
    RegionPatterns::parse(text).map(AllowedRegions)
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    parse_bool(text).ok_or_else(|| "expected true or false".to_owned())
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 250ms, 90s or 1m30s".to_owned())
}

pub(super) fn any_duration(text: &str) -> Result<AnyDuration, String> {
    parse_duration(text).map(AnyDuration).ok_or_else(|| "expected a duration such as 90s, 1h or 0".to_owned())
}

/// Each value costs one AWS call per interval, so shorter intervals get expensive.
pub(super) fn poll_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|interval| *interval >= Duration::from_secs(1))
        .ok_or_else(|| "expected a duration of at least 1s, such as 2m".to_owned())
}

pub(super) fn optional_duration(text: &str) -> Result<OptionalDuration, String> {
    if text.is_empty() {
        return Ok(OptionalDuration(None));
    }
    positive_duration(text).map(|duration| OptionalDuration(Some(duration)))
}

/// The driver finds a provider by `<name>.sock`; the name has at most 30 letters,
/// digits, `-` and `_`.
pub(super) fn socket_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix(".sock").filter(|name| {
        !name.is_empty()
            && name.len() <= 30
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    });
    name.map(|_| text.to_owned())
        .ok_or_else(|| "expected <name>.sock, with a name of at most 30 letters, digits, - and _".to_owned())
}

pub(super) fn role_patterns(text: &str) -> Result<AllowedRoles, String> {
    RolePatterns::parse(text).map(AllowedRoles)
}

/// The agent runs on the node and speaks HTTP only.
pub(super) fn check_agent(url: &str) -> anyhow::Result<()> {
    check_endpoint(url)?;
    anyhow::ensure!(url.starts_with("http://"), "must be an http:// URL");
    Ok(())
}

pub(super) fn expression_bytes(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|bytes| (1..=1024).contains(bytes))
        .ok_or_else(|| "expected a number from 1 to 1024".to_owned())
}

/// `:8989` listens on every address, as in Go.
pub(super) fn http_address(text: &str) -> Result<HttpAddress, String> {
    if matches!(text, "" | "off") {
        return Ok(HttpAddress(None));
    }
    let address = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    address
        .parse()
        .map(|address| HttpAddress(Some(address)))
        .map_err(|_| "expected \"off\" or an address such as :8989, 127.0.0.1:8989 or [::1]:8989".to_owned())
}
