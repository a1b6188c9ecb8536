// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import io.e4.E4Error
import java.math.BigInteger

// Where e4go and libe4 differ from PROTOCOL.md, PROTOCOL.md decides. Each difference is a rule over
// the inputs of a case, with its section; a difference without a rule is a failure.

private val EXACT =
    mapOf(
        "siv: authentication failed" to E4Error.InvalidTag,
        "aes256_decrypt_siv nonzero" to E4Error.InvalidTag,
        "timestamp received is in the future" to E4Error.TimestampInFuture,
        "timestamp too old" to E4Error.TimestampTooOld,
        "ciphertext too short" to E4Error.MessageTooShort,
        "too short ciphertext" to E4Error.MessageTooShort,
        "invalid length of protected message" to E4Error.MessageTooShort,
        "topic key not found" to E4Error.TopicKeyMissing,
        "signer public key not found" to E4Error.SignerUnknown,
        "invalid signature" to E4Error.SignatureInvalid,
        "invalid command" to E4Error.InvalidCommand,
        "this operation is not supported" to E4Error.InvalidCommand,
        "topic must not be empty" to E4Error.InvalidTopic,
        "topic cannot be empty" to E4Error.InvalidTopic,
        "name must not be empty" to E4Error.InvalidName,
        "E4_ERROR_INVALID_TAG" to E4Error.InvalidTag,
        "E4_ERROR_TIMESTAMP_IN_FUTURE" to E4Error.TimestampInFuture,
        "E4_ERROR_TIMESTAMP_TOO_OLD" to E4Error.TimestampTooOld,
        "E4_ERROR_CIPHERTEXT_TOO_SHORT" to E4Error.MessageTooShort,
        "E4_ERROR_TOPICKEY_MISSING" to E4Error.TopicKeyMissing,
        "E4_ERROR_DEVICEPK_MISSING" to E4Error.SignerUnknown,
        "E4_ERROR_PK_SIGVERIF_FAILED" to E4Error.SignatureInvalid,
        "E4_ERROR_INVALID_COMMAND" to E4Error.InvalidCommand,
    )

private val STARTS =
    listOf(
        "name length is inval" to E4Error.InvalidName,
        "topic too long" to E4Error.InvalidTopic,
        "invalid password" to E4Error.InvalidPassword,
        "no public key exists for id" to E4Error.SignerUnknown,
        "invalid symmetric key" to E4Error.InvalidKey,
        "invalid private key" to E4Error.InvalidKey,
        "invalid public key" to E4Error.InvalidKey,
        "invalid c2 public key" to E4Error.InvalidKey,
        "invalid old topic key" to E4Error.InvalidKey,
        "invalid key length" to E4Error.InvalidKey,
        "curve25519 X25519 failed" to E4Error.InvalidKey,
        "invalid RemoveTopic length" to E4Error.InvalidCommand,
        "invalid ResetTopics length" to E4Error.InvalidCommand,
        "invalid SetIDKey length" to E4Error.InvalidCommand,
        "invalid SetTopicKey length" to E4Error.InvalidCommand,
        "invalid RemovePubKey length" to E4Error.InvalidCommand,
        "invalid ResetPubKeys length" to E4Error.InvalidCommand,
        "invalid SetPubKey length" to E4Error.InvalidCommand,
        "invalid SetC2Key length" to E4Error.InvalidCommand,
    )

/** The error that a peer's text or name stands for. */
fun errorOf(text: String): E4Error? = EXACT[text] ?: STARTS.find { text.startsWith(it.first) }?.second

/** Unix seconds out of `clock_ns: [before, after]`. */
fun clock(value: Fields): Long? =
    (value.list("clock_ns").firstOrNull() as? BigInteger)?.let { it.toLong() / 1_000_000_000 }

/** What an implementation answered. */
class Peer(val who: String, val value: Fields) {
    val accepted = value.flag("ok")
    val tookCommand = value.flag("command_processed")
    val text = value.textOrNull("error").orEmpty()
    val error = errorOf(text)
    val isE4go = who == "e4go"
    val isLibe4 = who == "libe4"
}

/** A replaced topic key and when it was replaced. */
data class Replaced(val key: String, val at: Long)

/** The keys of a client, as a case gives them and as commands change them; all in hexadecimal. */
class State(val id: String, var own: String, var c2: String? = null) {
    val topics = sortedMapOf<String, String>()
    val previous = sortedMapOf<String, Replaced>()
    val peers = sortedMapOf<String, String>()
    val removed = sortedMapOf<String, String>()
    var refusedC2: String? = null

