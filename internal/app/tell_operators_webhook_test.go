// What operators are told about webhooks that fail.

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

// wantFailingTold lets a worker tell, and compares what the tenant's admin has got by then. Webhooks are the
// admins' alone: no mail of it goes to anybody else, of this tenant or the other.
func (h *hooks) wantFailingTold(subjects ...string) {
	h.t.Helper()
	if _, err := h.UseCases.Worker.TellOperators(h.t.Context()); err != nil {
		h.t.Fatalf("TellOperators: %v", err)
	}
	var told []string
	for _, m := range h.Inbox.Messages() {
		if !strings.Contains(m.MessageID, "webhook-failing") {
			continue
		}
		if told = append(told, m.Subject); !slices.Equal(m.To, []string{"admin@alpha.example"}) {
			h.t.Errorf("%v were told %q", m.To, m.Subject)
		}
	}
	if diff := cmp.Diff(subjects, told); diff != "" {
		h.t.Errorf("the admin was told (-want +got):\n%s", diff)
	}
}

func TestAdminsAreToldOnceThatAWebhookIsFailing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(503)
	issued := h.add("/hook?token=not-for-mails", order.EvCreated)
	e := issued.ID
	for range 3 {
		h.Draft("per_item", harness.VPS())
	}
	h.Drain()
	since := h.webhookEndpoint(e).Since
	h.wantFailingTold("alpha: 1 webhook is failing")
	told := text(t, h.Harness, "alpha: 1 webhook")
	for _, line := range []string{
		" " + strings.TrimPrefix(h.server.URL, "https://") + " Failing", "Last answer: HTTP 503",
		"Failing since " + since.Format("2 January 2006, 15:04") + " (UTC)",
		"/v1/webhooks/" + e.String(), "https://portal.example/settings/webhooks/" + e.String(), `"enabled": true`,
	} {
		if !strings.Contains(told, line) {
			t.Errorf("the mail does not say %q:\n%s", line, told)
		}
	}
	for _, m := range h.Inbox.Messages() {
		raw, err := h.Inbox.Raw(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "not-for-mails") || strings.Contains(string(raw),
			strings.TrimPrefix(issued.Secret, "whsec_")) {
			t.Errorf("the mail %q tells more than the host", m.Subject)
		}
	}

	failed := app.WebhookDeliveryFailed
	page, err := h.UseCases.API.WebhookDeliveries(t.Context(), h.admin(), e, app.WebhookDeliveryFilter{
		State: &failed, Limit: 1,
	})
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("failed deliveries: %+v, %v", page.Data, err)
	}
	h.replay(e, page.Data[0].ID) // in vain: it was failing, and still is
	h.Draft("per_item", harness.VPS())
	h.Drain()
	h.Clock.Advance(24 * time.Hour)
	h.wantFailingTold("alpha: 1 webhook is failing")

	h.enable(e, true)
	h.Drain()
	h.wantFailingTold("alpha: 1 webhook is failing", "alpha: 1 webhook is failing")
	h.CheckWorld()
}

func TestSeveralFailingWebhooksAreToldInOneMail(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.SetSettings(func(s *app.Settings) { s.Language = "de" })
	h.says(500)
	one, other := h.add("/one", order.EvCreated).ID, h.add("/other", order.EvCreated).ID
	h.Draft("per_item", harness.VPS())
	h.Drain()
	h.wantFailingTold("alpha: 2 Webhooks sind gestört")
	told := text(t, h.Harness, "alpha: 2 Webhooks")
	if !strings.Contains(told, one.String()) || !strings.Contains(told, other.String()) ||
		!strings.Contains(told, "https://portal.example/settings/webhooks Höchstens") {
		t.Errorf("the mail does not name both:\n%s", told)
	}
}

// An endpoint that is gone asked for it, and nothing of it fails.
func TestAWebhookThatAnswersGoneIsNotToldAsFailing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(410)
	h.add("/hook", order.EvCreated)
	h.Drain(h.Draft("per_item", harness.VPS()).Order.ID)
	h.wantFailingTold()
}

// leaves stands in for the worker's store, to do something after a transaction was committed.
type leaves struct {
	app.Store
	committed func()
}

