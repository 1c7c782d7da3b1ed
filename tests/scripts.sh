#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shell scripts are clean (variables that pass between files aside). usage: scripts.sh ROOT
set -eu
cd "$1"
command -v shellcheck >/dev/null || { echo "no shellcheck"; exit 77; }
find run .ci/run cli tests bench -type f \( -name run -o -name '*.sh' \) -exec shellcheck -S warning -e SC2154,SC2034 {} +
