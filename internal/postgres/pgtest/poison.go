package pgtest

import (
	"context"
	"fmt"
	"testing"
)

// Poison makes the database refuse a consumer's effects of the events of a type, as a broken constraint would,
// until heal is called. The trigger is on the consumer's checkpoint, so that it affects nothing else.
func (db *DB) Poison(t testing.TB, consumer, eventType string) (heal func()) {
	t.Helper()
	c := db.Super(t)
	name := fmt.Sprintf("poison_%x", consumer+eventType)
	name = name[:min(len(name), 60)]
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Fatalf("poison %s for %s: %v", eventType, consumer, err)
		}
	}
	exec(fmt.Sprintf(`
		CREATE FUNCTION platforma.%[1]s() RETURNS trigger
		LANGUAGE plpgsql SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
		BEGIN
			IF EXISTS (
				SELECT FROM order_event e
				WHERE e.tenant_id = NEW.tenant_id AND e.order_id = NEW.order_id AND e.seq = NEW.seq
					AND e.type = '%[2]s')
			THEN
				RAISE EXCEPTION 'a secret of the database' USING ERRCODE = '23514';
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER %[1]s BEFORE INSERT OR UPDATE OF seq ON platforma.inbox
			FOR EACH ROW WHEN (NEW.consumer = '%[3]s') EXECUTE FUNCTION platforma.%[1]s()`,
		name, eventType, consumer))
	return func() {
		t.Helper()
		exec(fmt.Sprintf(`DROP TRIGGER %[1]s ON platforma.inbox; DROP FUNCTION platforma.%[1]s()`, name))
	}
}
