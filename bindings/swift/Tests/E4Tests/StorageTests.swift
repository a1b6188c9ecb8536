// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
import XCTest

@testable import E4

final class StorageTests: XCTestCase {
    func testAStorageOfTheApp() throws {
        try bothModes { mode in
            let storage = RecordsOfApp()
            let client = try withTopic(mode, storage).client
            let calls = storage.calls
            _ = try client.unprotect(
                topic, client.protect(topic, Data(count: 1), now: now), now: now)
            XCTAssertEqual(storage.calls, calls, "a message costs no call")
            let again = try Client.open(storage)
            XCTAssertEqual(try again.digest(), try client.digest())
            try again.forget()
            XCTAssertTrue(storage.held.isEmpty)
            XCTAssertEqual(storage.closed, 1)
            XCTAssertEqual(thrown { try Client.open(storage) }, .notProvisioned)
        }
    }

    func testAFile() throws {
        try bothModes { mode in
            let path = temporary("pump.e4state")
            let client = try withTopic(mode, FileStorage(path: path)).client
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            XCTAssertEqual(attributes[.posixPermissions] as? Int, 0o600)
            let before = try client.digest()
            XCTAssertEqual(thrown { try FileStorage(path: path) }, .storage())
            client.close()
            let again = try Client.open(FileStorage(path: path))
            XCTAssertEqual(try again.digest(), before)
            again.close()
            let storage = try FileStorage(path: path)
            XCTAssertEqual(thrown { try make(mode, storage) }, .alreadyProvisioned)
            storage.close()
            try Data("something else".utf8).write(to: URL(fileURLWithPath: path))
            XCTAssertEqual(thrown { try FileStorage(path: path) }, .stateIncompatible)
        }
    }

    func testAFileIsFreeWhenItsClientIsGone() throws {
        let path = temporary("pump.e4state")
        do { _ = try withTopic(.symmetric, FileStorage(path: path)) }
        XCTAssertEqual(try Client.open(FileStorage(path: path)).topicCount, 1)
    }

    /// As a storage does that encrypts what it is given (docs/apps.md).
    final class Flipping: Storage {
        let inner = MemoryStorage()

        func flip(_ bytes: Data) -> Data { Data(bytes.map { $0 ^ 0x55 }) }

        func read(_ record: Int) throws -> Data? { try inner.read(record).map(flip) }

        func write(_ record: Int, _ bytes: Data) throws { try inner.write(record, flip(bytes)) }

        func erase(_ record: Int) throws { try inner.erase(record) }
    }

    func testAReadyStorageAsPartOfAnother() throws {
        let storage = Flipping()
        let digest = try withTopic(.publicKey, storage).client.digest()
        XCTAssertEqual(try Client.open(storage).digest(), digest)
        XCTAssertNil(try storage.inner.read(99))
        XCTAssertNotNil(thrown { try Client.open(storage.inner) })
    }

    private func commands(_ mode: Mode) throws -> [Command] {
        let both = try [
            Command.setTopicKey(topic, .random()), .setTopicKey("other", .random()),
            .setTopicKey(topic, .random()), .removeTopic("other"), .removeTopic("unknown"),
            .resetTopics(),
        ]
        if mode == .symmetric { return both + [try .setIdKey(.random())] }
        let peer = try ClientId.fromName("a")
        return try both + [
            .setPubKey(peer, SigningKey.random().publicKey), .removePubKey(peer), .resetPubKeys(),
            .setSigningKey(.random()),
        ]
    }

    /// Each command, failing at each of its calls: the old state, in RAM and in the storage, and the
    /// same bytes again are applied when the storage works.
    func testAStorageThatThrowsAtAnyCall() throws {
        try bothModes { mode in
            var failures = 0
            let count = try commands(mode).count
            for at in 0..<count {
                for call in 1... {
                    let storage = RecordsOfApp()
                    let pair = try make(mode, storage)
                    let script = try commands(mode)
                    for n in 0..<at { try pair.command(script[n], now + n) }
                    let before = try pair.client.digest()
                    let key = try pair.client.publicKey
                    let protected = try script[at].protect(for: pair.key, now: now + at)
                    let control = try pair.client.controlTopic
                    storage.failFrom = storage.calls + call
                    storage.error = DiskOnFire(call: call)
                    let error = thrown {
                        try pair.client.unprotect(control, protected, now: now + at)
                    }
                    storage.failFrom = .max
                    guard let error else { break }
                    failures += 1
                    guard case .storage(let cause) = error else { return XCTFail("\(error)") }
                    XCTAssertEqual(cause as? DiskOnFire, DiskOnFire(call: call))
                    XCTAssertEqual(try pair.client.digest(), before)
                    XCTAssertEqual(try pair.client.publicKey, key)
                    XCTAssertEqual(try Client.open(storage).digest(), before)
                    let applied = try pair.client.unprotect(control, protected, now: now + at)
                    XCTAssertNil(plaintext(applied))
                }
            }
            XCTAssertGreaterThanOrEqual(failures, count)
        }
    }

    func testOpeningAndForgettingThatFail() throws {
        try bothModes { mode in
            for action in ["provision", "open", "forget"] {
                var failures = 0
                for call in 1... {
                    let storage = RecordsOfApp()
                    let pair = action == "provision" ? nil : try withTopic(mode, storage)
                    storage.failFrom = storage.calls + call
                    let error = thrown {
                        switch action {
                        case "provision": _ = try make(mode, storage)
                        case "open": _ = try Client.open(storage)
                        default: try pair?.client.forget()
                        }
                    }
                    storage.failFrom = .max
                    guard let error else { break }
                    failures += 1
                    guard case .storage(let cause) = error else { return XCTFail("\(error)") }
                    XCTAssertTrue(cause is DiskOnFire)
                    if let error = thrown({ try Client.open(storage).mode }) {
                        XCTAssertEqual(error, .notProvisioned)
                        XCTAssertNotEqual(action, "open")
                        _ = try make(mode, storage)
                    }
                }
                XCTAssertGreaterThanOrEqual(failures, 2, action)
            }
        }
    }

