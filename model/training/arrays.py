"""The encoder on jax: its parts as pytrees, and functions that the array API lacks."""

import jax
import jax.numpy as jnp
import jax.scipy.special

from ...spec.cache import cache_folder
from ..activations import SPECIAL
from ..encoder import Layer, LayerNorm, Linear

__all__ = ["keep_compiled", "rounded"]

SPECIAL[jnp] = jax.scipy.special
for part, settings in ((Linear, ()), (LayerNorm, ("eps",)), (Layer, ())):
    arrays = [name for name in part.__dataclass_fields__ if name not in settings]
    jax.tree_util.register_dataclass(part, data_fields=arrays, meta_fields=settings)


def rounded(x: jax.Array) -> jax.Array:
    """The nearest integers, halves to even. The gradient is that of x (straight-through, arXiv 1308.3432)."""
    return x + jax.lax.stop_gradient(jnp.rint(x) - x)


def keep_compiled() -> None:
    """Keep compiled functions in the cache folder, for later runs."""
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
