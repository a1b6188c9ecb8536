// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation
import XCTest

/// Ten everyday tasks. docs/tasks.md shows what stands between the marks, beside the same in other
/// languages.
final class TasksTests: XCTestCase {
    func testTenTasks() async throws {
        let path = temporary("pump-1.e4state")
        let secret = Data(repeating: 7, count: 32)
        let topicKey = try TopicKey.random()
        var (heard, published, asked) = ([Data](), [Data](), 0)
        func handle(_ plaintext: Data) { heard.append(plaintext) }
        func publish(_ topic: String, _ payload: Data) { published.append(payload) }
        func askForKey() { asked += 1 }

        // task: provision
        let key = try IdKey(bytes: secret)
        let new = try Client.provision("pump-1", key: key, storage: FileStorage(path: path))
        // end
        new.close()

        // task: open
        let pump = try Client.open(FileStorage(path: path))
        // end

        // task: give a key
        let command = try Command.setTopicKey("plant/pressure", topicKey)
        let protected = try command.protect(for: key)
        // end
        let applied = try pump.unprotect(pump.controlTopic, protected)
        XCTAssertEqual(applied, .commandApplied(.setTopicKey))

        // task: protect
        let bytes = try pump.protect("plant/pressure", Data("4.2 bar".utf8))
        // end

        let topic = "plant/pressure"
        // task: unprotect
        switch try pump.unprotect(topic, bytes) {
        case .message(let message): handle(message.plaintext)
        case .commandApplied(let opcode): print(opcode)
        }
        // end
        XCTAssertEqual(heard, [Data("4.2 bar".utf8)])

        // task: answer
        if let answer = try pump.answer() {
            publish(try pump.answerTopic, answer)
        }
        // end

        // task: check an answer
        let answer = try Answer.open(published[0], key: key)
        let siv = try E4Library.siv(of: protected)
        let confirmed = answer.command == siv && answer.error == nil
        // end
        XCTAssertTrue(confirmed)

        // task: errors
        do {
            publish("unknown", try pump.protect("unknown", Data("4.2 bar".utf8)))
        } catch E4Error.topicKeyMissing {
            askForKey()
        } catch let error as E4Error {
            print("\(error): \(error.number)")
        }
        // end
        XCTAssertEqual(asked, 1)

        let c2Key = try C2SecretKey.random().publicKey
        // task: key pair
        let pair = try SigningKey.random()
        let gauge = try Client.provision("gauge", key: pair, c2Key: c2Key)
        let publicKey = try pair.publicKey
        // end
        XCTAssertEqual(publicKey, try gauge.publicKey)

        // task: password
        let derived = try await IdKey.fromPassword("a password of some length")
        // end
        XCTAssertTrue(try derived.isSameAs(.fromPasswordBlocking("a password of some length")))
    }
}
