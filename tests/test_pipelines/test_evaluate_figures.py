"""Figures of evaluations: what is drawn where is read back from the figure and compared with the scores."""

import math

import cv2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.stats import gamma

from pipelines.evaluate.figure_style import KIND_STYLES, figure_png, name_rows, new_figure, shortened, style
from pipelines.evaluate.figures import by_instrument, by_labels, by_num_sources, evaluation_figures, segment_violins
from pipelines.evaluate.tables import SystemInfo, summarize

NAN, INF = math.nan, math.inf
SYSTEMS = (
    SystemInfo("mixture", "floor", "Mixture"),
    SystemInfo("nmf", "classic", "NMF"),
    SystemInfo("net", "model", "Network"),
    SystemInfo("mask", "oracle", "Ideal mask"),
)
INSTRUMENTS = ("violin", "tuba", "flute")


def segments(scores, **others):
    """One row per score of each system; all three metrics alike."""
    return pd.DataFrame(
        [
            {"track": "a", "system": system, "labels": "true", "instrument": "violin", "start_seconds": 0.743 * k}
            | {f"{name}_v3_segment": value for name in ("sdr", "sir", "sar")}
            | others
            for system, values in scores.items()
            for k, value in enumerate(values)
        ]
    )


def tracks(seed=0, labels=("true", "detected")):
    """Six tracks of one to three sources; the network and NMF hear of detected labels too."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            {"track": f"t{t}", "system": system.name, "labels": source, "instrument": INSTRUMENTS[i]}
            | {"status": "present", "num_sources": 1 + t % 3, "si_sdr_improvement": generator.normal(3 * rank, 2)}
            for t in range(6)
            for i in range(1 + t % 3)
            for rank, system in enumerate(SYSTEMS)
            for source in (labels if system.kind in ("classic", "model") else ("true",))
        ]
    )


def picture(figure):
    return cv2.imdecode(np.frombuffer(figure_png(figure), np.uint8), cv2.IMREAD_COLOR)


def row_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def dots(axes):
    """(height, x) of every single marker that is drawn."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1]
    return {round(float(line.get_ydata()[0]), 3): float(line.get_xdata()[0]) for line in lines}


