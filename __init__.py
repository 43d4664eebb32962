"""Thresher generates the hardware of a sparse INT8 transformer accelerator.

Rooms, and what each may import::

    spec    what the hardware is               standard library only
    golden  what each unit computes            spec
    hdl     how each unit computes it          spec
    sim     running the hardware               hdl, spec
    synth   hardware to gates                  hdl, spec
    model   a trained transformer as work      golden, spec

``golden`` and ``hdl`` never import each other, so that a comparison between them means something.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("thresher")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
