"""Published checkpoints to checked ONNX models: the only room that knows torch."""

import os

os.environ.setdefault("NNCF_CI", "1")  # NNCF tells its makers of every use elsewhere than in a CI
