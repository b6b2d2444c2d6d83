//! Templates: text with `${name}` in it. `$${` stands for a literal `${`; a `$` elsewhere is itself.

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// The value of this variable.
    Variable(String),
}

/// Splits a template into pieces.
///
/// # Errors
/// The offending part, when a `${` is not closed or what it holds is not a name.
pub(super) fn parse(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            text.push_str(&rest[..at]);
            text.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        text.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or_else(|| rest[at..].to_owned())?;
        let name = &inside[..end];
        if !is_reference(name) {
            return Err(format!("${{{name}}}"));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Variable(name.to_owned()));
        rest = &inside[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// A name: letters, digits and `_`, not starting with a digit.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a template may refer to: a variable, or a column of data as `name.column`.
pub(super) fn is_reference(reference: &str) -> bool {
    match reference.split_once('.') {
        Some((name, column)) => is_name(name) && is_name(column),
        None => is_name(reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn variable(name: &str) -> Piece {
        Piece::Variable(name.to_owned())
    }

    #[test]
    fn names_in_braces_are_variables_and_all_else_is_text() {
        assert_eq!(parse("/a/${id}/b?c=${d}"), Ok(vec![text("/a/"), variable("id"), text("/b?c="), variable("d")]));
        assert_eq!(parse("$1 costs ${price}$"), Ok(vec![text("$1 costs "), variable("price"), text("$")]));
        assert_eq!(parse("$${id} and ${id}"), Ok(vec![text("${id} and "), variable("id")]));
        assert_eq!(parse("${users.email}!"), Ok(vec![variable("users.email"), text("!")]));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_template_is_told() {
        assert_eq!(parse("/a/${id"), Err("${id".to_owned()));
        assert_eq!(parse("/a/${}"), Err("${}".to_owned()));
        for wrong in ["${a b}", "${a.}", "${.b}", "${a.b.c}"] {
            assert_eq!(parse(&format!("/a/{wrong}")), Err(wrong.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(any in any::<String>(), almost in "[$${}a-z ü]{0,20}") {
            let _ = (parse(&any).is_ok(), parse(&almost).is_ok());
        }

        #[test]
        fn text_without_a_dollar_comes_back_whole(plain in "[^$]+") {
            prop_assert_eq!(parse(&plain), Ok(vec![text(&plain)]));
        }
    }
}
