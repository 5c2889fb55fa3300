//! The page's words, in English and Spanish.

use std::collections::BTreeMap;

/// Each word's name, in English, in Spanish.
const WORDS: [(&str, &str, &str); 40] = [
    ("lang", "en", "es"),
    ("title", "Deploys of", "Despliegues de"),
    ("serves", "What runs", "Qué está en marcha"),
    ("host", "Host", "Servidor"),
    ("release", "Release", "Versión"),
    ("since", "Since", "Desde"),
    ("by", "By", "Por"),
    ("slot", "Slot", "Ranura"),
    ("commit", "Commit", "Commit"),
    ("running", "In progress", "En curso"),
    ("none", "—", "—"),
    ("previous", "Previous", "Anterior"),
    ("backup", "Backup", "Copia de seguridad"),
    ("certificate", "Certificate", "Certificado"),
    ("attention", "To look at", "Hay que mirar"),
    ("well", "Nothing is wrong.", "Todo está bien."),
    ("history", "History", "Historial"),
    ("run", "Run", "Ejecución"),
    ("outcome", "Outcome", "Resultado"),
    ("took", "Took", "Duración"),
    ("reason", "Reason", "Motivo"),
    ("figures", "Figures", "Cifras"),
    ("requests", "Requests per second", "Peticiones por segundo"),
    ("errors", "Errors", "Errores"),
    ("p95", "Latency, p95 since the release started", "Latencia, p95 desde que arrancó la versión"),
    ("cpu", "CPU", "CPU"),
    ("memory", "Memory", "Memoria"),
    ("now", "now", "ahora"),
    ("most", "most", "máximo"),
    ("marks", "A vertical line is a deploy.", "Una línea vertical es un despliegue."),
    ("few", "There are too few looks for a chart yet.", "Todavía hay pocas mediciones para un gráfico."),
    ("looked", "Looked at", "Visto a las"),
    ("token", "Token", "Clave"),
    ("enter", "Enter", "Entrar"),
    ("wrong", "This is not the token.", "Esta no es la clave."),
    ("back", "Back", "Volver"),
    ("still", "Stop refreshing", "Dejar de actualizar"),
    ("again", "Refresh every 15 seconds", "Actualizar cada 15 segundos"),
    ("gone", "Nothing is here.", "Aquí no hay nada."),
    ("failed", "The last look failed", "La última consulta falló"),
];

/// The words of the language that the browser asks for first: Spanish, or else English.
pub(super) fn words(accept_language: &str) -> BTreeMap<&'static str, &'static str> {
    let mut wanted: Vec<(f32, &str)> = accept_language
        .split(',')
        .map(|part| {
            let mut parts = part.trim().split(';');
            let language = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).and_then(|weight| weight.parse().ok());
            (weight.unwrap_or(1.0), language)
        })
        .filter(|(weight, language)| *weight > 0.0 && ["en", "es"].iter().any(|known| is(language, known)))
        .collect();
    wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
    let is_spanish = wanted.first().is_some_and(|(_, language)| is(language, "es"));
    WORDS.iter().map(|(name, english, spanish)| (*name, if is_spanish { *spanish } else { *english })).collect()
}

fn is(language: &str, known: &str) -> bool {
    language.split('-').next().is_some_and(|main| main.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_chooses_the_language() {
        for (asked, language) in [
            ("es-MX,es;q=0.9,en;q=0.8", "es"),
            ("en-GB,es;q=0.9", "en"),
            ("de,es;q=0.3,en;q=0.7", "en"),
            ("fr, es;q=0.5", "es"),
            ("", "en"),
            ("es;q=0", "en"),
        ] {
            assert_eq!(words(asked)["lang"], language, "{asked}");
        }
    }
}
