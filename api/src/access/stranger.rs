//! Who asks without a token, because what they show is in the body: a password, or a secret that works once.

use std::sync::Arc;

use db::{Actor, Credential, Expected, IdempotencyKey, UserScope};
use model::Error;
use model::token::TokenKind;
use poem::http::header::AUTHORIZATION;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::auth::{Bearer, BearerAuthorization as _};
use uuid::Uuid;

use super::action::Needs;
use super::tried::Tried;
use super::{actor_of, address_of, counted, from_its_networks, takes_a_session};
use crate::authentication::unauthenticated;
use crate::middleware::RequestId;
use crate::problem::Problem;
use crate::state::State;

/// A request of anybody's.
pub(crate) struct Stranger {
    /// The state of the process.
    pub(crate) state: Arc<State>,
    actor: Actor,
}

impl Stranger {
    /// The request, as what it changes has to know it.
    pub(crate) fn request(&self, key: Option<IdempotencyKey>) -> db::Request {
        db::Request { actor: self.actor.clone(), key, expected: Expected::Any }
    }

    /// The same, of the holder of a session.
    pub(crate) fn request_of(
        &self,
        session: &PerhapsSession,
        key: Option<IdempotencyKey>,
    ) -> db::Request {
        let mut request = self.request(key);
        if let Some((_, credential)) = session.0 {
            request.actor.credential = credential;
        }
        request
    }
}

impl<'a> FromRequest<'a> for Stranger {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let actor = Actor {
            credential: Credential::Other(Uuid::nil()),
            user: None,
            request_id: RequestId::of(request).to_owned(),
            address: address_of(request).map(|address| address.to_string()),
        };
        let state = state_of(request)?;
        counted(request, &state, address_of(request)).await.map_err(Problem::from)?;
        Ok(Self { state, actor })
    }
}

/// The session of who asks, where they send one. A token that is no session is refused, and so is one that
/// does not work: nothing is done as nobody by who believes to be somebody.
pub(crate) struct PerhapsSession(Option<(UserScope, Credential)>);

impl PerhapsSession {
    /// Whose session it is.
    pub(crate) fn scope(&self) -> Option<UserScope> {
        self.0.map(|(scope, _)| scope)
    }
}

impl<'a> FromRequest<'a> for PerhapsSession {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        let bearer = Bearer::from_request(request).map_err(|_| Problem::from(unauthenticated()))?;
        let state = state_of(request)?;
        let holder =
            state.authentication.holder(&bearer.token, None).await.map_err(Problem::from)?;
        let address = address_of(request);
        let actor = actor_of(request, &holder, address);
        let user = from_its_networks(&holder, address).and_then(|()| {
            let user = holder.user_id.filter(|_| holder.kind == TokenKind::Session);
            user.ok_or_else(takes_a_session)
        });
        let tried = Tried { needs: Needs::Session, holder: &holder, path: request.uri().path() };
        let refusal = user.as_ref().err();
        tried.write_down(&state.database, &actor, refusal).await.map_err(Problem::from)?;
        let user = user.map_err(Problem::from)?;
        Ok(Self(Some((UserScope::granted(user), actor.credential))))
    }
}

fn state_of(request: &Request) -> Result<Arc<State>, Problem> {
    let state = request.data::<Arc<State>>().map(Arc::clone);
    Ok(state.ok_or_else(|| Error::internal("a request without the process's state"))?)
}
