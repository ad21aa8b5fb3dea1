//! Images of a test's own: nothing but random bytes, so that no node and no other test has a part of them;
//! in the registry, and on the node as a pull by digest leaves them.

use anyhow::{Context as _, Result, ensure};
use bollard::auth::DockerCredentials;
use bollard::body_full;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures::TryStreamExt as _;
use serde_json::Value;

use crate::answer::{list, text};
use crate::docker::Engine;

/// A repository in the registry, and the node that pushes to it and pulls from it.
pub struct Repository {
    engine: Engine,
    name: String,
    login: Option<DockerCredentials>,
}

impl Repository {
    /// `name`: with the registry's address.
    pub const fn new(engine: Engine, name: String) -> Self {
        Self { engine, name, login: None }
    }

    /// One of the registry that asks who is there.
    pub fn with_login(self, user: &str, password: &str) -> Self {
        let login = DockerCredentials {
            username: Some(user.to_owned()),
            password: Some(password.to_owned()),
            ..DockerCredentials::default()
        };
        Self { login: Some(login), ..self }
    }

    /// Makes an image of so many random bytes and pushes it; the node does not keep it. What a release of
    /// it is resolved to.
    pub async fn push(&self, tag: &str, bytes: usize) -> Result<String> {
        self.make(tag, bytes).await?;
        self.push_away(tag).await
    }

    /// Pushes an image that the node has under another name; what a release of it is resolved to.
    pub async fn push_copy(&self, image: &str, tag: &str) -> Result<String> {
        let options = TagImageOptionsBuilder::new().repo(&self.name).tag(tag).build();
        self.engine.client().tag_image(image, Some(options)).await?;
        self.push_away(tag).await
    }

    async fn push_away(&self, tag: &str) -> Result<String> {
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let progress =
            self.engine.client().push_image(&self.name, Some(options), self.login.clone());
        for step in progress.try_collect::<Vec<_>>().await? {
            ensure!(step.error_detail.is_none(), "{step:?}");
        }
        let image = self.engine.get(&format!("/images/{}:{tag}/json", self.name)).await?;
        // An image has one for each repository that it was pushed to.
        let of_this = format!("{}@", self.name);
        let digests = list(&image, "/RepoDigests")?.iter().filter_map(Value::as_str);
        let pushed = digests.into_iter().find(|digest| digest.starts_with(&of_this));
        let pushed = pushed.context("it was pushed, and has no digest")?.to_owned();
        ensure!(self.engine.delete(&format!("/images/{}:{tag}", self.name)).await?);
        ensure!(!self.has(&pushed).await?, "{pushed} is on the node still");
        Ok(pushed)
    }

    /// Makes an image with this tag that only the node has; its id.
    pub async fn make(&self, tag: &str, bytes: usize) -> Result<String> {
        let mut content = vec![0; bytes];
        fastrand::Rng::new().fill(&mut content);
        let options =
            CreateImageOptionsBuilder::new().from_src("-").repo(&self.name).tag(tag).build();
        let body = body_full(archive(&content).into());
        let made = self.engine.client().create_image(Some(options), Some(body), None);
        made.try_collect::<Vec<_>>().await?;
        let image = self.engine.get(&format!("/images/{}:{tag}/json", self.name)).await?;
        Ok(text(&image, "/Id")?.to_owned())
    }

    /// Pulls an image by its digest, as a node does for a task.
    pub async fn pull(&self, image: &str) -> Result<()> {
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let pulled = self.engine.client().create_image(Some(options), None, None);
        pulled.try_collect::<Vec<_>>().await?;
        ensure!(self.has(image).await?, "{image} was pulled and is not there");
        Ok(())
    }

    /// Whether the node has an image.
    pub async fn has(&self, image: &str) -> Result<bool> {
        Ok(self.engine.find(&format!("/images/{image}/json")).await?.is_some())
    }
}

/// A tar archive of one file.
fn archive(content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0u8; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "content");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    // The checksum counts itself as spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}
