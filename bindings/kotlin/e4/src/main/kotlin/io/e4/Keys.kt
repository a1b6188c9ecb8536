// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.checkC2PublicKey
import io.e4.ffi.checkPublicKey
import io.e4.ffi.publicKeyToX25519
import io.e4.ffi.C2SecretKey as FfiC2SecretKey
import io.e4.ffi.CommandKey as FfiCommandKey
import io.e4.ffi.IdKey as FfiIdKey
import io.e4.ffi.SharedKey as FfiSharedKey
import io.e4.ffi.SigningKey as FfiSigningKey
import io.e4.ffi.TopicKey as FfiTopicKey

/**
 * A secret key. It lives in native memory and is wiped when it is closed or collected; printing it
 * gives its type alone. There is no `equals` over its bytes: see `isSameAs`.
 */
public sealed class SecretKey : AutoCloseable {
    /**
     * The secret bytes, for storing them in a safe place. The JVM does not wipe them: overwrite the
     * array when it is done with.
     *
     * @throws E4Exception [E4Error.InvalidParameter] once the key is closed
     */
    public abstract fun expose(): ByteArray

    /** Wipes the key. Whatever was made from it stays. Closing twice is nothing. */
    public abstract override fun close()

    /** The type alone. */
    final override fun toString(): String = javaClass.simpleName
}

/** A key under which C2 protects commands for one client: [IdKey] (SK) or [SharedKey] (PK). */
public sealed interface CommandKey

internal fun CommandKey.lower(): FfiCommandKey =
    when (this) {
        is IdKey -> FfiCommandKey.Id(inner)
        is SharedKey -> FfiCommandKey.Shared(inner)
    }

/** The key that an SK client shares with C2: 32 bytes, never all zero. */
public class IdKey private constructor(internal val inner: FfiIdKey) : SecretKey(), CommandKey {
    override fun expose(): ByteArray = call { inner.expose() }

    override fun close(): Unit = inner.wipe()

    /** Whether two keys are the same, in constant time. */
    public fun isSameAs(other: IdKey): Boolean = call { inner.isSameAs(other.inner) }

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length or all zero
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): IdKey = IdKey(call { FfiIdKey.fromBytes(bytes) })

        /** A random key from the operating system. */
        @JvmStatic
        public fun random(): IdKey = IdKey(call { FfiIdKey.random() })

        /**
         * The key of a password of at least 16 bytes of UTF-8, as e4go and libe4 derive it
         * (PROTOCOL section 5): 64 MiB of memory, some tens of milliseconds, on a thread of its own.
         *
         * @throws E4Exception [E4Error.InvalidPassword], [E4Error.OutOfMemory]
         */
        public suspend fun fromPassword(password: String): IdKey = background { fromPasswordBlocking(password) }

        /** [fromPassword] on this thread: not for the main thread of an app. */
        @JvmStatic
        public fun fromPasswordBlocking(password: String): IdKey =
            IdKey(call { FfiIdKey.fromPassword(password) })
    }
}

/** The key of a topic, which all clients of the topic hold: 32 bytes, never all zero. */
public class TopicKey private constructor(internal val inner: FfiTopicKey) : SecretKey() {
    override fun expose(): ByteArray = call { inner.expose() }

    override fun close(): Unit = inner.wipe()

    /** Whether two keys are the same, in constant time. */
    public fun isSameAs(other: TopicKey): Boolean = call { inner.isSameAs(other.inner) }

    /** Protects a message without a client (SK mode): 24 bytes more than the message. */
    @JvmOverloads
    public fun protect(message: ByteArray, now: Timestamp = Timestamp.now()): ByteArray =
        call { inner.protect(now.seconds, message) }

    /**
     * Opens a message without a client (SK mode). [past] and [future] are the seconds that its
     * timestamp may be away from [now].
     *
     * @throws E4Exception [E4Error.MessageTooShort], [E4Error.TimestampInFuture],
     *   [E4Error.TimestampTooOld], [E4Error.InvalidTag]
     */
    @JvmOverloads
    public fun unprotect(
        protected: ByteArray,
        now: Timestamp = Timestamp.now(),
        past: Int = 600,
        future: Int = 600,
    ): ByteArray = call { inner.unprotect(now.seconds, protected, past.toUInt(), future.toUInt()) }

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length or all zero
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): TopicKey = TopicKey(call { FfiTopicKey.fromBytes(bytes) })

        /** A random key from the operating system. */
        @JvmStatic
        public fun random(): TopicKey = TopicKey(call { FfiTopicKey.random() })
    }
}

/**
 * The key that a PK client and C2 agree on (PROTOCOL section 6). Making it costs a scalar
 * multiplication; keep it where commands are protected often.
 */
public class SharedKey private constructor(internal val inner: FfiSharedKey) : SecretKey(), CommandKey {
    override fun expose(): ByteArray = call { inner.expose() }

    override fun close(): Unit = inner.wipe()

