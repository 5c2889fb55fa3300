//! How a target of several hosts gets a release, resolved.

use super::super::Seconds;
use super::super::shape::{FleetMode, WaveSize};
use super::Setting;

/// How a target of several hosts gets a release.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// What a host that fails means for the others.
    pub mode: Setting<FleetMode>,
    /// The sizes of the waves, as they are written; none where all hosts are one.
    pub waves: Vec<WaveSize>,
    /// The rest between two waves.
    pub pause: Setting<Seconds>,
    /// How many hosts may fail without a meaning for the others.
    pub max_failures: Setting<u32>,
}

impl Fleet {
    /// How many of so many hosts each wave has.
    pub fn sizes(&self, hosts: usize) -> Vec<usize> {
        let mut left = hosts;
        let mut sizes = Vec::new();
        while left > 0 {
            let size = match self.waves.get(sizes.len()).or(self.waves.last()) {
                None => left,
                Some(WaveSize::Hosts(count)) => (*count).max(1) as usize,
                Some(WaveSize::Share(share)) => (hosts * percent(share).unwrap_or(100) as usize).div_ceil(100).max(1),
            };
            sizes.push(size.min(left));
            left -= size.min(left);
        }
        sizes
    }
}

/// `25%` as a number. `None` where it is none from 1 to 100.
pub fn percent(share: &str) -> Option<u32> {
    let number = share.strip_suffix('%')?.trim().parse().ok()?;
    (1..=100).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn the_last_wave_is_repeated_until_all_hosts_have_been() {
        let of = |waves: &[WaveSize], hosts: usize| {
            let setting = |value| Setting { value, origin: Origin::Default };
            let fleet = Fleet {
                mode: Setting { value: FleetMode::Together, origin: Origin::Default },
                waves: waves.to_vec(),
                pause: Setting { value: Seconds(0), origin: Origin::Default },
                max_failures: setting(0),
            };
            fleet.sizes(hosts)
        };
        let share = |text: &str| WaveSize::Share(text.into());
        assert_eq!(of(&[], 5), [5]);
        assert_eq!(of(&[WaveSize::Hosts(1), share("25%")], 8), [1, 2, 2, 2, 1]);
        assert_eq!(of(&[WaveSize::Hosts(3)], 3), [3]);
        assert_eq!(of(&[share("1%"), share("100%")], 200), [2, 198]);
        assert!(of(&[WaveSize::Hosts(1)], 0).is_empty());
    }
}
