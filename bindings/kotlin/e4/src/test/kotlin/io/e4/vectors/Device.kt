// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import io.e4.Answer
import io.e4.C2PublicKey
import io.e4.Client
import io.e4.ClientId
import io.e4.Command
import io.e4.CommandKey
import io.e4.E4Library
import io.e4.E4Error
import io.e4.E4Exception
import io.e4.IdKey
import io.e4.PublicKey
import io.e4.Settings
import io.e4.SharedKey
import io.e4.SigningKey
import io.e4.Timestamp
import io.e4.TopicKey
import io.e4.Unprotected
import java.security.MessageDigest
import kotlin.math.abs

private const val SETUP = 1L
private const val PROBE = "probe/of the runner"

fun hex(bytes: ByteArray): String = bytes.joinToString("") { "%02x".format(it) }

fun unhex(digits: String): ByteArray = digits.chunked(2).map { it.toInt(16).toByte() }.toByteArray()

fun sha3(bytes: ByteArray): String = hex(MessageDigest.getInstance("SHA3-256").digest(bytes))

fun sha3(text: String): String = sha3(text.toByteArray())

/** SHA3-256 of what the digits stand for. */
fun sha3Hex(digits: String): String = sha3(unhex(digits))

fun time(seconds: Long) = Timestamp(seconds.toULong())

/** The keys of a client as the cases of every kind name them. */
fun ownKeys(value: Fields): Pair<String, String?> {
    for (name in listOf("client_key", "receiver_key", "key")) {
        value.textOrNull(name)?.let { return it to null }
    }
    for (name in listOf("client_ed_private", "receiver_ed_private", "private_key")) {
        val own = value.textOrNull(name) ?: continue
        return own to value.text(if (value.has("c2_pub")) "c2_pub" else "c2_x_public")
    }
    fail("the case has no key of a client")
}

private fun state(id: String, keys: Pair<String, String?>) = State(id, keys.first, keys.second)

/** The state in e4go's form: 40 bytes under the hash of a topic hash are a replaced key. */
fun stateOf(value: Fields): State {
    val state = state(value.text("id"), ownKeys(value))
    val entries = value.pairs("topic_keys")
    for ((topic, key) in entries.filterValues { it.length == 64 }) {
        state.topics[topic] = key
        val old = entries[sha3Hex(topic).take(32)].orEmpty()
        if (old.length == 80) {
            val at = old.drop(64).chunked(2).reversed().joinToString("").toULong(16).toLong()
            state.previous[topic] = Replaced(old.take(64), at)
        }
    }
    state.peers += value.pairs("pub_keys")
    return state
}

/** What a case says of its client: `client_id` and `initial_*`, or `receiver_*`. */
fun initial(value: Fields): State {
    val state = state(value.text(if (value.has("client_id")) "client_id" else "receiver_id"), ownKeys(value))
    state.topics += value.pairs("initial_topic_keys")
    // Those of a receiver are named by the topic itself.
    for ((topic, key) in value.pairs("receiver_topic_keys")) state.topics[sha3(topic).take(32)] = key
    val from = if (value.has("initial_pub_keys")) "initial_pub_keys" else "receiver_pub_keys"
    state.peers += value.pairs(from)
    return state
}

fun commandKey(state: State): CommandKey {
    val own = unhex(state.own)
    val c2 = state.c2 ?: return IdKey.fromBytes(own)
    return SharedKey.forClient(SigningKey.fromBytes(own), C2PublicKey.fromBytes(unhex(c2)))
}

fun secretOf(key: CommandKey): ByteArray =
    when (key) {
        is IdKey -> key.expose()
        is SharedKey -> key.expose()
    }

/** A client under test, and the tables that it must hold. */
class Device(val client: Client, given: State, private val options: Long = 0) {
    val state = given.copy()
    val rules = mutableListOf<Rule>()
    var diverged = false

    init {
        checkState()
    }

    /** Everything that the API shows of the state. */
    fun checkState() {
        val topics = state.topics.map { (at, key) -> "01" + at + sha3Hex(key) }
        val peers = state.peers.map { (at, key) -> "02$at$key" }
        same("digest", sha3Hex((topics + peers).joinToString("")).take(32), hex(client.digest()))
        val counts = state.topics.size to state.peers.size
        same("counts", counts, client.topicCount to client.peerCount)
        val public = state.c2?.let { PublicKey.fromBytes(unhex(state.own.drop(64))) }
        same("public key", public, client.publicKey)
    }

