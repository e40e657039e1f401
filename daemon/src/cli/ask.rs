//! One call and its answer.

use std::future::Future;

use buffa::view::OwnedView;
use connectrpc::ConnectError;
use connectrpc::client::UnaryResponse;

use crate::cli::client::Server;
use crate::exit::Failure;

/// The answer of a call as an owned message, or what its error means.
pub(crate) async fn answer<V>(
    server: &Server,
    call: impl Future<Output = Result<UnaryResponse<OwnedView<V>>, ConnectError>>,
) -> Result<V::Owned, Failure>
where
    V: buffa::MessageView<'static>,
{
    call.await.map(UnaryResponse::into_owned).map_err(|error| server.failure(&error))
}
