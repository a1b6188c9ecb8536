// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs

const val TOPIC = "plant/pressure"
val NOW = Timestamp(1_700_000_000uL)

operator fun Timestamp.plus(more: Int) = Timestamp(seconds + more.toULong())

/** A client and the key under which it takes commands. */
class Pair2(val client: Client, val key: CommandKey) {
    fun command(command: Command, now: Timestamp = NOW): Unprotected.CommandApplied =
        assertIs<Unprotected.CommandApplied>(attempt(command, now))

    fun attempt(command: Command, now: Timestamp = NOW): Unprotected =
        client.unprotect(client.controlTopic, command.protectFor(key, now), now)
}

fun make(
    mode: Mode,
    storage: Storage = MemoryStorage(),
    name: String = "pump-1",
    settings: Settings = Settings(),
): Pair2 {
    if (mode == Mode.Symmetric) {
        val key = IdKey.random()
        return Pair2(Client.provision(name, key, storage, settings), key)
    }
    val c2 = C2SecretKey.random()
    val signing = SigningKey.random()
    val client = Client.provision(name, signing, c2.publicKey, storage, settings)
    return Pair2(client, SharedKey.forC2(c2, signing.publicKey))
}

/** A client that holds the key of TOPIC, and (PK) its own public key, to hear itself. */
fun withTopic(mode: Mode, storage: Storage = MemoryStorage(), settings: Settings = Settings()): Pair2 {
    val pair = make(mode, storage, settings = settings)
    pair.command(Command.setTopicKey(TOPIC, TopicKey.random()))
    hearsItself(pair)
    return pair
}

fun hearsItself(pair: Pair2) {
    pair.client.publicKey?.let { pair.command(Command.setPubKey(pair.client.id, it)) }
}

fun bothModes(work: (Mode) -> Unit) = Mode.entries.forEach(work)

fun fails(error: E4Error, work: () -> Unit): E4Exception {
    val thrown = assertFailsWith<E4Exception> { work() }
    assertEquals(error, thrown.error)
    return thrown
}

/** A storage of the app's own that throws at a given call. */
class Records : Storage {
    val held = HashMap<Int, ByteArray>()
    var calls = 0
    var failFrom = Int.MAX_VALUE
    var error: Throwable = IllegalStateException("the disk is on fire")
    var closed = 0

    private fun count() {
        calls++
        Thread.yield()
        if (calls >= failFrom) throw error
    }

    override fun read(record: Int): ByteArray? = count().let { held[record]?.copyOf() }

    override fun write(record: Int, bytes: ByteArray) {
        count()
        held[record] = bytes
    }

    override fun erase(record: Int) {
        count()
        held.remove(record)
    }

    override fun close() {
        closed++
    }
}