    /** Gives the client what arrived; returns that, and the plaintext of an authentic command. */
    fun receive(now: Long, topic: String, protected: String): Pair<Got, String?> {
        val isCommand = topic == state.controlTopic
        val bytes = unhex(protected)
        var plain: String? = null
        if (isCommand && bytes.size >= 24) {
            val key = commandKey(state)
            plain = unseal(TopicKey.fromBytes(secretOf(key)), bytes.copyOfRange(8, bytes.size), bytes)
            plain?.let { checkProducer(it, key, bytes) }
        }
        val ours =
            try {
                when (val got = client.unprotect(topic, bytes, time(now))) {
                    is Unprotected.Message -> Got.Message(hex(got.plaintext))
                    is Unprotected.CommandApplied -> Got.Applied(got.opcode.number)
                }
            } catch (e: E4Exception) {
                Got.Refused(e.error)
            }
        if (ours is Got.Applied) {
            apply(plain ?: fail("a command was applied that does not authenticate"), now)
        } else if (plain != null && plain.startsWith("07") && ours == Got.Refused(E4Error.InvalidKey)) {
            state.refusedC2 = plain.drop(2)
        }
        if (isCommand) checkAnswer(now, protected, ours, plain)
        checkState()
        return ours to plain
    }

    private fun checkProducer(plain: String, key: CommandKey, protected: ByteArray) {
        val command =
            try {
                Command.decode(unhex(plain))
            } catch (_: E4Exception) {
                return // What cannot be decoded cannot be built.
            }
        same("encoded command", plain, hex(command.encode()))
        val sent = Timestamp((7 downTo 0).fold(0uL) { all, n -> (all shl 8) or protected[n].toUByte().toULong() })
        same("protected command", hex(protected), hex(command.protectFor(key, sent)))
    }

    private fun apply(plain: String, now: Long) {
        val rest = plain.drop(2)
        when (plain.take(2)) {
            "00" -> {
                state.topics.remove(rest)
                state.previous.remove(rest)
            }
            "01" -> {
                state.topics.clear()
                state.previous.clear()
            }
            "02" -> state.own = rest
            "03" -> {
                val (key, topic) = rest.take(64) to rest.drop(64)
                val old = state.topics.put(topic, key)
                if (old != null && old != key) state.previous[topic] = Replaced(old, now)
            }
            "04" -> state.peers.remove(rest)?.let { state.removed[rest] = it }
            "05" -> {
                state.peers.clear()
                state.removed.clear()
            }
            "06" -> {
                state.removed.remove(rest.drop(64))
                state.peers[rest.drop(64)] = rest.take(64)
            }
            "07" -> state.c2 = rest
        }
    }

    /** A command that authenticated is answered unless it is a replay; nothing else is. */
    private fun checkAnswer(now: Long, protected: String, ours: Got, plain: String?) {
        val answer = client.answer(time(now))
        val unanswered = setOf(E4Error.Replayed, E4Error.TimestampInFuture, E4Error.TimestampTooOld)
        val error = (ours as? Got.Refused)?.error
        if (plain == null || error in unanswered) return same("answer", null, answer)
        answer ?: fail("no answer to a command that authenticated")
        val opened = Answer.open(commandKey(state), answer)
        same("SIV of the answer", protected.drop(16).take(32), opened.command?.let(::hex))
        same("digest of the answer", hex(client.digest()), hex(opened.digest))
        same("status of the answer", error?.number ?: 0, opened.status)
    }

    /** Receives; then the peers' answers are held against what came. */
    fun step(now: Long, topic: String, protected: String, peers: List<Peer>): Pair<Got, String?> {
        val before = state.copy()
        val (ours, plain) = receive(now, topic, protected)
        val settings = client.settings
        diverged = false
        for (peer in peers) {
            val facts =
                Facts(
                    before, settings.past.toLong(), settings.future.toLong(), settings.transition.toLong(),
                    options, clock(peer.value) ?: now, topic, protected, plain, ours,
                    byPrevious(before, topic, protected, ours),
                )
            compare(facts, peer)?.let { rules += it }
            diverged = diverged || peer.accepted == (ours is Got.Refused)
        }
        val allowed = setOf(E4Error.InvalidKey, E4Error.Replayed, E4Error.SignerUnknown)
        if (peers.size == 2 && peers.all { it.accepted } && ours is Got.Refused && ours.error !in allowed) {
            fail("both peers accept, refused with ${ours.error}")
        }
        if (peers.size == 2 && peers.none { it.accepted } && ours !is Got.Refused) {
            fail("both peers refuse, accepted")
        }
        return ours to plain
    }

