// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import io.e4.C2PublicKey
import io.e4.C2SecretKey
import io.e4.ClientId
import io.e4.Command
import io.e4.E4Library
import io.e4.E4Error
import io.e4.E4Exception
import io.e4.IdKey
import io.e4.PublicKey
import io.e4.SharedKey
import io.e4.SigningKey
import io.e4.TopicHash
import io.e4.TopicKey
import java.math.BigInteger
import java.nio.charset.CharacterCodingException

// Kinds of vectors without a client: ids, keys, sealing, agreement, plain commands.

/** The value of a call, or the error with which it was refused; null is text that is not UTF-8. */
class Tried<T>(val value: T?, val error: E4Error?) {
    val ok get() = value != null
}

fun <T : Any> attempt(call: () -> T): Tried<T> =
    try {
        Tried(call(), null)
    } catch (e: E4Exception) {
        Tried(null, e.error)
    } catch (_: CharacterCodingException) {
        Tried(null, null)
    }

/** A text that may also be given in hexadecimal, which then counts: it need not be UTF-8. */
fun textBytes(value: Fields, name: String): ByteArray =
    value.textOrNull(name + "_hex")?.let(::unhex) ?: value.text(name).toByteArray()

fun strict(bytes: ByteArray): String = bytes.decodeToString(throwOnInvalidSequence = true)

fun sameError(text: String?, got: E4Error?) {
    val expected = errorOf(text.orEmpty())
    if (expected != null && got != null) same("error", expected, got)
}

fun sameAsAll(value: Fields, names: String, got: String) {
    for (name in names.split(" ")) value.textOrNull(name)?.let { same(name, it, got) }
}

fun idFromAlias(given: Fields, out: Fields) {
    val alias = textBytes(given, "alias")
    val id = sha3(alias).take(32)
    sameAsAll(out, "id libe4_id", id)
    val got = attempt { ClientId.fromName(strict(alias)) }
    val theirs = out.textOrNull("e4go_validate_name_error")
    same("accepted", theirs == null, got.ok)
    val made = got.value ?: return sameError(theirs, got.error)
    same("id", id, made.hex)
    same("receiving_topic", out.text("receiving_topic"), made.controlTopic)
}

fun topicHash(given: Fields, out: Fields) {
    val topic = textBytes(given, "topic")
    val hash = sha3(topic).take(32)
    sameAsAll(out, "hash libe4_hash", hash)
    sameAsAll(out, "hash_of_hash", sha3Hex(hash).take(32))
    val got = attempt { TopicHash.fromTopic(strict(topic)) }
    if (got.value == null) {
        // Section 1: 1 to 65,535 bytes of UTF-8.
        same("refused", false, topic.size in 1..65_535 && got.error != null)
        same("e4go takes it", true, out.has("e4go_validate_topic_error"))
    } else {
        same("hash", hash, got.value.hex)
    }
}

fun password(given: Fields, out: Fields, pair: Boolean) {
    val secret = unhex(given.text("password_hex"))
    val got =
        attempt {
            if (pair) {
                SigningKey.fromPasswordBlocking(strict(secret)).expose()
            } else {
                IdKey.fromPasswordBlocking(strict(secret)).expose()
            }
        }
    same("accepted", out.flag("ok"), got.ok)
    val key = hex(got.value ?: return sameError(out.textOrNull("error"), got.error))
    sameAsAll(out, "key private", key)
    sameAsAll(out, "seed", key.take(64))
    sameAsAll(out, "public", key.drop(64))
}

fun conversion(given: Fields, out: Fields) {
    val key = SigningKey.fromSeed(unhex(given.text("ed_seed")))
    same("ed_private", given.text("ed_private"), hex(key.expose()))
    same("ed_public", given.text("ed_public"), key.publicKey.hex)
    val public = hex(PublicKey.fromBytes(unhex(given.text("ed_public"))).toX25519())
    sameAsAll(out, "x_public x_private_times_base libe4_x_public", public)
    sameAsAll(out, "x_private libe4_x_private", hex(key.toX25519()))
    same("times base", public, C2SecretKey.fromBytes(key.toX25519()).publicKey.hex)
}

fun conversionEdge(given: Fields, out: Fields) {
    val key = unhex(given.text("ed_public"))
    val got = attempt { PublicKey.fromBytes(key) }
    same("usable by section 4", usablePeer(key), got.ok)
    val made = got.value ?: return same("error", E4Error.InvalidKey, got.error)
    for (who in listOf("e4go", "libe4")) {
        same("$who takes it", true, out.inner(who).flag("ok"))
        sameAsAll(out.inner(who), "x_public", hex(made.toX25519()))
    }
}

private val P = BigInteger.TWO.pow(255) - BigInteger.valueOf(19)

