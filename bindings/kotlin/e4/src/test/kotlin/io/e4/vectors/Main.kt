// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import java.io.File
import java.util.TreeMap
import kotlin.system.exitProcess

// Runs interoperability vectors through the Kotlin package: `cargo xtask kotlin -- vectors PATH...`
//
// A path is a file or a folder of `*.json` files in the format of vectors/peers/README.md. The kind
// stands in the file; nothing depends on names of files or cases, or on how many there are.

/** What a run found; a file that cannot be read or has an unknown kind counts as a failure. */
class Report {
    val kinds = TreeMap<String, Int>()
    val rules = HashMap<Rule, Int>()
    val failures = mutableListOf<String>()
    var skipped = 0

    val passed get() = kinds.values.sum()

    fun runPath(path: File) {
        if (!path.exists()) failures += "$path: does not exist"
        val files = path.walkTopDown().filter { it.isFile && (it == path || it.extension == "json") }
        for (file in files.sortedBy { it.path }) {
            val content = runCatching { Json(file.readText()).whole() }
            content.fold({ runFile(file.path, it) }, { failures += "$file: $it" })
        }
    }

    private fun runFile(name: String, content: Any?) {
        val file = (content as? Map<*, *>)?.let(::Fields)
        val kind = file?.textOrNull("kind")
        if (kind == null) {
            // libe4's own known answers have no kind; the Rust runner has them.
            skipped++
            println("skipped $name: it has no kind")
            return
        }
        val run = KINDS[kind]
        val cases = file.objects("cases")
        if (run == null || cases.isEmpty()) {
            failures += "$name: unknown kind '$kind', or no cases"
            return
        }
        for (case in cases) {
            val empty = Fields(emptyMap<String, Any>())
            runCatching { run(case.innerOrNull("in") ?: empty, case.innerOrNull("out") ?: empty, case) }
                .onSuccess {
                    kinds.merge(kind, 1, Int::plus)
                    for (rule in it) rules.merge(rule, 1, Int::plus)
                }.onFailure { failures += "$kind ${case.textOrNull("name")}: $it" }
        }
    }
}

fun main(arguments: Array<String>) {
    if (arguments.isEmpty()) {
        System.err.println("usage: vectors PATH...")
        exitProcess(2)
    }
    val report = Report()
    for (path in arguments) report.runPath(File(path))
    for ((kind, count) in report.kinds) println("%-24s %5d passed".format(kind, count))
    for ((rule, count) in report.rules.entries.sortedBy { it.key.section }) {
        println("section %2d, %3d times: %s".format(rule.section, count, rule.reason))
    }
    for (failure in report.failures) println("FAILED $failure")
    println("${report.passed} passed, ${report.failures.size} failed, ${report.skipped} skipped")
    exitProcess(if (report.passed > 0 && report.failures.isEmpty()) 0 else 1)
}
