// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.Client as FfiClient

/**
 * A device, or any party that talks on protected topics (PROTOCOL section 7).
 *
 * ```
 * val pump = Client.provision("pump-1", IdKey.fromBytes(secret), FileStorage("pump-1.e4state"))
 * mqtt.publish("plant/pressure", pump.protect("plant/pressure", "4.2 bar".toByteArray()))
 * ```
 *
 * `now` is the time; left out it is the system clock, and null is a device without a clock, which
 * takes its time from the last command. Any number of threads may use one client. After [close]
 * everything but [close] throws [E4Error.InvalidParameter].
 */
public class Client private constructor(
    private val inner: FfiClient,
    private val placed: Placed,
) : AutoCloseable {
    private inline fun <T> run(work: FfiClient.() -> T): T = placed.call { inner.work() }

    /** The id. */
    public val id: ClientId get() = ClientId.fromBytes(run { id() })

    /** SK or PK. */
    public val mode: Mode get() = run { mode() }.let { number -> Mode.entries.first { it.number == number.toInt() } }

    /** The public key of a PK client, by which others check its messages; null in SK mode. */
    public val publicKey: PublicKey? get() = run { publicKey() }?.let(::PublicKey)

    /** The topic to subscribe to for commands, 35 characters. */
    public val controlTopic: String get() = run { controlTopic() }

    /** The topic on which answers are published, 39 characters. */
    public val answerTopic: String get() = run { answerTopic() }

    /** How many topic keys the client holds. */
    public val topicCount: Int get() = run { topicCount() }.toInt()

    /** How many public keys of others the client holds. */
    public val peerCount: Int get() = run { peerCount() }.toInt()

    /** What the client tolerates. [Settings.replayCache] stays what it was at the start. */
    public var settings: Settings
        get() = run { settings() }.lift()
        set(value) = run { changeSettings(value.lower()) }

    /**
     * Protects a message for a topic: 24 (SK) or 104 (PK) bytes more. A peer that runs e4go refuses
     * an empty SK message.
     *
     * @throws E4Exception [E4Error.TopicKeyMissing]; [E4Error.InvalidTopic], also for the client's
     *   own control topic; [E4Error.ClockUnknown]; [E4Error.Storage]
     */
    @JvmOverloads
    public fun protect(topic: String, message: ByteArray, now: Timestamp? = Timestamp.now()): ByteArray =
        run { protect(now?.seconds, topic, message) }

    /**
     * Takes in what arrived on a topic: [Unprotected.Message], or, on the control topic,
     * [Unprotected.CommandApplied] for a command that was applied and stored.
     *
     * @throws E4Exception [E4Error.TopicKeyMissing], [E4Error.MessageTooShort],
     *   [E4Error.TimestampInFuture], [E4Error.TimestampTooOld], [E4Error.SignerUnknown],
     *   [E4Error.SignatureInvalid], [E4Error.InvalidTag], [E4Error.InvalidTopic];
     *   [E4Error.Replayed], a normal event where the broker retains commands; for a command also
     *   [E4Error.InvalidCommand], [E4Error.InvalidKey] and [E4Error.Storage], after which nothing
     *   has changed
     */
    @JvmOverloads
    public fun unprotect(topic: String, protected: ByteArray, now: Timestamp? = Timestamp.now()): Unprotected =
        run { unprotect(now?.seconds, topic, protected) }.lift()

    /** Protects many messages; throws the first error. */
    @JvmOverloads
    public fun protectMany(items: Iterable<Item>, now: Timestamp? = Timestamp.now()): List<ByteArray> =
        run { protectMany(now?.seconds, items.lower()) }

    /** Takes in many; each has a result of its own, so that none is lost. */
    @JvmOverloads
    public fun unprotectMany(items: Iterable<Item>, now: Timestamp? = Timestamp.now()): List<Result<Unprotected>> =
        run { unprotectMany(now?.seconds, items.lower()) }.map { it.lift() }

    /**
     * The answer to the last command that authenticated, 58 bytes to be published on [answerTopic]
     * with QoS 1, not retained; null if there is none that was not answered.
     *
     * @throws E4Exception [E4Error.ClockUnknown], [E4Error.Storage]
     */
    @JvmOverloads
    public fun answer(now: Timestamp? = Timestamp.now()): ByteArray? = run { answer(now?.seconds) }

    /**
     * A hello, by which a client asks C2 to be brought up to date; published like an answer.
     *
     * @throws E4Exception [E4Error.ClockUnknown], [E4Error.Storage]
     */
    @JvmOverloads
    public fun hello(now: Timestamp? = Timestamp.now()): ByteArray = run { hello(now?.seconds) }

    /** The digest of the keys that the client holds, 16 bytes (PROTOCOL section 11). */
    public fun digest(): ByteArray = run { digest() }

    /**
     * Whether the client holds a key for a topic.
     *
     * @throws E4Exception [E4Error.InvalidTopic], [E4Error.Storage]
     */
    public fun hasTopic(topic: String): Boolean = run { hasTopic(topic) }

    /**
     * Erases the client from its storage and closes both.
     *
     * @throws E4Exception [E4Error.Storage]; then the storage holds the whole client, which stays
     *   usable, or none
     */
    public fun forget() {
        run { forget() }
        placed.storage.close()
    }

    /** Wipes the keys in memory and closes the storage. Closing twice is nothing. */
    override fun close() {
        run { shut() }
        placed.storage.close()
    }

    override fun toString(): String =
        runCatching { "Client($id, $mode)" }.getOrDefault("Client(closed)")

    public companion object {
        private inline fun make(storage: Storage, work: (Placed) -> FfiClient): Client {
            val placed = Placed(storage)
            return Client(placed.call { work(placed) }, placed)
        }

        /**
         * Stores a new SK client.
         *
         * @throws E4Exception [E4Error.AlreadyProvisioned] if the storage holds a client, which is
         *   not touched; [E4Error.Storage]
         */
        @JvmStatic
        @JvmOverloads
        public fun provision(
            id: ClientId,
            key: IdKey,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = make(storage) { FfiClient.provision(id.bytes, key.inner, it.place, settings.lower()) }

        /** Stores a new SK client by its name. */
        @JvmStatic
        @JvmOverloads
        public fun provision(
            name: String,
            key: IdKey,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = provision(ClientId.fromName(name), key, storage, settings)

        /**
         * Stores a new PK client.
         *
         * @throws E4Exception [E4Error.AlreadyProvisioned] if the storage holds a client, which is
         *   not touched; [E4Error.InvalidKey]; [E4Error.Storage]
         */
        @JvmStatic
        @JvmOverloads
        public fun provision(
            id: ClientId,
            key: SigningKey,
            c2Key: C2PublicKey,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client =
            make(storage) {
                FfiClient.provisionSigning(id.bytes, key.inner, c2Key.bytes, it.place, settings.lower())
            }

        /** Stores a new PK client by its name. */
        @JvmStatic
        @JvmOverloads
        public fun provision(
            name: String,
            key: SigningKey,
            c2Key: C2PublicKey,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = provision(ClientId.fromName(name), key, c2Key, storage, settings)

        /**
         * Stores a new client whose key is made from a password of at least 16 bytes, as e4go and
         * libe4 do, on a thread of its own. With [c2Key] it is a PK client.
         *
         * @throws E4Exception [E4Error.InvalidPassword], [E4Error.OutOfMemory], and what
         *   [provision] throws
         */
        public suspend fun provisionFromPassword(
            name: String,
            password: String,
            c2Key: C2PublicKey? = null,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = background { provisionFromPasswordBlocking(name, password, c2Key, storage, settings) }

        /** [provisionFromPassword] on this thread: not for the main thread of an app. */
        @JvmStatic
        @JvmOverloads
        public fun provisionFromPasswordBlocking(
            name: String,
            password: String,
            c2Key: C2PublicKey? = null,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client =
            make(storage) {
                FfiClient.provisionFromPassword(name, password, c2Key?.bytes, it.place, settings.lower())
            }

        /**
         * Opens a stored client.
         *
         * @throws E4Exception [E4Error.NotProvisioned], [E4Error.StateCorrupt],
         *   [E4Error.StateIncompatible], [E4Error.Storage]
         */
        @JvmStatic
        @JvmOverloads
        public fun open(storage: Storage, settings: Settings = Settings()): Client =
            make(storage) { FfiClient.open(it.place, settings.lower()) }

        /**
         * Stores the client of an e4go JSON file. Stop the old client.
         *
         * @throws E4Exception [E4Error.StateIncompatible] if it is not such a file,
         *   [E4Error.InvalidKey], [E4Error.AlreadyProvisioned], [E4Error.Storage]
         */
        @JvmStatic
        @JvmOverloads
        public fun importE4go(
            json: ByteArray,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = make(storage) { FfiClient.importE4go(json, it.place, settings.lower()) }

        /**
         * Stores the client of a libe4 file (`E41P` or `E42P`). Stop the old client.
         *
         * @throws E4Exception what [importE4go] throws
         */
        @JvmStatic
        @JvmOverloads
        public fun importLibe4(
            file: ByteArray,
            storage: Storage = MemoryStorage(),
            settings: Settings = Settings(),
        ): Client = make(storage) { FfiClient.importLibe4(file, it.place, settings.lower()) }
    }
}
