// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation

func time(_ seconds: UInt64) -> Timestamp { Timestamp(seconds: seconds) }

/// The keys of a client as the cases of every kind name them.
func ownKeys(_ value: Fields) throws -> (String, String?) {
    for name in ["client_key", "receiver_key", "key"] {
        if let key = value.textOrNil(name) { return (key, nil) }
    }
    for name in ["client_ed_private", "receiver_ed_private", "private_key"] {
        guard let own = value.textOrNil(name) else { continue }
        return (own, try value.text(value.has("c2_pub") ? "c2_pub" : "c2_x_public"))
    }
    throw fail("the case has no key of a client")
}

/// The state in e4go's form: 40 bytes under the hash of a topic hash are a replaced key.
func stateOf(_ value: Fields) throws -> State {
    let (own, c2) = try ownKeys(value)
    var state = State(try value.text("id"), own, c2)
    let entries = value.pairs("topic_keys")
    for (topic, key) in entries where key.count == 64 {
        state.topics[topic] = key
        if let old = entries[sha3Hex(topic).first(32)], old.count == 80 {
            state.previous[topic] = Replaced(key: old.first(64), at: littleEndian(old.suffix(16)))
        }
    }
    state.peers = value.pairs("pub_keys")
    return state
}

/// What a case says of its client: `client_id` and `initial_*`, or `receiver_*`.
func initial(_ value: Fields) throws -> State {
    let (own, c2) = try ownKeys(value)
    var state = State(try value.text(value.has("client_id") ? "client_id" : "receiver_id"), own, c2)
    state.topics = value.pairs("initial_topic_keys")
    // Those of a receiver are named by the topic itself.
    for (topic, key) in value.pairs("receiver_topic_keys") {
        state.topics[sha3(topic).first(32)] = key
    }
    let peers = value.has("initial_pub_keys") ? "initial_pub_keys" : "receiver_pub_keys"
    state.peers = value.pairs(peers)
    return state
}

func commandKey(_ state: State) throws -> any CommandKey {
    let own = unhex(state.own)
    guard let c2 = state.c2 else { return try IdKey(bytes: own) }
    return try SharedKey.forClient(SigningKey(bytes: own), c2: C2PublicKey(bytes: unhex(c2)))
}

/// A client under test, and the tables that it must hold.
final class Device {
    let client: Client
    var state: State
    var rules: [Rule] = []
    var diverged = false
    private let options: UInt64

    init(_ client: Client, _ state: State, options: UInt64 = 0) throws {
        (self.client, self.state, self.options) = (client, state, options)
        try checkState()
    }

    /// Provisions a client and gives it its keys by commands.
    static func provision(
        _ state: State, _ settings: Settings = Settings(), options: UInt64 = 0
    ) throws -> Device {
        let (id, own) = (try ClientId(bytes: unhex(state.id)), unhex(state.own))
        let client: Client
        if let c2 = state.c2 {
            client = try .provision(
                id, key: SigningKey(bytes: own), c2Key: C2PublicKey(bytes: unhex(c2)),
                settings: settings)
        } else {
            client = try .provision(id, key: IdKey(bytes: own), settings: settings)
        }
        let topics = state.topics.map { "03" + $0.value + $0.key }
        let peers = state.peers.map { "06" + $0.value + $0.key }
        for plain in topics + peers {
            let command = try Command.decode(unhex(plain))
            let protected = try command.protect(for: commandKey(state), now: time(1))
            _ = try client.unprotect(state.controlTopic, protected, now: time(1))
        }
        _ = try client.answer(now: time(1))
        return try Device(client, state, options: options)
    }

    static func imported(_ client: Client, _ state: State) throws -> Device {
        try same("imported id", state.id, client.id.hex)
        return try Device(client, state)
    }