    val controlTopic: String get() = "e4/$id"

    fun copy(): State {
        val copy = State(id, own, c2)
        copy.topics += topics
        copy.previous += previous
        copy.peers += peers
        copy.removed += removed
        copy.refusedC2 = refusedC2
        return copy
    }
}

/** What a client made of its input. */
sealed interface Got {
    data class Message(val plaintext: String) : Got

    data class Applied(val opcode: Int) : Got

    data class Refused(val error: E4Error) : Got
}

/** What went in, and what came out. */
class Facts(
    val before: State,
    val past: Long,
    val future: Long,
    val transition: Long,
    val libe4Options: Long,
    val now: Long,
    val topic: String,
    val protected: String,
    val command: String?,
    val ours: Got,
    val byPrevious: Boolean,
) {
    /** The timestamp, whatever its 8 bytes are. */
    val sent: ULong =
        (0 until protected.length.coerceAtMost(16) / 2).fold(0uL) { all, n ->
            all or (protected.substring(2 * n, 2 * n + 2).toULong(16) shl (8 * n))
        }
    val ahead: BigInteger = BigInteger(sent.toString()) - BigInteger.valueOf(now)
    val length = protected.length / 2
    val isCommand = topic == before.controlTopic
    val isSigned = !isCommand && before.c2 != null
    val opcode = command?.take(2)?.toIntOrNull(16)
    val signer = if (isSigned) protected.drop(16).take(32) else ""

    fun refused(error: E4Error) = ours == Got.Refused(error)
}

private val ORDER = BigInteger("27742317777372353535851937790883648493") + BigInteger.TWO.pow(252)
private val GO_TIME_MAX = (Long.MAX_VALUE - 62_135_596_800).toULong()
private val RANK =
    mapOf(
        E4Error.TopicKeyMissing to 0,
        E4Error.MessageTooShort to 1,
        E4Error.TimestampInFuture to 2,
        E4Error.TimestampTooOld to 2,
        E4Error.SignerUnknown to 3,
        E4Error.SignatureInvalid to 4,
        E4Error.InvalidTag to 5,
    )
private val TIMES = setOf(E4Error.TimestampTooOld, E4Error.TimestampInFuture)

private fun littleEndian(digits: String) = BigInteger("0" + digits.chunked(2).reversed().joinToString(""), 16)

private fun rankedFirst(f: Facts, p: Peer): Boolean {
    val ours = (f.ours as? Got.Refused)?.error ?: return false
    val theirs = p.error ?: return false
    return (RANK[ours] ?: 6) < (RANK[theirs] ?: 6)
}

private fun removingNothing(f: Facts, p: Peer): Boolean {
    val command = f.command
    if (f.ours !is Got.Applied || command == null) return false
    val name = command.drop(2)
    if (p.isLibe4 && f.opcode == 0) return name !in f.before.topics && p.error == E4Error.TopicKeyMissing
    return p.isE4go && f.opcode == 4 && name !in f.before.peers && p.error == E4Error.SignerUnknown
}

private fun ageOfPrevious(f: Facts): Long? =
    f.before.previous[sha3(f.topic).take(32)]?.let { (f.now - it.at).coerceAtLeast(0) }

data class Rule(val section: Int, val reason: String)

