"""``python -m thresher``."""

from .cli import main

main()
