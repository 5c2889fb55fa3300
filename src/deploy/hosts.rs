//! The hosts of a target, a bounded number at the same time.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::stream;

use crate::error::{Error, Result};

/// As many hosts are dialled, looked at and sent to at the same time.
const AT_ONCE: usize = 64;

/// Does the work for each of them, a bounded number at the same time; the results in their order.
pub async fn each<T, F: Future>(items: impl IntoIterator<Item = T>, work: impl FnMut(T) -> F) -> Vec<F::Output> {
    stream::iter(items).map(work).buffered(AT_ONCE).collect().await
}

/// All results, or one error that names the hosts that failed and what they did not do. A single host's error is its own.
pub fn all<T>(hosts: &[String], what: &str, results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut fine = Vec::new();
    let mut failed = Vec::new();
    for (host, result) in hosts.iter().zip(results) {
        match result {
            Ok(value) => fine.push(value),
            Err(error) => failed.push((host, error)),
        }
    }
    match failed.len() {
        0 => Ok(fine),
        1 if hosts.len() == 1 => Err(failed.remove(0).1),
        count => {
            let kind = failed[0].1.kind;
            let lines: Vec<String> = failed.iter().map(|(host, error)| format!("\n  {host}: {}", error.text())).collect();
            let message = format!("{count} of {} hosts {what}:{}", hosts.len(), lines.concat());
            let hints: BTreeSet<&String> = failed.iter().flat_map(|(_, error)| error.last_hints()).collect();
            Err(hints.into_iter().take(5).fold(Error::new(kind, message), |error, hint| error.hint(hint.clone())))
        }
    }
}
