# Amaranth creates its classes at run time and has no type annotations: the type checker treats every name in it as Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
