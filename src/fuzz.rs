//! Readers of what others wrote, given what nobody would write. Each reader's own tests say what to read and what must hold; here
//! stands how texts are made of good ones, and for how long.
//!
//! `ESTIBA_FUZZ_SECONDS` is the time for each reader (one second where it is not set), `ESTIBA_FUZZ_RUNS` a number of texts in its
//! place. What once broke a reader is kept in tests/corpus, a folder for each, and tried first.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests are told by the environment how long they go on, and tell how far they came"
)]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

/// A text may take a reader this long: the slowest machine, without optimisation.
const SLOWEST: Duration = Duration::from_secs(2);

/// Pieces that have a meaning in one of the formats, or in none of them.
const PIECES: &[&str] = &[
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    "- ",
    "-",
    ":",
    ": ",
    "=",
    "#",
    "'",
    "\"",
    "\\",
    "/",
    "../",
    "..",
    "./",
    "*",
    "**",
    "?",
    "!",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    "{{",
    "}}",
    "{%",
    "%}",
    "${",
    "${A",
    "${A:-b}",
    "$$",
    "$(id)",
    "`id`",
    "&a ",
    "*a",
    "<<: ",
    "!reset null",
    "!override ",
    "|",
    ">",
    "|\n  ",
    "---\n",
    "%YAML 1.1\n",
    "null",
    "~",
    "true",
    "yes",
    "0x",
    "0o7",
    "1e999",
    "-1",
    "0",
    "65536",
    "4294967296",
    "18446744073709551616",
    "1.5",
    "NaN",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[31m",
    "é",
    "\u{1f4a9}",
    "a",
    "A",
    "estiba:facts\n",
    "estiba:end\n",
    "sha256:",
    "SHA256:",
    "@revoked ",
    "@cert-authority ",
    "|1|",
    "ssh-ed25519 ",
    "FROM ",
    "COPY ",
    "--from=",
    "<<EOF\n",
    "EOF",
    "services:",
    "web:",
    "image:",
    "build:",
    ",",
    ";",
    "&",
    "<",
    ">>",
    "--",
    "://",
    "https://",
    "user@",
    "1h",
    "99h",
    "30s",
];

/// One change of a text. Places are parts of its length, so that they stay meaningful while the text changes.
#[derive(Debug, Clone)]
enum Edit {
    Piece(u16, usize),
    Byte(u16, u8),
    Remove(u16, u16),
    /// A part of it once more, some times over.
    Repeat(u16, u16, u8),
    /// A part of another good text.
    Splice(u16, usize, u16, u16),
    End(u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (any::<u16>(), 0..PIECES.len()).prop_map(|(at, piece)| Edit::Piece(at, piece)),
        2 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        2 => (any::<u16>(), 0..2_000_u16).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (any::<u16>(), 0..4_000_u16, 1..24_u8).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        2 => (any::<u16>(), any::<usize>(), any::<u16>(), 0..8_000_u16).prop_map(|(at, other, from, length)| Edit::Splice(at, other, from, length)),
        1 => any::<u16>().prop_map(Edit::End),
    ]
}

/// No text grows beyond this.
const LONGEST: usize = 64 * 1024;

fn edited(seeds: &[Vec<u8>], first: usize, edits: &[Edit]) -> Vec<u8> {
    let mut text = seeds[first % seeds.len()].clone();
    for edit in edits {
        // A share of a length, in 65536 parts.
        let place = |share: u16, length: usize| length * usize::from(share) / 65_536;
        let at = |share: &u16| place(*share, text.len() + 1);
        match edit {
            Edit::Piece(share, piece) => drop(text.splice(at(share)..at(share), PIECES[*piece].bytes())),
            Edit::Byte(share, byte) => {
                if let Some(old) = {
                    let at = at(share);
                    text.get_mut(at)
                } {
                    *old = *byte;
                }
            }
            Edit::Remove(share, length) => {
                let from = at(share);
                let to = (from + 1 + place(*length, text.len())).min(text.len());
                text.drain(from.min(to)..to);
            }
            Edit::Repeat(share, length, times) => {
                let from = at(share);
                let to = (from + 1 + place(*length, text.len())).min(text.len());
                let part = text[from.min(to)..to].repeat(usize::from(*times));
                text.splice(to..to, part);
            }
            Edit::Splice(share, other, from, length) => {
                let other = &seeds[other % seeds.len()];
                let from = place(*from, other.len());
                let to = (from + 1 + place(*length, other.len())).min(other.len());
                text.splice(at(share)..at(share), other[from..to].iter().copied());
            }
            Edit::End(share) => text.truncate(at(share)),
        }
        text.truncate(LONGEST);
    }
    text
}

/// The files of a folder of the repository, and of the folders in it.
pub(crate) fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(path) = open.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => found.extend(std::fs::read(path)),
        }
    }
    found.sort();
    found
}

/// Those of the tests' cases that have that name.
pub(crate) fn cases(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|case| case.unwrap().path().join(name)).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// Reads texts that are made of these good ones until the time is over. The reader panics where something does not hold.
pub(crate) fn read(name: &str, good: &[Vec<u8>], reader: impl Fn(&[u8])) {
    assert!(!good.is_empty(), "no good text to begin with");
    let timed = |text: &[u8]| {
        let began = Instant::now();
        reader(text);
        let took = began.elapsed();
        assert!(took < SLOWEST, "it takes {took:?}");
    };
    let broke = files(&format!("tests/corpus/{name}"));
    good.iter().chain(&broke).for_each(|text| timed(text));
    let seeds: Vec<Vec<u8>> = good.iter().chain(&broke).cloned().collect();
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().expect(variable));
    let most = number("ESTIBA_FUZZ_RUNS");
    let time = Duration::from_secs(number("ESTIBA_FUZZ_SECONDS").unwrap_or(1));
    let began = Instant::now();
    let mut runs = 0;
    let texts = (any::<usize>(), prop::collection::vec(edit(), 1..8));
    while most.map_or_else(|| began.elapsed() < time, |most| runs < most) {
        let config = Config { cases: 256, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
        let last = RefCell::new(Vec::new());
        let result = TestRunner::new(config).run(&texts, |(first, edits)| {
            last.replace(edited(&seeds, first, &edits));
            timed(&last.borrow());
            Ok(())
        });
        if let Err(TestError::Fail(why, (first, edits))) = result {
            let text = edited(&seeds, first, &edits);
            let path = std::env::temp_dir().join(format!("estiba-fuzz-{name}"));
            std::fs::write(&path, &text).unwrap();
            panic!(
                "{name}: {why}\nafter {runs} texts; the smallest, to be kept in tests/corpus/{name}, is in {}:\n{}",
                path.display(),
                text.escape_ascii()
            );
        }
        runs += 256;
    }
    println!("{name}: {runs} texts in {:.1} s", began.elapsed().as_secs_f64());
}
