//! What facts.sh tells of a server: lines of `name=value`.

macro_rules! names {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that the scripts know it by.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

names! {
    /// What is told once; an empty value says that there is none.
    Fact {
        /// The user that commands run as.
        User = "user",
        /// The machine, as `uname -m` calls it.
        Machine = "arch",
        /// The version of the Docker Engine.
        Docker = "docker",
        /// The version of Compose.
        Compose = "compose",
        /// How the Engine keeps images.
        Store = "store",
        /// The Engine's own folder.
        DockerRoot = "docker_root",
        /// Why Docker does not answer.
        DockerError = "docker_error",
        /// Programs that are missing.
        Lacks = "lacks",
        /// The folder that would have to be written to, and cannot be.
        Unwritable = "unwritable",
        /// Who owns the target's folder, where that is somebody else.
        ForeignOwner = "foreign",
        /// The target's folder, or one within it, that every user of the server may write to.
        OpenToAll = "open_to_all",
        /// The program zstd is there.
        Zstd = "zstd",
        /// Free space below the root, in KiB.
        FreeKb = "free_kb",
        /// Free space for the Engine, in KiB.
        DockerFreeKb = "docker_free_kb",
        /// The scripts of this version are there.
        Scripts = "scripts",
        /// The release that serves.
        Current = "current",
        /// The one before it.
        Previous = "previous",
        /// The release in the slot blue.
        SlotBlue = "slot_blue",
        /// The release in the slot green.
        SlotGreen = "slot_green",
        /// The newest backup.
        Backup = "backup",
        /// How the last backup ended, as the history has it.
        LastBackup = "last_backup",
        /// How the last drill ended, as the history has it.
        LastDrill = "last_drill",
        /// Since when the edges answer with the maintenance page, UTC.
        Maintenance = "maintenance",
        /// The release that was kept warm, and until when, UTC.
        Warm = "warm",
        /// The last alert that reached nobody.
        AlertsLost = "alerts_lost",
        /// Does the server look at the site by itself, where it is to: `on`, or `gone`?
        Watch = "watch",
        /// What it has told is wrong.
        WatchWrong = "watch_wrong",
        /// Who holds the lock.
        Lock = "lock",
        /// The process that holds it is stopped by a signal.
        HolderStopped = "holder_stopped",
        /// The edge's image, by its id.
        EdgeImage = "edge_image",
        /// Since when the current release serves.
        CurrentSince = "current_since",
        /// Who deployed it.
        CurrentBy = "current_by",
        /// Its first app's image, by its id.
        CurrentImage = "current_image",
        /// The size of that, in bytes.
        CurrentImageSize = "current_image_size",
        /// The steps of the last deploy that were not finished after its commit.
        Unfinished = "unfinished",
        /// The image that the tag `current` names.
        TagCurrent = "tag_current",
        /// The image that the tag `previous` names.
        TagPrevious = "tag_previous",
        /// Where the edges are now, when that is another address than the proxies in front looked up.
        EdgeMoved = "edge_moved",
    }
}

names! {
    /// What is told of each of several things.
    Repeated {
        /// A run that was interrupted.
        OpenRun = "open_run",
        /// A release that was committed once: its id, its image, `present` or `gone`.
        Release = "release",
        /// An image of the current release that is there: its variable and its id.
        OwnImage = "own_image",
        /// A file of the current release: its digest and its path.
        CurrentFile = "current_file",
        /// A line of its env file: its key and a salted digest.
        CurrentEnv = "current_env",
        /// A file that is not what it was.
        Edited = "edited",
        /// An edge: its app and the slot that it serves.
        Edge = "edge",
        /// A container: service, state, id, `edge` or `-`, release, health.
        Container = "container",
        /// The image that a service runs: service, image, release.
        SlotImage = "slot_image",
        /// A service whose container has another environment than the release was committed with.
        EnvironmentMoved = "environment_moved",
        /// One of the last deploys: how long it took, and each of its steps as `name:milliseconds`.
        Deployed = "deployed",
    }
}

/// Settings of the current release that are told too, each as `current_NAME`.
#[cfg(test)]
pub(super) const FORWARDED: [&str; 8] =
    ["COMMIT", "CONTEXT_DIGEST", "COMPOSE_PROJECT", "APPS", "WORKERS", "STACK_SERVICES", "STACK_AFTER_JOBS", "STACK_AFTER_APPS"];
