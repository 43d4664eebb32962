"""Thresher generates the hardware of a sparse INT8 transformer accelerator, and runs trained models on it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("thresher")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
