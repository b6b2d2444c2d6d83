//! Monitoring filters: comparisons joined by AND, OR and NOT, on the metric's type, the resource's type and the labels
//! of both (cloud.google.com/monitoring/api/v3/filters). AND and OR side by side need parentheses: which one binds
//! closer, readers of Google's pages do not agree on.

use super::metric::{Metric, RESOURCE_LABELS, RESOURCE_TYPE};
use super::series::Labels;
use super::token::{Token, tokens};
use crate::platform::status::Status;
use regex::{Regex, RegexBuilder};
use std::fmt;

/// A filter; empty lets everything through. All of its parts must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Vec<Expression>);

#[derive(Clone, Debug)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Is(Comparison),
}

#[derive(Clone, Debug)]
struct Comparison {
    field: Field,
    test: Test,
    negated: bool,
}

/// What a filter can compare, and what series can be grouped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    MetricType,
    ResourceType,
    MetricLabel(String),
    ResourceLabel(String),
}

#[derive(Clone, Debug)]
enum Test {
    Is(String),
    StartsWith(String),
    EndsWith(String),
    HasSubstring(String),
    OneOf(Vec<String>),
    Matches(Regex),
}

impl Field {
    /// Reads `metric.type`, `resource.labels.x`, `metric.label.x`, …
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "metric.type" => return Some(Self::MetricType),
            "resource.type" => return Some(Self::ResourceType),
            "project" => return Some(Self::ResourceLabel("project_id".to_owned())),
            _ => {}
        }
        let after = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
        let named = |name: &str| (!name.is_empty() && !name.contains('.')).then(|| name.to_owned());
        if let Some(name) = after(["metric.labels.", "metric.label."]) {
            return named(name).map(Self::MetricLabel);
        }
        after(["resource.labels.", "resource.label."]).and_then(named).map(Self::ResourceLabel)
    }

    /// Whether series of this metric have the field.
    pub(super) fn is_of(&self, metric: &Metric) -> bool {
        match self {
            Self::MetricType | Self::ResourceType => true,
            Self::MetricLabel(name) => metric.labels.contains(&name.as_str()),
            Self::ResourceLabel(name) => RESOURCE_LABELS.contains(&name.as_str()),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetricType => f.write_str("metric.type"),
            Self::ResourceType => f.write_str("resource.type"),
            Self::MetricLabel(name) => write!(f, "metric.labels.{name}"),
            Self::ResourceLabel(name) => write!(f, "resource.labels.{name}"),
        }
    }
}

impl Test {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::StartsWith(start) => value.starts_with(start.as_str()),
            Self::EndsWith(end) => value.ends_with(end.as_str()),
            Self::HasSubstring(part) => value.contains(part.as_str()),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| value == wanted),
            Self::Matches(pattern) => pattern.is_match(value),
        }
    }
}

impl Expression {
    fn holds(&self, passes: &dyn Fn(&Comparison) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(passes)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(passes)),
            Self::Not(part) => !part.holds(passes),
            Self::Is(comparison) => passes(comparison),
        }
    }

    /// Every comparison in it, and whether it must hold whatever the others do.
    fn each<'a>(&'a self, certain: bool, found: &mut Vec<(&'a Comparison, bool)>) {
        match self {
            Self::All(parts) => parts.iter().for_each(|part| part.each(certain, found)),
            Self::Any(parts) => parts.iter().for_each(|part| part.each(false, found)),
            Self::Not(part) => part.each(false, found),
            Self::Is(comparison) => found.push((comparison, certain)),
        }
    }
}

impl Comparison {
    fn passes(&self, value: &str) -> bool {
        self.test.passes(value) != self.negated
    }
}

