//! The worker's side: takes streams up, and gives as there is credit.

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
use model::log::{LOG_VERSION, LogEvent, LogRequest};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{AT_ONCE, BEAT, Control, LISTENS, Opening, REPLY_TO, WINDOW};
use crate::BrokerError;
use crate::backoff::Backoff;
use crate::link::{Link, within};
use crate::topology::Topology;

/// How long a worker waits for credit before it takes whoever listens for stuck.
const CREDITED: Duration = Duration::from_secs(120);
/// After which silence it takes whoever listened for gone.
const LISTENED: Duration = Duration::from_secs(3 * LISTENS.as_secs());

/// Where the batches of one stream go.
pub struct Outlet {
    link: Arc<Link>,
    to: ShortString,
    id: ShortString,
    listener: Arc<Listener>,
}

/// Whoever listens to a stream.
struct Listener {
    credit: Semaphore,
    gone: CancellationToken,
    /// When it was heard last.
    heard: Mutex<Instant>,
}

impl Listener {
    fn is_silent(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > LISTENED
    }
}

/// Nobody listens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Outlet {
    /// Until something could be sent at once.
    pub async fn credited(&self) {
        // Given back: it is taken when there is something to send. Never closed.
        let _ = self.listener.credit.acquire().await;
    }

    /// Whether something could be sent at once.
    pub fn has_credit(&self) -> bool {
        self.listener.credit.available_permits() > 0
    }

    /// Sends what takes credit, when there is some.
    pub async fn send(&self, event: LogEvent) -> Result<(), Gone> {
        match timeout(CREDITED, self.listener.credit.acquire()).await {
            Ok(Ok(credit)) => credit.forget(),
            Ok(Err(_)) | Err(_) => {
                self.listener.gone.cancel();
                return Err(Gone);
            }
        }
        self.put(&event).await
    }

    /// Sends what needs no credit.
    async fn put(&self, event: &LogEvent) -> Result<(), Gone> {
        let payload = serde_json::to_vec(event).unwrap_or_default();
        let properties = BasicProperties::default()
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id(self.id.clone());
        // Not mandatory: what is reached by direct reply-to is no queue, and RabbitMQ returns what it delivers. Who is gone is silent.
        let options = BasicPublishOptions::default();
        let (channel, to) = (&self.link.channel, self.to.clone());
        let publish = channel.basic_publish("".into(), to, options, &payload, properties);
        match within(async { Ok(publish.await?.await?) }).await {
            Ok(Confirmation::Ack(_)) => Ok(()),
            Ok(Confirmation::Nack(_) | Confirmation::NotRequested) | Err(_) => {
                self.listener.gone.cancel();
                Err(Gone)
            }
        }
    }
}

/// Gives streams as this worker can, until `shutdown`. `giver` ends when there is no more, or with a sentence that says why it cannot go on;
/// where nobody listens any more it is dropped.
pub async fn give<F>(
    url: SecretString,
    queue_prefix: &str,
    shutdown: CancellationToken,
    giver: impl Fn(LogRequest, Arc<Outlet>) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let topology = Topology::new(queue_prefix);
    let mut backoff = Backoff::new();
    let listening = async {
        loop {
            if let Err(error) = listen(&url, &topology, &giver, &mut backoff).await {
                let pause = backoff.pause();
                tracing::warn!(error = %chain(&error), ?pause, "streams do not reach the broker; it connects again");
                sleep(pause).await;
            }
        }
    };
    shutdown.run_until_cancelled(listening).await;
}

type Listeners = Arc<Mutex<HashMap<String, Arc<Listener>>>>;

