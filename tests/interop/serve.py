# SPDX-License-Identifier: Apache-2.0
"""Obeys orders, one line of JSON each, and answers each with one line of JSON.

What the orders do is up to a backend (worker.py, nixl_agent.py); this file has the
loop, the memory, and the bytes that go into it. An order is {"do": NAME, ...}:

  offer   op, kind (readable, writable), sizes, fill, hex   answers with ticket, a text
  begin   op, kind (read, write), sizes, fill, ticket       starts the transfer
  wait    ops, seconds                                      answers with status, a list
  verify  op, seed (absent: as poisoned)                    answers with bad: the first wrong byte, or -1
  cancel  op
  drop    op, keep (its memory stays)                       ends its life
  stop                                                      the last one

An answer has "ok", and where that is false "error" and "text". The answer to stop is
the result: what the interpreter does after it, and how it exits, means nothing.
"""
import asyncio
import json
import os
import sys

import numpy

POISON = 0xA5


def pattern(seed, number, size):
    """The bytes of block `number` of an operation; the C side makes the same."""
    words = numpy.arange((size + 7) // 8, dtype="<u8")
    words += numpy.uint64((seed * 1000 + number) << 32)
    words *= numpy.uint64(0x9E3779B97F4A7C15)
    words ^= words >> numpy.uint64(32)
    return words.view(numpy.uint8)[:size]


def make_blocks(order):
    """The memory of an operation, filled by its seed, or poisoned."""
    if "fill" in order:
        return [pattern(order["fill"], i, size) for i, size in enumerate(order["sizes"])]
    return [numpy.full(size, POISON, dtype=numpy.uint8) for size in order["sizes"]]


def first_wrong(blocks, seed):
    at = 0
    for i, block in enumerate(blocks):
        want = pattern(seed, i, block.size) if seed is not None else numpy.full(block.size, POISON, numpy.uint8)
        if not numpy.array_equal(block, want):
            return at + int(numpy.argmax(block != want))
        at += block.size
    return -1


class Server:
    """A backend derives from this; its operations have whatever shape it likes."""

    def __init__(self):
        self.blocks = {}
        self.kept = []

    async def do_verify(self, order):
        return {"bad": first_wrong(self.blocks[order["op"]], order.get("seed"))}

    async def do_drop(self, order):
        await self.drop(order["op"])
        blocks = self.blocks.pop(order["op"])
        if order.get("keep"):
            self.kept.append(blocks)
        return {}

    async def do_stop(self, order):
        return {"stopped": True}

    async def obey(self, line):
        order = {}
        try:
            order = json.loads(line)
            answer = {"ok": True, **await getattr(self, "do_" + order["do"])(order)}
        except Exception as e:  # whatever a package raises is an answer, not our end
            answer = {"ok": False, "error": type(e).__name__, "text": str(e)}
        return answer, order.get("do") == "stop"

    async def serve(self, answers):
        orders = asyncio.StreamReader(limit=1 << 26)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        done = False
        while not done and (line := await orders.readline()):
            answer, done = await self.obey(line)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def private_stdout():
    """Packages print on stdout: the answers get it for themselves, the rest goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