impl Filter {
    /// Reads a filter.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let tokens = tokens(text).map_err(|why| refused(text, &why))?;
        Parser { tokens: &tokens, next: 0, depth: 0 }.filter().map(Self).map_err(|why| refused(text, &why))
    }

    fn comparisons(&self) -> Vec<(&Comparison, bool)> {
        let mut found = Vec::new();
        self.0.iter().for_each(|part| part.each(true, &mut found));
        found
    }

    /// The one metric type that a query of time series must name.
    pub(super) fn metric_type(&self) -> Result<&str, Status> {
        let all = self.comparisons();
        let mut on_type = all.iter().filter(|(comparison, _)| comparison.field == Field::MetricType);
        match (on_type.next(), on_type.next()) {
            (Some((Comparison { test: Test::Is(name), negated: false, .. }, true)), None) => Ok(name),
            _ => Err(Status::field("filter", "must specify exactly one metric type, as `metric.type = \"…\"`")),
        }
    }

    /// Whether a series passes. A label that it lacks is as an empty one.
    pub(super) fn matches(&self, metric: &str, resource: &Labels, labels: &Labels) -> bool {
        let passes = |comparison: &Comparison| {
            comparison.passes(match &comparison.field {
                Field::MetricType => metric,
                Field::ResourceType => RESOURCE_TYPE,
                Field::MetricLabel(name) => labels.get(name).map_or("", String::as_str),
                Field::ResourceLabel(name) => resource.get(name).map_or("", String::as_str),
            })
        };
        self.0.iter().all(|part| part.holds(&passes))
    }

    /// Whether a metric of this type passes, whatever the labels: for descriptors.
    pub(super) fn matches_type(&self, metric: &str) -> bool {
        let passes = |comparison: &Comparison| match comparison.field {
            Field::MetricType => comparison.passes(metric),
            Field::ResourceType => comparison.passes(RESOURCE_TYPE),
            Field::MetricLabel(_) | Field::ResourceLabel(_) => true,
        };
        self.0.iter().all(|part| part.holds(&passes))
    }

    /// Refuses labels that the metric does not have: such a filter would silently find nothing.
    pub(super) fn check_labels(&self, metric: &Metric) -> Result<(), Status> {
        match self.comparisons().into_iter().find(|(comparison, _)| !comparison.field.is_of(metric)) {
            None => Ok(()),
            Some((Comparison { field, .. }, _)) => {
                Err(Status::field("filter", format!("{} has no {field}", metric.name)))
            }
        }
    }
}

fn refused(text: &str, why: &str) -> Status {
    Status::field("filter", format!("{why} in `{text}`"))
}

/// A compiled pattern may take this much memory.
const PATTERN_BYTES_MOST: usize = 1 << 20;

