"""Sections of the report about the pipelines and the facade."""

from collections.abc import Mapping
from typing import Any

from concord.instruments.markdown import significant, stages, table, times
from concord.instruments.memory import MIB

Part = Mapping[str, Any]


def demo(part: Part) -> str:
    return f"## Demo weights, 512x512 JPEG, one client\n\n{text_to_harmonized(part)}"


def published(part: Part) -> str:
    eager = " and ".join(
        f"{significant(part[f'{name}_eager_over_onnx_runtime'])} times as long for `{name}`" for name in ("cris", "dht")
    )
    return (
        "## Published sizes (CRIS R50, DHT+), random weights, 512x512 JPEG, one client\n\n"
        f"{text_to_harmonized(part)}\n\nPyTorch eager takes {eager} as ONNX Runtime in the same process."
    )


def text_to_harmonized(part: Part) -> str:
    """The pipeline and its floor."""
    return (
        f"{times(part['milliseconds'])}\n\nEnd to end takes {part['over_bare']:.3f} times the two bare networks; "
        f"the server uses {significant(part['server_mib'])} MiB.\n\n{stages(part['stage_milliseconds'])}"
    )


def large_photograph(part: Part) -> str:
    return (
        "## A large photograph: 4000x3000 JPEG, demo weights\n\n"
        f"{significant(part['segment_harmonize_ms'])} ms, {significant(part['without_networks_ms'])} ms of that "
        f"outside the networks, and {significant(part['extra_mib'])} MiB more than the idle server.\n\n"
        f"{stages(part['stage_milliseconds'])}"
    )


def diffusion_demo(part: Part) -> str:
    title = "## Diffusion, demo weights"
    if "left_out" in part:
        return f"{title}\n\nNot measured: {part['left_out']}."
    together, cancel = part["side_by_side"], part["cancel"]
    return (
        f"{title}, {part['steps']} steps at {part['resolution']} pixels, one client\n\n{diffusion(part)}\n\n"
        f"The server uses {significant(part['server_mib'])} MiB.\n\n"
        f"### {together['requests']} requests\n\n{times(together['milliseconds'])}\n\n"
        f"At once they take {together['at_once_over_in_turn']:.2f} of the time in turn; a run of the UNet has "
        f"{together['mean_unet_batch']:.2f} steps on average. After a cancellation at step {cancel['after_step']} of "
        f"{cancel['steps']} the UNet runs at most {max(cancel['unet_steps_after'])} more "
        f"({len(cancel['unet_steps_after'])} cancellations)."
    )


def diffusion_published(part: Part) -> str:
    memory = part["memory"]
    largest = sorted(memory["model_mib"].items(), key=lambda item: -item[1])
    return (
        f"## Diffusion, published sizes, {part['steps']} steps at {part['resolution']} pixels, one client\n\n"
        f"{diffusion(part)}\n\ndiffusers' modules in eager mode take {part['eager_over_ours']:.2f} times as long.\n\n"
        f"The server uses {gigabytes(memory['server_mib'])} after a request and {gigabytes(memory['peak_mib'])} during "
        f"it, {gigabytes(memory['server_without_companions_mib'])} without Harmony-VAE and refinement; instances of "
        f"the UNet: {memory['unet_instances']}.\n\n"
        + table(["model", "MiB"], [[f"`{name}`", float(value)] for name, value in largest])
    )


def diffusion(part: Part) -> str:
    """The loop and its floor."""
    step, bare = part["loop_step_ms"], part["bare_unet_ms"]
    return (
        f"{times(part['milliseconds'])}\n\nEnd to end takes {part['over_bare']:.3f} times the bare networks; a step "
        f"{significant(step)} ms, {significant(step - bare)} ms more than the bare UNet's {significant(bare)} ms."
        f"\n\n{stages(part['stage_milliseconds'], {'unet': part['steps']})}"
    )


def facade(part: Part) -> str:
    added, at_once, throughput = part["added"], part["added_at_once"]["added_ms"], part["throughput"]
    left = part["disconnected"]
    return (
        "## The facade\n\nDemo weights, text to harmonized 512x512 JPEG, one client:\n\n"
        f"{times(added['milliseconds'])}\n\n"
        f"It adds {added['added_ms']['p50']:.1f} ms at p50 and {added['added_ms']['p99']:.1f} ms at p99; with a Triton "
        f"that answers at once, {at_once['p50']:.1f} ms and {at_once['p99']:.1f} ms, and the throughput is then "
        f"{throughput['requests_per_second']:.0f} requests/s ({throughput['connections']} connections, 512x512 JPEG, "
        f"mask).\n\n{overload(part['overload'])}\n\n"
        f"When {left['clients']} clients disconnect, it is idle after {left['idle_after_seconds']:.1f} s; Triton makes "
        f"{left['inferences']} inferences."
    )


def overload(part: Part) -> str:
    accepted, refused = part["accepted_ms"], part["refused_ms"]
    answers = ", ".join(f"{status} x {count}" for status, count in part["statuses"].items())
    memory = ", ".join(f"{each:.0f}" for each in part["resident_mib"])
    return (
        f"### Overload: {part['asked_per_second']:.0f} requests/s for {part['seconds']:.0f} s, at a capacity of "
        f"{part['sustainable_per_second']:.1f}\n\n"
        f"A queue of {part['queue']}. Statuses: {answers}. Accepted requests have a p99 of {accepted['p99']:.0f} ms "
        f"(bound: {part['bound_ms']:.0f} ms); refused ones take {refused['p50']:.1f} ms at p50, "
        f"{refused['p99']:.1f} ms at p99 and at most {refused['max']:.1f} ms. Memory by quarter: {memory} MiB."
    )


def gpu(part: Part) -> str:
    """The rows that need a GPU; missing numbers were not measured."""
    rows = [[what, significant(part[key]) if key in part else "not measured"] for key, what in GPU_ROWS.items()]
    return "## On a GPU\n\n" + table(["", part.get("device", "no GPU")], rows)


def gigabytes(mib: float) -> str:
    return f"{mib * MIB / 1e9:.2f} GB"


GPU_ROWS = {
    "diffharmony_ms": "DiffHarmony, 512 pixels, 5 steps, end to end (ms)",
    "tensorrt_over_eager": "UNet in TensorRT FP16 over PyTorch eager FP16 (times as fast)",
    "tensorrt_over_compiled": "UNet in TensorRT FP16 over torch.compile FP16 (times as fast)",
}
