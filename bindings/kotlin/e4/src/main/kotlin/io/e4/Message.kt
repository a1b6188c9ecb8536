// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.defaultSettings
import io.e4.ffi.Item as FfiItem
import io.e4.ffi.Outcome as FfiOutcome
import io.e4.ffi.Settings as FfiSettings
import io.e4.ffi.Signer as FfiSigner
import io.e4.ffi.Unprotected as FfiUnprotected

/** What came in: a message for the app, or a command that is done with. */
public sealed interface Unprotected {
    /** A message that authenticated. Printing it does not give its text. */
    public class Message(
        /** The plaintext; it may be empty. */
        public val plaintext: ByteArray,
        /** The sender's clock. */
        public val timestamp: Timestamp,
        /** Who signed; null in SK mode. */
        public val signer: Signer?,
    ) : Unprotected {
        override fun toString(): String = "Message(${plaintext.size} bytes at $timestamp)"
    }

    /** A command of C2 was applied and stored; [Client.answer] has the answer for C2. */
    public data class CommandApplied(
        /** Which one. */
        public val opcode: Opcode,
    ) : Unprotected
}

/**
 * Who signed a message. [verified] is false only for a signer whose key is not held, where
 * [Settings.acceptUnknownSigners] is on.
 */
public data class Signer(
    /** The id in the message. */
    public val id: ClientId,
    /** Whether the signature was checked. */
    public val verified: Boolean,
)

/** Bytes on a topic, for a batch: a plaintext, or what was protected. */
public class Item(
    /** The topic. */
    public val topic: String,
    /** The bytes. */
    public val bytes: ByteArray,
)

/** What a client tolerates. Not stored: give it at every start. */
public data class Settings(
    /** How old a message may be, seconds. */
    public val past: UInt = DEFAULT.past,
    /** How far ahead of the clock it may be, seconds. e4go tolerates 0. */
    public val future: UInt = DEFAULT.future,
    /** How long a replaced topic key still opens messages, seconds. */
    public val transition: UInt = DEFAULT.transition,
    /**
     * Whether a PK client takes messages of signers whose public key it does not hold. With this
     * on, whoever holds the topic key can write under any id that is not known: look at
     * [Signer.verified].
     */
    public val acceptUnknownSigners: Boolean = DEFAULT.acceptUnknownSigners,
    /**
     * How many messages are remembered and refused a second time; 0 is off (PROTOCOL section 7).
     * Two equal payloads in the same second are equal bytes: the second is refused as well.
     */
    public val replayCache: UInt = DEFAULT.replayCache,
) {
    private companion object {
        val DEFAULT: FfiSettings = defaultSettings()
    }
}

internal fun Settings.lower(): FfiSettings =
    FfiSettings(past, future, transition, acceptUnknownSigners, replayCache)

internal fun FfiSettings.lift(): Settings =
    Settings(past, future, transition, acceptUnknownSigners, replayCache)

internal fun FfiUnprotected.lift(): Unprotected =
    when (this) {
        is FfiUnprotected.Message -> Unprotected.Message(plaintext, Timestamp(timestamp), signer?.lift())
        is FfiUnprotected.CommandApplied -> Unprotected.CommandApplied(Opcode.of(opcode))
    }

internal fun FfiOutcome.lift(): Result<Unprotected> =
    when (this) {
        is FfiOutcome.Taken -> Result.success(unprotected.lift())
        is FfiOutcome.Refused -> Result.failure(exception(number, text))
    }

internal fun FfiSigner.lift(): Signer = Signer(ClientId.fromBytes(id), verified)

internal fun Iterable<Item>.lower(): List<FfiItem> = map { FfiItem(it.topic, it.bytes) }
