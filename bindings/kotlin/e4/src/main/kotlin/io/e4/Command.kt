// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.CommandFor
import io.e4.ffi.openAnswer
import io.e4.ffi.protectForMany
import io.e4.ffi.Command as FfiCommand

/**
 * A command of C2 (PROTOCOL section 4). Printing it gives its name alone. It may hold a key, which
 * is wiped when the command is closed or collected.
 */
public class Command private constructor(private val inner: FfiCommand) : AutoCloseable {
    /** The first byte. */
    public val opcode: Opcode get() = Opcode.of(call { inner.opcode() })

    /** The plaintext: opcode and fields, 1 to 65 bytes; it may hold a key. */
    public fun encode(): ByteArray = call { inner.encode() }

    /**
     * Protects the command for the client that holds the key: 24 bytes more than the plaintext, to
     * be published on the client's control topic with QoS 2, not retained. Stamp the commands of
     * one client in non-decreasing order, never ahead of the clock (PROTOCOL sections 10 and 11).
     */
    @JvmOverloads
    public fun protectFor(key: CommandKey, now: Timestamp = Timestamp.now()): ByteArray =
        call { inner.protectFor(now.seconds, key.lower()) }

    /** Wipes the command. Closing twice is nothing. */
    override fun close(): Unit = inner.wipe()

    override fun toString(): String = runCatching { "Command($opcode)" }.getOrDefault("Command(closed)")

    public companion object {
        private fun make(work: () -> FfiCommand): Command = Command(call(work))

        /** Forget the keys of one topic, the replaced one as well. Removing what is not there succeeds. */
        @JvmStatic
        public fun removeTopic(topic: TopicHash): Command = make { FfiCommand.removeTopic(topic.bytes) }

        /** [removeTopic] of a topic by its text. */
        @JvmStatic
        public fun removeTopic(topic: String): Command = removeTopic(TopicHash.fromTopic(topic))

        /** Forget the keys of all topics. */
        @JvmStatic
        public fun resetTopics(): Command = make { FfiCommand.resetTopics() }

        /** Replace the id key of an SK client. */
        @JvmStatic
        public fun setIdKey(key: IdKey): Command = make { FfiCommand.setIdKey(key.inner) }

        /** Replace the key pair of a PK client (opcode [Opcode.SetIdKey]). */
        @JvmStatic
        public fun setSigningKey(key: SigningKey): Command = make { FfiCommand.setSigningKey(key.inner) }

        /** Add or replace the key of a topic; the replaced one opens messages for another hour. */
        @JvmStatic
        public fun setTopicKey(topic: TopicHash, key: TopicKey): Command =
            make { FfiCommand.setTopicKey(topic.bytes, key.inner) }

        /** [setTopicKey] of a topic by its text. Use [E4Library.checkTopicForKey] on what people type. */
        @JvmStatic
        public fun setTopicKey(topic: String, key: TopicKey): Command =
            setTopicKey(TopicHash.fromTopic(topic), key)

        /** Forget the public key of a client (PK). */
        @JvmStatic
        public fun removePubKey(client: ClientId): Command = make { FfiCommand.removePubKey(client.bytes) }

        /** Forget all public keys (PK). */
        @JvmStatic
        public fun resetPubKeys(): Command = make { FfiCommand.resetPubKeys() }

        /** Add or replace the public key of a client (PK). */
        @JvmStatic
        public fun setPubKey(client: ClientId, key: PublicKey): Command =
            make { FfiCommand.setPubKey(client.bytes, key.bytes) }

        /** Replace C2's public key (PK). */
        @JvmStatic
        public fun setC2Key(key: C2PublicKey): Command = make { FfiCommand.setC2Key(key.bytes) }

        /**
         * Reads the plaintext of a command.
         *
         * @throws E4Exception [E4Error.InvalidCommand], [E4Error.InvalidKey]
         */
        @JvmStatic
        public fun decode(plaintext: ByteArray): Command = make { FfiCommand.decode(plaintext) }

        /** Protects many commands at once, each for its key. */
        @JvmStatic
        @JvmOverloads
        public fun protectForMany(
            pairs: Iterable<Pair<Command, CommandKey>>,
            now: Timestamp = Timestamp.now(),
        ): List<ByteArray> =
            call { protectForMany(now.seconds, pairs.map { (command, key) -> CommandFor(command.inner, key.lower()) }) }
    }
}

/** What a client says about a command, or a hello (PROTOCOL section 8). */
public class Answer internal constructor(
    /** The client's clock. It is for the caller to judge. */
    public val timestamp: Timestamp,
    /** The SIV of the command that is answered, 16 bytes, as [E4Library.sivOf] gives it; null in a hello. */
    public val command: ByteArray?,
    /** 0 if the command was applied, else the number of an error. */
    public val status: Int,
    /** The digest of the client's keys after the command, 16 bytes (PROTOCOL section 11). */
    public val digest: ByteArray,
) {
    /** The error of [status], or null if the command was applied. */
    public val error: E4Error? get() = E4Error.ofNumber(status)

    override fun toString(): String =
        "Answer(${if (command == null) "hello" else "answer"} at $timestamp, status $status)"

    public companion object {
        /**
         * Opens an answer under the key that C2 uses for the client after the command.
         *
         * @throws E4Exception [E4Error.MessageTooShort]; [E4Error.InvalidTag] if it is not an answer
         *   under this key; [E4Error.StateIncompatible] for a version of answers that is not known
         */
        @JvmStatic
        public fun open(key: CommandKey, protected: ByteArray): Answer {
            val answer = call { openAnswer(key.lower(), protected) }
            return Answer(Timestamp(answer.timestamp), answer.command, answer.status, answer.digest)
        }
    }
}

/** What belongs to no class. */
public object E4Library {
    /** The version of the library. */
    @JvmStatic
    public val version: String get() = io.e4.ffi.version()

    /**
     * Checks a topic before a key is made for it: one that clients can publish to, without `+`,
     * `#`, NUL or a leading `$`, and not `e4` or below `e4/` (PROTOCOL section 1).
     *
     * @throws E4Exception [E4Error.InvalidTopic]
     */
    @JvmStatic
    public fun checkTopicForKey(topic: String): Unit = call { io.e4.ffi.checkTopicForKey(topic) }

    /**
     * The SIV of a protected command, 16 bytes, by which an answer names it.
     *
     * @throws E4Exception [E4Error.MessageTooShort] below 24 bytes
     */
    @JvmStatic
    public fun sivOf(protected: ByteArray): ByteArray = call { io.e4.ffi.sivOf(protected) }

    /** AES-SIV (RFC 5297) under one key for both halves, for test vectors: SIV (16) and ciphertext. */
    @JvmStatic
    public fun sivSeal(key: TopicKey, plaintext: ByteArray, associated: ByteArray): ByteArray =
        call { io.e4.ffi.sivSeal(key.inner, plaintext, associated) }

    /**
     * Opens what [sivSeal] made.
     *
     * @throws E4Exception [E4Error.MessageTooShort] below 16 bytes, [E4Error.InvalidTag]
     */
    @JvmStatic
    public fun sivOpen(key: TopicKey, sealed: ByteArray, associated: ByteArray): ByteArray =
        call { io.e4.ffi.sivOpen(key.inner, sealed, associated) }
}
