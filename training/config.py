"""What a run is made of: the model's shape and the training's settings, both stored in the checkpoint."""

from dataclasses import asdict, dataclass, field, replace

from sdk.reading import check_types

PRECISIONS = ("float32", "bf16", "fp16")
POOLINGS = ("average", "gem")
"""gem: the generalised mean, whose exponent is learned (`training.pooling`)."""
FILLS = ("noise", "mean")
SHARES = (
    "local_start",
    "colour_changes",
    "erasing",
    "grey_patches",
    "degrading",
    "style_mixing",
    "backbone_rate",
    "start_share",
)
"""Settings between 0 and 1."""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of an AlignedReID network; enough to build it again from a checkpoint."""

    backbone: str = "resnet18"
    width: int = 32
    """Channels of the first stage: of a ResNet 64 in the originals and 32 for the edge, of MobileNetV2 32. Others have
    their own width."""
    last_stride: int = 1
    """Stride of the last stage. 1 keeps eight stripes at 128×64; 2 gives eight at 256×128. OSNet's map is the same for
    both; with 2 two of its rows make a stripe."""
    input_size: tuple[int, int] = (128, 64)
    """Height and width of the resized crop, in pixels."""
    stripe_dim: int = 128
    """Channels of a stripe in the local branch (paper, section 3.1: c = 128)."""
    pooling: str = "average"
    """Of the feature map for the global branch: one of `POOLINGS`."""
    embedding_dim: int | None = None
    """Dimensions of the embedding, if others than the backbone's feature has: a linear map stands behind the
    normalisation. `training.reduce` finds one for a trained network."""

    def __post_init__(self):
        check_types(self)
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is {self.pooling}; it must be one of {', '.join(POOLINGS)}")

    def has_weights_of(self, other: "ModelConfig") -> bool:
        """Whether weights of `other` fit: convolutions know neither the size of the picture nor their stride."""
        return replace(self, input_size=other.input_size, last_stride=other.last_stride) == other


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained."""

    epochs: int = 120
    identities_per_batch: int = 8
    """P of the P×K batch (TriHard, arXiv 1703.07737)."""
    images_per_identity: int = 4
    """K of the P×K batch."""
    learning_rate: float = 2e-3
    weight_decay: float = 5e-4
    warmup: float = 0.05
    """Share of the run in which the learning rate rises."""
    margin: float | None = 0.3
    """Of both triplet losses, on unit-length embeddings and stripes; None is the soft margin."""
    label_smoothing: float = 0.1
    local_weight: float = 1.0
    """Weight of the local TriHard loss; 0 trains without the local branch's loss (the ablation)."""
    local_start: float = 0.4
    """Share of the run after which the local loss joins. Earlier, on random features, it teaches the stripes only
    where in the picture they are (docs/training.md)."""
    colour_changes: float = 1.0
    """How far white balance, exposure, contrast and saturation of a crop are changed: 1 for cameras that were never
    seen, less where the cameras of the test are those of the training, 0 not at all."""
    erasing: float = 0.0
    """Probability of Random Erasing. Its noise makes stripes of one person differ, so it hurts the local branch."""
    erasing_fill: str = "noise"
    """What Random Erasing puts there: noise, or the crop's own mean colour, which makes no new edges of its own."""
    grey_patches: float = 0.0
    """Probability that a rectangle of the crop, now and then all of it, loses its colour (arXiv 2101.08533)."""
    degrading: float = 0.0
    """Probability that the crop is made as bad as of somebody far away: few pixels, moved, compressed."""
    style_mixing: float = 0.0
    """Probability that the crops of a batch lend each other the statistics of their first feature maps: MixStyle
    (arXiv 2104.02008). What a camera's picture looks like is there; who is in it is not."""
    frozen: int = 0
    """How many of the backbone's first layers keep the weights and statistics that they came with. They are the
    dearest to train, and what photographs taught them holds for any camera."""
    backbone_rate: float = 1.0
    """Share of the learning rate at which the backbone learns; below 1 where it comes with weights."""
    partners: tuple[str, ...] = ()
    """Backbones of the networks that learn along in mutual learning (section 3.2); the first network is handed on."""
    class_mutual_weight: float = 1.0
    metric_mutual_weight: float = 1.0
    milestones: tuple[int, ...] = ()
    """Epochs at which the learning rate falls to a tenth, as in the paper; none: it falls along half a cosine."""
    clip: float = 0.0
    """Largest norm of a step's gradient; 0 does not clip."""
    precision: str = "float32"
    """Of the network's forward and backward pass: float32, bf16 or fp16. The losses are always in float32."""
    seed: int = 0
    start: str = "random weights"
    """What the network was before the first step, in words: part of where a model comes from."""
    data: str = ""
    """What it was trained on, in words: the other part."""
    average_decay: float = 0.998
    """Of the running average of the weights, which is what a run hands on; 0 hands on the last weights."""
    start_share: float = 0.0
    """Share of the weights that the run started from in those that it hands on (arXiv 2109.01903); of a start with
    `--weights` the backbone's, none from random weights. What few people teach is half right for others
    (docs/training.md)."""

    def __post_init__(self):
        check_types(self)
        for name in ("epochs", "identities_per_batch", "images_per_identity"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay is {self.average_decay}; it must be at least 0 and below 1")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision}; it must be one of {', '.join(PRECISIONS)}")
        if self.erasing_fill not in FILLS:
            raise ValueError(f"erasing_fill is {self.erasing_fill}; it must be one of {', '.join(FILLS)}")
        if self.frozen < 0:
            raise ValueError(f"frozen is {self.frozen}; it must be at least 0")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        if self.identities_per_batch < 2 or self.images_per_identity < 2:
            raise ValueError("TriHard needs at least 2 identities of 2 images in a batch")


@dataclass(frozen=True)
class RunConfig:
    """Everything that made a checkpoint."""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "RunConfig":
        model = dict(data["model"])
        model["input_size"] = tuple(model["input_size"])
        train = {name: tuple(value) if isinstance(value, list) else value for name, value in data["train"].items()}
        return cls(ModelConfig(**model), TrainConfig(**train))
