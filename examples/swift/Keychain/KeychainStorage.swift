// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// For apps to copy. Elsewhere than on Apple's systems this file is empty.
#if canImport(CryptoKit) && canImport(Security)
    import CryptoKit
    import E4
    import Foundation
    import Security

    // mark: keychain
    /// Records encrypted with AES-GCM before another storage keeps them, under a key that the
    /// Keychain keeps on this device.
    public final class KeychainStorage: Storage {
        private let inner: any Storage
        private let key: SymmetricKey

        /// `account` names the key in the Keychain; it is made at the first start.
        public init(_ inner: any Storage, account: String) throws {
            self.inner = inner
            key = try Self.key(account)
        }

        public func read(_ record: Int) throws -> Data? {
            guard let sealed = try inner.read(record) else { return nil }
            return try AES.GCM.open(
                .init(combined: sealed), using: key, authenticating: name(record))
        }

        public func write(_ record: Int, _ bytes: Data) throws {
            let sealed = try AES.GCM.seal(bytes, using: key, authenticating: name(record))
            guard let combined = sealed.combined else { throw E4Error.storage() }
            try inner.write(record, combined)
        }

        public func erase(_ record: Int) throws { try inner.erase(record) }

        public func close() { inner.close() }

        /// A record that was moved to another place does not open.
        private func name(_ record: Int) -> Data { Data("e4 record \(record)".utf8) }

        private static func key(_ account: String) throws -> SymmetricKey {
            let item: [CFString: Any] = [
                kSecClass: kSecClassGenericPassword, kSecAttrService: "io.e4",
                kSecAttrAccount: account,
            ]
            var found: CFTypeRef?
            let query = item.merging([kSecReturnData: true]) { $1 }
            let status = SecItemCopyMatching(query as CFDictionary, &found)
            if status == errSecSuccess, let bytes = found as? Data {
                return SymmetricKey(data: bytes)
            }
            guard status == errSecItemNotFound else { throw KeychainError(status: status) }
            let made = SymmetricKey(size: .bits256)
            let add = item.merging([
                kSecValueData: made.withUnsafeBytes { Data($0) },
                // Also while the screen is locked; never in a backup, never on another device.
                kSecAttrAccessible: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
            ]) { $1 }
            let added = SecItemAdd(add as CFDictionary, nil)
            guard added == errSecSuccess else { throw KeychainError(status: added) }
            return made
        }
    }

    /// What the Keychain answered.
    public struct KeychainError: Error {
        public let status: OSStatus
    }
// end
#endif
