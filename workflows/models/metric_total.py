"""Metric totals: what has been counted since ever, so that a scrape adds up no history."""

from django.db import models

NO_BUCKET = -1


class MetricTotal(models.Model):
    """One number of a metric: a counter, or how many durations one bucket of a histogram holds."""

    metric = models.CharField(max_length=20)
    workflow = models.CharField(max_length=256, help_text="Empty: of no workflow.")
    label = models.CharField(max_length=20, help_text="The result, or the step's op; or empty.")
    bucket = models.SmallIntegerField(help_text="Its place among the buckets; -1: a counter.")
    count = models.BigIntegerField(default=0)
    total_ms = models.BigIntegerField(default=0, help_text="All of the durations together.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["metric", "workflow", "label", "bucket"], name="metric_total_is_there_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.workflow} {self.label} {self.bucket}: {self.count}"
