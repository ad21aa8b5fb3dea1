//! Hashes of passwords: Argon2id, which is meant to cost a processor and 19 MiB. So it runs off the threads
//! that serve requests, one hash at a time in a process, behind a queue that is bounded: who logs in waits
//! for others who do, and nobody else does.

use std::hint::black_box;
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use model::error::ErrorCode;
use model::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// What OWASP recommends: 19 MiB, two passes, one lane.
const PARAMETERS: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Bytes of a hash.
const LENGTH: usize = 32;
/// Bytes from which on glibc asks the system for memory each time, and gives it back when it is freed. What is
/// never touched costs nothing.
const GIVEN_BACK: usize = 33 << 20;

/// Hashes one password after the other.
#[derive(Clone)]
pub(crate) struct Hashing {
    queue: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// Leave to hash one password. It lasts until that is done, also where nobody waits for it any more.
pub(crate) struct Turn(#[allow(dead_code)] [OwnedSemaphorePermit; 2]);

/// A password that was right.
#[derive(Debug)]
pub(crate) struct Right {
    /// It, hashed anew, where its hash is not as hashes are made today.
    pub(crate) renewed: Option<SecretString>,
}

impl Hashing {
    /// A queue in which so many may be, the one whose turn it is included.
    pub(crate) fn new(places: usize) -> Self {
        Self { queue: Arc::new(Semaphore::new(places)), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for a turn; refused where too many wait.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| {
            let message = "too many passwords are waiting to be checked; try again in a second";
            Error::new(ErrorCode::LoginsOverloaded, message)
        })?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn([place, turn]))
    }
}

impl Turn {
    /// Hashes a password, to be stored.
    pub(crate) async fn hash(self, password: SecretString) -> Result<SecretString> {
        self.run(move || hash(&password)).await
    }

    /// Compares a password with a hash; `None`: it is wrong. Where there is no hash it is wrong after as much
    /// work.
    pub(crate) async fn verify(
        self,
        password: SecretString,
        stored: Option<SecretString>,
    ) -> Result<Option<Right>> {
        self.run(move || match stored {
            Some(stored) => verify(&password, &stored),
            None => {
                black_box(hash(&password)?);
                Ok(None)
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let work = move || {
            let done = work();
            drop(self);
            done
        };
        spawn_blocking(work).await.map_err(Error::internal)?
    }
}

fn parameters() -> Result<Params> {
    let (memory, passes, lanes) = PARAMETERS;
    Params::new(memory, passes, lanes, Some(LENGTH)).map_err(|error| told(&error))
}

fn hash(password: &SecretString) -> Result<SecretString> {
    let (parameters, salt) = (parameters()?, Salt::generate());
    let hashed = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&parameters).map_err(|error| told(&error))?,
        salt: Some(salt),
        hash: Some(output(password, &salt, parameters)?),
    };
    Ok(hashed.to_string().into())
}

fn verify(password: &SecretString, stored: &SecretString) -> Result<Option<Right>> {
    let stored = PasswordHash::new(stored.expose_secret()).map_err(|error| told(&error))?;
    let used = Params::try_from(&stored).map_err(|error| told(&error))?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(told(&"a hash without salt or output is stored"));
    };
    let is_current = used == parameters()?;
    // Compared in constant time.
    if output(password, salt, used)? != *expected {
        return Ok(None);
    }
    Ok(Some(Right { renewed: if is_current { None } else { Some(hash(password)?) } }))
}

/// The hash itself. Its memory is given back at once: the crate would allocate 19 MiB, which glibc keeps, once
/// for each thread that has hashed.
fn output(password: &SecretString, salt: &[u8], parameters: Params) -> Result<Output> {
    let blocks = parameters.block_count();
    let mut memory: Vec<Block> = Vec::with_capacity(blocks.max(GIVEN_BACK / Block::SIZE));
    memory.resize(blocks, Block::default());
    let mut out = vec![0; parameters.output_len().unwrap_or(LENGTH)];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into_with_memory(
            password.expose_secret().as_bytes(),
            salt,
            &mut out,
            &mut memory,
        )
        .map_err(|error| told(&error))?;
    Output::new(&out).map_err(|error| told(&error))
}

/// What the library says of a failure names no password and no hash.
fn told(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("a password could not be hashed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use argon2::PasswordHasher as _;

    use super::*;

    #[tokio::test]
    async fn the_right_password_is_right_and_old_parameters_are_renewed() {
        let hashing = Hashing::new(1);
        let stored = hashing.turn().await.unwrap().hash("correct horse".into()).await.unwrap();
        assert!(stored.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = async |password: &str, stored: &SecretString| {
            let turn = hashing.turn().await.unwrap();
            turn.verify(password.into(), Some(stored.clone())).await.unwrap()
        };
        assert!(verify("correct house", &stored).await.is_none());
        assert!(verify("correct horse", &stored).await.unwrap().renewed.is_none());
        let weak = Params::new(8, 1, 1, Some(LENGTH)).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
        let old: SecretString = weak.hash_password(b"correct horse").unwrap().to_string().into();
        let renewed = verify("correct horse", &old).await.unwrap().renewed.unwrap();
        assert!(verify("correct horse", &renewed).await.unwrap().renewed.is_none());
        assert!(verify("correct house", &old).await.is_none());
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        let hashing = Hashing::new(1);
        let stored = hashing.turn().await.unwrap().hash("correct horse".into()).await.unwrap();
        let cost = async |stored: Option<SecretString>| {
            let turn = hashing.turn().await.unwrap();
            let started = Instant::now();
            assert!(turn.verify("wrong".into(), stored).await.unwrap().is_none());
            started.elapsed().as_secs_f64()
        };
        // In turns, and the least of many: what else the machine does costs both alike.
        let (mut somebody, mut nobody) = (f64::MAX, f64::MAX);
        for _ in 0..20 {
            somebody = somebody.min(cost(Some(stored.clone())).await);
            nobody = nobody.min(cost(None).await);
        }
        assert!((0.5..2.0).contains(&(nobody / somebody)), "{nobody} s, {somebody} s");
    }

    #[tokio::test]
    async fn one_at_a_time_and_the_queue_is_bounded() {
        let hashing = Hashing::new(2);
        let first = hashing.turn().await.unwrap();
        let second = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.turn().await.map(drop) }
        });
        // The second takes the last place, and waits.
        tokio::task::yield_now().await;
        assert_eq!(hashing.queue.available_permits(), 0);
        let refused = hashing.turn().await.map(drop).unwrap_err();
        assert_eq!(refused.code, ErrorCode::LoginsOverloaded);
        assert!(!second.is_finished(), "it waits for its turn");
        first.hash("correct horse".into()).await.unwrap();
        second.await.unwrap().unwrap();
        // Whoever gives up leaves the turn to the hash that is still being made.
        let turn = hashing.turn().await.unwrap();
        drop(tokio::time::timeout(std::time::Duration::ZERO, turn.hash("x".into())).await);
        assert_eq!(hashing.turn.available_permits(), 0);
        hashing.turn().await.unwrap();
    }
}
