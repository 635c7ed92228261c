"""Write Grafana's dashboards, `dashboards/*.json`, with its own foundation SDK; what they show is in boards.py.

    pip install grafana-foundation-sdk
    python dashboards/supervision/grafana/make.py            # write them
    python dashboards/supervision/grafana/make.py --check    # say which are not as this would write them; exit 1

Grafana takes the JSON as it is (see provisioning/dashboards); the SDK is needed only by who changes a panel.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from boards import BOARDS
from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import heatmap as heat
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from shapes import Board, Panel, Row

FOLDER = Path(__file__).resolve().parent / "dashboards"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "${runbooks}"
_BUILDERS: dict[str, Any] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "bars": bargauge.Panel,
    "states": statetimeline.Panel,
    "table": table.Panel,
    "heatmap": heat.Panel,
}
_INSTANT = ("stat", "bars", "table")
_LEGEND_FROM = 2  # series; one alone is named by the panel's title


def dashboard(board: Board) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["parivision"])
        .readonly()
        .refresh("30s")
        .time(f"now-{board.hours}h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            build.TextBoxVariable("runbooks").label("Runbooks").default_value(board.runbooks).hide(_hidden())
        )
        .link(
            build.DashboardLink("PariVision")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["parivision"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    for name, query in board.variables.items():
        made = made.with_variable(_variable(name, query))
    number = 0
    for row in board.rows:
        number += 1
        made = made.with_row(build.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made = made.with_panel(_panel(panel, number, row))
    register_default_plugins()
    read = models.Dashboard.from_json(json.loads(json.dumps(made.build(), cls=JSONEncoder)))
    content = json.loads(json.dumps(read, cls=JSONEncoder))  # as Grafana's schema reads what was built
    return dict(content)


def _hidden() -> models.VariableHide:
    return models.VariableHide.HIDE_VARIABLE


def _variable(name: str, query: str | list[str]) -> Any:
    """A list of choices, or a label's values as Prometheus knows them."""
    label = name.capitalize()
    if isinstance(query, list):
        return build.CustomVariable(name).label(label).values(", ".join(query)).include_all(False)
    made = build.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    return made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).all_value(".*")


def _panel(panel: Panel, number: int, row: Row) -> Any:
    made = (
        _BUILDERS[panel.kind]()
        .id(number)
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(row.height)
        .span(panel.width)
        .no_value("nothing known")
    )
    for letter, (expression, legend) in zip("ABCDEF", panel.queries.items(), strict=False):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)
        if panel.kind == "table":
            target = target.format(PromQueryFormat.TABLE)
        elif panel.kind == "heatmap":
            target = target.format(PromQueryFormat.HEATMAP)
        made = made.with_target(target.instant() if panel.kind in _INSTANT else target.range())
    if panel.decimals is not None:
        made = made.decimals(panel.decimals)
    if panel.low is not None:
        made = made.min(panel.low)
    if panel.high is not None:
        made = made.max(panel.high)
    steps = [models.Threshold(value=None, color=panel.colour), *(models.Threshold(v, c) for v, c in panel.thresholds)]
    made = made.thresholds(build.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        made = made.mappings([_words(panel.words)])
    if panel.runbook:
        link = build.DashboardLink("What to do").type(models.DashboardLinkType.LINK)
        made = made.links([link.url(f"{RUNBOOKS}#{panel.runbook}").target_blank(True)])
    return _dressed(made, panel)


def _words(words: dict[int, tuple[str, str]]) -> models.ValueMapping:
    """What a number stands for, and its colour."""
    options = {
        str(value): models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return models.ValueMap(options=options)


def _dressed(made: Any, panel: Panel) -> Any:
    """What is particular to a kind of panel."""
    if panel.kind == "timeseries":
        legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
        legend = legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True)
        made = made.line_width(1.5).fill_opacity(8).legend(legend)
        made = made.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        if panel.stacked:
            made = made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(40)
        if panel.thresholds:
            made = made.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED)
            )
    elif panel.kind in ("stat", "bars"):
        made = made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        if panel.kind == "stat":
            made = made.text_mode(common_models.BigValueTextMode.VALUE_AND_NAME if panel.named else _value())
            made = made.color_mode(common_models.BigValueColorMode.VALUE)
            made = made.graph_mode(common_models.BigValueGraphMode.NONE)
        else:
            made = made.orientation(common_models.VizOrientation.HORIZONTAL)
    elif panel.kind == "states":
        made = made.show_value(common_models.VisibilityMode.NEVER).merge_values(True).fill_opacity(70)
    elif panel.kind == "heatmap":
        made = made.calculate(False).cell_gap(1).show_legend().show_tooltip()
        made = made.y_axis(heat.YAxisConfig().unit(panel.unit))
    elif panel.kind == "table":
        made = made.show_header(True).with_transformation(
            models.DataTransformerConfig(
                id_val="organize", options={"excludeByName": dict.fromkeys(panel.left_out, True)}
            )
        )
    return made


def _value() -> common_models.BigValueTextMode:
    return common_models.BigValueTextMode.VALUE


def written(board: Board) -> str:
    """The file of a dashboard."""
    return json.dumps(dashboard(board), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write every dashboard, or say which is not up to date."""
    stale = []
    for board in BOARDS:
        path, text = FOLDER / f"{board.file}.json", written(board)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if '--check' in sys.argv[1:] else 'written'}: {', '.join(stale)}")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
