//! The results of tests in JUnit's XML, as pytest and most others write it.

use roxmltree::{Document, Node};

/// As many failed tests are told by name.
const NAMED: usize = 50;

/// What the team's tests found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TestReport {
    /// How many there are.
    total: u64,
    /// How many of them failed.
    failed: u64,
    /// How many were left out.
    skipped: u64,
    /// How long they took together.
    seconds: f64,
    /// The first of those that failed, each with the first line of why.
    pub(super) failures: Vec<(String, String)>,
}

impl TestReport {
    /// How many of how many failed, and the first ones' names; `None` where none did.
    pub(super) fn which_failed(&self) -> Option<String> {
        let names: Vec<&str> = self.failures.iter().take(5).map(|(name, _)| name.as_str()).collect();
        let more = if self.failed > names.len() as u64 { " and others" } else { "" };
        (self.failed > 0).then(|| format!("{} of {} failed: {}{more}", self.failed, self.total, names.join(", ")))
    }

    /// One line on them.
    pub(super) fn summary(&self) -> String {
        format!("{} tests, {} failed, {} skipped, in {:.1} s", self.total, self.failed, self.skipped, self.seconds)
    }
}

/// Reads the results; why not, where it is something else.
pub(super) fn read(text: &str) -> Result<TestReport, String> {
    let document = Document::parse(text).map_err(|error| format!("it is no XML ({error})"))?;
    if !["testsuites", "testsuite"].contains(&document.root_element().tag_name().name()) {
        return Err("its root is neither testsuites nor testsuite".into());
    }
    let mut report = TestReport::default();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let child = |names: &[&str]| case.children().find(|node| names.contains(&node.tag_name().name()));
        report.total += 1;
        report.seconds +=
            case.attribute("time").and_then(|time| time.parse::<f64>().ok()).filter(|time| time.is_finite()).unwrap_or(0.0);
        if let Some(failure) = child(&["failure", "error"]) {
            report.failed += 1;
            if report.failures.len() < NAMED {
                report.failures.push((name(case), message(failure)));
            }
        } else if child(&["skipped"]).is_some() {
            report.skipped += 1;
        }
    }
    Ok(report)
}

fn name(case: Node<'_, '_>) -> String {
    let of = |attribute| case.attribute(attribute).unwrap_or_default();
    let name = if of("classname").is_empty() { of("name").to_owned() } else { format!("{}.{}", of("classname"), of("name")) };
    name.chars().take(200).collect()
}

/// The first line of what it says.
fn message(failure: Node<'_, '_>) -> String {
    let text = failure.attribute("message").or_else(|| failure.text()).unwrap_or_default();
    text.trim().lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="4">
        <testcase classname="shop.tests" name="test_a" time="0.5"/>
        <testcase classname="shop.tests" name="test_b" time="1.25"><failure message="assert 1 == 2&#10;more">long</failure></testcase>
        <testcase name="test_c"><skipped message="no network"/></testcase>
        <testcase name="test_d" time="nan"><error>ValueError: x
        at</error></testcase></testsuite></testsuites>"#;

    #[test]
    fn results_are_counted_and_failures_named() {
        let report = read(RESULTS).unwrap();
        assert_eq!((report.total, report.failed, report.skipped, report.seconds), (4, 2, 1, 1.75));
        let told: Vec<(&str, &str)> = report.failures.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(told, [("shop.tests.test_b", "assert 1 == 2"), ("test_d", "ValueError: x")]);
        assert_eq!(report.which_failed().as_deref(), Some("2 of 4 failed: shop.tests.test_b, test_d"));
    }

    #[test]
    fn any_results_are_read_or_refused() {
        assert!(read("<html/>").is_err() && read("").is_err() && read("ok").is_err());
        crate::fuzz::read("junit", &[RESULTS.as_bytes().to_vec()], |text| {
            if let Ok(report) = read(&String::from_utf8_lossy(text)) {
                assert!(report.failures.len() <= NAMED && report.failed + report.skipped <= report.total);
            }
        });
    }
}
