"""Tags of the operators' pages."""

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from workflows.admin import display
from workflows.admin.timeline import Bar

register = template.Library()

register.simple_tag(display.badge, name="badge")
register.simple_tag(display.moment, name="moment")
register.simple_tag(display.pretty_json, name="json")


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
