# SPDX-License-Identifier: Apache-2.0
"""A worker of the original, dynamo.nixl_connect, that obeys serve.py's orders.

usage: worker.py WORKER_ID
"""
import asyncio
import sys

import serve

answers = serve.private_stdout()

import dynamo.nixl_connect as nixl_connect  # noqa: E402  prints while it is imported
import torch  # noqa: E402


def descriptors(blocks):
    """The tensors lie in the blocks' own memory."""
    made = [nixl_connect.Descriptor(torch.from_numpy(block)) for block in blocks]
    return made if len(made) > 1 else made[0]


class Worker(serve.Server):
    def __init__(self, name):
        super().__init__()
        self.connector = nixl_connect.Connector(name)
        self.ops = {}

    async def do_offer(self, order):
        blocks = serve.make_blocks(order)
        create = {"readable": self.connector.create_readable, "writable": self.connector.create_writable}
        op = await create[order["kind"]](descriptors(blocks))
        self.ops[order["op"]], self.blocks[order["op"]] = op, blocks
        return {"ticket": op.metadata(hex_encode=order.get("hex", False)).model_dump_json()}

    async def do_begin(self, order):
        blocks = serve.make_blocks(order)
        ticket = nixl_connect.RdmaMetadata.model_validate_json(order["ticket"])
        if order["kind"] == "read":
            op = await self.connector.begin_read(ticket, descriptors(blocks))
        else:
            op = await self.connector.begin_write(descriptors(blocks), ticket)
        self.ops[order["op"]], self.blocks[order["op"]] = op, blocks
        # The transfer starts when the status is first asked for.
        return {"status": [int(op.status)]}

    async def wait(self, name, seconds):
        op = self.ops[name]
        try:
            await asyncio.wait_for(op.wait_for_completion(), seconds)
        except (asyncio.TimeoutError, RuntimeError):
            pass  # the status tells
        return int(op.status)

    async def do_wait(self, order):
        return {"status": await asyncio.gather(*(self.wait(op, order["seconds"]) for op in order["ops"]))}

    async def do_cancel(self, order):
        self.ops[order["op"]].cancel()
        return {}

    async def drop(self, name):
        with self.ops.pop(name):
            pass


asyncio.run(Worker(sys.argv[1]).serve(answers))
