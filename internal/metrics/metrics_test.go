package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/metrics"
)

// scrape returns the product's own lines, without their comments.
func scrape(t *testing.T, s metrics.Sources) []string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(s).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d\n%s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "platforma_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestAScrapeHoldsTheStateOfRelayOutboxAndConsumers(t *testing.T) {
	t.Parallel()
	got := scrape(t, metrics.Sources{
		Outbox: func(context.Context) (app.OutboxStatus, error) {
			return app.OutboxStatus{Rows: 12, Lag: 1500 * time.Millisecond, XminHeld: time.Minute}, nil
		},
		Relay:    func() app.RelayStatus { return app.RelayStatus{Leader: true, Batch: 500, Fenced: 2} },
		Findings: func() map[auditlog.Kind]int64 { return map[auditlog.Kind]int64{auditlog.Gap: 2, auditlog.Foreign: 0} },
		Consumers: func(context.Context) ([]app.ConsumerStatus, error) {
			return []app.ConsumerStatus{
				{
					Group: "billing", Lag: 250 * time.Millisecond, LagEvents: 9, Applied: 7, Duplicates: 3, Retried: 2, Parked: 4,
					Blocked: 5, Refused: 1, Stopped: 1,
				},
			}, nil
		},
	})
	want := []string{
		`platforma_applied_total{consumer="billing"} 7`,
		`platforma_audit_findings_total{kind="foreign"} 0`,
		`platforma_audit_findings_total{kind="gap"} 2`,
		`platforma_blocked_total{consumer="billing"} 5`,
		`platforma_duplicate_total{consumer="billing"} 3`,
		`platforma_event_age_seconds{consumer="billing"} 0.25`,
		`platforma_events_behind{consumer="billing"} 9`,
		`platforma_oldest_snapshot_seconds 60`,
		`platforma_outbox_rows 12`,
		`platforma_parked_total{consumer="billing"} 4`,
		`platforma_refused_total{consumer="billing"} 1`,
		`platforma_relay_batch_size{shard="0"} 500`,
		`platforma_relay_failing{shard="0"} 0`,
		`platforma_relay_fenced_total{shard="0"} 2`,
		`platforma_relay_lag_seconds 1.5`,
		`platforma_relay_leader{shard="0"} 1`,
		`platforma_retried_total{consumer="billing"} 2`,
		`platforma_stopped_partitions{consumer="billing"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scrape (-want +got):\n%s", diff)
	}
}

func TestASourceThatFailsLeavesTheOtherFigures(t *testing.T) {
	t.Parallel()
	got := scrape(t, metrics.Sources{
		Outbox: func(context.Context) (app.OutboxStatus, error) {
			return app.OutboxStatus{}, errors.New("the database is away")
		},
		Relay: func() app.RelayStatus { return app.RelayStatus{Failing: true} },
	})
	want := []string{
		`platforma_relay_batch_size{shard="0"} 0`,
		`platforma_relay_failing{shard="0"} 1`,
		`platforma_relay_fenced_total{shard="0"} 0`,
		`platforma_relay_leader{shard="0"} 0`,
		`platforma_scrape_failures_total{source="outbox"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scrape (-want +got):\n%s", diff)
	}
}
