"""Steps that a training leaves out because a gradient is no number."""

from __future__ import annotations

import logging
from typing import Final

from parotid_brachy.lib.errors import TrainingError

logger = logging.getLogger(__name__)

MOST_IN_A_ROW: Final = 25
"""A gradient scaler that begins at 2^16 and halves has then tried every scale down to 2^-9."""


class StepsLeftOut:
    """Counts steps that were left out; a few are normal in float16, a row of them is not.

    Args:
        scaled: a gradient scaler looks for its scale, and may need some of the first steps.
    """

    def __init__(self, *, scaled: bool) -> None:
        self._scaled = scaled
        self._in_a_row = 0
        self._in_epoch = 0

    def count(self, *, taken: bool) -> None:
        """Notes what became of a step.

        Raises:
            TrainingError: there have been so many in a row that nothing is learnt any more.
        """
        if taken:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self._in_epoch += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            message = (
                f"the gradient was no number in {self._in_a_row} iterations in a row; the last "
                "checkpoint is kept. Continue with a lower learning rate, or look at the training "
                "images."
            )
            raise TrainingError(message)

    def end_epoch(self, iterations: int) -> None:
        """Says in the log how many steps of an epoch were left out.

        Raises:
            TrainingError: all of them, without a scaler that could be blamed.
        """
        left_out, self._in_epoch = self._in_epoch, 0
        if left_out >= iterations and not self._scaled:
            message = (
                f"none of the epoch's {iterations} iterations gave a gradient that is a number; "
                "nothing was learnt. Look at the training images, or take more iterations an epoch."
            )
            raise TrainingError(message)
        if left_out:
            logger.warning("%d of %d steps left out: no finite gradient", left_out, iterations)