/// So deep may parentheses and NOT be nested.
const DEPTH_MOST: usize = 50;

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    fn take_if(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn error(&self, expected: &str) -> String {
        match self.tokens.get(self.next) {
            Some((place, token)) => format!("at character {place}: {expected} is expected, not {token}"),
            None => format!("at the end: {expected} is expected"),
        }
    }

    fn filter(&mut self) -> Result<Vec<Expression>, String> {
        if self.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let expression = self.joined()?;
        if self.peek().is_some() {
            return Err(self.error("AND or OR"));
        }
        Ok(vec![expression])
    }

    /// Parts joined by AND only, or by OR only.
    fn joined(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.part()?];
        let mut joint: Option<String> = None;
        loop {
            let word = match self.peek() {
                Some(Token::Word(word)) if word == "AND" || word == "OR" => word.clone(),
                // A bracket may follow, or the end; the caller knows.
                _ => break,
            };
            if joint.as_ref().is_some_and(|before| *before != word) {
                return Err(self.error("parentheses around one of AND and OR"));
            }
            self.next += 1;
            joint = Some(word);
            parts.push(self.part()?);
        }
        Ok(match joint.as_deref() {
            Some("OR") => Expression::Any(parts),
            _ => Expression::All(parts),
        })
    }

    fn part(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH_MOST {
            return Err(self.error("less nesting"));
        }
        let part = if self.take_if(&Token::Open) {
            let inside = self.joined()?;
            if !self.take_if(&Token::Close) {
                return Err(self.error("AND, OR or `)`"));
            }
            inside
        } else if self.take_if(&Token::Word("NOT".to_owned())) {
            Expression::Not(Box::new(self.part()?))
        } else {
            Expression::Is(self.comparison()?)
        };
        self.depth -= 1;
        Ok(part)
    }

    fn comparison(&mut self) -> Result<Comparison, String> {
        let expected = "a field such as metric.type or resource.labels.service_name";
        let at_field = self.error(expected);
        let Some(Token::Word(mut path)) = self.take() else { return Err(at_field) };
        if path.ends_with('.')
            && let Some(Token::Quoted(name)) = self.peek()
        {
            path.push_str(name);
            self.next += 1;
        }
        let field = Field::parse(&path).ok_or(at_field)?;
        let at_operator = self.error("= or !=");
        let negated = match self.take() {
            Some(Token::Equal) => false,
            Some(Token::NotEqual) => true,
            _ => return Err(at_operator),
        };
        Ok(Comparison { field, test: self.function_or_text()?, negated })
    }

    fn function_or_text(&mut self) -> Result<Test, String> {
        let expected =
            "a text, starts_with(…), ends_with(…), has_substring(…), one_of(…) or monitoring.regex.full_match(…)";
        let at_function = self.error(expected);
        let is_function = matches!(self.tokens.get(self.next + 1), Some((_, Token::Open)));
        let Some(Token::Word(name)) = self.peek().filter(|_| is_function).cloned() else {
            return Ok(Test::Is(self.text()?));
        };
        self.next += 2;
        let mut arguments = vec![self.text()?];
        while self.take_if(&Token::Comma) {
            arguments.push(self.text()?);
        }
        if !self.take_if(&Token::Close) {
            return Err(self.error("`)`"));
        }
        match (name.as_str(), arguments.len()) {
            ("one_of", _) => Ok(Test::OneOf(arguments)),
            ("starts_with", 1) => Ok(Test::StartsWith(arguments.remove(0))),
            ("ends_with", 1) => Ok(Test::EndsWith(arguments.remove(0))),
            ("has_substring", 1) => Ok(Test::HasSubstring(arguments.remove(0))),
            ("monitoring.regex.full_match", 1) => {
                let pattern =
                    RegexBuilder::new(&format!("^(?:{})$", arguments[0])).size_limit(PATTERN_BYTES_MOST).build();
                pattern.map(Test::Matches).map_err(|error| format!("{at_function}; the pattern: {error}"))
            }
            _ => Err(at_function),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let here = self.error("a quoted text");
        match self.take() {
            Some(Token::Word(text) | Token::Quoted(text)) => Ok(text),
            _ => Err(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric;
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn passes(filter: &str) -> bool {
        let resource = labels(&[("service_name", "shop"), ("revision_name", "shop-00007-abc"), ("project_id", "demo")]);
        let filter = Filter::parse(filter).unwrap();
        filter.matches(metric::INSTANCE_COUNT.name, &resource, &labels(&[("state", "active")]))
    }

    #[test]
    fn each_comparison_decides() {
        for filter in [
            "",
            r#"metric.type = "run.googleapis.com/container/instance_count""#,
            r#"metric.type="run.googleapis.com/container/instance_count" AND resource.type = 'cloud_run_revision'"#,
            r#"(resource.labels.service_name = "shop" AND (metric.label.state != "idle"))"#,
            r#"resource.label."revision_name" = starts_with("shop-")"#,
            r#"resource.labels.revision_name = ends_with("-abc") AND project = "demo""#,
            r#"metric.labels.state = one_of("idle", "active")"#,
            r#"metric.labels.state = has_substring("tiv")"#,
            r#"metric.labels.state = "act\ive""#,
            "metric.labels.other = \"\"",
            r#"metric.labels.state = "idle" OR metric.labels.state = "active""#,
            r#"NOT metric.labels.state = "idle" AND (project = "x" OR project = "demo")"#,
            r#"NOT (metric.labels.state = "idle" OR project = "x")"#,
            r#"resource.labels.revision_name = monitoring.regex.full_match("shop-[0-9]+-.*")"#,
            r#"resource.labels.revision_name != starts_with("stall-")"#,
        ] {
            assert!(passes(filter), "{filter}");
        }
        for filter in [
            r#"metric.type = "run.googleapis.com/request_count""#,
            r#"resource.type = "gce_instance""#,
            r#"resource.labels.service_name != "shop""#,
            r#"metric.labels.state = "active" AND resource.labels.service_name = "stall""#,
            r#"metric.labels.state = starts_with("x")"#,
            r#"metric.labels.state = one_of("idle")"#,
            r#"metric.labels.state = "idle" OR project = "x""#,
            r#"NOT metric.labels.state = "active""#,
            r#"resource.labels.revision_name = monitoring.regex.full_match("[0-9]+")"#,
        ] {
            assert!(!passes(filter), "{filter}");
        }
    }

    #[test]
    fn a_refusal_tells_the_place() {
        for (filter, expected) in [
            (r#"project = "a" OR project = "b" AND project = "c""#, "at character 31: parentheses around"),
            (r#"NOT OR metric.type = "a""#, "at character 4: a field"),
            (r#"project = monitoring.regex.full_match("(")"#, "the pattern: regex parse error"),
            (r#"metric.type = "a"#, "at character 14: the quote is never closed"),
            (r#"metric.type > "a""#, "at character 12: '>' is not expected"),
            (r#"(metric.type = "a""#, "at the end: AND, OR or `)` is expected"),
            (r#"metric.type = "a")"#, "at character 17: AND or OR is expected"),
            ("metric.type =", "at the end: a quoted text"),
            (r#"metric.type = regex("a")"#, "at character 14: a text, starts_with"),
            (r#"metric.tipe = "a""#, "at character 0: a field"),
            (r#"metric.labels. = "a""#, "at character 0: a field"),
            ("metric.type ! 3", "`!` without `=`"),
        ] {
            let refused = Filter::parse(filter).unwrap_err().message;
            assert!(refused.contains(expected), "{filter}: {refused}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}project = \"demo\"{}", "(".repeat(depth), ")".repeat(depth));
        assert!(passes(&nested(DEPTH_MOST - 1)));
        assert!(Filter::parse(&nested(100_000)).unwrap_err().message.contains("less nesting"));
        assert!(Filter::parse(&"NOT ".repeat(100_000)).is_err());
    }

    #[test]
    fn exactly_one_metric_type_is_needed() {
        assert_eq!(Filter::parse(r#"metric.type = "a" AND project = "p""#).unwrap().metric_type(), Ok("a"));
        for filter in [
            "",
            r#"metric.type != "a""#,
            r#"metric.type = "a" AND metric.type = "a""#,
            r#"metric.type = "a" OR project = "p""#,
            r#"NOT metric.type = "a""#,
        ] {
            assert!(Filter::parse(filter).unwrap().metric_type().is_err(), "{filter}");
        }
        let wrong = Filter::parse(r#"metric.labels.state = "active""#).unwrap();
        assert!(wrong.check_labels(&metric::REQUEST_COUNT).is_err());
        assert!(wrong.check_labels(&metric::INSTANCE_COUNT).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in "\\PC{0,80}",
            like in "(metric|resource|\\.type|\\.labels|\\.x| ?= ?| ?!=|\"a\\\\?\"?|AND|OR|NOT |one_of|starts_with|[(),' ]){0,12}",
        ) {
            for text in [text, like] {
                if let Ok(filter) = Filter::parse(&text) {
                    filter.matches("a", &Labels::new(), &Labels::new());
                    let _ = (filter.metric_type(), filter.matches_type("a"));
                }
            }
        }

        #[test]
        fn what_is_quoted_is_compared_as_it_is(value in "\\PC{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let filter = Filter::parse(&format!("metric.labels.state = \"{quoted}\"")).unwrap();
            prop_assert!(filter.matches("m", &Labels::new(), &labels(&[("state", &value)])));
        }
    }
}