    /** Whether two keys are the same, in constant time. */
    public fun isSameAs(other: SharedKey): Boolean = call { inner.isSameAs(other.inner) }

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length or all zero
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): SharedKey = SharedKey(call { FfiSharedKey.fromBytes(bytes) })

        /**
         * The client's side.
         *
         * @throws E4Exception [E4Error.InvalidKey] if the agreement gives zero
         */
        @JvmStatic
        public fun forClient(client: SigningKey, c2: C2PublicKey): SharedKey =
            SharedKey(call { FfiSharedKey.forClient(client.inner, c2.bytes) })

        /**
         * C2's side.
         *
         * @throws E4Exception [E4Error.InvalidKey] if the agreement gives zero
         */
        @JvmStatic
        public fun forC2(c2: C2SecretKey, client: PublicKey): SharedKey =
            SharedKey(call { FfiSharedKey.forC2(c2.inner, client.bytes) })
    }
}

/** C2's X25519 private key: 32 bytes. */
public class C2SecretKey private constructor(internal val inner: FfiC2SecretKey) : SecretKey() {
    /** The public half. */
    public val publicKey: C2PublicKey get() = C2PublicKey(call { inner.publicBytes() })

    override fun expose(): ByteArray = call { inner.expose() }

    override fun close(): Unit = inner.wipe()

    /** Whether two keys are the same, in constant time. */
    public fun isSameAs(other: C2SecretKey): Boolean = call { inner.isSameAs(other.inner) }

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length or all zero
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): C2SecretKey =
            C2SecretKey(call { FfiC2SecretKey.fromBytes(bytes) })

        /** A random key from the operating system. */
        @JvmStatic
        public fun random(): C2SecretKey = C2SecretKey(call { FfiC2SecretKey.random() })
    }
}

/** The Ed25519 key pair of a PK client: 64 bytes, seed (32) and then public key (32). */
public class SigningKey private constructor(internal val inner: FfiSigningKey) : SecretKey() {
    /** The public half. */
    public val publicKey: PublicKey get() = PublicKey(call { inner.publicBytes() })

    override fun expose(): ByteArray = call { inner.expose() }

    override fun close(): Unit = inner.wipe()

    /** Whether two keys are the same, in constant time. */
    public fun isSameAs(other: SigningKey): Boolean = call { inner.isSameAs(other.inner) }

    /** The X25519 private key of this pair, 32 secret bytes (PROTOCOL section 6). */
    public fun toX25519(): ByteArray = call { inner.toX25519() }

    public companion object {
        /**
         * From its 64 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length, an all-zero seed, or halves
         *   that do not match
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): SigningKey = SigningKey(call { FfiSigningKey.fromBytes(bytes) })

        /**
         * From the 32-byte seed.
         *
         * @throws E4Exception [E4Error.InvalidKey] for another length or all zero
         */
        @JvmStatic
        public fun fromSeed(seed: ByteArray): SigningKey = SigningKey(call { FfiSigningKey.fromSeed(seed) })

        /** A random key pair from the operating system. */
        @JvmStatic
        public fun random(): SigningKey = SigningKey(call { FfiSigningKey.random() })

        /**
         * The key pair of a password of at least 16 bytes of UTF-8, as e4go derives it, on a thread
         * of its own.
         *
         * @throws E4Exception [E4Error.InvalidPassword], [E4Error.OutOfMemory]
         */
        public suspend fun fromPassword(password: String): SigningKey =
            background { fromPasswordBlocking(password) }

        /** [fromPassword] on this thread: not for the main thread of an app. */
        @JvmStatic
        public fun fromPasswordBlocking(password: String): SigningKey =
            SigningKey(call { FfiSigningKey.fromPassword(password) })
    }
}

/** The Ed25519 public key of a client: 32 bytes, canonical, on the curve, not of small order. */
public class PublicKey internal constructor(internal val bytes: ByteArray) {
    /** 64 lower-case hexadecimal digits. */
    public val hex: String get() = hex(bytes)

    /** A copy of the 32 bytes. */
    public fun toByteArray(): ByteArray = bytes.copyOf()

    /** The X25519 public key of this key, 32 bytes (PROTOCOL section 6). */
    public fun toX25519(): ByteArray = call { publicKeyToX25519(bytes) }

    override fun equals(other: Any?): Boolean = other is PublicKey && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    override fun toString(): String = "PublicKey($hex)"

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] if they are no such key
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): PublicKey {
            call { checkPublicKey(bytes) }
            return PublicKey(bytes.copyOf())
        }
    }
}

/** C2's X25519 public key: 32 bytes, not of small order. */
public class C2PublicKey internal constructor(internal val bytes: ByteArray) {
    /** 64 lower-case hexadecimal digits. */
    public val hex: String get() = hex(bytes)

    /** A copy of the 32 bytes. */
    public fun toByteArray(): ByteArray = bytes.copyOf()

    override fun equals(other: Any?): Boolean = other is C2PublicKey && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    override fun toString(): String = "C2PublicKey($hex)"

    public companion object {
        /**
         * From its 32 bytes.
         *
         * @throws E4Exception [E4Error.InvalidKey] if they are no such key
         */
        @JvmStatic
        public fun fromBytes(bytes: ByteArray): C2PublicKey {
            call { checkC2PublicKey(bytes) }
            return C2PublicKey(bytes.copyOf())
        }
    }
}
