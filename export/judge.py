"""Compare a network's forms with its default on this kind of processor, in answers, time and pictures."""

from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

import numpy as np
import onnxruntime
import openvino as ov
from google.protobuf import json_format  # type: ignore[import-untyped]
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup  # type: ignore[import-untyped]

from concord import judged, processor
from concord.gates.gate import gates
from concord.gates.pictures import gated
from concord.gates.thresholds import in_words
from concord.instruments import pipelines as instruments
from concord.instruments.arguments import positive
from concord.instruments.timing import in_turns, machine, percentiles
from concord.judged import Judged
from concord.loops.window import Window
from concord.openvino_properties import properties
from concord.repository.profiles import HINT_BF16
from concord.session import session
from concord.squash import LATENT_STRIDE
from concord.variants import DEFAULT, TUNED, Variant, variants
from export import calibration, default_setting, part_gate
from export.arguments import add_repository
from export.engine_profiles import EngineError
from export.judgement import Answering, Samples, signal_to_noise
from export.network import Feeds
from export.networks import declared, every

SAMPLES = 4
ROUNDS = 5
LEAST_WINDOW = 25.0  # dB, inside the mask


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("networks", nargs="*", metavar="MODEL", help="of the repository (default: all)")
    parser.add_argument(
        "--pictures", type=positive, metavar="N", help="ask the pipelines for so many of each kind, too, as a gate"
    )
    parser.add_argument(
        "--kind",
        choices=[*processor.KINDS, processor.CUDA],
        help="of processor, where ONEDNN_MAX_CPU_ISA makes this one like an older one (default: this one's)",
    )


def run(arguments: Namespace) -> None:
    """Judge, and say each result in a line."""
    repository, kinds = arguments.model_repository, (arguments.kind,) if arguments.kind else processor.here()
    networks = arguments.networks
    for line in chain(judge(repository, networks, kinds), part_gate.judge(repository, networks)):
        print(line, flush=True)
    if arguments.pictures:
        for line in (line for kind in kinds for line in judge_pictures(repository, kind, arguments.pictures)):
            print(line, flush=True)


def judge(repository: Path, models: Collection[str], kinds: Collection[str]) -> Iterator[str]:
    """Compares and times every form of networks that declare what they see; a line each.

    Raises:
        EngineError: the repository has no such network, or lacks one that runs before it.
    """
    known = variants([repository])
    if odd := set(models) - known.keys():
        raise EngineError(f"{min(odd)}: is no network of the repository; it has {', '.join(known)}")
    able = [network.name for network in every() if network.seen and network.name in known]
    for model in [model for model in able if model in models or not models]:
        found = known[model]
        if found[DEFAULT].made:
            seen = calibration.feeds(model, repository, SAMPLES, held_out=True)
            default = load(found[DEFAULT])
            expected = [default(feeds) for feeds in seen]
            if declared(model).windowed:
                yield judge_window(model, default, seen, expected, repository.absolute().parent / "ensembles")
            for variant, kind in product(found.values(), kinds):
                if runs(variant, kind) and not variant.problem():
                    yield compare(variant, kind, default, seen, expected)


def compare(variant: Variant, kind: str, default: Answering, seen: Sequence[Feeds], expected: Sequence[Samples]) -> str:
    """Compares and times one form, and writes the record; the result in words."""
    what = f"{variant.model} {variant.profile}"
    try:
        form = load(variant)
    except RuntimeError as error:
        return f"{what}: not judged, {str(error).strip().splitlines()[-1]}"
    ratio = signal_to_noise(expected, map(form, seen))
    times = in_turns({"default": lambda: default(seen[0]), "variant": lambda: form(seen[0])}, ROUNDS)
    p50 = {name: percentiles(each)["p50"] for name, each in times.items()}
    found = Judged(
        round(ratio, 2),
        judged.LEAST_SNR[variant.precision],
        round(p50["variant"] / p50["default"], 3),
        machine(),
    )
    judged.write(variant, kind, found)
    verdict = "passed" if found.passed else "failed"
    compared = f"{ratio:.1f} dB, allowed ≥ {found.least_snr_db:g} dB: {verdict}"
    return f"{what}: {compared}; {found.time:.2f} of the default's time"


