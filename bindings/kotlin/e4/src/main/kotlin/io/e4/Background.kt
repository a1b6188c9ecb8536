// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import kotlin.concurrent.thread
import kotlin.coroutines.suspendCoroutine

/** Runs what takes long on a thread of its own; the caller goes on where its dispatcher puts it. */
internal suspend fun <T> background(work: () -> T): T =
    suspendCoroutine { caller ->
        thread(name = "e4", isDaemon = true) { caller.resumeWith(runCatching(work)) }
    }
