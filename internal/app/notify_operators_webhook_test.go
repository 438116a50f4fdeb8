// Tests of the notices about failing webhooks.

package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// wantFailingNotices runs the worker's notices and compares all that the tenant's admin has got about failing webhooks.
// Only admins get them.
func (h *webhookHarness) wantFailingNotices(subjects ...string) {
	h.t.Helper()
	if _, err := h.UseCases.Worker.NotifyOperators(h.t.Context()); err != nil {
		h.t.Fatalf("NotifyOperators: %v", err)
	}
	var got []string
	for _, m := range h.Inbox.Messages() {
		if !strings.Contains(m.MessageID, "webhook-failing") {
			continue
		}
		if got = append(got, m.Subject); !slices.Equal(m.To, []string{"admin@alpha.example"}) {
			h.t.Errorf("%v got the notice %q", m.To, m.Subject)
		}
	}
	if diff := cmp.Diff(subjects, got); diff != "" {
		h.t.Errorf("notices to the admin (-want +got):\n%s", diff)
	}
}

func TestAdminsGetOneNoticeThatAWebhookIsFailing(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(503)
	issued := h.addEndpoint("/hook?token=not-for-mails", order.EvCreated)
	e := issued.ID
	for range 3 {
		h.DraftOrder("per_item", harness.VPS())
	}
	h.Drain()
	since := h.webhookEndpoint(e).Since
	h.wantFailingNotices("alpha: 1 webhook is failing")
	content := mailText(t, h.Harness, "alpha: 1 webhook")
	for _, line := range []string{
		" " + strings.TrimPrefix(h.server.URL, "https://") + " Failing", "Last answer: HTTP 503",
		"Failing since " + since.Format("2 January 2006, 15:04") + " (UTC)",
		"/v1/webhooks/" + e.String(), "https://portal.example/settings/webhooks/" + e.String(), `"enabled": true`,
	} {
		if !strings.Contains(content, line) {
			t.Errorf("the mail does not say %q:\n%s", line, content)
		}
	}
	for _, m := range h.Inbox.Messages() {
		raw, err := h.Inbox.Raw(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "not-for-mails") || strings.Contains(string(raw),
			strings.TrimPrefix(issued.Secret, "whsec_")) {
			t.Errorf("the mail %q contains the path or the secret", m.Subject)
		}
	}

	failed := app.WebhookDeliveryFailed
	page, err := h.UseCases.API.WebhookDeliveries(t.Context(), h.admin(), e, app.WebhookDeliveryFilter{
		State: &failed, Limit: 1,
	})
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("failed deliveries: %+v, %v", page.Data, err)
	}
	h.replay(e, page.Data[0].ID) // fails; the endpoint was failing and still is
	h.DraftOrder("per_item", harness.VPS())
	h.Drain()
	h.Clock.Advance(24 * time.Hour)
	h.wantFailingNotices("alpha: 1 webhook is failing")

	h.setEnabled(e, true)
	h.Drain()
	h.wantFailingNotices("alpha: 1 webhook is failing", "alpha: 1 webhook is failing")
	h.CheckInvariants()
}

func TestSeveralFailingWebhooksShareOneMail(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.SetSettings(func(s *app.Settings) { s.Language = "de" })
	h.answerWith(500)
	first, second := h.addEndpoint("/one", order.EvCreated).ID, h.addEndpoint("/other", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Drain()
	h.wantFailingNotices("alpha: 2 Webhooks sind gestört")
	content := mailText(t, h.Harness, "alpha: 2 Webhooks")
	if !strings.Contains(content, first.String()) || !strings.Contains(content, second.String()) ||
		!strings.Contains(content, "https://portal.example/settings/webhooks Höchstens") {
		t.Errorf("the mail does not name both:\n%s", content)
	}
}

// An endpoint that answers 410 is disabled, not failing.
func TestAWebhookThatAnswersGoneIsNotReportedAsFailing(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(410)
	h.addEndpoint("/hook", order.EvCreated)
	h.Drain(h.DraftOrder("per_item", harness.VPS()).Order.ID)
	h.wantFailingNotices()
}

// commitHookStore wraps the worker's store and calls committed after each commit.
type commitHookStore struct {
	app.Store
	committed func()
}

func (s commitHookStore) InTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	err := s.Store.InTenant(ctx, t, with, fn)
	if err == nil {
		s.committed()
	}
	return err
}

