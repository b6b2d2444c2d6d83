//! The cart of a checkout, read from JSON: what it asks for, and what is wrong with its form.

use serde_json::{Map, Value as Json, json};

use crate::validate::{INTEGER, NULL, REQUIRED, integer, not_an_object, text, type_name};

/// A line of a cart that is well formed. The numbers may still be beyond every stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CartLine {
    pub(crate) product: i128,
    pub(crate) count: i128,
}

/// A cart whose body is an object, part by part: each is fine or has the errors that stand on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cart {
    pub(crate) customer_errors: Option<Json>,
    pub(crate) payment: Payment,
    pub(crate) items: Items,
}

/// The payment of a cart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payment {
    Collect,
    /// The method is refused, with this code and text.
    Refused {
        code: &'static str,
        text: String,
    },
    /// There is no method to judge: the genuine service fails on such a body.
    Malformed,
}

/// The items of a cart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Items {
    /// Each line is fine or has its errors.
    Lines(Vec<Result<CartLine, Json>>),
    /// There is no list of items.
    Malformed(Json),
}

/// Why a body holds no cart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoCart {
    /// It is not JSON.
    NotJson,
    /// It is JSON but no object; the errors say so.
    NotObject(Map<String, Json>),
}

impl Cart {
    pub(crate) fn read(body: &[u8]) -> Result<Self, NoCart> {
        let body: Json = serde_json::from_slice(body).map_err(|_| NoCart::NotJson)?;
        let Json::Object(body) = &body else { return Err(NoCart::NotObject(not_an_object(&body))) };
        Ok(Self {
            customer_errors: customer_errors(body.get("customer")),
            payment: payment(body.get("payment")),
            items: items(body.get("items")),
        })
    }
}

fn customer_errors(customer: Option<&Json>) -> Option<Json> {
    let customer = match customer {
        None => return Some(json!([REQUIRED])),
        Some(Json::Null) => return Some(json!([NULL])),
        Some(Json::Object(customer)) => customer,
        Some(other) => return Some(Json::Object(not_an_object(other))),
    };
    let error = match customer.get("email") {
        None => REQUIRED.to_owned(),
        Some(Json::Null) => NULL.to_owned(),
        Some(email) => match text(email, usize::MAX) {
            Ok(email) if is_email(&email) => return None,
            Ok(_) => "Enter a valid email address.".to_owned(),
            Err(error) => error,
        },
    };
    Some(json!({ "email": [error] }))
}

fn payment(payment: Option<&Json>) -> Payment {
    let Some(Json::Object(payment)) = payment else { return Payment::Malformed };
    match payment.get("method") {
        Some(Json::String(method)) if method == "collect" => Payment::Collect,
        None => Payment::Refused { code: "required", text: REQUIRED.to_owned() },
        Some(Json::Null) => Payment::Refused { code: "null", text: NULL.to_owned() },
        Some(method) => {
            let shown = method.as_str().map_or_else(|| method.to_string(), str::to_owned);
            Payment::Refused { code: "invalid_choice", text: format!("\"{shown}\" is not a valid choice.") }
        }
    }
}

fn items(items: Option<&Json>) -> Items {
    match items {
        None => Items::Malformed(json!([REQUIRED])),
        Some(Json::Null) => Items::Malformed(json!([NULL])),
        Some(Json::Array(items)) => Items::Lines(items.iter().map(line).collect()),
        Some(other) => {
            let text = format!("Expected a list of items but got type \"{}\".", type_name(other));
            Items::Malformed(json!({ "non_field_errors": [text] }))
        }
    }
}

fn line(item: &Json) -> Result<CartLine, Json> {
    let Json::Object(item) = item else { return Err(Json::Object(not_an_object(item))) };
    let mut errors = Map::new();
    let mut number = |name: &str, required: bool| {
        let error = match item.get(name) {
            None if !required => return 0,
            None => REQUIRED,
            Some(Json::Null) => NULL,
            Some(value) => match integer(value) {
                Some(number) => return number,
                None => INTEGER,
            },
        };
        errors.insert(name.to_owned(), json!([error]));
        0
    };
    let (product, count) = (number("id", true), number("countRequested", true));
    number("countFulfilled", false);
    if errors.is_empty() { Ok(CartLine { product, count }) } else { Err(Json::Object(errors)) }
}

/// Whether the text has the form of an address: a local part, and a host with a dot and a last label of letters.
fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let local_is_good = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_local));
    if !local_is_good || text.len() > 320 {
        return false;
    }
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|letter| letter.is_alphanumeric() || letter == '-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.')
        && host.split('.').all(label_is_good)
        && last.chars().count() >= 2
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["foo@bar.com", "a.b+c@x-y.example", "a@localhost"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["foo", "foo@bar", "@bar.com", "a..b@x.com", "foo@-x.com", "foo@x.1", "a b@x.com", "foo@"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn lines_take_numbers_as_text() {
        assert_eq!(line(&json!({"id": "4", "countRequested": "2"})), Ok(CartLine { product: 4, count: 2 }));
        assert_eq!(line(&json!({"id": "x", "countRequested": 1})), Err(json!({"id": [INTEGER]})));
        assert_eq!(line(&json!({"id": 1})), Err(json!({"countRequested": [REQUIRED]})));
    }
}
