//! The service under test that tidegate carries: a shop on the wire of Avocano. Knows nothing of tidegate.
