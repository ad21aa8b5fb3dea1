//! The API's side: opens streams, hands on what comes, and gives credit for what was taken.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use model::error::chain;
use model::log::{LOG_VERSION, LogEvent, LogRequest};
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AT_ONCE, Control, LISTENS, Opening, REPLY_TO, WINDOW};
use crate::BrokerError;
use crate::asks::Unanswered;
use crate::backoff::Backoff;
use crate::link::{Link, within};
use crate::topology::Topology;

/// How long a worker may take to take a stream up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Workers that are asked, where one after the other has no room.
const TRIES: u32 = 4;
/// Batches that are taken before credit for them is given.
const AT_A_TIME: u32 = WINDOW / 2;
/// Room for what comes without credit: beats and an end.
const BESIDES: usize = 8;

/// Opens streams. Clones share one connection.
#[derive(Clone)]
pub struct Streams {
    opening: mpsc::Sender<Open>,
    controls: mpsc::Sender<(String, Control)>,
}

struct Open {
    request: LogRequest,
    opened: oneshot::Sender<Result<(String, mpsc::Receiver<LogEvent>), Unanswered>>,
}

/// A stream that a worker gives. Dropped, it is closed.
pub struct Stream {
    id: String,
    /// What told that a worker has taken it up.
    first: Option<LogEvent>,
    events: mpsc::Receiver<LogEvent>,
    controls: mpsc::Sender<(String, Control)>,
    /// Batches that were taken and are not credited yet.
    taken: u32,
}

impl Streams {
    /// Connects on a task of its own, and again by itself; ends with `shutdown`.
    pub fn start(url: SecretString, queue_prefix: &str, shutdown: CancellationToken) -> Self {
        let (opening, open) = mpsc::channel(AT_ONCE);
        let (controls, told) = mpsc::channel(AT_ONCE * 4);
        let topology = Topology::new(queue_prefix);
        tokio::spawn(async move {
            shutdown.run_until_cancelled(carry(url, topology, open, told)).await;
        });
        Self { opening, controls }
    }

    /// A stream that a worker has taken up, whichever has room.
    pub async fn open(&self, request: LogRequest) -> Result<Stream, Unanswered> {
        for _ in 0..TRIES {
            let mut stream = self.ask(request.clone()).await?;
            match timeout(PATIENCE, stream.events.recv()).await {
                Ok(Some(LogEvent::Busy)) => {}
                Ok(Some(first)) => {
                    stream.first = Some(first);
                    return Ok(stream);
                }
                Ok(None) => return Err(Unanswered::NoBroker),
                Err(_) => return Err(Unanswered::TooLate),
            }
        }
        Err(Unanswered::TooMany)
    }

    async fn ask(&self, request: LogRequest) -> Result<Stream, Unanswered> {
        let (opened, answer) = oneshot::channel();
        self.opening.try_send(Open { request, opened }).map_err(|_| Unanswered::TooMany)?;
        let (id, events) = match timeout(PATIENCE, answer).await {
            Ok(Ok(opened)) => opened?,
            Ok(Err(_)) => return Err(Unanswered::NoBroker),
            Err(_) => return Err(Unanswered::TooLate),
        };
        Ok(Stream { id, first: None, events, controls: self.controls.clone(), taken: 0 })
    }
}

impl Stream {
    /// What the worker gives next; `None`: it was lost.
    pub async fn next(&mut self) -> Option<LogEvent> {
        let event = match self.first.take() {
            Some(first) => first,
            None => self.events.recv().await?,
        };
        match event {
            LogEvent::Lines { .. } | LogEvent::Read { .. } | LogEvent::Missing { .. } => {
                self.taken += 1;
            }
            LogEvent::Beat | LogEvent::Busy | LogEvent::End | LogEvent::Failed { .. } => {}
        }
        if self.taken >= AT_A_TIME {
            // Where there is no room, credit is given for more at once the next time.
            let more = (self.id.clone(), Control::More(self.taken));
            if self.controls.try_send(more).is_ok() {
                self.taken = 0;
            }
        }
        Some(event)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A worker that is not told stops for want of credit.
        let _ = self.controls.try_send((std::mem::take(&mut self.id), Control::Close));
    }
}

/// A stream as the connection knows it.
struct Carried {
    events: mpsc::Sender<LogEvent>,
    /// Where its worker is reached, once it has said something.
    worker: Option<String>,
}

async fn carry(
    url: SecretString,
    topology: Topology,
    mut open: mpsc::Receiver<Open>,
    mut controls: mpsc::Receiver<(String, Control)>,
) {
    let mut backoff = Backoff::new();
    // Connected when there is something to open: most processes never do.
    while let Some(first) = open.recv().await {
        let (told, opened) = (&mut controls, &mut open);
        if let Err(error) = connected(&url, &topology, opened, first, told, &mut backoff).await {
            tracing::warn!(error = %chain(&error), "streams from workers lost the broker");
            sleep(backoff.pause()).await;
        }
    }
}