def judge_window(
    model: str, default: Answering, seen: Sequence[Feeds], expected: Sequence[Samples], ensembles: Path
) -> str:
    """Whether a decoder's picture of a window is that part of its whole picture; becomes the default of pipelines."""
    whole, part = [], []
    for feeds, picture in zip(seen, expected, strict=True):
        latent = feeds["LATENT"][0]
        side = LATENT_STRIDE * latent.shape[1]
        mask = np.zeros((side, side), np.uint8)
        mask[3 * side // 8 : 5 * side // 8, 3 * side // 8 : 5 * side // 8] = 1
        window = Window.around(mask)
        [decoded] = default({"LATENT": window.of(latent)[np.newaxis]})
        placed = window.placed(decoded[0], side)
        whole.append([picture[0][0][:, mask > 0]])
        part.append([placed[:, mask > 0]])
    ratio = signal_to_noise(whole, part)
    passed = ratio >= LEAST_WINDOW
    default_setting.write(ensembles, "decoder", model, "WINDOW", str(passed).lower())
    verdict = "passed" if passed else "failed; everything is decoded where a request does not say"
    return f"{model}, a window of it: {ratio:.1f} dB, allowed ≥ {LEAST_WINDOW:g} dB: {verdict}"


def judge_new(repository: Path) -> Iterator[str]:
    """Judges the networks of which nothing is known yet on this kind of processor; a line for each form."""
    kinds = processor.here()
    for model, found in variants([repository]).items():
        forms = [(each, kind) for each, kind in product(found.values(), kinds) if each.made and runs(each, kind)]
        if any(judged.read(form, [kind]) is None for form, kind in forms):
            try:
                yield from judge(repository, [model], kinds)
            except EngineError as error:
                yield f"{model}: not judged, {error}"
    yield from part_gate.judge(repository, new=True)


def judge_pictures(repository: Path, kind: str, number: int) -> Iterator[str]:
    """Adds to the records what `concord.gates` finds in the pictures of the pipelines; a line for each profile."""
    known = variants([repository])
    seen = {
        variant: found
        for profiles in known.values()
        for variant in profiles.values()
        if (found := judged.read(variant, [kind])) is not None
    }
    if not seen:
        return
    folders = [repository, repository.absolute().parent / "ensembles"]
    pipelines = gated(folders).values()
    for profile, gate in gates({variant.profile for variant in seen}, number, folders).items():
        for variant in (variant for variant in seen if variant.profile == profile):
            users = {each.name for each in pipelines if variant.model in instruments.networks(each, known)}
            measures = [measure for measure in gate.measures if measure.pipeline in users]
            failed = [in_words(each) for each in measures if not each.passed] if measures else gate.failed
            judged.write(variant, kind, replace(seen[variant], pictures=number, failed=tuple(failed)))
        yield f"{profile}: {'; '.join(gate.failed) or 'passed'}"


def runs(variant: Variant, kind: str) -> bool:
    """Whether a form is another than the default, and runs on a kind of processor as it is meant to."""
    settings = variant.settings
    if variant.profile in (DEFAULT, TUNED):
        return False
    if settings.backend == "openvino":
        return kind in processor.BF16 or (kind != processor.CUDA and HINT_BF16 not in settings.parameters)
    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    on_gpu = all(group.kind != ModelInstanceGroup.KIND_CPU for group in settings.instance_group)
    return gpu and kind == processor.CUDA and settings.backend == "onnxruntime" and on_gpu


def load(variant: Variant) -> Answering:
    """The network as the server runs it, with batch 1, in this process; its outputs for inputs by name.

    Raises:
        RuntimeError: the engine does not load it.
    """
    path = variant.version / variant.file
    config = json_format.MessageToDict(variant.settings, preserving_proto_field_name=True)
    if variant.settings.backend == "openvino":
        compiled = ov.Core().compile_model(path, "CPU", properties(config))
        return lambda feeds: list(compiled(dict(feeds)).values())
    running = session(path, config, "CPU" if variant.profile == DEFAULT else "GPU")
    names = [tensor.name for tensor in running.get_inputs()]
    return lambda feeds: running.run(None, {name: feeds[name] for name in names})
