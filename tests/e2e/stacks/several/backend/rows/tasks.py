from celery import shared_task

from rows.models import Tick


@shared_task
def tick():
    Tick.objects.create()
