//! One read of sources from AWS: everything at once, stale credentials renewed
//! once, the failover Region asked in an outage.

use std::fmt;

use crate::{
    aws::{AwsFailure, Effort, FailureKind},
    backend::{Backend, ReadResult, Reading},
    identity::{Identity, IdentityError, Proof, Session},
    model::{
        arn::{Region, Regions},
        principal::Principal,
        reference::Reference,
        source::Source,
    },
};

/// On whose behalf something is read, and where.
pub struct Asker<'a> {
    /// Whose credentials are used.
    pub who: Who<'a>,
    /// Where it reads.
    pub regions: &'a Regions,
    /// How hard it tries.
    pub effort: Effort,
}

/// Whose credentials are used.
pub enum Who<'a> {
    /// A pod's principal.
    Pod {
        /// Gives its credentials.
        identity: &'a Identity,
        /// Who it acts as.
        principal: &'a Principal,
        /// What proves it; `None` when no pod asks, but the rotation poller.
        proof: Option<&'a Proof>,
    },
    /// The person who runs the command.
    Caller(&'a Session),
}

/// An object that could not be read.
#[derive(Clone, Debug)]
pub struct ReadFailure {
    /// What the primary Region said.
    pub primary: Box<AwsFailure>,
    /// What the failover Region said, where it was asked.
    pub failover: Option<Box<AwsFailure>>,
}

/// What became of one reference of a source.
pub type ObjectResult = Result<Reading, ReadFailure>;

impl ReadFailure {
    /// What counts: the primary Region's word. The failover Region, which is
    /// asked in an outage only, may lack what the primary holds.
    pub fn kind(&self) -> FailureKind {
        self.primary.kind
    }

    /// Whether access to the object is lost: one that may not be absent
    /// (`required`), and whose value `giver` gave before, where one is held.
    ///
    /// The failover Region's word counts only where it gave the value: it may
    /// deny, or lack, what the primary Region holds.
    pub fn loses(&self, giver: Option<&Region>, required: bool) -> bool {
        let by_giver = self
            .failover
            .as_ref()
            .is_some_and(|failure| giver == Some(&failure.region) && !failure.kind.is_outage());
        let absent = self.primary.kind == FailureKind::NotFound;
        by_giver || !self.primary.kind.is_outage() && (required || !absent)
    }

    fn of_primary(primary: AwsFailure) -> Self {
        Self { primary: Box::new(primary), failover: None }
    }

    /// The failover Region's failure, with what the primary one said before.
    fn of_failover(before: ObjectResult, failover: AwsFailure) -> Self {
        match before {
            Ok(_) => Self::of_primary(failover),
            Err(before) => Self { failover: Some(Box::new(failover)), ..before },
        }
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { principal, .. } => principal.fmt(f),
            Self::Caller(_) => f.write_str("your own AWS credentials"),
        }
    }
}

impl Asker<'_> {
    async fn session(&self) -> Result<Session, IdentityError> {
        match self.who {
            Who::Caller(session) => Ok(session.clone()),
            Who::Pod { identity, principal, proof: Some(proof) } => {
                identity.session(principal, proof, self.regions, &self.effort).await
            }
            Who::Pod { identity, principal, proof: None } => {
                identity.session_for_polling(principal, self.regions, &self.effort).await
            }
        }
    }

    /// Whose share of the calls at once is used.
    fn namespace(&self) -> &str {
        match self.who {
            Who::Pod { principal, .. } => principal.service_account().0,
            Who::Caller(_) => "",
        }
    }

    fn discard(&self, session: &Session) {
        if let Who::Pod { identity, principal, .. } = self.who {
            identity.discard(principal, session);
        }
    }
}

/// Reads every source; the results stand in the order of `sources`, and within
/// each in the order of its references.
///
/// # Errors
/// When there are no credentials.
pub async fn fetch(
    backend: &Backend,
    asker: &Asker<'_>,
    sources: &[&Source],
) -> Result<Vec<Vec<ObjectResult>>, IdentityError> {
    let mut session = asker.session().await?;
    let primary: Vec<&[Reference]> = sources.iter().map(|source| source.primary.as_slice()).collect();
    let readings = read_renewing(backend, asker, &mut session, &asker.regions.primary, &primary).await?;
    let mut results: Vec<Vec<ObjectResult>> = readings
        .into_iter()
        .map(|group| group.into_iter().map(|result| result.map_err(ReadFailure::of_primary)).collect())
        .collect();

    let Some(region) = &asker.regions.failover else { return Ok(results) };
    let failed: Vec<usize> = (0..sources.len()).filter(|index| unanswered(&results[*index])).collect();
    let failover: Vec<&[Reference]> =
        failed.iter().map(|index| sources[*index].failover.as_slice()).collect();
    let readings = read_renewing(backend, asker, &mut session, region, &failover).await?;
    for (index, group) in failed.into_iter().zip(readings) {
        // All of a source comes from one Region.
        let before = std::mem::take(&mut results[index]);
        results[index] = group
            .into_iter()
            .zip(before)
            .map(|(answer, before)| answer.map_err(|failover| ReadFailure::of_failover(before, failover)))
            .collect();
    }
    Ok(results)
}

