// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.Place
import io.e4.ffi.Records
import io.e4.ffi.RecordsFailure
import io.e4.ffi.Store
import java.io.File

/**
 * Where a client keeps its keys: small numbered records, of up to a few hundred bytes each.
 *
 * Write your own for a database or a key store. Its promise is one sentence: **after a power cut a
 * record holds the old bytes or the new ones, never a mixture.** What a method throws becomes the
 * cause of an [E4Exception] of [E4Error.Storage], and the client stays as it was; throw an
 * [E4Exception] of [E4Error.StorageFull] where there is no place for another record.
 *
 * A storage belongs to one client at a time, must not use the client that it serves, and is closed
 * with it. Its methods are never called by two threads at once.
 */
public interface Storage : AutoCloseable {
    /** The bytes of a record, or null if there is no such record. */
    public fun read(record: Int): ByteArray?

    /** Writes or replaces a record; it is durable when this returns. */
    public fun write(record: Int, bytes: ByteArray)

    /** Erases a record as far as the medium allows. Erasing what is not there succeeds. */
    public fun erase(record: Int)

    /** Gives up what the storage holds open. */
    override fun close() {}
}

/** A storage of the library itself. */
public sealed class ReadyStorage(internal val store: Store) : Storage {
    override fun read(record: Int): ByteArray? = call { store.read(record.toUInt()) }

    override fun write(record: Int, bytes: ByteArray): Unit = call { store.write(record.toUInt(), bytes) }

    override fun erase(record: Int): Unit = call { store.erase(record.toUInt()) }
}

/** Records in memory: for clients that are provisioned at every start, and for tests. */
public class MemoryStorage : ReadyStorage(Store.memory())

/**
 * Records in a file, mode 0600, replaced as a whole by a temporary file and a rename. A lock on
 * `<path>.lock` is held until it is closed. The keys in it are not encrypted: on a phone, wrap it
 * (docs/apps.md).
 *
 * @throws E4Exception [E4Error.Storage], also if another client has the file open;
 *   [E4Error.StateIncompatible] if it is not a state file of this version, or damaged
 */
public class FileStorage(path: String) : ReadyStorage(call { Store.file(path) }) {
    /** A file. */
    public constructor(file: File) : this(file.path)

    override fun close(): Unit = store.shut()
}

/** Brings what an app's storage throws to the caller. */
internal class Adapter(private val storage: Storage) : Records {
    // Each call runs on the thread of the caller from end to end.
    private val thrown = ThreadLocal<Throwable>()

    fun takeThrown(): Throwable? = thrown.get().also { thrown.remove() }

    private inline fun <T> guarded(work: () -> T): T =
        try {
            work()
        } catch (@Suppress("TooGenericExceptionCaught") cause: Throwable) {
            thrown.set(cause)
            val full = cause is E4Exception && cause.error == E4Error.StorageFull
            throw if (full) RecordsFailure.Full() else RecordsFailure.Failed()
        }

    override fun read(record: UInt): ByteArray? = guarded { storage.read(record.toInt()) }

    override fun write(record: UInt, bytes: ByteArray): Unit = guarded { storage.write(record.toInt(), bytes) }

    override fun erase(record: UInt): Unit = guarded { storage.erase(record.toInt()) }
}

/** A storage as the library takes it. */
internal class Placed(val storage: Storage) {
    private val adapter = if (storage is ReadyStorage) null else Adapter(storage)

    val place: Place =
        if (storage is ReadyStorage) Place.Ready(storage.store) else Place.Foreign(adapter!!)

    /** [io.e4.call], with what the storage threw as the cause. */
    inline fun <T> call(work: () -> T): T {
        // What was thrown while wiping, which is tried again at the next start, is nobody's failure.
        adapter?.takeThrown()
        return try {
            io.e4.call(work)
        } catch (failure: E4Exception) {
            val cause = adapter?.takeThrown() ?: throw failure
            if (cause is VirtualMachineError) throw cause
            throw E4Exception(failure.error, failure.message.orEmpty(), cause)
        }
    }
}
