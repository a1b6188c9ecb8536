// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import ExampleMqtt
import Foundation

// The key script: makes a topic key and sends it to devices.
//
//     swift run init-keys --topic plant/pressure --key alice=alice.key --key bob=bob.key
//     swift run init-keys --topic plant/pressure --c2-key c2.key \
//         --key alice=alice.key.pub --key bob=bob.key.pub
//
// With --c2-key the devices are in public-key mode: their public keys are given, and each is also
// sent the public keys of all.

struct Target {
    let name: String
    let id: ClientId
    let key: any CommandKey
    let publicKey: PublicKey?
}

/// The commands that were not confirmed yet, by the device's answer topic.
final class Open: @unchecked Sendable {
    private let lock = NSCondition()
    private var sivs: [String: Set<Data>] = [:]

    func add(_ topic: String, _ siv: Data) {
        lock.withLock { _ = sivs[topic, default: []].insert(siv) }
    }

    /// Whether this was the last one of the device.
    func confirm(_ topic: String, _ siv: Data) -> Bool {
        lock.withLock {
            let known = sivs[topic]?.remove(siv) != nil
            lock.broadcast()
            return known && sivs[topic]?.isEmpty == true
        }
    }

    func wait(seconds: Double) -> Set<String> {
        let end = Date(timeIntervalSinceNow: seconds)
        lock.lock()
        defer { lock.unlock() }
        while sivs.values.contains(where: { !$0.isEmpty }) && lock.wait(until: end) {}
        return Set(sivs.filter { !$0.value.isEmpty }.keys)
    }
}

let arguments = Arguments()
let topic = try arguments.get("topic")
try E4Library.checkTopicForKey(topic)
let c2 = try arguments.find("c2-key").map { try C2SecretKey(bytes: readFile($0)) }
let targets = try arguments.all("key").map { given in
    let parts = given.split(separator: "=", maxSplits: 1).map(String.init)
    let (id, bytes) = (try ClientId.fromName(parts[0]), try readFile(parts[1]))
    guard let c2 else {
        return Target(name: parts[0], id: id, key: try IdKey(bytes: bytes), publicKey: nil)
    }
    let publicKey = try PublicKey(bytes: bytes)
    let key = try SharedKey.forC2(c2, client: publicKey)
    return Target(name: parts[0], id: id, key: key, publicKey: publicKey)
}

let open = Open()
let byTopic = Dictionary(uniqueKeysWithValues: targets.map { ($0.id.answerTopic, $0) })
let mqtt = try SocketMqtt(
    arguments.find("broker") ?? "127.0.0.1:1883", id: "e4-keys-\(ClientId.random().hex.prefix(8))"
) { [byTopic] from, bytes in
    guard let target = byTopic[from] else { return }
    do {
        let answer = try Answer.open(bytes, key: target.key)
        if answer.status == 0, let siv = answer.command, open.confirm(from, siv) {
            say("\(target.name): confirmed")
        }
    } catch {
        say("\(target.name): an answer that does not open: \(error)")
    }
}
for target in targets { try mqtt.subscribe(target.id.answerTopic, qos: 1) }

var commands = [try Command.setTopicKey(topic, .random())]
for target in targets {
    if let key = target.publicKey { commands.append(try .setPubKey(target.id, key)) }
}
for target in targets {
    let protected = try Command.protectMany(commands.map { ($0, target.key) })
    for command in protected { open.add(target.id.answerTopic, try E4Library.siv(of: command)) }
    for command in protected {
        try mqtt.publish(target.id.controlTopic, command, qos: 2, wait: true)
    }
}
let silent = open.wait(seconds: 10)
mqtt.close()
for target in targets where silent.contains(target.id.answerTopic) {
    // e4go and libe4 never answer; for them this is all that can be known.
    say("\(target.name): handed to the broker, no answer")
}
exit(silent.isEmpty ? 0 : 1)
