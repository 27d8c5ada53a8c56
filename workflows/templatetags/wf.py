"""Tags of the operators' pages: they ask `workflows.admin`, and only draw here."""

from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from workflows.admin import dashboard as board
from workflows.admin import display
from workflows.admin import filter_bar as bar
from workflows.admin.menu import Group, menu_for
from workflows.admin.redaction import masked_for
from workflows.admin.timeline import Bar

register = template.Library()

register.simple_tag(display.badge, name="badge")
register.simple_tag(display.moment, name="moment")
register.simple_tag(display.duration, name="duration")
register.simple_tag(display.capped, name="capped")
register.simple_tag(display.link, name="link")
register.simple_tag(display.link_to_badge, name="link_to_badge")
register.simple_tag(display.local, name="local")
register.simple_tag(display.lateness, name="lateness")
register.simple_tag(display.overdue, name="overdue")
register.filter("visible", display.visible)
register.simple_tag(display.sentence, name="sentence")
register.simple_tag(bar.pages, name="pages")


@register.simple_tag(takes_context=True, name="json")
def shown_json(context: dict[str, Any], value: Any) -> SafeString:
    """Write JSON as the operator may see it."""
    return display.pretty_json(masked_for(context["request"], value))


@register.simple_tag(takes_context=True)
def menu(context: dict[str, Any]) -> list[Group]:
    """Give the menu, as far as the operator may see it."""
    return menu_for(context["request"], context.get("available_apps") or [])


@register.simple_tag(takes_context=True)
def dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Give what the dashboard shows."""
    return board.dashboard(context["request"])


@register.simple_tag(takes_context=True)
def filter_bar(context: dict[str, Any], changes: ChangeList) -> bar.FilterBar:
    """Give the bar above a list."""
    return bar.filter_bar(changes, context["request"])


@register.simple_tag
def action_buttons(form: Any) -> list[tuple[str, str]]:
    """Give what can be done with the rows that are selected: a button each."""
    return [(name, title) for name, title in form.fields["action"].choices if name]


@register.simple_tag
def bars(given: Bar | list[Bar]) -> SafeString:
    """Draw stretches of time; what they say stands in words beside them."""
    drawn: Any = given if isinstance(given, list) else [given]
    rects = format_html_join(
        "",
        '<rect class="wf-bar wf-{}" x="{}%" y="2" width="{}%" height="12" rx="2"></rect>',
        ((bar.kind, bar.left, bar.width) for bar in drawn),
    )
    return format_html(
        '<svg class="wf-bars" height="16" width="100%" aria-hidden="true">{}</svg>', rects
    )
