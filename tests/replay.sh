#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Feeds the vectors to a fuzz target, each once. usage: replay.sh TARGET
set -eu
[ -d "${NXC_VECTORS:-}" ] || { echo "NXC_VECTORS names no folder"; exit 77; }
exec "$1" "$NXC_VECTORS"/*
