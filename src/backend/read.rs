//! One read of sources: stale credentials are renewed once, and the failover Region
//! is read in an outage of the primary one.

use super::{Answer, Asker, Backend, ReadResult};
use crate::{
    aws::{AwsFailure, FailureKind},
    identity::{IdentityError, Session},
    model::{arn::Region, reference::Reference, source::Source},
};

/// Why an object could not be read.
#[derive(Clone, Debug)]
pub struct ReadFailure {
    /// What the primary Region answered.
    pub primary: Box<AwsFailure>,
    /// What the failover Region answered, if it was asked.
    pub failover: Option<Box<AwsFailure>>,
}

impl ReadFailure {
    /// The kind that counts: the primary Region's. The failover Region is asked only
    /// in an outage, and may lack what the primary one holds.
    pub fn kind(&self) -> FailureKind {
        self.primary.kind
    }

    /// The failure that a person has to act on: that of the Region asked last.
    pub fn last(&self) -> &AwsFailure {
        self.failover.as_ref().unwrap_or(&self.primary)
    }

    /// Whether access to the object is lost, and its value with it. `giver` is the
    /// Region that served the value, if one is held. An object that is not `required`
    /// may be absent.
    ///
    /// The failover Region's answer counts only if it served the value: it may deny,
    /// or lack, what the primary Region holds.
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

    /// The failover Region's failure, after the primary one's.
    fn of_failover(before: ReadResult, failover: AwsFailure) -> Self {
        match before {
            Ok(_) => Self::of_primary(failover),
            Err(before) => Self { failover: Some(Box::new(failover)), ..before },
        }
    }
}

impl Backend {
    /// Reads every source. Each result stands where its source and its reference do.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn read(
        &self,
        asker: &Asker<'_>,
        sources: &[&Source],
    ) -> Result<Vec<Vec<ReadResult>>, IdentityError> {
        let mut session = asker.session().await?;
        let primary: Vec<&[Reference]> = sources.iter().map(|source| source.primary.as_slice()).collect();
        let answers = self.read_renewing(asker, &mut session, &asker.regions.primary, &primary).await?;
        let mut results: Vec<Vec<ReadResult>> = answers
            .into_iter()
            .map(|group| group.into_iter().map(|answer| answer.map_err(ReadFailure::of_primary)).collect())
            .collect();

        let Some(region) = &asker.regions.failover else { return Ok(results) };
        let (unanswered, failover): (Vec<&mut Vec<ReadResult>>, Vec<&[Reference]>) = results
            .iter_mut()
            .zip(sources)
            .filter(|(results, _)| unanswered(results))
            .map(|(results, source)| (results, source.failover.as_slice()))
            .unzip();
        let answers = self.read_renewing(asker, &mut session, region, &failover).await?;
        for (results, answers) in unanswered.into_iter().zip(answers) {
            // All of a source comes from one Region.
            let before = std::mem::take(results);
            let both = answers.into_iter().zip(before);
            *results = both
                .map(|(answer, before)| answer.map_err(|failure| ReadFailure::of_failover(before, failure)))
                .collect();
        }
        Ok(results)
    }

    /// Reads groups from one Region, and once more with new credentials those that
    /// failed for stale ones.
    async fn read_renewing(
        &self,
        asker: &Asker<'_>,
        session: &mut Session,
        region: &Region,
        groups: &[&[Reference]],
    ) -> Result<Vec<Vec<Answer>>, IdentityError> {
        let mut answers = self.read_from(asker, &session.credentials, region, groups).await;
        let (stale, groups): (Vec<&mut Vec<Answer>>, Vec<&[Reference]>) =
            answers.iter_mut().zip(groups).filter(|(answers, _)| is_stale(answers)).unzip();
        if !stale.is_empty() {
            asker.discard(session);
            *session = asker.session().await?;
            let again = self.read_from(asker, &session.credentials, region, &groups).await;
            for (answers, again) in stale.into_iter().zip(again) {
                *answers = again;
            }
        }
        Ok(answers)
    }
}

fn is_stale(answers: &[Answer]) -> bool {
    let stale = |failure: &AwsFailure| failure.kind == FailureKind::StaleCredentials;
    answers.iter().any(|answer| answer.as_ref().is_err_and(stale))
}

/// Whether the primary Region has an outage and refused no part of the source: the
/// failover Region must not serve what the primary one denies.
fn unanswered(results: &[ReadResult]) -> bool {
    let outage = |result: &ReadResult| result.as_ref().map_or_else(|it| it.kind().is_outage(), |_| true);
    met_outage(results) && results.iter().all(outage)
}

/// Whether the Region did not answer for a part of the source.
pub fn met_outage(results: &[ReadResult]) -> bool {
    results.iter().any(|result| result.as_ref().is_err_and(|failure| failure.kind().is_outage()))
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
