// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.examples

import io.e4.Answer
import io.e4.C2SecretKey
import io.e4.ClientId
import io.e4.Command
import io.e4.CommandKey
import io.e4.E4Exception
import io.e4.E4Library
import io.e4.IdKey
import io.e4.PublicKey
import io.e4.SharedKey
import io.e4.TopicKey
import java.io.File
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess

// The key script: makes a topic key and sends it to devices.
//
//     init-keys --topic plant/pressure --key alice=alice.key --key bob=bob.key
//     init-keys --topic plant/pressure --c2-key c2.key --key alice=alice.key.pub --key bob=bob.key.pub
//
// With --c2-key the devices are in public-key mode: their public keys are given, and each is also
// sent the public keys of all.

private class Target(val name: String, val key: CommandKey, val public: PublicKey?) {
    val id = ClientId.fromName(name)
    val open = HashSet<List<Byte>>()
}

private fun targets(keys: List<String>, c2: C2SecretKey?): List<Target> =
    keys.map { given ->
        val (name, path) = given.split("=", limit = 2)
        val bytes = File(path).readBytes()
        if (c2 == null) {
            Target(name, IdKey.fromBytes(bytes), null)
        } else {
            val public = PublicKey.fromBytes(bytes)
            Target(name, SharedKey.forC2(c2, public), public)
        }
    }

fun initKeys(words: Array<String>): Boolean {
    val arguments = Arguments(words)
    val topic = arguments.get("topic")
    E4Library.checkTopicForKey(topic)
    val c2 = arguments.find("c2-key")?.let { C2SecretKey.fromBytes(File(it).readBytes()) }
    val targets = targets(arguments.all("key"), c2)
    val confirmed = CountDownLatch(targets.size)

    fun arrived(from: String, bytes: ByteArray) {
        val target = targets.find { it.id.answerTopic == from } ?: return
        try {
            val answer = Answer.open(target.key, bytes)
            if (answer.status == 0 && target.open.remove(answer.command?.toList()) && target.open.isEmpty()) {
                println("${target.name}: confirmed")
                confirmed.countDown()
            }
        } catch (e: E4Exception) {
            println("${target.name}: an answer that does not open: ${e.message}")
        }
    }

    connect(arguments.find("broker") ?: "127.0.0.1:1883", "e4-keys-${ClientId.random().hex.take(8)}", ::arrived).use { mqtt ->
        for (target in targets) mqtt.subscribe(target.id.answerTopic, 1).join()
        val commands =
            listOf(Command.setTopicKey(topic, TopicKey.random())) +
                targets.mapNotNull { target -> target.public?.let { Command.setPubKey(target.id, it) } }
        val outgoing =
            targets.map { target -> target to Command.protectForMany(commands.map { it to target.key }) }
        for ((target, each) in outgoing) target.open += each.map { E4Library.sivOf(it).toList() }
        for ((target, each) in outgoing) for (command in each) mqtt.publish(target.id.controlTopic, command, 2).join()
        // e4go and libe4 never answer; for them this is all that can be known.
        if (!confirmed.await(10, TimeUnit.SECONDS)) {
            for (target in targets.filter { it.open.isNotEmpty() }) {
                println("${target.name}: handed to the broker, no answer")
            }
        }
    }
    return confirmed.count == 0L
}

object InitKeysProgram {
    @JvmStatic
    fun main(words: Array<String>): Unit = exitProcess(if (initKeys(words)) 0 else 1)
}
