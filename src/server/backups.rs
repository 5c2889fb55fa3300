//! The server's backups: listed, brought here, taken there.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::private;
use crate::ssh::{ChannelWriter, Piece};

use super::Server;
use super::protocol::{Entry, marker};

/// The files of a backup, by what comes behind its id. The dump is the last.
const PARTS: [&str; 5] = ["json", "counts", "dump.sha256", "rdb", "dump"];

/// How long a server may send nothing of a backup.
const SILENT: Duration = Duration::from_secs(300);
/// Bytes of a line between the files of a backup.
const LONGEST_HEADER: usize = 4096;
/// Bytes of a file that is no dump.
const LARGEST_NOTE: u64 = 1024 * 1024;

impl Server<'_> {
    /// What is told of each backup, oldest first.
    pub async fn backups(&self) -> Result<Vec<Value>> {
        let output = self.look(&Self::inline(Entry::Backups, &[self.root()])).await?;
        Ok(output.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Brings a backup's files into `folder`, each under a temporary name until it is whole. Returns the dump's path.
    /// `progress` is told bytes done and in all.
    ///
    /// The bytes go straight to the disk: a backup of any size takes no more memory than one piece of it.
    pub async fn pull_backup(&self, id: &str, folder: &Utf8Path, mut progress: impl FnMut(u64, u64)) -> Result<Utf8PathBuf> {
        let names: Vec<String> = PARTS.iter().map(|part| format!("{id}.{part}")).collect();
        let from = format!("{}/backups", self.root());
        let arguments: Vec<&str> = [from.as_str()].into_iter().chain(names.iter().map(String::as_str)).collect();
        let mut running = self.connection().start(&Self::inline(Entry::Cat, &arguments)).await?;
        let mut files = Incoming { folder: folder.to_owned(), asked: names.clone(), open: None, header: Vec::new(), over: false };
        while let Some(piece) = timeout(SILENT, running.next()).await.unwrap_or_default() {
            if let Piece::Out(bytes) = piece {
                files.take(&bytes, &mut progress).await?;
            }
        }
        if !files.over {
            return Err(Error::failed(format!("the download of backup {id} was cut short; what came is kept as *.part")));
        }
        let dump = folder.join(format!("{id}.dump"));
        let part = format!("{dump}.part");
        if !Utf8Path::new(&part).exists() {
            return Err(Error::failed(format!("the server has no backup {id}")).hint("`estiba backup list` has them"));
        }
        let told = std::fs::read_to_string(format!("{dump}.sha256")).unwrap_or_default();
        let sum = tokio::task::spawn_blocking(move || sha256(Utf8Path::new(&part))).await;
        let sum = sum.map_err(|error| Error::failed(error.to_string()))?.map_err(|error| cannot(folder, &error))?;
        if told.split(' ').next() != Some(sum.as_str()) {
            return Err(Error::failed(format!("the backup {id} arrived damaged: its SHA-256 is {sum}, not {told}"))
                .hint("it is kept as *.part; `estiba backup verify` checks the server's copy"));
        }
        std::fs::rename(format!("{dump}.part"), &dump).map_err(|error| cannot(folder, &error))?;
        Ok(dump)
    }

    /// Gives the server a backup that lies here. The server checks it before it takes its name.
    pub async fn take_backup(&self, dump: &Utf8Path, id: &str, progress: impl FnMut(u64) + Send) -> Result<()> {
        let folder = dump.parent().unwrap_or(Utf8Path::new("")).to_owned();
        let (sender, receiver) = mpsc::channel(4);
        let names: Vec<String> = PARTS.iter().map(|part| format!("{id}.{part}")).collect();
        let packing = tokio::task::spawn_blocking(move || pack(&folder, &names, sender));
        let output = self.pipe(&Self::inline(Entry::TakeBackup, &[self.root(), id]), receiver, progress).await?;
        packing
            .await
            .map_err(|error| Error::failed(error.to_string()))?
            .map_err(|error| Error::failed(format!("packing {dump}: {error}")))?;
        if output.text().contains(marker::RECEIVED) {
            return Ok(());
        }
        let why = output.text().lines().find_map(|line| marker::behind(marker::ERROR, line).map(str::to_owned));
        Err(Error::failed(format!("the server did not take the backup {id}: {}", why.unwrap_or_else(|| output.complaint()))))
    }
}

fn sha256(path: &Utf8Path) -> std::io::Result<String> {
    crate::digest::sha256_of(std::fs::File::open(path)?)
}

/// Writes a tar of those files that exist into the channel.
fn pack(folder: &Utf8Path, names: &[String], sender: mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(ChannelWriter::of(sender));
    for name in names {
        let path: PathBuf = folder.join(name).into();
        if path.is_file() {
            archive.append_path_with_name(path, name)?;
        }
    }
    let mut writer = archive.into_inner()?;
    std::io::Write::flush(&mut writer)
}

/// The stream of cat.sh, written to files as it comes.
struct Incoming {
    folder: Utf8PathBuf,
    asked: Vec<String>,
    open: Option<Part>,
    header: Vec<u8>,
    over: bool,
}

struct Part {
    file: tokio::fs::File,
    name: String,
    left: u64,
    size: u64,
}

impl Incoming {
    async fn take(&mut self, mut bytes: &[u8], progress: &mut impl FnMut(u64, u64)) -> Result<()> {
        while !bytes.is_empty() && !self.over {
            if let Some(part) = &mut self.open {
                let count = bytes.len().min(usize::try_from(part.left).unwrap_or(usize::MAX));
                part.file.write_all(&bytes[..count]).await.map_err(|error| cannot(&self.folder, &error))?;
                part.left -= count as u64;
                bytes = &bytes[count..];
                progress(part.size - part.left, part.size);
                if part.left == 0 {
                    self.close().await?;
                }
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.header.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if self.header.len() > LONGEST_HEADER {
                return Err(Error::failed("the server's answer is not a backup: a line of it does not end"));
            }
            if end.is_some() {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.header)).into_owned();
                self.header_line(&line).await?;
            }
        }
        Ok(())
    }

    async fn header_line(&mut self, line: &str) -> Result<()> {
        if line == marker::END {
            self.over = true;
        } else if let Some((size, name)) = marker::behind(marker::FILE, line).and_then(|rest| rest.split_once(' ')) {
            // What comes becomes a file here: only what was asked for, and once.
            let asked = self.asked.iter().position(|asked| asked == name).map(|at| self.asked.swap_remove(at));
            let size: u64 = match size.parse() {
                // Beside the dump there are a sum, row counts and what `backup list` shows.
                Ok(size) if asked.is_some() && (name.ends_with(".dump") || name.ends_with(".rdb") || size <= LARGEST_NOTE) => {
                    size
                }
                _ => return Err(Error::failed(format!("the server's answer is not a backup: `{line}`; nothing was kept of it"))),
            };
            let path = self.folder.join(format!("{name}.part"));
            let file = tokio::fs::File::from_std(private::create(&path).map_err(|error| cannot(&self.folder, &error))?);
            self.open = Some(Part { file, name: name.to_owned(), left: size, size });
            if size == 0 {
                self.close().await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let Some(part) = self.open.take() else { return Ok(()) };
        let path = self.folder.join(&part.name);
        part.file.sync_all().await.map_err(|error| cannot(&self.folder, &error))?;
        // The dump has its name when it has been checked.
        if part.name.ends_with(".dump") {
            return Ok(());
        }
        tokio::fs::rename(format!("{path}.part"), &path).await.map_err(|error| cannot(&self.folder, &error))
    }
}

fn cannot(folder: &Utf8Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write into {folder}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_an_end_and_a_note_of_any_size_are_no_backup() {
        let (_folder, folder) = private::folder().unwrap();
        let incoming = || Incoming {
            folder: folder.clone(),
            asked: vec!["b.json".into(), "b.dump".into()],
            open: None,
            header: Vec::new(),
            over: false,
        };
        let mut endless = incoming();
        let mut refused = None;
        for _ in 0..3 {
            refused = refused.or(endless.take(&[b'x'; 2000], &mut |_, _| {}).await.err());
        }
        assert!(refused.is_some_and(|error| error.to_string().contains("does not end")));
        let large = format!("{} {} b.json\n", marker::FILE, LARGEST_NOTE + 1);
        assert!(incoming().take(large.as_bytes(), &mut |_, _| {}).await.is_err());
    }

    #[tokio::test]
    async fn only_what_was_asked_for_becomes_a_file_and_once() {
        let (_folder, folder) = private::folder().unwrap();
        for (stream, good) in
            [("1 b.json\nx", true), ("1 ../b.json\nx", false), ("1 b.json\nx\n1 b.json\ny", false), ("1 c\nx", false)]
        {
            let into = folder.join("into");
            std::fs::create_dir_all(&into).unwrap();
            let mut incoming =
                Incoming { folder: into.clone(), asked: vec!["b.json".into()], open: None, header: Vec::new(), over: false };
            let stream: String = stream
                .split_inclusive('\n')
                .map(|line| if line.starts_with('1') { format!("{} {line}", marker::FILE) } else { line.to_owned() })
                .collect();
            let taken = incoming.take(stream.as_bytes(), &mut |_, _| {}).await;
            assert_eq!(taken.is_ok(), good, "{stream}");
            let made: Vec<String> = into.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
            assert!(made.iter().all(|name| name == "b.json"), "{made:?}");
            assert!(std::fs::read_to_string(into.join("b.json")).is_ok_and(|text| text == "x"), "{stream}");
            assert!(!folder.join("b.json").exists());
        }
    }
}
