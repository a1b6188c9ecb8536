// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation

// Where e4go and libe4 differ from PROTOCOL.md, PROTOCOL.md decides. Each difference is a rule over
// the inputs of a case, with its section; a difference without a rule is a failure.

private let exact: [String: E4Error] = [
    "siv: authentication failed": .invalidTag,
    "aes256_decrypt_siv nonzero": .invalidTag,
    "timestamp received is in the future": .timestampInFuture,
    "timestamp too old": .timestampTooOld,
    "ciphertext too short": .messageTooShort,
    "too short ciphertext": .messageTooShort,
    "invalid length of protected message": .messageTooShort,
    "topic key not found": .topicKeyMissing,
    "signer public key not found": .signerUnknown,
    "invalid signature": .signatureInvalid,
    "invalid command": .invalidCommand,
    "this operation is not supported": .invalidCommand,
    "topic must not be empty": .invalidTopic,
    "topic cannot be empty": .invalidTopic,
    "name must not be empty": .invalidName,
    "E4_ERROR_INVALID_TAG": .invalidTag,
    "E4_ERROR_TIMESTAMP_IN_FUTURE": .timestampInFuture,
    "E4_ERROR_TIMESTAMP_TOO_OLD": .timestampTooOld,
    "E4_ERROR_CIPHERTEXT_TOO_SHORT": .messageTooShort,
    "E4_ERROR_TOPICKEY_MISSING": .topicKeyMissing,
    "E4_ERROR_DEVICEPK_MISSING": .signerUnknown,
    "E4_ERROR_PK_SIGVERIF_FAILED": .signatureInvalid,
    "E4_ERROR_INVALID_COMMAND": .invalidCommand,
]

private let starts: [(String, E4Error)] = [
    ("name length is inval", .invalidName),
    ("topic too long", .invalidTopic),
    ("invalid password", .invalidPassword),
    ("no public key exists for id", .signerUnknown),
    ("invalid symmetric key", .invalidKey),
    ("invalid private key", .invalidKey),
    ("invalid public key", .invalidKey),
    ("invalid c2 public key", .invalidKey),
    ("invalid old topic key", .invalidKey),
    ("invalid key length", .invalidKey),
    ("curve25519 X25519 failed", .invalidKey),
    ("invalid RemoveTopic length", .invalidCommand),
    ("invalid ResetTopics length", .invalidCommand),
    ("invalid SetIDKey length", .invalidCommand),
    ("invalid SetTopicKey length", .invalidCommand),
    ("invalid RemovePubKey length", .invalidCommand),
    ("invalid ResetPubKeys length", .invalidCommand),
    ("invalid SetPubKey length", .invalidCommand),
    ("invalid SetC2Key length", .invalidCommand),
]

/// The error that a peer's text or name stands for.
func errorOf(_ text: String) -> E4Error? {
    exact[text] ?? starts.first { text.hasPrefix($0.0) }?.1
}

/// Unix seconds out of `clock_ns: [before, after]`.
func clock(_ value: Fields) -> UInt64? {
    (value.list("clock_ns").first as? NSNumber).map { $0.uint64Value / 1_000_000_000 }
}

/// What an implementation answered.
struct Peer {
    let who: String
    let value: Fields

    var accepted: Bool { value.flag("ok") }
    var tookCommand: Bool { value.flag("command_processed") }
    var text: String { value.textOrNil("error") ?? "" }
    var error: E4Error? { errorOf(text) }
    var isE4go: Bool { who == "e4go" }
    var isLibe4: Bool { who == "libe4" }
}

/// A replaced topic key and when it was replaced.
struct Replaced: Equatable {
    let key: String
    let at: UInt64
}

/// The keys of a client, as a case gives them and as commands change them; all in hexadecimal.
struct State {
    let id: String
    var own: String
    var c2: String?
    var topics: [String: String] = [:]
    var previous: [String: Replaced] = [:]
    var peers: [String: String] = [:]
    var removed: [String: String] = [:]
    var refusedC2: String?

    init(_ id: String, _ own: String, _ c2: String? = nil) {
        (self.id, self.own, self.c2) = (id, own, c2)
    }

