//! Which layers of an image a server has.

/// How many of these layers, from the lowest on, some image on the server has in the same order. A layer counts only
/// with all that lie below it: that is how engines keep them.
pub fn common_layers<'a>(layers: &[String], there: impl IntoIterator<Item = &'a Vec<String>>) -> usize {
    let common = |other: &Vec<String>| layers.iter().zip(other).take_while(|(one, other)| one == other).count();
    there.into_iter().map(common).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_counts_only_with_all_below_it() {
        let ids = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(common_layers(&ids("abcd"), &[ids("abx"), ids("abcy"), ids("xbcd")]), 3);
        assert_eq!(common_layers(&ids("ab"), &[ids("abc")]), 2);
        assert_eq!(common_layers(&ids("ab"), &[]), 0);
    }
}
