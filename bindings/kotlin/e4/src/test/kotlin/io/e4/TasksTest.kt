// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import java.nio.file.Files
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.test.assertTrue

/**
 * Ten everyday tasks. docs/tasks.md shows what stands between the marks, beside the same in other
 * languages.
 */
class TasksTest {
    private val heard = mutableListOf<String>()
    private val published = mutableListOf<ByteArray>()
    private var asked = 0

    private fun handle(plaintext: ByteArray) {
        heard += String(plaintext)
    }

    private fun publish(topic: String, payload: ByteArray) {
        assertTrue(topic.endsWith("/ack"))
        published += payload
    }

    private fun askForKey() {
        asked++
    }

    private suspend fun tasks() {
        val path = Files.createTempDirectory("e4").resolve("pump-1.e4state").toString()
        val secret = ByteArray(32) { 7 }
        val topicKey = TopicKey.random()

        // task: provision
        val key = IdKey.fromBytes(secret)
        val new = Client.provision("pump-1", key, FileStorage(path))
        // end
        new.close()

        // task: open
        val pump = Client.open(FileStorage(path))
        // end

        // task: give a key
        val command = Command.setTopicKey("plant/pressure", topicKey)
        val protected = command.protectFor(key)
        // end
        assertIs<Unprotected.CommandApplied>(pump.unprotect(pump.controlTopic, protected))

        // task: protect
        val bytes = pump.protect("plant/pressure", "4.2 bar".toByteArray())
        // end

        val topic = "plant/pressure"
        // task: unprotect
        when (val got = pump.unprotect(topic, bytes)) {
            is Unprotected.Message -> handle(got.plaintext)
            is Unprotected.CommandApplied -> println(got.opcode)
        }
        // end
        assertEquals(listOf("4.2 bar"), heard)

        // task: answer
        pump.answer()?.let { publish(pump.answerTopic, it) }
        // end

        // task: check an answer
        val answer = Answer.open(key, published.first())
        val siv = E4Library.sivOf(protected)
        val confirmed = siv.contentEquals(answer.command) && answer.error == null
        // end
        assertTrue(confirmed)

        // task: errors
        try {
            publish("unknown", pump.protect("unknown", "4.2 bar".toByteArray()))
        } catch (e: E4Exception) {
            when (e.error) {
                E4Error.TopicKeyMissing -> askForKey()
                else -> println("${e.message}: ${e.number}")
            }
        }
        // end
        assertEquals(1, asked)

        val c2Key = C2SecretKey.random().publicKey
        // task: key pair
        val pair = SigningKey.random()
        val gauge = Client.provision("gauge", pair, c2Key)
        val publicKey = pair.publicKey
        // end
        assertEquals(publicKey, gauge.publicKey)

        // task: password
        val derived = IdKey.fromPassword("a password of some length") // suspends
        // end
        assertTrue(derived.isSameAs(IdKey.fromPasswordBlocking("a password of some length")))
    }

    @Test
    fun tenTasks() = await { tasks() }
}
