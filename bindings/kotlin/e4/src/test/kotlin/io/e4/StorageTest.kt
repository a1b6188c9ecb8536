// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.examples.SealedStorage
import java.io.File
import java.nio.file.Files
import java.nio.file.attribute.PosixFilePermissions
import java.security.GeneralSecurityException
import java.util.concurrent.atomic.AtomicInteger
import javax.crypto.KeyGenerator
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNull
import kotlin.test.assertSame
import kotlin.test.assertTrue

class StorageTest {
    private fun temporary(): File = Files.createTempDirectory("e4").toFile().also { it.deleteOnExit() }

    @Test
    fun aStorageOfTheApp() = bothModes { mode ->
        val storage = Records()
        val client = withTopic(mode, storage).client
        val calls = storage.calls
        client.unprotect(TOPIC, client.protect(TOPIC, ByteArray(1), NOW), NOW)
        assertEquals(calls, storage.calls, "a message costs no call")
        val again = Client.open(storage)
        assertContentEquals(client.digest(), again.digest())
        again.forget()
        assertTrue(storage.held.isEmpty())
        assertEquals(1, storage.closed)
        fails(E4Error.NotProvisioned) { Client.open(storage) }
    }

    @Test
    fun aFile() = bothModes { mode ->
        val path = File(temporary(), "pump.e4state")
        val client = withTopic(mode, FileStorage(path)).client
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path.toPath())))
        val before = client.digest()
        fails(E4Error.Storage) { FileStorage(path) }
        client.close()
        Client.open(FileStorage(path.path)).use { assertContentEquals(before, it.digest()) }
        FileStorage(path).use { storage -> fails(E4Error.AlreadyProvisioned) { make(mode, storage) } }
        path.writeText("something else")
        fails(E4Error.StateIncompatible) { FileStorage(path) }
        fails(E4Error.Storage) { FileStorage(File(temporary(), "none/x")) }
    }

    /** As the Android Keystore is used (docs/apps.md). */
    @Test
    fun aStorageThatEncrypts() = bothModes { mode ->
        val inner = Records()
        val key = KeyGenerator.getInstance("AES").generateKey()
        val client = withTopic(mode, SealedStorage(inner, key)).client
        val digest = client.digest()
        client.close()
        assertEquals(1, inner.closed)
        assertContentEquals(digest, Client.open(SealedStorage(inner, key)).digest())
        assertFailsWith<E4Exception> { Client.open(inner) }
        val other = KeyGenerator.getInstance("AES").generateKey()
        assertIs<GeneralSecurityException>(fails(E4Error.Storage) { Client.open(SealedStorage(inner, other)) }.cause)
        inner.held[1] = inner.held.getValue(0)
        fails(E4Error.Storage) { Client.open(SealedStorage(inner, key)) }
    }

    @Test
    fun readyStoragesAsPartOfOthers() {
        val folder = temporary()
        for (inner in listOf(MemoryStorage(), FileStorage(File(folder, "x.e4state")))) {
            val storage = object : Storage by inner {}
            val digest = withTopic(Mode.PublicKey, storage).client.digest()
            assertContentEquals(digest, Client.open(storage).digest())
            assertNull(inner.read(99))
            inner.erase(99)
        }
    }

    private fun commands(mode: Mode): List<Command> {
        val both =
            listOf(
                Command.setTopicKey(TOPIC, TopicKey.random()),
                Command.setTopicKey("other", TopicKey.random()),
                Command.setTopicKey(TOPIC, TopicKey.random()),
                Command.removeTopic("other"),
                Command.removeTopic("unknown"),
                Command.resetTopics(),
            )
        if (mode == Mode.Symmetric) return both + Command.setIdKey(IdKey.random())
        val peer = ClientId.fromName("a")
        return both + Command.setPubKey(peer, SigningKey.random().publicKey) + Command.removePubKey(peer) +
            Command.resetPubKeys() + Command.setSigningKey(SigningKey.random())
    }

    /**
     * Each command, failing at each of its calls: the old state, in RAM and in the storage, and the
     * same bytes again are applied when the storage works.
     */
    @Test
    fun aStorageThatThrowsAtAnyCall() = bothModes { mode ->
        var failures = 0
        for (at in commands(mode).indices) {
            var call = 1
            while (true) {
                val storage = Records()
                val pair = make(mode, storage)
                val script = commands(mode)
                for (n in 0 until at) pair.attempt(script[n], NOW + n)
                val before = pair.client.digest()
                val public = pair.client.publicKey
                val protected = script[at].protectFor(pair.key, NOW + at)
                storage.failFrom = storage.calls + call++
                val result = runCatching { pair.client.unprotect(pair.client.controlTopic, protected, NOW + at) }
                storage.failFrom = Int.MAX_VALUE
                val thrown = result.exceptionOrNull() ?: break
                failures++
                assertEquals(E4Error.Storage, assertIs<E4Exception>(thrown).error)
                assertSame(storage.error, thrown.cause)
                assertContentEquals(before, pair.client.digest())
                assertEquals(public, pair.client.publicKey)
                assertContentEquals(before, Client.open(storage).digest())
                assertIs<Unprotected.CommandApplied>(
                    pair.client.unprotect(pair.client.controlTopic, protected, NOW + at),
                )
            }
        }
        assertTrue(failures >= commands(mode).size)
    }

    @Test
    fun openingAndForgettingThatFail() = bothModes { mode ->
        for (action in listOf("provision", "open", "forget")) {
            var failures = 0
            var call = 1
            while (true) {
                val storage = Records()
                val pair = if (action == "provision") null else withTopic(mode, storage)
                storage.failFrom = storage.calls + call++
                val result =
                    runCatching {
                        when (action) {
                            "provision" -> make(mode, storage)
                            "open" -> Client.open(storage)
                            else -> pair?.client?.forget()
                        }
                    }
                storage.failFrom = Int.MAX_VALUE
                val thrown = result.exceptionOrNull() ?: break
                failures++
                assertSame(storage.error, assertIs<E4Exception>(thrown).cause)
                try {
                    Client.open(storage).mode
                } catch (e: E4Exception) {
                    assertEquals(E4Error.NotProvisioned, e.error)
                    assertFalse(action == "open")
                    make(mode, storage)
                }
            }
            assertTrue(failures >= 2, action)
        }
    }

    @Test
    fun wrongStorages() {
        val storage = Records()
        val pair = make(Mode.Symmetric, storage)
        storage.error = E4Exception(E4Error.StorageFull, "no place")
        storage.failFrom = 0
        fails(E4Error.StorageFull) { pair.attempt(Command.resetTopics()) }
        storage.error = StackOverflowError()
        assertFailsWith<StackOverflowError> { pair.attempt(Command.resetTopics()) }
        storage.failFrom = Int.MAX_VALUE
        pair.command(Command.resetTopics())
        storage.held[0] = ByteArray(5000)
        fails(E4Error.StateIncompatible) { Client.open(storage) }
        storage.held[0] = ByteArray(30)
        assertFailsWith<E4Exception> { Client.open(storage) }
    }

    @Test
    fun aStorageThatUsesItsOwnClient() {
        lateinit var client: Client
        var use = false
        val records = Records()
        val storage =
            object : Storage by records {
                override fun write(record: Int, bytes: ByteArray) {
                    if (use) client.digest()
                    records.write(record, bytes)
                }
            }
        val pair = make(Mode.Symmetric, storage)
        client = pair.client
        use = true
        val thrown = fails(E4Error.Storage) { pair.attempt(Command.resetTopics()) }
        assertEquals(E4Error.InvalidParameter, assertIs<E4Exception>(thrown.cause).error)
        use = false
        pair.command(Command.resetTopics())
    }

    private fun runThreads(count: Int = 8, work: (Int) -> Unit) {
        val thrown = java.util.concurrent.ConcurrentLinkedQueue<Throwable>()
        val threads = List(count) { n -> thread(isDaemon = true) { runCatching { work(n) }.onFailure(thrown::add) } }
        for (each in threads) {
            each.join(60_000)
            assertFalse(each.isAlive, "deadlock")
        }
        thrown.firstOrNull()?.let { throw it }
    }

    private fun workOn(pair: Pair2, stamps: AtomicInteger, number: Int, rounds: Int) {
        val topic = "topic/$number"
        repeat(rounds) { n ->
            val now = NOW + stamps.getAndIncrement() / 50
            val message = ByteArray(if (n % 10 == 0) 20_000 else n) { number.toByte() }
            try {
                pair.attempt(Command.setTopicKey(topic, TopicKey.random()), now)
            } catch (e: E4Exception) {
                if (e.error != E4Error.Replayed) throw e
                return@repeat // Another thread was a second ahead.
            }
            val got = pair.client.unprotect(topic, pair.client.protect(topic, message, now), now)
            assertContentEquals(message, assertIs<Unprotected.Message>(got).plaintext)
            val batch = pair.client.protectMany(List(3) { Item(topic, message) }, now)
            val opened = pair.client.unprotectMany(batch.map { Item(topic, it) }, now)
            assertTrue(opened.all { it.isSuccess })
        }
    }

    @Test
    fun eightThreadsOnOneClient() = bothModes { mode ->
        for (storage in listOf(Records(), MemoryStorage())) {
            val pair = make(mode, storage).also(::hearsItself)
            val stamps = AtomicInteger()
            runThreads { workOn(pair, stamps, it, 60) }
            assertEquals(8, pair.client.topicCount)
            assertContentEquals(pair.client.digest(), Client.open(storage).digest())
        }
    }

    @Test
    fun eightThreadsOnManyClients() = bothModes { mode ->
        val folder = temporary()
        val pairs =
            List(8) { n ->
                val storage =
                    when (n % 3) {
                        0 -> MemoryStorage()
                        1 -> Records()
                        else -> FileStorage(File(folder, "$n.e4state"))
                    }
                make(mode, storage, "client-$n").also(::hearsItself)
            }
        val stamps = AtomicInteger()
        runThreads { workOn(pairs[it], stamps, it, 30) }
        for (pair in pairs) assertEquals(1, pair.client.topicCount)
    }
}
