from django.http import HttpResponse
from django.urls import path

from rows.views import rows

VERSION = "1"

urlpatterns = [
    path("api/rows/", rows),
    path("api/health/", lambda request: HttpResponse(f"version {VERSION}\n")),
]
