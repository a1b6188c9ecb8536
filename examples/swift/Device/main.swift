// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import ExampleMqtt
import Foundation

// A device: it prints what it hears, and says what is typed.
//
//     swift run device --name alice --key alice.key --topic plant/pressure
//     swift run device --name alice --key alice.key --c2-key c2.key.pub --topic plant/pressure
//
// Its keys are kept in NAME.e4state; from the second start on that file is all it needs. Key files
// are those of `e4 keygen`.

func openClient(_ arguments: Arguments) throws -> Client {
    let name = try arguments.get("name")
    let storage = try FileStorage(path: arguments.find("state") ?? "\(name).e4state")
    do {
        return try Client.open(storage)
    } catch E4Error.notProvisioned {
        let key = try readFile(arguments.get("key"))
        guard let c2 = arguments.find("c2-key") else {
            return try Client.provision(name, key: IdKey(bytes: key), storage: storage)
        }
        let c2Key = try C2PublicKey(bytes: readFile(c2))
        return try Client.provision(
            name, key: SigningKey(bytes: key), c2Key: c2Key, storage: storage)
    }
}

/// A client on an MQTT connection: commands are applied and answered, messages printed.
final class Device: @unchecked Sendable {
    let client: Client
    private var mqtt: (any Mqtt)?

    init(_ client: Client, broker: String) throws {
        self.client = client
        mqtt = try SocketMqtt(broker, id: "e4-\(client.id)") { [unowned self] topic, bytes in
            do {
                try arrived(topic, bytes)
            } catch {
                say("\(topic): \(error)")
            }
        }
        try mqtt?.subscribe(client.controlTopic, qos: 2)
    }

    private func arrived(_ topic: String, _ bytes: Data) throws {
        // A command that was refused is answered as well.
        defer {
            if let answer = try? client.answer(), let to = try? client.answerTopic {
                try? mqtt?.publish(to, answer, qos: 1, wait: false)
            }
        }
        switch try client.unprotect(topic, bytes) {
        case .message(let message):
            let by = message.signer.map { "  (signed by \($0.id))" } ?? ""
            say("< \(topic): \(String(decoding: message.plaintext, as: UTF8.self))\(by)")
        case .commandApplied(let opcode):
            say("\(opcode) applied")
        }
    }

    func subscribe(_ topic: String) throws { try mqtt?.subscribe(topic, qos: 1) }

    func publish(_ topic: String, _ message: Data) throws {
        try mqtt?.publish(topic, client.protect(topic, message), qos: 1, wait: true)
    }

    func close() {
        mqtt?.close()
        client.close()
    }
}

let arguments = Arguments()
let topic = try arguments.get("topic")
let device = try Device(
    openClient(arguments), broker: arguments.find("broker") ?? "127.0.0.1:1883")
try device.subscribe(topic)
say("connected")
while let line = readLine() {
    do {
        try device.publish(topic, Data(line.utf8))
    } catch E4Error.topicKeyMissing {
        say("no key for \(topic) yet: see init-keys")
    }
}
device.close()
