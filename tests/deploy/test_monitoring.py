"""The alerts and the dashboard: they use metrics that exist, and each alert fires when it should and not before."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from service.metrics import Metrics
from tests.support.needs import missing

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "afterimage.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
TARGET = {"job", "instance", "__name__"}  # labels that Prometheus adds
CALLS = "afterimage_calls_total"
SEARCH = 'afterimage_call_seconds_bucket{method="/afterimage.v1.SearchService/Search",instance="a",le="%s"}'
# By alert: series in promtool's notation, one value a minute, with which it fires at the minute, and with which not.
CASES: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "AfterimageDown": (3, {'up{job="afterimage"}': "0x10"}, {'up{job="afterimage"}': "1x10"}),
    "AfterimageNotReady": (6, {"afterimage_ready": "0x10"}, {"afterimage_ready": "0x2 1x10"}),
    "AfterimageTenantStopped": (1, {"afterimage_tenants_stopped": "1x3"}, {"afterimage_tenants_stopped": "0x3"}),
    "AfterimageCollectionDamaged": (
        1, {"afterimage_collections_damaged": "2x3"}, {"afterimage_collections_damaged": "0x3"}
    ),
    "AfterimageDataLoss": (
        20, {CALLS + '{code="DATA_LOSS",instance="a"}': "_x17 1x10"},
        {CALLS + '{code="DATA_LOSS",instance="a"}': "4x30"},
    ),
    "AfterimageInternalErrors": (
        20, {CALLS + '{code="INTERNAL",instance="a"}': "1x17 2x9"}, {CALLS + '{code="INTERNAL",instance="a"}': "7x30"}
    ),
    "AfterimageUnavailable": (
        20, {CALLS + '{code="UNAVAILABLE",instance="a"}': "0+60x30"},
        {CALLS + '{code="UNAVAILABLE",instance="a"}': "0+1x30"},
    ),
    "AfterimageSlowSearches": (
        20, {SEARCH % "0.5": "0+50x30", SEARCH % "1.0": "0+60x30", SEARCH % "+Inf": "0+60x30"},
        {SEARCH % "0.5": "0+60x30", SEARCH % "1.0": "0+60x30", SEARCH % "+Inf": "0+60x30"},
    ),
    "AfterimageCallsRefused": (
        20,
        {'afterimage_calls_refused_total{limit="calls",instance="a"}': "0+10x30", CALLS + '{instance="a"}': "0+100x30"},
        {'afterimage_calls_refused_total{limit="calls",instance="a"}': "0+1x30", CALLS + '{instance="a"}': "0+100x30"},
    ),
    "AfterimagePicturesRefused": (
        20, {"afterimage_pictures_refused_total": "0+1x30"}, {"afterimage_pictures_refused_total": "0+1x5 5x30"}
    ),
    "AfterimageRecallLow": (70, {"afterimage_recall_lowest": "0.9x80"}, {"afterimage_recall_lowest": "0.96x80"}),
    "AfterimageCollectionsReloaded": (
        50, {"afterimage_index_loads": "0+10x60", "afterimage_collections_open": "20x60"},
        {"afterimage_index_loads": "0+1x60", "afterimage_collections_open": "20x60"},
    ),
    "AfterimageSyncBehind": (
        15, {"afterimage_sync_oldest_success_seconds": "172801+60x30"},
        {"afterimage_sync_oldest_success_seconds": "86400+60x30"},
    ),
    "AfterimageSyncFailing": (
        20, {'afterimage_sync_runs_total{state="blocked",instance="a"}': "_x17 1x10"},
        {'afterimage_sync_runs_total{state="succeeded",instance="a"}': "0+1x30"},
    ),
    "AfterimageRedisDown": (20, {"afterimage_redis_up": "1x5 0x30"}, {"afterimage_redis_up": "0x30"}),
    "AfterimageFilesRunOut": (
        15, {"afterimage_open_files": "950x30", "afterimage_open_files_limit": "1000x30"},
        {"afterimage_open_files": "800x30", "afterimage_open_files_limit": "1000x30"},
    ),
    "AfterimageKeysGuessed": (
        20, {'afterimage_failed_authentications_total{reason="KEY_INVALID",instance="a"}': "0+120x30"},
        {'afterimage_failed_authentications_total{reason="KEY_INVALID",instance="a"}': "0+30x30"},
    ),
}  # fmt: skip


def known() -> dict[str, set[str]]:
    """The labels of each series that a server exports."""
    found: dict[str, set[str]] = {"up": set()}
    for row in vars(Metrics).values():
        if not hasattr(row, "_labels"):
            continue
        name, labels = row._name, set(row._labels)
        kind = row._kind.__name__
        if kind == "Histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[f"{name}_total" if kind == "Counter" else name] = labels
    samples = [sample.name for family in Metrics().registry.collect() for sample in family.samples]
    return found | {name: set() for name in samples if name.startswith("process_")}


def selectors(part: Any) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, with the labels that it asks for."""
    if isinstance(part, promql_parser.VectorSelector):
        yield str(part.name), {m.name for m in part.matchers.matchers}
    for name in ("vector_selector", "expr", "lhs", "rhs"):
        if (inner := getattr(part, name, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(part, "args", None) or ():
        yield from selectors(inner)


def metric_of(series: str) -> str:
    """The metric of a series, which is one of several where it is a histogram."""
    return re.sub(r"_(sum|count|bucket)$", "", series)


def expressions() -> list[str]:
    """All that the dashboard asks for, with Grafana's variables filled in."""
    targets = itertools.chain.from_iterable(panel.get("targets", ()) for panel in DASHBOARD["panels"])
    return [re.sub(r"\$(\w+)", lambda m: "5m" if m[1] == "__rate_interval" else m[1], t["expr"]) for t in targets]


@pytest.mark.parametrize("expression", [*(r["expr"] for r in RULES), *expressions()])
def test_an_expression_asks_for_metrics_and_labels_that_a_server_has(expression: str) -> None:
    found = list(selectors(promql_parser.parse(expression)))
    assert found
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression))))
    of_all = {label for name, _ in found for label in known()[name]}
    assert grouped <= of_all | TARGET
    for name, labels in found:
        assert labels <= known()[name] | TARGET, name


def test_the_dashboard_shows_every_metric_and_no_two_panels_are_in_one_place() -> None:
    shown = {name for expression in expressions() for name, _ in selectors(promql_parser.parse(expression))}
    assert {metric_of(name) for name in known()} - {metric_of(name) for name in shown} == {"up"}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_the_page_says_for_each_alert_what_to_do() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or missing("promtool", "apt-get install --no-install-recommends prometheus")
    assert list(CASES) == [rule["alert"] for rule in RULES]
    tests = [
        {
            "interval": "1m",
            "name": f"{alert} {'fires' if fires else 'is silent'}",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for alert, (minute, firing, silent) in CASES.items()
        for fires, series in ((True, firing), (False, silent))
    ]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    told = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr
