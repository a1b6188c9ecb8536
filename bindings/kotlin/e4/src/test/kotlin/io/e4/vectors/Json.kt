// SPDX-License-Identifier: Apache-2.0 OR MIT
package io.e4.vectors

import java.math.BigInteger

/** A JSON value: null, Boolean, BigInteger, String, List or Map. The vectors need no fractions. */
class Json(private val text: String) {
    private var at = 0

    fun whole(): Any? {
        val value = value()
        blanks()
        check(at == text.length) { "more after the end" }
        return value
    }

    private fun blanks() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun eat(symbol: Char) {
        blanks()
        check(at < text.length && text[at] == symbol) { "'$symbol' expected at $at" }
        at++
    }

    private fun next(): Char {
        blanks()
        check(at < text.length) { "it is cut short" }
        return text[at]
    }

    private fun value(): Any? =
        when (next()) {
            '{' -> entries()
            '[' -> elements()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }

    private fun word(word: String, value: Any?): Any? {
        check(text.startsWith(word, at)) { "unknown word at $at" }
        at += word.length
        return value
    }

    private fun number(): Any {
        val from = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        return text.substring(from, at).let { it.toBigIntegerOrNull() ?: it.toDouble() }
    }

    private fun string(): String {
        eat('"')
        val made = StringBuilder()
        while (true) {
            when (val letter = text[at++]) {
                '"' -> return made.toString()
                '\\' ->
                    when (val escaped = text[at++]) {
                        'n' -> made.append('\n')
                        't' -> made.append('\t')
                        'r' -> made.append('\r')
                        'b' -> made.append('\b')
                        'f' -> made.append('\u000c')
                        'u' -> {
                            made.append(text.substring(at, at + 4).toInt(16).toChar())
                            at += 4
                        }
                        else -> made.append(escaped)
                    }
                else -> made.append(letter)
            }
        }
    }

    private fun elements(): List<Any?> {
        eat('[')
        val list = mutableListOf<Any?>()
        if (next() == ']') return list.also { at++ }
        while (true) {
            list += value()
            if (next() == ']') return list.also { at++ }
            eat(',')
        }
    }

    private fun entries(): Map<String, Any?> {
        eat('{')
        val map = LinkedHashMap<String, Any?>()
        if (next() == '}') return map.also { at++ }
        while (true) {
            blanks()
            val name = string()
            eat(':')
            map[name] = value()
            if (next() == '}') return map.also { at++ }
            eat(',')
        }
    }
}

/** An object of a vector file, with typed access; what is missing fails the case. */
class Fields(private val map: Map<*, *>) {
    fun has(name: String): Boolean = map[name] != null

    fun text(name: String): String = map[name] as? String ?: fail("no text '$name'")

    fun textOrNull(name: String): String? = map[name] as? String

    fun long(name: String): Long = longOrNull(name) ?: fail("no number '$name'")

    /** Times are unsigned: those above 2^63 are negative here. */
    fun longOrNull(name: String): Long? = (map[name] as? BigInteger)?.toLong()

    fun flag(name: String): Boolean = map[name] == true

    fun inner(name: String): Fields = innerOrNull(name) ?: fail("no object '$name'")

    fun innerOrNull(name: String): Fields? = (map[name] as? Map<*, *>)?.let(::Fields)

    fun list(name: String): List<Any?> = map[name] as? List<*> ?: emptyList<Any?>()

    fun objects(name: String): List<Fields> = list(name).filterIsInstance<Map<*, *>>().map(::Fields)

    /** Entries whose values are texts. */
    fun pairs(name: String): Map<String, String> {
        val found = map[name] as? Map<*, *> ?: emptyMap<Any, Any>()
        return found.entries.associate { (at, held) -> at as String to held as String }
    }
}

class CheckFailed(message: String) : Exception(message)

fun fail(message: String): Nothing = throw CheckFailed(message)

/** Compares, and says which differ. */
fun same(what: String, expected: Any?, got: Any?) {
    if (expected != got) fail("$what: expected $expected, got $got")
}
