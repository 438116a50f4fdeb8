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

// auditor is the Audit consumer on a real database: its use cases, its log, and what it says.
type auditor struct {
	*app.App
	t    *testing.T
	b    *kafkatest.Broker
	log  app.AuditLog
	said *shouts
}

func newAuditor(t *testing.T, b *kafkatest.Broker, db *pgtest.DB) *auditor {
	t.Helper()
	login, said := db.Audit(t), &shouts{}
	a := app.New(app.Deps{
		Store: login, AuditLog: login, Clock: db.Clock, NewID: db.Clock.NewID, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(said, nil)),
	})
	return &auditor{a, t, b, login, said}
}

// reads lets a consumer group of its own read the topic from its start, until it is done with n records;
// together is nil where it takes them one by one.
func (a *auditor) reads(group string, together app.EffectAll, n int64) {
	a.t.Helper()
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: a.b.Cluster, Refusals: a.AuditRefusals(), Clock: a.Clock, Pause: kafka.Wait, Random: func() float64 {
			return 0
		}, Log: logger(a.t),
	}, kafka.Subscription{Consumer: event.Audit, Group: group + a.b.Names.Events, Apply: a.AuditEvent, ApplyAll: together})
	stop := start(a.t, run(c))
	kafkatest.Eventually(a.t, "the witness has read the topic", func() bool {
		s := c.Status()
		return s.Applied+s.Duplicates+s.Refused == n
	})
	stop()
}

// found lists what was filed of a tenant, sorted.
func (a *auditor) found(of tenant.ID) (all []string) {
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

func (a *auditor) wantWhole(of tenant.ID, n int64) {
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
		a.t.Errorf("the chain has %d links, broken: %v; want %d, whole", c.Head.N, c.Broken, n)
	}
}

// shouts are the lines of a log at the level of errors.
type shouts struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

// Write keeps a line.
func (s *shouts) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(line, []byte("level=ERROR")) {
		s.all = append(s.all, string(line))
	}
	return len(line), nil
}

func (s *shouts) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func without(r *kgo.Record, header string) *kgo.Record {
	r.Headers = slices.DeleteFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == header })
	return r
}

func TestWhatSomebodyDoesToTheTopicHasItsName(t *testing.T) {
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
		at(0, 1), at(0, 2), at(0, 3), // as it must be
		at(1, 1), at(1, 3), // one deleted
		at(2, 1), at(2, 2), at(2, 2), // one doubled
		at(3, 1), at(3, 3), at(3, 2), // two swapped
		at(4, 1), edited,
		forged,
		without(at(8, 1), "ce_tenantid"),
		message(b, stranger),
	}
	for _, r := range records {
		produce(t, b, nil, r) // one by one: they keep their order
	}
	type how func(*auditor) app.EffectAll
	singly, together := how(func(*auditor) app.EffectAll { return nil }),
		how(func(a *auditor) app.EffectAll { return a.AuditEvents })
	for name, hows := range map[string][]how{"one by one": {singly, together}, "together": {together, singly}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Super(t).Exec(t.Context(), `INSERT INTO tenants (id, slug, created_at)
				VALUES ($1, 'alpha', now())`, tenantA.String()); err != nil {
				t.Fatal(err)
			}
			a := newAuditor(t, b, db)
			for round, how := range hows { // all of it is delivered twice
				a.reads(fmt.Sprintf("%s %d", name, round), how(a), int64(len(records)))
				if diff := cmp.Diff([]string{"conflict 1", "duplicate 2", "gap 3", "gap 3", "order 2", "subject-mismatch"},
					a.found(tenantA)); diff != "" {
					t.Errorf("findings of the tenant (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"tenant-missing", "tenant-unknown"}, a.found(tenant.ID{})); diff != "" {
					t.Errorf("findings of nobody (-want +got):\n%s", diff)
				}
				a.wantWhole(tenantA, 3+2+2+3+1)
			}
			want := map[auditlog.Kind]int64{
				auditlog.Gap: 2, auditlog.Duplicate: 1, auditlog.Misplaced: 1, auditlog.Conflict: 1, auditlog.Foreign: 3,
			}
			if diff := cmp.Diff(want, a.Findings()); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if n := a.said.count(); n != 8 {
				t.Errorf("%d alarms, want one for each of 8 findings:\n%s", n, a.said.all)
			}
		})
	}
}

// T16: events that a rebuild publishes again give no finding, and later ones are witnessed as before.
func TestATopicThatWasRebuiltGivesNoFinding(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 3)
	a := newAuditor(t, b, s.DB)
	relayed := func(name string) {
		stop := start(t, kafka.NewRelay(b.Cluster, 0, name, s.Relay(t), logger(t)).RunForever)
		s.drained(t)
		stop()
	}
	s.write(t, 2, 10)
	relayed("before")
	// The witness is behind when the topic goes: it hears the rest from the new one.
	seen := int64(s.events(t))
	a.reads("before", nil, seen)
	s.write(t, 2, 5)
	relayed("unheard")
	if _, err := b.Rebuild(context.WithoutCancel(t.Context()), s.Relay(t), kafka.RebuildOptions{
		Replicas: 1, Patience: time.Minute,
	}); err != nil {
		t.Fatalf("Rebuild() = %v", err)
	}
	s.write(t, 2, 5)
	relayed("after")
	all := int64(s.events(t))
	a.reads("before", a.AuditEvents, all) // the same group, whose offsets are of the old topic
	if found := append(a.found(s.org.ID), a.found(tenant.ID{})...); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	a.wantWhole(s.org.ID, all)
	if all <= seen {
		t.Errorf("%d events after the rebuild, %d before: nothing was heard from the new topic", all, seen)
	}
	err := app.VerifyEvents(t.Context(), a.log, s.Worker(t), s.org.ID, s.Clock.Now().Add(time.Hour), func(_ int,
		ds []auditlog.Difference,
	) error {
		for _, d := range ds {
			t.Error(d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	topics := s.count(t, `SELECT count(DISTINCT topic_id) FROM audit_log
		WHERE topic_id <> '00000000-0000-0000-0000-000000000000'`)
	if topics != 2 {
		t.Errorf("links of %d topics, want the old one and the new one", topics)
	}
}
