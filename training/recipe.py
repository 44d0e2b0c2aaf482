"""Recipes: settings of a run in a YAML file, by the names of `training/config.py`."""

from dataclasses import fields, replace
from pathlib import Path

from sdk.errors import DataError, missing_package
from sdk.reading import parse_yaml
from training.config import ModelConfig, RunConfig, TrainConfig

FOLDER = Path(__file__).parent / "recipes"
"""Of the recipes that come with the package; `--recipe edge` is `edge.yaml` there."""

SECTIONS = {"model": ModelConfig, "train": TrainConfig}


def read_recipe(name: str) -> dict[str, dict]:
    """The settings in a file, or in the package's recipe of that name: {"model": …, "train": …}.

    Raises `DataError` naming a recipe that is missing, a file that is no YAML, or a setting that does not exist.
    """
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise missing_package("pyyaml", "train", "--recipe") from None
    path = Path(name)
    if not path.is_file():
        path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in FOLDER.glob("*.yaml")))
        raise DataError(f"no recipe '{name}': neither a file nor one of {known}")
    try:
        content = parse_yaml(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a YAML file ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise DataError(f"{path}: expected the sections 'model' and 'train' with settings in each")
    recipe = {}
    for section, settings in content.items():
        if section not in SECTIONS:
            raise DataError(f"{path}: unknown section '{section}'; known: {', '.join(SECTIONS)}")
        names = [field.name for field in fields(SECTIONS[section])]
        for setting in settings:
            if setting not in names:
                raise DataError(f"{path}: unknown setting '{section}.{setting}'; known: {', '.join(names)}")
        recipe[section] = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    return recipe


def settle(defaults: RunConfig, recipe: dict[str, dict], chosen: dict[str, dict]) -> RunConfig:
    """`defaults`, over which go the recipe's settings, over which go those chosen (None: not chosen).

    Raises `DataError` for a value that a setting cannot have.
    """
    parts = {}
    for section in SECTIONS:
        wanted = {name: value for name, value in chosen.get(section, {}).items() if value is not None}
        try:
            parts[section] = replace(getattr(defaults, section), **recipe.get(section, {}) | wanted)
        except (TypeError, ValueError) as error:
            raise DataError(str(error)) from error
    return RunConfig(**parts)
