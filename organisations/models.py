"""What is stored of organisations: themselves, the accounts behind them, and their history."""

import uuid

from django.db import models

NAME_LENGTH = 255
ACCOUNT_ID_LENGTH = 255
DIFFBOT_ID_LENGTH = 255


class Account(models.Model):
    """Somebody who asks for organisations, known by the id that the accounts' own system gave.

    Accounts live outside this platform: one is recorded when it is first heard of.
    """

    id = models.CharField(primary_key=True, max_length=ACCOUNT_ID_LENGTH)
    first_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-first_seen_at", "id"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(id=""), name="account_has_an_id"),
        ]

    def __str__(self) -> str:
        return self.id


class Organisation(models.Model):
    """An organisation that an account asked for."""

    class Status(models.TextChoices):
        """Whether anybody has confirmed that the organisation is what its name says."""

        PROVISIONAL = "provisional"
        CONFIRMED = "confirmed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=NAME_LENGTH)
    status = models.CharField(max_length=16, choices=Status, default=Status.PROVISIONAL)
    # Not unique: two accounts may ask for the same organisation before anybody confirms either.
    diffbot_id = models.CharField(
        "Diffbot id", max_length=DIFFBOT_ID_LENGTH, blank=True, default="", db_index=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    accounts = models.ManyToManyField(
        Account, through="OrganisationAccount", related_name="organisations"
    )

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(name=""), name="organisation_has_a_name"),
            models.CheckConstraint(
                condition=models.Q(status__in=["provisional", "confirmed"]),
                name="organisation_status_is_known",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "id"], name="organisations_newest_first"),
        ]

    def __str__(self) -> str:
        return self.name


class OrganisationAccount(models.Model):
    """The link that makes an account one of those behind an organisation."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="links")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="links")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "link to an account"
        verbose_name_plural = "links to accounts"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "account"], name="organisation_is_linked_to_an_account_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id} for {self.account_id}"


class HistoryEntry(models.Model):
    """One line of what happened to an organisation, told by the event that says so."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="history")
    event_id = models.CharField(max_length=64)
    text = models.CharField(max_length=512)
    happened_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "history"
        ordering = ["happened_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "event_id"], name="history_tells_an_event_once"
            ),
        ]

    def __str__(self) -> str:
        return self.text
