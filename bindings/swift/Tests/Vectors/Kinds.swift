// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation

// Kinds of vectors with a client, and the choice of the kind.

private let base = "09" + String(repeating: "00", count: 31)
private let anyId = String(repeating: "03", count: 16)

private func peers(_ out: Fields, _ e4go: String = "e4go", _ libe4: String = "libe4") -> [Peer] {
    [("e4go", e4go), ("libe4", libe4)].compactMap { who, at in
        out.innerOrNil(at).map { Peer(who: who, value: $0) }
    }
}

private func clock(_ given: Fields, _ peers: [Peer]) throws -> UInt64 {
    let times = [given.numberOrNil("receiver_clock_s")] + peers.map { clock($0.value) }
    guard let time = times.compactMap({ $0 }).first else { throw fail("no clock") }
    return time
}

private func topics(_ given: Fields) -> [String] {
    let own = given.textOrNil("topic") ?? "e4/"
    let initial = given.list("initial_topics").compactMap { $0 as? String }
    let named = initial + given.pairs("receiver_topic_keys").keys
    return own.hasPrefix("e4/") ? named : named + [own]
}

private func messages(_ given: Fields, _ out: Fields) throws -> [Rule] {
    let topic = try given.text("topic")
    let payload = unhex(try given.text("payload"))
    let protected = try out.text("protected")
    let sent = time(try out.number("timestamp"))
    try same("payload_len", given.number("payload_len"), UInt64(payload.count))
    let hash = sha3(topic).first(32)
    try same("topic_hash", given.text("topic_hash"), hash)
    let peers = peers(out, "opened_by_e4go", "opened_by_libe4")
    var state: State
    if let id = given.textOrNil("signer_id") {
        let key = try SigningKey(seed: unhex(given.text("signer_ed_seed")))
        try same("signer_ed_public", given.text("signer_ed_public"), key.publicKey.hex)
        state = State(id, hex(try key.expose()), base)
        state.peers[id] = try given.text("signer_ed_public")
    } else {
        state = State(anyId, String(repeating: "07", count: 32))
        let key = try TopicKey(bytes: unhex(given.text("topic_key")))
        try same("protected without a client", protected, hex(key.protect(payload, now: sent)))
    }
    state.topics[hash] = try given.text("topic_key")
    let device = try Device.provision(state)
    // Section 10: what libe4 signs with a key in our form never verifies; all before it is the same.
    let unsigned = state.c2 != nil && !peers.contains(where: \.accepted)
    let length = unsigned ? protected.count - 128 : protected.count
    let made = hex(try device.client.protect(topic, payload, now: sent))
    try same("protected", protected.first(length), made.first(length))
    let (ours, _) = try device.step(clock(given, peers), topic, protected, peers)
    let expected = unsigned ? Got.refused(.signatureInvalid) : .message(try given.text("payload"))
    try same("opened", expected, ours)
    return device.rules
}

private func anyReceiver(_ given: Fields) throws -> State {
    let id = given.textOrNil("receiver_id") ?? anyId
    if let (own, c2) = try? ownKeys(given) { return State(id, own, c2) }
    // The case names the signer, or nobody; any receiver will do.
    if !given.has("signer_id") { return State(id, String(repeating: "07", count: 32)) }
    let any = try SigningKey(seed: Data(repeating: 5, count: 32))
    return State(id, hex(try any.expose()), base)
}

private func oneMessage(_ given: Fields, _ out: Fields) throws -> [Rule] {
    if given.textOrNil("op") == "protect" { return try protectRefused(given, out) }
    let options = given.numberOrNil("libe4_opts") ?? 0
    let wide: UInt32 = options & 1 != 0 ? .max : 600
    let settings = Settings(past: wide, future: wide, acceptUnknownSigners: options & 2 != 0)
    let topic = try given.text("topic")
    var state: State
    if given.has("receiver_topic_keys") {
        state = try initial(given)
    } else {
        state = try anyReceiver(given)
        state.topics[sha3(topic).first(32)] = try given.text("topic_key")
        if let id = given.textOrNil("signer_id") {
            state.peers[id] = try given.text("signer_ed_public")
        }
    }
    let peers = peers(out)
    let now = try clock(given, peers)
    let device = try Device.provision(state, settings, options: options)
    let (ours, _) = try device.step(now, topic, given.text("protected"), peers)
    if case .message(let plaintext) = ours, !peers.contains(where: { $0.value.has("payload") }) {
        let name = given.has("payload") ? "payload" : "original_payload"
        try same(name, given.text(name), plaintext)
    }
    try device.trial(now, topics(given))
    return device.rules
}