async fn listen<F>(
    url: &SecretString,
    topology: &Topology,
    giver: &(impl Fn(LogRequest, Arc<Outlet>) -> F + Clone + Send + Sync + 'static),
    backoff: &mut Backoff,
) -> Result<(), BrokerError>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let link = Arc::new(Link::open(url, "skep gives").await?);
    let (mut openings, mut controls) = within(async {
        let while_listened_to =
            QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
        let queue: ShortString = topology.streams.as_str().into();
        link.channel.queue_declare(queue.clone(), while_listened_to, FieldTable::default()).await?;
        // Of several workers each takes its turn.
        link.channel.basic_qos(1, BasicQosOptions::default()).await?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let controls = link
            .channel
            .basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default())
            .await?;
        let options = BasicConsumeOptions::default();
        let openings =
            link.channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((openings, controls))
    })
    .await?;
    backoff.reset();
    let listeners = Listeners::default();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            opening = openings.next() => {
                let Some(opening) = opening else { return Err(BrokerError::Ended) };
                let opening = opening?;
                opening.acker.ack(BasicAckOptions::default()).await?;
                let slot = Arc::clone(&slots).try_acquire_owned();
                let (link, listeners, giver) = (Arc::clone(&link), Arc::clone(&listeners), giver.clone());
                tokio::spawn(async move {
                    serve(link, &opening, &listeners, slot.is_ok().then_some(giver)).await;
                    drop(slot);
                });
            }
            control = controls.next() => {
                let Some(control) = control else { return Err(BrokerError::Ended) };
                told(&control?, &listeners);
            }
        }
    }
}

/// Credit, or an end.
fn told(delivery: &Delivery, listeners: &Listeners) {
    let Some(id) = delivery.properties.correlation_id() else { return };
    let control = serde_json::from_slice::<Control>(&delivery.data);
    let listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(listener) = listeners.get(id.as_str()) else { return };
    *listener.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    match control {
        Ok(Control::More(batches)) => {
            listener.credit.add_permits(batches.min(WINDOW) as usize);
        }
        Ok(Control::Close) | Err(_) => listener.gone.cancel(),
    }
}

/// Gives one stream; without a giver, says that there is no room for it.
async fn serve<F>(
    link: Arc<Link>,
    opening: &Delivery,
    listeners: &Listeners,
    giver: Option<impl Fn(LogRequest, Arc<Outlet>) -> F>,
) where
    F: Future<Output = Result<(), String>>,
{
    let (Some(to), Some(id)) =
        (opening.properties.reply_to().clone(), opening.properties.correlation_id().clone())
    else {
        return;
    };
    let credit = Semaphore::new(WINDOW as usize);
    let (gone, heard) = (CancellationToken::new(), Mutex::new(Instant::now()));
    let listener = Arc::new(Listener { credit, gone, heard });
    let key = id.to_string();
    listeners
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key.clone(), Arc::clone(&listener));
    let outlet = Arc::new(Outlet { link, to, id, listener: Arc::clone(&listener) });
    let request = serde_json::from_slice::<Opening>(&opening.data)
        .ok()
        .filter(|opening| opening.version <= LOG_VERSION)
        .and_then(|opening| serde_json::from_value(opening.request).ok());
    let given = async {
        let Some(giver) = giver else { return LogEvent::Busy };
        let Some(request) = request else {
            return LogEvent::Failed { why: "the worker is of an older version".to_owned() };
        };
        match giver(request, Arc::clone(&outlet)).await {
            Ok(()) => LogEvent::End,
            Err(why) => LogEvent::Failed { why },
        }
    };
    let beats = async {
        let mut beat = interval(BEAT);
        loop {
            beat.tick().await;
            if listener.is_silent() || outlet.put(&LogEvent::Beat).await.is_err() {
                return;
            }
        }
    };
    let last = tokio::select! {
        // Who has no room says so before anything else.
        biased;
        last = given => Some(last),
        () = beats => None,
        () = listener.gone.cancelled() => None,
    };
    // A giver ends as well when something did not go out: that is no end of the log. Whoever listens finds out by the silence.
    if let Some(last) = last.filter(|_| !listener.gone.is_cancelled()) {
        // Whoever is gone by now needs no end.
        let _ = outlet.put(&last).await;
    }
    listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
}
