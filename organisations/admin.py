"""Organisations for the people who look after them."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from organisations.models import Account, HistoryEntry, Organisation, OrganisationAccount


class HistoryInline(admin.TabularInline[HistoryEntry, Organisation]):
    """What happened to an organisation: workflows tell it, people read it."""

    model = HistoryEntry
    fields = ["happened_at", "text", "event_id"]
    readonly_fields = ["happened_at", "text", "event_id"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Organisation | None = None) -> bool:
        """Refuse: history is what happened, not what somebody typed."""
        return False


class AccountInline(admin.TabularInline[OrganisationAccount, Organisation]):
    """The accounts behind an organisation."""

    model = OrganisationAccount
    fields = ["account", "created_at"]
    readonly_fields = ["created_at"]
    autocomplete_fields = ["account"]
    extra = 0


class OrganisationInline(admin.TabularInline[OrganisationAccount, Account]):
    """The organisations that an account is behind; they are linked from their own pages."""

    model = OrganisationAccount
    fields = ["organisation", "created_at"]
    readonly_fields = ["organisation", "created_at"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Account | None = None) -> bool:
        """Refuse: a link is made on the organisation's page."""
        return False


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin[Organisation]):
    """Find an organisation, see who is behind it and what happened to it, confirm it."""

    list_display = ["name", "status", "account_count", "diffbot_id", "created_at"]
    list_filter = ["status", "created_at"]
    search_fields = ["name", "=id", "=diffbot_id", "=accounts__id"]
    search_help_text = "A part of the name, or the whole id of an organisation, Diffbot or account."
    date_hierarchy = "created_at"
    fields = ["id", "name", "status", "diffbot_id", "created_at"]
    readonly_fields = ["id", "created_at"]
    inlines = [AccountInline, HistoryInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organisation]:
        """Count each organisation's accounts in the query that lists them."""
        counted: QuerySet[Organisation] = (
            super().get_queryset(request).annotate(account_count=Count("links"))
        )
        return counted

    @admin.display(description="accounts", ordering="account_count")
    def account_count(self, organisation: Organisation) -> int:
        """Give the number of accounts behind the organisation."""
        count: int = organisation.account_count  # type: ignore[attr-defined] # of the query above
        return count

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: an organisation begins with an account's request, which a workflow serves."""
        return False


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin[Account]):
    """Find an account and the organisations it is behind."""

    list_display = ["id", "organisation_count", "first_seen_at"]
    search_fields = ["id"]
    fields = ["id", "first_seen_at"]
    readonly_fields = ["id", "first_seen_at"]
    inlines = [OrganisationInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        """Count each account's organisations in the query that lists them."""
        counted: QuerySet[Account] = (
            super().get_queryset(request).annotate(organisation_count=Count("links"))
        )
        return counted

    @admin.display(description="organisations", ordering="organisation_count")
    def organisation_count(self, account: Account) -> int:
        """Give the number of organisations the account is behind."""
        count: int = account.organisation_count  # type: ignore[attr-defined] # of the query above
        return count

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: accounts live outside, and are recorded when they are first heard of."""
        return False
