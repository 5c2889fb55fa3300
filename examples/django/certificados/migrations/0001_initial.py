from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Certificate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("holder", models.CharField(max_length=200)),
                ("document", models.FileField(blank=True, upload_to="certificados/")),
                ("issued_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-issued_at"]},
        ),
    ]
