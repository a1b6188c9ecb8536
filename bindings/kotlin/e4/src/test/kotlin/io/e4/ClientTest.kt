// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import java.util.Random
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

class ClientTest {
    @Test
    fun roundTrip() = bothModes { mode ->
        val client = withTopic(mode).client
        val protected = client.protect(TOPIC, "4.2 bar".toByteArray(), NOW)
        assertEquals(7 + if (mode == Mode.Symmetric) 24 else 104, protected.size)
        when (val got = client.unprotect(TOPIC, protected, NOW + 5)) {
            is Unprotected.Message -> {
                assertEquals("4.2 bar", String(got.plaintext))
                assertEquals(NOW, got.timestamp)
                val signer = Signer(client.id, verified = true).takeIf { mode == Mode.PublicKey }
                assertEquals(signer, got.signer)
            }
            is Unprotected.CommandApplied -> error("a message")
        }
        assertEquals(mode, client.mode)
        assertEquals(1, client.topicCount)
        assertEquals(if (mode == Mode.PublicKey) 1 else 0, client.peerCount)
        assertEquals("e4/" + client.id.hex, client.controlTopic)
        assertEquals(client.controlTopic + "/ack", client.answerTopic)
        assertEquals(client.controlTopic, client.id.controlTopic)
        assertEquals(client.answerTopic, client.id.answerTopic)
    }

    @Test
    fun theSystemClockIsTheDefault() = bothModes { mode ->
        val (client, key) = make(mode).let { it.client to it.key }
        client.unprotect(client.controlTopic, Command.setTopicKey(TOPIC, TopicKey.random()).protectFor(key))
        client.publicKey?.let {
            client.unprotect(client.controlTopic, Command.setPubKey(client.id, it).protectFor(key))
        }
        val got = client.unprotect(TOPIC, client.protect(TOPIC, ByteArray(3)))
        assertContentEquals(ByteArray(3), assertIs<Unprotected.Message>(got).plaintext)
    }

    @Test
    fun aCommandIsNotAnEmptyMessage() = bothModes { mode ->
        val pair = withTopic(mode)
        val empty = pair.client.unprotect(TOPIC, pair.client.protect(TOPIC, ByteArray(0), NOW), NOW)
        assertEquals(0, assertIs<Unprotected.Message>(empty).plaintext.size)
        assertEquals(Unprotected.CommandApplied(Opcode.ResetTopics), pair.command(Command.resetTopics(), NOW + 1))
        assertFalse(pair.client.hasTopic(TOPIC))
    }

    @Test
    fun anyFlippedBitAndAnyNoiseIsRefused() = bothModes { mode ->
        val client = withTopic(mode).client
        val random = Random(5)
        val before = client.digest()
        repeat(200) { n ->
            val message = ByteArray(n).also(random::nextBytes)
            val protected = client.protect(TOPIC, message, NOW)
            val opened = assertIs<Unprotected.Message>(client.unprotect(TOPIC, protected, NOW))
            assertContentEquals(message, opened.plaintext)
            val bit = random.nextInt(protected.size * 8)
            protected[bit / 8] = (protected[bit / 8].toInt() xor (1 shl bit % 8)).toByte()
            runCatching { client.unprotect(TOPIC, protected, NOW) }
                .onSuccess { error("accepted") }
                .onFailure { assertIs<E4Exception>(it) }
            runCatching { client.unprotect(client.controlTopic, message, NOW) }
                .onSuccess { error("accepted") }
                .onFailure { assertIs<E4Exception>(it) }
        }
        assertContentEquals(before, client.digest())
    }

    @Test
    fun everyCommandAndItsOpcode() {
        val signing = SigningKey.random()
        val client = ClientId.random()
        val commands =
            listOf(
                Triple(Command.removeTopic(TOPIC), Opcode.RemoveTopic, 17),
                Triple(Command.resetTopics(), Opcode.ResetTopics, 1),
                Triple(Command.setIdKey(IdKey.random()), Opcode.SetIdKey, 33),
                Triple(Command.setSigningKey(signing), Opcode.SetIdKey, 65),
                Triple(Command.setTopicKey(TOPIC, TopicKey.random()), Opcode.SetTopicKey, 49),
                Triple(Command.removePubKey(client), Opcode.RemovePubKey, 17),
                Triple(Command.resetPubKeys(), Opcode.ResetPubKeys, 1),
                Triple(Command.setPubKey(client, signing.publicKey), Opcode.SetPubKey, 49),
                Triple(Command.setC2Key(C2SecretKey.random().publicKey), Opcode.SetC2Key, 33),
            )
        for ((command, opcode, length) in commands) {
            assertEquals(opcode, command.opcode)
            assertEquals(length, command.encode().size)
            assertContentEquals(command.encode(), Command.decode(command.encode()).encode())
            assertEquals("Command($opcode)", command.toString())
        }
        fails(E4Error.InvalidCommand) { Command.decode(byteArrayOf(9)) }
    }

