//! A push of Pub/Sub: its envelope, or the bare data with headers beside it, taken apart as the laboratory's program
//! takes it apart and with the errors it throws.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::express::Thrown;
use super::javascript;

/// What the headers of an unwrapped push begin with.
const HEADERS: &str = "x-goog-pubsub-";

/// A delivery as far as a consumer looks into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Push {
    /// The report's id, as log lines show it.
    pub(crate) id: String,
    /// Pub/Sub's id of the message; empty when the push told none.
    pub(crate) message_id: String,
    pub(crate) ordering_key: Option<String>,
    /// Which delivery of the message this is, from 1; 1 as well where the push does not tell.
    pub(crate) attempt: u64,
}

/// Whether a request is a push without an envelope.
pub(crate) fn is_unwrapped(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(HEADERS))
}

/// What an unwrapped push tells.
pub(crate) fn unwrapped(headers: &HeaderMap, data: &[u8]) -> Result<Push, Thrown> {
    let header = |name: &str| headers.get(format!("{HEADERS}{name}"))?.to_str().ok().map(str::to_owned);
    Ok(Push {
        id: report_id(data)?,
        message_id: header("message-id").unwrap_or_default(),
        ordering_key: header("ordering-key").filter(|key| !key.is_empty()),
        attempt: header("delivery-attempt").and_then(|attempt| attempt.parse().ok()).unwrap_or(1),
    })
}

/// What the envelope in a request's JSON tells; nothing is the body of a request that has no JSON.
pub(crate) fn enveloped(body: Option<&Value>) -> Result<Push, Thrown> {
    let body = body.ok_or_else(|| unreadable("undefined", "message"))?;
    let message = match body.get("message") {
        None => return Err(unreadable("undefined", "data")),
        Some(Value::Null) => return Err(unreadable("null", "data")),
        Some(message) => message,
    };
    let data = match message.get("data") {
        Some(Value::String(data)) => decoded(data),
        other => return Err(not_text(other)),
    };
    let text = |names: [&str; 2]| names.iter().find_map(|name| message.get(name)?.as_str()).map(str::to_owned);
    Ok(Push {
        id: report_id(&data)?,
        message_id: text(["messageId", "message_id"]).unwrap_or_default(),
        ordering_key: text(["orderingKey", "ordering_key"]).filter(|key| !key.is_empty()),
        attempt: body.get("deliveryAttempt").and_then(Value::as_u64).unwrap_or(1),
    })
}

/// The id of the report that the data is: `undefined` when it has none.
fn report_id(data: &[u8]) -> Result<String, Thrown> {
    let text = String::from_utf8_lossy(data);
    let report: Value = serde_json::from_str(text.trim())
        .map_err(|error| Thrown::syntax(axum::http::StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    if report.is_null() {
        return Err(unreadable("null", "id"));
    }
    Ok(report.get("id").map_or_else(|| "undefined".to_owned(), javascript::shown))
}

/// Base64 as Node reads it: either alphabet, everything else passed over, and the end is at the first `=`.
fn decoded(text: &str) -> Vec<u8> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let sextets = text.bytes().take_while(|byte| *byte != b'=').filter_map(|byte| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(byte),
        _ => byte.is_ascii_alphanumeric().then_some(byte),
    });
    let mut sextets: Vec<u8> = sextets.collect();
    if sextets.len() % 4 == 1 {
        // Six bits are no byte.
        sextets.pop();
    }
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(sextets).unwrap_or_default()
}

fn unreadable(what: &str, property: &str) -> Thrown {
    Thrown::uncaught(format!("TypeError: Cannot read properties of {what} (reading '{property}')"))
}

