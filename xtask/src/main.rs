// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tasks of the project: `cargo xtask help`.

mod stage;

fn main() {
    let _ = (stage::root(), stage::target());
}