def bars(axes):
    """(height, (left, right)) of every horizontal line."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and len(set(line.get_ydata())) == 1]
    return {round(float(line.get_ydata()[0]), 3): tuple(map(float, line.get_xdata())) for line in lines}


def test_violins_show_median_quartiles_and_shape():
    values = gamma.rvs(3, scale=2, size=4001, random_state=0)
    figure = segment_violins(segments({"net": values + 5, "mixture": values, "mask": 20 - values}), SYSTEMS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "SDR (v3, segments)", "SIR (v3, segments)", "SAR (v3, segments)",
    ]  # fmt: skip
    axes = figure.axes[0]
    assert row_names(axes) == ["Mixture", "Network", "Ideal mask"]
    quartiles = np.sort(values)[[1000, 2000, 3000]]
    assert dots(axes)[0] == quartiles[1] and dots(axes)[1] == quartiles[1] + 5
    assert bars(axes)[0] == pytest.approx(quartiles[[0, 2]], abs=0.01)
    outline = axes.collections[0].get_paths()[0].vertices
    upper = outline[outline[:, 1] > 0.01]
    truth = gamma.pdf(upper[:, 0], 3, scale=2)
    assert np.corrcoef(upper[:, 1], truth)[0, 1] > 0.99
    assert outline[:, 1].max() == pytest.approx(-outline[:, 1].min(), abs=1e-9)
    assert [to_hex(shape.get_facecolor()[0]) for shape in axes.collections] == [
        KIND_STYLES[kind].face for kind in ("floor", "model", "oracle")
    ]


@pytest.mark.parametrize(
    "values",
    [[], [3.0], [3.0, -2.0], [NAN] * 20, [INF] * 20, [-INF, NAN, 1.0], [2.0] * 50, [1e300] + [0.0] * 20],
    ids=lambda values: f"{len(values)} from {values[:1]}",
)
def test_violins_of_scores_without_a_shape(values):
    given = segments({"net": values, "mixture": np.linspace(0, 10, 40) if len(values) == 2 else []})
    figure = segment_violins(given.reindex(columns=segments({"net": [1.0]}).columns), SYSTEMS)
    assert picture(figure).min() < 200
    assert all(high - low >= 10 for low, high in (axes.get_xlim() for axes in figure.axes))


def test_infinities_keep_their_rank_in_violins():
    # Fifteen scores: the eighth is the median, the quartiles lie midway between the fourth and fifth from either end.
    axes = segment_violins(segments({"net": [-INF] * 6 + list(np.arange(7.0)) + [INF, INF]})).axes[0]
    low, high = axes.get_xlim()
    assert dots(axes)[0] == 1.0 and bars(axes)[0] == (low, 4.5) and low < 0 and high > 6


def test_an_exact_sum_does_not_stretch_the_axis():
    generator = np.random.default_rng(1)
    scores = {"net": generator.normal(8, 3, 500), "mixture": generator.normal(250, 2, 500)}
    axes = segment_violins(segments(scores), SYSTEMS).axes[2]
    assert axes.get_xlim()[1] <= 25
    assert "median 250 dB →" in [text.get_text() for text in axes.texts]
    assert set(dots(axes)) == {1}


def test_medians_by_number_of_sources_are_those_of_the_summary():
    summary = summarize(tracks(), num_bootstrap=50)
    figure = by_num_sources(summary, SYSTEMS)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["1 source (2 tracks)", "2 sources (2 tracks)", "3 sources (2 tracks)"]
    assert row_names(figure.axes[0]) == [system.title for system in SYSTEMS]
    for num_sources, axes in enumerate(figure.axes, 1):
        for height, system in enumerate(SYSTEMS):
            own = summary[(summary["group"] == "num_sources") & (summary["value"] == str(num_sources))]
            own = own[(own["system"] == system.name) & (own["labels"] == "true")].iloc[0]
            assert dots(axes)[height] == own["median"]
            assert bars(axes)[height] == (own["low"], own["high"])


def test_map_of_instruments_holds_the_medians():
    scores = tracks()
    figure = by_instrument(summarize(scores, num_bootstrap=5), SYSTEMS)
    axes = figure.axes[0]
    true = scores[scores["labels"] == "true"]
    medians = true.pivot_table(index="system", columns="instrument", values="si_sdr_improvement", aggfunc="median")
    # In the taxonomy's order, flute before tuba.
    expected = medians.loc[[system.name for system in SYSTEMS], ["violin", "flute", "tuba"]].to_numpy()
    np.testing.assert_allclose(axes.images[0].get_array(), expected, atol=1e-12)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["violin (6)", "flute (2)", "tuba (4)"]
    written = np.array([float(text.get_text()) for text in axes.texts]).reshape(expected.shape)
    np.testing.assert_allclose(written, expected, atol=0.051)
    low, high = axes.images[0].get_clim()
    assert low == -high == -np.abs(expected).max()


def test_sources_of_labels_stand_beneath_each_other():
    summary = summarize(tracks(), num_bootstrap=50)
    axes = by_labels(summary, SYSTEMS).axes[0]
    assert row_names(axes) == ["NMF", "Network"]
    own = summary[summary["group"] == "all"].set_index(["system", "labels"])["median"]
    expected = [own["nmf", "true"], own["nmf", "detected"], own["net", "true"], own["net", "detected"]]
    assert [x for _, x in sorted(dots(axes).items())] == expected


def test_medians_that_are_infinite_are_said_not_drawn():
    scores = tracks()
    scores.loc[(scores["system"] == "net") & (scores["labels"] == "detected"), "si_sdr_improvement"] = -INF
    axes = by_labels(summarize(scores, num_bootstrap=5), SYSTEMS).axes[0]
    assert len(dots(axes)) == 3 and [text.get_text() for text in axes.texts] == ["← median -inf"]
    assert np.isfinite(axes.get_xlim()).all()


def test_figures_of_what_there_is():
    summary = summarize(tracks(), num_bootstrap=5)
    violins = segments({"net": np.arange(20.0)})
    titles = ["Scores of segments", "By number of sources", "By instrument", "By source of labels"]
    figures = evaluation_figures(summary, violins, SYSTEMS)
    assert [figure.title for figure in figures] == titles
    assert all(cv2.imdecode(np.frombuffer(f.png, np.uint8), 1).shape[1] > 700 and f.caption for f in figures)
    alone = summarize(tracks(labels=("true",)), num_bootstrap=5)
    assert [figure.title for figure in evaluation_figures(alone, violins[:0])] == titles[1:3]
    undefined = summarize(tracks().assign(si_sdr_improvement=NAN), num_bootstrap=5)
    assert evaluation_figures(undefined) == () and evaluation_figures(undefined[:0]) == ()


@pytest.mark.parametrize("draw", [by_num_sources, by_instrument, by_labels])
def test_nothing_to_draw_is_said(draw):
    figure = draw(summarize(tracks()[:0]))
    assert len(figure.texts) == 1 and figure.texts[0].get_text().startswith("No ")
    assert picture(figure).min() < 200


def test_kinds_differ_without_colour():
    looks = list(KIND_STYLES.values())
    assert len({look.marker for look in looks}) == len(looks)
    greys = [cv2.cvtColor(np.uint8([[_rgb(look.face)]]), cv2.COLOR_RGB2GRAY)[0, 0] for look in looks]
    for i, first in enumerate(looks):
        for k, second in enumerate(looks[:i]):
            same_fill = (first.hatch, first.outline) == (second.hatch, second.outline)
            assert not same_fill or abs(int(greys[i]) - int(greys[k])) > 60


def _rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_equal_figures_give_equal_bytes_and_leave_no_trace():
    before = dict(matplotlib.rcParams)
    summary = summarize(tracks(), num_bootstrap=5)
    assert figure_png(by_labels(summary, SYSTEMS)) == figure_png(by_labels(summary, SYSTEMS))
    assert dict(matplotlib.rcParams) == before


def test_any_name_can_be_drawn():
    names = ["$\\frac{a$ <b>", "ヴァイオリン 𝄞", "x" * 200, "two\nlines", ""]
    with style():
        figure = new_figure(4, 2)
        axes = figure.subplots()
        name_rows(axes, names)
    assert picture(figure).min() < 200
    assert row_names(axes) == ["$\\frac{a$ <b>", "ヴァイオリン 𝄞", shortened("x" * 200), "two lines", ""]
    assert shortened("x" * 200) == "x" * 29 + "…" and axes.get_ylim()[0] > axes.get_ylim()[1]
