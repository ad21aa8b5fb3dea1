//! Questions and answers over the broker: an API asks, whichever worker is free answers. The queue lives for as long as a worker listens,
//! so that where none does the broker returns the question, and whoever asked is told at once. A question is acknowledged when it is taken: a worker that dies with it leaves
//! whoever asked to their deadline, which is short.
//!
//! Answers come by RabbitMQ's direct reply-to: no queue is made for them, and they go with the connection of whoever asked.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation};
use model::error::chain;
use model::question::{QUESTION_VERSION, Question, Reply};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::BrokerError;
use crate::backoff::Backoff;
use crate::link::{Link, within};
use crate::topology::Topology;

/// RabbitMQ's name for the answers of a channel.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// Questions that one worker answers at once, and that one API has open.
const AT_ONCE: usize = 64;
/// Longest message, in bytes.
const LONGEST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No worker listens.
    #[error("no worker is there to answer")]
    NoWorker,
    /// None came in time.
    #[error("no worker answered in time")]
    TooLate,
    /// The broker is not reached.
    #[error("the broker does not answer")]
    NoBroker,
    /// Too many questions are open.
    #[error("too many questions wait for an answer")]
    TooMany,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    version: u16,
    question: serde_json::Value,
}

/// Asks. Clones share one connection.
#[derive(Clone)]
pub struct Asker {
    questions: mpsc::Sender<Open>,
}

struct Open {
    question: Question,
    patience: Duration,
    answer: oneshot::Sender<Result<Reply, Unanswered>>,
}

impl Asker {
    /// Connects on a task of its own, and again by itself; ends with `shutdown`.
    pub fn start(url: SecretString, queue_prefix: &str, shutdown: CancellationToken) -> Self {
        let (questions, open) = mpsc::channel(AT_ONCE);
        let topology = Topology::new(queue_prefix);
        tokio::spawn(async move {
            shutdown.run_until_cancelled(ask(url, topology, open)).await;
        });
        Self { questions }
    }

    /// The answer of whichever worker is free, within `patience`.
    pub async fn ask(&self, question: Question, patience: Duration) -> Result<Reply, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let open = Open { question, patience, answer };
        self.questions.try_send(open).map_err(|_| Unanswered::TooMany)?;
        match timeout(patience, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(Unanswered::NoBroker),
            Err(_) => Err(Unanswered::TooLate),
        }
    }
}

/// Who waits for which answer.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Result<Reply, Unanswered>>>>>;

async fn ask(url: SecretString, topology: Topology, mut open: mpsc::Receiver<Open>) {
    let mut backoff = Backoff::new();
    // Connected when there is something to ask: most processes never do.
    while let Some(first) = open.recv().await {
        let waiting = Waiting::default();
        let outcome = conversation(&url, &topology, &mut open, first, &waiting, &mut backoff).await;
        // Dropped, those who wait are told that the broker is gone.
        waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Err(error) = outcome {
            tracing::warn!(error = %chain(&error), "questions to workers lost the broker");
            sleep(backoff.pause()).await;
        }
    }
}

/// Asks over one connection until it fails, or nobody asks any more.
async fn conversation(
    url: &SecretString,
    topology: &Topology,
    open: &mut mpsc::Receiver<Open>,
    first: Open,
    waiting: &Waiting,
    backoff: &mut Backoff,
) -> Result<(), BrokerError> {
    let link = Link::open(url, "skep asks").await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers =
        link.channel.basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default());
    let mut answers = within(async { Ok(answers.await?) }).await?;
    backoff.reset();
    let mut next = Some(first);
    loop {
        if let Some(question) = next.take() {
            put(&link, topology, question, waiting).await?;
        }
        tokio::select! {
            question = open.recv() => match question {
                Some(question) => next = Some(question),
                None => return Ok(()),
            },
            answer = answers.next() => match answer {
                Some(answer) => answered(&answer?, waiting),
                None => return Err(BrokerError::Ended),
            },
        }
    }
}