    func testWrongStorages() throws {
        let storage = RecordsOfApp()
        let pair = try make(.symmetric, storage)
        storage.error = E4Error.storageFull
        storage.failFrom = 0
        XCTAssertEqual(thrown { try pair.command(.resetTopics()) }, .storageFull)
        storage.failFrom = .max
        try pair.command(.resetTopics())
        storage.held[0] = Data(count: 5000)
        XCTAssertEqual(thrown { try Client.open(storage) }, .stateIncompatible)
        storage.held[0] = Data(count: 30)
        XCTAssertNotNil(thrown { try Client.open(storage) })
    }

    func testAStorageThatUsesItsOwnClient() throws {
        let storage = RecordsOfApp()
        let pair = try make(.symmetric, storage)
        storage.onWrite = { _ = try pair.client.digest() }
        guard case .storage(let cause) = thrown({ try pair.command(.resetTopics()) }) else {
            return XCTFail("accepted")
        }
        XCTAssertEqual(cause as? E4Error, .invalidParameter())
        storage.onWrite = nil
        try pair.command(.resetTopics())
    }

    private final class Stamps: @unchecked Sendable {
        private let lock = NSLock()
        private var count = 0

        func next() -> Int {
            lock.withLock {
                count += 1; return count
            }
        }
    }

    private static func workOn(_ pair: Pair, _ stamps: Stamps, _ number: Int, _ rounds: Int) throws
    {
        let topic = "topic/\(number)"
        for n in 0..<rounds {
            let now = now + stamps.next() / 50
            let message = Data(repeating: UInt8(number), count: n % 10 == 0 ? 20_000 : n)
            if let error = thrown({ try pair.command(.setTopicKey(topic, .random()), now) }) {
                if error != .replayed { throw error }
                continue  // Another thread was a second ahead.
            }
            let sent = try pair.client.protect(topic, message, now: now)
            XCTAssertEqual(plaintext(try pair.client.unprotect(topic, sent, now: now)), message)
            let three = [Item](repeating: Item(topic, message), count: 3)
            let batch = try pair.client.protectMany(three, now: now)
            for opened in try pair.client.unprotectMany(batch.map { Item(topic, $0) }, now: now) {
                XCTAssertEqual(plaintext(try opened.get()), message)
            }
        }
    }

    private func runThreads(_ count: Int = 8, _ work: @escaping @Sendable (Int) throws -> Void) {
        let group = DispatchGroup()
        for number in 0..<count {
            group.enter()
            Thread.detachNewThread {
                defer { group.leave() }
                do {
                    try work(number)
                } catch {
                    XCTFail("\(error)")
                }
            }
        }
        XCTAssertEqual(group.wait(timeout: .now() + 60), .success, "deadlock")
    }

    func testEightThreadsOnOneClient() throws {
        try bothModes { mode in
            for storage in [RecordsOfApp(), MemoryStorage()] as [any Storage] {
                let pair = try make(mode, storage)
                try hearsItself(pair)
                let stamps = Stamps()
                runThreads { try Self.workOn(pair, stamps, $0, 60) }
                XCTAssertEqual(try pair.client.topicCount, 8)
                XCTAssertEqual(try Client.open(storage).digest(), try pair.client.digest())
            }
        }
    }

    func testEightThreadsOnManyClients() throws {
        try bothModes { mode in
            let pairs = try (0..<8).map { n in
                let kinds: [any Storage] = [
                    MemoryStorage(), RecordsOfApp(), try FileStorage(path: temporary("\(n)")),
                ]
                let pair = try make(mode, kinds[n % 3], name: "client-\(n)")
                try hearsItself(pair)
                return pair
            }
            let stamps = Stamps()
            runThreads { try Self.workOn(pairs[$0], stamps, $0, 30) }
            for pair in pairs { XCTAssertEqual(try pair.client.topicCount, 1) }
        }
    }

    private func residentKiB() -> Int? {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("VmRSS") }
        return line.flatMap { Int($0.filter(\.isNumber)) }
    }

    func testAMillionObjectsAreReleased() throws {
        let bytes = Data(repeating: 7, count: 32)
        func make(_ count: Int) throws {
            for _ in 0..<count / 4 {
                try autorelease {
                    _ = try TopicKey(bytes: bytes)
                    _ = try IdKey(bytes: bytes)
                    _ = try Command.resetTopics()
                    _ = MemoryStorage()
                }
            }
        }
        try make(50_000)
        let before = residentKiB()
        try make(1_000_000)
        if let before, let after = residentKiB() {
            print("a million objects: from \(before) to \(after) KiB")
            XCTAssertLessThan(after - before, 10_000, "grew from \(before) to \(after) KiB")
        }
    }

    func testClientsAndTheirStoragesAreReleased() throws {
        weak var last: RecordsOfApp?
        for _ in 0..<2_000 {
            let storage = RecordsOfApp()
            last = storage
            let client = try withTopic(.symmetric, storage).client
            _ = try client.unprotect(
                topic, client.protect(topic, Data(count: 9), now: now), now: now)
        }
        XCTAssertNil(last)
    }

    private func autorelease(_ work: () throws -> Void) rethrows {
        #if canImport(Darwin)
            try autoreleasepool { try work() }
        #else
            try work()
        #endif
    }
}
