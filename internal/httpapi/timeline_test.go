package httpapi

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestSagaShowsStepsWithTheirAttemptsInBothDirections(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	taskID := fulfil.TaskID{15: 1}
	rec := app.SagaRecord{
		Order: &order.Order{Items: []order.Item{{ID: theItem, Generation: 2}}},
		Tasks: []fulfil.Task{{
			ID: taskID, Item: theItem, Kind: fulfil.Provision, State: fulfil.Open, Compensating: true, NextAt: at(30),
		}, {ID: fulfil.TaskID{15: 2}, Kind: fulfil.Validate, State: fulfil.Closed, NextAt: at(1)}},
		Resources: []fulfil.Resource{
			{Task: taskID, Step: "network", Generation: 1, Phase: fulfil.Gone},
			{Task: taskID, Step: "network", Generation: 2, Phase: fulfil.Ready},
			{Task: taskID, Step: "server", Generation: 2, Phase: fulfil.Deleting},
		},
		Log: []app.LogEntry{
			{Task: taskID, At: at(0), Step: "network", What: app.LogIntent},
			{Task: taskID, At: at(1), Step: "network", What: app.LogAnswer, Class: fault.None, Took: 900 * time.Millisecond},
			{Task: taskID, At: at(2), Step: "server", What: app.LogIntent},
			{
				Task: taskID, At: at(3), Step: "server", What: app.LogAnswer, Class: fault.Retryable,
				Note: "the provider answered 503", Took: 812 * time.Millisecond, Next: at(5),
			},
			{Task: taskID, At: at(5), Step: "server", What: app.LogIntent}, // its answer was lost
			{Task: taskID, At: at(6), What: app.LogCompensating, Note: "cancel asked"},
			{Task: taskID, At: at(7), Step: "server", What: app.LogIntent},
		},
	}
	ms := func(n int64) *int64 { return &n }
	p := func(s string) *string { return &s }
	when := func(s int) *time.Time { v := at(s); return &v }
	want := sagaView{Tasks: []taskView{
		{
			ID: taskID.String(), Item: p(theItem.String()), Kind: "provision", State: "open", Direction: "undo",
			Generation: 2, NextAt: when(30),
			Steps: []stepView{
				{
					Step: "network", Direction: "do", Phase: p("ready"),
					Attempts: []attemptView{{At: at(0), TookMS: ms(900), Class: p("none")}},
				},
				{Step: "server", Direction: "do", Phase: p("deleting"), Attempts: []attemptView{
					{At: at(2), TookMS: ms(812), Class: p("retryable"), Message: p("the provider answered 503"), NextAt: when(5)},
					{At: at(5)},
				}},
				{Step: "server", Direction: "undo", Phase: p("deleting"), Attempts: []attemptView{{At: at(7)}}},
			},
			Decisions: []decisionView{{At: at(6), Message: "cancel asked"}},
		},
		{
			ID: fulfil.TaskID{15: 2}.String(), Kind: "validate", State: "closed", Direction: "do", Generation: 1,
			Steps: []stepView{}, Decisions: []decisionView{},
		},
	}}
	if diff := cmp.Diff(want, viewSaga(rec)); diff != "" {
		t.Errorf("saga (-want +got):\n%s", diff)
	}
}

func FuzzParseSeqAcceptsOneSpellingOfANumber(f *testing.F) {
	for _, s := range []string{"", "0", "12", "007", "-1", "+1", "99999999999999", "1e3", " 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseSeq(s)
		if ok && (n < 0 || s != "" && (s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0')) {
			t.Errorf("parseSeq(%q) = %d", s, n)
		}
	})
}
