// SPDX-License-Identifier: Apache-2.0 OR MIT
import E4
import Foundation

// Kinds of vectors without a client: ids, keys, sealing, agreement, plain commands.

/// The value of a call, or the error with which it was refused; neither is text that is not UTF-8.
struct Tried<T> {
    let value: T?
    let error: E4Error?
    var ok: Bool { value != nil }
}

private struct NotUtf8: Error {}

func attempt<T>(_ call: () throws -> T) throws -> Tried<T> {
    do {
        return Tried(value: try call(), error: nil)
    } catch let error as E4Error {
        return Tried(value: nil, error: error)
    } catch is NotUtf8 {
        return Tried(value: nil, error: nil)
    }
}

/// A text that may also be given in hexadecimal, which then counts: it need not be UTF-8.
func textBytes(_ value: Fields, _ name: String) throws -> Data {
    if let digits = value.textOrNil(name + "_hex") { return unhex(digits) }
    return Data(try value.text(name).utf8)
}

func strict(_ bytes: Data) throws -> String {
    guard let text = String(validating: Array(bytes), as: UTF8.self) else { throw NotUtf8() }
    return text
}

func sameError(_ text: String?, _ got: E4Error?) throws {
    if let expected = errorOf(text ?? ""), let got { try same("error", expected, got) }
}

func sameAsAll(_ value: Fields, _ names: String, _ got: String) throws {
    for name in names.split(separator: " ") {
        if let theirs = value.textOrNil(String(name)) { try same(String(name), theirs, got) }
    }
}

func idFromAlias(_ given: Fields, _ out: Fields) throws {
    let alias = try textBytes(given, "alias")
    let id = sha3(alias).first(32)
    try sameAsAll(out, "id libe4_id", id)
    let got = try attempt { try ClientId.fromName(strict(alias)) }
    let theirs = out.textOrNil("e4go_validate_name_error")
    try same("accepted", theirs == nil, got.ok)
    guard let made = got.value else { return try sameError(theirs, got.error) }
    try same("id", id, made.hex)
    try same("receiving_topic", out.text("receiving_topic"), made.controlTopic)
}

func topicHash(_ given: Fields, _ out: Fields) throws {
    let topic = try textBytes(given, "topic")
    let hash = sha3(topic).first(32)
    try sameAsAll(out, "hash libe4_hash", hash)
    try sameAsAll(out, "hash_of_hash", sha3Hex(hash).first(32))
    let got = try attempt { try TopicHash.fromTopic(strict(topic)) }
    if let made = got.value { return try same("hash", hash, made.hex) }
    // Section 1: 1 to 65,535 bytes of UTF-8.
    try same("refused", false, (1...65_535).contains(topic.count) && got.error != nil)
    try same("e4go takes it", true, out.has("e4go_validate_topic_error"))
}

func password(_ given: Fields, _ out: Fields, pair: Bool) throws {
    let secret = unhex(try given.text("password_hex"))
    let got = try attempt {
        let text = try strict(secret)
        return pair
            ? try SigningKey.fromPasswordBlocking(text).expose()
            : try IdKey.fromPasswordBlocking(text).expose()
    }
    try same("accepted", out.flag("ok"), got.ok)
    guard let key = got.value.map(hex) else {
        return try sameError(out.textOrNil("error"), got.error)
    }
    try sameAsAll(out, "key private", key)
    try sameAsAll(out, "seed", key.first(64))
    try sameAsAll(out, "public", key.after(64))
}

func conversion(_ given: Fields, _ out: Fields) throws {
    let key = try SigningKey(seed: unhex(given.text("ed_seed")))
    try same("ed_private", given.text("ed_private"), hex(key.expose()))
    try same("ed_public", given.text("ed_public"), key.publicKey.hex)
    let converted = hex(try PublicKey(bytes: unhex(given.text("ed_public"))).toX25519())
    try sameAsAll(out, "x_public x_private_times_base libe4_x_public", converted)
    try sameAsAll(out, "x_private libe4_x_private", hex(key.toX25519()))
    try same("times base", converted, C2SecretKey(bytes: key.toX25519()).publicKey.hex)
}

/// The y of the points of small order, little-endian; there is no other.
private let smallOrder: Set<String> = [
    String(repeating: "0", count: 64),
    "01" + String(repeating: "0", count: 62),
    "ec" + String(repeating: "f", count: 60) + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]

func conversionEdge(_ given: Fields, _ out: Fields) throws {
    let digits = try given.text("ed_public")
    let got = try attempt { try PublicKey(bytes: unhex(digits)) }
    if let made = got.value {
        for who in ["e4go", "libe4"] {
            try same("\(who) takes it", true, out.inner(who).flag("ok"))
            try sameAsAll(out.inner(who), "x_public", hex(made.toX25519()))
        }
        return
    }
    try same("error", E4Error.invalidKey, got.error)
    // Section 4: undecodable, as a peer says too; not canonical (y of p or above); of small order.
    var bytes = unhex(digits)
    bytes[31] &= 0x7f
    let big = hex(Data(bytes.reversed()))
    let p = "7" + String(repeating: "f", count: 61) + "ed"
    let peers = ["e4go", "libe4"].allSatisfy { out.innerOrNil($0)?.flag("ok") == true }
    try same("usable", false, peers && big < p && !smallOrder.contains(hex(bytes)))
}