/** Section 4: canonical, on the curve, not of small order. Written from RFC 8032 5.1.3. */
fun usablePeer(key: ByteArray): Boolean {
    val number = BigInteger(1, key.reversedArray())
    val sign = number.testBit(255)
    val y = number.clearBit(255)
    val d = (BigInteger.valueOf(-121665) * BigInteger.valueOf(121666).modInverse(P)).mod(P)
    val u = (y * y - BigInteger.ONE).mod(P)
    val v = (d * y * y + BigInteger.ONE).mod(P)
    val square = (u * v.modInverse(P)).mod(P)
    val zero = BigInteger.ZERO
    if (y >= P || (square != zero && square.modPow((P - BigInteger.ONE) / BigInteger.TWO, P) != BigInteger.ONE)) {
        return false
    }
    if (square == zero && sign) return false
    // Of small order if y is that of the points of order 1, 2, 4 or 8: x = 0, y = 0, or y^2 + x^2
    // vanishes, as it does where doubling gives a point of order 4.
    return square != zero && y != zero && (y * y + square).mod(P) != zero
}

fun sharedKey(given: Fields, out: Fields) {
    val client = SigningKey.fromBytes(unhex(given.text("client_ed_private")))
    val c2 = C2SecretKey.fromBytes(unhex(given.text("c2_x_private")))
    same("client_ed_public", given.text("client_ed_public"), client.publicKey.hex)
    same("c2_x_public", given.text("c2_x_public"), c2.publicKey.hex)
    val shared = SharedKey.forClient(client, C2PublicKey.fromBytes(unhex(given.text("c2_x_public"))))
    same("both sides", true, shared.isSameAs(SharedKey.forC2(c2, client.publicKey)))
    sameAsAll(out, "shared_key e4go_c2_side libe4_client_side", hex(shared.expose()))
    same("SHA3 of x25519", sha3Hex(out.text("x25519")), hex(shared.expose()))
}

fun sharedKeyNegative(given: Fields, out: Fields) {
    val client = SigningKey.fromBytes(unhex(given.text("client_ed_private")))
    val c2 = unhex(given.text("c2_x_public"))
    val got = attempt { SharedKey.forClient(client, C2PublicKey.fromBytes(c2)) }
    val e4go = out.inner("e4go")
    same("accepted", e4go.flag("ok"), got.ok)
    val made = got.value ?: return sameError(e4go.textOrNull("error"), got.error)
    sameAsAll(e4go, "shared_key", hex(made.expose()))
}

fun aesSiv(given: Fields, out: Fields) {
    val key = TopicKey.fromBytes(unhex(given.text("key")))
    val ad = unhex(given.text("ad"))
    same("ct", out.text("ct"), hex(E4Library.sivSeal(key, unhex(given.text("pt")), ad)))
    same("pt", given.text("pt"), hex(E4Library.sivOpen(key, unhex(out.text("ct")), ad)))
}

fun aesSivNegative(given: Fields, out: Fields) {
    val key = unhex(given.text("key"))
    val got = attempt { E4Library.sivOpen(TopicKey.fromBytes(key), unhex(given.text("ct")), unhex(given.text("ad"))) }
    val e4go = out.inner("e4go")
    same("accepted", e4go.flag("ok"), got.ok)
    val opened = got.value ?: return sameError(e4go.textOrNull("error"), got.error)
    sameAsAll(e4go, "payload pt", hex(opened))
}

private fun build(name: String, given: Fields): Command {
    fun text(name: String) = strict(textBytes(given, name))

    fun bytes(name: String) = unhex(given.text(name))
    return when (name) {
        "remove_topic" -> Command.removeTopic(text("topic"))
        "reset_topics" -> Command.resetTopics()
        "set_topic_key" -> {
            val key = TopicKey.fromBytes(bytes("key"))
            Command.setTopicKey(text("topic"), key)
        }
        "set_id_key" ->
            if (bytes("key").size > 48) {
                Command.setSigningKey(SigningKey.fromBytes(bytes("key")))
            } else {
                Command.setIdKey(IdKey.fromBytes(bytes("key")))
            }
        "remove_pub_key" -> Command.removePubKey(ClientId.fromName(text("name")))
        "reset_pub_keys" -> Command.resetPubKeys()
        "set_pub_key" -> {
            val client = ClientId.fromName(text("name"))
            Command.setPubKey(client, PublicKey.fromBytes(bytes("ed_pub")))
        }
        "set_c2_key" -> Command.setC2Key(C2PublicKey.fromBytes(bytes("c2_pub")))
        else -> fail("unknown command $name")
    }
}

fun commandsPlain(given: Fields, out: Fields, name: String): List<Rule> {
    val got = attempt { build(name, given) }
    if (!out.flag("ok")) {
        if (got.ok) fail("e4go refuses, built ${got.value}")
        sameError(out.textOrNull("error"), got.error)
        return emptyList()
    }
    val plain = out.text("command")
    if (got.value != null) {
        same("command", plain, hex(got.value.encode()))
        same("command read again", plain, hex(Command.decode(unhex(plain)).encode()))
        return emptyList()
    }
    // Section 4: such a key is refused; e4go builds the command.
    same("error", E4Error.InvalidKey, got.error)
    same("error when read", E4Error.InvalidKey, attempt { Command.decode(unhex(plain)) }.error)
    return listOf(Rule(4, "a key that is zero, of small order, undecodable or mismatched is refused"))
}
