// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.examples

import io.e4.Storage
import java.security.GeneralSecurityException
import javax.crypto.Cipher
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

// mark: sealed
/**
 * Records encrypted with AES-GCM before another storage keeps them. The key may be one that never
 * leaves the Android Keystore (bindings/kotlin/android/KeystoreKey.kt).
 */
class SealedStorage(private val inner: Storage, private val key: SecretKey) : Storage {
    override fun read(record: Int): ByteArray? {
        val sealed = inner.read(record) ?: return null
        if (sealed.size < NONCE) throw GeneralSecurityException("a record that is too short")
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(128, sealed, 0, NONCE))
        cipher.updateAAD(name(record))
        return cipher.doFinal(sealed, NONCE, sealed.size - NONCE)
    }

    override fun write(record: Int, bytes: ByteArray) {
        // The Keystore insists on choosing the nonce itself.
        val cipher = Cipher.getInstance("AES/GCM/NoPadding")
        cipher.init(Cipher.ENCRYPT_MODE, key)
        cipher.updateAAD(name(record))
        inner.write(record, cipher.iv + cipher.doFinal(bytes))
    }

    override fun erase(record: Int) = inner.erase(record)

    override fun close() = inner.close()

    /** A record that was moved to another place does not open. */
    private fun name(record: Int) = "e4 record $record".toByteArray()

    private companion object {
        const val NONCE = 12
    }
}
// end
