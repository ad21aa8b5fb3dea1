//! The wire between a process and Postgres, listened to: a proxy that reads which statements are
//! executed in which transaction. Counting them there counts what is sent, and not what we think.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// Statements of a transaction, BEGIN and COMMIT left out.
pub type Transaction = Vec<String>;

/// A proxy in front of Postgres.
pub struct Wire {
    port: u16,
    transactions: Arc<Mutex<Vec<Transaction>>>,
}

impl Wire {
    /// Starts one in front of the server of this URL.
    pub async fn start(url: &str) -> Result<Self> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("the URL names no host")?;
        let target = format!("{host}:{}", url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let transactions = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&transactions);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&target).await {
                    tokio::spawn(pass(client, server, Arc::clone(&heard)));
                }
            }
        });
        Ok(Self { port, transactions })
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
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pass(client: TcpStream, server: TcpStream, heard: Arc<Mutex<Vec<Transaction>>>) {
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
    statements: HashMap<Vec<u8>, String>,
    /// The transaction in progress.
    open: Option<Transaction>,
    heard: Arc<Mutex<Vec<Transaction>>>,
}

impl Ear {
    fn hear(&mut self, kind: u8, bytes: &[u8]) {
        let mut texts = bytes.split(|byte| *byte == 0);
        let mut next = || texts.next().unwrap_or_default();
        match kind {
            // Parse: the statement's name, its text.
            b'P' => {
                let (name, text) = (next().to_vec(), String::from_utf8_lossy(next()).into_owned());
                self.statements.insert(name, text);
            }
            // Bind: the portal, the statement's name. Each is executed once.
            b'B' => {
                let (_, name) = (next(), next());
                let text = self.statements.get(name).cloned().unwrap_or_default();
                self.execute(text);
            }
            // A simple query.
            b'Q' => {
                let text = String::from_utf8_lossy(next()).into_owned();
                self.execute(text);
            }
            _ => {}
        }
    }

    fn execute(&mut self, text: String) {
        let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
        match word.trim_end_matches(';') {
            "BEGIN" | "START" => self.open = Some(Vec::new()),
            "COMMIT" => {
                let ended = self.open.take();
                self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(ended);
            }
            "ROLLBACK" => self.open = None,
            _ => {
                if let Some(open) = &mut self.open {
                    open.push(text);
                }
            }
        }
    }
}
