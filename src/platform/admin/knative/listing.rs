//! Listings as Kubernetes writes them: items, a token to continue with, and selectors.

use super::super::page;
use crate::platform::request::Queries;
use crate::platform::status::Status;
use serde_json::{Value, json};

/// Parameters of every listing.
pub(super) const PARAMETERS: [&str; 7] =
    ["continue", "fieldSelector", "includeUninitialized", "labelSelector", "limit", "resourceVersion", "watch"];

const PAGE_MOST: usize = 1000;

/// One page of `items` of this kind, those that the label selector lets through.
pub(super) fn answer(kind: &str, items: Vec<Value>, queries: &Queries) -> Result<Value, Status> {
    queries.only(&PARAMETERS)?;
    for unsupported in ["fieldSelector", "watch"] {
        if !matches!(queries.text(unsupported), "" | "false") {
            return Err(Status::field(unsupported, "is not supported: leave it out"));
        }
    }
    let selector = Selector::parse(queries.text("labelSelector"))?;
    let selected = items.into_iter().filter(|item| selector.matches(&item["metadata"]["labels"])).collect();
    let limit = match queries.text("limit") {
        "" | "0" => PAGE_MOST,
        text => {
            let limit =
                text.parse::<usize>().map_err(|_| Status::field("limit", format!("{text:?} is not a count")))?;
            limit.min(PAGE_MOST)
        }
    };
    let (items, next) = page(selected, limit, queries.text("continue"))?;
    let mut metadata = json!({});
    if !next.is_empty() {
        metadata["continue"] = next.into();
    }
    Ok(json!({"apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata": metadata, "items": items}))
}

/// Requirements on labels, all of which must hold.
struct Selector(Vec<Requirement>);

enum Requirement {
    Is(String, String),
    IsNot(String, String),
    Has(String),
}

impl Selector {
    /// Reads `a=b,c != d,e`.
    fn parse(text: &str) -> Result<Self, Status> {
        let terms = text.split(',').map(str::trim).filter(|term| !term.is_empty());
        terms.map(requirement).collect::<Result<_, _>>().map(Self)
    }

    fn matches(&self, labels: &Value) -> bool {
        let label = |name: &str| labels.get(name).and_then(Value::as_str);
        self.0.iter().all(|requirement| match requirement {
            Requirement::Is(name, value) => label(name) == Some(value),
            Requirement::IsNot(name, value) => label(name) != Some(value),
            Requirement::Has(name) => label(name).is_some(),
        })
    }
}

fn requirement(term: &str) -> Result<Requirement, Status> {
    let unreadable =
        || Status::field("labelSelector", format!("{term:?} is none of `name = value`, `name != value` and `name`"));
    let word = |text: &str| {
        let text = text.trim();
        let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        legal.then(|| text.to_owned()).ok_or_else(unreadable)
    };
    let name = |text: &str| word(text).and_then(|name| if name.is_empty() { Err(unreadable()) } else { Ok(name) });
    if let Some((left, right)) = term.split_once("!=") {
        return Ok(Requirement::IsNot(name(left)?, word(right)?));
    }
    match term.split_once("==").or_else(|| term.split_once('=')) {
        Some((left, right)) => Ok(Requirement::Is(name(left)?, word(right)?)),
        None => Ok(Requirement::Has(name(term)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_selector_takes_what_it_names() {
        let labels = json!({"serving.knative.dev/service": "shop", "tier": "a"});
        let matches = |text: &str| Selector::parse(text).unwrap().matches(&labels);
        for text in ["", "serving.knative.dev/service = shop", "tier==a,tier!=b", "tier, other != x"] {
            assert!(matches(text), "{text}");
        }
        for text in ["tier=b", "tier != a", "other", "tier=a,other=x", "tier="] {
            assert!(!matches(text), "{text}");
        }
        for text in ["tier in (a, b)", "=a", "a b", "tier > 1"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_selector_panics(text in "\\PC{0,30}", like in "[a-z=!, ]{0,20}") {
            for text in [text, like] {
                let _ = Selector::parse(&text).map(|selector| selector.matches(&json!({"a": "b"})));
            }
        }
    }
}
