// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Python module `e4._e4`: the core's Rust API, thinly wrapped. What users import is the
//! package `e4` in `python/e4`, which gives these names again.

mod args;
mod client;
mod command;
mod errors;
mod ids;
mod keys;
mod message;
mod primitives;
mod storage;

use pyo3::prelude::*;

/// End-to-end encryption and key management for IoT messages.
#[pymodule]
mod _e4 {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::command::{Answer, Command, open_answer, siv_of};
    #[pymodule_export]
    use crate::ids::{ClientId, Mode, Opcode, TopicHash, check_topic_for_key};
    #[pymodule_export]
    use crate::keys::{
        C2PublicKey, C2SecretKey, IdKey, PublicKey, SharedKey, SigningKey, TopicKey,
    };
    #[pymodule_export]
    use crate::message::{CommandApplied, Message, Settings, Signer};
    #[pymodule_export]
    use crate::primitives::{siv_open, siv_seal};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::errors::add_to(module)
    }
}
