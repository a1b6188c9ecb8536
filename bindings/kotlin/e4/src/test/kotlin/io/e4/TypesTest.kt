// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.errorTable
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.NotSerializableException
import java.io.ObjectOutputStream
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

class TypesTest {
    @Test
    fun theErrorsAreThoseOfTheTable() {
        val table = errorTable().associate { it.name to it.number }
        assertEquals(table, E4Error.entries.associate { it.name to it.number })
        assertEquals(26, table.size)
        for (row in errorTable()) {
            assertEquals(row.name, E4Error.ofNumber(row.number)?.name)
            val thrown = exception(row.number, row.text)
            assertEquals(row.number, thrown.number)
            assertEquals("${row.text} (${row.number})", thrown.message)
        }
        assertNull(E4Error.ofNumber(0))
    }

    @Test
    fun errorsByWhatCausesThem() {
        val cases =
            listOf<Pair<Int, () -> Any?>>(
                -104 to { TopicKey.random().unprotect(ByteArray(23)) },
                -101 to { TopicKey.random().unprotect(TopicKey.random().protect(ByteArray(3))) },
                -102 to { TopicKey.random().let { it.unprotect(it.protect(ByteArray(3), NOW + 601), NOW) } },
                -103 to { TopicKey.random().let { it.unprotect(it.protect(ByteArray(3), NOW), NOW + 601) } },
                -105 to { make(Mode.Symmetric).client.protect("unknown", ByteArray(1)) },
                -107 to { Command.decode(ByteArray(0)) },
                -112 to { ClientId.fromBytes(ByteArray(15)) },
                -112 to { TopicHash.fromHex("zz") },
                -113 to { Client.importE4go("{}".toByteArray()) },
                -113 to { Client.importLibe4(ByteArray(10)) },
                -114 to { IdKey.fromBytes(ByteArray(32)) },
                -114 to { IdKey.fromBytes(ByteArray(31) { 1 }) },
                -114 to { PublicKey.fromBytes(ByteArray(32)) },
                -114 to { C2PublicKey.fromBytes(ByteArray(32)) },
                -114 to { SigningKey.fromBytes(ByteArray(64) { 1 }) },
                -115 to { ClientId.fromName("") },
                -115 to { ClientId.fromName("x".repeat(256)) },
                -116 to { TopicHash.fromTopic("x".repeat(65_536)) },
                -117 to { IdKey.fromPasswordBlocking("fifteen letters") },
                -118 to { Client.open(MemoryStorage()) },
                -119 to { MemoryStorage().let { make(Mode.Symmetric, it); make(Mode.PublicKey, it) } },
            )
        for ((number, call) in cases) {
            val thrown = assertFailsWith<E4Exception>("$number") { call() }
            assertEquals(number, thrown.number)
        }
    }

    @Test
    fun keysShowNoBytes() {
        val c2 = C2SecretKey.random()
        val signing = SigningKey.random()
        val keys = listOf(IdKey.random(), TopicKey.random(), c2, signing, SharedKey.forC2(c2, signing.publicKey))
        for (key in keys) {
            assertEquals(key.javaClass.simpleName, key.toString())
            val secret = hex(key.expose())
            assertEquals(if (key === signing) 128 else 64, secret.length)
            // What a logger or a debugger prints by reflection is an object of the library's own.
            for (field in key.javaClass.declaredFields) {
                field.isAccessible = true
                assertFalse(secret.take(16) in field.get(key).toString())
            }
            assertFailsWith<NotSerializableException> {
                ObjectOutputStream(ByteArrayOutputStream()).writeObject(key)
            }
            key.close()
            key.close()
            fails(E4Error.InvalidParameter) { key.expose() }
        }
        val command = Command.setTopicKey(TOPIC, TopicKey.random())
        command.close()
        fails(E4Error.InvalidParameter) { command.protectFor(IdKey.random()) }
        assertEquals("Command(closed)", command.toString())
    }

    @Test
    fun keysAndNamesGoInAndOut() {
        val bytes = ByteArray(32) { (it + 1).toByte() }
        assertContentEquals(bytes, IdKey.fromBytes(bytes).expose())
        assertTrue(TopicKey.fromBytes(bytes).isSameAs(TopicKey.fromBytes(bytes)))
        assertFalse(TopicKey.fromBytes(bytes).isSameAs(TopicKey.random()))
        assertNotEquals<Any>(IdKey.fromBytes(bytes), IdKey.fromBytes(bytes))
        val pair = SigningKey.fromSeed(bytes)
        assertContentEquals(pair.expose().copyOfRange(32, 64), pair.publicKey.toByteArray())
        assertEquals(PublicKey.fromBytes(pair.publicKey.toByteArray()), pair.publicKey)
        val c2 = C2SecretKey.fromBytes(bytes)
        assertEquals(C2PublicKey.fromBytes(c2.publicKey.toByteArray()).hashCode(), c2.publicKey.hashCode())
        assertTrue(SharedKey.forClient(pair, c2.publicKey).isSameAs(SharedKey.forC2(c2, pair.publicKey)))
        val id = ClientId.fromName("pump-1")
        assertEquals("332cd2d94155490d07519f9c57831365", id.hex)
        assertEquals(id, ClientId.fromHex(id.hex.uppercase()))
        assertEquals(setOf(id), setOf(id, ClientId.fromBytes(id.toByteArray())))
        assertEquals("3b8821b0d38371bf5b15a6eb2501c399", TopicHash.fromTopic(TOPIC).toString())
        assertNotEquals(ClientId.random(), ClientId.random())
        assertEquals(Timestamp(5uL), Timestamp.ofSeconds(5))
        assertTrue(E4Library.version.isNotEmpty())
    }

    @Test
    fun messagesDoNotPrintTheirText() {
        val message = Unprotected.Message("secret text".toByteArray(), NOW, null)
        assertEquals("Message(11 bytes at $NOW)", message.toString())
    }

    /** What an app can name is the package io.e4 alone: the generated code is internal. */
    @Test
    fun theGeneratedCodeIsHidden() {
        val source = File(System.getProperty("e4.generated") ?: return)
        val shown = Regex("""^(public |open |data |sealed |abstract |inline )*(class|interface|object|fun) .*""")
        val lines = source.readLines()
        assertTrue(lines.size > 1000)
        assertEquals(emptyList(), lines.filter(shown::matches))
    }
}
