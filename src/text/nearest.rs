//! The known word that somebody most likely meant.

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            let prefix = strsim::jaro_winkler(word, candidate) - 0.15;
            (strsim::normalized_damerau_levenshtein(word, candidate).max(prefix), candidate)
        })
        .filter(|(score, _)| *score > 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
