//! HTTP byte by byte: what a client library would never send, or never so slowly.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long anything in here may take.
const LONGEST: Duration = Duration::from_secs(20);

/// A connection to the API at `url`.
pub async fn connect(url: &str) -> Result<TcpStream> {
    let address = url.strip_prefix("http://").context("no http URL")?;
    Ok(TcpStream::connect(address).await?)
}

/// Everything that comes until the connection ends.
pub async fn rest(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let read = timeout(LONGEST, stream.read_to_end(&mut bytes)).await;
    // A connection that is reset has ended as well.
    _ = read.context("the connection does not end")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The answer to these bytes, on a connection of their own.
pub async fn answer(url: &str, request: impl AsRef<[u8]>) -> Result<String> {
    let mut stream = connect(url).await?;
    stream.write_all(request.as_ref()).await?;
    rest(&mut stream).await
}

/// Sends one byte of `drip` after another until the connection ends; returns what came.
pub async fn drip(stream: TcpStream, mut drip: impl Iterator<Item = u8>) -> Result<String> {
    let (mut reader, mut writer) = stream.into_split();
    let mut bytes = Vec::new();
    let writes = async {
        while let Some(byte) = drip.next()
            && writer.write_all(&[byte]).await.is_ok()
        {
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = writes => {}
        read = timeout(LONGEST, reader.read_to_end(&mut bytes)) => {
            _ = read.context("the connection does not end")?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
