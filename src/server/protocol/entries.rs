//! What the client may have a server run: the list that the gate of a restricted key is made from.

/// Which key may ask for an entry point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// One that may only look: the entry point changes nothing.
    Look,
    /// One that may deploy.
    Deploy,
    /// None that goes through the gate.
    Person,
}

macro_rules! entries {
    ($(#[doc = $doc:literal] $entry:ident = $name:literal, $rights:ident;)*) => {
        /// An entry point of `remote-scripts/`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Entry {
            $(#[doc = $doc] $entry,)*
        }

        impl Entry {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$entry),*];

            /// The script, by its path below `remote-scripts/`; `true` is the program.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$entry => $name,)*
                }
            }

            /// Which key may ask for it.
            pub const fn rights(self) -> Rights {
                match self {
                    $(Self::$entry => Rights::$rights,)*
                }
            }
        }
    };
}

// Saving an image reads all of it, and so is no look.
entries! {
    /// The migrations that the database has.
    Applied = "ask/applied.sh", Look;
    /// The backups.
    Backups = "ask/backups.sh", Look;
    /// What somebody who helps from afar needs.
    Bundle = "ask/bundle.sh", Look;
    /// Files below the root.
    Cat = "ask/cat.sh", Look;
    /// What of the release that serves is not as it says.
    Compare = "ask/compare.sh", Look;
    /// What is wrong with the server.
    Doctor = "ask/doctor.sh", Look;
    /// All that must be known.
    Facts = "ask/facts.sh", Look;
    /// The Engine's images.
    Images = "ask/images.sh", Look;
    /// The logs of the project's containers.
    Logs = "ask/logs.sh", Look;
    /// Figures of the server and the site.
    Metrics = "ask/metrics.sh", Look;
    /// Nothing: how long a round trip takes.
    Nothing = "true", Look;
    /// An image, written out.
    Save = "ask/save.sh", Deploy;
    /// What became of a run's alert.
    Alerts = "run/alerts.sh", Deploy;
    /// Stops the run.
    Abort = "abort.sh", Deploy;
    /// Ends the runs that were interrupted.
    Recover = "recover.sh", Deploy;
    /// Takes a backup's files.
    TakeBackup = "receive/backup.sh", Deploy;
    /// Takes files of a build context.
    TakeContext = "receive/context.sh", Deploy;
    /// Takes files below the root.
    TakeFiles = "receive/files.sh", Deploy;
    /// Takes an image.
    TakeImage = "receive/image.sh", Deploy;
    /// Orders the canary.
    Canary = "run/canary.sh", Deploy;
    /// Takes the client's confirmation.
    Confirm = "run/confirm.sh", Deploy;
    /// Sends a run's journal.
    Follow = "run/follow.sh", Look;
    /// Starts a run.
    Start = "run/start.sh", Deploy;
    /// Takes the client's word on a step.
    Word = "run/word.sh", Deploy;
    /// A command of the operator's in a container.
    Use = "use/run.sh", Person;
    /// Prepares a server.
    Prepare = "setup/prepare.sh", Person;
    /// Does what `doctor --fix` found safe.
    Mend = "setup/mend.sh", Deploy;
}
