"""Bind log lines to where they were written: every logger's lines, a library's too."""

import logging
import sys

CONTEXT = "workflows.engine.context"


class BindRun(logging.Filter):
    """Gives each record the run, its workflow and the step in whose code it was written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Bind the record; keep every one."""
        # Logging is set up before models can be imported; until the module is there, nothing runs.
        context = sys.modules.get(CONTEXT)
        place = context and context.current_place()
        if place:
            record.run = place.execution.run.id
            record.workflow = place.execution.run.workflow
            record.step = place.step_id
        return True
