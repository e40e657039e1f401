//! The root of the tree: it supervises the shards and tenants, and stops for none of them.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

/// The actor.
pub(crate) struct RootActor;

/// Nothing is asked of the root.
pub(crate) enum RootMsg {}

impl Actor for RootActor {
    type Msg = RootMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, error) = event {
            tracing::error!(actor = %who.get_id(), %error, "a supervisor failed");
        }
        Ok(())
    }
}
