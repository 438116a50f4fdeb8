package process

import (
	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// listeners are the consumers whose effects are the worker's, by name: what the consumers apply, and what a
// redrive applies of the events that they parked.
func listeners(w *app.App, failpoints Failpoints) map[string]app.ConsumerHandler {
	all := map[string]app.ConsumerHandler{}
	for _, l := range []app.ConsumerHandler{
		{Name: string(event.Provision), As: event.Provision, Apply: w.BeginFulfilment},
		{Name: string(event.Billing), As: event.Billing, Apply: w.KeepReceipt},
		{Name: string(event.Notify), As: event.Notify, Apply: w.AskNotice},
		{Name: string(app.WebhookConsumer), As: event.Portal, Apply: w.QueueWebhookDeliveries},
		{Name: string(app.AnalyticsConsumer), As: event.Portal, Apply: w.ProjectEvent},
	} {
		if failpoints != nil {
			l.Apply = failpoints.Effect(l.Apply)
		}
		all[l.Name] = l
	}
	return all
}

// subscription is a consumer that a process runs.
type subscription struct {
	app.ConsumerHandler
	together app.EffectAll // nil: events are applied one by one
	refusals app.Refusals
	park     app.Park // nil: it stands still behind what it cannot apply
}

// subscriptions are the consumers of the roles that the process has.
func (p *Process) subscriptions() []subscription {
	var all []subscription
	for _, of := range []struct {
		role  Role
		names []string
	}{
		{Provision, []string{string(event.Provision)}},
		{Billing, []string{string(event.Billing)}},
		{Notify, []string{string(event.Notify)}},
		{Live, []string{string(app.WebhookConsumer), string(app.AnalyticsConsumer)}},
	} {
		for _, name := range of.names {
			if !p.has(of.role) {
				continue
			}
			s := subscription{
				ConsumerHandler: p.useCases.Worker.Handlers[name], refusals: p.logins[postgres.LoginWorker],
				park: p.useCases.Worker.ParkEvent,
			}
			if name == string(app.AnalyticsConsumer) && p.cfg.Failpoints == nil {
				s.together = p.useCases.Worker.ProjectEvents
			}
			all = append(all, s)
		}
	}
	if p.has(Audit) {
		audit := subscription{
			ConsumerHandler: app.ConsumerHandler{Name: string(event.Audit), As: event.Audit, Apply: p.useCases.Audit.AuditEvent},
			together:        p.useCases.Audit.AuditEvents, refusals: p.useCases.Audit.AuditRefusals(),
		}
		if p.cfg.Failpoints != nil { // it stands between single events
			audit.Apply, audit.together = p.cfg.Failpoints.Effect(audit.Apply), nil
		}
		all = append(all, audit)
	}
	return all
}
