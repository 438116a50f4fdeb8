package process

import (
	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// consumerHandlers returns the handlers of the consumers that run through the worker's login, by consumer
// name. The consumers apply events with them, and a redrive applies those that a consumer parked.
func consumerHandlers(w *app.App, failpoints Failpoints) map[string]app.ConsumerHandler {
	handlers := map[string]app.ConsumerHandler{}
	for _, h := range []app.ConsumerHandler{
		{Name: string(event.Provision), As: event.Provision, Apply: w.BeginFulfilment},
		{Name: string(event.Billing), As: event.Billing, Apply: w.KeepReceipt},
		{Name: string(event.Notify), As: event.Notify, Apply: w.AskNotice},
		{Name: string(app.WebhookConsumer), As: event.Portal, Apply: w.QueueWebhookDeliveries},
		{Name: string(app.AnalyticsConsumer), As: event.Portal, Apply: w.ProjectEvent},
	} {
		if failpoints != nil {
			h.Apply = failpoints.Effect(h.Apply)
		}
		handlers[h.Name] = h
	}
	return handlers
}

// subscription is a consumer that a process runs.
type subscription struct {
	app.ConsumerHandler
	applyAll app.EffectAll // nil: events are applied one by one
	refusals app.Refusals
	park     app.Park // nil: the consumer stops at an event that it cannot apply
}

// subscriptions returns the consumers of the process's roles.
func (p *Process) subscriptions() []subscription {
	var all []subscription
	for _, c := range []struct {
		role  Role
		names []string
	}{
		{Provision, []string{string(event.Provision)}},
		{Billing, []string{string(event.Billing)}},
		{Notify, []string{string(event.Notify)}},
		{Live, []string{string(app.WebhookConsumer), string(app.AnalyticsConsumer)}},
	} {
		for _, name := range c.names {
			if !p.has(c.role) {
				continue
			}
			s := subscription{
				ConsumerHandler: p.useCases.Worker.Handlers[name],
				refusals:        p.logins[postgres.LoginWorker],
				park:            p.useCases.Worker.ParkEvent,
			}
			if name == string(app.AnalyticsConsumer) && p.cfg.Failpoints == nil {
				s.applyAll = p.useCases.Worker.ProjectEvents
			}
			all = append(all, s)
		}
	}
	if p.has(Audit) {
		audit := subscription{
			ConsumerHandler: app.ConsumerHandler{
				Name: string(event.Audit), As: event.Audit, Apply: p.useCases.Audit.AuditEvent,
			},
			applyAll: p.useCases.Audit.AuditEvents,
			refusals: p.useCases.Audit.AuditRefusals(),
		}
		if p.cfg.Failpoints != nil { // a failpoint wraps the effect of a single event
			audit.Apply, audit.applyAll = p.cfg.Failpoints.Effect(audit.Apply), nil
		}
		all = append(all, audit)
	}
	return all
}
