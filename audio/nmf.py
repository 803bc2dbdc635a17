"""Non-negative matrix factorization of spectrograms by multiplicative updates.

A spectrogram V `[num_bins, num_frames]` is approximated by templates W `[num_bins, num_components]` times activations
H `[num_components, num_frames]`, all of them non-negative, so that the sum over all entries of one divergence is small:

    frobenius       (v - y)**2 / 2
    kl              v log(v / y) - v + y            (generalized Kullback and Leibler)
    itakura_saito   v / y - log(v / y) - 1

They are the beta-divergences for beta = 2, 1, 0. One iteration multiplies W, then H, by

    W <- W * [(V / Y**(2 - beta)) H^T / Y**(beta - 1) H^T] ** gamma,    H likewise,    Y = W H,

with gamma = 1 for 1 <= beta <= 2 and 1 / (2 - beta) below: the exponent for which the divergence is proven never to
rise.

A floor, `FLOOR` of the largest entry, is added to V and to W H, because the logarithm of an empty bin is infinite. It
is one more component that never changes, so the proof holds with it. Entries that are zero stay zero.

References:
    D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2000: beta = 1 and 2.
    C. Fevotte, J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011, section 4.1: every beta, as majorization-minimization.
"""

from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError

BETAS = {"frobenius": 2, "kl": 1, "itakura_saito": 0}
# Magnitudes to this power are what suits a divergence: Itakura and Saito's is the likelihood of powers.
SPECTROGRAM_POWERS = {"frobenius": 1, "kl": 1, "itakura_saito": 2}
FLOOR = 1e-10


@dataclass(frozen=True, eq=False)
class Factorization:
    """What a spectrogram was factorized into.

    Attributes:
        templates: `[num_bins, num_components]`.
        activations: `[num_components, num_frames]`.
    """

    templates: np.ndarray
    activations: np.ndarray


def factorize(
    spectrogram: np.ndarray,
    num_components: int | None = None,
    *,
    templates: np.ndarray | None = None,
    activations: np.ndarray | None = None,
    fixed_templates: bool = False,
    divergence: str = "kl",
    num_iterations: int = 200,
    seed: int = 0,
) -> Factorization:
    """Factorizes a spectrogram from a seeded or a given start.

    Args:
        spectrogram: `[num_bins, num_frames]`, non-negative, float32 or float64, which it is computed in.
        num_components: how many templates to draw; None where templates are given.
        templates: to start from, `[num_bins, num_components]`.
        activations: to start from, `[num_components, num_frames]`; by default drawn as the templates are, or, of given
            templates, the same for all of them, such that they sum to what each frame does.
        fixed_templates: leave the given templates as they are; then every frame is factorized by itself.
        divergence: "frobenius", "kl" or "itakura_saito".
        num_iterations: updates of both factors, or of the activations where the templates are fixed.
        seed: of templates and activations that are drawn.

    Raises:
        ParameterError: for arrays that are negative, not finite or do not fit, and options that cannot be used.
    """
    _validate_options(divergence, num_iterations)
    given = {"spectrogram": spectrogram, "templates": templates, "activations": activations}
    _validate_arrays(given, num_components, fixed_templates)
    target = np.asarray(spectrogram, np.float32 if spectrogram.dtype == np.float32 else np.float64)
    templates, activations = _start(target, num_components, templates, activations, seed)
    beta = BETAS[divergence]
    floor = FLOOR * (target.max() or 1.0)
    target = target + floor
    model = templates @ activations + floor
    for _ in range(num_iterations):
        if not fixed_templates:
            # The roles of both factors are each other's transposed.
            templates = _updated(activations.T, templates.T, target.T, model.T, beta).T
            model = templates @ activations + floor
        activations = _updated(templates, activations, target, model, beta)
        model = templates @ activations + floor
    return Factorization(templates, activations)


def _updated(templates, activations, target, model, beta):
    """Activations after one update."""
    if beta == 2:
        gain = (templates.T @ target) / _positive(templates.T @ model)
    elif beta == 1:
        gain = (templates.T @ (target / model)) / _positive(templates.sum(axis=0))[:, None]
    else:
        inverse = 1 / model
        gain = np.sqrt((templates.T @ (target * inverse * inverse)) / _positive(templates.T @ inverse))
    return activations * gain


def _positive(denominator):
    return np.maximum(denominator, np.finfo(denominator.dtype).tiny)


def _start(target, num_components, templates, activations, seed):
    rng = np.random.default_rng(seed)
    count = num_components if templates is None else templates.shape[1]
    scale = np.sqrt((target.mean() or 1.0) / count)
    if templates is None:
        templates = scale * np.abs(rng.normal(size=(len(target), count)))
        if activations is None:
            activations = scale * np.abs(rng.normal(size=(count, target.shape[1])))
    elif activations is None:
        activations = np.outer(np.ones(count), target.sum(axis=0) / (templates.sum() or 1.0))
    return templates.astype(target.dtype), activations.astype(target.dtype)


def _validate_options(divergence: str, num_iterations: int) -> None:
    if divergence not in BETAS:
        raise ParameterError(f"Expected divergence to be one of {', '.join(BETAS)}. Received: {divergence!r}")
    if num_iterations < 0:
        raise ParameterError(f"Expected num_iterations of at least 0. Received: num_iterations={num_iterations}")


def _validate_arrays(given: dict, num_components: int | None, fixed_templates: bool) -> None:
    for name, array in given.items():
        if array is not None and (np.ndim(array) != 2 or not np.size(array)):
            raise ParameterError(f"Expected {name} to be a matrix with entries. Received: shape {np.shape(array)}")
        if array is not None and not (np.all(np.isfinite(array)) and np.min(array) >= 0):
            raise ParameterError(f"Expected {name} without negative and not finite entries. Received: such entries")
    templates = given["templates"]
    if (templates is None) == (num_components is None) or (fixed_templates and templates is None):
        raise ParameterError(
            "Expected either templates, which may be fixed, or a number of components."
            f" Received: num_components={num_components}, fixed_templates={fixed_templates} and"
            f" {'no' if templates is None else 'given'} templates"
        )
    if num_components is not None and num_components < 1:
        raise ParameterError(f"Expected at least one component. Received: num_components={num_components}")
    _validate_shapes(given, num_components)


def _validate_shapes(given: dict, num_components: int | None) -> None:
    shapes = {name: np.shape(array) for name, array in given.items() if array is not None}
    num_bins, num_frames = shapes["spectrogram"]
    count = num_components or shapes["templates"][1]
    wanted = {"spectrogram": (num_bins, num_frames), "templates": (num_bins, count), "activations": (count, num_frames)}
    if any(shape != wanted[name] for name, shape in shapes.items()):
        raise ParameterError(
            "Expected spectrogram [num_bins, num_frames], templates [num_bins, num_components] and activations"
            f" [num_components, num_frames]. Received: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
        )
