"""Published checkpoints to checked ONNX models: the only room that knows torch."""
