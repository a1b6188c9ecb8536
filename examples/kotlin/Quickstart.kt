// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.examples

import io.e4.Client
import io.e4.Command
import io.e4.IdKey
import io.e4.TopicKey
import io.e4.Unprotected

/** Two devices and their key script in one process, without a broker. */
fun main() {
    val topic = "plant/pressure"

    // What is done once for each device: a key that it shares with the key script.
    val keys = mapOf("pump" to IdKey.random(), "gauge" to IdKey.random())
    val devices = keys.mapValues { (name, key) -> Client.provision(name, key) }

    // The key script: one key for the topic, one protected command for each device.
    val command = Command.setTopicKey(topic, TopicKey.random())
    for ((name, device) in devices) {
        println("$name: ${device.unprotect(device.controlTopic, command.protectFor(keys.getValue(name)))}")
    }

    // From now on they talk in secret.
    val message = devices.getValue("gauge").protect(topic, "4.2 bar".toByteArray())
    when (val got = devices.getValue("pump").unprotect(topic, message)) {
        is Unprotected.Message -> println("pump reads ${String(got.plaintext)}")
        is Unprotected.CommandApplied -> {}
    }
}
