// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// A command of C2 (PROTOCOL section 4). Printing it gives its name alone. It may hold a key, which
/// is wiped when the command is closed or released.
public final class Command: Sendable, CustomStringConvertible, CustomReflectable {
    private let inner: E4Generated.Command

    private init(_ make: () throws -> E4Generated.Command) throws { inner = try call(make) }

    /// Forget the keys of one topic, the replaced one as well. Removing what is not there succeeds.
    public static func removeTopic(_ topic: TopicHash) throws -> Command {
        try Command { try .removeTopic(topic: topic.bytes) }
    }

    /// ``removeTopic(_:)`` of a topic by its text.
    public static func removeTopic(_ topic: String) throws -> Command {
        try removeTopic(TopicHash.fromTopic(topic))
    }

    /// Forget the keys of all topics.
    public static func resetTopics() throws -> Command { try Command { .resetTopics() } }

    /// Replace the id key of an SK client.
    public static func setIdKey(_ key: IdKey) throws -> Command {
        try Command { try .setIdKey(key: key.inner) }
    }

    /// Replace the key pair of a PK client (opcode ``Opcode/setIdKey``).
    public static func setSigningKey(_ key: SigningKey) throws -> Command {
        try Command { try .setSigningKey(key: key.inner) }
    }

    /// Add or replace the key of a topic; the replaced one opens messages for another hour.
    public static func setTopicKey(_ topic: TopicHash, _ key: TopicKey) throws -> Command {
        try Command { try .setTopicKey(topic: topic.bytes, key: key.inner) }
    }

    /// ``setTopicKey(_:_:)`` of a topic by its text. Use ``E4Library/checkTopicForKey(_:)`` on what
    /// people type.
    public static func setTopicKey(_ topic: String, _ key: TopicKey) throws -> Command {
        try setTopicKey(TopicHash.fromTopic(topic), key)
    }

    /// Forget the public key of a client (PK).
    public static func removePubKey(_ client: ClientId) throws -> Command {
        try Command { try .removePubKey(client: client.bytes) }
    }

    /// Forget all public keys (PK).
    public static func resetPubKeys() throws -> Command { try Command { .resetPubKeys() } }

    /// Add or replace the public key of a client (PK).
    public static func setPubKey(_ client: ClientId, _ key: PublicKey) throws -> Command {
        try Command { try .setPubKey(client: client.bytes, key: key.bytes) }
    }

    /// Replace C2's public key (PK).
    public static func setC2Key(_ key: C2PublicKey) throws -> Command {
        try Command { try .setC2Key(key: key.bytes) }
    }

    /// Reads the plaintext of a command.
    ///
    /// - Throws: ``E4Error/invalidCommand``, ``E4Error/invalidKey``.
    public static func decode(_ plaintext: Data) throws -> Command {
        try Command { try .decode(plaintext: plaintext) }
    }

    /// The first byte.
    public var opcode: Opcode { get throws { try Opcode.of(call { try inner.opcode() }) } }

    /// The plaintext: opcode and fields, 1 to 65 bytes; it may hold a key.
    public func encode() throws -> Data { try call { try inner.encode() } }

    /// Protects the command for the client that holds the key: 24 bytes more than the plaintext, to
    /// be published on the client's control topic with QoS 2, not retained. Stamp the commands of
    /// one client in non-decreasing order, never ahead of the clock (PROTOCOL sections 10 and 11).
    public func protect(for key: any CommandKey, now: Timestamp = .now) throws -> Data {
        try call { try inner.protectFor(now: now.seconds, key: lower(key)) }
    }

    /// Protects many commands at once, each for its key.
    public static func protectMany(
        _ pairs: [(command: Command, key: any CommandKey)], now: Timestamp = .now
    ) throws -> [Data] {
        try call {
            try protectForMany(
                now: now.seconds,
                pairs: pairs.map { CommandFor(command: $0.command.inner, key: try lower($0.key)) })
        }
    }

    /// Wipes the command. Closing twice is nothing.
    public func close() { inner.wipe() }

    /// The name alone.
    public var description: String {
        (try? opcode).map { "Command(\($0))" } ?? "Command(closed)"
    }

    /// Nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a client says about a command, or a hello (PROTOCOL section 8).
public struct Answer: Sendable, CustomStringConvertible {
    /// The client's clock. It is for the caller to judge.
    public let timestamp: Timestamp
    /// The SIV of the command that is answered, 16 bytes, as ``E4Library/siv(of:)`` gives it; nil in
    /// a hello.
    public let command: Data?
    /// 0 if the command was applied, else the number of an error.
    public let status: Int
    /// The digest of the client's keys after the command, 16 bytes (PROTOCOL section 11).
    public let digest: Data

    /// Opens an answer under the key that C2 uses for the client after the command.
    ///
    /// - Throws: ``E4Error/messageTooShort``; ``E4Error/invalidTag`` if it is not an answer under
    ///   this key; ``E4Error/stateIncompatible`` for a version of answers that is not known.
    public static func open(_ protected: Data, key: any CommandKey) throws -> Answer {
        let answer = try call { try openAnswer(key: lower(key), protected: protected) }
        return Answer(
            timestamp: Timestamp(seconds: answer.timestamp), command: answer.command,
            status: Int(answer.status), digest: answer.digest)
    }

    /// The error of ``status``, or nil if the command was applied.
    public var error: E4Error? { E4Error(number: status) }

    /// Answer or hello, when, and the status.
    public var description: String {
        "Answer(\(command == nil ? "hello" : "answer") at \(timestamp), status \(status))"
    }
}

/// What belongs to no type.
public enum E4Library {
    /// The version of the library.
    public static var version: String { E4Generated.version() }

    /// Checks a topic before a key is made for it: one that clients can publish to, without `+`,
    /// `#`, NUL or a leading `$`, and not `e4` or below `e4/` (PROTOCOL section 1).
    ///
    /// - Throws: ``E4Error/invalidTopic``.
    public static func checkTopicForKey(_ topic: String) throws {
        try call { try E4Generated.checkTopicForKey(topic: topic) }
    }

    /// The SIV of a protected command, 16 bytes, by which an answer names it.
    ///
    /// - Throws: ``E4Error/messageTooShort`` below 24 bytes.
    public static func siv(of protected: Data) throws -> Data {
        try call { try sivOf(protected: protected) }
    }

    /// AES-SIV (RFC 5297) under one key for both halves, for test vectors: SIV (16) and ciphertext.
    public static func sivSeal(
        _ key: TopicKey, _ plaintext: Data, associated: Data
    ) throws -> Data {
        try call {
            try E4Generated.sivSeal(key: key.inner, plaintext: plaintext, associated: associated)
        }
    }

    /// Opens what ``sivSeal(_:_:associated:)`` made.
    ///
    /// - Throws: ``E4Error/messageTooShort`` below 16 bytes, ``E4Error/invalidTag``.
    public static func sivOpen(_ key: TopicKey, _ sealed: Data, associated: Data) throws -> Data {
        try call {
            try E4Generated.sivOpen(key: key.inner, sealed: sealed, associated: associated)
        }
    }
}
