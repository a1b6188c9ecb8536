// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import io.e4.Client
import io.e4.E4Error
import io.e4.E4Exception
import io.e4.Settings
import io.e4.SigningKey
import io.e4.TopicKey

// Kinds of vectors with a client, and the table of all kinds.

private val BASE = "09" + "00".repeat(31)
private val ANY_ID = "03".repeat(16)

private fun peers(out: Fields, e4go: String = "e4go", libe4: String = "libe4"): List<Peer> =
    listOf("e4go" to e4go, "libe4" to libe4).mapNotNull { (who, at) -> out.innerOrNull(at)?.let { Peer(who, it) } }

private fun clock(given: Fields, peers: List<Peer>): Long =
    given.longOrNull("receiver_clock_s") ?: peers.firstNotNullOf { clock(it.value) }

private fun topics(given: Fields): List<String> {
    val own = given.textOrNull("topic") ?: "e4/"
    val initial = given.list("initial_topics").filterIsInstance<String>()
    val named = initial + given.pairs("receiver_topic_keys").keys
    return if (own.startsWith("e4/")) named else named + own
}

private fun messages(given: Fields, out: Fields): List<Rule> {
    val topic = given.text("topic")
    val payload = unhex(given.text("payload"))
    val protected = out.text("protected")
    val sent = out.long("timestamp")
    same("payload_len", given.long("payload_len"), payload.size.toLong())
    val hash = sha3(topic).take(32)
    same("topic_hash", given.text("topic_hash"), hash)
    val peers = peers(out, "opened_by_e4go", "opened_by_libe4")
    val signed = given.has("signer_id")
    val state: State
    if (signed) {
        val key = SigningKey.fromSeed(unhex(given.text("signer_ed_seed")))
        same("signer_ed_public", given.text("signer_ed_public"), key.publicKey.hex)
        state = State(given.text("signer_id"), hex(key.expose()), BASE)
        state.peers[state.id] = given.text("signer_ed_public")
    } else {
        state = State(ANY_ID, "07".repeat(32))
        val made = TopicKey.fromBytes(unhex(given.text("topic_key"))).protect(payload, time(sent))
        same("protected without a client", protected, hex(made))
    }
    state.topics[hash] = given.text("topic_key")
    val device = Device.provision(state)
    // Section 10: what libe4 signs with a key in our form never verifies; all before it is the same.
    val unsigned = signed && peers.none { it.accepted }
    val length = if (unsigned) protected.length - 128 else protected.length
    val made = hex(device.client.protect(topic, payload, time(sent)))
    same("protected", protected.take(length), made.take(length))
    val (ours, _) = device.step(clock(given, peers), topic, protected, peers)
    val expected = if (unsigned) Got.Refused(E4Error.SignatureInvalid) else Got.Message(given.text("payload"))
    same("opened", expected, ours)
    return device.rules
}

private fun anyReceiver(given: Fields): State {
    val id = given.textOrNull("receiver_id") ?: ANY_ID
    return try {
        ownKeys(given).let { (own, c2) -> State(id, own, c2) }
    } catch (_: CheckFailed) {
        // The case names the signer, or nobody; any receiver will do.
        if (!given.has("signer_id")) return State(id, "07".repeat(32))
        State(id, hex(SigningKey.fromSeed(ByteArray(32) { 5 }).expose()), BASE)
    }
}

private fun oneMessage(given: Fields, out: Fields): List<Rule> {
    if (given.textOrNull("op") == "protect") return protectRefused(given, out)
    val options = given.longOrNull("libe4_opts") ?: 0
    val wide = if (options and 1 != 0L) UInt.MAX_VALUE else 600u
    val settings = Settings(past = wide, future = wide, acceptUnknownSigners = options and 2 != 0L)
    val topic = given.text("topic")
    val state =
        if (given.has("receiver_topic_keys")) {
            initial(given)
        } else {
            anyReceiver(given).also {
                it.topics[sha3(topic).take(32)] = given.text("topic_key")
                if (given.has("signer_id")) it.peers[given.text("signer_id")] = given.text("signer_ed_public")
            }
        }
    val peers = peers(out)
    val now = clock(given, peers)
    val device = Device.provision(state, settings, options)
    val (ours, _) = device.step(now, topic, given.text("protected"), peers)
    if (ours is Got.Message && peers.none { it.value.has("payload") }) {
        val name = if (given.has("payload")) "payload" else "original_payload"
        same(name, given.text(name), ours.plaintext)
    }
    device.trial(now, topics(given))
    return device.rules
}

