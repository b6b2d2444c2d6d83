//! The bundled service as a program of its own.

fn main() {}