func TestAFailingWebhookIsReportedOnceWhereverItsWorkerDies(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(h *webhookHarness){
		"after the call, before it is recorded": func(h *webhookHarness) {
			h.UseCases.Worker.WebhookSender = hookedSender{
				h.UseCases.Worker.WebhookSender,
				func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
					answer := post()
					if len(h.callsTo("/hook")) == 10 {
						panic(harness.Crash{})
					}
					return answer
				},
			}
		},
		"after it is recorded": func(h *webhookHarness) {
			h.UseCases.Worker.Store = commitHookStore{h.UseCases.Worker.Store, func() {
				if len(h.callsTo("/hook")) == 10 {
					panic(harness.Crash{})
				}
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newWebhookHarness(t)
			h.answerWith(500)
			e := h.addEndpoint("/hook", order.EvCreated).ID
			h.DraftOrder("per_item", harness.VPS())
			h.Publish()
			arm(h)
			h.Drain()
			if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing {
				t.Fatalf("the endpoint is %s", got.State)
			}
			taskID := fulfil.TaskID(h.onlyDelivery(e).ID)
			if wait, err := h.UseCases.Worker.PostWebhook(t.Context(), h.Tenant.ID, taskID); wait != -1 || err != nil {
				t.Errorf("its task once more: %s, %v", wait, err)
			}
			h.wantFailingNotices("alpha: 1 webhook is failing")
			h.CheckInvariants()
		})
	}
}

func TestTwoWorkersOnTheLastCallSendOneNotice(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	arrived, both := make(chan struct{}, 2), sync.WaitGroup{}
	both.Add(2)
	var once sync.Once
	inner := h.UseCases.Worker.WebhookSender
	h.UseCases.Worker.WebhookSender = hookedSender{
		inner,
		func(ctx context.Context, post func() app.PostAnswer) app.PostAnswer {
			if len(h.callsTo("/hook")) < 9 {
				return post()
			}
			once.Do(func() {
				taskID := fulfil.TaskID(h.onlyDelivery(e).ID)
				go func() {
					defer func() { arrived <- struct{}{} }()
					if _, err := h.UseCases.Worker.PostWebhook(context.WithoutCancel(ctx), h.Tenant.ID, taskID); err != nil &&
						!errors.Is(err, app.ErrFenced) {
						t.Errorf("the other worker: %v", err)
					}
				}()
			})
			answer := post()
			both.Done()
			both.Wait() // both have an answer and neither has recorded it
			return answer
		},
	}
	h.Drain()
	<-arrived
	got, delivery, calls := h.webhookEndpoint(e), h.onlyDelivery(e), len(h.callsTo("/hook"))
	if got.State != app.WebhookEndpointFailing || delivery.Calls != 10 || calls != 11 {
		t.Fatalf("%s after %d recorded calls of %d, want failing after 10 of 11", got.State, delivery.Calls, calls)
	}
	h.wantFailingNotices("alpha: 1 webhook is failing")
}

// The notice is recorded in the transaction that marks the endpoint as failing. When it cannot be recorded the endpoint
// stays active, and the next call does both.
func TestAWebhookIsNeverFailingWithoutANotice(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.answerWith(500)
	e := h.addEndpoint("/hook", order.EvCreated).ID
	h.DraftOrder("per_item", harness.VPS())
	h.Publish()
	for len(h.callsTo("/hook")) < 9 {
		if !h.WorkOneTask() {
			h.AdvanceToNextDue()
		}
	}
	h.AdvanceToNextDue()
	taskID := fulfil.TaskID(h.onlyDelivery(e).ID)
	super := h.DB.Super(t)
	if _, err := super.Exec(t.Context(), `REVOKE INSERT ON operator_incident FROM platforma_worker`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.UseCases.Worker.PostWebhook(t.Context(), h.Tenant.ID,
		taskID); err == nil || h.webhookEndpoint(e).State != app.WebhookEndpointActive || h.onlyDelivery(e).Calls != 9 {
		t.Errorf("without its notice: %v, %s, %d calls recorded", err, h.webhookEndpoint(e).State, h.onlyDelivery(e).Calls)
	}
	h.wantFailingNotices()
	if _, err := super.Exec(t.Context(), `GRANT INSERT ON operator_incident TO platforma_worker`); err != nil {
		t.Fatal(err)
	}
	h.Drain()
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing {
		t.Errorf("the endpoint is %s", got.State)
	}
	h.wantFailingNotices("alpha: 1 webhook is failing")
}
