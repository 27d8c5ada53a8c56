"""What an operator can do with a workflow: pause and resume it, override its limits."""

import json
from collections.abc import Mapping
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
from workflows.admin.event_actions import DataForm
from workflows.errors import InvalidWorkflow, WorkflowsError
from workflows.models import RegisteredWorkflow


class WorkflowActions:
    """The views behind the buttons of a workflow's page. They translate; `client` decides."""

    admin_site: AdminSite

    def pause_view(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        """Ask for a reason, then let no run of a workflow start."""
        require(request, "pause_workflow")
        workflow = get_object_or_404(RegisteredWorkflow, pk=workflow_id)
        return act_with_reason(
            request,
            partial(client.pause_workflow, workflow.pk),
            site=self.admin_site,
            title=_("Pause this workflow"),
            template="workflows/pause_workflow.html",
            shown={"workflow": workflow},
            done=_("Paused: no run of it starts until somebody resumes it."),
            then=_page_of(workflow),
        )

    def resume_view(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        """Let a paused workflow's runs start again."""
        require(request, "pause_workflow")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        workflow = get_object_or_404(RegisteredWorkflow, pk=workflow_id)
        actor = actor_of(request)
        attempt(
            request,
            lambda: client.resume_workflow(workflow.pk, actor=actor),
            _("Resumed: its runs start again."),
        )
        return _page_of(workflow)

    def invoke_view(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        """Ask for data, then start a run of a workflow on these."""
        require(request, "send_event")
        workflow = get_object_or_404(RegisteredWorkflow, pk=workflow_id)
        form = DataForm(request.POST or None, initial={"event_data": {}})
        if request.method == "POST" and form.is_valid():
            asked = form.cleaned_data
            try:
                run = client.invoke_workflow(
                    workflow.pk,
                    asked["event_data"],
                    actor=actor_of(request),
                    reason=asked["reason"],
                )
                return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[run.pk]))
            except WorkflowsError as error:
                form.add_error(None, str(error))
        template = "workflows/invoke_workflow.html"
        return self._ask_about(request, workflow, form, template, _("Invoke this workflow"))

    def override_view(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        """Ask for limits, and put them in the place of the code's own."""
        require(request, "override_workflow")
        workflow = get_object_or_404(RegisteredWorkflow, pk=workflow_id)
        form = OverrideForm(request.POST or None, workflow=workflow)
        if request.method == "POST" and form.is_valid():
            try:
                client.override_workflow(
                    workflow.pk,
                    form.overrides(),
                    actor=actor_of(request),
                    reason=form.cleaned_data["reason"],
                )
                return _page_of(workflow)
            except InvalidWorkflow as error:
                form.add_error(None, str(error))
        template = "workflows/override_workflow.html"
        return self._ask_about(request, workflow, form, template, _("Override limits"))

    def reset_view(self, request: HttpRequest, workflow_id: str) -> HttpResponse:
        """Let the code's own limits hold again."""
        require(request, "override_workflow")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        workflow = get_object_or_404(RegisteredWorkflow, pk=workflow_id)
        actor = actor_of(request)
        attempt(
            request,
            lambda: client.override_workflow(workflow.pk, {}, actor=actor),
            _("The code's own limits hold again."),
        )
        return _page_of(workflow)

    def _ask_about(
        self,
        request: HttpRequest,
        workflow: RegisteredWorkflow,
        form: forms.Form,
        template: str,
        title: str,
    ) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "workflow": workflow}
        return render(request, template, {**context, "form": form})


class OverrideForm(forms.Form):
    """Asks for each limit: empty is the code's own, null is none."""

    concurrency = forms.CharField(
        label=gettext_lazy("Concurrency"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "wf-short", "spellcheck": "false"}),
    )
    throttle = forms.CharField(
        label=gettext_lazy("Throttle"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "wf-short", "spellcheck": "false"}),
    )
    retries = forms.CharField(label=gettext_lazy("Retries"), required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=LONGEST_REASON)

    def __init__(self, data: Any, *, workflow: RegisteredWorkflow) -> None:
        overrides: Mapping[str, Any] = workflow.overrides
        super().__init__(data, initial={name: json.dumps(overrides[name]) for name in overrides})
        for name in ("concurrency", "throttle", "retries"):
            own = json.dumps(_as_written(workflow.declaration[name]))
            text = _("The code's own: %(own)s. Empty leaves it so; null is none.")
            self.fields[name].help_text = text % {"own": own}

    def clean(self) -> dict[str, Any]:
        """Read what was written as JSON."""
        asked = super().clean() or {}
        for name in ("concurrency", "throttle", "retries"):
            if asked.get(name):
                try:
                    asked[name] = json.loads(asked[name])
                except ValueError:
                    self.add_error(name, _("This is no JSON."))
        return asked

    def overrides(self) -> dict[str, Any]:
        """Return what is not left as the code has it."""
        names = ("concurrency", "throttle", "retries")
        return {
            name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name) != ""
        }


def _as_written(declared: Any) -> Any:
    """Return a declared limit as an operator would write it: durations as text."""
    if not isinstance(declared, Mapping):
        return declared
    written = {name: value for name, value in declared.items() if value is not None}
    if "period_ms" in written:
        written["period"] = f"{written.pop('period_ms') / 1000:g}s"
    return written


def _page_of(workflow: RegisteredWorkflow) -> HttpResponseRedirect:
    page = reverse("admin:workflows_registeredworkflow_change", args=[workflow.pk])
    return HttpResponseRedirect(page)
