"""The readers, each in the module of its kind. A module is loaded when one of its readers is wanted."""

from importlib import import_module

from ..reader import FuzzReader

__all__ = ["NAMES", "find"]

NAMES = {
    "tokenizer": "folders",
    "images": "pictures",
    "safetensors": "tensors",
    "packed": "tensors",
    "config": "folders",
    "matrices": "texts",
    "tsv": "texts",
    "frames": "hardware",
    "settings": "settings",
    "program": "hardware",
    "logs": "logs",
    "checkpoint": "training",
    "tools": "tools",
}
"""Module of each reader."""


def find(name: str) -> FuzzReader:
    """The reader of a name."""
    return import_module(f".{NAMES[name]}", __package__).READERS[name]
