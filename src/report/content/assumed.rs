//! What the local platform took for granted, as the study keeps it: small, beside the scale model's other limits.

use crate::report::document::Span;
use crate::trial::Assumed;

/// Two lines of a list; none for a study of before this was kept.
pub(super) fn lines(assumed: Option<&Assumed>) -> Vec<Vec<Span>> {
    let Some(Assumed { constants, assumptions }) = assumed else { return Vec::new() };
    let constants = constants.iter().map(|it| format!("{}: {}", it.what, it.value)).collect::<Vec<_>>().join("; ");
    let assumptions = assumptions.iter().map(|it| format!("{} ({})", it.what, it.basis)).collect::<Vec<_>>().join("; ");
    let line = |title: &str, text: String| vec![Span::Strong(title.to_owned()), format!(" {text}.").into()];
    vec![
        line("The platform’s constants, before the time factor.", first_letter_large(&constants)),
        line("Published nowhere, and therefore assumed.", first_letter_large(&assumptions)),
    ]
}

fn first_letter_large(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Assumption, Constant};

    #[test]
    fn constants_and_assumptions_are_two_lines_and_an_old_study_has_none() {
        let assumed = Assumed {
            constants: vec![
                Constant { what: "averages are taken over".into(), value: "1 min".into() },
                Constant { what: "a billed slice lasts".into(), value: "0.1 s".into() },
            ],
            assumptions: vec![Assumption { what: "starts are not limited".into(), basis: "not public".into() }],
        };
        let text = format!("{:?}", lines(Some(&assumed)));
        assert!(text.contains("Averages are taken over: 1 min; a billed slice lasts: 0.1 s."), "{text}");
        assert!(text.contains("Starts are not limited (not public)."), "{text}");
        assert_eq!(lines(None), Vec::<Vec<Span>>::new());
    }
}
