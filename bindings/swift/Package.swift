// swift-tools-version: 6.0
// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// `cargo xtask swift --bundle DIR` makes the whole package: what is generated, and the library, stand
// in Sources/E4FFI, Sources/E4Generated and lib (Linux, macOS) or E4FFI.xcframework (Apple).
import Foundation
import PackageDescription

let here = Context.packageDirectory
let framework = FileManager.default.fileExists(atPath: here + "/E4FFI.xcframework")
let mode: SwiftLanguageMode = Context.environment["E4_SWIFT_MODE"] == "5" ? .v5 : .v6

let library: [LinkerSetting] = [
    .linkedLibrary("e4_uniffi"),
    .unsafeFlags(["-L", here + "/lib", "-Xlinker", "-rpath", "-Xlinker", here + "/lib"]),
]

let package = Package(
    name: "E4",
    platforms: [.iOS(.v15), .macOS(.v12), .tvOS(.v15), .watchOS(.v8)],
    products: [.library(name: "E4", targets: ["E4"])],
    targets: [
        framework
            ? .binaryTarget(name: "E4FFI", path: "E4FFI.xcframework")
            : .systemLibrary(name: "E4FFI"),
        .target(
            name: "E4Generated", dependencies: ["E4FFI"], linkerSettings: framework ? [] : library),
        .target(name: "E4", dependencies: ["E4Generated"]),
        .target(name: "ExampleMqtt", dependencies: ["E4"], path: "Examples/Mqtt"),
        .target(name: "ExampleKeychain", dependencies: ["E4"], path: "Examples/Keychain"),
        .executableTarget(name: "quickstart", dependencies: ["E4"], path: "Examples/Quickstart"),
        .executableTarget(
            name: "device", dependencies: ["E4", "ExampleMqtt"], path: "Examples/Device"),
        .executableTarget(
            name: "init-keys", dependencies: ["E4", "ExampleMqtt"], path: "Examples/InitKeys"),
        .executableTarget(name: "vectors", dependencies: ["E4"], path: "Tests/Vectors"),
        .testTarget(name: "E4Tests", dependencies: ["E4", "E4Generated"]),
    ],
    swiftLanguageModes: [mode]
)