private fun protectRefused(given: Fields, out: Fields): List<Rule> {
    val topic = given.text("topic")
    val payload = unhex(given.text("original_payload"))
    val state = anyReceiver(given)
    val key = given.textOrNull("topic_key")?.let { attempt { TopicKey.fromBytes(unhex(it)) } }
    key?.value?.let { state.topics[sha3(topic).take(32)] = hex(it.expose()) }
    val device = Device.provision(state)
    val peers = peers(out)
    val now = clock(given, peers)
    val got = if (key?.error != null) key.error else attempt { device.client.protect(topic, payload, time(now)) }.error
    if (topic == state.controlTopic) {
        // Section 7; libe4 uses the id key, and e4go misses a topic key.
        same("protect for the control topic", E4Error.InvalidTopic, got)
        return emptyList()
    }
    for (peer in peers) {
        if (peer.accepted) {
            val theirs = peer.value.text("protected")
            val sent = theirs.take(16).chunked(2).reversed().joinToString("").toULong(16).toLong()
            same("protected", theirs, hex(device.client.protect(topic, payload, time(sent))))
        } else if (peer.error != got) {
            fail("protect: ${peer.who} answers ${peer.text}, got $got")
        }
    }
    return emptyList()
}

private fun commands(given: Fields, out: Fields): List<Rule> {
    val state = initial(given)
    val peers = peers(out)
    val now = clock(given, peers)
    val topic = given.text("receiving_topic")
    same("receiving_topic", topic, state.controlTopic)
    given.textOrNull("shared_key")?.let { same("shared_key", it, hex(secretOf(commandKey(state)))) }
    val device = Device.provision(state)
    val (ours, command) = device.step(now, topic, given.text("protected"), peers)
    if (given.has("command") && command != null) same("command", given.text("command"), command)
    for (peer in peers) {
        val theirs = peer.value.innerOrNull("state") ?: continue
        if (peer.accepted == (ours !is Got.Refused)) device.sameAs(peer.who, theirs)
    }
    device.trial(now, topics(given))
    return device.rules
}

private fun sequences(given: Fields, case: Fields): List<Rule> {
    val client = Client.importE4go(given.text("initial_e4go_json").toByteArray())
    val device = Device.imported(client, stateOf(given.inner("initial_state")))
    var last = 0L
    var diverged = false
    for (step in case.objects("steps")) {
        val expect = Peer("e4go", step.inner("expect"))
        last = clock(expect.value) ?: last
        if (step.text("do") == "protect") {
            protectStep(device, step, expect, last)
            continue
        }
        val (_, command) = device.step(last, step.text("topic"), step.text("protected"), listOf(expect))
        if (step.has("command") && command != null) same("command", step.text("command"), command)
        val theirs = expect.value.innerOrNull("state") ?: continue
        // A peer that applies what we refuse, or the reverse, has another state from there on.
        try {
            device.sameAs("e4go", theirs)
        } catch (e: CheckFailed) {
            if (!diverged && !device.diverged) throw e
            diverged = true
        }
    }
    case.textOrNull("final_e4go_json")?.takeIf { !diverged }?.let { file ->
        val after = attempt { Client.importE4go(file.toByteArray()) }
        // Section 4: e4go keeps a C2 key that it refused; we take no such file.
        if (after.error != E4Error.InvalidKey || device.state.refusedC2 == null) {
            Device.imported(after.value ?: fail("e4go's file: ${after.error}"), device.state)
        }
    }
    device.trial(last, topics(given))
    return device.rules
}

