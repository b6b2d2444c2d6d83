//! Which messages a subscription is for, by their attributes: Pub/Sub's filter language
//! (cloud.google.com/pubsub/docs/subscription-message-filter).

use super::proto::Words;
use super::refusal::Refusal;

/// Bytes of a filter (the same page).
const BYTES_MAX: usize = 256;

/// A filter, read for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// `attributes:KEY`
    Has(String),
    /// `attributes.KEY = "VALUE"`
    Equals(String, String),
    /// `hasPrefix(attributes.KEY, "PREFIX")`
    HasPrefix(String, String),
    /// `NOT`, `-` and `!=`: the page says of none of them that it asks for the attribute too.
    Not(Box<Filter>),
    /// `AND`
    All(Vec<Filter>),
    /// `OR`
    Any(Vec<Filter>),
}

impl Filter {
    /// Reads a filter; an empty one is none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Refusal> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.len() > BYTES_MAX {
            let message = format!("Invalid filter given: it has {} bytes, at most {BYTES_MAX} (filter).", text.len());
            return Err(Refusal::invalid(message));
        }
        let mut parser = Parser { text, at: 0 };
        let read = parser.expression().and_then(|filter| if parser.rest().is_empty() { Ok(filter) } else { Err(END) });
        read.map(Some).map_err(|expected| {
            let (before, after) = text.split_at(parser.at);
            Refusal::invalid(format!(
                "Invalid filter given (filter={text}): after {before:?} {expected} is expected, not {after:?} (filter)."
            ))
        })
    }

    /// Whether a message with these attributes is for the subscription.
    pub(super) fn matches(&self, attributes: &Words) -> bool {
        match self {
            Self::Has(key) => attributes.contains_key(key),
            Self::Equals(key, value) => attributes.get(key) == Some(value),
            Self::HasPrefix(key, prefix) => attributes.get(key).is_some_and(|value| value.starts_with(&**prefix)),
            Self::Not(filter) => !filter.matches(attributes),
            Self::All(filters) => filters.iter().all(|filter| filter.matches(attributes)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(attributes)),
        }
    }
}

const END: &str = "AND, OR (one of them, or parentheses) or the end";
const TERM: &str = "attributes, hasPrefix, NOT, - or (";
const KEY: &str = "a key (letters, digits, - and _, or anything in quotation marks)";
const TEXT: &str = "a text in quotation marks";
const ESCAPE: &str = "an escape such as \\\", \\\\, \\n, \\x41, \\101 or \\u0041";

