//! Connections that are open before a mount needs them: their round trips and
//! handshakes are no part of the pod's start.

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

/// What AWS's endpoints answer with "healthy". Any other answer does as well.
const PATH: &str = "/ping";

/// Makes of any call one that asks for nothing and proves nothing: what remains
/// of it is the way to the endpoint that the call itself would take, with its
/// proxy, its authorities and its time-outs.
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
