// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.examples

import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.IOException
import java.net.Socket
import java.util.Timer
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.concurrent.timer

/** What the examples need of MQTT. An app puts the client that it uses behind this. */
interface Mqtt : AutoCloseable {
    /** Subscribes; done when the broker has acknowledged. */
    fun subscribe(topic: String, qos: Int): CompletableFuture<Unit>

    /** Publishes, not retained; done when the broker has the message for good. */
    fun publish(topic: String, payload: ByteArray, qos: Int): CompletableFuture<Unit>
}

/** `HOST:PORT` or `HOST`. */
fun connect(broker: String, id: String, arrived: (topic: String, payload: ByteArray) -> Unit): Mqtt {
    val (host, port) = broker.split(":").let { it[0] to (it.getOrNull(1)?.toInt() ?: 1883) }
    return SocketMqtt(Socket(host, port), id, arrived)
}

/** MQTT 3.1.1 over a socket, with the JDK alone: QoS 0 to 2, no reconnection. For the examples. */
private class SocketMqtt(
    private val socket: Socket,
    id: String,
    private val arrived: (String, ByteArray) -> Unit,
) : Mqtt {
    private val input = DataInputStream(socket.getInputStream().buffered())
    private val output = DataOutputStream(socket.getOutputStream().buffered())
    private val waiting = ConcurrentHashMap<Int, CompletableFuture<Unit>>()
    private val seen = HashSet<Int>()
    private var lastId = 0
    private val pings: Timer

    init {
        send(0x10) {
            writeUTF("MQTT")
            write(4)
            write(2) // clean session
            writeShort(60)
            writeUTF(id)
        }
        val (type, answer) = receive()
        if (type != 0x20 || answer[1] != 0.toByte()) throw IOException("the broker refuses the connection")
        pings = timer(daemon = true, initialDelay = 30_000, period = 30_000) { send(0xc0) {} }
        thread(isDaemon = true, name = "mqtt") { runCatching { while (true) handle() } }
    }

    private fun send(type: Int, body: DataOutputStream.() -> Unit) {
        val bytes = ByteArrayOutputStream().also { DataOutputStream(it).body() }.toByteArray()
        synchronized(output) {
            output.write(type)
            var length = bytes.size
            do {
                output.write((length and 127) or if (length > 127) 128 else 0)
                length = length shr 7
            } while (length > 0)
            output.write(bytes)
            output.flush()
        }
    }

    private fun receive(): Pair<Int, ByteArray> {
        val type = input.readUnsignedByte()
        var (length, shift) = 0 to 0
        do {
            val digit = input.readUnsignedByte()
            length = length or ((digit and 127) shl shift)
            shift += 7
        } while (digit > 127)
        return type to ByteArray(length).also(input::readFully)
    }

    private fun handle() {
        val (type, bytes) = receive()
        val body = DataInputStream(bytes.inputStream())
        when (type shr 4) {
            3 -> {
                val topic = body.readUTF()
                val qos = (type shr 1) and 3
                val packet = if (qos == 0) 0 else body.readUnsignedShort()
                // With QoS 2 the first one counts, until the sender releases it.
                if (qos < 2 || seen.add(packet)) arrived(topic, body.readAllBytes())
                if (qos > 0) send(if (qos == 1) 0x40 else 0x50) { writeShort(packet) }
            }
            5 -> body.readUnsignedShort().let { packet -> send(0x62) { writeShort(packet) } }
            6 -> {
                val packet = body.readUnsignedShort()
                seen.remove(packet)
                send(0x70) { writeShort(packet) }
            }
            4, 7, 9 -> waiting.remove(body.readUnsignedShort())?.complete(Unit)
        }
    }

    private fun await(packet: Int) = CompletableFuture<Unit>().also { waiting[packet] = it }.orTimeout(20, TimeUnit.SECONDS)

    @Synchronized
    private fun nextId(): Int = (lastId % 65_535 + 1).also { lastId = it }

    override fun subscribe(topic: String, qos: Int): CompletableFuture<Unit> {
        val packet = nextId()
        return await(packet).also {
            send(0x82) {
                writeShort(packet)
                writeUTF(topic)
                write(qos)
            }
        }
    }

    override fun publish(topic: String, payload: ByteArray, qos: Int): CompletableFuture<Unit> {
        val packet = if (qos == 0) 0 else nextId()
        val done = if (qos == 0) CompletableFuture.completedFuture(Unit) else await(packet)
        send(0x30 or (qos shl 1)) {
            writeUTF(topic)
            if (qos > 0) writeShort(packet)
            write(payload)
        }
        return done
    }

    override fun close() {
        pings.cancel()
        runCatching { send(0xe0) {} }
        socket.close()
    }
}
