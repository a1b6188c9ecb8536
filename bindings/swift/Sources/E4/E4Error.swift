// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// What went wrong. Each error has one ``number`` for life, the same in every language. An error
/// holds no secret.
///
/// Everything here that fails throws one of these:
///
/// ```swift
/// do {
///     return try client.protect("plant/pressure", bytes)
/// } catch E4Error.topicKeyMissing {
///     askC2(try client.hello())
/// }
/// ```
///
/// Two errors are equal if their numbers are.
public enum E4Error: Error, Sendable {
    /// A bug in E4 itself.
    case `internal`
    /// The bytes do not authenticate under the key: altered, or protected under another key.
    case invalidTag
    /// The timestamp is ahead of the clock by more than the tolerance.
    case timestampInFuture
    /// The timestamp is older than the validity.
    case timestampTooOld
    /// Fewer bytes than the smallest message of the mode.
    case messageTooShort
    /// The client holds no key for the topic.
    case topicKeyMissing
    /// The command, or the message where its cache is on, was seen before.
    case replayed
    /// An unknown opcode, a wrong length, or a command of the other mode.
    case invalidCommand
    /// The storage failed, with what it threw.
    case storage(cause: (any Error)? = nil)
    /// The client holds no public key for the signer.
    case signerUnknown
    /// The signature is wrong.
    case signatureInvalid
    /// The output buffer is too small for the result (C alone).
    case bufferTooSmall
    /// A bad length, or something that is closed.
    case invalidParameter(reason: String = "")
    /// The stored state has another format, version or mode than this version reads.
    case stateIncompatible
    /// All zero, not on the curve, of small order, of the wrong length, or halves that do not match.
    case invalidKey
    /// Empty, or longer than 255 bytes.
    case invalidName
    /// Empty, longer than 65,535 bytes, or the client's own control topic.
    case invalidTopic
    /// Shorter than 16 bytes.
    case invalidPassword
    /// The storage holds no client.
    case notProvisioned
    /// The storage holds a client already; forget it first.
    case alreadyProvisioned
    /// A stored record does not have the check value that it was written with.
    case stateCorrupt
    /// No free record is left for another key.
    case storageFull
    /// The operation needs the other mode (SK or PK).
    case wrongMode
    /// The operating system gave no randomness.
    case randomness
    /// The client has no clock and has not seen a command to take the time from.
    case clockUnknown
    /// Not enough memory for the password derivation.
    case outOfMemory

    private static let table: [(E4Error, Int)] = [
        (.internal, -100), (.invalidTag, -101), (.timestampInFuture, -102),
        (.timestampTooOld, -103), (.messageTooShort, -104), (.topicKeyMissing, -105),
        (.replayed, -106), (.invalidCommand, -107), (.storage(), -108), (.signerUnknown, -109),
        (.signatureInvalid, -110), (.bufferTooSmall, -111), (.invalidParameter(), -112),
        (.stateIncompatible, -113), (.invalidKey, -114), (.invalidName, -115),
        (.invalidTopic, -116), (.invalidPassword, -117), (.notProvisioned, -118),
        (.alreadyProvisioned, -119), (.stateCorrupt, -120), (.storageFull, -121),
        (.wrongMode, -122), (.randomness, -123), (.clockUnknown, -124), (.outOfMemory, -125),
    ]

    /// The number: negative, the same in Rust, C, Python, Kotlin and on the wire.
    public var number: Int {
        switch self {
        case .internal: -100
        case .invalidTag: -101
        case .timestampInFuture: -102
        case .timestampTooOld: -103
        case .messageTooShort: -104
        case .topicKeyMissing: -105
        case .replayed: -106
        case .invalidCommand: -107
        case .storage: -108
        case .signerUnknown: -109
        case .signatureInvalid: -110
        case .bufferTooSmall: -111
        case .invalidParameter: -112
        case .stateIncompatible: -113
        case .invalidKey: -114
        case .invalidName: -115
        case .invalidTopic: -116
        case .invalidPassword: -117
        case .notProvisioned: -118
        case .alreadyProvisioned: -119
        case .stateCorrupt: -120
        case .storageFull: -121
        case .wrongMode: -122
        case .randomness: -123
        case .clockUnknown: -124
        case .outOfMemory: -125
        }
    }

    /// The error of a number, if it is one of the table.
    public init?(number: Int) {
        guard let found = Self.table.first(where: { $0.1 == number }) else { return nil }
        self = found.0
    }

    private static let texts: [Int: String] = Dictionary(
        uniqueKeysWithValues: errorTable().map { (Int($0.number), $0.text) })
}

extension E4Error: CaseIterable {
    /// Every error, in the order of the table.
    public static var allCases: [E4Error] { table.map(\.0) }
}

extension E4Error: Equatable, Hashable {
    /// Whether the numbers are the same.
    public static func == (one: E4Error, other: E4Error) -> Bool { one.number == other.number }

    /// The number counts.
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

extension E4Error: CustomStringConvertible, LocalizedError {
    /// What happened, with the number: `topic key not found (-105)`.
    public var description: String {
        let text = Self.texts[number] ?? "unknown error"
        return switch self {
        case .storage(let cause?): "\(text) (\(number)): \(cause)"
        case .invalidParameter(let reason) where !reason.isEmpty: "\(reason) (\(number))"
        default: "\(text) (\(number))"
        }
    }

    /// The same as ``description``.
    public var errorDescription: String? { description }
}

/// What the library's own file storage says about a failure.
public struct StorageFailure: Error, Sendable, CustomStringConvertible {
    /// What happened.
    public let description: String
}

func error(number: Int32, text: String) -> E4Error {
    switch E4Error(number: Int(number)) ?? .internal {
    case .storage: .storage(cause: StorageFailure(description: text))
    case .invalidParameter: .invalidParameter(reason: text)
    case let other: other
    }
}

/// Runs a call of the library; its failure becomes an ``E4Error``.
func call<T>(_ work: () throws -> T) throws -> T {
    do {
        return try work()
    } catch Failure.Failed(let number, let text) {
        throw error(number: number, text: text)
    } catch let error as E4Error {
        throw error
    } catch {
        // A panic in the library, which would be a bug.
        throw E4Error.internal
    }
}
