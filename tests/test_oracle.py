"""The oracle itself, against numbers worked by hand, closed forms and other people's code."""

import itertools
import math

import networkx as nx
import numpy as np
import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from influence_model.learning import learn_state_transition_matrix
from runs import event

ACTIVE = arrays(
    np.int8, st.tuples(st.integers(1, 4), st.integers(0, 12)), elements=st.integers(0, 1)
)


@st.composite
def margins_of_a_table(draw):
    """n11, a, b, K of any 2 x 2 table with at least one transition."""
    cells = st.integers(0, 12)
    n00, n01, n10, n11 = draw(st.tuples(cells, cells, cells, cells).filter(any))
    return n11, n10 + n11, n01 + n11, n00 + n01 + n10 + n11


KINDS = ["hashtag", "url"]
ONE = (st.integers(0, 3), st.integers(-8, 8), st.integers(0, 2), st.sampled_from(KINDS))
SOME_EVENTS = st.lists(st.builds(event, *ONE), max_size=25)


def use(account, entity, *bins, kind="url", width=1):
    """Return events of an account, each at the beginning of a bin."""
    return [event(account, width * k, entity, kind) for k in bins]


# ------------------------------------------------------------------ transition_counts, _matrices

# k            0 1 2 3 4 5
FOLLOWED = [[1, 1, 0, 1, 0, 0],  # account 0 leads
            [0, 1, 1, 0, 1, 0]]  # account 1 does the same one bin later  # fmt: skip


def test_transition_counts__hand_worked():
    counts = oracle.transition_counts(FOLLOWED)
    # 0 -> 1: states of 0 at k = 0..4 are 1 1 0 1 0, of 1 at k = 1..5 the same: 2 x (0,0), 3 x (1,1)
    assert counts[0, 1].tolist() == [[2, 0], [0, 3]]
    # 1 -> 0: 0 1 1 0 1 then 1 0 1 0 0: (0,1) (1,0) (1,1) (0,0) (1,0)
    assert counts[1, 0].tolist() == [[1, 1], [2, 1]]
    # 0 -> 0: 1 1 0 1 0 then 1 0 1 0 0: (1,1) (1,0) (0,1) (1,0) (0,0)
    assert counts[0, 0].tolist() == [[1, 1], [2, 1]]


def test_transition_counts__hand_worked_lags():
    # Lag 2, 0 -> 1: 1 1 0 1 then 1 0 1 0: (1,1) (1,0) (0,1) (1,0)
    assert oracle.transition_counts(FOLLOWED, lag=2)[0, 1].tolist() == [[0, 1], [2, 1]]
    # Lag 0, 0 -> 1: 1 1 0 1 0 0 with 0 1 1 0 1 0: (1,0) (1,1) (0,1) (1,0) (0,1) (0,0)
    assert oracle.transition_counts(FOLLOWED, lag=0)[0, 1].tolist() == [[1, 2], [2, 1]]


@given(active=ACTIVE, lag=st.integers(0, 14))
def test_transition_counts__sum_to_the_transitions(active, lag):
    counts = oracle.transition_counts(active, lag)
    assert (counts.sum(axis=(2, 3)) == max(active.shape[1] - lag, 0)).all()


@given(active=ACTIVE, lag=st.integers(0, 4))
def test_transition_counts__time_reversed_swaps_source_and_target(active, lag):
    forwards = oracle.transition_counts(active, lag)
    backwards = oracle.transition_counts(active[:, ::-1], lag)
    np.testing.assert_array_equal(forwards, backwards.transpose(1, 0, 3, 2))


@pytest.mark.parametrize("active", [[0, 1], [[0, 2]], [[0.5, 1]], [[math.nan, 1]]])
def test_transition_counts__refuses_what_is_not_0_or_1(active):
    with pytest.raises(ValueError, match="0/1"):
        oracle.transition_counts(active)


@pytest.mark.parametrize("lag", [-1, 0.5])
def test_transition_counts__refuses_a_lag(lag):
    with pytest.raises(ValueError, match="lag="):
        oracle.transition_counts([[0, 1]], lag)


def test_transition_matrices__hand_worked():
    matrices = oracle.transition_matrices(FOLLOWED)
    assert matrices[0, 1].tolist() == [[1, 0], [0, 1]]
    assert matrices[1, 0].tolist() == [[1 / 2, 1 / 2], [2 / 3, 1 / 3]]


