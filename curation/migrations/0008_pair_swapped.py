from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('curation', '0007_bulk_positions')]

    operations = [
        migrations.AddField(
            model_name='preferencepair',
            name='swapped',
            field=models.BooleanField(
                default=False, help_text='Judgements hold the other way round than it was proposed or imported.'
            ),
        ),
    ]
