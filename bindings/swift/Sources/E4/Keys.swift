// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// A secret key. It lives in native memory and is wiped when it is closed or released; printing or
/// dumping it gives its type alone, and it is not `Codable`. There is no `==` over its bytes: see
/// `isSameAs`.
public protocol SecretKey: AnyObject, Sendable, CustomStringConvertible, CustomReflectable {
    /// The secret bytes, for storing them in a safe place. `Data` is not wiped.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` once the key is closed.
    func expose() throws -> Data

    /// Wipes the key. Whatever was made from it stays. Closing twice is nothing.
    func close()
}

extension SecretKey {
    /// The type alone.
    public var description: String { "\(Self.self)" }

    /// Nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A key under which C2 protects commands for one client: ``IdKey`` (SK) or ``SharedKey`` (PK).
/// Nothing else conforms.
public protocol CommandKey: SecretKey {}

extension IdKey: CommandKey {}

extension SharedKey: CommandKey {}

func lower(_ key: any CommandKey) throws -> E4Generated.CommandKey {
    switch key {
    case let key as IdKey: .id(key: key.inner)
    case let key as SharedKey: .shared(key: key.inner)
    default: throw E4Error.invalidParameter(reason: "a key of another type")
    }
}

/// The key that an SK client shares with C2: 32 bytes, never all zero.
public final class IdKey: SecretKey {
    let inner: E4Generated.IdKey

    init(_ inner: E4Generated.IdKey) { self.inner = inner }

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length or all zero.
    public init(bytes: Data) throws {
        inner = try call { try E4Generated.IdKey.fromBytes(bytes: bytes) }
    }

    /// A random key from the operating system.
    public static func random() throws -> IdKey {
        try IdKey(call { try E4Generated.IdKey.random() })
    }

    /// The key of a password of at least 16 bytes of UTF-8, as e4go and libe4 derive it (PROTOCOL
    /// section 5): 64 MiB of memory, some tens of milliseconds, on a thread of its own.
    ///
    /// - Throws: ``E4Error/invalidPassword``, ``E4Error/outOfMemory``.
    public static func fromPassword(_ password: String) async throws -> IdKey {
        try await background { try fromPasswordBlocking(password) }
    }

    /// ``fromPassword(_:)`` on this thread: not for the main thread of an app.
    public static func fromPasswordBlocking(_ password: String) throws -> IdKey {
        try IdKey(call { try E4Generated.IdKey.fromPassword(password: password) })
    }

    public func expose() throws -> Data { try call { try inner.expose() } }

    public func close() { inner.wipe() }

    /// Whether two keys are the same, in constant time.
    public func isSameAs(_ other: IdKey) throws -> Bool {
        try call { try inner.isSameAs(other: other.inner) }
    }
}

/// The key of a topic, which all clients of the topic hold: 32 bytes, never all zero.
public final class TopicKey: SecretKey {
    let inner: E4Generated.TopicKey

    init(_ inner: E4Generated.TopicKey) { self.inner = inner }

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length or all zero.
    public init(bytes: Data) throws {
        inner = try call { try E4Generated.TopicKey.fromBytes(bytes: bytes) }
    }

    /// A random key from the operating system.
    public static func random() throws -> TopicKey {
        try TopicKey(call { try E4Generated.TopicKey.random() })
    }

    /// Protects a message without a client (SK mode): 24 bytes more than the message.
    public func protect(_ message: Data, now: Timestamp = .now) throws -> Data {
        try call { try inner.protect(now: now.seconds, message: message) }
    }

    /// Opens a message without a client (SK mode). `past` and `future` are the seconds that its
    /// timestamp may be away from `now`.
    ///
    /// - Throws: ``E4Error/messageTooShort``, ``E4Error/timestampInFuture``,
    ///   ``E4Error/timestampTooOld``, ``E4Error/invalidTag``.
    public func unprotect(
        _ protected: Data, now: Timestamp = .now, past: UInt32 = 600, future: UInt32 = 600
    ) throws -> Data {
        try call {
            try inner.unprotect(
                now: now.seconds, protected: protected, past: past, future: future)
        }
    }

    public func expose() throws -> Data { try call { try inner.expose() } }

    public func close() { inner.wipe() }

    /// Whether two keys are the same, in constant time.
    public func isSameAs(_ other: TopicKey) throws -> Bool {
        try call { try inner.isSameAs(other: other.inner) }
    }
}

/// The key that a PK client and C2 agree on (PROTOCOL section 6). Making it costs a scalar
/// multiplication; keep it where commands are protected often.
public final class SharedKey: SecretKey {
    let inner: E4Generated.SharedKey

    init(_ inner: E4Generated.SharedKey) { self.inner = inner }

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length or all zero.
    public init(bytes: Data) throws {
        inner = try call { try E4Generated.SharedKey.fromBytes(bytes: bytes) }
    }

    /// The client's side.
    ///
    /// - Throws: ``E4Error/invalidKey`` if the agreement gives zero.
    public static func forClient(_ client: SigningKey, c2: C2PublicKey) throws -> SharedKey {
        try SharedKey(
            call { try E4Generated.SharedKey.forClient(client: client.inner, c2: c2.bytes) })
    }