/// Carries streams over one connection until it fails, or nobody opens any more. Then those that are open have lost their worker.
async fn connected(
    url: &SecretString,
    topology: &Topology,
    open: &mut mpsc::Receiver<Open>,
    first: Open,
    controls: &mut mpsc::Receiver<(String, Control)>,
    backoff: &mut Backoff,
) -> Result<(), BrokerError> {
    let link = Link::open(url, "skep streams").await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers =
        link.channel.basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default());
    let mut answers = within(async { Ok(answers.await?) }).await?;
    // What workers are told is not waited for: where one is gone, its silence tells.
    let telling = link.unconfirmed().await?;
    backoff.reset();
    let mut streams: HashMap<String, Carried> = HashMap::new();
    let mut next = Some(first);
    let mut listens = interval(LISTENS);
    loop {
        if let Some(open) = next.take() {
            put(&link, topology, open, &mut streams).await?;
        }
        tokio::select! {
            opened = open.recv() => match opened {
                Some(open) => next = Some(open),
                None => return Ok(()),
            },
            control = controls.recv() => match control {
                Some((id, control)) => tell(&telling, &mut streams, &id, control).await?,
                None => return Ok(()),
            },
            _ = listens.tick() => {
                streams.retain(|_, carried| !carried.events.is_closed());
                for (id, carried) in &streams {
                    if let Some(worker) = &carried.worker {
                        send(&telling, worker, id, Control::More(0)).await?;
                    }
                }
            }
            answer = answers.next() => match answer {
                Some(answer) => hand_on(&telling, &mut streams, &answer?).await?,
                None => return Err(BrokerError::Ended),
            },
        }
    }
}

async fn put(
    link: &Link,
    topology: &Topology,
    open: Open,
    streams: &mut HashMap<String, Carried>,
) -> Result<(), BrokerError> {
    let Open { request, opened } = open;
    if opened.is_closed() {
        return Ok(());
    }
    if streams.len() >= AT_ONCE {
        drop(opened.send(Err(Unanswered::TooMany)));
        return Ok(());
    }
    let id = Uuid::now_v7().to_string();
    let request = serde_json::to_value(&request).unwrap_or_default();
    let payload =
        serde_json::to_vec(&Opening { version: LOG_VERSION, request }).unwrap_or_default();
    let properties = BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id(id.as_str().into())
        .with_expiration(PATIENCE.as_millis().to_string().into());
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    // Known before it is sent: the first answer may be faster than the broker's confirmation.
    let (events, taken) = mpsc::channel(WINDOW as usize + BESIDES);
    streams.insert(id.clone(), Carried { events, worker: None });
    let queue = topology.streams.as_str().into();
    let publish = link.channel.basic_publish("".into(), queue, mandatory, &payload, properties);
    let confirmation = within(async { Ok(publish.await?.await?) }).await?;
    let outcome = match confirmation {
        Confirmation::Ack(None) => Ok((id.clone(), taken)),
        Confirmation::Ack(Some(_)) => {
            streams.remove(&id);
            Err(Unanswered::NoWorker)
        }
        Confirmation::Nack(_) | Confirmation::NotRequested => {
            streams.remove(&id);
            Err(Unanswered::NoBroker)
        }
    };
    // Who is gone by now has its stream closed at the first that comes of it.
    if opened.send(outcome).is_err() {
        streams.remove(&id);
    }
    Ok(())
}

/// Tells the worker of a stream, if it is known by now.
async fn tell(
    telling: &Channel,
    streams: &mut HashMap<String, Carried>,
    id: &str,
    control: Control,
) -> Result<(), BrokerError> {
    let carried = match control {
        Control::Close => streams.remove(id),
        Control::More(_) => None,
    };
    let worker = match &carried {
        Some(carried) => carried.worker.clone(),
        None => streams.get(id).and_then(|carried| carried.worker.clone()),
    };
    match worker {
        Some(worker) => send(telling, &worker, id, control).await,
        None => Ok(()),
    }
}

async fn send(
    telling: &Channel,
    worker: &str,
    id: &str,
    control: Control,
) -> Result<(), BrokerError> {
    let payload = serde_json::to_vec(&control).unwrap_or_default();
    let properties = BasicProperties::default().with_correlation_id(id.into());
    let options = BasicPublishOptions::default();
    let publish = telling.basic_publish("".into(), worker.into(), options, &payload, properties);
    within(async { Ok(publish.await?) }).await.map(drop)
}

async fn hand_on(
    telling: &Channel,
    streams: &mut HashMap<String, Carried>,
    delivery: &Delivery,
) -> Result<(), BrokerError> {
    let Some(id) = delivery.properties.correlation_id().as_ref().map(ToString::to_string) else {
        return Ok(());
    };
    let worker = delivery.properties.reply_to().as_ref().map(ToString::to_string);
    let event = serde_json::from_slice::<LogEvent>(&delivery.data);
    let is_open = streams.get_mut(&id).is_some_and(|carried| {
        carried.worker = worker.clone().or(carried.worker.take());
        // A worker of another version, and one that gives more than it has credit for, is as good as lost.
        event.is_ok_and(|event| carried.events.try_send(event).is_ok())
    });
    if is_open {
        return Ok(());
    }
    streams.remove(&id);
    match worker {
        Some(worker) => send(telling, &worker, &id, Control::Close).await,
        None => Ok(()),
    }
}
