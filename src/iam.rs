//! IAM policy documents: reads them, decides with them, and writes the least ones.
//!
//! [`documents`] reads policies. [`Policies::decide`] says whether they allow a [`Request`]:
//! yes, no, or that it depends on condition keys whose value the caller of this room does
//! not know. It never guesses.
//!
//! What it does not know: service control policies, resource control policies, and the
//! policies of VPC endpoints. The rules are AWS's:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod condition;
mod context;
mod decide;
mod document;
mod envelope;
mod json;
mod moment;
mod needs;
mod operator;
mod pattern;
mod principals;
mod statement;
pub mod trust;
mod truth;
mod write;

#[cfg(test)]
mod tests;

pub use self::{
    context::Context,
    decide::{Answer, Denial, Layer, Policies, ResourcePolicy},
    document::{Policy, PolicyError},
    envelope::documents,
    needs::{Home, Need, Needs, NoRegion},
    pattern::covers,
    principals::{Caller, Request},
    statement::{Effect, Statement},
    write::{Document, Grants, KmsKey, MAX_MANAGED_POLICY, WrittenStatement, documents as least_documents},
};
