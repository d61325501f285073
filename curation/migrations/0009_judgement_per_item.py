from django.db import migrations, models

# Backwards, a reviewer keeps one judgement of a pair: their decision, else the newest.
KEEP_ONE = """
DELETE FROM curation_judgement AS older USING curation_judgement AS newer
WHERE older.pair_id = newer.pair_id AND older.reviewer_id = newer.reviewer_id
  AND (older.decides, older.id) < (newer.decides, newer.id)
"""


class Migration(migrations.Migration):

    dependencies = [('curation', '0008_pair_swapped')]

    operations = [
        migrations.RemoveConstraint(model_name='judgement', name='one_judgement_per_reviewer'),
        migrations.AddConstraint(
            model_name='judgement',
            constraint=models.UniqueConstraint(fields=('pair', 'reviewer', 'item'), name='one_judgement_per_item'),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, KEEP_ONE),
    ]
