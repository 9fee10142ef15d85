"""Averages weights of one network: `python -m demo.average OUTPUT FILE FILE...`.

What begins with the same weights and is trained further on other pictures can be averaged, and is then better on both
kinds than either (WiSE-FT, Wortsman et al., CVPR 2022).
"""

import argparse
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor


def averaged(files: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights by name, in the types of the first."""
    return {
        key: torch.stack([each[key].float() for each in files]).mean(0).to(first.dtype).contiguous()
        for key, first in files[0].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    with safe_open(arguments.files[0], "pt") as first:
        sizes = first.metadata()
    save_file(averaged([load_file(file) for file in arguments.files]), arguments.output, sizes)


if __name__ == "__main__":
    main()
