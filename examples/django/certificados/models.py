from django.db import models


class Certificate(models.Model):
    """A certificate that was issued to somebody."""

    holder = models.CharField(max_length=200)
    document = models.FileField(upload_to="certificados/", blank=True)
    issued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-issued_at"]

    def __str__(self):
        return self.holder
