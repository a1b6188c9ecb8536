// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation
internal import E4Generated

/// Where a client keeps its keys: small numbered records, of up to a few hundred bytes each.
///
/// Write your own for a database or a keychain. Its promise is one sentence: **after a power cut a
/// record holds the old bytes or the new ones, never a mixture.** What a method throws comes out as
/// the cause of ``E4Error/storage(cause:)``, and the client stays as it was; throw
/// ``E4Error/storageFull`` where there is no place for another record.
///
/// A storage belongs to one client at a time, must not use the client that it serves, and is closed
/// with it. Its methods are never called by two threads at once.
public protocol Storage: AnyObject, Sendable {
    /// The bytes of a record, or nil if there is no such record.
    func read(_ record: Int) throws -> Data?

    /// Writes or replaces a record; it is durable when this returns.
    func write(_ record: Int, _ bytes: Data) throws

    /// Erases a record as far as the medium allows. Erasing what is not there succeeds.
    func erase(_ record: Int) throws

    /// Gives up what the storage holds open.
    func close()
}

extension Storage {
    /// Nothing to give up.
    public func close() {}
}

/// Records in memory: for clients that are provisioned at every start, and for tests.
public final class MemoryStorage: Storage {
    let store = Store.memory()

    /// Empty.
    public init() {}

    public func read(_ record: Int) throws -> Data? {
        try call { try store.read(record: UInt32(clamping: record)) }
    }

    public func write(_ record: Int, _ bytes: Data) throws {
        try call { try store.write(record: UInt32(clamping: record), bytes: bytes) }
    }

    public func erase(_ record: Int) throws {
        try call { try store.erase(record: UInt32(clamping: record)) }
    }
}

/// Records in a file, mode 0600, replaced as a whole by a temporary file and a rename. A lock on
/// `<path>.lock` is held until it is closed. The keys in it are not encrypted: on a phone, wrap it
/// (docs/apps.md).
public final class FileStorage: Storage {
    let store: Store

    /// Opens a state file; one that does not exist is created by the first write.
    ///
    /// - Throws: ``E4Error/storage(cause:)``, also if another client has the file open;
    ///   ``E4Error/stateIncompatible`` if it is not a state file of this version, or damaged.
    public init(path: String) throws { store = try call { try Store.file(path: path) } }

    public func read(_ record: Int) throws -> Data? {
        try call { try store.read(record: UInt32(clamping: record)) }
    }

    public func write(_ record: Int, _ bytes: Data) throws {
        try call { try store.write(record: UInt32(clamping: record), bytes: bytes) }
    }

    public func erase(_ record: Int) throws {
        try call { try store.erase(record: UInt32(clamping: record)) }
    }

    public func close() { store.shut() }
}

/// Brings what an app's storage throws to the caller.
final class Adapter: Records {
    private let storage: any Storage

    init(_ storage: any Storage) { self.storage = storage }

    // Each call runs on the thread of the caller from end to end.
    private var place: String { "io.e4.thrown.\(ObjectIdentifier(self))" }

    func takeThrown() -> (any Error)? {
        let here = Thread.current.threadDictionary
        defer { here[place] = nil }
        return here[place] as? any Error
    }

    private func guarded<T>(_ work: () throws -> T) throws -> T {
        do {
            return try work()
        } catch {
            Thread.current.threadDictionary[place] = error
            let full = error as? E4Error == .storageFull
            throw full ? RecordsFailure.Full : RecordsFailure.Failed
        }
    }

    func read(record: UInt32) throws -> Data? { try guarded { try storage.read(Int(record)) } }

    func write(record: UInt32, bytes: Data) throws {
        try guarded { try storage.write(Int(record), bytes) }
    }

    func erase(record: UInt32) throws { try guarded { try storage.erase(Int(record)) } }
}

/// A storage as the library takes it.
struct Placed {
    let storage: any Storage
    let place: Place
    private let adapter: Adapter?

    init(_ storage: any Storage) {
        self.storage = storage
        switch storage {
        case let ready as MemoryStorage: (place, adapter) = (.ready(store: ready.store), nil)
        case let ready as FileStorage: (place, adapter) = (.ready(store: ready.store), nil)
        default:
            let adapter = Adapter(storage)
            (place, self.adapter) = (.foreign(records: adapter), adapter)
        }
    }

    /// `call`, with what the storage threw as the cause.
    func run<T>(_ work: () throws -> T) throws -> T {
        // What was thrown while wiping, which is tried again at the next start, is nobody's failure.
        _ = adapter?.takeThrown()
        do {
            return try call(work)
        } catch E4Error.storage(let cause) {
            throw E4Error.storage(cause: adapter?.takeThrown() ?? cause)
        }
    }
}
