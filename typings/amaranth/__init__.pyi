# Amaranth builds its classes at run time and carries no types: to the type checker everything in it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