    /** Whether only a replaced key opens the message. */
    private fun byPrevious(before: State, topic: String, protected: String, ours: Got): Boolean {
        if (ours !is Got.Message) return false
        val key = TopicKey.fromBytes(unhex(before.topics.getValue(sha3(topic).take(32))))
        return unseal(key, sealed(before, unhex(protected)), unhex(protected)) == null
    }

    private fun sealed(state: State, bytes: ByteArray): ByteArray =
        if (state.c2 == null) bytes.copyOfRange(8, bytes.size) else bytes.copyOfRange(24, bytes.size - 64)

    /** The plaintext of SIV and ciphertext whose associated data are the first 8 bytes, or null. */
    private fun unseal(key: TopicKey, sealed: ByteArray, whole: ByteArray): String? =
        try {
            hex(E4Library.sivOpen(key, sealed, whole.copyOf(8)))
        } catch (e: E4Exception) {
            if (e.error != E4Error.InvalidTag) throw e
            null
        }

    /** Compares the tables with the state of a peer. */
    fun sameAs(who: String, value: Fields) {
        val theirs = stateOf(value)
        same("id in $who's state", theirs.id, state.id)
        same("topics in $who's state", theirs.topics, state.topics)
        // Section 10: libe4 keeps what was removed.
        val peers = if (who == "libe4") (state.peers + state.removed).toSortedMap() else state.peers
        same("public keys in $who's state", theirs.peers, peers)
        same("own key in $who's state", theirs.own, state.own)
        // Section 4: a refused command changes nothing; e4go keeps the C2 key that it refused.
        if (who == "libe4" || theirs.c2 != state.refusedC2) same("C2 key in $who's state", theirs.c2, state.c2)
        if (who == "e4go") {
            // The clock is read within the call, and may show the next second.
            same("replaced keys", theirs.previous.keys.toSet(), state.previous.keys.toSet())
            for ((topic, ours) in state.previous) {
                val other = theirs.previous.getValue(topic)
                same("a replaced key", other.key, ours.key)
                if (abs(other.at - ours.at) > 1) fail("the time of replacement differs")
            }
        }
    }

    /** Tries the keys by using them: messages, and a fresh command. */
    fun trial(now: Long, topics: List<String>) {
        for (topic in topics) {
            val key = state.topics[sha3(topic).take(32)]
            same("hasTopic($topic)", key != null, client.hasTopic(topic))
            key ?: continue
            val made = client.protect(topic, "trial".toByteArray(), time(now))
            same("trial", hex("trial".toByteArray()), unseal(TopicKey.fromBytes(unhex(key)), sealed(state, made), made))
        }
        val command = Command.setTopicKey(PROBE, TopicKey.fromBytes(ByteArray(32) { 'Z'.code.toByte() }))
        // A command of the case may be ahead of the clock.
        for (at in listOf(now, now + 600)) {
            val protected = hex(command.protectFor(commandKey(state), time(at)))
            if (receive(at, state.controlTopic, protected).first is Got.Applied) return
        }
        fail("a fresh command under the expected key was refused")
    }

    companion object {
        /** Provisions a client and gives it its keys by commands. */
        fun provision(state: State, settings: Settings = Settings(), options: Long = 0): Device {
            val id = ClientId.fromBytes(unhex(state.id))
            val own = unhex(state.own)
            val c2 = state.c2
            val client =
                if (c2 == null) {
                    Client.provision(id, IdKey.fromBytes(own), settings = settings)
                } else {
                    val key = SigningKey.fromBytes(own)
                    Client.provision(id, key, C2PublicKey.fromBytes(unhex(c2)), settings = settings)
                }
            val topics = state.topics.map { (topic, key) -> "03$key$topic" }
            val peers = state.peers.map { (peer, key) -> "06$key$peer" }
            for (plain in topics + peers) {
                val protected = Command.decode(unhex(plain)).protectFor(commandKey(state), time(SETUP))
                client.unprotect(state.controlTopic, protected, time(SETUP))
            }
            client.answer(time(SETUP))
            return Device(client, state, options)
        }

        fun imported(client: Client, state: State): Device {
            same("imported id", state.id, client.id.hex)
            return Device(client, state)
        }
    }
}
