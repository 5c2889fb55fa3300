from django.db import models


class Row(models.Model):
    made = models.DateTimeField(auto_now_add=True)


class Tick(models.Model):
    made = models.DateTimeField(auto_now_add=True)
