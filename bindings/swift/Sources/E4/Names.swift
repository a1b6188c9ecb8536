// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

func hexadecimal(_ bytes: Data) -> String {
    bytes.map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
}

/// The id of a client: 16 bytes, made from a name or random (PROTOCOL section 1).
public struct ClientId: Hashable, Sendable, CustomStringConvertible {
    /// The 16 bytes.
    public let bytes: Data

    /// From 16 bytes.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` for another length.
    public init(bytes: Data) throws {
        try call { try checkSixteen(bytes: bytes) }
        self.bytes = Data(bytes)
    }

    /// From 32 hexadecimal digits of either case.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` for anything else.
    public init(hex digits: String) throws {
        bytes = try call { try sixteenFromHex(digits: digits) }
    }

    /// The id of a name of 1 to 255 bytes of UTF-8: the first 16 bytes of its SHA3-256.
    ///
    /// - Throws: ``E4Error/invalidName``.
    public static func fromName(_ name: String) throws -> ClientId {
        try ClientId(bytes: call { try clientIdFromName(name: name) })
    }

    /// A random id from the operating system.
    public static func random() throws -> ClientId {
        try ClientId(bytes: call { try clientIdRandom() })
    }

    /// 32 lower-case hexadecimal digits.
    public var hex: String { hexadecimal(bytes) }

    /// The topic on which C2 publishes the commands for this client, 35 characters.
    public var controlTopic: String { (try? E4Generated.controlTopic(id: bytes)) ?? "" }

    /// The topic on which this client publishes its answers, 39 characters.
    public var answerTopic: String { (try? E4Generated.answerTopic(id: bytes)) ?? "" }

    /// 32 lower-case hexadecimal digits.
    public var description: String { hex }
}

/// The hash of a topic: the first 16 bytes of its SHA3-256 (PROTOCOL section 1).
public struct TopicHash: Hashable, Sendable, CustomStringConvertible {
    /// The 16 bytes.
    public let bytes: Data

    /// From 16 bytes.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` for another length.
    public init(bytes: Data) throws {
        try call { try checkSixteen(bytes: bytes) }
        self.bytes = Data(bytes)
    }

    /// From 32 hexadecimal digits of either case.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` for anything else.
    public init(hex digits: String) throws {
        bytes = try call { try sixteenFromHex(digits: digits) }
    }

    /// The hash of a topic of 1 to 65,535 bytes of UTF-8.
    ///
    /// - Throws: ``E4Error/invalidTopic``.
    public static func fromTopic(_ topic: String) throws -> TopicHash {
        try TopicHash(bytes: call { try topicHash(topic: topic) })
    }

    /// 32 lower-case hexadecimal digits.
    public var hex: String { hexadecimal(bytes) }

    /// 32 lower-case hexadecimal digits.
    public var description: String { hex }
}

/// A moment in whole seconds since 1970-01-01 00:00 UTC (Unix time).
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Unix seconds.
    public let seconds: UInt64

    /// From Unix seconds.
    public init(seconds: UInt64) { self.seconds = seconds }

    /// From a date; 0 if it is before 1970.
    public init(_ date: Date) { seconds = UInt64(max(date.timeIntervalSince1970, 0)) }

    /// What the system clock says.
    public static var now: Timestamp { Timestamp(Date()) }

    /// The earlier one is the smaller one.
    public static func < (one: Timestamp, other: Timestamp) -> Bool { one.seconds < other.seconds }

    /// Unix seconds.
    public var description: String { String(seconds) }
}

/// The two ways to protect (PROTOCOL sections 2 and 3).
public enum Mode: UInt8, CaseIterable, Sendable {
    /// Symmetric key (SK): topic keys alone.
    case symmetric = 1
    /// Public key (PK): topic keys and signatures.
    case publicKey = 2
}

/// The first byte of a command (PROTOCOL section 4).
public enum Opcode: UInt8, CaseIterable, Sendable {
    /// Forget the keys of one topic.
    case removeTopic = 0
    /// Forget the keys of all topics.
    case resetTopics = 1
    /// Replace the client's own key.
    case setIdKey = 2
    /// Add or replace the key of a topic.
    case setTopicKey = 3
    /// Forget the public key of one client.
    case removePubKey = 4
    /// Forget all public keys.
    case resetPubKeys = 5
    /// Add or replace the public key of a client.
    case setPubKey = 6
    /// Replace C2's public key.
    case setC2Key = 7

    static func of(_ number: UInt8) throws -> Opcode {
        guard let opcode = Opcode(rawValue: number) else { throw E4Error.internal }
        return opcode
    }
}
