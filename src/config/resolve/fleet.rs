//! How a target of several hosts gets a release.

use crate::error::Result;

use super::super::resolved::{Fleet, Setting, percent};
use super::super::shape::{TargetSection, WaveSize};
use super::super::{Project, Seconds};

/// The keys of a fleet with their defaults.
pub(super) fn resolve(project: &Project, section: &TargetSection) -> Result<Fleet> {
    for wave in &section.waves {
        let is_good = match wave {
            WaveSize::Hosts(count) => *count > 0,
            WaveSize::Share(share) => percent(share).is_some(),
        };
        if !is_good {
            return Err(project
                .loaded
                .source()
                .error_near("waves", "a wave is a number of hosts, 1 or more, or a share of them from 1% to 100%")
                .hint("waves = [1, \"25%\"]"));
        }
    }
    Ok(Fleet {
        mode: Setting::or_default(section.fleet, super::super::shape::FleetMode::default()),
        waves: section.waves.clone(),
        pause: Setting::or_default(section.wave_pause, Seconds(0)),
        max_failures: Setting::or_default(section.max_failures, 0),
    })
}
