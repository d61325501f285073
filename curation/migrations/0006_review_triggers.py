"""Triggers that know pairs, gold items and rubrics, in place of those of 0004."""

from django.db import migrations

NEW_ITEM = """
CREATE OR REPLACE FUNCTION whetstone_open_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(task.band, 0) INTO NEW.band FROM curation_task task
    WHERE task.id = coalesce(
        (SELECT attempt.task_id FROM curation_trajectory attempt WHERE attempt.id = NEW.trajectory_id),
        (SELECT pair.task_id FROM curation_preferencepair pair WHERE pair.id = NEW.pair_id));
    SELECT ARRAY(
        SELECT slot::smallint FROM generate_series(1, queue.reviews_wanted) AS slot
        WHERE NOT NEW.gold AND NOT EXISTS (
            SELECT 1 FROM curation_reservation taken
            WHERE taken.item_id = NEW.id AND taken.slot = slot::smallint AND taken.state IN ('held', 'done')))
    INTO NEW.free_slots FROM curation_queue queue WHERE queue.id = NEW.queue_id;
    RETURN NEW;
END $$;
CREATE TRIGGER gold_item_has_no_slots BEFORE UPDATE OF gold ON curation_queueitem FOR EACH ROW
WHEN (OLD.gold <> NEW.gold) EXECUTE FUNCTION whetstone_open_item();
"""
OLD_NEW_ITEM = """
DROP TRIGGER gold_item_has_no_slots ON curation_queueitem;
CREATE OR REPLACE FUNCTION whetstone_open_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(task.band, 0) INTO NEW.band
    FROM curation_trajectory attempt JOIN curation_task task ON task.id = attempt.task_id
    WHERE attempt.id = NEW.trajectory_id;
    SELECT ARRAY(SELECT slot::smallint FROM generate_series(1, queue.reviews_wanted) AS slot) INTO NEW.free_slots
    FROM curation_queue queue WHERE queue.id = NEW.queue_id;
    RETURN NEW;
END $$;
"""

# A reservation of a gold item has no slot; one that was made before its item became gold keeps the slot it had.
SLOT = """
CREATE OR REPLACE FUNCTION whetstone_follow_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was boolean := TG_OP <> 'INSERT' AND OLD.state IN ('held', 'done') AND OLD.slot IS NOT NULL;
    is_taken boolean := TG_OP <> 'DELETE' AND NEW.state IN ('held', 'done') AND NEW.slot IS NOT NULL;
BEGIN
    IF is_taken AND NOT was THEN
        UPDATE curation_queueitem SET free_slots = array_remove(free_slots, NEW.slot)
        WHERE id = NEW.item_id AND NOT gold;
    ELSIF was AND NOT is_taken THEN
        UPDATE curation_queueitem SET free_slots = array_append(array_remove(free_slots, OLD.slot), OLD.slot)
        WHERE id = OLD.item_id AND NOT gold;
    END IF;
    RETURN NULL;
END $$;
"""
OLD_SLOT = """
CREATE OR REPLACE FUNCTION whetstone_follow_reservation() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""

BAND = """
CREATE OR REPLACE FUNCTION whetstone_follow_band() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE curation_queueitem item SET band = coalesce(NEW.band, 0)
    FROM curation_trajectory attempt
    WHERE attempt.id = item.trajectory_id AND attempt.task_id = NEW.id;
    UPDATE curation_queueitem item SET band = coalesce(NEW.band, 0)
    FROM curation_preferencepair pair
    WHERE pair.id = item.pair_id AND pair.task_id = NEW.id;
    RETURN NULL;
END $$;
"""
OLD_BAND = """
CREATE OR REPLACE FUNCTION whetstone_follow_band() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE curation_queueitem item SET band = coalesce(NEW.band, 0)
    FROM curation_trajectory attempt
    WHERE attempt.id = item.trajectory_id AND attempt.task_id = NEW.id;
    RETURN NULL;
END $$;
"""

RUBRIC = """
CREATE TRIGGER rubric_is_immutable BEFORE UPDATE ON curation_rubric FOR EACH ROW
WHEN (OLD.guidelines <> NEW.guidelines OR OLD.criteria IS DISTINCT FROM NEW.criteria OR OLD.number <> NEW.number
      OR OLD.queue_id <> NEW.queue_id)
EXECUTE FUNCTION whetstone_refuse('a rubric never changes; a change is a new version');
"""

# What the schema before 0005 has no place for: items that are pairs, reservations without a slot, and a pair of one
# turn beside one of the same two attempts. The way back leaves them out; all other pairs and judgements, and all
# reviews, stay. The foreign keys are checked here and now, as a table with checks to come cannot be altered.
LEAVE_OUT = """
DELETE FROM curation_reservation reservation USING curation_queueitem item
WHERE item.id = reservation.item_id AND (item.pair_id IS NOT NULL OR reservation.slot IS NULL);
UPDATE curation_judgement SET item_id = NULL WHERE item_id IS NOT NULL;
DELETE FROM curation_queueitem WHERE pair_id IS NOT NULL;
CREATE TEMPORARY TABLE doubled ON COMMIT DROP AS
SELECT turn.id FROM curation_preferencepair turn JOIN curation_preferencepair whole
ON least(turn.chosen_id, turn.rejected_id) = least(whole.chosen_id, whole.rejected_id)
   AND greatest(turn.chosen_id, turn.rejected_id) = greatest(whole.chosen_id, whole.rejected_id)
WHERE turn.step_only AND NOT whole.step_only;
DELETE FROM curation_judgement WHERE pair_id IN (SELECT id FROM doubled);
DELETE FROM curation_preferencepair WHERE id IN (SELECT id FROM doubled);
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [('curation', '0005_review_workbench')]

    operations = [
        migrations.RunSQL(NEW_ITEM, OLD_NEW_ITEM),
        migrations.RunSQL(SLOT, OLD_SLOT),
        migrations.RunSQL(BAND, OLD_BAND),
        migrations.RunSQL(RUBRIC, "DROP TRIGGER rubric_is_immutable ON curation_rubric;"),
        migrations.RunSQL(migrations.RunSQL.noop, LEAVE_OUT),
    ]
