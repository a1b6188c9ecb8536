// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation

struct CheckFailed: Error, CustomStringConvertible {
    let description: String
}

func fail(_ text: String) -> CheckFailed { CheckFailed(description: text) }

/// Compares, and says which differ.
func same<T: Equatable>(_ what: String, _ expected: T, _ got: T) throws {
    if expected != got { throw fail("\(what): expected \(expected), got \(got)") }
}

/// An object of a vector file, with typed access; what is missing fails the case.
struct Fields {
    let map: [String: Any]

    func has(_ name: String) -> Bool { map[name] != nil && !(map[name] is NSNull) }

    func textOrNil(_ name: String) -> String? { map[name] as? String }

    func text(_ name: String) throws -> String {
        guard let text = textOrNil(name) else { throw fail("no text '\(name)'") }
        return text
    }

    func numberOrNil(_ name: String) -> UInt64? { (map[name] as? NSNumber)?.uint64Value }

    func number(_ name: String) throws -> UInt64 {
        guard let number = numberOrNil(name) else { throw fail("no number '\(name)'") }
        return number
    }

    func flag(_ name: String) -> Bool { map[name] as? Bool ?? false }

    func innerOrNil(_ name: String) -> Fields? {
        (map[name] as? [String: Any]).map { Fields(map: $0) }
    }

    func inner(_ name: String) throws -> Fields {
        guard let inner = innerOrNil(name) else { throw fail("no object '\(name)'") }
        return inner
    }

    func list(_ name: String) -> [Any] { map[name] as? [Any] ?? [] }

    func objects(_ name: String) -> [Fields] {
        list(name).compactMap { $0 as? [String: Any] }.map { Fields(map: $0) }
    }

    /// Entries whose values are texts.
    func pairs(_ name: String) -> [String: String] { map[name] as? [String: String] ?? [:] }
}

func hex(_ bytes: Data) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

func unhex(_ digits: String) -> Data {
    let letters = Array(digits.utf8)
    func value(_ letter: UInt8) -> UInt8 { letter > 57 ? (letter | 32) - 87 : letter - 48 }
    return Data(
        stride(from: 0, to: letters.count - 1, by: 2).map {
            value(letters[$0]) << 4 | value(letters[$0 + 1])
        })
}

/// A number out of 8 bytes, little-endian, given by their digits.
func littleEndian(_ digits: Substring) -> UInt64 {
    unhex(String(digits)).reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

extension String {
    func first(_ count: Int) -> String { String(prefix(count)) }
    func after(_ count: Int) -> String { String(dropFirst(count)) }
}

/// SHA3-256 (FIPS 202), which Foundation does not have; 64 digits.
func sha3(_ bytes: Data) -> String {
    let rate = 136
    var padded = [UInt8](bytes) + [6]
    padded += [UInt8](repeating: 0, count: (rate - padded.count % rate) % rate)
    padded[padded.count - 1] |= 0x80
    var state = [UInt64](repeating: 0, count: 25)
    for start in stride(from: 0, to: padded.count, by: rate) {
        for at in 0..<rate { state[at / 8] ^= UInt64(padded[start + at]) << UInt64(at % 8 * 8) }
        keccak(&state)
    }
    return hex(
        Data((0..<32).map { UInt8(truncatingIfNeeded: state[$0 / 8] >> UInt64($0 % 8 * 8)) }))
}

func sha3(_ text: String) -> String { sha3(Data(text.utf8)) }

/// SHA3-256 of what the digits stand for.
func sha3Hex(_ digits: String) -> String { sha3(unhex(digits)) }

private func keccak(_ lanes: inout [UInt64]) {
    func turned(_ lane: UInt64, _ by: UInt64) -> UInt64 {
        by == 0 ? lane : lane << by | lane >> (64 - by)
    }
    var shift: UInt8 = 1
    for _ in 0..<24 {
        let columns = (0..<5).map { x in (0..<5).reduce(0) { $0 ^ lanes[x + 5 * $1] } }
        for x in 0..<5 {
            let change = columns[(x + 4) % 5] ^ turned(columns[(x + 1) % 5], 1)
            for y in 0..<5 { lanes[x + 5 * y] ^= change }
        }
        var (x, y) = (1, 0)
        var moving = lanes[1]
        for t in 0..<24 {
            (x, y) = (y, (2 * x + 3 * y) % 5)
            let next = lanes[x + 5 * y]
            lanes[x + 5 * y] = turned(moving, UInt64((t + 1) * (t + 2) / 2 % 64))
            moving = next
        }
        for y in 0..<5 {
            let row = Array(lanes[5 * y..<5 * y + 5])
            for x in 0..<5 { lanes[5 * y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]) }
        }
        for bit in 0..<7 {
            if shift & 1 == 1 { lanes[0] ^= 1 << (1 << UInt64(bit) - 1) }
            shift = shift & 0x80 == 0 ? shift << 1 : shift << 1 ^ 0x71
        }
    }
}
