"""What the vision stage is credited with: judgements kept and read back, tables and pictures of them."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from av_sep.datasets.annotations import BOX_COLUMNS
from av_sep.datasets.track import Part, Sound, Track
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13, Taxonomy
from av_sep.types import Detection, InstrumentLabels, MediaInfo
from pipelines.evaluate.vision_figures import (
    calibration_figure,
    confusion_figure,
    draw_calibration,
    draw_confusion,
    vision_figures,
)
from pipelines.evaluate.vision_tables import KnownBox, VideoJudgement, judge_video, known_boxes, vision_tables
from pipelines.look import Sighting

LEFT, MIDDLE, RIGHT = (10.0, 20.0, 50.0, 120.0), (110.0, 20.0, 150.0, 120.0), (210.0, 20.0, 250.0, 120.0)
SIZE = (320, 180)


def say(instruments, confidences=None, taxonomy=URMP_13):
    """Labels: these instruments, each as sure as said, or 0.8; everything else 0.1."""
    vector = np.full(len(taxonomy), 0.1, np.float32)
    for name, confidence in zip(instruments, confidences or [0.8] * len(instruments)):
        vector[taxonomy.index(name)] = confidence
    players = dict.fromkeys(instruments, 1)
    return InstrumentLabels(taxonomy.names, vector, tuple(instruments), players, 0.4, "detected")


def see(time_seconds, box, instrument, confidence=0.9, **kwargs):
    return Detection(time_seconds, box, instrument, confidence, (0.05,) * 13, **{"player_confidence": 0.7, **kwargs})


def know(time_seconds, box, instrument, player="1"):
    return KnownBox(time_seconds, player, instrument, box)


def judge(track="01", true=("violin",), said=("violin",), detections=(), boxes=None, num_video_frames=3, fps=1.0):
    return VideoJudgement(track, true, say(said), tuple(detections), boxes, SIZE, num_video_frames, fps)


def row(table, name):
    """The row whose first column says `name`."""
    return table[table.iloc[:, 0] == name].iloc[0]


def measure(tables, name):
    return row(tables.measures, name)["value"]


# Four films. The truth of instruments is scored by scikit-learn, of families worked by hand.
FILMS = (
    judge("01", ("violin", "cello"), ("violin", "cello")),
    judge("02", ("viola", "cello"), ("violin", "cello")),
    judge("03", ("violin", "flute"), ("flute", "tuba", "horn")),
    judge("04", ("oboe",), ()),
)


def test_instruments_are_scored_as_scikit_learn_scores_them():
    tables = vision_tables(FILMS, URMP_13)
    true, said = (
        np.array([[name in names for name in URMP_13.names] for names in films])
        for films in ([film.true for film in FILMS], [film.labels.instruments for film in FILMS])
    )
    expected = precision_recall_fscore_support(true, said, zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected):
        np.testing.assert_allclose(tables.by_instrument[name], values, err_msg=name)
    for average in ("micro", "macro", "samples"):
        expected = precision_recall_fscore_support(true, said, average=average, zero_division=np.nan)[:3]
        np.testing.assert_allclose(row(tables.overall, average).iloc[1:].astype(float), expected, err_msg=average)
    assert tuple(tables.by_instrument["instrument"]) == URMP_13.names
    assert measure(tables, "num_videos") == 4 and measure(tables, "exact_match_share") == 0.25


def test_families_worked_by_hand():
    families = vision_tables(FILMS, URMP_13).by_family
    assert families["section"].tolist() == ["violin family", "low strings", "woodwinds", "brass"]
    # Film 2 takes the viola for a violin, which is no error of the family; film 3 misses the violin.
    assert families["true_positives"].tolist() == [2, 2, 1, 0]
    assert families["false_positives"].tolist() == [0, 0, 0, 1]
    assert families["false_negatives"].tolist() == [1, 0, 1, 0]
    assert families["recall"].fillna(-1).tolist() == pytest.approx([2 / 3, 1, 1 / 2, -1])


def test_confusion_of_labels_worked_by_hand():
    confusion = vision_tables(FILMS, URMP_13).confusion.set_index("true")
    assert confusion.loc["viola", "violin"] == 1 and confusion.loc["cello", "cello"] == 2
    assert confusion.loc["violin", "tuba"] == confusion.loc["violin", "horn"] == 0.5
    assert confusion.loc["none", "tuba"] == confusion.loc["none", "horn"] == 0.5
    assert confusion.loc["oboe", "none"] == 1 and confusion.to_numpy().sum() == 8
    assert tuple(confusion.columns) == tuple(confusion.index) == (*URMP_13.names, "none")


def test_confidences_are_the_label_vector_s():
    films = [judge("01", ("violin",), ("violin",)), judge("02", ("cello",), ("violin",))]
    tables = vision_tables(films, URMP_13)
    # 0.8 for a violin, right once of twice; 0.1 for everything else: 24 statements, one of them true.
    filled = tables.calibration[tables.calibration["count"] > 0]
    assert filled["count"].tolist() == [24, 2]
    assert filled["mean_confidence"].tolist() == pytest.approx([0.1, 0.8])
    assert filled["share_true"].tolist() == pytest.approx([1 / 24, 1 / 2])
    error = (24 * (0.1 - 1 / 24) + 2 * 0.3) / 26
    assert measure(tables, "expected_calibration_error") == pytest.approx(error)
    brier = (0.2**2 + 0.8**2 + 0.9**2 + 23 * 0.1**2) / 26
    assert measure(tables, "brier_score") == pytest.approx(brier)
    assert row(tables.by_instrument, "violin")["brier_score"] == pytest.approx((0.2**2 + 0.8**2) / 2)


def test_where_no_boxes_are_known_nothing_is_said_of_boxes():
    tables = vision_tables(FILMS, URMP_13)
    assert len(tables.average_precision) == len(tables.player_confusion) == 0
    assert not tables.measures["measure"].str.contains("player|average_precision").any()
    names = {"by_instrument", "by_family", "overall", "measures", "confusion", "calibration"}
    assert set(tables.named()) == {f"vision_{name}" for name in names}


def test_players_of_one_instrument_are_two_players():
    boxes = (know(0.0, LEFT, "violin"), know(0.0, MIDDLE, "violin", "2"))
    both = [see(0.0, LEFT, "violin", 0.6), see(0.0, MIDDLE, "violin", 0.9)]
    right = vision_tables([judge(detections=both, boxes=boxes)], URMP_13)
    assert row(right.average_precision, "violin")["average_precision"] == 1.0
    assert row(right.player_confusion, "violin")["violin"] == 2
    twice = [see(0.0, LEFT, "violin", 0.6), see(0.0, LEFT, "violin", 0.9)]
    half = vision_tables([judge(detections=twice, boxes=boxes)], URMP_13)
    scores = row(half.average_precision, "violin")
    assert (scores["num_known"], scores["num_detected"], scores["num_hits"]) == (2, 2, 1)
    # Precision 1 up to recall 1/2, 51 of the 101 recalls.
    assert scores["average_precision"] == pytest.approx(51 / 101) and scores["recall"] == 0.5
    assert row(half.player_confusion, "none")["violin"] == 1 and row(half.player_confusion, "violin")["none"] == 1


def test_player_of_something_else_is_found_but_not_named():
    boxes = (know(0.0, LEFT, "violin"), know(0.0, MIDDLE, "cello"), know(0.0, RIGHT, "horn"))
    seen = [see(0.0, LEFT, "other"), see(0.0, MIDDLE, "cello")]
    tables = vision_tables([judge(detections=seen, boxes=boxes)], URMP_13)
    confusion = tables.player_confusion.set_index("true")
    assert confusion.loc["violin", "unlisted"] == confusion.loc["cello", "cello"] == confusion.loc["horn", "none"] == 1
    assert confusion.to_numpy().sum() == 3
    assert row(tables.average_precision, "violin")["num_detected"] == 0
    assert measure(tables, "player_recall") == pytest.approx(2 / 3)
    assert measure(tables, "player_precision") == 1.0
    assert measure(tables, "mean_average_precision") == pytest.approx(1 / 3)


def test_players_are_ranked_by_how_sure_their_boxes_are():
    boxes = (know(0.0, LEFT, "violin"),)
    seen = [
        see(0.0, RIGHT, "violin", confidence=0.9, player_confidence=0.2),
        see(0.0, LEFT, "violin", confidence=0.1, player_confidence=0.8),
    ]
    tables = vision_tables([judge(detections=seen, boxes=boxes)], URMP_13)
    assert measure(tables, "player_average_precision") == 1.0
    assert row(tables.average_precision, "violin")["average_precision"] == pytest.approx(0.5)


def test_whole_pictures_are_no_boxes_and_instruments_alone_no_players():
    boxes = (know(0.0, (0.0, 0.0, 320.0, 180.0), "violin"),)
    whole = see(0.0, (0.0, 0.0, 320.0, 180.0), "violin", whole_frame=True)
    alone = see(0.0, RIGHT, "violin", player_confidence=0.0)
    tables = vision_tables([judge(detections=[whole, alone], boxes=boxes)], URMP_13)
    scores = row(tables.average_precision, "violin")
    assert (scores["num_detected"], scores["num_hits"]) == (1, 0)
    assert row(tables.player_confusion, "violin")["none"] == 1 and row(tables.player_confusion, "none")["violin"] == 1
    assert measure(tables, "player_recall") == 0.0 and np.isnan(measure(tables, "player_precision"))


@pytest.mark.parametrize(
    ("fps", "instants", "judged"),
    (
        (1.0, (0.0, 1.0, 2.0), {0: 0, 1: 1, 2: 2}),
        # The nearest instant, at most half a second away; one right between two pictures judges the later one.
        (1.0, (0.4, 0.6, 1.3), {0: 0, 1: 2}),
        (1.0, (0.5,), {1: 0}),
        (4.0, (0.0, 0.2, 0.7), {0: 0, 1: 1}),
        # Slow looking does not make far instants near.
        (0.25, (1.0, 4.4, 7.4), {1: 1}),
    ),
)
def test_pictures_are_judged_by_the_nearest_instant(fps, instants, judged):
    """Each instant has its box in a place of its own, and every picture sees a violin in every place."""
    places = (LEFT, MIDDLE, RIGHT)
    boxes = tuple(know(instant, place, "violin") for instant, place in zip(instants, places))
    for number in range(3):
        for place in range(3):
            seen = [see(number / fps, places[place], "violin")]
            tables = vision_tables([judge(detections=seen, boxes=boxes, fps=fps)], URMP_13)
            scores = row(tables.average_precision, "violin")
            assert scores["num_known"] == len(judged)
            assert scores["num_detected"] == (number in judged)
            assert scores["num_hits"] == (judged.get(number) == place)


def test_picture_in_which_nothing_was_seen_counts_as_missed():
    boxes = tuple(know(float(second), LEFT, "violin") for second in range(3))
    tables = vision_tables([judge(detections=[see(1.0, LEFT, "violin")], boxes=boxes)], URMP_13)
    assert row(tables.average_precision, "violin")["recall"] == pytest.approx(1 / 3)
    assert measure(tables, "num_frames_with_known_boxes") == 3


def test_order_of_films_changes_nothing():
    rng = np.random.default_rng(6)
    films = [
        judge(
            str(film),
            detections=[see(time, (x, 20.0, x + 40.0, 120.0), "violin", 0.5) for time in (0.0, 1.0) for x in x_left],
            boxes=tuple(know(second, LEFT, "violin") for second in (0.0, 1.0, 2.0)),
        )
        for film, x_left in enumerate(rng.uniform(0, 30, (6, 3)))
    ]
    there, back = vision_tables(films, URMP_13), vision_tables(films[::-1], URMP_13)
    for name, table in there.named().items():
        pd.testing.assert_frame_equal(table, back.named()[name])
    assert 0 < row(there.average_precision, "violin")["average_precision"] < 1


def test_detector_of_few_instruments_misses_the_others():
    few = Taxonomy("few", [URMP_13.instruments[i] for i in (9, 0)])
    film = replace(judge(true=("violin", "cello")), labels=say(("violin",), taxonomy=few))
    tables = vision_tables([film], URMP_13)
    assert row(tables.by_instrument, "violin")["true_positives"] == 1
    assert row(tables.by_instrument, "cello")["false_negatives"] == 1
    # Violin at 0.8, trumpet at 0.1, everything else not at all.
    assert row(tables.by_instrument, "trumpet")["brier_score"] == pytest.approx(0.01)
    assert row(tables.by_instrument, "cello")["brier_score"] == 1.0
    assert row(tables.by_instrument, "tuba")["brier_score"] == 0.0


def test_films_that_cannot_be_judged_are_refused():
    with pytest.raises(ParameterError, match="judgements of one or more films, one for each. Received: none"):
        vision_tables([], URMP_13)
    with pytest.raises(ParameterError, match="one for each. Received: 01"):
        vision_tables([FILMS[0], FILMS[0]], URMP_13)
    for film, culprit in (
        (judge(true=("violin", "kazoo")), "kazoo"),
        (judge(boxes=(know(0.0, LEFT, "vn"),)), "vn"),
        (replace(judge(), labels=say(("drums",), taxonomy=MUSDB_4)), "bass, drums, other, vocals"),
    ):
        with pytest.raises(ParameterError, match=rf"instruments of urmp13 \(violin, .*\). Received: {culprit} in 01$"):
            vision_tables([film], URMP_13)


@pytest.fixture
def filmed_track(tmp_path):
    """A track whose film is 640 pixels wide and 480 high, with the known boxes of two players at two instants."""
    rows = [
        (0.0, 1, "violin", 20, 53, 100, 320),
        (0.0, 2, "cello", 220, 53, 300, 320),
        (0.5, 1, "violin", 22, 53, 102, 320),
        (0.5, 2, "cello", 218, 53, 298, 320),
    ]
    boxes = tmp_path / "Boxes.csv"
    pd.DataFrame(rows, columns=list(BOX_COLUMNS)).to_csv(boxes, index=False)
    parts = tuple(Part(name, Sound(tmp_path / f"{name}.wav")) for name in ("violin", "cello"))
    return Track("01_Duet", "Duet", parts, video=tmp_path / "film.mp4", boxes=boxes)


def sight(detections, size=SIZE):
    return Sighting(say(("violin", "cello")), tuple(detections), (), 2, size)


def test_known_boxes_are_brought_to_the_size_looked_at(filmed_track):
    info = MediaInfo(filmed_track.video, 1.0, width=640, height=480)
    seen = [see(time, box, name) for time in (0.0, 0.5) for box, name in ((LEFT, "violin"), (MIDDLE, "cello"))]
    judgement = judge_video(filmed_track, ("violin", "cello"), info, sight(seen), 2.0)
    assert judgement.boxes[0] == KnownBox(0.0, "1", "violin", (10.0, 53 * 0.375, 50.0, 120.0))
    assert (judgement.track, judgement.true) == ("01_Duet", ("violin", "cello"))
    tables = vision_tables([judgement], URMP_13)
    assert measure(tables, "mean_average_precision") == measure(tables, "player_average_precision") == 1.0
    unscaled = replace(judgement, boxes=known_boxes(pd.read_csv(filmed_track.boxes)))
    assert measure(vision_tables([unscaled], URMP_13), "player_recall") == 0.0


def test_boxes_are_left_out_where_unknown_or_not_comparable(filmed_track, tmp_path):
    info = MediaInfo(filmed_track.video, 1.0, width=640, height=480)
    unknown = replace(filmed_track, boxes=None)
    assert judge_video(unknown, ("violin",), info, sight([]), 2.0).boxes is None
    assert judge_video(filmed_track, ("violin",), info, sight([]), 2.0, compare_boxes=False).boxes is None
    damaged = replace(filmed_track, boxes=tmp_path / "no.csv")
    with pytest.raises(MediaError, match="no.csv"):
        judge_video(damaged, ("violin",), info, sight([]), 2.0)


def test_judgement_is_read_back_as_it_was():
    rng = np.random.default_rng(1)
    detections = [
        Detection(k / 3, tuple(rng.uniform(0, 300, 4).tolist()), name, rng.random(), tuple(rng.random(13).tolist()))
        for k, name in enumerate(("violin", "other", "tuba"))
    ]
    film = judge(detections=detections, boxes=(know(1 / 3, LEFT, "violin", "Anna"),), fps=1 / 3)
    film.labels.label_vector[:] = rng.random(13)
    back = VideoJudgement.from_json(json.loads(json.dumps(film.to_json())))
    assert replace(back, labels=film.labels).to_json() == film.to_json()
    assert back.detections == film.detections and back.boxes == film.boxes
    assert (back.track, back.true, back.size) == (film.track, film.true, film.size)
    assert (back.num_video_frames, back.frames_per_second) == (film.num_video_frames, film.frames_per_second)
    np.testing.assert_array_equal(back.labels.label_vector, film.labels.label_vector)
    assert back.labels.label_vector.dtype == np.float32
    assert {**vars(back.labels), "label_vector": None} == {**vars(film.labels), "label_vector": None}
    assert VideoJudgement.from_json(json.loads(json.dumps(judge().to_json()))).boxes is None


@pytest.mark.parametrize("spoil", ("track", "labels", "detections", "size"))
def test_spoilt_judgement_is_refused(spoil):
    content = judge(detections=[see(0.0, LEFT, "violin")]).to_json()
    for spoilt in ({k: v for k, v in content.items() if k != spoil}, {**content, spoil: [{"what": 1}]}):
        if spoil in ("track", "size") and spoil in spoilt:
            continue
        with pytest.raises(ParameterError, match="judgement of a film as it was kept. Received: [AKT][a-z]+Error: "):
            VideoJudgement.from_json(spoilt)


@pytest.fixture(scope="module")
def tables():
    boxes = (know(0.0, LEFT, "violin"), know(0.0, MIDDLE, "cello"), know(0.0, RIGHT, "horn"))
    seen = [see(0.0, LEFT, "violin"), see(0.0, MIDDLE, "double_bass"), see(0.0, (60, 20, 99, 80), "tuba")]
    return vision_tables([*FILMS, judge("05", ("violin",), (), detections=seen, boxes=boxes)], URMP_13)


def cell_texts(figure):
    """(true, detected) -> what stands in the cell."""
    axes = figure.axes[0]
    rows = [label.get_text().rpartition(" ")[0] for label in axes.get_yticklabels()]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    places = ((text.get_position(), text.get_text()) for text in axes.texts)
    return {(rows[int(y)], columns[int(x)]): text for (x, y), text in places}


def test_confusions_are_drawn_where_they_belong(tables):
    assert cell_texts(draw_confusion(tables.confusion)) == {
        ("violin", "violin"): "1",
        ("violin", "tuba"): "0.5",
        ("violin", "horn"): "0.5",
        ("violin", "none"): "1",
        ("viola", "violin"): "1",
        ("cello", "cello"): "2",
        ("flute", "flute"): "1",
        ("oboe", "none"): "1",
        ("none", "tuba"): "0.5",
        ("none", "horn"): "0.5",
    }
    assert cell_texts(draw_confusion(tables.player_confusion)) == {
        ("violin", "violin"): "1",
        ("cello", "double bass"): "1",
        ("horn", "none"): "1",
        ("none", "tuba"): "1",
    }


def test_rows_of_a_confusion_are_coloured_by_their_share(tables):
    image = draw_confusion(tables.confusion).axes[0].images[0].get_array()
    violin = URMP_13.index("violin")
    assert image[violin, violin] == pytest.approx(1 / 3) and image[violin, -1] == pytest.approx(1 / 3)
    assert image.mask[violin, 1] and image.mask[-1].all()
    counts = [label.get_text() for label in draw_confusion(tables.confusion).axes[0].get_yticklabels()]
    assert counts[:3] == ["violin (3)", "viola (1)", "cello (2)"] and counts[-1] == "none (1)"


def test_calibration_curve_is_the_table_s(tables):
    curve, histogram = draw_calibration(tables).axes
    filled = tables.calibration[tables.calibration["count"] > 0]
    np.testing.assert_allclose(curve.lines[1].get_xydata(), filled[["mean_confidence", "share_true"]])
    assert [bar.get_height() for bar in histogram.patches] == filled["count"].tolist()
    assert [bar.get_x() for bar in histogram.patches] == pytest.approx(filled["low"].tolist())
    assert f"{measure(tables, 'brier_score'):.3f}" in curve.get_title(loc="left")


def test_figures_are_pictures_and_always_the_same(tables):
    figures = vision_figures(tables)
    pictures = confusion_figure(tables), confusion_figure(tables, "players"), calibration_figure(tables)
    assert tuple(figure.png for figure in figures) == pictures and len(set(pictures)) == 3
    for figure in figures:
        picture = cv2.imdecode(np.frombuffer(figure.png, np.uint8), cv2.IMREAD_COLOR)
        assert min(picture.shape[:2]) > 500 and picture.std() > 10 and (picture[0] == 255).all()
        assert figure.title and figure.caption
    assert [figure.png for figure in vision_figures(replace(tables, player_confusion=pd.DataFrame()))] == [
        pictures[0],
        pictures[2],
    ]


def test_confusion_of_what_is_not_known_is_refused(tables):
    with pytest.raises(ParameterError, match="'labels', or 'players' where boxes are known. Received: 'families'"):
        confusion_figure(tables, "families")
    with pytest.raises(ParameterError, match="Received: 'players'"):
        confusion_figure(vision_tables(FILMS, URMP_13), "players")
