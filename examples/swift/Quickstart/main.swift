// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation

// Two devices and their key script in one process, without a broker.

let topic = "plant/pressure"

// What is done once for each device: a key that it shares with the key script.
let keys = try ["pump": IdKey.random(), "gauge": IdKey.random()]
let devices = try Dictionary(
    uniqueKeysWithValues: keys.map { ($0.key, try Client.provision($0.key, key: $0.value)) })

// The key script: one key for the topic, one protected command for each device.
let command = try Command.setTopicKey(topic, .random())
for (name, device) in devices {
    guard let key = keys[name] else { continue }
    print(name, try device.unprotect(device.controlTopic, command.protect(for: key)))
}

// From now on they talk in secret.
if let gauge = devices["gauge"], let pump = devices["pump"] {
    let message = try gauge.protect(topic, Data("4.2 bar".utf8))
    if case .message(let got) = try pump.unprotect(topic, message) {
        print("pump reads", String(decoding: got.plaintext, as: UTF8.self))
    }
}