private val RULES: List<Pair<Rule, (Facts, Peer) -> Boolean>> =
    listOf(
        Rule(1, "a timestamp up to the tolerance ahead is taken; e4go tolerates 0") to { f, p ->
            val ahead = f.ahead.toLong()
            p.isE4go && p.error == E4Error.TimestampInFuture && f.ahead.bitLength() < 63 && ahead in 1..f.future
        },
        Rule(1, "age is counted in whole seconds; e4go counts fractions and refuses the last one") to { f, p ->
            p.isE4go && p.error == E4Error.TimestampTooOld && f.ahead == BigInteger.valueOf(-f.past)
        },
        Rule(1, "a timestamp is unsigned; e4go's wraps around beyond 2^63") to { f, p ->
            p.isE4go && p.error == E4Error.TimestampTooOld && f.refused(E4Error.TimestampInFuture) &&
                f.sent > GO_TIME_MAX
        },
        Rule(10, "an SK message may be empty; e4go refuses 24 bytes before it looks at them") to { f, p ->
            p.isE4go && p.error == E4Error.MessageTooShort && f.length == 24 && !f.isSigned
        },
        Rule(3, "a PK message has 104 bytes at least; e4go finds another fault with shorter ones") to { f, p ->
            !p.accepted && f.isSigned && f.length < 104
        },
        Rule(3, "of two faults the first in the order of checks counts; the peer checks another first") to
            ::rankedFirst,
        Rule(3, "signatures are checked strictly; libe4 takes an S of the group order or above") to { f, p ->
            p.isLibe4 && p.accepted && f.refused(E4Error.SignatureInvalid) &&
                littleEndian(f.protected.takeLast(64)) >= ORDER
        },
        Rule(3, "a receiver may accept unknown signers, as libe4 was set; e4go has no such setting") to { f, p ->
            p.isE4go && f.libe4Options and 2 != 0L && p.error == E4Error.SignerUnknown &&
                f.signer !in f.before.peers
        },
        Rule(1, "the validity is a setting, as wide as libe4 was told; e4go keeps 600 s") to { f, p ->
            p.isE4go && f.libe4Options and 1 != 0L && p.error in TIMES
        },
        Rule(4, "a key that is zero, of small order, undecodable or mismatched is refused") to { f, p ->
            p.accepted && f.refused(E4Error.InvalidKey) && f.opcode in setOf(2, 3, 6)
        },
        Rule(4, "removing what is not there succeeds; libe4 reports the topic, e4go the public key") to
            ::removingNothing,
        Rule(4, "RemoveTopic and RemovePubKey have 17 bytes; libe4 does not look at the length") to { f, p ->
            p.isLibe4 && f.refused(E4Error.InvalidCommand) && f.opcode in setOf(0, 4) &&
                f.command.orEmpty().length != 34 &&
                (p.accepted || p.error == E4Error.TopicKeyMissing || p.error == E4Error.SignerUnknown)
        },
        Rule(4, "SetIdKey with a key of the other mode has a wrong length; e4go calls the key invalid") to
            { f, p ->
                p.isE4go && f.refused(E4Error.InvalidCommand) && f.opcode == 2 && p.error == E4Error.InvalidKey
            },
        Rule(10, "SetC2Key is a command; libe4 does not know it") to { f, p ->
            p.isLibe4 && f.opcode == 7 && p.error == E4Error.InvalidCommand
        },
        Rule(10, "RemovePubKey removes the key; libe4 keeps it and goes on taking its messages") to { f, p ->
            p.isLibe4 && p.accepted && f.refused(E4Error.SignerUnknown) && f.signer in f.before.removed
        },
        Rule(7, "a replaced topic key lives on for the transition; libe4 has none") to { f, p ->
            p.isLibe4 && p.error == E4Error.InvalidTag && f.byPrevious
        },
        Rule(7, "a command that was applied, or is older than the newest, is refused; peers run it again") to
            { f, _ -> f.isCommand && f.refused(E4Error.Replayed) },
        Rule(7, "a replaced key that has expired opens nothing; e4go reports its age or length") to { f, p ->
            p.isE4go && f.refused(E4Error.InvalidTag) && (p.error in TIMES || p.error == E4Error.InvalidKey)
        },
        Rule(7, "a replaced key lives 3600 whole seconds; e4go counts fractions and refuses the last one") to
            { f, p ->
                p.isE4go && p.error == E4Error.TimestampTooOld && f.byPrevious &&
                    ageOfPrevious(f) == f.transition
            },
    )

/** Compares a peer's answer with ours: equal, or different by a rule, which is returned. */
fun compare(facts: Facts, peer: Peer): Rule? {
    val agree =
        when (val ours = facts.ours) {
            is Got.Message -> {
                val theirs = peer.value.textOrNull("payload")
                if (peer.accepted && theirs != null && theirs != ours.plaintext) {
                    fail("${peer.who} opened another plaintext")
                }
                peer.accepted && !peer.tookCommand
            }
            is Got.Applied -> peer.accepted && peer.tookCommand
            is Got.Refused -> !peer.accepted && peer.error == ours.error
        }
    if (agree) return null
    RULES.find { (_, applies) -> applies(facts, peer) }?.let { return it.first }
    // A text that is not in the table still says that the peer refused.
    if (!peer.accepted && peer.error == null && facts.ours is Got.Refused) return null
    fail("${peer.who} answers ${if (peer.accepted) "ok" else peer.text}, ours is ${facts.ours}, no rule decides")
}
