// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation

/// What the examples need of MQTT. An app puts the client that it uses behind this.
public protocol Mqtt: AnyObject, Sendable {
    /// Subscribes; returns when the broker has acknowledged.
    func subscribe(_ topic: String, qos: UInt8) throws

    /// Publishes, not retained; with `wait`, returns when the broker has the message for good. Never
    /// wait within `arrived`.
    func publish(_ topic: String, _ payload: Data, qos: UInt8, wait: Bool) throws

    /// Ends the connection.
    func close()
}

/// What a connection does with what arrives.
public typealias Arrived = @Sendable (_ topic: String, _ payload: Data) -> Void

/// `--name value` pairs; a name that stands twice has two values.
public struct Arguments: Sendable {
    private let words: [String]

    public init(_ words: [String] = Array(CommandLine.arguments.dropFirst())) { self.words = words }

    public func all(_ name: String) -> [String] {
        words.indices.dropLast().filter { words[$0] == "--" + name }.map { words[$0 + 1] }
    }

    public func find(_ name: String) -> String? { all(name).first }

    public func get(_ name: String) throws -> String {
        guard let value = find(name) else { throw MqttError("--\(name) is missing") }
        return value
    }
}

public func readFile(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
}

/// A line that is seen at once, also where the output is a pipe.
public func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

public struct MqttError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
