"""``python -m deploy.dashboard``: writes ``observe/dashboard.json``, which Grafana imports (10.1 or later).

What stands on it is the table `ROWS`.
"""

from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

FILE = Path(__file__).with_name("observe") / "dashboard.json"
SOURCE, MODEL, INTERVAL = "$datasource", "$model", "$__rate_interval"
_WIDTH, _HEIGHT = 8, 8


class Graph(NamedTuple):
    """A panel: what it says, in which of Grafana's units, and its expressions with what each line is called."""

    title: str
    about: str
    unit: str
    lines: dict[str, str]


def quantile(share: float, metric: str, *labels: str, where: str = "") -> str:
    """A quantile of a histogram by labels."""
    of = ", ".join(("le", *labels))
    return f"histogram_quantile({share}, sum by ({of}) (rate({metric}_bucket{{{where}}}[{INTERVAL}])))"


def rate(metric: str, *labels: str, where: str = "") -> str:
    """How much a counter grows in a second, by labels."""
    return f"sum by ({', '.join(labels)}) (rate({metric}{{{where}}}[{INTERVAL}]))"


_OF_MODEL = f'model=~"{MODEL}"'
_OF_FACADE = 'job="concord"'
_PER_RUN = ("instance", "model")
# The sum of what has not happened yet is nothing, which is no number.
_FAILED, _ALL = 'status=~"5.."', rate("concord_requests_total", "instance")

ROWS: dict[str, tuple[Graph, ...]] = {
    "Requests": (
        Graph(
            "Answers", "by status", "reqps", {rate("concord_requests_total", "status", where=_OF_MODEL): "{{status}}"}
        ),
        Graph(
            "Refused and failed",
            "by the problem's code",
            "reqps",
            {rate("concord_rejections_total", "reason"): "{{reason}}"},
        ),
        Graph(
            "Duration",
            "from the first byte of a request to the last of its answer",
            "s",
            {
                quantile(share, "concord_request_seconds", "model", where=_OF_MODEL): f"p{share * 100:g} {{{{model}}}}"
                for share in (0.5, 0.95, 0.99)
            },
        ),
        Graph("Ready", "1 where a real inference was answered lately", "short", {"concord_ready": "{{instance}}"}),
        Graph(
            "Share that fails",
            "not the callers' errors: 5xx of all answers",
            "percentunit",
            {f"({rate('concord_requests_total', 'instance', where=_FAILED)} or 0 * {_ALL}) / {_ALL}": "{{instance}}"},
        ),
    ),
    "Queue": (
        Graph(
            "Waiting",
            "requests that wait for Triton",
            "short",
            {f"sum by (model) (concord_queue_depth{{{_OF_MODEL}}})": "{{model}}"},
        ),
        Graph(
            "In flight",
            "requests that Triton is answering",
            "short",
            {f"sum by (model) (concord_in_flight{{{_OF_MODEL}}})": "{{model}}"},
        ),
        Graph(
            "Time in the queue",
            "after the check of the request",
            "s",
            {
                quantile(
                    share, "concord_stage_seconds", "model", where=f'stage="queued",{_OF_MODEL}'
                ): f"p{share * 100:g} {{{{model}}}}"
                for share in (0.5, 0.95)
            },
        ),
    ),
    "Stages": (
        Graph(
            "Where the time goes",
            "seconds of all requests in a second, by stage",
            "s",
            {rate("concord_stage_seconds_sum", "stage", where=_OF_MODEL): "{{stage}}"},
        ),
        Graph(
            "Stages, p95",
            "by model and by the profile of its networks",
            "s",
            {
                quantile(
                    0.95, "concord_stage_seconds", "stage", "model", "profile", where=_OF_MODEL
                ): "{{stage}} {{model}} {{profile}}"
            },
        ),
        Graph(
            "Inference by profile, p50",
            "",
            "s",
            {
                quantile(
                    0.5, "concord_stage_seconds", "model", "profile", where=f'stage="inference",{_OF_MODEL}'
                ): "{{model}} {{profile}}"
            },
        ),
    ),
    "Triton": (
        Graph(
            "Batch size",
            "requests in one run of a model, on average",
            "short",
            {
                f"{rate('nv_inference_count', *_PER_RUN)} / {rate('nv_inference_exec_count', *_PER_RUN)}": "{{model}}",
            },
        ),
        Graph("Queued in Triton", "requests", "short", {"nv_inference_pending_request_count": "{{model}}"}),
        Graph(
            "Time in Triton's queue",
            "p99 of the last requests",
            "s",
            {'nv_inference_queue_summary_us{quantile="0.99"} / 1e6': "{{model}}"},
        ),
        Graph(
            "Work of the models",
            "seconds of inference in a second",
            "s",
            {f"{rate('nv_inference_compute_infer_duration_us', *_PER_RUN)} / 1e6": "{{model}}"},
        ),
        Graph(
            "Failed in Triton",
            "requests to models, those inside an ensemble too; a caller's error may be among them",
            "reqps",
            {rate("nv_inference_request_failure", "model", "reason"): "{{model}} {{reason}}"},
        ),
    ),
    "Machine": (
        Graph("Memory of the facade", "", "bytes", {f"process_resident_memory_bytes{{{_OF_FACADE}}}": "{{instance}}"}),
        Graph(
            "Cores that the facade uses",
            "one at most, but for files that are decoded in processes of their own",
            "short",
            {rate("process_cpu_seconds_total", "instance", where=_OF_FACADE): "{{instance}}"},
        ),
        Graph("Use of the processor", "of the whole machine", "percentunit", {"nv_cpu_utilization": "{{instance}}"}),
        Graph(
            "Memory of the machine",
            "",
            "percentunit",
            {"nv_cpu_memory_used_bytes / nv_cpu_memory_total_bytes": "{{instance}}"},
        ),
    ),
    "GPU": (
        Graph("Use of the GPU", "", "percentunit", {"nv_gpu_utilization": "{{gpu_uuid}}"}),
        Graph(
            "Memory of the GPU",
            "",
            "percentunit",
            {"nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes": "{{gpu_uuid}}"},
        ),
        Graph("Power", "", "watt", {"nv_gpu_power_usage": "{{gpu_uuid}}"}),
    ),
}
"""The rows of the dashboard. That of GPUs is empty where Triton finds none."""


def expressions() -> dict[str, tuple[str, ...]]:
    """The expressions of every row."""
    return {row: tuple(line for graph in graphs for line in graph.lines) for row, graphs in ROWS.items()}


def written() -> str:
    """The dashboard, as Grafana has it."""
    source = DataSourceRef(type_val="prometheus", uid=SOURCE)
    board = (
        Dashboard("Concord")
        .uid("concord")
        .tags(["concord"])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            QueryVariable("model")
            .label("Model")
            .datasource(source)
            .query("label_values(concord_in_flight, model)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    for row, graphs in ROWS.items():
        board = board.with_row(Row(row))
        for graph in graphs:
            board = board.with_panel(_panel(graph, source))
    return JSONEncoder(indent=2, sort_keys=True).encode(board.build()) + "\n"


def _panel(graph: Graph, source: DataSourceRef) -> TimeSeries:
    panel = TimeSeries().title(graph.title).description(graph.about).unit(graph.unit).datasource(source)
    panel = panel.height(_HEIGHT).span(_WIDTH).min(0)
    for number, (expression, name) in enumerate(graph.lines.items()):
        query = Dataquery().expr(expression).legend_format(name).ref_id(chr(ord("A") + number)).datasource(source)
        panel = panel.with_target(query)
    return panel


if __name__ == "__main__":
    FILE.write_text(written())
