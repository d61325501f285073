"""Gold items of a queue and how people do on them. For curators: nobody else may learn which items they are."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from curation.decision_forms import GoldForm, GoldPairForm
from curation.models import Queue, QueueItem, Role
from curation.permissions import Access, access_project, get_pair, get_queue, get_queue_item, get_trajectory
from curation.selectors.gold import list_decided, list_decided_pairs, list_gold, list_wrong_answers, measure_accuracy
from curation.services.gold import mark_decided_gold, mark_gold, mark_gold_pair, unmark_gold
from curation.views.pages import page_context
from curation.views.queue_tabs import tabs_context

WRONG_SHOWN = 50
DECIDED_SHOWN = 10


@require_http_methods(["GET", "POST"])
def queue_gold(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET lists gold items, and with `reviewer` in the address what that person got wrong; POST adds one."""
    access = access_project(request, project, Role.CURATOR)
    queue = get_queue(access, pk)
    pairwise = queue.kind == Queue.Kind.PAIRWISE
    form = (GoldPairForm if pairwise else GoldForm)(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _mark(access, queue, form)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "It is a gold item now.")
            return redirect("curation:queue-gold", project, pk)
    number = request.GET.get("reviewer", "")
    reviewer = int(number) if number.isdecimal() and len(number) < 19 else 0
    accuracy = measure_accuracy(queue)
    decided = list_decided_pairs(queue).select_related("pair__task") if pairwise else list_decided(queue)
    context = {
        **tabs_context(access, queue, "gold"),
        **page_context(request, list_gold(queue)),
        "form": form,
        "accuracy": accuracy,
        "person": next((one for one in accuracy if one.reviewer == reviewer), None),
        "wrong": list_wrong_answers(queue, reviewer).order_by("-pk")[:WRONG_SHOWN] if reviewer else [],
        "decided": decided.order_by("-pk")[:DECIDED_SHOWN],
        "decided_count": decided.count(),
    }
    return render(request, "curation/queue_gold.html", context)


@require_POST
def queue_gold_decided(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Everything that curators decided becomes gold, as far as nobody met it in this queue."""
    access = access_project(request, project, Role.CURATOR)
    number = mark_decided_gold(access, get_queue(access, pk))
    messages.success(request, f"{number:,} decided {'item is' if number == 1 else 'items are'} gold now.")
    return redirect("curation:queue-gold", project, pk)


@require_POST
def queue_unmark(request: HttpRequest, project: str, pk: int, item: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    if unmark_gold(access, get_queue_item(access, get_queue(access, pk), item)):
        messages.success(request, "It is an ordinary item again; what was answered to it counts from now on.")
    else:
        messages.warning(request, "It was no gold item any more.")
    return redirect("curation:queue-gold", project, pk)


def _mark(access: Access, queue: Queue, form: GoldForm | GoldPairForm) -> QueueItem:
    fields = form.cleaned_data
    if isinstance(form, GoldPairForm):
        pair = get_pair(access, fields["pair"])
        winner = pair.chosen_id if fields["winner"] == "chosen" else pair.rejected_id
        return mark_gold_pair(access, queue, pair, winner=winner)
    trajectory = get_trajectory(access, fields["trajectory"])
    return mark_gold(access, queue, trajectory, verdict=fields["verdict"], grade=fields["grade"])
