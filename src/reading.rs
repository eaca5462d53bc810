//! Reading everything that one request names: all objects at once, stale
//! credentials renewed once, the failover Region asked in an outage.

use std::{collections::BTreeMap, fmt};

use crate::{
    aws::{AwsFailure, FailureKind},
    backend::{Backend, ReadResult, Reading},
    identity::{Identity, IdentityError, Session},
    model::{
        arn::{Region, Regions},
        object::{Object, Reference},
        principal::Principal,
        request::MountRequest,
        token::Token,
    },
};

/// On whose behalf something is read, and where.
pub struct Asker<'a> {
    /// Whose credentials are used.
    pub who: Who<'a>,
    /// Where it reads.
    pub regions: &'a Regions,
}

/// Whose credentials are used.
pub enum Who<'a> {
    /// A pod's principal.
    Pod {
        /// Gives its credentials.
        identity: &'a Identity,
        /// The pod's request.
        request: &'a MountRequest,
        /// Who it acts as.
        principal: &'a Principal,
        /// What proves it.
        token: &'a Token,
    },
    /// The person who runs the command.
    Caller(&'a Session),
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
            Who::Pod { identity, request, principal, token } => {
                identity.session(principal, token, request, self.regions).await
            }
            Who::Caller(session) => Ok(session.clone()),
        }
    }

    fn discard(&self, session: &Session) {
        if let Who::Pod { identity, principal, .. } = self.who {
            identity.discard(principal, session);
        }
    }
}

/// An object that could not be read.
#[derive(Clone, Debug)]
pub struct ReadFailure {
    /// What the primary Region said.
    pub primary: AwsFailure,
    /// What the failover Region said, where it was asked.
    pub failover: Option<AwsFailure>,
}

/// What became of an object.
pub type ObjectResult = Result<Reading, ReadFailure>;

/// Reads objects.
pub struct Reader {
    backend: Backend,
}

impl Reader {
    /// Reads through `backend`.
    pub fn new(backend: Backend) -> Self {
        Self { backend }
    }

    /// Reads every object; the results stand in the objects' order. The account
    /// of the credentials comes along, where it is known.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn read(
        &self,
        asker: &Asker<'_>,
        objects: &[Object],
    ) -> Result<(Vec<ObjectResult>, Option<String>), IdentityError> {
        if objects.is_empty() {
            return Ok((Vec::new(), None));
        }
        let mut session = asker.session().await?;
        let region = &asker.regions.primary;
        let wanted = objects.iter().map(|object| object.reference.clone());
        let primary = self.read_renewing(asker, &mut session, region, wanted).await?;
        let mut results: Vec<ObjectResult> = objects
            .iter()
            .map(|object| {
                primary[&object.reference].clone().map_err(|primary| ReadFailure { primary, failover: None })
            })
            .collect();

        if let Some(region) = &asker.regions.failover {
            let outage = |result: &ObjectResult| {
                result.as_ref().is_err_and(|failure| failure.primary.kind == FailureKind::Outage)
            };
            let wanted = objects.iter().zip(&results).filter(|(_, result)| outage(result));
            let wanted: Vec<Reference> = wanted.map(|(object, _)| in_failover(object).clone()).collect();
            let failover = self.read_renewing(asker, &mut session, region, wanted.into_iter()).await?;
            for (object, result) in objects.iter().zip(&mut results) {
                let Some(answer) = failover.get(in_failover(object)).filter(|_| outage(result)) else {
                    continue;
                };
                match (answer, &mut *result) {
                    (Ok(reading), _) => *result = Ok(reading.clone()),
                    (Err(failed), Err(failure)) => failure.failover = Some(failed.clone()),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
        Ok((results, session.account))
    }

    /// Reads distinct references; what fails for stale credentials is read once
    /// more with new ones.
    async fn read_renewing(
        &self,
        asker: &Asker<'_>,
        session: &mut Session,
        region: &Region,
        wanted: impl Iterator<Item = Reference>,
    ) -> Result<BTreeMap<Reference, ReadResult>, IdentityError> {
        let mut results: BTreeMap<Reference, ReadResult> = BTreeMap::new();
        let mut distinct: Vec<Reference> = wanted.collect();
        distinct.sort_unstable();
        distinct.dedup();
        let readings = self.backend.read(&session.credentials, region, &distinct).await;
        results.extend(distinct.into_iter().zip(readings));

        let stale = |result: &ReadResult| {
            result.as_ref().is_err_and(|failure| failure.kind == FailureKind::StaleCredentials)
        };
        let again: Vec<Reference> = results
            .iter()
            .filter(|(_, result)| stale(result))
            .map(|(reference, _)| reference.clone())
            .collect();
        if !again.is_empty() {
            asker.discard(session);
            *session = asker.session().await?;
            let readings = self.backend.read(&session.credentials, region, &again).await;
            results.extend(again.into_iter().zip(readings));
        }
        Ok(results)
    }
}

/// What the failover Region is asked for.
fn in_failover(object: &Object) -> &Reference {
    object.failover.as_ref().unwrap_or(&object.reference)
}
