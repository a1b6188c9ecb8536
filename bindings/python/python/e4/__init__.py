# SPDX-License-Identifier: Apache-2.0 OR MIT
"""End-to-end encryption and key management for IoT messages.

A device protects its messages under topic keys that a broker never sees. C2, the command and
control server, gives and takes those keys by protected commands over the same broker.

``Client`` is the device; ``Command`` and the keys are what a script of C2's side needs;
``e4.mqtt`` has helpers for paho-mqtt and aiomqtt. Every error is an ``E4Error``.
"""

from typing import Protocol as _Protocol

from ._e4 import (
    AlreadyProvisionedError,
    Answer,
    BufferTooSmallError,
    C2PublicKey,
    C2SecretKey,
    Client,
    ClientId,
    ClockUnknownError,
    Command,
    CommandApplied,
    E4Error,
    IdKey,
    InternalError,
    InvalidCommandError,
    InvalidKeyError,
    InvalidNameError,
    InvalidParameterError,
    InvalidPasswordError,
    InvalidTagError,
    InvalidTopicError,
    Message,
    MessageTooShortError,
    Mode,
    NotProvisionedError,
    Opcode,
    OutOfMemoryError,
    PublicKey,
    RandomnessError,
    ReplayedError,
    Settings,
    SharedKey,
    SignatureInvalidError,
    Signer,
    SignerUnknownError,
    SigningKey,
    StateCorruptError,
    StateIncompatibleError,
    StorageError,
    StorageFullError,
    TimestampInFutureError,
    TimestampTooOldError,
    TopicHash,
    TopicKey,
    TopicKeyMissingError,
    WrongModeError,
    __version__,
    check_topic_for_key,
    open_answer,
    siv_of,
    siv_open,
    siv_seal,
)


class Storage(_Protocol):
    """What a storage of one's own has to do.

    Records are small and numbered. After a power cut a record must hold the old bytes or the new
    ones, never a mixture. An exception that a method raises becomes the ``__cause__`` of a
    ``StorageError``, and the client stays as it was.
    """

    def read(self, record: int, /) -> bytes | None:
        """The bytes of a record, or None if there is no such record."""
        ...

    def write(self, record: int, data: bytes, /) -> object:
        """Writes or replaces a record; it is durable when this returns."""
        ...

    def erase(self, record: int, /) -> object:
        """Erases a record; erasing what is not there succeeds."""
        ...


__all__ = [
    "AlreadyProvisionedError",
    "Answer",
    "BufferTooSmallError",
    "C2PublicKey",
    "C2SecretKey",
    "Client",
    "ClientId",
    "ClockUnknownError",
    "Command",
    "CommandApplied",
    "E4Error",
    "IdKey",
    "InternalError",
    "InvalidCommandError",
    "InvalidKeyError",
    "InvalidNameError",
    "InvalidParameterError",
    "InvalidPasswordError",
    "InvalidTagError",
    "InvalidTopicError",
    "Message",
    "MessageTooShortError",
    "Mode",
    "NotProvisionedError",
    "Opcode",
    "OutOfMemoryError",
    "PublicKey",
    "RandomnessError",
    "ReplayedError",
    "Settings",
    "SharedKey",
    "SignatureInvalidError",
    "Signer",
    "SignerUnknownError",
    "SigningKey",
    "StateCorruptError",
    "StateIncompatibleError",
    "Storage",
    "StorageError",
    "StorageFullError",
    "TimestampInFutureError",
    "TimestampTooOldError",
    "TopicHash",
    "TopicKey",
    "TopicKeyMissingError",
    "WrongModeError",
    "__version__",
    "check_topic_for_key",
    "open_answer",
    "siv_of",
    "siv_open",
    "siv_seal",
]