/// What is said of data that is no text.
fn not_text(data: Option<&Value>) -> Thrown {
    let received = match data {
        None => "undefined".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(truth)) => format!("type boolean ({truth})"),
        Some(number @ Value::Number(_)) => format!("type number ({})", javascript::shown(number)),
        Some(Value::Array(_)) => "an instance of Array".to_owned(),
        Some(_) => "an instance of Object".to_owned(),
    };
    Thrown::uncaught(format!(
        "TypeError [ERR_INVALID_ARG_TYPE]: The first argument must be of type string or an instance of Buffer, \
         ArrayBuffer, or Array or an Array-like Object. Received {received}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(body: Option<&Value>) -> String {
        let thrown = enveloped(body).unwrap_err();
        assert_eq!(thrown.status, 500);
        thrown.line
    }

    #[test]
    fn an_envelope_is_taken_apart() {
        // As recorded from Google's emulator.
        let recorded = r#"{"subscription":"projects\/pet-theory-lab\/subscriptions\/email-service-sub","message":{"publishTime":"2026-11-22T02:18:56.802Z","data":"eyJpZCI6NTZ9","publish_time":"2026-11-22T02:18:56.802Z","messageId":"2","attributes":{},"message_id":"2"}}"#;
        let mut envelope: Value = serde_json::from_str(recorded).unwrap();
        let push = Push { id: "56".to_owned(), message_id: "2".to_owned(), ordering_key: None, attempt: 1 };
        assert_eq!(enveloped(Some(&envelope)), Ok(push));
        envelope["deliveryAttempt"] = json!(4);
        envelope["message"]["orderingKey"] = json!("k");
        let push = enveloped(Some(&envelope)).unwrap();
        assert_eq!((push.attempt, push.ordering_key.as_deref()), (4, Some("k")));
    }

    #[test]
    fn data_is_read_as_leniently_as_node_reads_it() {
        assert_eq!(decoded("eyJp\nZCI6 NTZ9"), br#"{"id":56}"#);
        assert_eq!(decoded("eyJpZCI6MX0=").as_slice(), br#"{"id":1}"#);
        assert_eq!(decoded("eyJpZCI6MX0").as_slice(), br#"{"id":1}"#);
        assert_eq!(decoded("-_-_"), decoded("+/+/"));
        assert_eq!((decoded("!!!"), decoded("A"), decoded("=eyJp")), (Vec::new(), Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_no_push_throws_what_it_threw() {
        let unreadable =
            |what: &str, property: &str| format!("TypeError: Cannot read properties of {what} (reading '{property}')");
        assert_eq!(line(None), unreadable("undefined", "message"));
        assert_eq!(line(Some(&json!([]))), unreadable("undefined", "data"));
        assert_eq!(line(Some(&json!({}))), unreadable("undefined", "data"));
        assert_eq!(line(Some(&json!({"message": null}))), unreadable("null", "data"));
        let received = |data: Value| {
            let line = line(Some(&json!({"message": data})));
            line.split_once(" Received ").unwrap().1.to_owned()
        };
        assert_eq!(received(json!("x")), "undefined");
        assert_eq!(received(json!({})), "undefined");
        assert_eq!(received(json!({"data": null})), "null");
        assert_eq!(received(json!({"data": 5})), "type number (5)");
        assert_eq!(received(json!({"data": true})), "type boolean (true)");
        assert_eq!(received(json!({"data": {}})), "an instance of Object");
        let data = |data: &str| json!({"message": {"data": base64::engine::general_purpose::STANDARD.encode(data)}});
        assert_eq!(line(Some(&data(""))), "SyntaxError: Unexpected end of JSON input");
        assert_eq!(line(Some(&data("null"))), unreadable("null", "id"));
        assert!(line(Some(&data("hello"))).starts_with("SyntaxError: "));
        for without in ["5", "{}", "[1]", "\"abc\""] {
            assert_eq!(enveloped(Some(&data(without))).unwrap().id, "undefined", "{without}");
        }
    }

    #[test]
    fn nothing_that_is_pushed_panics() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};
        let mut rng = StdRng::seed_from_u64(5);
        let seed = br#"{"deliveryAttempt":1,"message":{"data":"eyJpZCI6NTZ9","messageId":"2","orderingKey":null}}"#;
        let mut understood = 0;
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..rng.random_range(0..4) {
                let place = rng.random_range(0..bytes.len());
                bytes[place] = *b"{}[]\",:0a=\\\xffn".get(rng.random_range(0..14)).unwrap_or(&b' ');
            }
            let headers = HeaderMap::new();
            let whole = serde_json::from_slice::<Value>(&bytes).ok();
            understood += usize::from(enveloped(whole.as_ref()).is_ok());
            let text = decoded(&String::from_utf8_lossy(&bytes));
            let results = [unwrapped(&headers, &bytes).err(), unwrapped(&headers, &text).err()];
            assert!(results.iter().flatten().all(|thrown| thrown.status == 500 && !thrown.line.is_empty()));
        }
        assert!(understood > 1_000, "{understood}");
    }

    #[test]
    fn an_unwrapped_push_is_its_headers_and_its_data() {
        let mut headers = HeaderMap::new();
        assert!(!is_unwrapped(&headers));
        headers.insert("x-goog-pubsub-message-id", "7".parse().unwrap());
        headers.insert("x-goog-pubsub-ordering-key", "k".parse().unwrap());
        headers.insert("x-goog-pubsub-delivery-attempt", "3".parse().unwrap());
        assert!(is_unwrapped(&headers));
        let push = unwrapped(&headers, br#"{"id":56}"#).unwrap();
        let expected =
            Push { id: "56".to_owned(), message_id: "7".to_owned(), ordering_key: Some("k".to_owned()), attempt: 3 };
        assert_eq!(push, expected);
        assert!(unwrapped(&headers, b"hello").is_err());
    }
}
