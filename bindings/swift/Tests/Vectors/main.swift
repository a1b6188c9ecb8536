// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation

// Runs interoperability vectors through the Swift package: `swift run vectors PATH...`
//
// A path is a file or a folder of `*.json` files in the format of vectors/peers/README.md. The kind
// stands in the file; nothing depends on names of files or cases, or on how many there are.

/// What a run found; a file that cannot be read or has an unknown kind counts as a failure.
struct Report {
    var kinds: [String: Int] = [:]
    var rules: [Rule: Int] = [:]
    var failures: [String] = []
    var skipped = 0

    var passed: Int { kinds.values.reduce(0, +) }

    mutating func runPath(_ path: String) {
        var isFolder: ObjCBool = false
        if !FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            failures.append("\(path): does not exist")
            return
        }
        guard isFolder.boolValue else { return runFile(path) }
        let inside = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String }
        for name in (inside ?? []).filter({ $0.hasSuffix(".json") }).sorted() {
            runFile(path + "/" + name)
        }
    }

    private mutating func runFile(_ path: String) {
        guard let bytes = FileManager.default.contents(atPath: path),
            let content = try? JSONSerialization.jsonObject(with: bytes)
        else {
            failures.append("\(path): cannot be read")
            return
        }
        let file = Fields(map: content as? [String: Any] ?? [:])
        guard let kind = file.textOrNil("kind") else {
            // libe4's own known answers have no kind; the Rust runner has them.
            skipped += 1
            print("skipped \(path): it has no kind")
            return
        }
        if file.objects("cases").isEmpty { failures.append("\(path): no cases") }
        for one in file.objects("cases") {
            do {
                guard let used = try run(kind, one) else {
                    failures.append("\(path): unknown kind '\(kind)'")
                    return
                }
                kinds[kind, default: 0] += 1
                for rule in used { rules[rule, default: 0] += 1 }
            } catch {
                failures.append("\(kind) \(one.textOrNil("name") ?? ""): \(error)")
            }
        }
    }
}

let paths = CommandLine.arguments.dropFirst()
if paths.isEmpty {
    print("usage: vectors PATH...")
    exit(2)
}
var report = Report()
for path in paths { report.runPath(path) }
for (kind, count) in report.kinds.sorted(by: { $0.key < $1.key }) {
    print("\(kind.padding(toLength: 24, withPad: " ", startingAt: 0)) \(count) passed")
}
for (rule, count) in report.rules.sorted(by: { $0.key.section < $1.key.section }) {
    print("section \(rule.section), \(count) times: \(rule.reason)")
}
for failure in report.failures { print("FAILED \(failure)") }
print("\(report.passed) passed, \(report.failures.count) failed, \(report.skipped) skipped")
exit(report.passed > 0 && report.failures.isEmpty ? 0 : 1)
