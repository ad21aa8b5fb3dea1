//! The wire between a process and Postgres, listened to: a proxy that reads which statements are
//! executed in which transaction. Counting them there counts what is sent, and not what we think.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// A statement that was executed.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// Its text, parameters as `$1`.
    pub text: String,
    /// Postgres's ids of its parameters' types, as the client stated them.
    pub types: Vec<u32>,
    /// Its parameters as they were bound, in Postgres's binary form; `None`: NULL.
    pub parameters: Vec<Option<Vec<u8>>>,
}

/// Statements of a transaction, BEGIN and COMMIT left out.
pub type Transaction = Vec<Statement>;

/// What was heard.
#[derive(Default)]
struct Heard {
    transactions: Vec<Transaction>,
    alone: Vec<Statement>,
    prepared: Vec<String>,
}

/// A proxy in front of Postgres.
pub struct Wire {
    port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl Wire {
    /// Starts one in front of the server of this URL.
    pub async fn start(url: &str) -> Result<Self> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("the URL names no host")?;
        let target = format!("{host}:{}", url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let all = Arc::new(Mutex::new(Heard::default()));
        let heard = Arc::clone(&all);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&target).await {
                    tokio::spawn(pass(client, server, Arc::clone(&heard)));
                }
            }
        });
        Ok(Self { port, heard: all })
    }

    /// The URL, through this proxy.
    pub fn through(&self, url: &str) -> Result<String> {
        let mut url = Url::parse(url)?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(self.port)).map_err(|()| anyhow::anyhow!("the URL takes no port"))?;
        Ok(url.into())
    }

    /// The transactions that were committed, oldest first.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).transactions.clone()
    }

    /// The statements that were executed outside of a transaction, oldest first.
    pub fn alone(&self) -> Vec<Statement> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).alone.clone()
    }

    /// The statements that Postgres was asked to parse and plan, oldest first.
    pub fn prepared(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).prepared.clone()
    }
}

async fn pass(client: TcpStream, server: TcpStream, heard: Arc<Mutex<Heard>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut ear = Ear { statements: HashMap::new(), open: None, heard };
    // The first message has no type: length and protocol version.
    let mut typed = false;
    while let Ok((kind, bytes)) = message(&mut from_client, typed).await {
        if typed {
            ear.hear(kind, &bytes);
        }
        let mut raw = Vec::with_capacity(bytes.len() + 5);
        raw.extend(typed.then_some(kind));
        raw.extend(u32::try_from(bytes.len() + 4).unwrap_or_default().to_be_bytes());
        raw.extend(&bytes);
        if to_server.write_all(&raw).await.is_err() {
            return;
        }
        typed = true;
    }
}

/// One message of the frontend: its type, and its bytes after the length.
async fn message(
    stream: &mut (impl AsyncReadExt + Unpin),
    typed: bool,
) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = if typed { stream.read_u8().await? } else { 0 };
    let length = stream.read_u32().await?.saturating_sub(4);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut bytes).await?;
    Ok((kind, bytes))
}

/// Understands as much of the protocol as tells what is executed.
struct Ear {
    /// Prepared statements of this connection, by name.
    statements: HashMap<String, Statement>,
    /// The transaction in progress.
    open: Option<Transaction>,
    heard: Arc<Mutex<Heard>>,
}

impl Ear {
    /// What it does not understand, it does not count.
    fn hear(&mut self, kind: u8, bytes: &[u8]) {
        let mut fields = Fields(bytes);
        match kind {
            b'P' => {
                if let Some((name, prepared)) = fields.parse() {
                    let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.prepared.push(prepared.text.clone());
                    self.statements.insert(name, prepared);
                }
            }
            // Each is executed once.
            b'B' => {
                if let Some((name, parameters)) = fields.bind() {
                    let prepared = self.statements.get(&name).cloned().unwrap_or_default();
                    self.execute(Statement { parameters, ..prepared });
                }
            }
            // A simple query.
            b'Q' => {
                let text = fields.text().unwrap_or_default();
                self.execute(Statement { text, ..Statement::default() });
            }
            _ => {}
        }
    }

    fn execute(&mut self, statement: Statement) {
        let word = statement.text.split_whitespace().next().unwrap_or_default().to_uppercase();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match word.trim_end_matches(';') {
            "BEGIN" | "START" => self.open = Some(Vec::new()),
            "COMMIT" => heard.transactions.extend(self.open.take()),
            "ROLLBACK" => self.open = None,
            _ => match &mut self.open {
                Some(open) => open.push(statement),
                None => heard.alone.push(statement),
            },
        }
    }
}

/// The rest of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Name and text of a statement, and the types of its parameters.
    fn parse(&mut self) -> Option<(String, Statement)> {
        let (name, text) = (self.text()?, self.text()?);
        let types = (0..self.count()?).map(|_| Some(u32::from_be_bytes(self.array()?)));
        let types = types.collect::<Option<_>>()?;
        Some((name, Statement { text, types, parameters: Vec::new() }))
    }

    /// Name of a statement, and its parameters.
    fn bind(&mut self) -> Option<(String, Vec<Option<Vec<u8>>>)> {
        let (_portal, name) = (self.text()?, self.text()?);
        for _format in 0..self.count()? {
            self.count()?;
        }
        let parameters = (0..self.count()?).map(|_| {
            let length = i32::from_be_bytes(self.array()?);
            match usize::try_from(length) {
                Ok(length) => Some(Some(self.take(length)?.to_vec())),
                Err(_) => Some(None),
            }
        });
        Some((name, parameters.collect::<Option<_>>()?))
    }

    fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(text)
    }

    fn count(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.array()?))
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
