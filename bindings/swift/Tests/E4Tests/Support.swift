// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
import XCTest

@testable import E4

let topic = "plant/pressure"
let now = Timestamp(seconds: 1_700_000_000)

func + (time: Timestamp, more: Int) -> Timestamp {
    Timestamp(seconds: time.seconds + UInt64(more))
}

/// A client and the key under which it takes commands.
struct Pair {
    let client: Client
    let key: any CommandKey

    @discardableResult
    func command(_ command: Command, _ time: Timestamp = now) throws -> Unprotected {
        let protected = try command.protect(for: key, now: time)
        return try client.unprotect(client.controlTopic, protected, now: time)
    }
}

func make(
    _ mode: Mode, _ storage: any Storage = MemoryStorage(), name: String = "pump-1",
    settings: Settings = Settings()
) throws -> Pair {
    if mode == .symmetric {
        let key = try IdKey.random()
        let client = try Client.provision(name, key: key, storage: storage, settings: settings)
        return Pair(client: client, key: key)
    }
    let (c2, signing) = (try C2SecretKey.random(), try SigningKey.random())
    let client = try Client.provision(
        name, key: signing, c2Key: c2.publicKey, storage: storage, settings: settings)
    return Pair(client: client, key: try SharedKey.forC2(c2, client: signing.publicKey))
}

func hearsItself(_ pair: Pair) throws {
    if let key = try pair.client.publicKey {
        try pair.command(.setPubKey(pair.client.id, key))
    }
}

/// A client that holds the key of `topic`, and (PK) its own public key, to hear itself.
func withTopic(
    _ mode: Mode, _ storage: any Storage = MemoryStorage(), settings: Settings = Settings()
) throws -> Pair {
    let pair = try make(mode, storage, settings: settings)
    try pair.command(.setTopicKey(topic, TopicKey.random()))
    try hearsItself(pair)
    return pair
}

func bothModes(_ work: (Mode) throws -> Void) rethrows { try Mode.allCases.forEach(work) }

/// The error with which a call fails.
func thrown<T>(_ work: () throws -> T) -> E4Error? {
    do {
        _ = try work()
        return nil
    } catch {
        return error as? E4Error
    }
}

func plaintext(_ got: Unprotected) -> Data? {
    if case .message(let message) = got { message.plaintext } else { nil }
}

func randomBytes(_ count: Int) -> Data { Data((0..<count).map { _ in UInt8.random(in: 0...255) }) }

struct DiskOnFire: Error, Equatable { let call: Int }

/// A storage of the app's own that throws at a given call.
final class RecordsOfApp: Storage, @unchecked Sendable {
    var held: [Int: Data] = [:]
    var calls = 0
    var failFrom = Int.max
    var error: any Error = DiskOnFire(call: 0)
    var closed = 0
    var onWrite: (() throws -> Void)?

    private func count() throws {
        calls += 1
        sched_yield()
        if calls >= failFrom { throw error }
    }

    func read(_ record: Int) throws -> Data? {
        try count()
        return held[record]
    }

    func write(_ record: Int, _ bytes: Data) throws {
        try count()
        try onWrite?()
        held[record] = bytes
    }

    func erase(_ record: Int) throws {
        try count()
        held[record] = nil
    }

    func close() { closed += 1 }
}

func temporary(_ name: String) -> String {
    NSTemporaryDirectory() + "e4-\(UUID().uuidString)-\(name)"
}
