// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// A device, or any party that talks on protected topics (PROTOCOL section 7).
///
/// ```swift
/// let storage = try FileStorage(path: "pump-1.e4state")
/// let pump = try Client.provision("pump-1", key: IdKey(bytes: secret), storage: storage)
/// mqtt.publish("plant/pressure", try pump.protect("plant/pressure", Data("4.2 bar".utf8)))
/// ```
///
/// `now` is the time; left out it is the system clock, and nil is a device without a clock, which
/// takes its time from the last command. Any number of threads may use one client. After
/// ``close()`` everything but ``close()`` throws ``E4Error/invalidParameter(reason:)``.
public final class Client: Sendable, CustomStringConvertible, CustomReflectable {
    private let inner: E4Generated.Client
    private let placed: Placed

    private init(
        _ storage: any Storage, _ settings: Settings,
        _ make: (Place, E4Generated.Settings) throws -> E4Generated.Client
    ) throws {
        let placed = Placed(storage)
        inner = try placed.run { try make(placed.place, settings.lowered) }
        self.placed = placed
    }

    private func run<T>(_ work: (E4Generated.Client) throws -> T) throws -> T {
        try placed.run { try work(inner) }
    }

    // MARK: Making a client

    /// Stores a new SK client.
    ///
    /// - Throws: ``E4Error/alreadyProvisioned`` if the storage holds a client, which is not touched;
    ///   ``E4Error/storage(cause:)``.
    public static func provision(
        _ id: ClientId, key: IdKey, storage: any Storage = MemoryStorage(),
        settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .provision(id: id.bytes, key: key.inner, place: place, settings: settings)
        }
    }

    /// Stores a new SK client by its name.
    public static func provision(
        _ name: String, key: IdKey, storage: any Storage = MemoryStorage(),
        settings: Settings = Settings()
    ) throws -> Client {
        try provision(ClientId.fromName(name), key: key, storage: storage, settings: settings)
    }

    /// Stores a new PK client.
    ///
    /// - Throws: ``E4Error/alreadyProvisioned`` if the storage holds a client, which is not touched;
    ///   ``E4Error/invalidKey``; ``E4Error/storage(cause:)``.
    public static func provision(
        _ id: ClientId, key: SigningKey, c2Key: C2PublicKey, storage: any Storage = MemoryStorage(),
        settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .provisionSigning(
                id: id.bytes, key: key.inner, c2: c2Key.bytes, place: place, settings: settings)
        }
    }

    /// Stores a new PK client by its name.
    public static func provision(
        _ name: String, key: SigningKey, c2Key: C2PublicKey, storage: any Storage = MemoryStorage(),
        settings: Settings = Settings()
    ) throws -> Client {
        try provision(
            ClientId.fromName(name), key: key, c2Key: c2Key, storage: storage, settings: settings)
    }

    /// Stores a new client whose key is made from a password of at least 16 bytes, as e4go and libe4
    /// do, on a thread of its own. With `c2Key` it is a PK client.
    ///
    /// - Throws: ``E4Error/invalidPassword``, ``E4Error/outOfMemory``, and what
    ///   `provision` throws.
    public static func provisionFromPassword(
        _ name: String, password: String, c2Key: C2PublicKey? = nil,
        storage: any Storage = MemoryStorage(), settings: Settings = Settings()
    ) async throws -> Client {
        try await background {
            try provisionFromPasswordBlocking(
                name, password: password, c2Key: c2Key, storage: storage, settings: settings)
        }
    }

    /// ``provisionFromPassword(_:password:c2Key:storage:settings:)`` on this thread: not for the main
    /// thread of an app.
    public static func provisionFromPasswordBlocking(
        _ name: String, password: String, c2Key: C2PublicKey? = nil,
        storage: any Storage = MemoryStorage(), settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .provisionFromPassword(
                name: name, password: password, c2: c2Key?.bytes, place: place, settings: settings)
        }
    }

    /// Opens a stored client.
    ///
    /// - Throws: ``E4Error/notProvisioned``, ``E4Error/stateCorrupt``,
    ///   ``E4Error/stateIncompatible``, ``E4Error/storage(cause:)``.
    public static func open(
        _ storage: any Storage, settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .open(place: place, settings: settings)
        }
    }

    /// Stores the client of an e4go JSON file. Stop the old client.
    ///
    /// - Throws: ``E4Error/stateIncompatible`` if it is not such a file, ``E4Error/invalidKey``,
    ///   ``E4Error/alreadyProvisioned``, ``E4Error/storage(cause:)``.
    public static func importE4go(
        _ json: Data, storage: any Storage = MemoryStorage(), settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .importE4go(json: json, place: place, settings: settings)
        }
    }

    /// Stores the client of a libe4 file (`E41P` or `E42P`). Stop the old client.
    ///
    /// - Throws: What ``importE4go(_:storage:settings:)`` throws.
    public static func importLibe4(
        _ file: Data, storage: any Storage = MemoryStorage(), settings: Settings = Settings()
    ) throws -> Client {
        try Client(storage, settings) { place, settings in
            try .importLibe4(file: file, place: place, settings: settings)
        }
    }

    // MARK: Messages and commands

    /// Protects a message for a topic: 24 (SK) or 104 (PK) bytes more. A peer that runs e4go refuses
    /// an empty SK message.
    ///
    /// - Throws: ``E4Error/topicKeyMissing``; ``E4Error/invalidTopic``, also for the client's own
    ///   control topic; ``E4Error/clockUnknown``; ``E4Error/storage(cause:)``.
    public func protect(_ topic: String, _ message: Data, now: Timestamp? = .now) throws -> Data {
        try run { try $0.protect(now: now?.seconds, topic: topic, message: message) }
    }

    /// Takes in what arrived on a topic: ``Unprotected/message(_:)``, or, on the control topic,
    /// ``Unprotected/commandApplied(_:)`` for a command that was applied and stored.
    ///
    /// - Throws: ``E4Error/topicKeyMissing``, ``E4Error/messageTooShort``,
    ///   ``E4Error/timestampInFuture``, ``E4Error/timestampTooOld``, ``E4Error/signerUnknown``,
    ///   ``E4Error/signatureInvalid``, ``E4Error/invalidTag``, ``E4Error/invalidTopic``;
    ///   ``E4Error/replayed``, a normal event where the broker retains commands; for a command also
    ///   ``E4Error/invalidCommand``, ``E4Error/invalidKey`` and ``E4Error/storage(cause:)``, after
    ///   which nothing has changed.
    public func unprotect(
        _ topic: String, _ protected: Data, now: Timestamp? = .now
    ) throws -> Unprotected {
        try lift(run { try $0.unprotect(now: now?.seconds, topic: topic, protected: protected) })
    }

    /// Protects many messages; throws the first error.
    public func protectMany(_ items: [Item], now: Timestamp? = .now) throws -> [Data] {
        try run { try $0.protectMany(now: now?.seconds, items: items.map(\.lowered)) }
    }

    /// Takes in many; each has a result of its own, so that none is lost.
    public func unprotectMany(
        _ items: [Item], now: Timestamp? = .now
    ) throws -> [Result<Unprotected, E4Error>] {
        try run { try $0.unprotectMany(now: now?.seconds, items: items.map(\.lowered)) }.map(lift)
    }

    /// The answer to the last command that authenticated, 58 bytes to be published on
    /// ``answerTopic`` with QoS 1, not retained; nil if there is none that was not answered.
    ///
    /// - Throws: ``E4Error/clockUnknown``, ``E4Error/storage(cause:)``.
    public func answer(now: Timestamp? = .now) throws -> Data? {
        try run { try $0.answer(now: now?.seconds) }
    }

    /// A hello, by which a client asks C2 to be brought up to date; published like an answer.
    ///
    /// - Throws: ``E4Error/clockUnknown``, ``E4Error/storage(cause:)``.
    public func hello(now: Timestamp? = .now) throws -> Data {
        try run { try $0.hello(now: now?.seconds) }
    }

    // MARK: What a client is

    /// The id.
    public var id: ClientId { get throws { try ClientId(bytes: run { try $0.id() }) } }

    /// SK or PK.
    public var mode: Mode {
        get throws {
            let number = try run { try $0.mode() }
            guard let mode = Mode(rawValue: number) else { throw E4Error.internal }
            return mode
        }
    }

    /// The public key of a PK client, by which others check its messages; nil in SK mode.
    public var publicKey: PublicKey? {
        get throws { try run { try $0.publicKey() }.map { try PublicKey(bytes: $0) } }
    }

    /// The topic to subscribe to for commands, 35 characters.
    public var controlTopic: String { get throws { try run { try $0.controlTopic() } } }

    /// The topic on which answers are published, 39 characters.
    public var answerTopic: String { get throws { try run { try $0.answerTopic() } } }

    /// How many topic keys the client holds.
    public var topicCount: Int { get throws { Int(try run { try $0.topicCount() }) } }

    /// How many public keys of others the client holds.
    public var peerCount: Int { get throws { Int(try run { try $0.peerCount() }) } }

    /// Whether the client holds a key for a topic.
    ///
    /// - Throws: ``E4Error/invalidTopic``, ``E4Error/storage(cause:)``.
    public func hasTopic(_ topic: String) throws -> Bool {
        try run { try $0.hasTopic(topic: topic) }
    }

    /// The digest of the keys that the client holds, 16 bytes (PROTOCOL section 11).
    public func digest() throws -> Data { try run { try $0.digest() } }

    /// What the client tolerates.
    public var settings: Settings { get throws { Settings(try run { try $0.settings() }) } }

    /// Changes what the client tolerates. ``Settings/replayCache`` stays what it was at the start.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` for another ``Settings/replayCache``.
    public func change(_ settings: Settings) throws {
        try run { try $0.changeSettings(settings: settings.lowered) }
    }

    // MARK: The end of a client

    /// Erases the client from its storage and closes both.
    ///
    /// - Throws: ``E4Error/storage(cause:)``; then the storage holds the whole client, which stays
    ///   usable, or none.
    public func forget() throws {
        try run { try $0.forget() }
        placed.storage.close()
    }

    /// Wipes the keys in memory and closes the storage. Closing twice is nothing.
    public func close() {
        // Refused only to the client's own storage, while it serves.
        guard (try? run({ try $0.shut() })) != nil else { return }
        placed.storage.close()
    }

    /// Id and mode, or that it is closed.
    public var description: String {
        guard let id = try? id, let mode = try? mode else { return "Client(closed)" }
        return "Client(\(id), \(mode))"
    }

    /// Nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
