package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// ReceivePaymentWebhook verifies a webhook's signature over its raw bytes and stores it under its event id, which
// stays unique for ever. The webhook is acknowledged once it is stored, and processed later.
func (a *App) ReceivePaymentWebhook(ctx context.Context, providerName string, h http.Header, raw []byte) error {
	p, ok := a.Payments[providerName]
	if !ok {
		return fault.Absent()
	}
	conf, err := p.Verify(h, raw, a.Clock.Now())
	if err != nil {
		return err
	}
	return a.PaymentWebhooks.KeepPaymentWebhook(ctx, PaymentWebhook{
		Provider: providerName, EventID: conf.EventID, Headers: h, Raw: raw, ReceivedAt: a.Clock.Now(),
	})
}

// ProcessPaymentWebhooks confirms the payments of stored webhooks and returns how many webhooks it finished. A
// webhook whose order is not found yet, or that cannot be written now, stays open and is processed again. One that
// can never succeed, such as for a wrong amount or a cancelled order, is finished and logged for the operator; the
// payment provider has the record of the money.
func (a *App) ProcessPaymentWebhooks(ctx context.Context) (int, error) {
	open, err := a.PaymentWebhooks.OpenPaymentWebhooks(ctx, 100)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, w := range open {
		if err := a.processPaymentWebhook(ctx, w); err != nil {
			f := fault.Of(err)
			if f == nil || f.Kind == fault.KindNotFound || f.Kind == fault.KindUnavailable {
				a.Log.WarnContext(ctx, "payment webhook waits", "provider", w.Provider, "event", w.EventID, "error", err)
				continue
			}
			a.Log.ErrorContext(ctx, "payment webhook refused: look at the order and give the money back if it is not owed",
				"provider", w.Provider, "event", w.EventID, "code", f.Code)
		}
		if err := a.PaymentWebhooks.FinishPaymentWebhook(ctx, w.Provider, w.EventID, a.Clock.Now()); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func (a *App) processPaymentWebhook(ctx context.Context, w PaymentWebhook) error {
	p, ok := a.Payments[w.Provider]
	if !ok {
		return fault.New(fault.KindUnavailable, "unknown-payment-provider", "payment provider %q is not configured here",
			w.Provider)
	}
	conf, err := p.Verify(w.Headers, w.Raw, w.ReceivedAt) // as of its arrival: a signature is valid for five minutes
	if err != nil {
		return err
	}
	t, o, err := parseReference(conf.Reference)
	if err != nil {
		return fault.New(fault.KindInvalid, "unknown-reference", "the reference names no order")
	}
	actor := tenant.Actor{Tenant: t, Kind: tenant.KindProvider, Name: w.Provider}
	_, err = a.ConfirmPayment(ctx, Caller{Actor: actor}, ConfirmPayment{
		Order: o, Reference: conf.Payment, PaidAt: conf.PaidAt, Method: conf.Method,
		Amount: event.Amount{Amount: money.Format(conf.Amount, conf.Currency), Currency: conf.Currency},
	})
	var replayed *Replayed
	if errors.As(err, &replayed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("confirm payment of order %s: %w", o, err)
	}
	return nil
}
