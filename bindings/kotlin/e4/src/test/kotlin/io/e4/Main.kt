// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4

import org.junit.runner.Description
import org.junit.runner.JUnitCore
import org.junit.runner.notification.Failure
import org.junit.runner.notification.RunListener
import kotlin.system.exitProcess

/** Runs the test classes that are named, and prints what became of them. */
fun main(names: Array<String>) {
    val core = JUnitCore()
    val failed = HashSet<Description>()
    core.addListener(
        object : RunListener() {
            override fun testFailure(failure: Failure) {
                failed += failure.description
                println("${failure.description}: ${failure.trimmedTrace}")
            }

            override fun testFinished(description: Description) {
                println("${if (description in failed) "FAILED" else "ok    "} $description")
            }
        },
    )
    val result = core.run(*names.map { Class.forName(it) }.toTypedArray())
    println("${result.runCount - result.failureCount} passed, ${result.failureCount} failed")
    exitProcess(if (result.wasSuccessful() && result.runCount > 0) 0 else 1)
}