async fn put(
    link: &Link,
    topology: &Topology,
    open: Open,
    waiting: &Waiting,
) -> Result<(), BrokerError> {
    if open.answer.is_closed() {
        return Ok(());
    }
    let id = Uuid::now_v7().to_string();
    let Ok(question) = serde_json::to_value(&open.question) else { return Ok(()) };
    let asked = Asked { version: QUESTION_VERSION, question };
    let payload = serde_json::to_vec(&asked).unwrap_or_default();
    {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who waited too long is forgotten.
        waiting.retain(|_, asker| !asker.is_closed());
        if waiting.len() >= AT_ONCE {
            drop(open.answer.send(Err(Unanswered::TooMany)));
            return Ok(());
        }
        waiting.insert(id.clone(), open.answer);
    }
    let properties = BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id(id.as_str().into())
        // Whoever asked is gone by then.
        .with_expiration(open.patience.as_millis().to_string().into());
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let queue = topology.asks.as_str().into();
    let publish = link.channel.basic_publish("".into(), queue, mandatory, &payload, properties);
    let confirmation = within(async { Ok(publish.await?.await?) }).await?;
    let refused = match confirmation {
        Confirmation::Ack(None) => return Ok(()),
        Confirmation::Ack(Some(_)) => Unanswered::NoWorker,
        Confirmation::Nack(_) | Confirmation::NotRequested => Unanswered::NoBroker,
    };
    let asker = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    if let Some(asker) = asker {
        // Gone already, it needs no answer.
        drop(asker.send(Err(refused)));
    }
    Ok(())
}

fn answered(delivery: &Delivery, waiting: &Waiting) {
    let id = delivery.properties.correlation_id().as_ref().map(ToString::to_string);
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let asker = id.and_then(|id| waiting.remove(&id));
    let reply = serde_json::from_slice(&delivery.data).unwrap_or(Reply::Unknown);
    if let Some(asker) = asker {
        drop(asker.send(Ok(reply)));
    }
}

/// Answers questions as this worker can, until `shutdown`.
pub async fn answer<F>(
    url: SecretString,
    queue_prefix: &str,
    shutdown: CancellationToken,
    reply: impl Fn(Question) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Reply> + Send + 'static,
{
    let topology = Topology::new(queue_prefix);
    let mut backoff = Backoff::new();
    let listening = async {
        loop {
            if let Err(error) = listen(&url, &topology, &reply, &mut backoff).await {
                let pause = backoff.pause();
                tracing::warn!(error = %chain(&error), ?pause, "questions do not come from the broker; it connects again");
                sleep(pause).await;
            }
        }
    };
    shutdown.run_until_cancelled(listening).await;
}

async fn listen<F>(
    url: &SecretString,
    topology: &Topology,
    reply: &(impl Fn(Question) -> F + Clone + Send + Sync + 'static),
    backoff: &mut Backoff,
) -> Result<(), BrokerError>
where
    F: Future<Output = Reply> + Send + 'static,
{
    let link = Arc::new(Link::open(url, "skep answers").await?);
    let mut questions = within(async {
        let while_listened_to =
            QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
        let queue: ShortString = topology.asks.as_str().into();
        link.channel.queue_declare(queue.clone(), while_listened_to, FieldTable::default()).await?;
        let most = u16::try_from(AT_ONCE).unwrap_or(u16::MAX);
        link.channel.basic_qos(most, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        Ok(link.channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?)
    })
    .await?;
    backoff.reset();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(question) = questions.next().await {
        let question = question?;
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        // What waits for a slot is the broker's still: another worker may have one, and it ends with whoever asked.
        question.acker.ack(BasicAckOptions::default()).await?;
        let (link, reply) = (Arc::clone(&link), reply.clone());
        tokio::spawn(async move {
            give(&link, &question, reply).await;
            drop(slot);
        });
    }
    Err(BrokerError::Ended)
}

async fn give<F>(link: &Link, delivery: &Delivery, reply: impl Fn(Question) -> F)
where
    F: Future<Output = Reply>,
{
    let (Some(to), Some(id)) =
        (delivery.properties.reply_to(), delivery.properties.correlation_id())
    else {
        return;
    };
    let question = serde_json::from_slice::<Asked>(&delivery.data)
        .ok()
        .filter(|asked| asked.version <= QUESTION_VERSION)
        .and_then(|asked| serde_json::from_value(asked.question).ok());
    let answer = match question {
        Some(question) => reply(question).await,
        None => Reply::Unknown,
    };
    let payload = serde_json::to_vec(&answer).ok().filter(|payload| payload.len() <= LONGEST);
    let payload = payload.unwrap_or_else(|| br#"{"answer":"unknown"}"#.to_vec());
    let properties = BasicProperties::default().with_correlation_id(id.clone());
    let options = BasicPublishOptions::default();
    let published =
        link.channel.basic_publish("".into(), to.clone(), options, &payload, properties);
    if let Err(error) = published.await {
        tracing::debug!(error = %chain(&error), "an answer was not sent; whoever asked is told by their deadline");
    }
}
