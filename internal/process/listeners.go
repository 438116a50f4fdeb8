package process

import (
	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// listeners are the consumers whose effects are the worker's, by name: what the consumers apply, and what a
// redrive applies of the events that they parked.
func listeners(w *app.App, seam Seam) map[string]app.Listener {
	all := map[string]app.Listener{}
	for _, l := range []app.Listener{
		{Name: string(event.Provision), As: event.Provision, Apply: w.BeginFulfilment},
		{Name: string(event.Billing), As: event.Billing, Apply: w.KeepReceipt},
		{Name: string(event.Notify), As: event.Notify, Apply: w.AskNotice},
		{Name: string(app.WebhookConsumer), As: event.Portal, Apply: w.ProjectWebhooks},
		{Name: string(app.AnalyticsConsumer), As: event.Portal, Apply: w.FoldEvent},
	} {
		if seam != nil {
			l.Apply = seam.Effect(l.Apply)
		}
		all[l.Name] = l
	}
	return all
}

// subscription is a consumer that a process runs.
type subscription struct {
	app.Listener
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
			s := subscription{Listener: p.verbs.Worker.Listeners[name], refusals: p.logins[postgres.LoginWorker], park: p.verbs.Worker.ParkEvent}
			if name == string(app.AnalyticsConsumer) && p.cfg.Seam == nil {
				s.together = p.verbs.Worker.FoldEvents
			}
			all = append(all, s)
		}
	}
	if p.has(Audit) {
		witness := subscription{
			Listener: app.Listener{Name: string(event.Audit), As: event.Audit, Apply: p.verbs.Audit.WitnessEvent},
			together: p.verbs.Audit.WitnessEvents, refusals: p.verbs.Audit.WitnessRefusals(),
		}
		if p.cfg.Seam != nil { // it stands between single events
			witness.Apply, witness.together = p.cfg.Seam.Effect(witness.Apply), nil
		}
		all = append(all, witness)
	}
	return all
}
