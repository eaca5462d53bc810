//! Opens connections before a mount needs them, so that a pod's start does not wait
//! for round trips and handshakes.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextMut, dyn_dispatch_hint},
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use http::{
    Request, Uri,
    uri::{Parts, PathAndQuery},
};

/// AWS's endpoints answer this path with "healthy". Any other response is fine too.
const PATH: &str = "/ping";

/// Replaces a call's request by a harmless, unsigned GET. It opens the same
/// connection as the call itself, with the same endpoint, proxy, roots and
/// timeouts.
#[derive(Debug)]
pub struct Greeting;

#[dyn_dispatch_hint]
impl Intercept for Greeting {
    fn name(&self) -> &'static str {
        "Greeting"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut parts: Parts = context.request().uri().parse::<Uri>()?.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static(PATH));
        let request = Request::get(Uri::from_parts(parts)?).body(SdkBody::empty())?;
        *context.request_mut() = HttpRequest::try_from(request)?;
        Ok(())
    }
}
