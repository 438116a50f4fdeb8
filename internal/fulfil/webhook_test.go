package fulfil_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

func TestAWebhookThatIsNeverAcceptedIsCalledTenTimesOverThreeDays(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	begin := at
	task := fulfil.Task{ID: fulfil.TaskID{1}, Kind: fulfil.Webhook, State: fulfil.Open, NextAt: at, Speed: 1}
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
		20 * time.Hour, 24 * time.Hour,
	}
	for i, wait := range want {
		m := fulfil.NextWebhook(task, fulfil.Result{Class: fault.Retryable, At: at})
		got := m.Task.NextAt.Sub(at)
		if m.Dead || m.Done || m.Task.State != fulfil.Queued || m.Task.Try != i+1 || got < wait || got > wait*11/10 {
			t.Fatalf("after call %d: %+v, waits %s; want queued and %s, at most a tenth more", i+1, m, got, wait)
		}
		task, at = m.Task, m.Task.NextAt
		task.State = fulfil.Open
	}
	m := fulfil.NextWebhook(task, fulfil.Result{Class: fault.Retryable, At: at})
	if !m.Dead || m.Task.State != fulfil.Closed {
		t.Errorf("after the tenth call: %+v, want it over", m)
	}
	if took := at.Sub(begin); took < 75*time.Hour || took > 84*time.Hour {
		t.Errorf("all calls took %s, want about three days", took)
	}
}

func TestARetryAfterMakesAWebhooksWaitLongerAndNeverShorter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	wait := func(try int, after time.Duration) time.Duration {
		task := fulfil.Task{ID: fulfil.TaskID{1}, Kind: fulfil.Webhook, Try: try, Speed: 1}
		return fulfil.NextWebhook(task, fulfil.Result{
			Class: fault.RateLimited, At: at, After: after,
		}).Task.NextAt.Sub(at).Round(time.Minute)
	}
	got := []time.Duration{wait(0, time.Hour), wait(3, time.Second).Truncate(time.Hour), wait(0, 40*24*time.Hour)}
	if diff := cmp.Diff([]time.Duration{time.Hour, 2 * time.Hour, 24 * time.Hour}, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

func TestAnAcceptedWebhookIsOver(t *testing.T) {
	t.Parallel()
	m := fulfil.NextWebhook(fulfil.Task{Kind: fulfil.Webhook, State: fulfil.Open, Epoch: 4, Try: 2}, fulfil.Result{
		Class: fault.None,
	})
	if !m.Done || m.Dead || m.Task.State != fulfil.Closed || m.Task.Epoch != 5 {
		t.Errorf("got %+v, want it done, closed, and the fence raised", m)
	}
}
