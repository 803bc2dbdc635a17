"""What Open Images calls our instruments.

Of the 601 classes that its detectors box, eight are instruments of the URMP taxonomy. Viola, double bass, clarinet,
bassoon and tuba have no class. "Horn" is version 4's name of the class that others call "French horn".

References:
    A. Kuznetsova et al., "The Open Images Dataset V4", IJCV 128, 2020. Names and identifiers are those of
    `oid_v4_label_map.pbtxt` of the TensorFlow Object Detection API, with which the TF-Hub detectors were trained.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entity:
    """A class of Open Images.

    Attributes:
        name: English, as `detection_class_entities` has it.
        identifier: as `detection_class_names` has it.
        instrument: long name in our taxonomy.
    """

    name: str
    identifier: str
    instrument: str


ENTITIES = (
    Entity("Violin", "/m/07y_7", "violin"),
    Entity("Cello", "/m/01xqw", "cello"),
    Entity("Flute", "/m/0l14j_", "flute"),
    Entity("Oboe", "/m/05kms", "oboe"),
    Entity("Saxophone", "/m/06ncr", "saxophone"),
    Entity("Trumpet", "/m/07gql", "trumpet"),
    Entity("Horn", "/m/0319l", "horn"),
    Entity("French horn", "/m/0319l", "horn"),
    Entity("Trombone", "/m/07c6l", "trombone"),
)
# Either spelling of a class -> instrument.
INSTRUMENTS = {spelling: entity.instrument for entity in ENTITIES for spelling in (entity.name, entity.identifier)}
