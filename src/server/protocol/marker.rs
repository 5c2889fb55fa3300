//! The words by which answers are told from whatever a login shell or a program prints beside them.

/// Behind it, the facts.
pub const FACTS: &str = "estiba:facts";
/// An answer of several lines is whole.
pub const END: &str = "estiba:end";
/// Behind it, a file: its size in bytes, and its name.
pub const FILE: &str = "estiba:file";
/// Files have arrived, and are what the manifest says.
pub const RECEIVED: &str = "estiba:received";
/// Why files were not taken.
pub const ERROR: &str = "estiba:error";
/// Behind it, the records of a journal.
pub const JOURNAL: &str = "estiba:journal";
/// The client's word on a run, or a segment of an image, has been taken.
pub const TAKEN: &str = "estiba:taken";
/// How many bytes of a segment are there.
pub const SIZE: &str = "estiba:size";
/// Behind it, an image: its id, its platform where that was asked for, and its layers.
pub const IMAGE: &str = "estiba:image";
/// The Engine has all of that image.
pub const WHOLE: &str = "estiba:whole";
/// Behind it, the migrations that the database has.
pub const APPLIED: &str = "estiba:applied";
/// Why that is not known.
pub const UNKNOWN: &str = "estiba:unknown";

/// Behind it, what of the release that serves is not as that says.
pub const COMPARED: &str = "estiba:compared";

/// Behind it, the run and the share of a canary that was told something.
pub const CANARY: &str = "estiba:canary";

/// Behind it, the logs of containers: the server's time when they were asked for.
pub const LOGS: &str = "estiba:logs";
/// A part of a bundle: its name.
pub const BUNDLE: &str = "estiba:bundle";

/// Behind it, what became of an alert by each channel.
pub const ALERTS: &str = "estiba:alerts";

/// Behind it, figures.
pub const METRICS: &str = "estiba:metrics";

/// Behind it, what the server's system is called.
pub const SYSTEM: &str = "estiba:os";

/// Behind it, something that a server needs: its name, how it stands, and words.
pub const ITEM: &str = "estiba:item";

/// Behind it, something that is wrong with the server: its kind, and words.
pub const FINDING: &str = "estiba:finding";

/// Behind it, the server's time in seconds since 1970.
pub const CLOCK: &str = "estiba:clock";

/// All of them.
#[cfg(test)]
pub(super) const ALL: [&str; 22] = [
    SYSTEM, ITEM, FINDING, CLOCK, FACTS, END, FILE, RECEIVED, ERROR, JOURNAL, TAKEN, SIZE, IMAGE, WHOLE, APPLIED, UNKNOWN,
    COMPARED, CANARY, LOGS, BUNDLE, ALERTS, METRICS,
];

/// What stands behind a marker in a line of its own.
pub fn behind<'a>(marker: &str, line: &'a str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_prefix(' ')
}
