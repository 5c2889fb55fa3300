//! Text files, read whole and within a bound.

use std::fs;

use camino::Utf8Path;

use crate::error::{Error, Result};

/// No text that is read whole may be longer: 1 MiB.
const TEXT_LIMIT: u64 = 1024 * 1024;

/// Reads a text file whole: UTF-8, 1 MiB at most, else an input error that says where it is wrong.
pub fn read_limited(path: &Utf8Path) -> Result<String> {
    let cannot = |why: &dyn std::fmt::Display| Error::input(format!("cannot read {path}: {why}"));
    let metadata = fs::metadata(path).map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(cannot(&"it is a folder"));
    }
    // A pipe may wait for ever, and a device has no end.
    if !metadata.is_file() {
        return Err(cannot(&"it is no regular file").hint("a device, a pipe or a socket stands in its place"));
    }
    if metadata.len() > TEXT_LIMIT {
        let size = metadata.len();
        return Err(cannot(&format!("it has {size} bytes, more than the {TEXT_LIMIT} that such a file may have"))
            .hint("is this the right file?"));
    }
    let bytes = fs::read(path).map_err(|error| cannot(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Error::input(format!("{path}:{line}:{column}: not UTF-8 (byte {at} of the file)")).hint("save the file as UTF-8")
    })
}
