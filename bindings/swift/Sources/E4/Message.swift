// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// What came in: a message for the app, or a command that is done with.
public enum Unprotected: Sendable, Equatable {
    /// A message that authenticated.
    case message(Message)
    /// A command of C2 was applied and stored; ``Client/answer(now:)`` has the answer for C2.
    case commandApplied(Opcode)
}

/// A message that authenticated. Printing it does not give its text.
public struct Message: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// The plaintext; it may be empty.
    public let plaintext: Data
    /// The sender's clock.
    public let timestamp: Timestamp
    /// Who signed; nil in SK mode.
    public let signer: Signer?

    /// As a client gives it; for tests of an app.
    public init(plaintext: Data, timestamp: Timestamp, signer: Signer? = nil) {
        (self.plaintext, self.timestamp, self.signer) = (plaintext, timestamp, signer)
    }

    /// The length alone.
    public var description: String { "Message(\(plaintext.count) bytes at \(timestamp))" }

    /// Nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Who signed a message.
public struct Signer: Hashable, Sendable {
    /// The id in the message.
    public let id: ClientId
    /// Whether the signature was checked; false only for a signer whose key is not held, where
    /// ``Settings/acceptUnknownSigners`` is on.
    public let verified: Bool

    /// As a client gives it; for tests of an app.
    public init(id: ClientId, verified: Bool) { (self.id, self.verified) = (id, verified) }
}

/// Bytes on a topic, for a batch: a plaintext, or what was protected.
public struct Item: Sendable {
    /// The topic.
    public let topic: String
    /// The bytes.
    public let bytes: Data

    /// Bytes on a topic.
    public init(_ topic: String, _ bytes: Data) { (self.topic, self.bytes) = (topic, bytes) }

    var lowered: E4Generated.Item { E4Generated.Item(topic: topic, bytes: bytes) }
}

/// What a client tolerates. Not stored: give it at every start.
public struct Settings: Hashable, Sendable {
    /// How old a message may be, seconds.
    public var past: UInt32
    /// How far ahead of the clock it may be, seconds. e4go tolerates 0.
    public var future: UInt32
    /// How long a replaced topic key still opens messages, seconds.
    public var transition: UInt32
    /// Whether a PK client takes messages of signers whose public key it does not hold. With this
    /// on, whoever holds the topic key can write under any id that is not known: look at
    /// ``Signer/verified``.
    public var acceptUnknownSigners: Bool
    /// How many messages are remembered and refused a second time; 0 is off (PROTOCOL section 7).
    /// Two equal payloads in the same second are equal bytes: the second is refused as well.
    public var replayCache: UInt32

    private static let standard = defaultSettings()

    /// The settings of the protocol, but for those that are given.
    public init(
        past: UInt32? = nil, future: UInt32? = nil, transition: UInt32? = nil,
        acceptUnknownSigners: Bool? = nil, replayCache: UInt32? = nil
    ) {
        self.past = past ?? Self.standard.past
        self.future = future ?? Self.standard.future
        self.transition = transition ?? Self.standard.transition
        self.acceptUnknownSigners = acceptUnknownSigners ?? Self.standard.acceptUnknownSigners
        self.replayCache = replayCache ?? Self.standard.replayCache
    }

    init(_ settings: E4Generated.Settings) {
        self.init(
            past: settings.past, future: settings.future, transition: settings.transition,
            acceptUnknownSigners: settings.acceptUnknownSigners, replayCache: settings.replayCache)
    }

    var lowered: E4Generated.Settings {
        E4Generated.Settings(
            past: past, future: future, transition: transition,
            acceptUnknownSigners: acceptUnknownSigners, replayCache: replayCache)
    }
}

func lift(_ unprotected: E4Generated.Unprotected) throws -> Unprotected {
    switch unprotected {
    case .message(let plaintext, let timestamp, let signer):
        let by = try signer.map { Signer(id: try ClientId(bytes: $0.id), verified: $0.verified) }
        let sent = Timestamp(seconds: timestamp)
        return .message(Message(plaintext: plaintext, timestamp: sent, signer: by))
    case .commandApplied(let opcode):
        return .commandApplied(try Opcode.of(opcode))
    }
}

func lift(_ outcome: Outcome) -> Result<Unprotected, E4Error> {
    switch outcome {
    case .taken(let unprotected):
        Result { try lift(unprotected) }.mapError { $0 as? E4Error ?? .internal }
    case .refused(let number, let text):
        .failure(error(number: number, text: text))
    }
}
