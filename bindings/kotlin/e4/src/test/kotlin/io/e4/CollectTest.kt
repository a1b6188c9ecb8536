// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import java.io.File
import kotlin.test.Test
import kotlin.test.assertIs
import kotlin.test.assertTrue

class CollectTest {
    private fun residentKiB(): Long? =
        File("/proc/self/status").takeIf { it.exists() }?.readLines()
            ?.first { it.startsWith("VmRSS") }?.filter(Char::isDigit)?.toLong()

    /** Objects that nobody closes: their native memory is given back. */
    @Test
    fun aMillionObjectsAreCollected() {
        val kept = withTopic(Mode.Symmetric)
        val bytes = ByteArray(32) { 7 }

        fun make(count: Int) {
            repeat(count / 4) {
                TopicKey.fromBytes(bytes)
                IdKey.fromBytes(bytes)
                Command.resetTopics()
                MemoryStorage()
            }
            System.gc()
            Thread.sleep(300)
            System.gc()
        }
        make(100_000)
        val before = residentKiB()
        make(1_000_000)
        // A million objects that stay would take 100 MB and more; the heap has a fixed size.
        residentKiB()?.let {
            println("a million objects: from $before to $it KiB")
            assertTrue(it - before!! < 60_000, "grew from $before to $it KiB")
        }
        kept.command(Command.resetTopics(), NOW + 1)
    }

    @Test
    fun clientsAndTheirStoragesAreCollected() {
        val collected = java.lang.ref.ReferenceQueue<Storage>()
        val watched = mutableListOf<java.lang.ref.PhantomReference<Storage>>()
        repeat(2_000) {
            val storage = Records()
            watched += java.lang.ref.PhantomReference(storage, collected)
            val client = withTopic(Mode.Symmetric, storage).client
            assertIs<Unprotected.Message>(client.unprotect(TOPIC, client.protect(TOPIC, ByteArray(9), NOW), NOW))
        }
        var gone = 0
        for (round in 1..100) {
            System.gc()
            Thread.sleep(30)
            while (collected.poll() != null) gone++
            if (gone >= 1_990) return
        }
        error("$gone of ${watched.size} storages were collected")
    }
}
