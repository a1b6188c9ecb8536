// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
import XCTest

@testable import E4

final class ClientTests: XCTestCase {
    func testRoundTrip() throws {
        try bothModes { mode in
            let client = try withTopic(mode).client
            let protected = try client.protect(topic, Data("4.2 bar".utf8), now: now)
            XCTAssertEqual(protected.count, 7 + (mode == .symmetric ? 24 : 104))
            let signer = mode == .publicKey ? Signer(id: try client.id, verified: true) : nil
            let expected = Message(plaintext: Data("4.2 bar".utf8), timestamp: now, signer: signer)
            XCTAssertEqual(
                try client.unprotect(topic, protected, now: now + 5), .message(expected))
            XCTAssertEqual(try client.mode, mode)
            XCTAssertEqual(try client.topicCount, 1)
            XCTAssertEqual(try client.peerCount, mode == .publicKey ? 1 : 0)
            XCTAssertEqual(try client.controlTopic, "e4/" + (try client.id.hex))
            XCTAssertEqual(try client.answerTopic, try client.controlTopic + "/ack")
            XCTAssertEqual(try client.controlTopic, try client.id.controlTopic)
            XCTAssertEqual(try client.answerTopic, try client.id.answerTopic)
            // A slice of a larger buffer, whose indices do not start at 0.
            let slice = (Data([1, 2, 3]) + protected).dropFirst(3)
            XCTAssertEqual(try client.unprotect(topic, slice, now: now), .message(expected))
        }
    }

    func testTheSystemClockIsTheDefault() throws {
        try bothModes { mode in
            let pair = try make(mode)
            let (client, key) = (pair.client, pair.key)
            let give = try Command.setTopicKey(topic, .random()).protect(for: key)
            _ = try client.unprotect(client.controlTopic, give)
            if let own = try client.publicKey {
                let command = try Command.setPubKey(client.id, own).protect(for: key)
                _ = try client.unprotect(client.controlTopic, command)
            }
            let got = try client.unprotect(topic, client.protect(topic, Data(count: 3)))
            XCTAssertEqual(plaintext(got), Data(count: 3))
        }
    }

    func testACommandIsNotAnEmptyMessage() throws {
        try bothModes { mode in
            let pair = try withTopic(mode)
            let empty = try pair.client.protect(topic, Data(), now: now)
            XCTAssertEqual(plaintext(try pair.client.unprotect(topic, empty, now: now)), Data())
            XCTAssertEqual(
                try pair.command(.resetTopics(), now + 1), .commandApplied(.resetTopics))
            XCTAssertFalse(try pair.client.hasTopic(topic))
        }
    }

    func testAnyFlippedBitAndAnyNoiseIsRefused() throws {
        try bothModes { mode in
            let client = try withTopic(mode).client
            let before = try client.digest()
            for count in 0..<200 {
                let message = randomBytes(count)
                var protected = try client.protect(topic, message, now: now)
                XCTAssertEqual(
                    plaintext(try client.unprotect(topic, protected, now: now)), message)
                let bit = Int.random(in: 0..<protected.count * 8)
                protected[bit / 8] ^= 1 << UInt8(bit % 8)
                XCTAssertNotNil(thrown { try client.unprotect(topic, protected, now: now) })
                XCTAssertNotNil(
                    thrown { try client.unprotect(client.controlTopic, message, now: now) })
            }
            XCTAssertEqual(try client.digest(), before)
        }
    }

    func testEveryCommandAndItsOpcode() throws {
        let (signing, client) = (try SigningKey.random(), try ClientId.random())
        let commands: [(Command, Opcode, Int)] = [
            (try .removeTopic(topic), .removeTopic, 17),
            (try .resetTopics(), .resetTopics, 1),
            (try .setIdKey(.random()), .setIdKey, 33),
            (try .setSigningKey(signing), .setIdKey, 65),
            (try .setTopicKey(topic, .random()), .setTopicKey, 49),
            (try .removePubKey(client), .removePubKey, 17),
            (try .resetPubKeys(), .resetPubKeys, 1),
            (try .setPubKey(client, signing.publicKey), .setPubKey, 49),
            (try .setC2Key(C2SecretKey.random().publicKey), .setC2Key, 33),
        ]
        for (command, opcode, length) in commands {
            XCTAssertEqual(try command.opcode, opcode)
            XCTAssertEqual(try command.encode().count, length)
            XCTAssertEqual(try Command.decode(command.encode()).encode(), try command.encode())
            XCTAssertEqual("\(command)", "Command(\(opcode))")
        }
        XCTAssertEqual(thrown { try Command.decode(Data([9])) }, .invalidCommand)
    }