private func protectRefused(_ given: Fields, _ out: Fields) throws -> [Rule] {
    let topic = try given.text("topic")
    let payload = unhex(try given.text("original_payload"))
    var state = try anyReceiver(given)
    let key = try given.textOrNil("topic_key").map { digits in
        try attempt { try TopicKey(bytes: unhex(digits)) }
    }
    if let made = key?.value { state.topics[sha3(topic).first(32)] = hex(try made.expose()) }
    let device = try Device.provision(state)
    let peers = peers(out)
    let now = try clock(given, peers)
    let tried = try attempt { try device.client.protect(topic, payload, now: time(now)) }
    let got = key?.error ?? tried.error
    if topic == state.controlTopic {
        // Section 7; libe4 uses the id key, and e4go misses a topic key.
        try same("protect for the control topic", E4Error.invalidTopic, got)
        return []
    }
    for peer in peers {
        if peer.accepted {
            let theirs = try peer.value.text("protected")
            let sent = time(littleEndian(theirs.prefix(16)))
            try same("protected", theirs, hex(device.client.protect(topic, payload, now: sent)))
        } else if peer.error != got {
            throw fail("protect: \(peer.who) answers \(peer.text), got \(String(describing: got))")
        }
    }
    return []
}

private func commands(_ given: Fields, _ out: Fields) throws -> [Rule] {
    let state = try initial(given)
    let peers = peers(out)
    let now = try clock(given, peers)
    let topic = try given.text("receiving_topic")
    try same("receiving_topic", topic, state.controlTopic)
    if let shared = given.textOrNil("shared_key") {
        try same("shared_key", shared, hex(commandKey(state).expose()))
    }
    let device = try Device.provision(state)
    let (ours, command) = try device.step(now, topic, given.text("protected"), peers)
    if let theirs = given.textOrNil("command"), let command { try same("command", theirs, command) }
    for peer in peers {
        if let theirs = peer.value.innerOrNil("state"), peer.accepted == (ours.error == nil) {
            try device.sameAs(peer.who, theirs)
        }
    }
    try device.trial(now, topics(given))
    return device.rules
}

private func sequences(_ given: Fields, _ whole: Fields) throws -> [Rule] {
    let client = try Client.importE4go(Data(given.text("initial_e4go_json").utf8))
    let device = try Device.imported(client, stateOf(given.inner("initial_state")))
    var last: UInt64 = 0
    var diverged = false
    for step in whole.objects("steps") {
        let expect = Peer(who: "e4go", value: try step.inner("expect"))
        last = clock(expect.value) ?? last
        if try step.text("do") == "protect" {
            try protectStep(device, step, expect, last)
            continue
        }
        let (_, command) = try device.step(
            last, step.text("topic"), step.text("protected"), [expect])
        if let theirs = step.textOrNil("command"), let command {
            try same("command", theirs, command)
        }
        guard let theirs = expect.value.innerOrNil("state") else { continue }
        // A peer that applies what we refuse, or the reverse, has another state from there on.
        do {
            try device.sameAs("e4go", theirs)
        } catch {
            if !diverged && !device.diverged { throw error }
            diverged = true
        }
    }
    if let file = whole.textOrNil("final_e4go_json"), !diverged {
        let after = try attempt { try Client.importE4go(Data(file.utf8)) }
        // Section 4: e4go keeps a C2 key that it refused; we take no such file.
        if after.error != .invalidKey || device.state.refusedC2 == nil {
            guard let made = after.value else { throw fail("e4go's file is refused") }
            _ = try Device.imported(made, device.state)
        }
    }
    try device.trial(last, topics(given))
    return device.rules
}

