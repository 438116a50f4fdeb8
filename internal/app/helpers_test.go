package app_test

import (
	"os"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

func reasoned(o order.ID, why string) app.Reasoned { return app.Reasoned{Order: o, Reason: why} }

func submit(o order.ID) app.SubmitOrder { return app.SubmitOrder{Order: o} }

func openLetters(o order.ID) app.DeadLetterFilter {
	open := app.LetterOpen
	return app.DeadLetterFilter{Order: o, State: &open, Limit: 100}
}

// rounds is how often a race is run: more often where there is time for it.
func rounds(inATest, inASoak int) int {
	if os.Getenv("PLATFORMA_SOAK") != "" {
		return inASoak
	}
	return inATest
}