    @Test
    fun answersAndHello() = bothModes { mode ->
        val pair = make(mode)
        fails(E4Error.ClockUnknown) { pair.client.hello(null) }
        val command = Command.setTopicKey(TOPIC, TopicKey.random()).protectFor(pair.key, NOW)
        assertNull(pair.client.answer(NOW))
        pair.client.unprotect(pair.client.controlTopic, command, NOW)
        val answer = Answer.open(pair.key, pair.client.answer(NOW)!!)
        assertContentEquals(E4Library.sivOf(command), answer.command)
        assertContentEquals(pair.client.digest(), answer.digest)
        assertEquals(0, answer.status)
        assertNull(answer.error)
        assertEquals(NOW, answer.timestamp)
        assertNull(pair.client.answer(NOW))
        fails(E4Error.Replayed) { pair.client.unprotect(pair.client.controlTopic, command, NOW) }
        // A device without a clock has the time of the last command.
        assertEquals(NOW, Answer.open(pair.key, pair.client.hello(null)).timestamp)
        assertNull(Answer.open(pair.key, pair.client.hello(NOW)).command)
        // A command of the other mode is refused, and the answer says so.
        val other = if (mode == Mode.Symmetric) Command.resetPubKeys() else Command.setIdKey(IdKey.random())
        fails(E4Error.InvalidCommand) { pair.attempt(other, NOW + 1) }
        assertEquals(E4Error.InvalidCommand, Answer.open(pair.key, pair.client.answer(NOW + 1)!!).error)
        fails(E4Error.InvalidTag) { Answer.open(pair.key, command) }
    }

    @Test
    fun batches() = bothModes { mode ->
        val client = withTopic(mode).client
        val plain = List(50) { Item(TOPIC, ByteArray(it)) }
        val protected = client.protectMany(plain, NOW)
        val items = protected.map { Item(TOPIC, it) } + Item("unknown", protected[0]) + Item(TOPIC, ByteArray(3))
        val opened = client.unprotectMany(items, NOW)
        assertEquals(52, opened.size)
        for (n in 0 until 50) assertEquals(n, assertIs<Unprotected.Message>(opened[n].getOrThrow()).plaintext.size)
        fails(E4Error.TopicKeyMissing) { opened[50].getOrThrow() }
        fails(E4Error.MessageTooShort) { opened[51].getOrThrow() }
        fails(E4Error.TopicKeyMissing) { client.protectMany(plain + Item("unknown", ByteArray(1)), NOW) }

        val pairs = List(20) { make(mode) }
        val commands = Command.protectForMany(pairs.map { Command.resetTopics() to it.key }, NOW)
        for ((pair, command) in pairs.zip(commands)) pair.client.unprotect(pair.client.controlTopic, command, NOW)
    }

    @Test
    fun settings() = bothModes { mode ->
        assertEquals(Settings(600u, 600u, 3600u, false, 0u), Settings())
        val client = withTopic(mode, settings = Settings(past = 10u, replayCache = 4u)).client
        val protected = client.protect(TOPIC, ByteArray(1), NOW)
        fails(E4Error.TimestampTooOld) { client.unprotect(TOPIC, protected, NOW + 11) }
        client.unprotect(TOPIC, protected, NOW + 10)
        fails(E4Error.Replayed) { client.unprotect(TOPIC, protected, NOW + 10) }
        client.settings = client.settings.copy(past = 20u)
        val later = client.protect(TOPIC, ByteArray(1), NOW + 1)
        client.unprotect(TOPIC, later, NOW + 21)
        assertEquals(20u, client.settings.past)
        fails(E4Error.InvalidParameter) { client.settings = Settings() }
    }

    @Test
    fun unknownSignersWhereTheyAreAccepted() {
        val one = withTopic(Mode.PublicKey)
        val two = make(Mode.PublicKey, settings = Settings(acceptUnknownSigners = true), name = "gauge")
        val key = TopicKey.random()
        for (pair in listOf(one, two)) pair.command(Command.setTopicKey(TOPIC, key), NOW + 1)
        val got = two.client.unprotect(TOPIC, one.client.protect(TOPIC, ByteArray(0), NOW), NOW)
        assertEquals(Signer(one.client.id, verified = false), assertIs<Unprotected.Message>(got).signer)
        fails(E4Error.SignerUnknown) { one.client.unprotect(TOPIC, two.client.protect(TOPIC, ByteArray(0), NOW), NOW) }
    }

