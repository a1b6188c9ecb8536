#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Builds target/android/e4.aar: the package and its library for every ABI of Android.
#
#   bindings/kotlin/android/build-aar.sh [--libraries DIR]
#
# Needs cargo-ndk (cargo install cargo-ndk), the NDK (r27 or later, ANDROID_NDK_HOME), the four Rust
# targets, zip, and what `cargo xtask tools kotlin` sets up. With --libraries the libraries are not
# built but taken from DIR/ABI/libe4_uniffi.so.
#
# Not run so far with the NDK: where this was written there was none. What was run there: everything
# with --libraries and a library of Linux in the place of x86_64.
set -euo pipefail
cd "$(dirname "$0")/../../.."
here=bindings/kotlin/android
work=target/android
rm -rf "$work/aar"
mkdir -p "$work/aar"

libraries=$work/jniLibs
if [ "${1:-}" = --libraries ]; then
  libraries=$2
else
  rustup target add aarch64-linux-android armv7-linux-androideabi i686-linux-android x86_64-linux-android
  # Android 15 has devices with pages of 16 KB; older NDKs align to 4 KB.
  export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,max-page-size=16384"
  cargo ndk --platform 21 -t arm64-v8a -t armeabi-v7a -t x86 -t x86_64 -o "$libraries" \
    build --release --locked -p e4-uniffi
fi
found=("$libraries"/*/libe4_uniffi.so)
"$here/check-alignment.sh" "${found[@]}"

cargo xtask kotlin --jar "$work/aar/classes.jar"
for library in "${found[@]}"; do
  abi=$(basename "$(dirname "$library")")
  mkdir -p "$work/aar/jni/$abi"
  cp "$library" "$work/aar/jni/$abi/"
done
cp "$here/AndroidManifest.xml" "$work/aar/"
cp "$here/proguard.txt" "$work/aar/"
: >"$work/aar/R.txt"
rm -f "$work/e4.aar"
(cd "$work/aar" && zip -q -X -r ../e4.aar AndroidManifest.xml classes.jar R.txt proguard.txt jni)
echo "made $work/e4.aar; apps add net.java.dev.jna:jna:5.17.0@aar beside it"
