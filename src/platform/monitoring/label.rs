//! What the labels of metrics and resources hold.

/// What a label's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelType {
    Text,
    /// `true` or `false`.
    Truth,
    Number,
}

impl LabelType {
    /// Of the label of this name.
    pub(super) fn of(label: &str) -> Self {
        match label {
            "response_code" => Self::Number,
            "is_default" | "is_healthy" => Self::Truth,
            _ => Self::Text,
        }
    }

    /// Texts have none in Google's JSON: they are the default.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Text => None,
            Self::Truth => Some("BOOL"),
            Self::Number => Some("INT64"),
        }
    }

    /// In protocol buffers (google.api.LabelDescriptor.ValueType).
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Text => 0,
            Self::Truth => 1,
            Self::Number => 2,
        }
    }
}
