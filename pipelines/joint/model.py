"""The joint model: picture -> label vector -> conditioned separation network, one gradient through all of it.

    picture  uint8 [batch, height, width, 3] --EfficientNet-Lite0, label head--> label_vector [batch, num_sources]
    mixture  [batch, time, channels]         --network conditioned by it-------> sources

Conventions: mixtures are in [-1, 1]; label vectors in [0, 1]; sources `[batch, num_sources, output_time, channels]` in
the order of `source_names`.
"""

from typing import Any

import keras
from keras import ops

from audio.networks import NETWORKS, build_network
from av_sep.errors import ParameterError
from pipelines.joint.soft_labels import soft_consistency, soft_gate
from vision.label_head import LabelHead, classifier_scores, load_feature_map

SMALLEST_PICTURE = 32


@keras.saving.register_keras_serializable(package="av_sep")
class JointModel(keras.Model):
    """A conditioned separation network that is told what plays by a network that looks.

    Inputs are `{"mixture", "picture", "picture_mask"}`, outputs `{"sources", "label_vector"}`. `picture_mask` `[batch]`
    is 0 where an example has no picture: then any instrument may play, and all its labels are 1, as with
    `av-sep separate --all`.

    Two more inputs let a part of the examples know the labels instead of seeing them: where `label_given` `[batch]` is
    1, `label_vector` `[batch, num_sources]` steers the separation. `separate` steers by labels of 0 and 1, so the
    network must hear such ones in training, too.

    A new model starts from the weights of the package: EfficientNet-Lite0 and its instrument classifier. A `.keras`
    file of a trained one holds all weights, so that it never depends on what a later package ships. The backbone's
    batch normalisation keeps its statistics even where the backbone is trained, because a batch shows few pictures.

    Args:
        source_names: names of the sources in output order; the model's own copy of its taxonomy.
        sample_rate_hz: rate of the sound it was made for.
        network: class of the separation network, one of `audio.networks.NETWORKS`.
        separator: its other options; a conditioning must be among them.
        picture_size: (height, width) in pixels that pictures are brought to, 32 or more; multiples of 32 waste nothing.
        train_backbone: train EfficientNet-Lite0 as well as the label head. It wants a tenth of the learning rate.
        sharpness: of the label head, see `vision.label_head.LabelHead`.
        label_weight: of the labels' cross-entropy in the loss, beside a separation loss of weight 1.
        given_label_probability: chance of a training example to know its labels; those without a picture always do.
        extra_label_probability: chance of a label too many among those.
        name: of the Keras model.

    Raises:
        ParameterError: for options that are unknown or do not fit together.
    """

    def __init__(
        self,
        source_names,
        *,
        sample_rate_hz=22050,
        network="WaveUNet",
        separator=None,
        picture_size=(224, 384),
        train_backbone=False,
        sharpness=2.0,
        label_weight=10.0,
        given_label_probability=0.5,
        extra_label_probability=0.1,
        name=None,
    ):
        options = {
            "source_names": tuple(source_names),
            "sample_rate_hz": sample_rate_hz,
            "network": network,
            "separator": {"conditioning": "multiplicative", "gate": True, "mixture_consistency": True}
            if separator is None
            else dict(separator),
            "picture_size": tuple(picture_size),
            "train_backbone": train_backbone,
            "sharpness": sharpness,
            "label_weight": label_weight,
            "given_label_probability": given_label_probability,
            "extra_label_probability": extra_label_probability,
        }
        _validate(options)
        # Waveforms are added and subtracted here; the networks inside have the precision of the run.
        super().__init__(name=name, dtype="float32")

        # === Config ===
        self.options = options

        # === Layers ===
        self.backbone = load_feature_map(*options["picture_size"])
        self.backbone.trainable = train_backbone
        self.head = LabelHead(len(options["source_names"]), sharpness, name="label_head", dtype="float32")
        self.head.build(self.backbone.output_shape)
        self.head.set_weights(classifier_scores(options["source_names"]))
        # Soft labels need a soft gate and consistency; neither has weights.
        self.separator = _build_separator(options, gate=False, mixture_consistency=False)
        self.built = True

    def build(self, input_shape):
        """Nothing is left to build."""

    def call(self, inputs):
        """See the class."""
        label_vector = self.see(inputs["picture"], inputs["picture_mask"])
        steering = label_vector
        if "label_given" in inputs:
            given = inputs["label_given"][:, None]
            steering = given * inputs["label_vector"] + (1 - given) * label_vector
        return {"sources": self.separate(inputs["mixture"], steering), "label_vector": label_vector}

    def see(self, pictures, picture_mask):
        """Label vectors `[batch, num_sources]` of pictures and their mask; ones where there is none."""
        scaled = (ops.cast(pictures, "float32") - 127.0) / 128.0
        scores = self.head(self.backbone(scaled, training=False))
        mask = picture_mask[:, None]
        return mask * ops.sigmoid(scores) + (1 - mask)

    def separate(self, mixture, label_vector):
        """Sources of mixtures that soft labels steer."""
        chosen = self.options["separator"]
        estimates = self.separator({"mixture": mixture, "label_vector": label_vector})
        if chosen.get("gate"):
            estimates = soft_gate(estimates, label_vector)
        if chosen.get("mixture_consistency"):
            # With context the estimates are those of the mixture's centre.
            excess = (mixture.shape[1] - estimates.shape[2]) // 2
            centre = mixture[:, excess : mixture.shape[1] - excess]
            estimates = soft_consistency(estimates, centre, label_vector)
        return estimates

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources in output order."""
        return tuple(self.options["source_names"])

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the sound that the model was made for."""
        return self.options["sample_rate_hz"]

    def output_samples(self, num_samples: int) -> int:
        """Length of the sources for a mixture of `num_samples`; see the separation network's."""
        return self.separator.output_samples(num_samples)

    def separation_network(self) -> keras.Model:
        """The half that hears, as a network of its own with a copy of the weights, steered by labels of 0 and 1."""
        network = _build_separator(self.options)
        network.set_weights(self.separator.get_weights())
        return network

    def objectives(self, separation_loss: keras.losses.Loss) -> dict[str, Any]:
        """What `compile` is told: separation and label cross-entropy, the latter only where there is a picture.

        Args:
            separation_loss: one of `audio.losses.LOSSES`.
        """
        f1 = keras.metrics.F1Score(average="micro", threshold=0.5, name="f1")
        return {
            "loss": {"sources": separation_loss, "label_vector": keras.losses.BinaryCrossentropy()},
            "loss_weights": {"sources": 1.0, "label_vector": self.options["label_weight"]},
            "weighted_metrics": {"label_vector": [f1]},
        }

    def get_config(self):
        plain = {"source_names": list, "picture_size": list, "separator": dict}
        options = {name: plain.get(name, lambda value: value)(value) for name, value in self.options.items()}
        return {"name": self.name, **options}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def _build_separator(options: dict[str, Any], **changes: Any) -> keras.Model:
    own = {name: options[name] for name in ("source_names", "sample_rate_hz")}
    return build_network(options["network"], {**options["separator"], **own, **changes})


def _validate(options: dict[str, Any]) -> None:
    if options["network"] not in NETWORKS:
        raise ParameterError(f"Expected a network among {', '.join(NETWORKS)}. Received: {options['network']!r}")
    separator = options["separator"]
    if separator.get("conditioning") is None or {"source_names", "sample_rate_hz"} & set(separator):
        raise ParameterError(
            "Expected a separator with a conditioning, and source_names and sample_rate_hz outside of it."
            f" Received: separator={separator}"
        )
    if separator.get("output") == "difference" and separator.get("gate"):
        raise ParameterError(f"A difference output needs no gate. Received: separator={separator}")
    for name in ("given_label_probability", "extra_label_probability"):
        if not 0 <= options[name] <= 1:
            raise ParameterError(f"Expected {name} from 0 to 1. Received: {name}={options[name]}")
    if not options["label_weight"] >= 0:
        raise ParameterError(f"Expected label_weight of at least 0. Received: label_weight={options['label_weight']}")
    if len(options["picture_size"]) != 2 or min(options["picture_size"]) < SMALLEST_PICTURE:
        expected = f"Expected picture_size=(height, width) of at least {SMALLEST_PICTURE} pixels"
        raise ParameterError(f"{expected}. Received: picture_size={options['picture_size']}")
