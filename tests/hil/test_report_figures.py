"""Every figure draws what the data hold, for usual and for unusual runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from hil.report import BudgetRow, LayerData, ProgrammingData, ReportData, figures
from hil.report.figures.programming import region
from protocols.errors import RecordError

FIGURES = (
    "conductance_maps",
    "errors",
    "pulses",
    "forming",
    "samples",
    "radius_and_angle",
    "trajectories",
    "waveforms",
    "layers",
    "error_budget",
)


@pytest.fixture(scope="module")
def data(report_data):
    return report_data


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_draws_and_says_that_it_is_simulated(data, name):
    figure = getattr(figures, name)(data)
    assert isinstance(figure, Figure)
    assert "(simulated)" in texts(figure)
    assert "simulated" not in texts(getattr(figures, name)(replace(data, simulated=False)))


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_refuses_a_run_without_its_data(name):
    with pytest.raises(RecordError, match="cannot be drawn"):
        getattr(figures, name)(ReportData("empty"))


def test_the_map_has_every_cell_in_its_place(data):
    block, extent = region(data.programming, data.programming.target_siemens)
    assert block.shape == (33, 60)
    assert extent == (-0.5, 59.5, 32.5, -0.5)
    assert np.isfinite(block).sum() == 564
    assert block[17, 28] == data.programming.target_siemens[84 + 14 * 28]


def test_the_waveform_figure_has_18_channels(data):
    shown = [ax for ax in figures.waveforms(data).axes if ax.get_visible()]
    assert len(shown) == 18
    (drift,) = [patch for patch in shown[0].patches if patch.get_data().values.size == 200]
    np.testing.assert_allclose(drift.get_data().values, data.waveforms.drift)
    assert drift.get_data().edges[-1] == pytest.approx(1.0)


def test_the_budget_shows_the_largest_improvement_first(data):
    rows = figures.budget_rows(data)
    assert rows[0][0].name == "programming error off"
    assert [value for _, value in rows] == sorted(value for _, value in rows)
    assert len(figures.budget_rows(replace(data, budget_metric="kl_1d"))) == 4


def test_data_against_data_stands_in_the_budget_only_with_as_many_samples(data):
    def legend(case):
        return [text.get_text() for text in figures.error_budget(case).legends[0].get_texts()]

    assert not any("data" in text for text in legend(data))
    same = [replace(row, figures={**row.figures, "samples": 50_000}) for row in data.budget]
    assert any("data against data" in text for text in legend(replace(data, budget=tuple(same))))
    own = (*data.budget, BudgetRow("data, 2,000 samples", {"sliced_w1": 0.011}, "data"))
    assert "data, 2,000 samples (0.011)" in legend(replace(data, budget=own))


def edge_cases(data):
    cells = data.programming
    one = np.array([3])
    single = ProgrammingData(
        rows=one,
        columns=one,
        array_rows=4,
        array_columns=4,
        target_siemens=np.array([1e-4]),
        reached_siemens=np.array([np.nan]),
        pulses=np.array([0]),
        status=np.array(["unformed"]),
        tolerance_siemens=np.array([2e-6]),
        forming_volts=np.array([np.nan]),
    )
    points = np.array([[0.1, 0.2]])
    flat = np.zeros((200, 14))
    quiet = replace(data.waveforms, noise=np.zeros(200), noise_drawn=None, embedding_volts=flat)
    inside = replace(cells, status=np.full(564, "in_tolerance"))
    array, points_of = ("conductance_maps", "errors", "pulses", "forming"), ("samples", FIGURES[5])
    return [
        (array, replace(data, programming=single)),
        (array[:3], replace(data, programming=inside)),
        (points_of, replace(data, samples={"mine": points}, rows={})),
        (points_of, replace(data, samples={**data.samples, "software_sde": points})),
        (["trajectories"], replace(data, trajectories=replace(data.trajectories, software=None))),
        (["waveforms"], replace(data, waveforms=quiet)),
        (["layers"], replace(data, layers=(LayerData("x", np.zeros(3), np.zeros(3)),))),
        (["error_budget"], replace(data, budget=data.budget[2:3], rows={})),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_figures_of_unusual_runs_draw(data):
    for names, case in edge_cases(data):
        for name in names:
            figure = getattr(figures, name)(case)
            figure.draw_without_rendering()
            assert figure.axes, name
