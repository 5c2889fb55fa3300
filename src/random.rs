//! What nobody can guess.

/// So many random bytes of the system, as hexadecimal digits.
///
/// Panics where the system has none, as does everything else that needs some.
pub(crate) fn hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).expect("the system has random bytes");
    crate::digest::hex(&random)
}
