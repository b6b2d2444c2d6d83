//! One trial and one study over traits.
