#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
#
# Fails unless every segment that is loaded is aligned to 16 KB or more: check-alignment.sh FILE...
set -euo pipefail
status=0
for file in "$@"; do
  alignments=$(readelf --program-headers --wide "$file" | awk '$1 == "LOAD" { print $NF }')
  [ -n "$alignments" ] || { echo "$file: no segments"; status=1; continue; }
  for alignment in $alignments; do
    if [ $((alignment)) -lt 16384 ]; then
      echo "$file: a segment is aligned to $((alignment)) bytes, 16384 are needed"
      status=1
      continue 2
    fi
  done
  echo "$file: aligned to $(($(head -1 <<<"$alignments"))) bytes"
done
exit $status
