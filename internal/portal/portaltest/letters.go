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

// stuck has three orders whose clean-up failed for good, and so three dead letters: a protected server, a
// server that may or may not exist, and one whose abandonment Adam has signed.
func (s *Story) stuck() {
	now := s.Fake.Now()
	call := func(ago time.Duration, class fault.Class, note string) app.LogEntry {
		return app.LogEntry{
			At: now.Add(-ago), Part: "server", What: app.LogAnswer, Class: class, Took: 340 * time.Millisecond, Note: note,
		}
	}
	server := fulfil.Part{Part: "server", Generation: 1, Phase: fulfil.Deleting, Refs: []string{"srv-7a41c0de"}}
	port := fulfil.Part{Part: "port", Generation: 1, Phase: fulfil.PartDone, Refs: []string{"prt-19b2"}}

	d := s.stuckOrder("stuck", "web-10", "protected", app.LetterDetail{
		DeadLetter: undoExhausted(fault.Protected, "The server is protected against deletion at the provider."),
		Calls: []app.LogEntry{
			call(time.Hour, fault.Retryable, "the provider answered: retryable (maintenance)"),
			call(50*time.Minute, fault.Protected, "the provider answered: protected"),
		},
		Left: []fulfil.Part{server, port},
	})
	s.Fake.AddWorkItem(app.WorkItem{
		Refund: d.Order.Refunds[0], Order: d.Order.ID, Number: d.Order.Number, Reference: "SI56-stuck",
		Since: now.Add(-3 * time.Hour),
	})

	down := []app.LogEntry{
		call(2*time.Hour, fault.Retryable, "the provider answered: retryable (unavailable)"),
		call(90*time.Minute, fault.Retryable, "still there after the delete"),
	}
	s.stuckOrder("unclear", "web-11", "unclear", app.LetterDetail{
		DeadLetter: undoExhausted(fault.Retryable, "Nobody could say whether the server exists."),
		Calls:      down, Left: []fulfil.Part{{Part: "server", Generation: 1, Phase: fulfil.Intent}},
	})

	signedAt := now.Add(-20 * time.Minute)
	signed := undoExhausted(fault.Retryable, "The server is still there after the delete.")
	signed.Abandonment = app.Abandonment{
		Grounds: app.RemovedByHand, Text: "Deleted at the console after a call with the data centre",
		Proof: "Ticket OPS-311", FirstBy: s.Adam.Member, FirstAt: &signedAt,
	}
	s.stuckOrder("signed", "web-12", "signed", app.LetterDetail{
		DeadLetter: signed,
		Calls: append(down[:2:2], app.LogEntry{
			At: signedAt, Part: "server", What: app.LogDecision,
			Note: "to be abandoned (removed_by_hand), signed first; proof: Ticket OPS-311; awaits a second person",
		}),
		Left: []fulfil.Part{server},
	})
}

func undoExhausted(class fault.Class, detail string) app.DeadLetter {
	return app.DeadLetter{
		Source: "step", Class: class, Code: "undo-exhausted", Detail: detail, Step: "server", Attempts: 6,
	}
}

// stuckOrder is an order whose one item was refunded and cannot be removed, with the letter about it. It
// returns the order.
func (s *Story) stuckOrder(name, label, letter string, about app.LetterDetail) *app.Dossier {
	o := s.provisioning(name, vps(label, "core"))
	unit := fulfil.UnitID(s.Fake.NewID())
	var item order.ItemID
	s.Fake.Change(o, func(d *app.Dossier) {
		it := &d.Order.Items[0]
		item = it.ID
		it.Progress = 80
		apptest.MustMove(d.Order, it, order.Unrecoverable)
		r := d.Order.RequestRefund(s.Fake.NewID(), it, "")
		d.Order.MoveRefund(r, order.RefundAccepted, "", s.Fake.Now(), "")
		apptest.MustMove(d.Order, it, order.UndoExhausted)
		it.Detail = "The machine could not be removed"
		d.Units = append(d.Units, fulfil.Unit{
			ID: unit, Item: it.ID, Kind: fulfil.Provision, State: fulfil.Stuck, Undoing: true, Try: 5,
		})
		d.Order.Resettle("")
	})

	about.ID, about.Order, about.Item, about.Unit = s.Fake.NewID(), o, item, unit
	about.FirstFailedAt, about.At = about.Calls[0].At, about.Calls[len(about.Calls)-1].At
	about.Allows = []app.Grounds{app.VerifiedAbsent, app.RemovedByHand, app.AccountClosed, app.OtherGrounds}
	for i := range about.Calls {
		if about.Calls[i].What == app.LogAnswer {
			about.Last = &about.Calls[i]
		}
	}
	s.Fake.AddLetter(about)
	s.Letters[letter] = about.ID

	d, err := s.Fake.Order(context.Background(), app.Caller{Actor: s.Olga}, o)
	if err != nil {
		panic(err)
	}
	return d
}
