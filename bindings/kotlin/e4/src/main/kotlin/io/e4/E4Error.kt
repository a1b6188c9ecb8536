// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import io.e4.ffi.Failure
import io.e4.ffi.InternalException
import java.nio.charset.CharacterCodingException

/**
 * What went wrong. Each error has one [number] for life, the same in every language. An error
 * holds no secret and no input.
 */
public enum class E4Error(
    /** The number: negative, the same in Rust, C, Python, Swift and on the wire. */
    public val number: Int,
) {
    /** A bug in E4 itself. */
    Internal(-100),

    /** The bytes do not authenticate under the key: altered, or protected under another key. */
    InvalidTag(-101),

    /** The timestamp is ahead of the clock by more than the tolerance. */
    TimestampInFuture(-102),

    /** The timestamp is older than the validity. */
    TimestampTooOld(-103),

    /** Fewer bytes than the smallest message of the mode. */
    MessageTooShort(-104),

    /** The client holds no key for the topic. */
    TopicKeyMissing(-105),

    /** The command, or the message where its cache is on, was seen before. */
    Replayed(-106),

    /** An unknown opcode, a wrong length, or a command of the other mode. */
    InvalidCommand(-107),

    /** The storage failed; what it threw is the cause. */
    Storage(-108),

    /** The client holds no public key for the signer. */
    SignerUnknown(-109),

    /** The signature is wrong. */
    SignatureInvalid(-110),

    /** The output buffer is too small for the result (C alone). */
    BufferTooSmall(-111),

    /** A bad length, or something that is closed. */
    InvalidParameter(-112),

    /** The stored state has another format, version or mode than this version reads. */
    StateIncompatible(-113),

    /** All zero, not on the curve, of small order, of the wrong length, or halves that do not match. */
    InvalidKey(-114),

    /** Empty, or longer than 255 bytes. */
    InvalidName(-115),

    /** Empty, longer than 65,535 bytes, or the client's own control topic. */
    InvalidTopic(-116),

    /** Shorter than 16 bytes. */
    InvalidPassword(-117),

    /** The storage holds no client. */
    NotProvisioned(-118),

    /** The storage holds a client already; forget it first. */
    AlreadyProvisioned(-119),

    /** A stored record does not have the check value that it was written with. */
    StateCorrupt(-120),

    /** No free record is left for another key. */
    StorageFull(-121),

    /** The operation needs the other mode (SK or PK). */
    WrongMode(-122),

    /** The operating system gave no randomness. */
    Randomness(-123),

    /** The client has no clock and has not seen a command to take the time from. */
    ClockUnknown(-124),

    /** Not enough memory for the password derivation. */
    OutOfMemory(-125),
    ;

    public companion object {
        /** The error of a number, if it is one of the table. */
        @JvmStatic
        public fun ofNumber(number: Int): E4Error? = entries.find { it.number == number }
    }
}

/**
 * Thrown by everything here that fails.
 *
 * ```
 * try {
 *     client.protect("plant/pressure", bytes)
 * } catch (e: E4Exception) {
 *     when (e.error) {
 *         E4Error.TopicKeyMissing -> askC2(client.hello())
 *         else -> throw e
 *     }
 * }
 * ```
 */
public class E4Exception(
    /** Which error. */
    public val error: E4Error,
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause) {
    /** The number of the error, the same in every language. */
    public val number: Int get() = error.number
}

internal fun exception(number: Int, text: String, cause: Throwable? = null): E4Exception =
    E4Exception(E4Error.ofNumber(number) ?: E4Error.Internal, "$text ($number)", cause)

/** Runs a call of the library; its failure becomes an [E4Exception]. */
internal inline fun <T> call(work: () -> T): T =
    try {
        work()
    } catch (failure: Failure.Failed) {
        throw exception(failure.number, failure.text)
    } catch (malformed: CharacterCodingException) {
        throw E4Exception(E4Error.InvalidParameter, "text that is not valid Unicode (-112)", malformed)
    } catch (panic: InternalException) {
        // A panic in the library, which would be a bug.
        throw E4Exception(E4Error.Internal, "internal error (-100)", panic)
    }
