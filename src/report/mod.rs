//! Renders saved records.