func (s leaves) InTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	err := s.Store.InTenant(ctx, t, with, fn)
	if err == nil {
		s.committed()
	}
	return err
}

func TestAFailingWebhookIsToldOnceWhereverItsWorkerDies(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(h *hooks){
		"after the call, before it is written down": func(h *hooks) {
			h.UseCases.Worker.WebhookSender = webhookSender{
				h.UseCases.Worker.WebhookSender,
				func(_ context.Context, post func() app.PostAnswer) app.PostAnswer {
					answer := post()
					if len(h.heard("/hook")) == 10 {
						panic(harness.Crash{})
					}
					return answer
				},
			}
		},
		"after it is written down": func(h *hooks) {
			h.UseCases.Worker.Store = leaves{h.UseCases.Worker.Store, func() {
				if len(h.heard("/hook")) == 10 {
					panic(harness.Crash{})
				}
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHooks(t)
			h.says(500)
			e := h.add("/hook", order.EvCreated).ID
			h.Draft("per_item", harness.VPS())
			h.Publish()
			arm(h)
			h.Drain()
			if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing {
				t.Fatalf("the endpoint is %s", got.State)
			}
			if wait, err := h.UseCases.Worker.PostWebhook(t.Context(), h.Tenant.ID, fulfil.TaskID(h.only(e).ID)); wait != -1 ||
				err != nil {
				t.Errorf("its job once more: %s, %v", wait, err)
			}
			h.wantFailingTold("alpha: 1 webhook is failing")
			h.CheckWorld()
		})
	}
}

func TestTwoWorkersWithTheSameLastCallTellOnce(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", harness.VPS())
	h.Publish()
	arrived, both := make(chan struct{}, 2), sync.WaitGroup{}
	both.Add(2)
	var once sync.Once
	inner := h.UseCases.Worker.WebhookSender
	h.UseCases.Worker.WebhookSender = webhookSender{
		inner,
		func(ctx context.Context, post func() app.PostAnswer) app.PostAnswer {
			if len(h.heard("/hook")) < 9 {
				return post()
			}
			once.Do(func() {
				taskID := fulfil.TaskID(h.only(e).ID)
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
			both.Wait() // each has its answer, and neither has written it down
			return answer
		},
	}
	h.Drain()
	<-arrived
	if got, delivery := h.webhookEndpoint(e), h.only(e); got.State != app.WebhookEndpointFailing || delivery.Calls != 10 ||
		len(h.heard("/hook")) != 11 {
		t.Fatalf("%s after %d calls written down of %d, want failing after 10 of 11", got.State,
			delivery.Calls, len(h.heard("/hook")))
	}
	h.wantFailingTold("alpha: 1 webhook is failing")
}

// What admins are told stands in the same transaction: when it cannot be written the webhook is not failing
// either, and both come with the next call.
func TestAWebhookIsNeverFailingWithoutANotice(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	h.says(500)
	e := h.add("/hook", order.EvCreated).ID
	h.Draft("per_item", harness.VPS())
	h.Publish()
	for len(h.heard("/hook")) < 9 {
		if !h.WorkOne() {
			h.Wait()
		}
	}
	h.Wait()
	taskID := fulfil.TaskID(h.only(e).ID)
	super := h.DB.Super(t)
	if _, err := super.Exec(t.Context(), `REVOKE INSERT ON operator_incident FROM platforma_worker`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.UseCases.Worker.PostWebhook(t.Context(), h.Tenant.ID,
		taskID); err == nil || h.webhookEndpoint(e).State != app.WebhookEndpointActive || h.only(e).Calls != 9 {
		t.Errorf("without its notice: %v, %s, %d calls written down", err, h.webhookEndpoint(e).State, h.only(e).Calls)
	}
	h.wantFailingTold()
	if _, err := super.Exec(t.Context(), `GRANT INSERT ON operator_incident TO platforma_worker`); err != nil {
		t.Fatal(err)
	}
	h.Drain()
	if got := h.webhookEndpoint(e); got.State != app.WebhookEndpointFailing {
		t.Errorf("the endpoint is %s", got.State)
	}
	h.wantFailingTold("alpha: 1 webhook is failing")
}
