// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.answerTopic
import io.e4.ffi.checkSixteen
import io.e4.ffi.clientIdFromName
import io.e4.ffi.clientIdRandom
import io.e4.ffi.controlTopic
import io.e4.ffi.sixteenFromHex
import io.e4.ffi.topicHash

internal fun hex(bytes: ByteArray): String = bytes.joinToString("") { "%02x".format(it) }

/** The id of a client: 16 bytes, made from a name or random (PROTOCOL section 1). */
public class ClientId private constructor(internal val bytes: ByteArray) {
    /** 32 lower-case hexadecimal digits. */
    public val hex: String get() = hex(bytes)

    /** The topic on which C2 publishes the commands for this client, 35 characters. */
    public val controlTopic: String get() = call { controlTopic(bytes) }

    /** The topic on which this client publishes its answers, 39 characters. */
    public val answerTopic: String get() = call { answerTopic(bytes) }

    /** A copy of the 16 bytes. */
    public fun toByteArray(): ByteArray = bytes.copyOf()

    override fun equals(other: Any?): Boolean = other is ClientId && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    override fun toString(): String = hex

    public companion object {
        /**
         * The id of a name of 1 to 255 bytes of UTF-8: the first 16 bytes of its SHA3-256.
         *
         * @throws E4Exception [E4Error.InvalidName]
         */
        @JvmStatic
        public fun fromName(name: String): ClientId = ClientId(call { clientIdFromName(name) })

        /**
         * From 16 bytes.
         *
         * @throws E4Exception [E4Error.InvalidParameter] for another length
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): ClientId {
            call { checkSixteen(bytes) }
            return ClientId(bytes.copyOf())
        }

        /**
         * From 32 hexadecimal digits of either case.
         *
         * @throws E4Exception [E4Error.InvalidParameter] for anything else
         */
        @JvmStatic
        public fun fromHex(digits: String): ClientId = ClientId(call { sixteenFromHex(digits) })

        /** A random id from the operating system. */
        @JvmStatic
        public fun random(): ClientId = ClientId(call { clientIdRandom() })
    }
}

/** The hash of a topic: the first 16 bytes of its SHA3-256 (PROTOCOL section 1). */
public class TopicHash private constructor(internal val bytes: ByteArray) {
    /** 32 lower-case hexadecimal digits. */
    public val hex: String get() = hex(bytes)

    /** A copy of the 16 bytes. */
    public fun toByteArray(): ByteArray = bytes.copyOf()

    override fun equals(other: Any?): Boolean = other is TopicHash && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    override fun toString(): String = hex

    public companion object {
        /**
         * The hash of a topic of 1 to 65,535 bytes of UTF-8.
         *
         * @throws E4Exception [E4Error.InvalidTopic]
         */
        @JvmStatic
        public fun fromTopic(topic: String): TopicHash = TopicHash(call { topicHash(topic) })

        /**
         * From 16 bytes.
         *
         * @throws E4Exception [E4Error.InvalidParameter] for another length
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): TopicHash {
            call { checkSixteen(bytes) }
            return TopicHash(bytes.copyOf())
        }

        /**
         * From 32 hexadecimal digits of either case.
         *
         * @throws E4Exception [E4Error.InvalidParameter] for anything else
         */
        @JvmStatic
        public fun fromHex(digits: String): TopicHash = TopicHash(call { sixteenFromHex(digits) })
    }
}

/** A moment in whole seconds since 1970-01-01 00:00 UTC (Unix time). */
public data class Timestamp(
    /** Unix seconds. */
    public val seconds: ULong,
) : Comparable<Timestamp> {
    override fun compareTo(other: Timestamp): Int = seconds.compareTo(other.seconds)

    override fun toString(): String = seconds.toString()

    public companion object {
        /** From Unix seconds. */
        @JvmStatic
        public fun ofSeconds(seconds: Long): Timestamp = Timestamp(seconds.toULong())

        /** What the system clock says; 0 if it stands before 1970. */
        @JvmStatic
        public fun now(): Timestamp = ofSeconds(maxOf(System.currentTimeMillis(), 0) / 1000)
    }
}

/** The two ways to protect (PROTOCOL sections 2 and 3). */
public enum class Mode(internal val number: Int) {
    /** Symmetric key (SK): topic keys alone. */
    Symmetric(1),

    /** Public key (PK): topic keys and signatures. */
    PublicKey(2),
}

/** The first byte of a command (PROTOCOL section 4). */
public enum class Opcode(
    /** The byte. */
    public val number: Int,
) {
    /** Forget the keys of one topic. */
    RemoveTopic(0),

    /** Forget the keys of all topics. */
    ResetTopics(1),

    /** Replace the client's own key. */
    SetIdKey(2),

    /** Add or replace the key of a topic. */
    SetTopicKey(3),

    /** Forget the public key of one client. */
    RemovePubKey(4),

    /** Forget all public keys. */
    ResetPubKeys(5),

    /** Add or replace the public key of a client. */
    SetPubKey(6),

    /** Replace C2's public key. */
    SetC2Key(7),
    ;

    internal companion object {
        fun of(number: UByte): Opcode = entries.first { it.number == number.toInt() }
    }
}
