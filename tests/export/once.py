"""Small networks that tests of several rooms look at: each is exported once, by the worker that asks first."""

import fcntl
import os
from pathlib import Path

import pytest

from export.__main__ import main
from export.network import Network
from tests.commands import run
from tests.export import small

OWN_FILES = {
    "cris": lambda: (small.cris(), small.CRIS),
    "clip_ht": lambda: (small.clip_harmonizer(), small.CLIP_HT),
} | {
    network.name: lambda form=form: (small.harmonizer(form), small.harmonizer_config(form))
    for network, form in zip(small.HARMONY_TRANSFORMERS, small.FORMS, strict=True)
}


def exported(factory: pytest.TempPathFactory, network: Network) -> Path:
    """A model repository with a small network of that name, made by the command of a checkpoint; nobody changes it."""
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    repository = shared / "exported" / network.name
    repository.parent.mkdir(exist_ok=True)
    with repository.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not repository.is_dir():
            checkpoint = small.save_sized(*OWN_FILES[network.name](), repository.with_suffix(".safetensors"))
            made = repository.with_suffix(".part")
            finished = run(main, network.name, "--checkpoint", checkpoint, "--model-repository", made)
            assert finished.returncode == 0, finished.stderr
            made.rename(repository)
    return repository
