// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may do what.

use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::Millis;

/// What a caller may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything but messages.
    Admin,
    /// Looks, and changes clients, topics and keys.
    Operator,
    /// Looks.
    Reader,
    /// Adds clients that do not exist yet, and nothing else.
    DeviceProvisioner,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To look.
    Read,
    /// To add clients.
    Provision,
    /// To change clients, topics and keys.
    Operate,
    /// Tokens, audit records, backup, passphrase.
    Admin,
    /// To protect and open messages of topics.
    Messages,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Reader, Self::DeviceProvisioner];

    /// As it is stored, and in the interface.
    pub fn number(self) -> i64 {
        match self {
            Role::Admin => 1,
            Role::Operator => 2,
            Role::Reader => 3,
            Role::DeviceProvisioner => 4,
        }
    }

    /// The role of a number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Reader => "reader",
            Role::DeviceProvisioner => "device-provisioner",
        }
    }
}

/// What a caller was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Name of the token.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Whether it may protect and open messages.
    pub messages: bool,
}

impl Grant {
    /// Whether it is enough.
    pub fn allows(&self, permission: Permission) -> bool {
        use Role::{Admin, DeviceProvisioner, Operator, Reader};
        match permission {
            Permission::Read => matches!(self.role, Admin | Operator | Reader),
            Permission::Provision => matches!(self.role, Admin | Operator | DeviceProvisioner),
            Permission::Operate => matches!(self.role, Admin | Operator),
            Permission::Admin => self.role == Admin,
            Permission::Messages => self.messages,
        }
    }
}

/// What is stored of a token or a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Name, never used twice at a time.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Whether it may protect and open messages.
    pub messages: bool,
    /// Whether it is a certificate.
    pub certificate: bool,
    /// When it was made.
    pub made_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
}

/// What a caller shows. Printing it shows its kind alone.
pub enum Credentials {
    /// A bearer token.
    Bearer(Zeroizing<String>),
    /// A client certificate, in DER, that TLS has checked.
    Certificate(Vec<u8>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Bearer(_) => "Bearer",
            Credentials::Certificate(_) => "Certificate",
        })
    }
}
