"""What the database itself refuses: changing history. And documents are compressed with lz4 where there is lz4."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION whetstone_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
"""

REVISION = """
CREATE TRIGGER revision_is_immutable BEFORE UPDATE ON curation_revision FOR EACH ROW
WHEN (OLD.document IS DISTINCT FROM NEW.document OR OLD.number <> NEW.number OR OLD.trajectory_id <> NEW.trajectory_id)
EXECUTE FUNCTION whetstone_refuse('a revision never changes; a correction is a new revision');
"""

AUDIT = """
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON curation_auditentry FOR EACH ROW
EXECUTE FUNCTION whetstone_refuse('the audit log is append-only');
"""

VERSION = """
CREATE TRIGGER version_is_frozen BEFORE UPDATE ON curation_datasetversion FOR EACH ROW
WHEN (OLD.state = 'done' AND (OLD.recipe IS DISTINCT FROM NEW.recipe OR OLD.content_hash <> NEW.content_hash
      OR OLD.train_sha256 <> NEW.train_sha256 OR OLD.eval_sha256 <> NEW.eval_sha256 OR OLD.number <> NEW.number
      OR NEW.state <> 'done'))
EXECUTE FUNCTION whetstone_refuse('a frozen dataset version never changes');
CREATE TRIGGER row_is_frozen BEFORE UPDATE ON curation_datasetrow FOR EACH ROW
EXECUTE FUNCTION whetstone_refuse('a row of a dataset version never changes');
"""

# lz4 where the server was built with it; the embedded one is not, and keeps PostgreSQL's own compression.
COMPRESSION = """
DO $$ BEGIN
    ALTER TABLE curation_revision ALTER COLUMN document SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("curation", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSE, "DROP FUNCTION whetstone_refuse();"),
        migrations.RunSQL(REVISION, "DROP TRIGGER revision_is_immutable ON curation_revision;"),
        migrations.RunSQL(AUDIT, "DROP TRIGGER audit_is_append_only ON curation_auditentry;"),
        migrations.RunSQL(
            VERSION,
            "DROP TRIGGER row_is_frozen ON curation_datasetrow;"
            "DROP TRIGGER version_is_frozen ON curation_datasetversion;",
        ),
        migrations.RunSQL(COMPRESSION, "ALTER TABLE curation_revision ALTER COLUMN document SET COMPRESSION default;"),
    ]
