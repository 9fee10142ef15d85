"""What a user of KServe's own package writes; run by itself, in an environment that has the package.

``kserve_sdk.py FACADE TRITON PHOTOGRAPH``: prints what it was told as JSON.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

PIPELINE = "segment_harmonize_ht"
TEXT = "the red square"


def tensor(name: str, value: bytes, *, binary: bool) -> InferInput:
    made = InferInput(name, [1, 1], "BYTES")
    made.set_data_from_numpy(np.array([[value]], dtype=np.object_), binary_data=binary)
    return made


async def rest(url: str, image: bytes) -> dict[str, Any]:
    client, told = InferenceRESTClient(RESTConfig(protocol="v2")), {}
    told["live"], told["ready"] = await client.is_server_live(url), await client.is_server_ready(url)
    told["model_ready"] = await client.is_model_ready(url, PIPELINE)
    told["no_model_ready"] = await client.is_model_ready(url, "nothing")
    for binary in (False, True):
        # In JSON it writes bytes as the text that they are.
        given = image if binary else base64.b64encode(image)
        inputs = [tensor("IMAGE", given, binary=binary), tensor("TEXT", TEXT.encode(), binary=binary)]
        answer = await client.infer(url, InferRequest(PIPELINE, inputs, request_id="42"), model_name=PIPELINE)
        outputs = {each.name: each.as_numpy().item() for each in answer.outputs}
        told["binary" if binary else "json"] = outputs | {"id": answer.id}
    try:
        await client.infer(url, InferRequest(PIPELINE, inputs[:1]), model_name=PIPELINE)
    except httpx.HTTPStatusError as error:
        told["refusal"] = str(error)
    await client.close()
    return told


async def grpc(url: str, image: bytes) -> dict[str, Any]:
    async with InferenceGRPCClient(url) as client:
        ready = await client.is_server_ready()
        inputs = [tensor("IMAGE", image, binary=True), tensor("TEXT", TEXT.encode(), binary=True)]
        answer = await client.infer(InferRequest(PIPELINE, inputs))
        picture = next(each for each in answer.outputs if each.name == "HARMONIZED").as_numpy().item()
        return {"ready": ready, "picture": base64.b64encode(picture).decode()}


async def main(facade: str, triton: str, photograph: str) -> None:
    image = Path(photograph).read_bytes()
    print(json.dumps({"rest": await rest(facade, image), "grpc": await grpc(triton, image)}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