    var controlTopic: String { "e4/" + id }
}

/// What a client made of its input.
enum Got: Equatable {
    case message(String)
    case applied(UInt8)
    case refused(E4Error)

    var error: E4Error? { if case .refused(let error) = self { error } else { nil } }
    var isMessage: Bool { if case .message = self { true } else { false } }
    var isApplied: Bool { if case .applied = self { true } else { false } }
}

/// What went in, and what came out.
struct Facts {
    let before: State
    let settings: Settings
    let libe4Options: UInt64
    let now: UInt64
    let topic: String
    let protected: String
    let command: String?
    let ours: Got
    let byPrevious: Bool

    /// The timestamp, whatever its 8 bytes are.
    var sent: UInt64 { littleEndian(protected.prefix(16)) }
    var length: Int { protected.count / 2 }
    var isCommand: Bool { topic == before.controlTopic }
    var isSigned: Bool { !isCommand && before.c2 != nil }
    var opcode: Int? { command.flatMap { Int($0.prefix(2), radix: 16) } }
    var signer: String { isSigned ? protected.after(16).first(32) : "" }
}

private let order = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"
private let goTimeMax = UInt64(Int64.max - 62_135_596_800)

private func rank(_ error: E4Error) -> Int {
    switch error {
    case .topicKeyMissing: 0
    case .messageTooShort: 1
    case .timestampInFuture, .timestampTooOld: 2
    case .signerUnknown: 3
    case .signatureInvalid: 4
    case .invalidTag: 5
    default: 6
    }
}

private func isOfTime(_ error: E4Error?) -> Bool {
    error == .timestampTooOld || error == .timestampInFuture
}

private func reversed(_ digits: String) -> String { hex(Data(unhex(digits).reversed())) }

private func rankedFirst(_ f: Facts, _ p: Peer) -> Bool {
    guard let ours = f.ours.error, let theirs = p.error else { return false }
    return rank(ours) < rank(theirs)
}

private func removingNothing(_ f: Facts, _ p: Peer) -> Bool {
    guard f.ours.isApplied, let name = f.command?.after(2) else { return false }
    if p.isLibe4 && f.opcode == 0 {
        return f.before.topics[name] == nil && p.error == .topicKeyMissing
    }
    return p.isE4go && f.opcode == 4 && f.before.peers[name] == nil && p.error == .signerUnknown
}

private func ageOfPrevious(_ f: Facts) -> UInt64? {
    f.before.previous[sha3(f.topic).first(32)].map { f.now > $0.at ? f.now - $0.at : 0 }
}

struct Rule: Hashable {
    let section: Int
    let reason: String
}

private typealias Applies = (Facts, Peer) -> Bool

private func rule(_ section: Int, _ reason: String, _ applies: @escaping Applies) -> (Rule, Applies)
{
    (Rule(section: section, reason: reason), applies)
}

