import os
import time

from django.core.cache import cache
from django.db import connection
from django.http import HttpResponseNotAllowed, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from .models import Certificate

RELEASE = os.environ.get("ESTIBA_RELEASE", "local")
SLOW_LIMIT = 10.0


def home(request):
    return render(request, "home.html", {"release": RELEASE, "certificates": Certificate.objects.all()[:20]})


def health(request):
    """200 when the database and the cache answer, else 503 and which of them does not."""
    checks = {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        checks["database"] = "ok"
    except Exception as error:
        checks["database"] = type(error).__name__
    try:
        cache.set("health", "1", 5)
        checks["cache"] = "ok"
    except Exception as error:
        checks["cache"] = type(error).__name__
    healthy = all(answer == "ok" for answer in checks.values())
    return JsonResponse({"release": RELEASE, **checks}, status=200 if healthy else 503)


@csrf_exempt
def certificates(request):
    """GET: how many there are. POST holder=NAME: issues one and says its number."""
    if request.method == "GET":
        return JsonResponse({"release": RELEASE, "count": Certificate.objects.count()})
    if request.method == "POST":
        certificate = Certificate.objects.create(holder=request.POST.get("holder", "")[:200])
        return JsonResponse({"release": RELEASE, "id": certificate.pk}, status=201)
    return HttpResponseNotAllowed(["GET", "POST"])


def slow(request):
    """Answers after `seconds` (10 at most), to see what a deploy does to requests in flight."""
    seconds = min(float(request.GET.get("seconds", "3")), SLOW_LIMIT)
    time.sleep(seconds)
    return JsonResponse({"release": RELEASE, "slept": seconds})
