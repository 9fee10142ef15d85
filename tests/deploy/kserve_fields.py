"""What KServe's own models, and Kubernetes', say of manifests; run by itself, by a Python that has KServe's package.

Reads a JSON list of manifests; prints a line for each field that is not known or has another type.
"""

import json
import re
import sys
from collections.abc import Iterator

import kserve.models
import kubernetes.client.models

SCALARS = {"str": str, "int": int, "bool": bool, "float": float}


def problems(value: object, kind: str, path: str) -> Iterator[str]:
    """Kinds are written as in a model's `openapi_types`: ``list[V1Container]``, ``dict(str, str)``, ``int``."""
    if found := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            yield from problems(item, found[1], f"{path}[{number}]")
    elif found := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", kind):
        for key, item in value.items():
            yield from problems(item, found[1], f"{path}.{key}")
    elif kind in SCALARS:
        if type(value) is not SCALARS[kind]:
            yield f"{path}: {value!r} is no {kind}"
    elif model := getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None):
        names = {written: name for name, written in model.attribute_map.items()}
        for field, each in value.items():
            if field in names:
                yield from problems(each, model.openapi_types[names[field]], f"{path}.{field}")
            else:
                yield f"{path}.{field}: {kind} has no such field"
    # Others, such as quantities, are numbers or words.


for manifest in json.load(sys.stdin):
    version = manifest["apiVersion"].rpartition("/")[2].capitalize()
    for problem in problems(manifest, version + manifest["kind"], manifest["kind"]):
        print(problem)
