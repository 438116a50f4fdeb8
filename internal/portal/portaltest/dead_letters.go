package portaltest

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

// stuck adds three orders whose compensation ran out of retries, and so three dead letters: about a protected
// server, about a server that may not exist, and one that Adam has signed to abandon.
func (s *Story) stuck() {
	now := s.Fake.Now()
	call := func(ago time.Duration, class fault.Class, note string) app.LogEntry {
		return app.LogEntry{
			At: now.Add(-ago), Step: "server", What: app.LogAnswer, Class: class, Took: 340 * time.Millisecond, Note: note,
		}
	}
	server := fulfil.Resource{Step: "server", Generation: 1, Phase: fulfil.Deleting, Refs: []string{"srv-7a41c0de"}}
	port := fulfil.Resource{Step: "port", Generation: 1, Phase: fulfil.Ready, Refs: []string{"prt-19b2"}}

	agg := s.stuckOrder("stuck", "web-10", "protected", app.DeadLetterDetail{
		DeadLetter: compensationExhausted(fault.Protected, "The server is protected against deletion at the provider."),
		Calls: []app.LogEntry{
			call(time.Hour, fault.Retryable, "the provider answered: retryable (maintenance)"),
			call(50*time.Minute, fault.Protected, "the provider answered: protected"),
		},
		Remaining: []fulfil.Resource{server, port},
	})
	s.Fake.AddWorkItem(app.WorkItem{
		Refund: agg.Order.Refunds[0], Order: agg.Order.ID, Number: agg.Order.Number, Reference: "SI56-stuck",
		Since: now.Add(-3 * time.Hour),
	})

	unavailable := []app.LogEntry{
		call(2*time.Hour, fault.Retryable, "the provider answered: retryable (unavailable)"),
		call(90*time.Minute, fault.Retryable, "still there after the delete"),
	}
	s.stuckOrder("unclear", "web-11", "unclear", app.DeadLetterDetail{
		DeadLetter: compensationExhausted(fault.Retryable, "Nobody could say whether the server exists."),
		Calls:      unavailable, Remaining: []fulfil.Resource{{Step: "server", Generation: 1, Phase: fulfil.Intent}},
	})

	signedAt := now.Add(-20 * time.Minute)
	signed := compensationExhausted(fault.Retryable, "The server is still there after the delete.")
	signed.Abandonment = app.Abandonment{
		AbandonReason: app.RemovedByHand, Text: "Deleted at the console after a call with the data centre",
		Proof: "Ticket OPS-311", FirstBy: s.Adam.Member, FirstAt: &signedAt,
	}
	s.stuckOrder("signed", "web-12", "signed", app.DeadLetterDetail{
		DeadLetter: signed,
		Calls: append(unavailable[:2:2], app.LogEntry{
			At: signedAt, Step: "server", What: app.LogDecision,
			Note: "to be abandoned (removed_by_hand), signed first; proof: Ticket OPS-311; awaits a second person",
		}),
		Remaining: []fulfil.Resource{server},
	})
}

func compensationExhausted(class fault.Class, detail string) app.DeadLetter {
	return app.DeadLetter{
		Source: "step", Class: class, Code: "compensation-exhausted", Detail: detail, Step: "server", Attempts: 6,
	}
}

// stuckOrder adds an order whose one item was refunded and cannot be removed, with its dead letter. It returns
// the order.
func (s *Story) stuckOrder(name, label, deadLetter string, detail app.DeadLetterDetail) *app.Aggregate {
	o := s.provisioning(name, vps(label, "core"))
	taskID := fulfil.TaskID(s.Fake.NewID())
	var item order.ItemID
	s.Fake.Change(o, func(agg *app.Aggregate) {
		it := &agg.Order.Items[0]
		item = it.ID
		it.Progress = 80
		apptest.MustMove(agg.Order, it, order.Unrecoverable)
		r := agg.Order.RequestRefund(s.Fake.NewID(), it, "")
		agg.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		apptest.MustMove(agg.Order, it, order.CompensationExhausted)
		it.Detail = "The machine could not be removed"
		agg.Tasks = append(agg.Tasks, fulfil.Task{
			ID: taskID, Item: it.ID, Kind: fulfil.Provision, State: fulfil.Stuck, Compensating: true, Try: 5,
		})
		agg.Order.Resettle("")
	})

	detail.ID, detail.Order, detail.Item, detail.Task = s.Fake.NewID(), o, item, taskID
	detail.FirstFailedAt, detail.At = detail.Calls[0].At, detail.Calls[len(detail.Calls)-1].At
	detail.AbandonReasons = []app.AbandonReason{app.VerifiedAbsent, app.RemovedByHand, app.AccountClosed, app.OtherReason}
	for i := range detail.Calls {
		if detail.Calls[i].What == app.LogAnswer {
			detail.LastAnswer = &detail.Calls[i]
		}
	}
	s.Fake.AddDeadLetter(detail)
	s.DeadLetters[deadLetter] = detail.ID

	agg, err := s.Fake.Order(context.Background(), app.Caller{Actor: s.Olga}, o)
	if err != nil {
		panic(err)
	}
	return agg
}
