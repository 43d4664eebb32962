"""The packaged model, and a small one."""

from ..model.conftest import default_model, make_model, make_scorer

__all__ = ["default_model", "make_model", "make_scorer"]