    /// Everything that the API shows of the state.
    func checkState() throws {
        let topics = state.topics.sorted { $0.key < $1.key }
        let peers = state.peers.sorted { $0.key < $1.key }
        let text =
            topics.map { "01" + $0.key + sha3Hex($0.value) }.joined()
            + peers.map { "02" + $0.key + $0.value }.joined()
        try same("digest", sha3Hex(text).first(32), hex(client.digest()))
        try same("topics", topics.count, client.topicCount)
        try same("peers", peers.count, client.peerCount)
        let own = try state.c2.map { _ in try PublicKey(bytes: unhex(state.own.after(64))) }
        try same("public key", own, client.publicKey)
    }

    /// Gives the client what arrived; returns that, and the plaintext of an authentic command.
    func receive(_ now: UInt64, _ topic: String, _ protected: String) throws -> (Got, String?) {
        let isCommand = topic == state.controlTopic
        let bytes = unhex(protected)
        var plain: String?
        if isCommand && bytes.count >= 24 {
            let key = try commandKey(state)
            let sealing = try TopicKey(bytes: key.expose())
            plain = try unseal(sealing, bytes.dropFirst(8), bytes)
            if let plain { try checkProducer(plain, key, bytes) }
        }
        let ours: Got
        do {
            switch try client.unprotect(topic, bytes, now: time(now)) {
            case .message(let message): ours = .message(hex(message.plaintext))
            case .commandApplied(let opcode): ours = .applied(opcode.rawValue)
            }
        } catch let error as E4Error {
            ours = .refused(error)
        }
        if ours.isApplied {
            guard let plain else { throw fail("a command was applied that does not authenticate") }
            apply(plain, now)
        } else if let plain, plain.hasPrefix("07"), ours.error == .invalidKey {
            state.refusedC2 = plain.after(2)
        }
        if isCommand { try checkAnswer(now, protected, ours, plain) }
        try checkState()
        return (ours, plain)
    }

    private func checkProducer(
        _ plain: String, _ key: any CommandKey, _ protected: Data
    ) throws {
        // What cannot be decoded cannot be built.
        guard let command = try? Command.decode(unhex(plain)) else { return }
        try same("encoded command", plain, hex(command.encode()))
        let sent = time(littleEndian(hex(protected).prefix(16)))
        try same("protected command", hex(protected), hex(command.protect(for: key, now: sent)))
    }

    private func apply(_ plain: String, _ now: UInt64) {
        let rest = plain.after(2)
        switch plain.first(2) {
        case "00":
            state.topics[rest] = nil
            state.previous[rest] = nil
        case "01": (state.topics, state.previous) = ([:], [:])
        case "02": state.own = rest
        case "03":
            let (key, topic) = (rest.first(64), rest.after(64))
            if let old = state.topics.updateValue(key, forKey: topic), old != key {
                state.previous[topic] = Replaced(key: old, at: now)
            }
        case "04":
            if let key = state.peers.removeValue(forKey: rest) { state.removed[rest] = key }
        case "05": (state.peers, state.removed) = ([:], [:])
        case "06":
            state.removed[rest.after(64)] = nil
            state.peers[rest.after(64)] = rest.first(64)
        default: state.c2 = rest
        }
    }

    /// A command that authenticated is answered unless it is a replay; nothing else is.
    private func checkAnswer(
        _ now: UInt64, _ protected: String, _ ours: Got, _ plain: String?
    ) throws {
        let answer = try client.answer(now: time(now))
        let unanswered: [E4Error?] = [.replayed, .timestampInFuture, .timestampTooOld]
        if plain == nil || unanswered.contains(ours.error) {
            return try same("answer", nil, answer)
        }
        guard let answer else { throw fail("no answer to a command that authenticated") }
        let opened = try Answer.open(answer, key: commandKey(state))
        try same("SIV of the answer", protected.after(16).first(32), opened.command.map(hex))
        try same("digest of the answer", hex(client.digest()), hex(opened.digest))
        try same("status of the answer", ours.error?.number ?? 0, opened.status)
    }

