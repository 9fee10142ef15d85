"""Pipelines that run a loop: what follows from their hand-written configuration, which streams every step."""

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelParameter  # type: ignore[import-untyped]

from concord.repository.profiles import PATIENCE
from concord.samplers import SAMPLERS
from concord_client.catalogue import SETTING
from concord_client.composition import COMPOSITION

SUFFIX = "_once"
SAMPLER = f"{SETTING}SAMPLER"
_BATCH, _DELAY_MICROSECONDS = 8, 3000
_PATIENCE_SECONDS = 7200  # a canary waits for the requests that are being answered


def with_settings(text: str) -> str:
    """The text of a configuration whose setting SAMPLER, if it has one, offers every sampler there is, and whose
    settings of the composition are those of all harmonizers.
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if f'"{SAMPLER}"' in line:
            default, _, words = line.split(";", 2)
            lines[number] = f"{default}; {'|'.join(SAMPLERS)};{words}"
        for name, setting in COMPOSITION.items():
            if f'"{SETTING}{name}"' in line:
                before, _, _ = line.partition("string_value:")
                lines[number] = f'{before}string_value: "{setting.written()}" }} }}\n'
    return "".join(lines)


def at_once(streaming: ModelConfig) -> ModelConfig:
    """The same pipeline for protocols without streams: one answer, and requests that come together run side by side."""
    config = ModelConfig()
    config.CopyFrom(streaming)
    config.name = f"{streaming.name}{SUFFIX}"
    config.max_batch_size = _BATCH
    config.ClearField("model_transaction_policy")
    config.dynamic_batching.max_queue_delay_microseconds = _DELAY_MICROSECONDS
    config.parameters[PATIENCE].CopyFrom(ModelParameter(string_value=str(_PATIENCE_SECONDS)))
    return config
