# SPDX-License-Identifier: Apache-2.0
"""The Python half of fetch_from_python.c: a worker that computes embeddings and lets
another worker, in whatever language, read them out of its memory.

    python3 embeddings.py | ./fetch_from_python

It needs torch and dynamo.nixl_connect. The ticket goes to stdout, a line of JSON;
here a pipe carries it, a real service would answer an HTTP request with it.
"""
import asyncio
import os
import sys

os.environ.setdefault("NIXL_LOG_LEVEL", "ERROR")  # below that it prints on stdout

import dynamo.nixl_connect as nixl_connect  # noqa: E402
import torch  # noqa: E402

TEXTS = ["a quick brown fox", "jumps over", "the lazy dog"]


def embed(text):
    """Stands for a model: the same text gives the same vector of 384 numbers."""
    torch.manual_seed(sum(text.encode()))
    return torch.nn.functional.normalize(torch.randn(384), dim=0)


async def main():
    vectors = [embed(text) for text in TEXTS]
    for vector in vectors:
        print("%.6f %.6f %.6f ..." % tuple(vector[:3].tolist()), file=sys.stderr)
    descriptors = [nixl_connect.Descriptor(vector) for vector in vectors]
    connector = nixl_connect.Connector()
    with await connector.create_readable(descriptors) as readable:
        print(readable.metadata().model_dump_json(), flush=True)
        await asyncio.wait_for(readable.wait_for_completion(), timeout=60)
    print("all of it was read", file=sys.stderr)


asyncio.run(main())
