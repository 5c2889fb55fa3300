//! What the client may have a server run: the list that the gate of a restricted key is made from.

/// An entry point of `remote-scripts/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The migrations that the database has.
    Applied,
    /// The backups.
    Backups,
    /// Files below the root.
    Cat,
    /// What of the release that serves is not as it says.
    Compare,
    /// What is wrong with the server.
    Doctor,
    /// All that must be known.
    Facts,
    /// The Engine's images.
    Images,
    /// The logs of the project's containers.
    Logs,
    /// Nothing: how long a round trip takes.
    Nothing,
    /// An image, written out.
    Save,
    /// Stops the run.
    Abort,
    /// Ends the runs that were interrupted.
    Recover,
    /// Takes a backup's files.
    TakeBackup,
    /// Takes files of a build context.
    TakeContext,
    /// Takes files below the root.
    TakeFiles,
    /// Takes an image.
    TakeImage,
    /// Orders the canary.
    Canary,
    /// Takes the client's confirmation.
    Confirm,
    /// Sends a run's journal.
    Follow,
    /// Starts a run.
    Start,
    /// Takes the client's word on a step.
    Word,
    /// A command of the operator's in a container.
    Use,
    /// Prepares a server.
    Prepare,
    /// Does what `doctor --fix` found safe.
    Mend,
}

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

impl Entry {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Applied,
        Self::Backups,
        Self::Cat,
        Self::Compare,
        Self::Doctor,
        Self::Facts,
        Self::Images,
        Self::Logs,
        Self::Nothing,
        Self::Save,
        Self::Abort,
        Self::Recover,
        Self::TakeBackup,
        Self::TakeContext,
        Self::TakeFiles,
        Self::TakeImage,
        Self::Canary,
        Self::Confirm,
        Self::Follow,
        Self::Start,
        Self::Word,
        Self::Use,
        Self::Prepare,
        Self::Mend,
    ];

    /// The script, by its path below `remote-scripts/`; `true` is the program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "ask/applied.sh",
            Self::Backups => "ask/backups.sh",
            Self::Cat => "ask/cat.sh",
            Self::Compare => "ask/compare.sh",
            Self::Doctor => "ask/doctor.sh",
            Self::Facts => "ask/facts.sh",
            Self::Images => "ask/images.sh",
            Self::Logs => "ask/logs.sh",
            Self::Nothing => "true",
            Self::Save => "ask/save.sh",
            Self::Abort => "abort.sh",
            Self::Recover => "recover.sh",
            Self::TakeBackup => "receive/backup.sh",
            Self::TakeContext => "receive/context.sh",
            Self::TakeFiles => "receive/files.sh",
            Self::TakeImage => "receive/image.sh",
            Self::Canary => "run/canary.sh",
            Self::Confirm => "run/confirm.sh",
            Self::Follow => "run/follow.sh",
            Self::Start => "run/start.sh",
            Self::Word => "run/word.sh",
            Self::Use => "use/run.sh",
            Self::Prepare => "setup/prepare.sh",
            Self::Mend => "setup/mend.sh",
        }
    }

    /// Which key may ask for it. Saving an image reads all of it, and so is no look.
    pub const fn rights(self) -> Rights {
        match self {
            Self::Applied
            | Self::Backups
            | Self::Cat
            | Self::Compare
            | Self::Doctor
            | Self::Facts
            | Self::Follow
            | Self::Images
            | Self::Logs
            | Self::Nothing => Rights::Look,
            Self::Save
            | Self::Abort
            | Self::Recover
            | Self::TakeBackup
            | Self::TakeContext
            | Self::TakeFiles
            | Self::TakeImage
            | Self::Canary
            | Self::Confirm
            | Self::Start
            | Self::Mend
            | Self::Word => Rights::Deploy,
            Self::Use | Self::Prepare => Rights::Person,
        }
    }
}