    @Test
    fun rotationLeavesTheOldKeyAnHour() {
        val pair = withTopic(Mode.Symmetric)
        val old = pair.client.protect(TOPIC, ByteArray(2), NOW)
        pair.command(Command.setTopicKey(TOPIC, TopicKey.random()), NOW + 1)
        assertIs<Unprotected.Message>(pair.client.unprotect(TOPIC, old, NOW + 2))
        pair.client.settings = pair.client.settings.copy(transition = 0u)
        fails(E4Error.InvalidTag) { pair.client.unprotect(TOPIC, old, NOW + 20) }
    }

    @Test
    fun passwordsLeaveTheCallersThread() {
        val caller = Thread.currentThread()
        var resumedOn: Thread? = null
        val key = await { IdKey.fromPassword("a password of some length").also { resumedOn = Thread.currentThread() } }
        assertNotEquals(caller, resumedOn)
        assertTrue(key.isSameAs(IdKey.fromPasswordBlocking("a password of some length")))
        val c2 = C2SecretKey.random()
        val pair = await { SigningKey.fromPassword("another password, longer") }
        val client =
            await { Client.provisionFromPassword("pump-1", "another password, longer", c2.publicKey) }
        assertEquals(pair.publicKey, client.publicKey)
        assertEquals(ClientId.fromName("pump-1"), client.id)
        val symmetric = await { Client.provisionFromPassword("pump-1", "a password of some length") }
        Pair2(symmetric, key).command(Command.resetTopics())
        assertEquals(E4Error.InvalidPassword, fails(E4Error.InvalidPassword) { await { IdKey.fromPassword("short") } }.error)
    }

    @Test
    fun closing() = bothModes { mode ->
        val storage = Records()
        val pair = withTopic(mode, storage)
        val client = pair.client
        assertEquals("Client(${client.id}, $mode)", client.toString())
        client.close()
        client.close()
        assertTrue(storage.closed > 0)
        val calls: List<() -> Any?> =
            listOf(
                { client.protect(TOPIC, ByteArray(1)) },
                { client.unprotect(TOPIC, ByteArray(50)) },
                { client.protectMany(emptyList()) },
                { client.unprotectMany(emptyList()) },
                { client.answer() },
                { client.hello() },
                { client.digest() },
                { client.hasTopic(TOPIC) },
                { client.forget() },
                { client.id },
                { client.mode },
                { client.publicKey },
                { client.controlTopic },
                { client.answerTopic },
                { client.topicCount },
                { client.peerCount },
                { client.settings },
                { client.settings = Settings() },
            )
        for (call in calls) fails(E4Error.InvalidParameter) { call() }
        assertEquals("Client(closed)", client.toString())
        Client.open(storage).use { assertEquals(mode, it.mode) }
    }

    @Test
    fun closingWhileOthersWork() = bothModes { mode ->
        repeat(20) {
            val client = withTopic(mode).client
            val threads =
                List(4) {
                    Thread {
                        try {
                            while (true) client.protect(TOPIC, ByteArray(100), NOW)
                        } catch (e: E4Exception) {
                            check(e.error == E4Error.InvalidParameter)
                        }
                    }.apply { start() }
                }
            Thread.sleep(2)
            client.close()
            for (thread in threads) {
                thread.join(10_000)
                assertFalse(thread.isAlive)
            }
        }
    }

    @Test
    fun aWrongTextIsRefused() {
        val client = withTopic(Mode.Symmetric).client
        fails(E4Error.InvalidTopic) { client.protect("", ByteArray(1)) }
        fails(E4Error.InvalidTopic) { client.protect(client.controlTopic, ByteArray(1)) }
        fails(E4Error.InvalidParameter) { client.protect("half a pair \ud800", ByteArray(1)) }
        fails(E4Error.InvalidTopic) { E4Library.checkTopicForKey("plant/#") }
        E4Library.checkTopicForKey(TOPIC)
    }
}

/** Runs a suspending call to its end, without a coroutine library. */
fun <T> await(work: suspend () -> T): T {
    val done = java.util.concurrent.CompletableFuture<Result<T>>()
    work.startCoroutine(Continuation(EmptyCoroutineContext) { done.complete(it) })
    return done.get(60, java.util.concurrent.TimeUnit.SECONDS).getOrThrow()
}
