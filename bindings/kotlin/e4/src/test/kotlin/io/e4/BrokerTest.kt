// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.examples.Device
import io.e4.examples.initKeys
import org.junit.AfterClass
import org.junit.Assume.assumeTrue
import org.junit.BeforeClass
import java.io.File
import java.net.ServerSocket
import java.net.Socket
import java.nio.file.Files
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/**
 * Through a real broker: Kotlin devices and the device of the `e4` program (E4_PROGRAM), keys by the
 * example's key script.
 */
class BrokerTest {
    private val folder = Files.createTempDirectory("e4-broker").toFile()

    private fun waitFor(what: String, check: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20)
        while (!check()) {
            assertTrue(System.nanoTime() < end, "nothing came: $what")
            Thread.sleep(20)
        }
    }

    /** Key files as `e4 keygen` writes them, and a client of the first name. */
    private fun keys(mode: Mode, names: List<String>): List<Client> {
        val c2 = C2SecretKey.random()
        File(folder, "c2.key").writeBytes(c2.expose())
        File(folder, "c2.key.pub").writeBytes(c2.publicKey.toByteArray())
        return names.map { name ->
            if (mode == Mode.Symmetric) {
                val key = IdKey.random()
                File(folder, "$name.key").writeBytes(key.expose())
                Client.provision(name, key)
            } else {
                val key = SigningKey.random()
                File(folder, "$name.key").writeBytes(key.expose())
                File(folder, "$name.key.pub").writeBytes(key.publicKey.toByteArray())
                Client.provision(name, key, c2.publicKey)
            }
        }
    }

    private fun sendKeys(mode: Mode, names: List<String>): Boolean {
        val suffix = if (mode == Mode.Symmetric) ".key" else ".key.pub"
        val keys = names.flatMap { listOf("--key", "$it=${File(folder, it + suffix)}") }
        val c2 = if (mode == Mode.Symmetric) emptyList() else listOf("--c2-key", "$folder/c2.key")
        return initKeys((listOf("--topic", TOPIC, "--broker", "127.0.0.1:$port") + keys + c2).toTypedArray())
    }

    private class Ears {
        val heard = CopyOnWriteArrayList<String>()

        fun hear(message: Unprotected.Message) {
            heard += String(message.plaintext)
        }
    }

    private fun device(client: Client, ears: Ears): Device =
        Device(client, "127.0.0.1:$port") { _, message -> ears.hear(message) }.also { it.subscribe(TOPIC) }

    @Test
    fun twoKotlinDevices() = bothModes { mode ->
        val names = listOf("one", "two")
        val ears = List(2) { Ears() }
        val devices = keys(mode, names).mapIndexed { n, client -> device(client, ears[n]) }
        assertTrue(sendKeys(mode, names))
        devices[0].publish(TOPIC, "from one".toByteArray())
        devices[1].publish(TOPIC, "from two".toByteArray())
        for (each in ears) waitFor("two messages") { each.heard.toSet() == setOf("from one", "from two") }
        for (each in devices) each.close()
    }

    @Test
    fun aKotlinDeviceAndARustDevice() = bothModes { mode ->
        val program = System.getenv("E4_PROGRAM")
        assumeTrue("E4_PROGRAM does not name the e4 program", program != null)
        val names = listOf("kotlin", "rust")
        val ears = Ears()
        val here = device(keys(mode, names).first(), ears)
        val c2 = if (mode == Mode.Symmetric) emptyList() else listOf("--c2-key", "$folder/c2.key.pub")
        val command =
            listOf(program!!, "device", "--name", "rust", "--key", "$folder/rust.key", "--linger", "1") +
                listOf("--broker", "127.0.0.1:$port", "--state", "$folder/rust-$mode.e4state") + c2
        val rust = ProcessBuilder(command).redirectErrorStream(true).start()
        val lines = CopyOnWriteArrayList<String>()
        thread(isDaemon = true) { rust.inputReader().forEachLine { lines += it } }
        val say = rust.outputWriter()

        fun tell(line: String) = say.run {
            write(line + "\n")
            flush()
        }
        try {
            waitFor("connected, in $lines") { lines.any { "connected" in it } }
            tell("subscribe $TOPIC")
            assertTrue(sendKeys(mode, names))
            waitFor("SetTopicKey, in $lines") { lines.any { "SetTopicKey" in it } }
            tell("send $TOPIC from rust")
            waitFor("a message of the Rust device") { "from rust" in ears.heard }
            here.publish(TOPIC, "from kotlin".toByteArray())
            waitFor("a message of the Kotlin device, in $lines") { lines.any { "from kotlin" in it } }
            say.close()
            assertTrue(rust.waitFor(20, TimeUnit.SECONDS))
            assertEquals(0, rust.exitValue(), "$lines")
            println("$mode: the Rust device heard ${lines.filter { "from kotlin" in it }}, the Kotlin one ${ears.heard}")
        } finally {
            rust.destroyForcibly()
            here.close()
        }
    }

    companion object {
        private var broker: Process? = null
        private var port = 0

        @JvmStatic
        @BeforeClass
        fun start() {
            val places = System.getenv("PATH").split(":") + "/usr/sbin"
            val program = places.map { File(it, "mosquitto") }.find { it.canExecute() }
            assumeTrue("mosquitto is not installed", program != null)
            port = ServerSocket(0).use { it.localPort }
            val quiet = ProcessBuilder.Redirect.DISCARD
            broker =
                ProcessBuilder(program!!.path, "-p", "$port").redirectOutput(quiet).redirectError(quiet).start()
            for (attempt in 1..100) {
                if (runCatching { Socket("127.0.0.1", port).close() }.isSuccess) return
                Thread.sleep(50)
            }
            error("mosquitto does not take connections")
        }

        @JvmStatic
        @AfterClass
        fun stop() {
            broker?.destroy()
        }
    }
}
