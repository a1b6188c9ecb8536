// SPDX-License-Identifier: Apache-2.0 OR MIT
import func E4Generated.errorTable
import Foundation
import XCTest

@testable import E4

final class TypesTests: XCTestCase {
    func testTheErrorsAreThoseOfTheTable() throws {
        let table = errorTable()
        XCTAssertEqual(table.count, 26)
        XCTAssertEqual(E4Error.allCases.map(\.number), table.map { Int($0.number) })
        for (row, mine) in zip(table, E4Error.allCases) {
            XCTAssertEqual(E4Error(number: Int(row.number)), mine)
            XCTAssertEqual(mine.description, "\(row.text) (\(row.number))")
            XCTAssertEqual(mine.localizedDescription, mine.description)
        }
        XCTAssertNil(E4Error(number: 0))
    }

    func testErrorsByWhatCausesThem() throws {
        let key = try TopicKey.random()
        let full = MemoryStorage()
        _ = try make(.symmetric, full)
        let cases: [(Int, () throws -> Any)] = [
            (-104, { try key.unprotect(Data(count: 23)) }),
            (-101, { try TopicKey.random().unprotect(key.protect(Data(count: 3))) }),
            (-102, { try key.unprotect(key.protect(Data(), now: now + 601), now: now) }),
            (-103, { try key.unprotect(key.protect(Data(), now: now), now: now + 601) }),
            (-105, { try make(.symmetric).client.protect("unknown", Data()) }),
            (-107, { try Command.decode(Data()) }),
            (-108, { try FileStorage(path: "/nowhere/at/all") }),
            (-112, { try ClientId(bytes: Data(count: 15)) }),
            (-112, { try TopicHash(hex: "zz") }),
            (-113, { try Client.importE4go(Data("{}".utf8)) }),
            (-113, { try Client.importLibe4(Data(count: 10)) }),
            (-114, { try IdKey(bytes: Data(count: 32)) }),
            (-114, { try IdKey(bytes: Data(repeating: 1, count: 31)) }),
            (-114, { try PublicKey(bytes: Data(count: 32)) }),
            (-114, { try C2PublicKey(bytes: Data(count: 32)) }),
            (-114, { try SigningKey(bytes: Data(repeating: 1, count: 64)) }),
            (-115, { try ClientId.fromName("") }),
            (-115, { try ClientId.fromName(String(repeating: "x", count: 256)) }),
            (-116, { try TopicHash.fromTopic(String(repeating: "x", count: 65_536)) }),
            (-117, { try IdKey.fromPasswordBlocking("fifteen letters") }),
            (-118, { try Client.open(MemoryStorage()) }),
            (-119, { try make(.publicKey, full) }),
        ]
        for (number, work) in cases { XCTAssertEqual(thrown(work)?.number, number) }
    }

    func testKeysShowNoBytes() throws {
        let (c2, signing) = (try C2SecretKey.random(), try SigningKey.random())
        let keys: [any SecretKey] = [
            try IdKey.random(), try TopicKey.random(), c2, signing,
            try SharedKey.forC2(c2, client: signing.publicKey),
        ]
        for key in keys {
            XCTAssertEqual("\(key)", "\(type(of: key))")
            let secret = try key.expose()
            XCTAssertEqual(secret.count, key === signing ? 64 : 32)
            var dumped = ""
            dump(key, to: &dumped)
            XCTAssertLessThan(dumped.count, 60, dumped)
            XCTAssertTrue(Mirror(reflecting: key).children.isEmpty)
            XCTAssertFalse(key is any Encodable)
            key.close()
            key.close()
            XCTAssertEqual(thrown { try key.expose() }, .invalidParameter())
        }
        let command = try Command.setTopicKey(topic, .random())
        command.close()
        XCTAssertEqual(
            thrown { try command.protect(for: IdKey.random()) }, .invalidParameter())
        XCTAssertEqual("\(command)", "Command(closed)")
    }

    func testKeysAndNamesGoInAndOut() throws {
        let bytes = Data(1...32)
        XCTAssertEqual(try IdKey(bytes: bytes).expose(), bytes)
        XCTAssertTrue(try TopicKey(bytes: bytes).isSameAs(TopicKey(bytes: bytes)))
        XCTAssertFalse(try TopicKey(bytes: bytes).isSameAs(.random()))
        let pair = try SigningKey(seed: bytes)
        XCTAssertEqual(try pair.expose().suffix(32), try pair.publicKey.bytes)
        XCTAssertEqual(try PublicKey(bytes: pair.publicKey.bytes), try pair.publicKey)
        let c2 = try C2SecretKey(bytes: bytes)
        let shared = try SharedKey.forClient(pair, c2: c2.publicKey)
        XCTAssertTrue(try shared.isSameAs(.forC2(c2, client: pair.publicKey)))
        let id = try ClientId.fromName("pump-1")
        XCTAssertEqual(id.hex, "332cd2d94155490d07519f9c57831365")
        XCTAssertEqual(try ClientId(hex: id.hex.uppercased()), id)
        XCTAssertEqual(Set([id, try ClientId(bytes: id.bytes)]).count, 1)
        XCTAssertEqual("\(try TopicHash.fromTopic(topic))", "3b8821b0d38371bf5b15a6eb2501c399")
        XCTAssertNotEqual(try ClientId.random(), try ClientId.random())
        XCTAssertFalse(E4Library.version.isEmpty)
    }

    func testMessagesDoNotPrintTheirText() {
        let message = Message(plaintext: Data("secret text".utf8), timestamp: now)
        XCTAssertEqual("\(message)", "Message(11 bytes at \(now))")
        var dumped = ""
        dump(message, to: &dumped)
        XCTAssertFalse(dumped.contains("secret"))
    }
}
