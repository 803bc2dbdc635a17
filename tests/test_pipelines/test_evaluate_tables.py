"""Medians, intervals and costs of evaluations against numbers worked out by hand, by SciPy and by the binomial law."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, bootstrap, median_abs_deviation

from av_sep.errors import ParameterError
from pipelines.evaluate.tables import (
    METRICS,
    SystemInfo,
    cell_text,
    headline,
    in_order,
    label_cost,
    main_labels,
    number_text,
    stem_counts,
    strict_json,
    summarize,
    write_tables,
)

NAN, INF = math.nan, math.inf


def stem(track, instrument, system="model", labels="true", status="present", num_sources=2, **scores):
    keys = {"track": track, "system": system, "labels": labels, "instrument": instrument}
    return {**keys, "num_sources": num_sources, "status": status, **scores}


def one_per_track(values, metric="si_sdr_improvement", **others):
    return pd.DataFrame([stem(f"t{i:03}", "violin", **{metric: value}, **others) for i, value in enumerate(values)])


def found(summary, metric, group="all", value="all", system="model", labels="true"):
    key = (summary["group"] == group) & (summary["value"] == value) & (summary["system"] == system)
    rows = summary[key & (summary["labels"] == labels) & (summary["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_statistics_worked_out_by_hand():
    rows = [
        stem("a", "violin", sdr_v4=1.0),
        stem("a", "cello", sdr_v4=2.0),
        stem("b", "violin", sdr_v4=4.0, num_sources=3),
        stem("b", "cello", sdr_v4=8.0, num_sources=3),
        stem("b", "flute", sdr_v4=NAN, num_sources=3),
    ]
    summary = summarize(pd.DataFrame(rows))
    whole = found(summary, "sdr_v4")
    # Of 1, 2, 4, 8: median 3; deviations 2, 1, 1, 5, whose median is 1.5.
    assert (whole["count"], whole["num_tracks"], whole["left_out"]) == (4, 2, 1)
    assert (whole["median"], whole["mad"], whole["mean"]) == (3.0, 1.5, 3.75)
    # Tracks aa, ab, ba or bb: medians 1.5, 3 and 6.
    assert (whole["low"], whole["high"]) == (1.5, 6.0)
    violin = found(summary, "sdr_v4", "instrument", "violin")
    assert (violin["median"], violin["mad"], violin["low"], violin["high"]) == (2.5, 1.5, 1.0, 4.0)
    trio = found(summary, "sdr_v4", "num_sources", "3")
    assert (trio["count"], trio["num_tracks"], trio["median"]) == (2, 1, 6.0)
    assert math.isnan(trio["low"]) and math.isnan(trio["high"])
    flute = found(summary, "sdr_v4", "instrument", "flute")
    assert (flute["count"], flute["left_out"]) == (0, 1) and math.isnan(flute["median"])


def test_median_and_deviation_against_scipy():
    values = np.random.default_rng(0).normal(3, 4, size=40)
    row = found(summarize(one_per_track(values), num_bootstrap=10), "si_sdr_improvement")
    assert row["median"] == pytest.approx(np.median(values), abs=1e-12)
    assert row["mad"] == pytest.approx(median_abs_deviation(values), abs=1e-12)


# Numbers of tracks for which no quantile falls so near a step that 20000 draws could miss it.
@pytest.mark.parametrize("num_tracks", [7, 13, 31])
def test_interval_follows_the_binomial_law(num_tracks):
    # Of n distinct values the drawn median is at most the k-th smallest iff more than half of n draws are.
    values = np.random.default_rng(1).permutation(num_tracks) * 1.0
    at_most = binom.sf(num_tracks // 2, num_tracks, np.arange(1, num_tracks + 1) / num_tracks)
    row = found(summarize(one_per_track(values), num_bootstrap=20000), "si_sdr_improvement")
    assert row["low"] == np.searchsorted(at_most, 0.025)
    assert row["high"] == np.searchsorted(at_most, 0.975)


def test_interval_against_scipy_for_any_number_of_values():
    values = np.random.default_rng(2).gumbel(2, 3, size=24)
    row = found(summarize(one_per_track(values), num_bootstrap=9999), "si_sdr_improvement")
    truth = bootstrap((values,), np.median, n_resamples=9999, method="percentile", rng=np.random.default_rng(3))
    spread = truth.confidence_interval.high - truth.confidence_interval.low
    assert row["low"] == pytest.approx(truth.confidence_interval.low, abs=0.1 * spread)
    assert row["high"] == pytest.approx(truth.confidence_interval.high, abs=0.1 * spread)


def test_tracks_are_drawn_not_stems():
    # Five stems of a track that are all alike know no more than one of them.
    values = np.random.default_rng(4).normal(size=12)
    copies = [one_per_track(values).assign(instrument=name) for name in ("violin", "viola", "cello", "flute", "oboe")]
    alone, together = summarize(copies[0]), summarize(pd.concat(copies))
    for bound in ("low", "high"):
        assert found(together, "si_sdr_improvement")[bound] == found(alone, "si_sdr_improvement")[bound]


def test_interval_of_unequal_tracks_against_a_loop():
    generator = np.random.default_rng(5)
    sizes = {"a": 1, "b": 4, "c": 2, "d": 3}
    names = ("violin", "viola", "cello", "flute")
    rows = [stem(t, names[i], sdr=generator.normal()) for t, size in sizes.items() for i in range(size)]
    tracks = pd.DataFrame(rows)
    row = found(summarize(tracks, num_bootstrap=4000), "sdr")
    own = [tracks.loc[tracks["track"] == name, "sdr"].to_numpy() for name in sizes]
    drawn = [np.median(np.concatenate([own[i] for i in generator.integers(0, 4, 4)])) for _ in range(4000)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert row["low"] == pytest.approx(low, abs=0.15) and row["high"] == pytest.approx(high, abs=0.15)


def test_infinities_keep_their_rank():
    row = found(summarize(one_per_track([-INF, 1.0, 2.0, 5.0, INF], "si_sdr")), "si_sdr")
    assert (row["count"], row["left_out"], row["median"], row["mad"]) == (5, 0, 2.0, 3.0)
    assert math.isnan(row["mean"])
    row = found(summarize(one_per_track([-INF, -INF, -INF, 2.0], "si_sdr")), "si_sdr")
    assert row["median"] == row["mean"] == row["low"] == -INF and math.isnan(row["mad"])
    assert found(summarize(one_per_track([-INF, 1.0, 2.0], "si_sdr")), "si_sdr")["mean"] == -INF


def test_gain_is_paired_with_the_mixture():
    rows = [
        stem("a", "violin", "mixture", sdr_v4=-3.0),
        stem("a", "cello", "mixture", sdr_v4=2.0),
        stem("a", "violin", sdr_v4=4.0),
        stem("a", "cello", sdr_v4=5.0),
        stem("b", "cello", sdr_v4=50.0),
    ]
    gain = found(summarize(pd.DataFrame(rows)), "sdr_v4_gain")
    assert (gain["count"], gain["left_out"], gain["median"]) == (2, 1, 5.0)
    assert found(summarize(pd.DataFrame(rows)), "sdr_v4_gain", system="mixture")["median"] == 0.0
    assert "sdr_v4_gain" not in set(summarize(pd.DataFrame(rows[2:]))["metric"])


def test_leaks_and_cost_are_counted_where_they_belong():
    rows = [
        stem("a", "violin", sdr=1.0, seconds_per_minute=10.0, leakage_db=NAN),
        stem("a", "cello", sdr=3.0, seconds_per_minute=10.0, leakage_db=NAN),
        stem("a", "oboe", status="leak", sdr=NAN, seconds_per_minute=10.0, leakage_db=30.0),
        stem("b", "violin", sdr=5.0, seconds_per_minute=40.0, leakage_db=NAN),
        stem("b", "tuba", status="missed", sdr=NAN, seconds_per_minute=40.0, leakage_db=NAN),
    ]
    summary = summarize(pd.DataFrame(rows))
    assert found(summary, "sdr")[["count", "left_out"]].tolist() == [3, 1]
    assert found(summary, "leakage_db")[["count", "left_out", "median"]].tolist() == [1, 0, 30.0]
    # Once per track, not once per stem, which would give 10.
    assert found(summary, "seconds_per_minute")[["count", "median"]].tolist() == [2, 25.0]
    assert "seconds_per_minute" not in set(summary.loc[summary["group"] == "instrument", "metric"])
    assert stem_counts(pd.DataFrame(rows)).to_dict("records") == [
        {"system": "model", "labels": "true", "present": 3, "missed": 1, "leaks": 1}
    ]


def test_label_cost_worked_out_by_hand():
    def gain(value, **others):
        return {"si_sdr_improvement": value, **others}

    rows = [
        stem("a", "violin", **gain(6.0)),
        stem("a", "cello", **gain(4.0)),
        stem("b", "violin", **gain(8.0)),
        stem("b", "tuba", **gain(NAN)),
        stem("c", "flute", **gain(9.0)),
        stem("a", "violin", labels="detected", **gain(5.0)),
        stem("a", "cello", labels="detected", **gain(-INF, status="missed")),
        stem("a", "oboe", labels="detected", **gain(NAN, status="leak")),
        stem("b", "violin", labels="detected", **gain(7.5)),
        stem("b", "tuba", labels="detected", **gain(1.0)),
        stem("a", "violin", "other", **gain(1.0)),
    ]
    cost = label_cost(pd.DataFrame(rows))
    assert cost["system"].tolist() == ["model"]
    row = cost.iloc[0]
    # Lost: 1 (violin), 4 (the missed cello, from 4 to 0), 0.5; the tuba is undefined, the flute has no partner.
    assert (row["count"], row["left_out"], row["missed"], row["leaks"]) == (3, 2, 1, 1)
    assert (row["median"], row["mad"], row["mean"]) == (1.0, 0.5, pytest.approx(5.5 / 3))
    assert (row["median_true"], row["median_detected"]) == (6.0, 5.0)
    # Draws: only a (2.5), a and b (1), only b (0.5).
    assert (row["low"], row["high"]) == (0.5, 2.5)


def test_labels_and_instruments_in_order():
    rows = [stem("a", "tuba", "x", labels) for labels in ("detected", "all")] + [stem("a", "violin", "y", "none")]
    assert main_labels(pd.DataFrame(rows)) == {"x": "all", "y": "none"}
    assert in_order(["zither", "tuba", "accordion", "violin", "tuba"]) == ["violin", "tuba", "accordion", "zither"]


def test_headline_has_the_summary_in_words():
    tracks = pd.concat([one_per_track([1.0, 2.0, 6.0]), one_per_track([0.0, 0.0, 0.0], system="mixture")])
    summary = summarize(tracks)
    table = headline(summary, "si_sdr_improvement", "sdr", systems=[SystemInfo("mixture", "floor", "Mixture")])
    assert table.columns.tolist() == ["system", "labels", "SI-SDR improvement (dB)"]
    assert table.to_numpy().tolist() == [
        ["Mixture", "true", "0.00 [0.00, 0.00]"],
        ["model", "true", "2.00 [1.00, 6.00]"],
    ]
    assert cell_text(-0.001) == "0.00" and cell_text(NAN, 1, 2) == "– [1.00, 2.00]" and number_text(-INF) == "-inf"


def test_rows_in_any_order_give_the_same_bytes(tmp_path):
    generator = np.random.default_rng(6)
    rows = [
        stem(f"t{t}", name, system, sdr=generator.normal() / 3, leakage_db=NAN, seconds_per_minute=-1e-9)
        for t in range(5)
        for name in ("violin", "cello")
        for system in ("a", "b")
    ]
    contents, summaries = [], []
    for number, order in enumerate((np.arange(20), generator.permutation(20))):
        tracks = pd.DataFrame([rows[i] for i in order])
        (tmp_path / str(number)).mkdir()
        tables = {"tracks": tracks, "segments_v4": tracks, "summary": summarize(tracks), "cost": label_cost(tracks)}
        summaries.append(tables["summary"])
        paths = write_tables(tmp_path / str(number), tables)
        contents.append({path.name: path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    # Not by rounding alone: sums are taken in one order.
    pd.testing.assert_frame_equal(*summaries, check_exact=True)
    assert "segments_v4.csv" in contents[0] and "segments_v4.json" not in contents[0]
    assert b"-0.000000" not in contents[0]["tracks.csv"] and b"\r" not in contents[0]["tracks.csv"]


def test_files_read_back_as_they_were(tmp_path):
    values = [1.25, NAN, INF, -INF, -7.000001]
    tracks = one_per_track(values, "si_sdr").assign(instrument='vio,"lin"<é>')
    csv, as_json = write_tables(tmp_path, {"tracks": tracks})
    np.testing.assert_array_equal(pd.read_csv(csv)["si_sdr"], values)
    assert pd.read_csv(csv)["instrument"].tolist() == tracks["instrument"].tolist()

    def refuse(token):
        raise AssertionError(token)

    rows = json.loads(as_json.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [row["si_sdr"] for row in rows] == [1.25, None, "inf", "-inf", -7.000001]
    assert [float("nan" if row["si_sdr"] is None else row["si_sdr"]) for row in rows][2:4] == [INF, -INF]
    assert rows[0]["num_sources"] == 2 and isinstance(rows[0]["num_sources"], int)
    assert json.loads(strict_json(tracks[:0])) == []


def test_no_rows_give_empty_tables(tmp_path):
    nothing = one_per_track([1.0])[:0]
    assert summarize(nothing).empty and label_cost(nothing).empty and stem_counts(nothing).empty
    assert label_cost(one_per_track([1.0], "sdr")).empty
    write_tables(tmp_path, {"summary": summarize(nothing)})
    assert (tmp_path / "summary.csv").read_text().startswith("group,value,system,labels,metric,count,")


def test_every_metric_is_explained():
    assert all(metric.title and metric.unit and metric.meaning.endswith(".") for metric in METRICS.values())
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


def test_what_cannot_be_summarized_is_refused():
    tracks = one_per_track([1.0, 2.0])
    with pytest.raises(ParameterError, match=r"need the columns instrument, status\. Received: \['track'"):
        summarize(tracks.drop(columns=["instrument", "status"]))
    with pytest.raises(ParameterError, match="one row per track.*Received: two for t000, model, true, violin"):
        summarize(pd.concat([tracks, tracks[:1]]))
    with pytest.raises(ParameterError, match="at least one bootstrap draw. Received: num_bootstrap=0"):
        summarize(tracks, num_bootstrap=0)
    with pytest.raises(ParameterError, match="floor, classic, model, oracle. Received: 'ceiling'"):
        SystemInfo("x", "ceiling", "X")