func sharedKey(_ given: Fields, _ out: Fields) throws {
    let client = try SigningKey(bytes: unhex(given.text("client_ed_private")))
    let c2 = try C2SecretKey(bytes: unhex(given.text("c2_x_private")))
    try same("client_ed_public", given.text("client_ed_public"), client.publicKey.hex)
    try same("c2_x_public", given.text("c2_x_public"), c2.publicKey.hex)
    let shared = try SharedKey.forClient(
        client, c2: C2PublicKey(bytes: unhex(given.text("c2_x_public"))))
    try same("both sides", true, shared.isSameAs(.forC2(c2, client: client.publicKey)))
    try sameAsAll(out, "shared_key e4go_c2_side libe4_client_side", hex(shared.expose()))
    try same("SHA3 of x25519", sha3Hex(out.text("x25519")), hex(shared.expose()))
}

func sharedKeyNegative(_ given: Fields, _ out: Fields) throws {
    let client = try SigningKey(bytes: unhex(given.text("client_ed_private")))
    let c2 = unhex(try given.text("c2_x_public"))
    let got = try attempt { try SharedKey.forClient(client, c2: C2PublicKey(bytes: c2)) }
    let e4go = try out.inner("e4go")
    try same("accepted", e4go.flag("ok"), got.ok)
    guard let made = got.value else { return try sameError(e4go.textOrNil("error"), got.error) }
    try sameAsAll(e4go, "shared_key", hex(made.expose()))
}

func aesSiv(_ given: Fields, _ out: Fields) throws {
    let key = try TopicKey(bytes: unhex(given.text("key")))
    let ad = unhex(try given.text("ad"))
    let sealed = try E4Library.sivSeal(key, unhex(given.text("pt")), associated: ad)
    try same("ct", out.text("ct"), hex(sealed))
    let opened = try E4Library.sivOpen(key, unhex(out.text("ct")), associated: ad)
    try same("pt", given.text("pt"), hex(opened))
}

func aesSivNegative(_ given: Fields, _ out: Fields) throws {
    let (key, ad) = (unhex(try given.text("key")), unhex(try given.text("ad")))
    let sealed = unhex(try given.text("ct"))
    let got = try attempt {
        try E4Library.sivOpen(TopicKey(bytes: key), sealed, associated: ad)
    }
    let e4go = try out.inner("e4go")
    try same("accepted", e4go.flag("ok"), got.ok)
    guard let opened = got.value else { return try sameError(e4go.textOrNil("error"), got.error) }
    try sameAsAll(e4go, "payload pt", hex(opened))
}

private func build(_ name: String, _ given: Fields) throws -> Command {
    func text(_ name: String) throws -> String { try strict(textBytes(given, name)) }
    func bytes(_ name: String) throws -> Data { unhex(try given.text(name)) }
    switch name {
    case "remove_topic": return try .removeTopic(text("topic"))
    case "reset_topics": return try .resetTopics()
    case "set_topic_key":
        let key = try TopicKey(bytes: bytes("key"))
        return try .setTopicKey(text("topic"), key)
    case "set_id_key" where try bytes("key").count > 48:
        return try .setSigningKey(SigningKey(bytes: bytes("key")))
    case "set_id_key": return try .setIdKey(IdKey(bytes: bytes("key")))
    case "remove_pub_key": return try .removePubKey(.fromName(text("name")))
    case "reset_pub_keys": return try .resetPubKeys()
    case "set_pub_key":
        let client = try ClientId.fromName(text("name"))
        return try .setPubKey(client, PublicKey(bytes: bytes("ed_pub")))
    case "set_c2_key": return try .setC2Key(C2PublicKey(bytes: bytes("c2_pub")))
    default: throw fail("unknown command \(name)")
    }
}

func commandsPlain(_ given: Fields, _ out: Fields, _ name: String) throws -> [Rule] {
    let got = try attempt { try build(name, given) }
    if !out.flag("ok") {
        if got.ok { throw fail("e4go refuses, built a command") }
        try sameError(out.textOrNil("error"), got.error)
        return []
    }
    let plain = try out.text("command")
    if let made = got.value {
        try same("command", plain, hex(made.encode()))
        try same("command read again", plain, hex(Command.decode(unhex(plain)).encode()))
        return []
    }
    // Section 4: such a key is refused; e4go builds the command.
    try same("error", E4Error.invalidKey, got.error)
    try same(
        "error when read", E4Error.invalidKey, attempt { try Command.decode(unhex(plain)) }.error)
    return [
        Rule(
            section: 4,
            reason: "a key that is zero, of small order, undecodable or mismatched is refused")
    ]
}
