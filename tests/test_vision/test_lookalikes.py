"""Sharing between lookalikes by hand and by what must not change."""

import numpy as np

from av_sep.instruments import URMP_13
from vision.lookalikes import LookalikePair, spread_lookalikes

PAIR = LookalikePair("violin", "viola", 1.5, 0.5)


class TestSpread:
    def test_by_hand(self):
        # Odds 0.4 / 0.4 = 1, times 1.5: three fifths of 0.8 are the violin's.
        spread = spread_lookalikes(np.array([[0.4, 0.4, 0.2]]), ("violin", "viola"), [PAIR])
        np.testing.assert_allclose(spread, [[0.48, 0.32, 0.2]])
        # Odds 0.64 / 0.16 = 4, to the power 0.5 are 2, times 1.5 are 3: a quarter of 0.8 is the viola's.
        spread = spread_lookalikes(np.array([[0.64, 0.16, 0.2]]), ("violin", "viola"), [PAIR])
        np.testing.assert_allclose(spread, [[0.64, 0.2, 0.2]])

    def test_what_is_usual_leads_with_what_the_other_had(self):
        # Odds 0.2 / 0.3, to the power 0.5 are 0.82, times 1.5 are 1.22.
        spread = spread_lookalikes(np.array([[0.2, 0.3, 0.5]]), ("violin", "viola"), [PAIR])
        np.testing.assert_allclose(spread, [[0.3, 0.5 / (1 + 1.5 * (2 / 3) ** 0.5), 0.5]])

    def test_the_surer_stays_as_sure_and_the_pair_loses_nothing(self):
        probabilities = np.random.default_rng(0).dirichlet(np.ones(14) / 4, 50)
        before = probabilities.copy()
        spread = spread_lookalikes(probabilities, URMP_13.names)
        np.testing.assert_array_equal(probabilities, before)
        assert (spread[:, :2].sum(axis=1) >= before[:, :2].sum(axis=1) - 1e-12).all()
        assert (spread[:, :2].max(axis=1) >= before[:, :2].max(axis=1)).all()
        assert (spread[:, :2] <= before[:, :2].sum(axis=1, keepdims=True) + 1e-12).all()
        np.testing.assert_array_equal(spread[:, 2:], before[:, 2:])
        assert np.abs(spread[:, :2] - before[:, :2]).max() > 0.05

    def test_full_trust_and_even_odds_change_nothing_and_no_trust_leaves_what_is_usual(self):
        given = np.array([[0.1, 0.5, 0.4]])
        names = ("viola", "violin")
        as_it_is, usual = LookalikePair("violin", "viola", 1.0, 1.0), LookalikePair("violin", "viola", 5.0, 0.0)
        np.testing.assert_allclose(spread_lookalikes(given, names, [as_it_is]), given)
        np.testing.assert_allclose(spread_lookalikes(given, names, [usual]), [[0.1, 0.5, 0.4]])
        even = LookalikePair("violin", "viola", 1.0, 0.0)
        np.testing.assert_allclose(spread_lookalikes(given[:, ::-1] * 0 + 0.3, names, [even]), [[0.3, 0.3, 0.3]])

    def test_of_an_even_pair_the_likelier_stays_the_likelier(self):
        pairs = [LookalikePair("cello", "double_bass", 1.0, 0.3)]
        spread = spread_lookalikes(np.array([[0.3, 0.5, 0.2], [0.5, 0.3, 0.2]]), ("cello", "double_bass"), pairs)
        assert 0.5 == spread[0, 1] > spread[0, 0] > 0.3 and 0.5 == spread[1, 0] > spread[1, 1] > 0.3

    def test_impossible_and_lone_instruments(self):
        nothing = np.array([[0.0, 0.0, 1.0]])
        np.testing.assert_array_equal(spread_lookalikes(nothing, ("violin", "viola")), nothing)
        one = np.array([[0.9, 0.05, 0.05]])
        np.testing.assert_array_equal(spread_lookalikes(one, ("violin", "oboe")), one)
        assert spread_lookalikes(np.zeros((0, 3)), ("violin", "viola")).shape == (0, 3)
