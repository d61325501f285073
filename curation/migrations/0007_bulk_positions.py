"""How far a bulk action got, what it left, and what each change was before."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('curation', '0006_review_triggers'),
    ]

    operations = [
        migrations.AddField(
            model_name='bulkaction',
            name='idempotency_key',
            field=models.CharField(blank=True, help_text='Of the request that asked for it.', max_length=200),
        ),
        migrations.AddField(
            model_name='bulkaction',
            name='left_out',
            field=models.JSONField(default=dict, help_text='Why trajectories were left as they are: reason to number.'),
        ),
        migrations.AddField(
            model_name='bulkaction',
            name='position',
            field=models.BigIntegerField(default=0, help_text='The last trajectory that was dealt with, or taken back.'),
        ),
        migrations.AddField(
            model_name='bulkchange',
            name='added_item',
            field=models.BooleanField(default=False, help_text='Whether it put the trajectory into the queue.'),
        ),
        migrations.AddField(
            model_name='bulkchange',
            name='assignee_before',
            field=models.ForeignKey(help_text='Whose the item was before.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='bulkaction',
            name='undone_at',
            field=models.DateTimeField(blank=True, help_text='Since when it is being, or is, taken back.', null=True),
        ),
        migrations.AddConstraint(
            model_name='bulkaction',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('project', 'idempotency_key'), name='one_bulk_action_per_idempotency_key'),
        ),
    ]
