// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// For apps to copy; not part of the package, and not compiled where there is no Android SDK.
import android.content.Context
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import io.e4.FileStorage
import io.e4.Storage
import io.e4.examples.SealedStorage
import java.io.File
import java.security.KeyStore
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey

// mark: keystore
/** A key of this app that never leaves the Android Keystore; made at the first call. */
fun keystoreKey(alias: String = "e4"): SecretKey {
    val keystore = KeyStore.getInstance("AndroidKeyStore").apply { load(null) }
    (keystore.getKey(alias, null) as SecretKey?)?.let { return it }
    val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
    val wanted =
        KeyGenParameterSpec.Builder(alias, purposes)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(256)
            .build()
    val generator = KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, "AndroidKeyStore")
    return generator.apply { init(wanted) }.generateKey()
}

/** `noBackupFilesDir`: a state file that is restored on another phone would not open there. */
fun keystoreStorage(context: Context): Storage =
    SealedStorage(FileStorage(File(context.noBackupFilesDir, "device.e4state")), keystoreKey())
// end