    /// Receives; then the peers' answers are held against what came.
    @discardableResult
    func step(
        _ now: UInt64, _ topic: String, _ protected: String, _ peers: [Peer]
    ) throws -> (Got, String?) {
        let before = state
        let (ours, plain) = try receive(now, topic, protected)
        let previous = try byPrevious(before, topic, protected, ours)
        diverged = false
        for peer in peers {
            let facts = Facts(
                before: before, settings: try client.settings, libe4Options: options,
                now: clock(peer.value) ?? now, topic: topic, protected: protected, command: plain,
                ours: ours, byPrevious: previous)
            if let rule = try compare(facts, peer) { rules.append(rule) }
            if peer.accepted == (ours.error != nil) { diverged = true }
        }
        let allowed: [E4Error] = [.invalidKey, .replayed, .signerUnknown]
        if peers.count == 2 && peers.allSatisfy(\.accepted) {
            if let error = ours.error, !allowed.contains(error) {
                throw fail("both peers accept, refused with \(error)")
            }
        }
        if peers.count == 2 && !peers.contains(where: \.accepted) && ours.error == nil {
            throw fail("both peers refuse, accepted")
        }
        return (ours, plain)
    }

    /// Whether only a replaced key opens the message.
    private func byPrevious(
        _ before: State, _ topic: String, _ protected: String, _ ours: Got
    ) throws -> Bool {
        guard ours.isMessage, let key = before.topics[sha3(topic).first(32)] else { return false }
        let bytes = unhex(protected)
        return try unseal(TopicKey(bytes: unhex(key)), sealed(before, bytes), bytes) == nil
    }

    private func sealed(_ state: State, _ bytes: Data) -> Data {
        state.c2 == nil ? bytes.dropFirst(8) : bytes.dropFirst(24).dropLast(64)
    }

    /// The plaintext of SIV and ciphertext whose associated data are the first 8 bytes, or nil.
    private func unseal(_ key: TopicKey, _ sealed: Data, _ whole: Data) throws -> String? {
        do {
            return hex(try E4Library.sivOpen(key, sealed, associated: whole.prefix(8)))
        } catch E4Error.invalidTag {
            return nil
        }
    }

    /// Compares the tables with the state of a peer.
    func sameAs(_ who: String, _ value: Fields) throws {
        let theirs = try stateOf(value)
        try same("id in \(who)'s state", theirs.id, state.id)
        try same("topics in \(who)'s state", theirs.topics, state.topics)
        // Section 10: libe4 keeps what was removed.
        let kept = who == "libe4" ? state.removed : [:]
        let peers = state.peers.merging(kept) { _, removed in removed }
        try same("public keys in \(who)'s state", theirs.peers, peers)
        try same("own key in \(who)'s state", theirs.own, state.own)
        // Section 4: a refused command changes nothing; e4go keeps the C2 key that it refused.
        if who == "libe4" || theirs.c2 != state.refusedC2 {
            try same("C2 key in \(who)'s state", theirs.c2, state.c2)
        }
        if who == "e4go" {
            // The clock is read within the call, and may show the next second.
            try same("replaced keys", Set(theirs.previous.keys), Set(state.previous.keys))
            for (topic, ours) in state.previous {
                guard let other = theirs.previous[topic] else { continue }
                try same("a replaced key", other.key, ours.key)
                if max(other.at, ours.at) - min(other.at, ours.at) > 1 {
                    throw fail("the time of replacement differs")
                }
            }
        }
    }

    /// Tries the keys by using them: messages, and a fresh command.
    func trial(_ now: UInt64, _ topics: [String]) throws {
        for topic in topics {
            let key = state.topics[sha3(topic).first(32)]
            try same("hasTopic(\(topic))", key != nil, client.hasTopic(topic))
            guard let key else { continue }
            let made = try client.protect(topic, Data("trial".utf8), now: time(now))
            let opened = try unseal(TopicKey(bytes: unhex(key)), sealed(state, made), made)
            try same("trial", hex(Data("trial".utf8)), opened)
        }
        let probe = try TopicKey(bytes: Data(repeating: 0x5a, count: 32))
        let command = try Command.setTopicKey("probe/of the runner", probe)
        // A command of the case may be ahead of the clock.
        for at in [now, now + 600] {
            let protected = try command.protect(for: commandKey(state), now: time(at))
            if try receive(at, state.controlTopic, hex(protected)).0.isApplied { return }
        }
        throw fail("a fresh command under the expected key was refused")
    }
}
