//! An image on its way to the server, in segments.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Answer, Error, Result};

use super::Server;
use super::protocol::{Entry, marker};

/// Bytes that have arrived, as a file of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// How many of its bytes count.
    pub size: u64,
}

/// What the server says of an image that it has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id there.
    pub id: String,
    /// The digests of its layers, lowest first.
    pub layers: Vec<String>,
    /// Has the Engine all of it? Of an image that it runs, a containerd store may not have the layers as they came.
    pub whole: bool,
    /// What it runs on, as `linux/amd64`.
    pub platform: String,
}

impl Server<'_> {
    fn incoming(&self, id: &str, arguments: &[&str]) -> String {
        Self::inline(Entry::TakeImage, &[&[self.root(), id], arguments].concat())
    }

    /// Sends a segment. The outer error is the connection's, and says nothing of how much has arrived: see
    /// [`Self::segment_size`]. The inner one is the server's, which did not take it.
    pub async fn put_segment(
        &self,
        id: &str,
        name: &str,
        input: mpsc::Receiver<Bytes>,
        sent: impl FnMut(u64) + Send,
    ) -> Result<Result<()>> {
        let output = self.pipe(&self.incoming(id, &["put", name]), input, sent).await?;
        if output.text().contains(marker::TAKEN) {
            return Ok(Ok(()));
        }
        Ok(Err(Error::failed(format!("{}: the server rejected the image: {}", self.connection().address(), output.complaint()))
            .hint("nothing that serves was touched; `df -h` there shows whether a disk is full")))
    }

    /// How many bytes of a segment are there.
    pub async fn segment_size(&self, id: &str, name: &str) -> Result<u64> {
        let output = self.connection().run(&self.incoming(id, &["size", name]), Bytes::new()).await?;
        let text = output.text();
        let size = text.lines().find_map(|line| marker::behind(marker::SIZE, line)?.trim().parse().ok());
        size.ok_or_else(|| Error::failed(format!("{}: the server did not say how much arrived", self.connection().address())))
    }

    /// Has the Engine pull this reference through the port that leads here, with that user and password, which is in no argument.
    /// `Err` holds the server's words.
    pub async fn pull_here(
        &self,
        id: &str,
        port: u16,
        reference: &str,
        tag: &str,
        login: (&str, &str),
    ) -> Result<Answer<Loaded>> {
        let command = self.incoming(id, &["pull", tag, reference, &port.to_string(), login.0]);
        self.brings_an_image(&command, Bytes::from(login.1.to_owned())).await
    }

    /// Has the Engine pull this reference from its registry. `Err` holds the server's words.
    pub async fn fetch(&self, id: &str, reference: &str, login: Option<&(String, String)>, tag: &str) -> Result<Answer<Loaded>> {
        let (user, password) = login.map_or(("", ""), |(user, password)| (user.as_str(), password.as_str()));
        let command = self.incoming(id, &["fetch", tag, reference, user]);
        self.brings_an_image(&command, Bytes::from(password.to_owned())).await
    }

    /// Loads the segments as one archive. `Err` holds the server's words where it did not take it.
    pub async fn load_segments(&self, id: &str, tag: &str, form: &str, segments: &[Segment]) -> Result<Answer<Loaded>> {
        let named: Vec<String> = segments.iter().map(|segment| format!("{}:{}", segment.name, segment.size)).collect();
        let arguments: Vec<&str> = ["load", tag, form].into_iter().chain(named.iter().map(String::as_str)).collect();
        self.brings_an_image(&self.incoming(id, &arguments), Bytes::new()).await
    }

    async fn brings_an_image(&self, command: &str, input: Bytes) -> Result<Answer<Loaded>> {
        let output = self.connection().run(command, input).await?;
        let text = output.text();
        let loaded = text.lines().find_map(|line| {
            let mut words = marker::behind(marker::IMAGE, line)?.splitn(3, ' ');
            let (id, platform) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(Loaded { id, platform, layers: serde_json::from_str(words.next()?).ok()?, whole: text.contains(marker::WHOLE) })
        });
        Ok(loaded.ok_or_else(|| output.complaint()))
    }
}
