// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.examples

import io.e4.C2PublicKey
import io.e4.Client
import io.e4.E4Error
import io.e4.E4Exception
import io.e4.FileStorage
import io.e4.IdKey
import io.e4.SigningKey
import io.e4.Unprotected
import java.io.File

// A device: it prints what it hears, and says what is typed.
//
//     device --name alice --key alice.key --topic plant/pressure
//     device --name alice --key alice.key --c2-key c2.key.pub --topic plant/pressure
//
// Its keys are kept in NAME.e4state; from the second start on that file is all it needs. Key files
// are those of `e4 keygen`.

/** `--name value` pairs; a name that stands twice has two values. */
class Arguments(words: Array<String>) {
    private val pairs = words.toList().chunked(2).map { it[0] to it.getOrElse(1) { "" } }

    fun all(name: String): List<String> = pairs.filter { it.first == "--$name" }.map { it.second }

    fun find(name: String): String? = all(name).firstOrNull()

    fun get(name: String): String = find(name) ?: error("--$name is missing")
}

/** A client on an MQTT connection: commands are applied and answered, messages handed over. */
class Device(val client: Client, broker: String, private val onMessage: (String, Unprotected.Message) -> Unit) :
    AutoCloseable {
    private val mqtt = connect(broker, "e4-${client.id}", ::arrived)

    init {
        mqtt.subscribe(client.controlTopic, 2).join()
    }

    private fun arrived(topic: String, bytes: ByteArray) {
        try {
            when (val got = client.unprotect(topic, bytes)) {
                is Unprotected.Message -> onMessage(topic, got)
                is Unprotected.CommandApplied -> println("${got.opcode} applied")
            }
        } catch (e: E4Exception) {
            println("$topic: ${e.message}")
        }
        // A command that was refused is answered as well.
        client.answer()?.let { mqtt.publish(client.answerTopic, it, 1) }
    }

    fun subscribe(topic: String) = mqtt.subscribe(topic, 1).join()

    fun publish(topic: String, message: ByteArray) = mqtt.publish(topic, client.protect(topic, message), 1).join()

    override fun close() {
        mqtt.close()
        client.close()
    }
}

private fun open(arguments: Arguments): Client {
    val name = arguments.get("name")
    val storage = FileStorage(arguments.find("state") ?: "$name.e4state")
    return try {
        Client.open(storage)
    } catch (e: E4Exception) {
        if (e.error != E4Error.NotProvisioned) throw e
        val key = File(arguments.get("key")).readBytes()
        val c2 = arguments.find("c2-key")?.let { C2PublicKey.fromBytes(File(it).readBytes()) }
        if (c2 == null) {
            Client.provision(name, IdKey.fromBytes(key), storage)
        } else {
            Client.provision(name, SigningKey.fromBytes(key), c2, storage)
        }
    }
}

object DeviceProgram {
    @JvmStatic
    fun main(words: Array<String>) {
        val arguments = Arguments(words)
        val topic = arguments.get("topic")
        val broker = arguments.find("broker") ?: "127.0.0.1:1883"
        Device(open(arguments), broker) { from, message -> println("< $from: ${String(message.plaintext)}") }.use { device ->
            device.subscribe(topic)
            println("connected as ${device.client.id}")
            for (line in generateSequence(::readlnOrNull)) {
                try {
                    device.publish(topic, line.toByteArray())
                } catch (e: E4Exception) {
                    if (e.error != E4Error.TopicKeyMissing) throw e
                    println("no key for $topic yet: see InitKeys.kt")
                }
            }
        }
    }
}