    func testAnswersAndHello() throws {
        try bothModes { mode in
            let pair = try make(mode)
            XCTAssertEqual(thrown { try pair.client.hello(now: nil) }, .clockUnknown)
            let command = try Command.setTopicKey(topic, .random()).protect(for: pair.key, now: now)
            XCTAssertNil(try pair.client.answer(now: now))
            let control = try pair.client.controlTopic
            _ = try pair.client.unprotect(control, command, now: now)
            let answer = try Answer.open(
                XCTUnwrap(try pair.client.answer(now: now)), key: pair.key)
            XCTAssertEqual(answer.command, try E4Library.siv(of: command))
            XCTAssertEqual(answer.digest, try pair.client.digest())
            XCTAssertEqual(answer.status, 0)
            XCTAssertNil(answer.error)
            XCTAssertEqual(answer.timestamp, now)
            XCTAssertNil(try pair.client.answer(now: now))
            XCTAssertEqual(
                thrown { try pair.client.unprotect(control, command, now: now) }, .replayed)
            // A device without a clock has the time of the last command.
            let hello = try Answer.open(pair.client.hello(now: nil), key: pair.key)
            XCTAssertEqual(hello.timestamp, now)
            XCTAssertNil(hello.command)
            // A command of the other mode is refused, and the answer says so.
            let other =
                try mode == .symmetric ? Command.resetPubKeys() : Command.setIdKey(.random())
            XCTAssertEqual(thrown { try pair.command(other, now + 1) }, .invalidCommand)
            let refusal = try Answer.open(
                XCTUnwrap(try pair.client.answer(now: now + 1)), key: pair.key)
            XCTAssertEqual(refusal.error, .invalidCommand)
            XCTAssertEqual(thrown { try Answer.open(command, key: pair.key) }, .invalidTag)
        }
    }

    func testBatches() throws {
        try bothModes { mode in
            let client = try withTopic(mode).client
            let plain = (0..<50).map { Item(topic, Data(count: $0)) }
            let protected = try client.protectMany(plain, now: now)
            let items = protected.map { Item(topic, $0) }
            let wrong = [Item("unknown", protected[0]), Item(topic, Data(count: 3))]
            let opened = try client.unprotectMany(items + wrong, now: now)
            XCTAssertEqual(opened.count, 52)
            for n in 0..<50 { XCTAssertEqual(plaintext(try opened[n].get()), Data(count: n)) }
            XCTAssertEqual(thrown { try opened[50].get() }, .topicKeyMissing)
            XCTAssertEqual(thrown { try opened[51].get() }, .messageTooShort)
            let bad = plain + [Item("unknown", Data())]
            XCTAssertEqual(thrown { try client.protectMany(bad, now: now) }, .topicKeyMissing)

            let pairs = try (0..<20).map { _ in try make(mode) }
            let commands = try Command.protectMany(
                pairs.map { (try .resetTopics(), $0.key) }, now: now)
            for (pair, command) in zip(pairs, commands) {
                _ = try pair.client.unprotect(pair.client.controlTopic, command, now: now)
            }
        }
    }

    func testSettings() throws {
        let standard = Settings()
        XCTAssertEqual([standard.past, standard.future, standard.transition], [600, 600, 3600])
        XCTAssertFalse(standard.acceptUnknownSigners)
        try bothModes { mode in
            let client = try withTopic(mode, settings: Settings(past: 10, replayCache: 4)).client
            let protected = try client.protect(topic, Data(count: 1), now: now)
            XCTAssertEqual(
                thrown { try client.unprotect(topic, protected, now: now + 11) }, .timestampTooOld)
            _ = try client.unprotect(topic, protected, now: now + 10)
            XCTAssertEqual(
                thrown { try client.unprotect(topic, protected, now: now + 10) }, .replayed)
            var settings = try client.settings
            settings.past = 20
            try client.change(settings)
            let later = try client.protect(topic, Data(count: 1), now: now + 1)
            _ = try client.unprotect(topic, later, now: now + 21)
            XCTAssertEqual(try client.settings.past, 20)
            XCTAssertEqual(thrown { try client.change(Settings()) }, .invalidParameter())
        }
    }