    /// C2's side.
    ///
    /// - Throws: ``E4Error/invalidKey`` if the agreement gives zero.
    public static func forC2(_ c2: C2SecretKey, client: PublicKey) throws -> SharedKey {
        try SharedKey(
            call { try E4Generated.SharedKey.forC2(c2: c2.inner, client: client.bytes) })
    }

    public func expose() throws -> Data { try call { try inner.expose() } }

    public func close() { inner.wipe() }

    /// Whether two keys are the same, in constant time.
    public func isSameAs(_ other: SharedKey) throws -> Bool {
        try call { try inner.isSameAs(other: other.inner) }
    }
}

/// C2's X25519 private key: 32 bytes.
public final class C2SecretKey: SecretKey {
    let inner: E4Generated.C2SecretKey

    init(_ inner: E4Generated.C2SecretKey) { self.inner = inner }

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length or all zero.
    public init(bytes: Data) throws {
        inner = try call { try E4Generated.C2SecretKey.fromBytes(bytes: bytes) }
    }

    /// A random key from the operating system.
    public static func random() throws -> C2SecretKey {
        try C2SecretKey(call { try E4Generated.C2SecretKey.random() })
    }

    /// The public half.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` once the key is closed.
    public var publicKey: C2PublicKey {
        get throws { try C2PublicKey(bytes: call { try inner.publicBytes() }) }
    }

    public func expose() throws -> Data { try call { try inner.expose() } }

    public func close() { inner.wipe() }

    /// Whether two keys are the same, in constant time.
    public func isSameAs(_ other: C2SecretKey) throws -> Bool {
        try call { try inner.isSameAs(other: other.inner) }
    }
}

/// The Ed25519 key pair of a PK client: 64 bytes, seed (32) and then public key (32).
public final class SigningKey: SecretKey {
    let inner: E4Generated.SigningKey

    init(_ inner: E4Generated.SigningKey) { self.inner = inner }

    /// From its 64 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length, an all-zero seed, or halves
    ///   that do not match.
    public init(bytes: Data) throws {
        inner = try call { try E4Generated.SigningKey.fromBytes(bytes: bytes) }
    }

    /// From the 32-byte seed.
    ///
    /// - Throws: ``E4Error/invalidKey`` for another length or all zero.
    public init(seed: Data) throws {
        inner = try call { try E4Generated.SigningKey.fromSeed(seed: seed) }
    }

    /// A random key pair from the operating system.
    public static func random() throws -> SigningKey {
        try SigningKey(call { try E4Generated.SigningKey.random() })
    }

    /// The key pair of a password of at least 16 bytes of UTF-8, as e4go derives it, on a thread of
    /// its own.
    ///
    /// - Throws: ``E4Error/invalidPassword``, ``E4Error/outOfMemory``.
    public static func fromPassword(_ password: String) async throws -> SigningKey {
        try await background { try fromPasswordBlocking(password) }
    }

    /// ``fromPassword(_:)`` on this thread: not for the main thread of an app.
    public static func fromPasswordBlocking(_ password: String) throws -> SigningKey {
        try SigningKey(call { try E4Generated.SigningKey.fromPassword(password: password) })
    }

    /// The public half.
    ///
    /// - Throws: ``E4Error/invalidParameter(reason:)`` once the key is closed.
    public var publicKey: PublicKey {
        get throws { try PublicKey(bytes: call { try inner.publicBytes() }) }
    }

    /// The X25519 private key of this pair, 32 secret bytes (PROTOCOL section 6).
    public func toX25519() throws -> Data { try call { try inner.toX25519() } }

    public func expose() throws -> Data { try call { try inner.expose() } }

    public func close() { inner.wipe() }

    /// Whether two keys are the same, in constant time.
    public func isSameAs(_ other: SigningKey) throws -> Bool {
        try call { try inner.isSameAs(other: other.inner) }
    }
}

/// The Ed25519 public key of a client: 32 bytes, canonical, on the curve, not of small order.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
    /// The 32 bytes.
    public let bytes: Data

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` if they are no such key.
    public init(bytes: Data) throws {
        try call { try checkPublicKey(bytes: bytes) }
        self.bytes = Data(bytes)
    }

    /// The X25519 public key of this key, 32 bytes (PROTOCOL section 6).
    public func toX25519() throws -> Data { try call { try publicKeyToX25519(bytes: bytes) } }

    /// 64 lower-case hexadecimal digits.
    public var hex: String { hexadecimal(bytes) }

    /// The type and the digits.
    public var description: String { "PublicKey(\(hex))" }
}

/// C2's X25519 public key: 32 bytes, not of small order.
public struct C2PublicKey: Hashable, Sendable, CustomStringConvertible {
    /// The 32 bytes.
    public let bytes: Data

    /// From its 32 bytes.
    ///
    /// - Throws: ``E4Error/invalidKey`` if they are no such key.
    public init(bytes: Data) throws {
        try call { try checkC2PublicKey(bytes: bytes) }
        self.bytes = Data(bytes)
    }

    /// 64 lower-case hexadecimal digits.
    public var hex: String { hexadecimal(bytes) }

    /// The type and the digits.
    public var description: String { "C2PublicKey(\(hex))" }
}