private func protectStep(
    _ device: Device, _ step: Fields, _ expect: Peer, _ now: UInt64
) throws {
    let topic = try textBytes(step, "topic")
    let payload = unhex(try step.text("payload"))
    if !expect.accepted {
        let got = try attempt { try device.client.protect(strict(topic), payload, now: time(now)) }
        return try same("accepted", false, got.ok)
    }
    let theirs = try expect.value.text("protected")
    let sent = time(littleEndian(theirs.prefix(16)))
    try same("protected", theirs, hex(device.client.protect(strict(topic), payload, now: sent)))
}

private func transition(_ given: Fields, _ out: Fields) throws -> [Rule] {
    let state = try stateOf(given.inner("state"))
    let topic = try given.text("topic")
    let hash = sha3(topic).first(32)
    try same("new_key", given.text("new_key"), state.topics[hash])
    try same("transition_entry_key", given.text("transition_entry_key"), sha3Hex(hash).first(32))
    if let previous = state.previous[hash] {
        try same("transition_ts", given.number("transition_ts"), previous.at)
        try same("old_key", given.text("old_key"), previous.key)
    }
    // Section 1: the tolerance into the future is a setting; this is e4go's.
    let client = try Client.importE4go(
        Data(given.text("e4go_json").utf8), settings: Settings(future: 0))
    let device = try Device.imported(client, state)
    let peers = peers(out)
    let now = try clock(given, peers)
    try device.step(now, topic, given.text("protected"), peers)
    try device.trial(now, [topic])
    return device.rules
}

private func libe4Sequences(_ given: Fields, _ whole: Fields) throws -> [Rule] {
    var state = try initial(given)
    if let key = given.textOrNil("extra_signer_ed_public") {
        state.peers[try given.text("extra_signer_id")] = key
    }
    let client = try Client.importLibe4(unhex(given.text("libe4_store_file_before")))
    let device = try Device.imported(client, state)
    var last: UInt64 = 0
    for step in whole.objects("steps") {
        let expect = Peer(who: "libe4", value: try step.inner("expect"))
        last = clock(expect.value) ?? last
        try device.step(last, step.text("topic"), step.text("protected"), [expect])
        try device.sameAs("libe4", step.inner("state"))
    }
    var after = device.state
    // Section 10: libe4 keeps what it was told to remove.
    after.peers.merge(after.removed) { _, removed in removed }
    _ = try Device.imported(
        Client.importLibe4(unhex(whole.text("libe4_store_file_after"))), after)
    try device.trial(last, topics(given))
    return device.rules
}

/// Runs a case; the rules that it needed, or nil for a kind that is not known.
func run(_ kind: String, _ whole: Fields) throws -> [Rule]? {
    let given = whole.innerOrNil("in") ?? Fields(map: [:])
    let out = whole.innerOrNil("out") ?? Fields(map: [:])
    switch kind {
    case "id_from_alias": try idFromAlias(given, out)
    case "topic_hash": try topicHash(given, out)
    case "password_symkey": try password(given, out, pair: false)
    case "password_ed25519": try password(given, out, pair: true)
    case "ed25519_to_x25519": try conversion(given, out)
    case "ed25519_to_x25519_edge": try conversionEdge(given, out)
    case "shared_key": try sharedKey(given, out)
    case "shared_key_negative": try sharedKeyNegative(given, out)
    case "aes_siv": try aesSiv(given, out)
    case "aes_siv_negative": try aesSivNegative(given, out)
    case "commands_plain": return try commandsPlain(given, out, whole.text("command"))
    case "sk_messages", "pk_messages": return try messages(given, out)
    case "negative_sk", "negative_pk", "timestamps": return try oneMessage(given, out)
    case "commands_protected", "negative_commands": return try commands(given, out)
    case "sequences": return try sequences(given, whole)
    case "transition_expiry": return try transition(given, out)
    case "libe4_sequences": return try libe4Sequences(given, whole)
    default: return nil
    }
    return []
}
