package portal

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/event"
)

func TestEveryEventHasItsLineInTheTimeline(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		if what := eventTexts[typ]; what.Title == "" || what.Tone == (tone{}) {
			t.Errorf("%s has no title or no tone: add it to eventTexts in internal/portal/timeline.go", typ)
		}
	}
	if got, want := len(eventTexts), len(event.Types()); got != want {
		t.Errorf("%d events have a line, %d exist", got, want)
	}
}
