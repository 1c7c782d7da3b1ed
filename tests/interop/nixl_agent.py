# SPDX-License-Identifier: Apache-2.0
"""A worker on an older release of NIXL, with its agents' own calls and no
dynamo.nixl_connect above them. Tickets are put together and taken apart by hand;
the orders are serve.py's.

usage: nixl_agent.py WORKER_ID, with that release's folder in NXC_INTEROP_OLDER
"""
import asyncio
import base64
import json
import os
import sys
import time
import uuid
import zlib

import serve

answers = serve.private_stdout()
sys.path.insert(0, os.environ["NXC_INTEROP_OLDER"])

import nixl_cu12._api as nixl  # noqa: E402  prints while it is imported

INITIALIZED, IN_PROGRESS, COMPLETE, CANCELLED, ERRORED = range(1, 6)
KINDS = {"read": 1, "readable": 1, "write": 2, "writable": 2}


def triples(blocks):
    return [(block.ctypes.data, block.size, 0) for block in blocks]


class Agent(serve.Server):
    def __init__(self, name):
        super().__init__()
        self.agent = nixl.nixl_agent(name + "-1")
        self.handles, self.keys, self.status, self.registered = {}, {}, {}, {}

    def begin_life(self, order):
        blocks = serve.make_blocks(order)
        memory = [(address, size, 0, "") for address, size, _ in triples(blocks)]
        self.registered[order["op"]] = self.agent.register_memory(memory, "DRAM")
        self.blocks[order["op"]], self.status[order["op"]] = blocks, INITIALIZED
        return blocks

    async def do_offer(self, order):
        blocks = self.begin_life(order)
        key = self.keys[order["op"]] = str(uuid.uuid4())
        packed = zlib.compress(self.agent.get_agent_metadata())
        ticket = {
            "descriptors": [{"device": "cpu", "ptr": p, "size": n} for p, n, _ in triples(blocks)],
            "nixl_metadata": packed.hex() if order.get("hex") else "b64:" + base64.b64encode(packed).decode(),
            "notification_key": key,
            "operation_kind": KINDS[order["kind"]],
        }
        return {"ticket": json.dumps(ticket)}

    async def do_begin(self, order):
        ticket = json.loads(order["ticket"])
        packed = ticket["nixl_metadata"]
        packed = base64.b64decode(packed[4:]) if packed.startswith("b64:") else bytes.fromhex(packed)
        remote = self.agent.add_remote_agent(zlib.decompress(packed))
        remote = remote.decode() if isinstance(remote, bytes) else remote
        there = [(d["ptr"], d["size"], 0) for d in ticket["descriptors"]]
        here = triples(self.begin_life(order))
        handle = self.handles[order["op"]] = self.agent.initialize_xfer(
            order["kind"].upper(),
            self.agent.get_xfer_descs(here, "DRAM"),
            self.agent.get_xfer_descs(there, "DRAM"),
            remote,
            ticket["notification_key"].encode(),
        )
        self.look(order["op"], self.agent.transfer(handle))
        return {"status": [self.status[order["op"]]]}

    def look(self, name, state):
        self.status[name] = {"DONE": COMPLETE, "ERR": ERRORED}.get(state, IN_PROGRESS)

    def poll(self, name):
        if name in self.handles:
            self.look(name, self.agent.check_xfer_state(self.handles[name]))
            return
        arrived = [m.decode() for of_one in self.agent.get_new_notifs().values() for m in of_one]
        for other, key in self.keys.items():
            if key in arrived:
                self.status[other] = COMPLETE

    async def wait(self, name, seconds):
        end = time.monotonic() + seconds
        while self.status[name] in (INITIALIZED, IN_PROGRESS) and time.monotonic() < end:
            self.poll(name)
            await asyncio.sleep(0.002)
        return self.status[name]

    async def do_wait(self, order):
        return {"status": [await self.wait(op, order["seconds"]) for op in order["ops"]]}

    async def do_cancel(self, order):
        self.agent.release_xfer_handle(self.handles.pop(order["op"]))
        self.status[order["op"]] = CANCELLED
        return {}

    async def drop(self, name):
        if name in self.handles:
            self.agent.release_xfer_handle(self.handles.pop(name))
        self.keys.pop(name, None)
        self.status.pop(name)
        self.agent.deregister_memory(self.registered.pop(name))


asyncio.run(Agent(sys.argv[1]).serve(answers))
