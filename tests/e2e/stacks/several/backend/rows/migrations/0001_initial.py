from django.db import migrations, models


def table(name):
    return migrations.CreateModel(
        name=name,
        fields=[
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("made", models.DateTimeField(auto_now_add=True)),
        ],
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [table("Row"), table("Tick")]