private fun protectStep(device: Device, step: Fields, expect: Peer, now: Long) {
    val topic = textBytes(step, "topic")
    val payload = unhex(step.text("payload"))
    if (!expect.accepted) {
        return same("accepted", false, attempt { device.client.protect(strict(topic), payload, time(now)) }.ok)
    }
    val theirs = expect.value.text("protected")
    val sent = theirs.take(16).chunked(2).reversed().joinToString("").toULong(16).toLong()
    same("protected", theirs, hex(device.client.protect(strict(topic), payload, time(sent))))
}

private fun transition(given: Fields, out: Fields): List<Rule> {
    val state = stateOf(given.inner("state"))
    val topic = given.text("topic")
    val hash = sha3(topic).take(32)
    same("new_key", given.text("new_key"), state.topics[hash])
    same("transition_entry_key", given.text("transition_entry_key"), sha3Hex(hash).take(32))
    state.previous[hash]?.let {
        same("transition_ts", given.long("transition_ts"), it.at)
        same("old_key", given.text("old_key"), it.key)
    }
    // Section 1: the tolerance into the future is a setting; this is e4go's.
    val client = Client.importE4go(given.text("e4go_json").toByteArray(), settings = Settings(future = 0u))
    val device = Device.imported(client, state)
    val peers = peers(out)
    val now = clock(given, peers)
    device.step(now, topic, given.text("protected"), peers)
    device.trial(now, listOf(topic))
    return device.rules
}

private fun libe4Sequences(given: Fields, case: Fields): List<Rule> {
    val state = initial(given)
    given.textOrNull("extra_signer_ed_public")?.let { state.peers[given.text("extra_signer_id")] = it }
    val client = Client.importLibe4(unhex(given.text("libe4_store_file_before")))
    val device = Device.imported(client, state)
    var last = 0L
    for (step in case.objects("steps")) {
        val expect = Peer("libe4", step.inner("expect"))
        last = clock(expect.value) ?: last
        device.step(last, step.text("topic"), step.text("protected"), listOf(expect))
        device.sameAs("libe4", step.inner("state"))
    }
    val after = device.state.copy()
    after.peers += after.removed // Section 10: libe4 keeps what it was told to remove.
    Device.imported(Client.importLibe4(unhex(case.text("libe4_store_file_after"))), after)
    device.trial(last, topics(given))
    return device.rules
}

private fun plain(run: (Fields, Fields) -> Unit): (Fields, Fields, Fields) -> List<Rule> =
    { given, out, _ ->
        run(given, out)
        emptyList()
    }

val KINDS: Map<String, (Fields, Fields, Fields) -> List<Rule>> =
    mapOf(
        "id_from_alias" to plain(::idFromAlias),
        "topic_hash" to plain(::topicHash),
        "password_symkey" to plain { given, out -> password(given, out, pair = false) },
        "password_ed25519" to plain { given, out -> password(given, out, pair = true) },
        "ed25519_to_x25519" to plain(::conversion),
        "ed25519_to_x25519_edge" to plain(::conversionEdge),
        "shared_key" to plain(::sharedKey),
        "shared_key_negative" to plain(::sharedKeyNegative),
        "aes_siv" to plain(::aesSiv),
        "aes_siv_negative" to plain(::aesSivNegative),
        "commands_plain" to { given, out, case -> commandsPlain(given, out, case.text("command")) },
        "sk_messages" to { given, out, _ -> messages(given, out) },
        "pk_messages" to { given, out, _ -> messages(given, out) },
        "negative_sk" to { given, out, _ -> oneMessage(given, out) },
        "negative_pk" to { given, out, _ -> oneMessage(given, out) },
        "timestamps" to { given, out, _ -> oneMessage(given, out) },
        "commands_protected" to { given, out, _ -> commands(given, out) },
        "negative_commands" to { given, out, _ -> commands(given, out) },
        "sequences" to { given, _, case -> sequences(given, case) },
        "transition_expiry" to { given, out, _ -> transition(given, out) },
        "libe4_sequences" to { given, _, case -> libe4Sequences(given, case) },
    )
