"""What bodies did, in order."""

from typing import Any


class Journal(list[Any]):
    """A list to which bodies add what they do."""

    def note(self, what: Any, returns: Any = None) -> Any:
        """Note something, and return something else."""
        self.append(what)
        return returns

    def fail(self, what: Any, error: BaseException) -> None:
        """Note something, and raise."""
        self.append(what)
        raise error
