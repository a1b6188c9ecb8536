//! C2
fn main() {}
