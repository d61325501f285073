"""What a queue has left, so that taking the next item is one step into an index. Triggers keep it, whoever writes."""

import django.contrib.postgres.fields
from django.db import migrations, models

FILL = """
UPDATE curation_queueitem item
SET band = coalesce(task.band, 0),
    free_slots = ARRAY(
        SELECT slot::smallint FROM generate_series(1, queue.reviews_wanted) AS slot
        WHERE NOT EXISTS (
            SELECT 1 FROM curation_reservation taken
            WHERE taken.item_id = item.id AND taken.slot = slot AND taken.state IN ('held', 'done')))
FROM curation_queue queue, curation_trajectory attempt, curation_task task
WHERE queue.id = item.queue_id AND attempt.id = item.trajectory_id AND task.id = attempt.task_id;
"""

NEW_ITEM = """
CREATE FUNCTION whetstone_open_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(task.band, 0) INTO NEW.band
    FROM curation_trajectory attempt JOIN curation_task task ON task.id = attempt.task_id
    WHERE attempt.id = NEW.trajectory_id;
    SELECT ARRAY(SELECT slot::smallint FROM generate_series(1, queue.reviews_wanted) AS slot) INTO NEW.free_slots
    FROM curation_queue queue WHERE queue.id = NEW.queue_id;
    RETURN NEW;
END $$;
CREATE TRIGGER new_item_is_open BEFORE INSERT ON curation_queueitem FOR EACH ROW
EXECUTE FUNCTION whetstone_open_item();
"""

SLOT = """
CREATE FUNCTION whetstone_follow_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was boolean := TG_OP <> 'INSERT' AND OLD.state IN ('held', 'done');
    is_taken boolean := TG_OP <> 'DELETE' AND NEW.state IN ('held', 'done');
BEGIN
    IF is_taken AND NOT was THEN
        UPDATE curation_queueitem SET free_slots = array_remove(free_slots, NEW.slot) WHERE id = NEW.item_id;
    ELSIF was AND NOT is_taken THEN
        UPDATE curation_queueitem SET free_slots = array_append(array_remove(free_slots, OLD.slot), OLD.slot)
        WHERE id = OLD.item_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slots_follow_reservations AFTER INSERT OR DELETE OR UPDATE OF state ON curation_reservation
FOR EACH ROW EXECUTE FUNCTION whetstone_follow_reservation();
"""

BAND = """
CREATE FUNCTION whetstone_follow_band() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE curation_queueitem item SET band = coalesce(NEW.band, 0)
    FROM curation_trajectory attempt
    WHERE attempt.id = item.trajectory_id AND attempt.task_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER items_follow_band AFTER UPDATE OF band ON curation_task FOR EACH ROW
WHEN (OLD.band IS DISTINCT FROM NEW.band) EXECUTE FUNCTION whetstone_follow_band();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('curation', '0003_every_import'),
    ]

    operations = [
        migrations.AddField(
            model_name='queueitem',
            name='band',
            field=models.SmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='queueitem',
            name='free_slots',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), default=list, editable=False, size=None),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='state',
            field=models.CharField(
                choices=[
                    ('held', 'Held'), ('done', 'Done'), ('released', 'Released'), ('skipped', 'Skipped'),
                    ('deferred', 'Put off'),
                ],
                default='held',
                max_length=8,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(
            NEW_ITEM,
            'DROP TRIGGER new_item_is_open ON curation_queueitem; DROP FUNCTION whetstone_open_item();',
        ),
        migrations.RunSQL(
            SLOT,
            'DROP TRIGGER slots_follow_reservations ON curation_reservation;'
            'DROP FUNCTION whetstone_follow_reservation();',
        ),
        migrations.RunSQL(
            BAND, 'DROP TRIGGER items_follow_band ON curation_task; DROP FUNCTION whetstone_follow_band();'
        ),
        migrations.AddIndex(
            model_name='queueitem',
            index=models.Index(condition=models.Q(('free_slots', []), _negated=True), fields=['queue', 'rank', 'id'], name='open_item_by_rank'),
        ),
        migrations.AddIndex(
            model_name='queueitem',
            index=models.Index(condition=models.Q(('free_slots', []), _negated=True), fields=['queue', 'band', 'rank', 'id'], name='open_item_by_band'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['expires_at'], name='held_by_end'),
        ),
    ]