    func testUnknownSignersWhereTheyAreAccepted() throws {
        let one = try withTopic(.publicKey)
        let two = try make(
            .publicKey, name: "gauge", settings: Settings(acceptUnknownSigners: true))
        let key = try TopicKey.random()
        for pair in [one, two] { try pair.command(.setTopicKey(topic, key), now + 1) }
        let sent = try one.client.protect(topic, Data(), now: now)
        let got = try two.client.unprotect(topic, sent, now: now)
        guard case .message(let message) = got else { return XCTFail("no message") }
        XCTAssertEqual(message.signer, Signer(id: try one.client.id, verified: false))
        let back = try two.client.protect(topic, Data(), now: now)
        XCTAssertEqual(thrown { try one.client.unprotect(topic, back, now: now) }, .signerUnknown)
    }

    func testRotationLeavesTheOldKeyAnHour() throws {
        let pair = try withTopic(.symmetric)
        let old = try pair.client.protect(topic, Data(count: 2), now: now)
        try pair.command(.setTopicKey(topic, .random()), now + 1)
        XCTAssertEqual(
            plaintext(try pair.client.unprotect(topic, old, now: now + 2)), Data(count: 2))
        var settings = try pair.client.settings
        settings.transition = 0
        try pair.client.change(settings)
        XCTAssertEqual(thrown { try pair.client.unprotect(topic, old, now: now + 20) }, .invalidTag)
    }

    func testPasswordsLeaveTheCallersThread() async throws {
        let password = "a password of some length"
        let key = try await IdKey.fromPassword(password)
        XCTAssertTrue(try key.isSameAs(IdKey.fromPasswordBlocking(password)))
        let c2 = try C2SecretKey.random()
        let signing = try await SigningKey.fromPassword("another password, longer")
        let client = try await Client.provisionFromPassword(
            "pump-1", password: "another password, longer", c2Key: c2.publicKey)
        XCTAssertEqual(try signing.publicKey, try client.publicKey)
        XCTAssertEqual(try ClientId.fromName("pump-1"), try client.id)
        let symmetric = try await Client.provisionFromPassword("pump-1", password: password)
        try Pair(client: symmetric, key: key).command(.resetTopics())
        do {
            _ = try await IdKey.fromPassword("short")
            XCTFail("accepted")
        } catch {
            XCTAssertEqual(error as? E4Error, .invalidPassword)
        }
        // The main actor goes on while keys are derived.
        async let derived = IdKey.fromPassword(password)
        let ticks = await MainActor.run { 1 }
        XCTAssertEqual(ticks, 1)
        _ = try await derived
    }

    func testClosing() throws {
        try bothModes { mode in
            let storage = RecordsOfApp()
            let client = try withTopic(mode, storage).client
            XCTAssertEqual("\(client)", "Client(\(try client.id), \(mode))")
            client.close()
            client.close()
            XCTAssertGreaterThan(storage.closed, 0)
            let calls: [() throws -> Any?] = [
                { try client.protect(topic, Data()) },
                { try client.unprotect(topic, Data(count: 50)) },
                { try client.protectMany([]) },
                { try client.unprotectMany([]) },
                { try client.answer() },
                { try client.hello() },
                { try client.digest() },
                { try client.hasTopic(topic) },
                { try client.forget() },
                { try client.id },
                { try client.mode },
                { try client.publicKey },
                { try client.controlTopic },
                { try client.answerTopic },
                { try client.topicCount },
                { try client.peerCount },
                { try client.settings },
                { try client.change(Settings()) },
            ]
            for call in calls { XCTAssertEqual(thrown(call), .invalidParameter()) }
            XCTAssertEqual("\(client)", "Client(closed)")
            XCTAssertEqual(try Client.open(storage).mode, mode)
        }
    }

    func testClosingWhileOthersWork() throws {
        try bothModes { mode in
            for _ in 0..<20 {
                let client = try withTopic(mode).client
                let group = DispatchGroup()
                for _ in 0..<4 {
                    DispatchQueue.global().async(group: group) {
                        var last: E4Error?
                        while last == nil {
                            last = thrown { try client.protect(topic, Data(count: 100), now: now) }
                        }
                        XCTAssertEqual(last, .invalidParameter())
                    }
                }
                usleep(2000)
                client.close()
                XCTAssertEqual(group.wait(timeout: .now() + 10), .success)
            }
        }
    }

    func testAWrongTextIsRefused() throws {
        let client = try withTopic(.symmetric).client
        XCTAssertEqual(thrown { try client.protect("", Data()) }, .invalidTopic)
        XCTAssertEqual(thrown { try client.protect(client.controlTopic, Data()) }, .invalidTopic)
        XCTAssertEqual(thrown { try E4Library.checkTopicForKey("plant/#") }, .invalidTopic)
        try E4Library.checkTopicForKey(topic)
    }
}
