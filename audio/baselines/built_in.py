"""The classics that need no weights of their own, by name.

The blind ones do not know what they have found; they name it by the average spectra that the static Wiener filters use.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audio.baselines.wiener import StaticWiener
from audio.separation_model import SeparationModel, WholeMixtureModel

Model = SeparationModel | WholeMixtureModel


@dataclass(frozen=True)
class BuiltIn:
    """One line about a method, and how it is made from the packaged spectra."""

    description: str
    make: Callable[[StaticWiener], Model]


def _mixture(wiener: StaticWiener) -> Model:
    from audio.baselines.trivial import Mixture

    return Mixture(wiener.source_names)


def _mixture_share(wiener: StaticWiener) -> Model:
    from audio.baselines.trivial import SharedMixture

    return SharedMixture(wiener.source_names)


def _namer(wiener: StaticWiener):
    from audio.baselines.component_naming import ComponentNamer

    return ComponentNamer(wiener.source_names, wiener.power_spectra, wiener.sample_rate_hz)


def _blind_nmf(wiener: StaticWiener) -> Model:
    from audio.baselines.blind_nmf import BlindNMF

    return BlindNMF(_namer(wiener))


def _ica(wiener: StaticWiener) -> Model:
    from audio.baselines.ica import ICA

    return ICA(_namer(wiener))


def _pca(wiener: StaticWiener) -> Model:
    from audio.baselines.pca import PCA

    return PCA(_namer(wiener))


BUILT_IN: Mapping[str, BuiltIn] = {
    "mixture": BuiltIn("every stem is the whole mixture: what doing nothing scores", _mixture),
    "mixture_share": BuiltIn("the mixture divided by the number of instruments", _mixture_share),
    "nmf_blind": BuiltIn("non-negative matrix factorization without templates, components clustered", _blind_nmf),
    "ica": BuiltIn("independent component analysis; for recordings with a channel per instrument", _ica),
    "pca": BuiltIn("principal component analysis; it only decorrelates", _pca),
}
