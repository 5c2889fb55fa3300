from django.http import HttpResponse

from rows.models import Row


def rows(request):
    """POST makes a row; GET counts them."""
    if request.method == "POST":
        return HttpResponse(f"{Row.objects.create().pk}\n", status=201)
    return HttpResponse(f"{Row.objects.count()}\n")
