#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Builds a Swift package for iOS and macOS in target/apple/E4: the sources, and E4FFI.xcframework with
# the library for devices, simulators and Macs.
#
#   bindings/swift/apple/build-xcframework.sh
#
# Needs macOS with Xcode 16 or later, and rustup.
#
# Not run so far: where this was written there was no Mac. What was run there: the generator's steps
# (headers, module map) and the bundle.
set -euo pipefail
cd "$(dirname "$0")/../../.."
work=target/apple
package=$work/E4
rm -rf "$work"
mkdir -p "$work/headers/E4FFI"

targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin)
rustup target add "${targets[@]}"
export IPHONEOS_DEPLOYMENT_TARGET=15.0 MACOSX_DEPLOYMENT_TARGET=12.0
for target in "${targets[@]}"; do
  cargo build --release --locked -p e4-uniffi --target "$target"
done
lib() { echo "target/$1/release/libe4_uniffi.a"; }
fat() { # fat NAME TARGET TARGET
  mkdir -p "$work/$1"
  lipo -create "$(lib "$2")" "$(lib "$3")" -output "$work/$1/libe4_uniffi.a"
}
fat simulator aarch64-apple-ios-sim x86_64-apple-ios
fat mac aarch64-apple-darwin x86_64-apple-darwin

# The sources, and the generator, which reads the library of this machine.
cargo xtask swift --bundle "$package"
library=target/debug/libe4_uniffi.dylib
# A folder of its own: several XCFrameworks of an app each bring a module map.
target/debug/uniffi-bindgen-swift --headers "$library" "$work/headers/E4FFI"
target/debug/uniffi-bindgen-swift --modulemap --module-name E4FFI \
  --modulemap-filename module.modulemap "$library" "$work/headers/E4FFI"

xcodebuild -create-xcframework \
  -library "$(lib aarch64-apple-ios)" -headers "$work/headers" \
  -library "$work/simulator/libe4_uniffi.a" -headers "$work/headers" \
  -library "$work/mac/libe4_uniffi.a" -headers "$work/headers" \
  -output "$package/E4FFI.xcframework"
# Package.swift takes the framework where there is one.
rm -rf "$package/lib" "$package/Sources/E4FFI"
(cd "$package" && swift build)
echo "made $package"
