"""Run tags: the business keys by which operators find runs."""

from django.db import models

from workflows.models.run import Run

LONGEST_VALUE = 200  # characters; a longer value is cut


class RunTag(models.Model):
    """One tag of one run, as in `customer:4711`."""

    run = models.ForeignKey(
        Run, models.DO_NOTHING, related_name="tag_rows", db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=100)
    value = models.CharField(max_length=LONGEST_VALUE)

    class Meta:
        indexes = [
            models.Index(fields=["name", "value", "run"], name="run_tag_search"),
            models.Index(fields=["run"], name="run_tag_of_run"),
        ]

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"