/// Reads from left to right. What fails says what was expected where it stopped.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl<'a> Parser<'a> {
    /// What is left, after white space.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let rest = rest.trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let is_next = self.rest().starts_with(symbol);
        self.at += if is_next { symbol.len() } else { 0 };
        is_next
    }

    /// A word that no other letter follows.
    fn takes_word(&mut self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word);
        let ends =
            after.is_some_and(|after| !after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_'));
        self.at += if ends { word.len() } else { 0 };
        ends
    }

    fn expect(&mut self, symbol: &str, expected: &'static str) -> Read<()> {
        if self.takes(symbol) { Ok(()) } else { Err(expected) }
    }

    /// Terms between which all operators are the same.
    fn expression(&mut self) -> Read<Filter> {
        let first = self.term()?;
        for (word, joined) in [("AND", Filter::All as fn(Vec<Filter>) -> Filter), ("OR", Filter::Any)] {
            let mut terms = Vec::new();
            while self.takes_word(word) {
                terms.push(self.term()?);
            }
            if !terms.is_empty() {
                terms.insert(0, first);
                return Ok(joined(terms));
            }
        }
        Ok(first)
    }

    fn term(&mut self) -> Read<Filter> {
        if self.takes_word("NOT") || self.takes("-") {
            return Ok(Filter::Not(Box::new(self.term()?)));
        }
        if self.takes("(") {
            let filter = self.expression()?;
            self.expect(")", END)?;
            return Ok(filter);
        }
        if self.takes_word("hasPrefix") {
            self.expect("(", "(")?;
            self.expect("attributes", "attributes")?;
            self.expect(".", ".")?;
            let key = self.key()?;
            self.expect(",", ",")?;
            let prefix = self.string()?;
            self.expect(")", ")")?;
            return Ok(Filter::HasPrefix(key, prefix));
        }
        if !self.takes_word("attributes") {
            return Err(TERM);
        }
        if self.takes(":") {
            return Ok(Filter::Has(self.key()?));
        }
        self.expect(".", ": or .")?;
        let key = self.key()?;
        if self.takes("!=") {
            return Ok(Filter::Not(Box::new(Filter::Equals(key, self.string()?))));
        }
        self.expect("=", "= or !=")?;
        Ok(Filter::Equals(key, self.string()?))
    }

    fn key(&mut self) -> Read<String> {
        let rest = self.rest();
        if rest.starts_with('"') {
            return self.string();
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        let end = rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len());
        self.at += end;
        if end == 0 { Err(KEY) } else { Ok(rest[..end].to_owned()) }
    }

    fn string(&mut self) -> Read<String> {
        self.expect("\"", TEXT)?;
        let mut string = String::new();
        loop {
            let letter = self.text[self.at..].chars().next().ok_or("a closing quotation mark")?;
            if letter == '\\' {
                string.push(self.escape().ok_or(ESCAPE)?);
                continue;
            }
            self.at += letter.len_utf8();
            if letter == '"' {
                return Ok(string);
            }
            string.push(letter);
        }
    }

    /// A letter behind a backslash, as itself, by its name or by its number.
    fn escape(&mut self) -> Option<char> {
        let escaped = &self.text[self.at + 1..];
        let letter = escaped.chars().next()?;
        let number = |from: usize, digits: usize, radix: u32| {
            let digits = escaped.get(from..from + digits).filter(|it| it.chars().all(|digit| digit.is_digit(radix)))?;
            char::from_u32(u32::from_str_radix(digits, radix).ok()?)
        };
        let (read, length) = match letter {
            '"' | '\\' | '\'' | '?' => (letter, 1),
            'a' => ('\x07', 1),
            'b' => ('\x08', 1),
            'f' => ('\x0c', 1),
            'n' => ('\n', 1),
            'r' => ('\r', 1),
            't' => ('\t', 1),
            'v' => ('\x0b', 1),
            'x' => (number(1, 2, 16)?, 3),
            'u' => (number(1, 4, 16)?, 5),
            'U' => (number(1, 8, 16)?, 9),
            _ => (number(0, 3, 8)?, 3),
        };
        self.at += 1 + length;
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[(&str, &str)]) -> Words {
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn matches(filter: &str, attributes: &[(&str, &str)]) -> bool {
        let read = Filter::parse(filter).unwrap_or_else(|error| panic!("{error}"));
        read.expect("it is not empty").matches(&words(attributes))
    }

    /// Those of the page are taken from it.
    #[test]
    fn a_filter_tells_messages_apart_by_their_attributes() {
        let (tagged, com) = (("iana.org/language_tag", "en"), ("name", "com"));
        let with_and = r#"attributes:"iana.org/language_tag" AND NOT attributes.name = "com""#;
        let with_both =
            r#"attributes:"iana.org/language_tag" AND (attributes.name = "net" OR attributes.name = "org")"#;
        let (minus, prefix) = (
            r#"attributes.name = "com" AND -attributes:"iana.org/language_tag""#,
            r#"hasPrefix(attributes.name, "co")"#,
        );
        for (filter, attributes, expected) in [
            ("attributes:name", &[com][..], true),
            ("attributes:name", &[tagged], false),
            ("attributes:Name", &[com], false),
            (r#"attributes.name = "com""#, &[com], true),
            (r#"attributes.name = "Com""#, &[com], false),
            (r#"attributes.name != "com""#, &[com], false),
            (r#"attributes.name != "com""#, &[("name", "org")], true),
            (r#"attributes.name != "com""#, &[], true),
            (r#"attributes."iana.org/language_tag" = "en""#, &[tagged], true),
            (with_and, &[tagged], true),
            (with_and, &[tagged, com], false),
            (with_both, &[tagged, ("name", "org")], true),
            (with_both, &[tagged, com], false),
            (with_both, &[("name", "net")], false),
            (minus, &[com], true),
            (minus, &[com, tagged], false),
            (prefix, &[com], true),
            (prefix, &[("name", "net")], false),
            (prefix, &[], false),
            ("NOT(attributes:a)", &[], true),
            ("attributes:a OR attributes:b OR attributes:c", &[("c", "")], true),
            ("NOT attributes:a OR attributes:b", &[("b", "")], true),
            ("NOT attributes:a AND attributes:b", &[("a", ""), ("b", "")], false),
            ("-attributes:-a", &[("a", "")], true),
            ("attributes:AND AND attributes:NOT-x", &[("AND", ""), ("NOT-x", "")], true),
            (" ( ( attributes : name ) ) ", &[com], true),
            (r#"attributes.x="x"AND hasPrefix(attributes.x,"x")"#, &[("x", "x")], true),
            ("attributes:\"\\u307F\\u3093\\u306A\"", &[("みんな", "")], true),
            (r#"attributes.q = "\"\\\x41\102\n""#, &[("q", "\"\\AB\n")], true),
        ] {
            assert_eq!(matches(filter, attributes), expected, "{filter} {attributes:?}");
        }
        assert_eq!(Filter::parse(" "), Ok(None));
    }

    #[test]
    fn what_is_no_filter_is_refused_and_says_where() {
        let long = format!(r#"attributes.a = "{}""#, "x".repeat(239));
        assert!(long.len() == 256 && Filter::parse(&long).is_ok());
        for (filter, told) in [
            (r#""com" = attributes.name"#, "after \"\" attributes"),
            ("attributes.name = attributes.website", "after \"attributes.name = \" a text"),
            ("attributes:\\u307F", "after \"attributes:\" a key"),
            ("attributes:a AND attributes:b OR attributes:c", "after \"attributes:a AND attributes:b \" AND, OR (one"),
            ("attributes:a OR attributes:b AND attributes:c", "not \"AND attributes:c\""),
            (r#"attributes.name = "com" AND ("net" OR "org")"#, "attributes, hasPrefix, NOT"),
            (r#"hasSuffix(attributes.a, "x")"#, "attributes, hasPrefix, NOT"),
            ("attributes:a and attributes:b", "not \"and attributes:b\""),
            ("attributes:a attributes:b", "not \"attributes:b\""),
            ("(attributes:a", "or the end is expected, not \"\""),
            (r#"attributes.a = "x"#, "a closing quotation mark"),
            (r#"attributes.a = "\q""#, "an escape"),
            (r#"attributes.a = "\ud800""#, "an escape"),
            ("attributes.iana.org = \"x\"", "= or !="),
            ("attributes", ": or ."),
            ("NOT", "attributes, hasPrefix"),
            ("data:x", "attributes, hasPrefix"),
            (&format!("{long} "), "257 bytes"),
        ] {
            let refused = Filter::parse(filter).unwrap_err();
            assert_eq!(refused.code, tonic::Code::InvalidArgument);
            assert!(refused.message.contains(told), "{filter}: {}", refused.message);
        }
    }

    proptest::proptest! {
        /// Nothing that is typed makes it panic or fail to say something.
        #[test]
        fn any_text_is_a_filter_or_is_refused(parts in proptest::collection::vec(0..PARTS.len(), 0..40), text in ".{0,20}") {
            let mut filter: String = parts.into_iter().map(|part| PARTS[part]).collect();
            filter.insert_str(filter.len() / 2 * usize::from(filter.is_char_boundary(filter.len() / 2)), &text);
            if let Ok(Some(filter)) = Filter::parse(&filter) {
                filter.matches(&words(&[("a", "b")]));
            }
        }
    }

    const PARTS: [&str; 14] =
        ["attributes", ":", ".", "a", "=", "!=", "\"", "\\", "hasPrefix(", ")", " AND ", " OR ", "NOT ", "-"];
}
