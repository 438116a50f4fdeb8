package kafka_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// auditor is the Audit consumer on a real database: its use cases, its audit log, and the errors that
// it logs.
type auditor struct {
	*app.App
	t      *testing.T
	b      *kafkatest.Broker
	log    app.AuditLog
	errors *errorLog
}

func newAuditor(t *testing.T, b *kafkatest.Broker, db *pgtest.DB) *auditor {
	t.Helper()
	login, errors := db.Audit(t), &errorLog{}
	a := app.New(app.Deps{
		Store: login, AuditLog: login, Clock: db.Clock, NewID: db.Clock.NewID, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(errors, nil)),
	})
	return &auditor{a, t, b, login, errors}
}

// read runs the Audit consumer in the given group until it has handled n records. A new group reads the
// topic from its start. applyAll is nil if the events are applied one by one.
func (a *auditor) read(group string, applyAll app.EffectAll, n int64) {
	a.t.Helper()
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: a.b.Cluster, Refusals: a.AuditRefusals(), Clock: a.Clock,
		Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(a.t),
	}, kafka.Subscription{Consumer: event.Audit, Group: group + a.b.Names.Events, Apply: a.AuditEvent, ApplyAll: applyAll})
	stop := start(a.t, run(c))
	kafkatest.Eventually(a.t, "the Audit consumer has read the topic", func() bool {
		s := c.Status()
		return s.Applied+s.Duplicates+s.Refused == n
	})
	stop()
}

// findings lists the audit findings about a tenant, sorted.
func (a *auditor) findings(of tenant.ID) (all []string) {
	a.t.Helper()
	fs, err := a.log.Findings(a.t.Context(), of, time.Time{})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range fs {
		what := fmt.Sprintf("%s %d", f.Kind, f.Seq)
		if f.Kind == auditlog.Foreign {
			what, _, _ = strings.Cut(f.Detail, ":")
		}
		all = append(all, what)
	}
	slices.Sort(all)
	return all
}

// wantUnbroken verifies a tenant's hash chain and the number of its entries.
func (a *auditor) wantUnbroken(of tenant.ID, n int64) {
	a.t.Helper()
	v := auditlog.NewVerifier()
	v.Begin(of)
	if err := app.EachEntry(a.t.Context(), a.log, of, func(entry auditlog.Entry) error {
		v.Add(entry)
		return nil
	}); err != nil {
		a.t.Fatal(err)
	}
	if c := v.Chains()[0]; c.Broken != nil || c.Head.N != n {
		a.t.Errorf("the chain has %d entries, broken: %v; want %d, unbroken", c.Head.N, c.Broken, n)
	}
}

// errorLog keeps the lines of a log that have the level of errors.
type errorLog struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

// Write keeps a line if it is an error.
func (l *errorLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(line, []byte("level=ERROR")) {
		l.lines = append(l.lines, string(line))
	}
	return len(line), nil
}

func (l *errorLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

func without(r *kgo.Record, header string) *kgo.Record {
	r.Headers = slices.DeleteFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == header })
	return r
}