def test_transition_matrices__nan_rows_where_the_source_state_never_was():
    matrices = oracle.transition_matrices([[0, 0, 0], [1, 1, 1], [0, 1, 1]])
    np.testing.assert_array_equal(matrices[0, 2], [[0, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(matrices[1, 2], [[np.nan, np.nan], [0, 1]])
    assert not np.isnan(matrices[2]).any()  # silent in bin 0, active in bin 1: both rows defined
    assert np.isnan(oracle.transition_matrices([[1], [0]])).all()  # without a transition


@given(active=ACTIVE)
def test_transition_matrices__equal_the_published_package_where_defined(active):
    matrices = oracle.transition_matrices(active)
    for source, target in np.ndindex(matrices.shape[:2]):
        published = learn_state_transition_matrix(active[source], active[target], 2, 2)
        # The package fills a row that is 0/0 with zeros.
        np.testing.assert_array_equal(np.nan_to_num(matrices[source, target]), published)
        undefined = np.isnan(matrices[source, target]).any(axis=1)
        np.testing.assert_array_equal(undefined, published.sum(axis=1) == 0)


# --------------------------------------------------------------------------------------- activity


@pytest.mark.parametrize(
    ("time_seconds", "bin_seconds", "expected"),
    [
        *((0, 3600, 0), (3599.999, 3600, 0), (3600, 3600, 1)),
        *((-0.001, 3600, -1), (-3600, 3600, -1), (-3600.001, 3600, -2)),
        (0.3, 0.1, 3),  # 0.3 // 0.1 is 2.0 in floating point
        (1_600_000_000_123 / 1000, 0.001, 1_600_000_000_123),
    ],
)
def test_bin_of__floors_at_the_millisecond(time_seconds, bin_seconds, expected):
    assert oracle.bin_of(time_seconds, bin_seconds) == expected


@pytest.mark.parametrize("bin_seconds", [0, -1])
def test_bin_of__refuses_a_width(bin_seconds):
    with pytest.raises(ValueError, match="must be positive"):
        oracle.bin_of(0, bin_seconds)


def test_activity__hand_worked():
    events = [
        event("x", -1, "u", "url"),  # bin -1
        event("x", -10, "u", "url"),  # bin -1 again: 10 seconds wide, so -10 is still in it
        event("y", 25, "u", "url"),  # bin 2
        event("y", 9.999, "u", "hashtag"),  # same value, another kind; bin 0
        event("z", 990, "m", "mention"),  # not asked for: neither listed nor in the span
    ]
    first_bin, n_bins, active = oracle.activity(events, 10, ["url", "hashtag"])
    assert (first_bin, n_bins) == (-1, 4)
    assert active == {("url", "u"): {"x": {-1}, "y": {2}}, ("hashtag", "u"): {"y": {0}}}


def test_activity__of_nothing_and_of_kinds_as_one_text():
    assert oracle.activity([], 10, ["url"]) == (None, 0, {})
    with pytest.raises(ValueError, match="list of kinds"):
        oracle.activity([], 10, "url")


@given(active=ACTIVE.filter(lambda active: active.size), lag=st.integers(0, 14))
def test_margins__are_those_of_the_transition_counts(active, lag):
    counts = oracle.transition_counts(active, lag)
    bins = [set((np.flatnonzero(row) - 3).tolist()) for row in active]
    for source, target in np.ndindex(counts.shape[:2]):
        (_, n01), (n10, n11) = counts[source, target].tolist()
        found = oracle.margins(
            bins[source], bins[target], first_bin=-3, n_bins=active.shape[1], lag=lag
        )
        assert found == (n11, n10 + n11, n01 + n11, max(active.shape[1] - lag, 0))


# ---------------------------------------------------------------------------------- entity_weight


@pytest.mark.parametrize(
    ("margins", "trace", "frobenius"),
    [
        ((3, 3, 3, 5), 1, 1),  # perfect follower: A = I
        ((0, 2, 3, 5), -1, -1),  # perfect opposite: A - I = [[-1, 1], [1, -1]], norm 2
        ((1, 3, 3, 9), 0, 1 - math.sqrt(10) / 3),  # P11 = 1/3 = P01 = 2/6: norm^2 = 2(4 + 1)/9
        ((1, 2, 2, 4), 0, 0),  # P11 = P01 = 1/2: norm^2 = 2(1/4 + 1/4)
        ((1, 3, 2, 5), -1 / 6, 1 - math.sqrt(2 * (4 / 9 + 1 / 4))),  # FOLLOWED, 1 -> 0
        ((2, 4, 3, 10), 1 / 3, 1 - math.sqrt(2 * (1 / 4 + 1 / 36))),  # 1/2 - 1/6
        ((0, 2, 0, 5), 0, 1 - math.sqrt(2)),  # target never active: defined
        ((2, 2, 5, 5), 0, 1 - math.sqrt(2)),  # target always active: defined
    ],
)
@pytest.mark.parametrize("undefined", ["marginal", "zero"])
def test_entity_weight__hand_worked(margins, trace, frobenius, undefined):
    found = [
        oracle.entity_weight(*margins, measure=measure, undefined=undefined)
        for measure in ("trace", "frobenius")
    ]
    assert found[0] == trace  # exact, 0 included
    assert found[1] == pytest.approx(frobenius, abs=1e-15)


@pytest.mark.parametrize(
    ("margins", "trace", "frobenius"),
    [
        # a = 0, p = 2/5: A = [[3/5, 2/5], [0, 0]], A - I = [[-2/5, 2/5], [0, -1]]
        ((0, 0, 2, 5), -2 / 5, 1 - math.sqrt(4 / 25 + 4 / 25 + 1)),
        # a = K, p = 2/5: A = [[0, 0], [3/5, 2/5]], A - I = [[-1, 0], [3/5, -3/5]]
        ((2, 5, 2, 5), 2 / 5 - 1, 1 - math.sqrt(1 + 9 / 25 + 9 / 25)),
        ((0, 0, 0, 5), 0, 0),  # A = [[1, 0], [0, 0]]
        ((0, 0, 5, 5), -1, 1 - math.sqrt(3)),  # A = [[0, 1], [0, 0]]
        ((0, 5, 0, 5), -1, 1 - math.sqrt(3)),  # A = [[0, 0], [1, 0]]
        ((5, 5, 5, 5), 0, 0),  # A = [[0, 0], [0, 1]]
    ],
)
def test_entity_weight__undefined_rows(margins, trace, frobenius):
    for measure, expected in (("trace", trace), ("frobenius", frobenius)):
        zero = oracle.entity_weight(*margins, measure=measure, undefined="zero")
        assert zero == pytest.approx(expected, abs=1e-15)
        assert oracle.entity_weight(*margins, measure=measure, undefined="marginal") == 0
        assert oracle.entity_weight(*margins, measure=measure, undefined="skip") is None


def test_entity_weight__skip_leaves_out_a_target_that_never_was_active():
    assert oracle.entity_weight(0, 2, 0, 5, undefined="skip") is None
    assert oracle.entity_weight(2, 2, 5, 5, undefined="skip") == 0  # always active: counted


@pytest.mark.parametrize("measure", oracle.MEASURES)
@pytest.mark.parametrize("undefined", ["marginal", "zero"])
@pytest.mark.parametrize("shrink", [0, 1])
def test_entity_weight__is_0_without_a_transition(measure, undefined, shrink):
    options = {"measure": measure, "undefined": undefined, "shrink": shrink}
    assert oracle.entity_weight(0, 0, 0, 0, **options) == 0


@given(margins=margins_of_a_table())
def test_entity_weight__trace_is_the_second_eigenvalue(margins):
    n11, a, b, K = margins
    assume(0 < a < K)
    matrix = np.array([[K - a - b + n11, b - n11], [a - n11, n11]]) / [[K - a], [a]]
    eigenvalues = sorted(np.linalg.eigvals(matrix).real)
    assert sum(eigenvalues) == pytest.approx(1 + oracle.entity_weight(*margins), abs=1e-7)
    # A double eigenvalue (A = I) is found to about the square root of the precision.
    assert eigenvalues == pytest.approx([oracle.entity_weight(*margins), 1], abs=1e-7)


@given(margins=margins_of_a_table())
def test_entity_weight__trace_has_the_sign_of_the_covariance(margins):
    n11, a, b, K = margins
    assert np.sign(oracle.entity_weight(*margins)) == np.sign(n11 * K - a * b)


@given(margins=margins_of_a_table())
def test_entity_weight__frobenius_is_the_norm_numpy_takes(margins):
    n11, a, b, K = margins
    counts = np.array([[K - a - b + n11, b - n11], [a - n11, n11]], dtype=float)
    matrix = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # a row 0/0 is (0, 0)
    expected = 1 - np.linalg.norm(matrix - np.eye(2))
    found = oracle.entity_weight(*margins, measure="frobenius", undefined="zero")
    assert found == pytest.approx(expected, abs=1e-12)


@given(margins=margins_of_a_table())
def test_entity_weight__frobenius_is_never_above_trace(margins):
    # sqrt(2 (x^2 + y^2)) >= x + y
    frobenius = oracle.entity_weight(*margins, measure="frobenius")
    assert frobenius <= oracle.entity_weight(*margins) + 1e-12


@given(margins=margins_of_a_table(), shrink=st.sampled_from([0.25, 1, 10]))
def test_entity_weight__shrunk_trace_is_the_linear_form_in_n11_and_b(margins, shrink):
    n11, a, b, K = margins
    silent, active = 1 / (K - a + shrink), 1 / (a + shrink)
    expected = (active + silent) * n11 - (silent + shrink / K * (silent - active)) * b
    assert oracle.entity_weight(*margins, shrink=shrink) == pytest.approx(expected, abs=1e-12)


@given(margins=margins_of_a_table(), shrink=st.sampled_from([0.25, 1, 10]))
def test_entity_weight__shrunk_trace_is_exactly_0_at_independence(margins, shrink):
    n11, a, b, K = margins
    weight = oracle.entity_weight(*margins, shrink=shrink)
    assert (weight == 0) == (n11 * K == a * b)  # a = 0 and a = K included


def test_entity_weight__shrunk_hand_worked():
    # p = 1/4, k = 1: P11 = (1 + 1/4)/(1 + 1) = 5/8, P01 = (1 - 1 + 1/4)/(3 + 1) = 1/16
    assert oracle.entity_weight(1, 1, 1, 4, shrink=1) == 9 / 16
    frobenius = oracle.entity_weight(1, 1, 1, 4, shrink=1, measure="frobenius")
    assert frobenius == pytest.approx(1 - math.sqrt(2 * (9 / 64 + 1 / 256)))


@pytest.mark.parametrize("measure", oracle.MEASURES)
@given(margins=margins_of_a_table())
def test_entity_weight__shrinking_less_and_less_tends_to_the_plain_weight(measure, margins):
    assume(0 < margins[1] < margins[3])
    plain = oracle.entity_weight(*margins, measure=measure)
    nearly = oracle.entity_weight(*margins, measure=measure, shrink=2.0**-60)
    # The square root is steep where the norm is 0.
    assert nearly == pytest.approx(plain, abs=1e-8)


@pytest.mark.parametrize("measure", oracle.MEASURES)
@given(margins=margins_of_a_table())
def test_entity_weight__shrunk_needs_no_rule_for_undefined_rows(measure, margins):
    _, a, b, K = margins
    found = {
        undefined: oracle.entity_weight(*margins, measure=measure, undefined=undefined, shrink=1)
        for undefined in oracle.UNDEFINED
    }
    assert found["marginal"] == found["zero"]
    left_out = a == 0 or a == K or b == 0
    assert found["skip"] == (None if left_out else found["zero"])


@pytest.mark.parametrize("measure", oracle.MEASURES)
@pytest.mark.parametrize("undefined", oracle.UNDEFINED)
@given(margins=margins_of_a_table(), shrink=st.sampled_from([0, 0.5, 3]))
def test_entity_weight__is_positive_only_with_a_coincidence(measure, undefined, margins, shrink):
    weight = oracle.entity_weight(*margins, measure=measure, undefined=undefined, shrink=shrink)
    assert weight is None or weight <= (1 if margins[0] else 1e-15)


@pytest.mark.parametrize(
    "margins",
    [(-1, 1, 1, 4), (2, 1, 2, 4), (2, 2, 1, 4), (1, 5, 1, 4), (0, 1, 5, 4), (0, 3, 3, 4)],
)
def test_entity_weight__refuses_impossible_margins(margins):
    with pytest.raises(ValueError, match="2 x 2 table"):
        oracle.entity_weight(*margins)


@pytest.mark.parametrize(
    "option", [{"measure": "norm"}, {"undefined": "uniform"}, {"shrink": -1}, {"shrink": math.nan}]
)
def test_entity_weight__refuses_an_option(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        oracle.entity_weight(1, 1, 1, 4, **option)


# ----------------------------------------------------------------------------------- pair_weights

# Bins of 10 s, T = 6 (0..5), lag 1: K = 5. Sources count in bins 0..4, targets in bins 1..5.
#              hashtag h      hashtag g    url u
#   account 0  bins 0 1 3     -            bin 0
#   account 1  bins 1 2 4     -            -
#   account 2  -              bins 0 5     bin 1
EVENTS = [
    *use(0, "h", 0, 1, 3, kind="hashtag", width=10),
    *(event(1, 10 * k + 9.999, "h", "hashtag") for k in (1, 2, 4)),
    *use(2, "g", 0, 5, kind="hashtag", width=10),
    event(0, 3, "u", "url"),
    event(2, 17, "u", "url"),
]
OPTIONS = {"bin_seconds": 10, "kinds": KINDS}
URLS = {"bin_seconds": 1, "kinds": ["url"]}


def test_pair_weights__hand_worked():
    pairs = oracle.pair_weights(EVENTS, **OPTIONS)
    assert set(pairs) == set(itertools.permutations(range(3), 2))
    # 0 -> 1: h is FOLLOWED: 1; g unused by 0: 0; mean 1/2. u: 1 never active: 0. Mean of kinds 1/4.
    assert pairs[0, 1] == {"weight": 1 / 4, "weight_hashtag": 1 / 2, "weight_url": 0, "support": 3}
    # 1 -> 0: h -1/6 (worked above), g 0; u unused by 1: 0. One coincidence.
    expected = {"weight": -1 / 24, "weight_hashtag": -1 / 12, "weight_url": 0, "support": 1}
    assert pairs[1, 0] == expected
    # 0 -> 2: u: a = 1 (bin 0), b = 1 (bin 1), n11 = 1: 1. h: 2 never uses it; g: 0 never does.
    assert pairs[0, 2] == {"weight": 1 / 2, "weight_hashtag": 0, "weight_url": 1, "support": 1}
    # 2 -> 0: u: a = 1 (bin 1), 0's only use in bin 0 is no target bin: b = 0, weight 0.
    assert pairs[2, 0] == {"weight": 0, "weight_hashtag": 0, "weight_url": 0, "support": 0}


def test_pair_weights__one_kind_alone_has_its_own_span():
    # url only: bins 0 and 1, T = 2, K = 1; 0 -> 2: a = K = 1, so the silent row is undefined.
    pairs = oracle.pair_weights(EVENTS, bin_seconds=10, kinds=["url"])
    assert pairs[0, 2] == {"weight": 0, "weight_url": 0, "support": 1}
    assert set(pairs) == {(0, 2), (2, 0)}


def test_pair_weights__a_kind_without_entities_is_left_out_of_the_mean():
    more = oracle.pair_weights(EVENTS, bin_seconds=10, kinds=["hashtag", "url", "mention"])
    assert more == oracle.pair_weights(EVENTS, **OPTIONS)


@pytest.mark.parametrize(
    ("denominator", "hashtag_0_1", "hashtag_1_0", "url_0_2"),
    [
        ("all", 1 / 2, -1 / 12, 1),
        ("none", 1, -1 / 6, 1),
        ("union", 1, -1 / 6, 1),  # neither 0 nor 1 uses g
        ("intersection", 1, -1 / 6, 1),
        ("source", 1, -1 / 6, 1),
    ],
)
def test_pair_weights__denominators(denominator, hashtag_0_1, hashtag_1_0, url_0_2):
    pairs = oracle.pair_weights(EVENTS, **OPTIONS, denominator=denominator)
    assert pairs[0, 1]["weight_hashtag"] == hashtag_0_1
    assert pairs[1, 0]["weight_hashtag"] == pytest.approx(hashtag_1_0)
    assert pairs[0, 2]["weight_url"] == url_0_2
    assert pairs[0, 2]["weight_hashtag"] == 0  # both used no hashtag in common: 0 or 0/0


def test_pair_weights__denominators_that_differ():
    # Bins of 1 s, T = 5, K = 4. 0 uses e, f, g; 1 uses e, f, h, i; z, at both ends, is of neither.
    events = [
        *(event(0, 0, entity, "url") for entity in "efg"),
        *use(1, "e", 0, 1),  # e: a = 1, b = 1 (bin 1), n11 = 1: weight 1
        *use(1, "f", 3),  # f: a = 1, b = 1, n11 = 0: 0 - 1/3
        *(event(1, 2, entity, "url") for entity in "hi"),  # a = 0: 0 (marginal), -1/4 (zero)
        *use(2, "z", 0, 4),
    ]

    def weight(denominator, undefined="marginal"):
        found = oracle.pair_weights(events, **URLS, denominator=denominator, undefined=undefined)
        return found[0, 1]["weight"]

    divisors = {"all": 6, "union": 5, "intersection": 2, "source": 3, "none": 1}
    for denominator, divisor in divisors.items():
        assert weight(denominator) == pytest.approx((1 - 1 / 3) / divisor, rel=1e-15)
        assert weight(denominator, "zero") == pytest.approx((1 - 1 / 3 - 2 / 4) / divisor)
        assert weight(denominator, "skip") == pytest.approx((1 - 1 / 3) / 2)  # e and f counted
    # omega: e and f have 2 users of 3 accounts, g, h, i and z one.
    two, one = math.log(3 / 2), math.log(3)
    assert weight("idf") == pytest.approx((2 / 3) * two / (2 * two + 4 * one))
    assert weight("idf", "zero") == pytest.approx(((2 / 3) * two - one / 2) / (2 * two + 4 * one))
    assert weight("idf", "skip") == pytest.approx((1 - 1 / 3) / 2)  # the entities counted


def test_pair_weights__idf_of_one_entity_is_its_weight():
    events = [*use(0, "e", 0), *use(1, "e", 1, 4)]
    pairs = oracle.pair_weights(events, **URLS, denominator="idf", accounts=range(3))
    assert pairs[0, 1]["weight"] == pytest.approx(1 - 1 / 3)  # omega = log(3/2) cancels
    # Of entities that everybody uses it is 0.
    assert oracle.pair_weights(events, **URLS)[0, 1]["weight"] > 0
    assert oracle.pair_weights(events, **URLS, denominator="idf")[0, 1]["weight"] == 0


def test_pair_weights__idf_counts_the_analysed_accounts():
    # The weighted mean over e (2 users: weight 1) and f (1 user: weight 0).
    events = [*use(0, "e", 0, 4), *use(1, "e", 1), *use(0, "f", 2)]
    options = URLS | {"denominator": "idf"}
    assert oracle.pair_weights(events, **options)[0, 1]["weight"] == 0  # log(2/2)
    wider = oracle.pair_weights(events, **options, accounts=range(4))
    assert wider[0, 1]["weight"] == pytest.approx(math.log(2) / (math.log(2) + math.log(4)))
    assert wider[0, 3]["weight"] == 0


def test_pair_weights__frobenius_counts_against_entities_of_the_source_alone():
    pairs = oracle.pair_weights(EVENTS, **OPTIONS, measure="frobenius")
    # 0 -> 1: hashtags (1 + 0)/2; u: a = 1, b = 0 is defined: 1 - sqrt(2).
    assert pairs[0, 1]["weight_url"] == pytest.approx(1 - math.sqrt(2))
    assert pairs[0, 1]["weight"] == pytest.approx((1 / 2 + 1 - math.sqrt(2)) / 2)


def test_pair_weights__of_too_short_a_span_is_0():
    events = [*use(0, "e", 0), *use(1, "e", 1)]
    pairs = oracle.pair_weights(events, **URLS, lag=2, undefined="zero")
    assert pairs[0, 1] == {"weight": 0, "weight_url": 0, "support": 0}


def test_pair_weights__of_nothing():
    assert oracle.pair_weights([], **OPTIONS) == {}
    silent = oracle.pair_weights([], **OPTIONS, accounts=[0, 1])
    assert silent[0, 1] == {"weight": 0, "support": 0}


@given(events=SOME_EVENTS)
def test_pair_weights__lag_0_is_supported_alike_in_both_directions(events):
    pairs = oracle.pair_weights(events, bin_seconds=3, kinds=KINDS, lag=0)
    for source, target in pairs:
        assert pairs[source, target]["support"] == pairs[target, source]["support"]


@given(events=SOME_EVENTS, data=st.data())
def test_pair_weights__order_duplicates_and_whole_bin_shifts_change_nothing(events, data):
    choices = {"measure": oracle.MEASURES, "undefined": oracle.UNDEFINED, "shrink": [0, 1]}
    choices |= {"denominator": oracle.DENOMINATORS}
    options = {name: data.draw(st.sampled_from(values)) for name, values in choices.items()}
    options |= {"bin_seconds": 3, "kinds": KINDS}
    n_bins = data.draw(st.integers(-5, 5))
    changed = data.draw(st.permutations(events + events[:3]))
    changed = [{**e, "time_seconds": e["time_seconds"] + 3 * n_bins} for e in changed]
    assert oracle.pair_weights(changed, **options) == oracle.pair_weights(events, **options)


@given(events=SOME_EVENTS)
def test_pair_weights__zero_filling_takes_off_the_targets_rate(events):
    options = {"bin_seconds": 3, "kinds": ["url"], "denominator": "none"}
    marginal = oracle.pair_weights(events, **options)
    zero = oracle.pair_weights(events, **options, undefined="zero")
    first_bin, n_bins, active = oracle.activity(events, 3, ["url"])
    for source, target in marginal:
        penalty = 0
        for users in active.values():
            a = sum(first_bin <= k < first_bin + n_bins - 1 for k in users.get(source, ()))
            b = sum(first_bin < k < first_bin + n_bins for k in users.get(target, ()))
            if a == 0 and n_bins > 1:
                penalty += b / (n_bins - 1)
            elif n_bins > 1 and a == n_bins - 1:
                penalty += 1 - b / (n_bins - 1)
        expected = marginal[source, target]["weight"] - penalty
        assert zero[source, target]["weight"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "option",
    [{"denominator": "mean"}, {"measure": "norm"}, {"undefined": "uniform"}, {"shrink": -1},
     {"lag": -1}, {"accounts": [0, 1]}],
)  # fmt: skip
def test_pair_weights__refuses_an_option(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        oracle.pair_weights(EVENTS, **OPTIONS, **option)


# -------------------------------------------------------------------------- edges, best_lag_edges


def test_edges__hand_worked():
    pairs = oracle.pair_weights(EVENTS, **OPTIONS)
    assert set(oracle.edges(pairs)) == {(0, 1), (0, 2)}
    assert set(oracle.edges(pairs, min_weight=1 / 4)) == {(0, 2)}  # strictly above
    assert set(oracle.edges(pairs, min_support=3)) == {(0, 1)}  # at least
    assert set(oracle.edges(pairs, min_weight=-1)) == {(0, 1), (0, 2), (1, 0)}  # support 1
    every = oracle.edges(pairs, min_weight=-1, min_support=0)
    assert every == pairs


# Bins of 1 s, T = 9. At lag 1 (K = 8): a = 2, one of two followed, b = 3; at lag 2 (K = 7) both.
TWO_LAGS = [*use(0, "e", 0, 4), *use(1, "e", 1, 2, 6), *use(2, "f", 8)]


def test_best_lag_edges__hand_worked():
    found = oracle.best_lag_edges(TWO_LAGS, [1, 2], **URLS)
    # 0 -> 1, e: lag 1: 1/2 - 2/6 = 1/6; lag 2: target bins 2..8: b = 2, n11 = 2: 1 - 0 = 1. f: 0.
    assert found[0, 1] == {"weight": 1 / 2, "weight_url": 1 / 2, "support": 2, "lag": 2}
    at_1 = oracle.best_lag_edges(TWO_LAGS, [1], **URLS)
    assert at_1[0, 1]["weight"] == pytest.approx(1 / 12)
    assert (at_1[0, 1]["support"], at_1[0, 1]["lag"]) == (1, 1)


def test_best_lag_edges__ties_go_to_the_smallest_lag():
    # T = 5. e: 0 in bin 0, 1 in bin 1. f: 0 in bins 0 1, 1 in bins 2 3.
    # Lag 1 (K = 4): e 1; f: 1 1 0 0 then 0 1 1 0, each of the four pairs once: exactly 0.
    # Lag 2 (K = 3): e has no target bin left: 0; f: 1 1 0 then 1 1 0: 1.
    events = [*use(0, "e", 0), *use(1, "e", 1), *use(0, "f", 0, 1), *use(1, "f", 2, 3)]
    events += use(2, "z", 4)
    options = URLS | {"denominator": "none"}
    for lags in ([1, 2], [2, 1]):
        found = oracle.best_lag_edges(events, lags, **options)[0, 1]
        assert (found["weight"], found["lag"], found["support"]) == (1, 1, 2)
    assert oracle.best_lag_edges(events, [2], **options)[0, 1]["weight"] == 1


def test_best_lag_edges__support_at_each_lag_or_at_the_best():
    # T = 13. e: 0 in bins 0 4 8, 1 in bins 1 5. f: 0 in bin 0, 1 in bin 2.
    # Lag 1 (K = 12): e 2/3 - 0, f 0 - 1/11: .58, support 2.
    # Lag 2 (K = 11): e 0 - 1/8 (bin 5 alone is left), f 1 - 0: .875, support 1.
    events = [*use(0, "e", 0, 4, 8), *use(1, "e", 1, 5), *use(0, "f", 0), *use(1, "f", 2)]
    events += use(2, "z", 12)
    options = URLS | {"denominator": "none"}
    for support_at in ("each", "best"):
        found = oracle.best_lag_edges(events, [1, 2], **options, support_at=support_at)[0, 1]
        assert (found["weight"], found["lag"], found["support"]) == (7 / 8, 2, 1)
    each = oracle.best_lag_edges(events, [1, 2], **options, min_support=2)[0, 1]
    assert (each["lag"], each["support"]) == (1, 2)
    assert each["weight"] == pytest.approx(2 / 3 - 1 / 11)
    best = oracle.best_lag_edges(events, [1, 2], **options, min_support=2, support_at="best")
    assert (0, 1) not in best


def test_best_lag_edges__refuses_an_option():
    with pytest.raises(ValueError, match="support_at="):
        oracle.best_lag_edges(EVENTS, [1], **OPTIONS, support_at="all")


# ------------------------------------------------------------------------------------- components


def test_components__hand_worked():
    # 1 -> 2 -> 1 and 2 -> 5; 3 -> 4; 0 alone; 6 -> 7.
    links = [(1, 2), (2, 1), (2, 5), (3, 4), (6, 7)]
    assert oracle.components(8, links) == [None, 0, 0, 1, 1, 0, 2, 2]
    # Strong: {1, 2} first, then the singletons in order of index.
    strong = oracle.components(8, links, mode="strong")
    assert strong == [None, 0, 0, 1, 2, 3, 4, 5]


def test_components__without_edges_and_of_the_edges_of_pair_weights():
    assert oracle.components(2, []) == [None, None]
    assert oracle.components(0, []) == []
    found = oracle.edges(oracle.pair_weights(EVENTS, **OPTIONS))
    assert oracle.components(4, found) == [0, 0, 0, None]


@pytest.mark.parametrize(
    ("mode", "search"),
    [("weak", nx.weakly_connected_components), ("strong", nx.strongly_connected_components)],
)
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_components__equal_networkx(mode, search, pairs):
    links = [(source, target) for source, target in pairs if source != target]
    labels = oracle.components(10, links, mode=mode)
    groups = sorted(search(nx.DiGraph(links)), key=lambda group: (-len(group), min(group)))
    expected = {account: label for label, group in enumerate(groups) for account in group}
    assert labels == [expected.get(account) for account in range(10)]


@pytest.mark.parametrize(
    ("links", "mode", "message"),
    [([(0, 0)], "weak", "itself"), ([(0, 3)], "weak", "outside"), ([], "both", "mode=")],
)
def test_components__refuses(links, mode, message):
    with pytest.raises(ValueError, match=message):
        oracle.components(3, links, mode=mode)
