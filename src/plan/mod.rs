//! Desired and actual in, a plan and its diff out. Pure: no network, no clock.

mod against;
mod compare;
mod moved;
mod show;
mod steps;
mod warnings;

pub use against::{Against, Side, against};
pub use compare::{BuiltImage, Change, FileChange, Plan, Planned, PlannedImage, changed_paths, compare, environment_digests};
pub use moved::moved;
pub use steps::consequences;
pub use warnings::{SPARE_KB, warnings};