func TestTamperingWithTheTopicGivesFindings(t *testing.T) {
	t.Parallel()
	b := kafkatest.New(t)
	at := func(o, seq int) *kgo.Record { return message(b, record(t, orderID(o), seq, order.EvUpdated)) }
	edited := at(4, 1)
	edited.Value = append(slices.Clone(edited.Value), ' ')
	forged := at(5, 1)
	forged.Value = bytes.ReplaceAll(forged.Value, []byte(orderID(5).String()), []byte(orderID(6).String()))
	stranger := record(t, orderID(7), 1, order.EvUpdated)
	unknown := orderID(99)
	stranger.Data = bytes.ReplaceAll(stranger.Data, []byte(tenantA.String()), []byte(unknown.String()))
	stranger.Tenant = tenant.ID(unknown)
	records := []*kgo.Record{
		at(0, 1), at(0, 2), at(0, 3), // correct
		at(1, 1), at(1, 3), // one deleted
		at(2, 1), at(2, 2), at(2, 2), // one duplicated
		at(3, 1), at(3, 3), at(3, 2), // two swapped
		at(4, 1), edited,
		forged,
		without(at(8, 1), "ce_tenantid"),
		message(b, stranger),
	}
	for _, r := range records {
		produce(t, b, nil, r) // one by one, so that they keep their order
	}
	type applyAll func(*auditor) app.EffectAll
	oneByOne := applyAll(func(*auditor) app.EffectAll { return nil })
	batched := applyAll(func(a *auditor) app.EffectAll { return a.AuditEvents })
	for name, rounds := range map[string][]applyAll{
		"one by one": {oneByOne, batched},
		"batched":    {batched, oneByOne},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Super(t).Exec(t.Context(), `INSERT INTO tenants (id, slug, created_at)
				VALUES ($1, 'alpha', now())`, tenantA.String()); err != nil {
				t.Fatal(err)
			}
			a := newAuditor(t, b, db)
			for i, round := range rounds { // every record is delivered twice
				a.read(fmt.Sprintf("%s %d", name, i), round(a), int64(len(records)))
				want := []string{"conflict 1", "duplicate 2", "gap 3", "gap 3", "order 2", "subject-mismatch"}
				if diff := cmp.Diff(want, a.findings(tenantA)); diff != "" {
					t.Errorf("findings about the tenant (-want +got):\n%s", diff)
				}
				want = []string{"tenant-missing", "tenant-unknown"}
				if diff := cmp.Diff(want, a.findings(tenant.ID{})); diff != "" {
					t.Errorf("findings without a tenant (-want +got):\n%s", diff)
				}
				a.wantUnbroken(tenantA, 3+2+2+3+1)
			}
			want := map[auditlog.Kind]int64{
				auditlog.Gap: 2, auditlog.Duplicate: 1, auditlog.Misplaced: 1, auditlog.Conflict: 1, auditlog.Foreign: 3,
			}
			if diff := cmp.Diff(want, a.Findings()); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if n := a.errors.count(); n != 8 {
				t.Errorf("%d errors logged, want one for each of 8 findings:\n%s", n, a.errors.lines)
			}
		})
	}
}

// T16: events that a rebuild publishes again give no finding, and later ones are logged as before.
func TestATopicThatWasRebuiltGivesNoFinding(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 3)
	a := newAuditor(t, b, s.DB)
	relay := func(name string) {
		stop := start(t, kafka.NewRelay(b.Cluster, 0, name, s.Relay(t), logger(t)).RunForever)
		s.waitDrained(t)
		stop()
	}
	s.write(t, 2, 10)
	relay("before")
	// The Audit consumer is behind when the topic is deleted: it reads the rest from the new one.
	seen := int64(s.events(t))
	a.read("before", nil, seen)
	s.write(t, 2, 5)
	relay("unread")
	if _, err := b.Rebuild(context.WithoutCancel(t.Context()), s.Relay(t), kafka.RebuildOptions{
		Replicas: 1, Patience: time.Minute,
	}); err != nil {
		t.Fatalf("Rebuild() = %v", err)
	}
	s.write(t, 2, 5)
	relay("after")
	total := int64(s.events(t))
	a.read("before", a.AuditEvents, total) // the same group, whose offsets are of the old topic
	if found := append(a.findings(s.org.ID), a.findings(tenant.ID{})...); len(found) > 0 {
		t.Errorf("findings %v, want none", found)
	}
	a.wantUnbroken(s.org.ID, total)
	if total <= seen {
		t.Errorf("%d events after the rebuild, %d before: nothing was read from the new topic", total, seen)
	}
	report := func(_ int, ds []auditlog.Difference) error {
		for _, d := range ds {
			t.Error(d)
		}
		return nil
	}
	horizon := s.Clock.Now().Add(time.Hour)
	if err := app.VerifyEvents(t.Context(), a.log, s.Worker(t), s.org.ID, horizon, report); err != nil {
		t.Fatal(err)
	}
	topics := s.count(t, `SELECT count(DISTINCT topic_id) FROM audit_log
		WHERE topic_id <> '00000000-0000-0000-0000-000000000000'`)
	if topics != 2 {
		t.Errorf("entries of %d topics, want the old one and the new one", topics)
	}
}