/// Whether the primary Region has an outage and refused no part of the source:
/// nobody gets from the failover Region what the primary one denies.
fn unanswered(results: &[ObjectResult]) -> bool {
    let outage = |result: &ObjectResult| result.as_ref().map_or_else(|it| it.kind().is_outage(), |_| true);
    met_outage(results) && results.iter().all(outage)
}

/// Whether the Region did not answer for a part of the source.
pub fn met_outage(results: &[ObjectResult]) -> bool {
    results.iter().any(|result| result.as_ref().is_err_and(|failure| failure.kind().is_outage()))
}

/// What fails for stale credentials is read once more with new ones.
async fn read_renewing(
    backend: &Backend,
    asker: &Asker<'_>,
    session: &mut Session,
    region: &Region,
    groups: &[&[Reference]],
) -> Result<Vec<Vec<ReadResult>>, IdentityError> {
    let stale = |group: &[ReadResult]| {
        group
            .iter()
            .any(|result| result.as_ref().is_err_and(|failure| failure.kind == FailureKind::StaleCredentials))
    };
    let mut results =
        backend.read(&session.credentials, region, groups, asker.namespace(), &asker.effort).await;
    let again: Vec<usize> = (0..results.len()).filter(|index| stale(&results[*index])).collect();
    if !again.is_empty() {
        asker.discard(session);
        *session = asker.session().await?;
        let groups: Vec<&[Reference]> = again.iter().map(|index| groups[*index]).collect();
        let readings =
            backend.read(&session.credentials, region, &groups, asker.namespace(), &asker.effort).await;
        for (index, group) in again.into_iter().zip(readings) {
            results[index] = group;
        }
    }
    Ok(results)
}

/// One result for each source; without credentials the same for all.
pub fn each<T>(results: Result<Vec<T>, IdentityError>, count: usize) -> Vec<Result<T, IdentityError>> {
    match results {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(error) => vec![error; count].into_iter().map(Err).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind, region: &str) -> Box<AwsFailure> {
        let region = Region::parse(region).unwrap();
        Box::new(AwsFailure::own(kind, "o", &region, String::new()))
    }

    #[test]
    fn the_region_that_gave_a_value_may_revoke_it() {
        use FailureKind::{Denied, KmsDenied, NotFound, Outage, Throttled, Unusable};
        let (east, west) = (Region::parse("us-east-1").unwrap(), Region::parse("us-west-2").unwrap());
        for (primary, failover, giver, required, lost) in [
            (Denied, None, None, true, true),
            (NotFound, None, Some(&east), true, true),
            (NotFound, None, Some(&east), false, false),
            (Denied, None, Some(&west), false, true),
            (Outage, None, Some(&east), true, false),
            (Outage, Some(Denied), Some(&west), true, true),
            (Throttled, Some(NotFound), Some(&west), false, true),
            (Outage, Some(KmsDenied), Some(&west), false, true),
            (Outage, Some(Unusable), Some(&west), true, true),
            (Outage, Some(Denied), Some(&east), true, false),
            (Outage, Some(NotFound), None, true, false),
            (Outage, Some(Throttled), Some(&west), true, false),
        ] {
            let failover = failover.map(|kind| failure(kind, "us-west-2"));
            let read = ReadFailure { primary: failure(primary, "us-east-1"), failover };
            assert_eq!(read.loses(giver, required), lost, "{read:?} {giver:?}");
        }
    }

    #[test]
    fn a_partial_denial_by_the_primary_region_prevents_failover() {
        let failed = |kind| Err(ReadFailure::of_primary(*failure(kind, "us-east-1")));
        assert!(unanswered(&[failed(FailureKind::Outage), failed(FailureKind::Throttled)]));
        assert!(!unanswered(&[failed(FailureKind::Outage), failed(FailureKind::Denied)]));
        assert!(!unanswered(&[failed(FailureKind::NotFound)]));
        assert!(!unanswered(&[]));
    }
}
