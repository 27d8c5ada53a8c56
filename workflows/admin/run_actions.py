"""What an operator can do with one run: retry it, replay it, cancel it."""

from functools import partial
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows import client
from workflows.admin.acting import LONGEST_REASON, act_with_reason, actor_of, attempt, require
from workflows.admin.event_actions import IndentedJson
from workflows.admin.redaction import MisplacedMaskError, masked, sees_all, unmasked
from workflows.admin.timeline import step_name
from workflows.models import Run


class RunActions:
    """The views behind the buttons of a run's page. They translate; `client` decides."""

    admin_site: AdminSite

    def retry_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Take one failed run up again."""
        require(request, "retry_run")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        run = get_object_or_404(Run, pk=run_id)
        actor = actor_of(request)
        attempt(request, lambda: client.retry_run(run.pk, actor=actor), _("The run goes on."))
        return _page_of(run)

    def cancel_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Ask for a reason, then cancel one run."""
        require(request, "cancel_run")
        run = get_object_or_404(Run, pk=run_id)
        return act_with_reason(
            request,
            partial(client.cancel_run, run.pk),
            site=self.admin_site,
            title=_("Cancel this run"),
            template="workflows/cancel_run.html",
            shown={"run": run},
            done=_("The run is cancelled."),
            then=_page_of(run),
        )

    def replay_view(self, request: HttpRequest, run_id: str) -> HttpResponse:
        """Ask from which step, and on which data; then start a new run."""
        require(request, "replay_run")
        run = get_object_or_404(Run.objects.select_related("event"), pk=run_id)
        sees_payloads = request.user.has_perm("workflows.view_payload")
        form = ReplayForm(
            request.POST or None,
            run=run,
            from_step=request.GET.get("from_step", ""),
            sees_payloads=sees_payloads,
            sees_all=sees_all(request),
        )
        if request.method != "POST" or not form.is_valid():
            context = {**self.admin_site.each_context(request), "title": _("Replay this run")}
            context |= {"run": run, "form": form}
            return render(request, "workflows/replay_run.html", context)
        asked, actor = form.cleaned_data, actor_of(request)
        new = attempt(
            request,
            lambda: client.replay_run(
                run.pk,
                from_step=asked["from_step"] or None,
                data=form.changed_event_data(),
                reason=asked["reason"],
                actor=actor,
            ),
            _("A new run has begun: this is its page."),
        )
        return _page_of(new or run)


class ReplayForm(forms.Form):
    """Asks from which step on, on which data, and why."""

    from_step = forms.ChoiceField(
        label=gettext_lazy("From"),
        required=False,
        help_text=gettext_lazy(
            "The results of the steps before it are kept; it and all that follow run anew."
        ),
    )
    event_data = forms.JSONField(
        label=gettext_lazy("Event data"),
        required=False,
        help_text=gettext_lazy("Change it to replay on other data; the event itself stays."),
        encoder=IndentedJson,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), required=False, max_length=LONGEST_REASON
    )

    def __init__(
        self, data: Any, *, run: Run, from_step: str, sees_payloads: bool, sees_all: bool
    ) -> None:
        self._own_data = run.event.data
        self._sees_all = sees_all
        shown = self._own_data if sees_all else masked(self._own_data)
        super().__init__(data, initial={"event_data": shown, "from_step": from_step})
        names = [step_name(step) for step in run.steps.order_by("sequence")]
        choices = [("", _("the beginning")), *((name, name) for name in names)]
        self.fields["from_step"].choices = choices  # type: ignore[attr-defined]
        if not sees_payloads:
            del self.fields["event_data"]

    def clean_event_data(self) -> Any:
        """Refuse what is no object."""
        data = self.cleaned_data["event_data"]
        if data is not None and not isinstance(data, dict):
            raise forms.ValidationError(_("Event data is an object: {...}."))
        try:
            return data if self._sees_all else unmasked(data, self._own_data)
        except MisplacedMaskError as error:
            raise forms.ValidationError(str(error)) from error

    def changed_event_data(self) -> dict[str, Any] | None:
        """Return the data, where it is other than the event's."""
        data: dict[str, Any] | None = self.cleaned_data.get("event_data")
        return None if data is None or data == self._own_data else data


def _page_of(run: Run) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[run.pk]))
