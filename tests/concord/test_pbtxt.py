"""Configurations are written so that Triton reads what was meant."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from concord.repository import pbtxt
from concord.repository.profiles import PATIENCE

CONFIG = """
name: "net"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: 2
input [ { name: "X" data_type: TYPE_FP32 dims: [ 4, -1 ] } ]
output [ { name: "Y" data_type: TYPE_UINT8 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_AUTO } ]
version_policy { latest { num_versions: 1 } }
parameters { key: "about" value { string_value: "says \\"hello\\", \\\\ and \\303\\251" } }
parameters { key: "canary_patience_seconds" value { string_value: "5" } }
dynamic_batching { max_queue_delay_microseconds: 3 }
model_warmup [ { name: "zeros" batch_size: 1
  inputs { key: "X" value { data_type: TYPE_FP32 dims: [ 4, 8 ] zero_data: true } } } ]
"""


def test_a_configuration_is_read_as_it_was_written() -> None:
    config = text_format.Parse(CONFIG, ModelConfig())
    text = pbtxt.write(config, "from a declaration")
    assert text_format.Parse(text, ModelConfig()) == config
    assert text.startswith("# from a declaration\n") and 'says \\"hello\\"' in text


def test_a_parameter_says_why_it_is_there() -> None:
    lines = pbtxt.write(text_format.Parse(CONFIG, ModelConfig()), "").splitlines()
    [place] = [number for number, line in enumerate(lines) if PATIENCE in line]
    assert lines[place - 1].startswith("# A canary waits")


def test_a_field_that_would_be_lost_is_refused() -> None:
    config = text_format.Parse(CONFIG + "response_cache { enable: true }", ModelConfig())
    with pytest.raises(ValueError, match="net: has a field"):
        pbtxt.write(config, "")
