// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages, server and client of `proto/c2.proto`, as they are generated.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]

tonic::include_proto!("pb");

/// The descriptors of the interface, with comments, permissions and routes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/c2.bin"));

/// Their names and no more: keys are in them.
macro_rules! silent {
    ($($message:ident)*) => {$(
        impl std::fmt::Debug for $message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($message))
            }
        }
    )*};
}

silent! {
    NewClientRequest NewClientResponse Result CreateTokenResponse ChangePassphraseRequest
    ProtectMessageRequest UnprotectMessageResponse BackupChunk ProtectMessageResponse
}
