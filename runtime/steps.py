"""Progress of long work."""

__all__ = ["Steps"]


class Steps:
    """Receives the progress of long work and shows nothing; a subclass may show it."""

    def tell(self, what: str) -> None:
        """Begin a step."""

    def announce(self, what: str) -> None:
        """Begin a step that takes long."""

    def count(self, done: int, total: int) -> None:
        """Report how much of the step is done."""
