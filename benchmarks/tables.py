"""The report as a reader wants it: a table for each part that was measured."""

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.memory import MIB
from benchmarks.segment_harmonize import NETWORKS

Part = Mapping[str, Any]


def print_tables(report: Mapping[str, Part]) -> None:
    machine = report["machine"]
    print(f"\n{machine['processor']}, {machine['threads']} threads, torch {torch.__version__}")
    for name, table in TABLES.items():
        if name in report:
            table(report[name])


def print_demo(part: Part) -> None:
    print("\ndemo weights, 512x512 JPEG, one client (ms)")
    print_times(part["milliseconds"])
    print(f"  end to end over the bare networks {part['over_bare']:.3f}; server {part['server_mib']:.0f} MiB")
    print_stages(part)


def print_published(part: Part) -> None:
    print("\npublished weights, 512x512 JPEG, one client (ms)")
    print_times(part["milliseconds"])
    print(f"  end to end over the bare networks {part['over_bare']:.3f}; server {part['server_mib']:.0f} MiB")
    print_stages(part)
    for name in NETWORKS:
        print(f"  {name}: PyTorch eager takes {part[f'{name}_eager_over_onnx_runtime']:.2f}x as long")


def print_large_photograph(part: Part) -> None:
    print(
        f"\n4000x3000 JPEG: {part['segment_harmonize_ms']:.0f} ms, without the networks "
        f"{part['without_networks_ms']:.0f} ms, {part['extra_mib']:.0f} MiB above the idle server"
    )
    print_stages(part)


def print_diffusion_demo(part: Part) -> None:
    if "left_out" in part:
        print(f"\ndiffusion, demo weights: left out, {part['left_out']}")
        return
    print(f"\ndiffusion, demo weights, {part['steps']} steps at {part['resolution']} pixels, one client (ms)")
    print_times(part["milliseconds"])
    print(f"  end to end over the bare networks {part['over_bare']:.3f}; server {part['server_mib']:.0f} MiB")
    print_steps(part)
    print_stages(part)
    together = part["side_by_side"]
    print(f"\ndiffusion, demo weights, {together['requests']} requests (ms)")
    print_times(together["milliseconds"])
    print(
        f"  at once over in turn {together['at_once_over_in_turn']:.2f}; "
        f"mean batch of the UNet {together['mean_unet_batch']:.2f}"
    )
    cancel = part["cancel"]
    print(
        f"  cancelled after step {cancel['after_step']} of {cancel['steps']}: "
        f"{max(cancel['unet_steps_after'])} more of the UNet at most, in {len(cancel['unet_steps_after'])} cancels"
    )


def print_diffusion_published(part: Part) -> None:
    print(f"\ndiffusion, published sizes, {part['steps']} steps at {part['resolution']} pixels, one client (ms)")
    print_times(part["milliseconds"])
    times = {name: row["p50"] / 1000 for name, row in part["milliseconds"].items()}
    print(
        f"  end to end over the bare networks {part['over_bare']:.3f}; diffusers eager takes "
        f"{part['eager_over_ours']:.2f}x as long: {times['eager']:.1f} s, {times['diffharmony']:.1f} s"
    )
    print_steps(part)
    print_stages(part)
    memory = part["memory"]
    print(
        f"  server {gigabytes(memory['server_mib'])} after a request, {gigabytes(memory['peak_mib'])} during it, "
        f"{gigabytes(memory['server_without_companions_mib'])} without Harmony-VAE and refinement; "
        f"instances of the UNet: {memory['unet_instances']}"
    )
    largest = sorted(memory["model_mib"].items(), key=lambda item: -item[1])
    print("  by model (MiB): " + ", ".join(f"{name} {value:.0f}" for name, value in largest))


def print_facade(part: Part) -> None:
    added, throughput = part["added"], part["throughput"]
    print("\nfacade, demo weights, segment_harmonize of a 512x512 JPEG, one client (ms)")
    print_times(added["milliseconds"])
    print(f"  added: {added['added_ms']['p50']:.1f} ms at p50, {added['added_ms']['p99']:.1f} ms at p99")
    at_once = part["added_at_once"]["added_ms"]
    print(f"  with a Triton that answers at once: {at_once['p50']:.1f} ms at p50, {at_once['p99']:.1f} ms at p99")
    print(
        f"  {throughput['requests_per_second']:.0f} requests/s with a Triton that answers at once "
        f"({throughput['connections']} connections, 512x512 JPEG and mask)"
    )
    overload = part["overload"]
    accepted, refused, mib = overload["accepted_ms"], overload["refused_ms"], overload["resident_mib"]
    print(
        f"\nfacade, {overload['asked_per_second']:.0f} requests/s for {overload['seconds']:.0f} s where "
        f"{overload['sustainable_per_second']:.1f} can be carried"
    )
    print(f"  statuses: {', '.join(f'{status} x {count}' for status, count in overload['statuses'].items())}")
    print(f"  accepted: p99 {accepted['p99']:.0f} ms, bound {overload['bound_ms']:.0f} ms")
    print(f"  refused: p50 {refused['p50']:.1f} ms, p99 {refused['p99']:.1f} ms, at most {refused['max']:.1f} ms")
    print(f"  memory by quarter: {', '.join(f'{each:.0f}' for each in mib)} MiB")
    left = part["disconnected"]
    print(
        f"  {left['clients']} clients that left: idle after {left['idle_after_seconds']:.1f} s, "
        f"{left['inferences']} inferences"
    )


def print_times(milliseconds: Mapping[str, Mapping[str, float]]) -> None:
    for name, row in milliseconds.items():
        print(f"  {name:18} " + "  ".join(f"{key} {value:8.1f}" for key, value in row.items()))


def print_steps(part: Part) -> None:
    step, bare = part["loop_step_ms"], part["bare_unet_ms"]
    print(f"  a step {step:.1f} ms, {step - bare:.1f} ms more than the bare UNet's {bare:.1f} ms")


def print_stages(part: Part) -> None:
    print("  stages: " + ", ".join(f"{name} {value:.1f}" for name, value in part["stage_milliseconds"].items()))


def gigabytes(mib: float) -> str:
    return f"{mib * MIB / 1e9:.2f} GB"


TABLES = {
    "demo": print_demo,
    "large_photograph": print_large_photograph,
    "published": print_published,
    "diffusion_demo": print_diffusion_demo,
    "diffusion_published": print_diffusion_published,
    "facade": print_facade,
}