private func rules() -> [(Rule, Applies)] {
    [
        rule(1, "a timestamp up to the tolerance ahead is taken; e4go tolerates 0") { f, p in
            p.isE4go && p.error == .timestampInFuture && f.sent > f.now
                && f.sent - f.now <= UInt64(f.settings.future)
        },
        rule(1, "age is counted in whole seconds; e4go counts fractions and refuses the last one") {
            f, p in
            p.isE4go && p.error == .timestampTooOld && f.sent <= f.now
                && f.now - f.sent == UInt64(f.settings.past)
        },
        rule(1, "a timestamp is unsigned; e4go's wraps around beyond 2^63") { f, p in
            p.isE4go && p.error == .timestampTooOld && f.ours.error == .timestampInFuture
                && f.sent > goTimeMax
        },
        rule(10, "an SK message may be empty; e4go refuses 24 bytes before it looks at them") {
            f, p in p.isE4go && p.error == .messageTooShort && f.length == 24 && !f.isSigned
        },
        rule(3, "a PK message has 104 bytes at least; e4go finds another fault with shorter ones") {
            f, p in !p.accepted && f.isSigned && f.length < 104
        },
        rule(
            3,
            "of two faults the first in the order of checks counts; the peer checks another first",
            rankedFirst),
        rule(3, "signatures are checked strictly; libe4 takes an S of the group order or above") {
            f, p in
            p.isLibe4 && p.accepted && f.ours.error == .signatureInvalid
                && reversed(String(f.protected.suffix(64))) >= order
        },
        rule(3, "a receiver may accept unknown signers, as libe4 was set; e4go has no such setting")
        {
            f, p in
            p.isE4go && f.libe4Options & 2 != 0 && p.error == .signerUnknown
                && f.before.peers[f.signer] == nil
        },
        rule(1, "the validity is a setting, as wide as libe4 was told; e4go keeps 600 s") { f, p in
            p.isE4go && f.libe4Options & 1 != 0 && isOfTime(p.error)
        },
        rule(4, "a key that is zero, of small order, undecodable or mismatched is refused") {
            f, p in
            p.accepted && f.ours.error == .invalidKey && [2, 3, 6].contains(f.opcode)
        },
        rule(
            4, "removing what is not there succeeds; libe4 reports the topic, e4go the public key",
            removingNothing),
        rule(4, "RemoveTopic and RemovePubKey have 17 bytes; libe4 does not look at the length") {
            f, p in
            p.isLibe4 && f.ours.error == .invalidCommand && [0, 4].contains(f.opcode)
                && f.command?.count != 34
                && (p.accepted || p.error == .topicKeyMissing || p.error == .signerUnknown)
        },
        rule(
            4,
            "SetIdKey with a key of the other mode has a wrong length; e4go calls the key invalid"
        ) {
            f, p in
            p.isE4go && f.ours.error == .invalidCommand && f.opcode == 2 && p.error == .invalidKey
        },
        rule(10, "SetC2Key is a command; libe4 does not know it") { f, p in
            p.isLibe4 && f.opcode == 7 && p.error == .invalidCommand
        },
        rule(10, "RemovePubKey removes the key; libe4 keeps it and goes on taking its messages") {
            f, p in
            p.isLibe4 && p.accepted && f.ours.error == .signerUnknown
                && f.before.removed[f.signer] != nil
        },
        rule(7, "a replaced topic key lives on for the transition; libe4 has none") { f, p in
            p.isLibe4 && p.error == .invalidTag && f.byPrevious
        },
        rule(
            7,
            "a command that was applied, or is older than the newest, is refused; peers run it again"
        ) {
            f, _ in f.isCommand && f.ours.error == .replayed
        },
        rule(7, "a replaced key that has expired opens nothing; e4go reports its age or length") {
            f, p in
            p.isE4go && f.ours.error == .invalidTag && (isOfTime(p.error) || p.error == .invalidKey)
        },
        rule(
            7,
            "a replaced key lives 3600 whole seconds; e4go counts fractions and refuses the last one"
        ) {
            f, p in
            p.isE4go && p.error == .timestampTooOld && f.byPrevious
                && ageOfPrevious(f) == UInt64(f.settings.transition)
        },
    ]
}

/// Compares a peer's answer with ours: equal, or different by a rule, which is returned.
func compare(_ facts: Facts, _ peer: Peer) throws -> Rule? {
    let agree: Bool
    switch facts.ours {
    case .message(let plaintext):
        if let theirs = peer.value.textOrNil("payload"), peer.accepted, theirs != plaintext {
            throw fail("\(peer.who) opened another plaintext")
        }
        agree = peer.accepted && !peer.tookCommand
    case .applied: agree = peer.accepted && peer.tookCommand
    case .refused(let error): agree = !peer.accepted && peer.error == error
    }
    if agree { return nil }
    if let (rule, _) = rules().first(where: { $0.1(facts, peer) }) { return rule }
    // A text that is not in the table still says that the peer refused.
    if !peer.accepted && peer.error == nil && facts.ours.error != nil { return nil }
    let answer = peer.accepted ? "ok" : peer.text
    throw fail("\(peer.who) answers \(answer), ours is \(facts.ours), no rule decides")
}
