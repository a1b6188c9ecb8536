// SPDX-License-Identifier: Apache-2.0 OR MIT
import Foundation

#if canImport(Glibc)
    import Glibc
    private let stream = Int32(SOCK_STREAM.rawValue)
#else
    import Darwin
    private let stream = SOCK_STREAM
#endif

/// MQTT 3.1.1 over a socket, with the system alone: QoS 0 to 2, no reconnection. For the examples.
public final class SocketMqtt: Mqtt, @unchecked Sendable {
    private let socket: Int32
    private let arrived: Arrived
    private let lock = NSCondition()
    private var waiting: Set<UInt16> = []
    private var seen: Set<UInt16> = []
    private var lastId: UInt16 = 0
    private var closed = false

    /// Connects to `HOST:PORT`.
    public init(_ broker: String, id: String, arrived: @escaping Arrived) throws {
        self.arrived = arrived
        socket = try Self.connect(broker)
        try send(0x10, text("MQTT") + [4, 2, 0, 60] + text(id))
        let (type, answer) = try receive()
        guard type == 0x20, answer.count == 2, answer[1] == 0 else {
            throw MqttError("the broker refuses the connection")
        }
        Thread.detachNewThread { [self] in
            while (try? handle()) != nil {}
            lock.withLock {
                closed = true; lock.broadcast()
            }
        }
        Thread.detachNewThread { [self] in
            while !lock.withLock({ closed }) {
                Thread.sleep(forTimeInterval: 30)
                try? send(0xc0, [])
            }
        }
    }

    private static func connect(_ broker: String) throws -> Int32 {
        let parts = broker.split(separator: ":").map(String.init)
        var hints = addrinfo()
        hints.ai_socktype = stream
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(parts[0], parts.count > 1 ? parts[1] : "1883", &hints, &found) == 0 else {
            throw MqttError("no such host: \(broker)")
        }
        defer { freeaddrinfo(found) }
        for at in sequence(first: found, next: { $0?.pointee.ai_next }) {
            guard let at = at?.pointee else { break }
            let made = Foundation.socket(at.ai_family, at.ai_socktype, at.ai_protocol)
            if made >= 0 && Foundation.connect(made, at.ai_addr, at.ai_addrlen) == 0 { return made }
            if made >= 0 { _ = Foundation.close(made) }
        }
        throw MqttError("no connection to \(broker)")
    }

    private func text(_ text: String) -> [UInt8] {
        number(UInt16(text.utf8.count)) + Array(text.utf8)
    }

    private func number(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }

    private func send(_ type: UInt8, _ body: [UInt8]) throws {
        var packet = [type]
        var length = body.count
        repeat {
            packet.append(UInt8(length & 127) | (length > 127 ? 128 : 0))
            length >>= 7
        } while length > 0
        packet += body
        let sent = lock.withLock { write(socket, packet, packet.count) }
        if sent != packet.count { throw MqttError("the connection is lost") }
    }

    private func bytes(_ count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let got = buffer.withUnsafeMutableBytes {
                read(socket, $0.baseAddress! + have, count - have)
            }
            if got <= 0 { throw MqttError("the connection is lost") }
            have += got
        }
        return buffer
    }

    private func receive() throws -> (UInt8, [UInt8]) {
        let type = try bytes(1)[0]
        var (length, shift, digit) = (0, 0, UInt8(0))
        repeat {
            digit = try bytes(1)[0]
            length |= Int(digit & 127) << shift
            shift += 7
        } while digit > 127
        return (type, try bytes(length))
    }

    private func handle() throws {
        let (type, body) = try receive()
        func packet(_ at: Int) -> UInt16 { UInt16(body[at]) << 8 | UInt16(body[at + 1]) }
        switch type >> 4 {
        case 3:
            let qos = type >> 1 & 3
            let end = 2 + Int(packet(0))
            let topic = String(decoding: body[2..<end], as: UTF8.self)
            let payload = Data(body[(qos == 0 ? end : end + 2)...])
            // With QoS 2 the first one counts, until the sender releases it.
            if qos < 2 || seen.insert(packet(end)).inserted { arrived(topic, payload) }
            if qos > 0 { try send(qos == 1 ? 0x40 : 0x50, number(packet(end))) }
        case 5: try send(0x62, number(packet(0)))
        case 6:
            seen.remove(packet(0))
            try send(0x70, number(packet(0)))
        case 4, 7, 9:
            lock.withLock {
                waiting.remove(packet(0)); lock.broadcast()
            }
        default: break
        }
    }

    private func nextId() -> UInt16 {
        lock.withLock {
            lastId = lastId % UInt16.max + 1
            waiting.insert(lastId)
            return lastId
        }
    }

    private func wait(for id: UInt16) throws {
        let end = Date(timeIntervalSinceNow: 20)
        lock.lock()
        defer { lock.unlock() }
        while waiting.contains(id) {
            if closed || !lock.wait(until: end) { throw MqttError("the broker did not answer") }
        }
    }

    public func subscribe(_ topic: String, qos: UInt8) throws {
        let id = nextId()
        try send(0x82, number(id) + text(topic) + [qos])
        try wait(for: id)
    }

    public func publish(_ topic: String, _ payload: Data, qos: UInt8, wait: Bool) throws {
        if qos == 0 { return try send(0x30, text(topic) + Array(payload)) }
        let id = nextId()
        try send(0x30 | qos << 1, text(topic) + number(id) + Array(payload))
        if wait { try self.wait(for: id) }
    }

    public func close() {
        try? send(0xe0, [])
        shutdown(socket, 2)
    }
}
