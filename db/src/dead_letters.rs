//! The record of what operators do to dead letters. The letters themselves are the broker's: here stands
//! who ended how many, and the answer under the request's key.

use diesel_async::AsyncConnection;
use model::Result;
use model::policy::access::Action;

use crate::audit::Mutation;
use crate::failure::Failure;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::OperatorScope;

/// Ends dead letters by `effect`, which tells how many it ended, once for the request's key. A crash
/// between the effect and the commit leaves the effect alone: a repetition then ends others. `effect` has
/// to be over within seconds, because the transaction waits for it.
pub async fn dead_letters_end(
    database: &Database,
    operator: OperatorScope,
    action: &str,
    request: &Request,
    effect: impl Future<Output = Result<u32>> + Send,
    answer: impl Fn(u32) -> Result<Answer> + Sync,
) -> Result<Answered> {
    operator.require(Action::PlatformOperate)?;
    let mut connection = database.platform(operator).await?;
    let mut effect = Box::pin(effect);
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok::<_, Failure>(earlier);
            }
            let count = effect.as_mut().await?;
            let mutation = Mutation {
                organization: None,
                action,
                object: "dead_letters".to_owned(),
                before: None,
                after: Some(serde_json::json!({ "count": count })),
                deployment: None,
            };
            request.finish(connection, mutation, answer(count)?).await
        })
        .await;
    drop(connection);
    request.settle(database, outcome).await
}
