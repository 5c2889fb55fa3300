//! How several hosts get a release.

use crate::config::{Fleet, WaveSize};

use super::Shown;

impl Shown {
    /// The keys of a target of several hosts.
    pub(super) fn fleet(&mut self, fleet: &Fleet) {
        self.add("fleet", &fleet.mode);
        if !fleet.waves.is_empty() {
            let waves = fleet.waves.iter().map(|wave| match wave {
                WaveSize::Hosts(count) => toml::Value::Integer((*count).into()),
                WaveSize::Share(share) => toml::Value::String(share.clone()),
            });
            self.said("waves", waves.collect::<Vec<_>>());
        }
        self.add("wave-pause", &fleet.pause);
        self.add("max-failures", &fleet.max_failures);
    }
}
